//! The server as one STOMP session sees it: rooms, queues, and its own connection.

use std::sync::Arc;

use super::consumer::SessionConsumer;
use super::destination::DestinationKind;
use super::encoding::RoomEncoding;
use super::fault::Fault;
use super::message::{MessageId, SubscriberKey, cost_of};
use super::pending_ops::PendingOps;
use super::queues::Change;
use super::session::{
    Broker, Effect, Heartbeat, Operation, Profile, Progress, QueueChange, SendBody, Sending, Subscription,
};
use super::shared_queues::{Attached, SharedQueues};
use super::subscriptions::Subscriptions;
use super::timers::{CHECK_LIVENESS, CONNECT, HEARTBEAT};
use super::users::Owner;
use crate::server::{Context, JoinRequest, Post, PostError, Posted, RejectReason, RoomError, Start, Timer};
use crate::ws::CloseCode;

/// What a session asks its server through, during one callback.
#[derive(Debug)]
pub(super) struct BrokerAdapter<'d, 'c> {
    pub(super) shared: &'d SharedQueues,
    pub(super) cx: &'d mut Context<'c>,
    pub(super) subscriptions: &'d mut Subscriptions,
    pub(super) pending: &'d PendingOps,
    pub(super) heartbeat: &'d mut Heartbeat,
    pub(super) has_renewed: &'d mut bool,
}

impl BrokerAdapter<'_, '_> {
    fn enter(
        &mut self,
        profile: &Profile,
        subscription: &Subscription,
        start: Start,
        operation: Option<Operation>,
    ) -> Result<Progress, Fault> {
        let guard = self.pending.begin(self.cx.session(), operation);
        let request = JoinRequest::chat(subscription.destination.name(), profile.user())
            .start(start)
            .silent()
            .nameless(matches!(profile.owner, Owner::Session(_)))
            .encoding(Arc::new(RoomEncoding::new(profile.version, subscription)))
            .then(|joined| {
                let entered = joined.map(|joined| Effect::Entered { epoch: joined.epoch, seq: joined.seq });
                guard.complete(entered.map_err(Fault::from));
            });
        let membership = self.cx.join(request).inspect_err(|_| self.pending.arrived())?;
        self.subscriptions.rooms.insert(subscription.number, membership);
        Ok(Progress::Later)
    }

    fn post(
        &mut self,
        profile: &Profile,
        sending: &Sending<'_>,
        operation: Option<Operation>,
    ) -> Result<Progress, Fault> {
        let post = post_of(profile, sending)?;
        let guard = self.pending.begin(self.cx.session(), operation);
        let posted = self.cx.post(post, |posted| guard.complete(delivered(posted)));
        posted.inspect_err(|_| self.pending.arrived())?;
        Ok(Progress::Later)
    }

    fn post_all(
        &mut self,
        profile: &Profile,
        sendings: &[Sending<'_>],
        only_asks: bool,
        operation: Option<Operation>,
    ) -> Result<usize, Fault> {
        let mut posts = Vec::with_capacity(sendings.len());
        for sending in sendings {
            let post = post_of(profile, sending)?;
            self.cx.may_post(&post)?;
            posts.push(post);
        }
        let count = posts.len();
        let posts = posts.into_iter().map(|post| {
            let guard = self.pending.begin(self.cx.session(), operation);
            (post, |posted| guard.complete(delivered(posted)))
        });
        let posts = posts.collect();
        self.cx.post_all(posts, only_asks);
        Ok(count)
    }

    fn tell(&mut self, profile: &Profile, sending: Sending<'_>) -> Result<usize, Fault> {
        let (queue, mandatory) = (sending.destination.clone(), sending.mandatory);
        let message = self.shared.message(profile, sending);
        let sessions = self.shared.users().send(profile.owner.clone(), queue.name(), &message);
        if mandatory && sessions == 0 { Err(Fault::NoSubscriber) } else { Ok(sessions) }
    }

    fn set_timer_if(&mut self, timer: Timer, interval: Option<std::time::Duration>) {
        if let Some(interval) = interval {
            self.cx.set_timer(timer, interval);
        }
    }
}

impl Broker for BrokerAdapter<'_, '_> {
    fn send(&mut self, frame: &[u8]) {
        match simdutf8::basic::from_utf8(frame) {
            Ok(text) => self.cx.send_text(text),
            Err(_) => self.cx.send_binary(frame),
        }
    }

    fn note(&mut self, fault: Fault) {
        match fault.limit() {
            Some(limit) if fault.is_counted() => self.cx.blame(limit),
            Some(limit) => self.cx.hit(limit),
            None => {}
        }
    }

    fn close(&mut self, code: CloseCode, reason: &str) {
        self.subscriptions.leave_queues(self.cx.id(), self.shared);
        self.cx.close(code, reason);
    }

    fn start_heartbeat(&mut self, heartbeat: Heartbeat) {
        *self.heartbeat = heartbeat;
        self.cx.cancel_timer(CONNECT);
        self.set_timer_if(HEARTBEAT, heartbeat.send_interval());
        self.set_timer_if(CHECK_LIVENESS, heartbeat.check_interval());
    }

    fn permit(&self, name: &str) -> Result<(), Fault> {
        match self.cx.identity() {
            Some(identity) if !identity.may_enter(name) => Err(Fault::NotAllowed),
            Some(_) | None => Ok(()),
        }
    }

    fn take_renewal(&mut self) -> bool {
        std::mem::take(self.has_renewed)
    }

    fn holds(&self, profile: &Profile, subscription: &Subscription, id: MessageId) -> bool {
        self.shared.queues().holds(subscription.destination.name(), key_of(profile, subscription), id)
    }

    fn check(&self, profile: &Profile, changes: &[QueueChange]) -> Result<(), Fault> {
        let mut of_queues = Vec::new();
        for change in changes {
            match change {
                QueueChange::Ack { subscription, id, accept } => of_queues.push(Change::Ack {
                    queue: subscription.destination.name(),
                    key: key_of(profile, subscription),
                    id: *id,
                    accept: *accept,
                }),
                QueueChange::Send(sending) if sending.destination.kind() == DestinationKind::UserQueue => {
                    let (owner, name) = (profile.owner.clone(), sending.destination.name());
                    if sending.mandatory && !self.shared.users().is_heard(owner, name) {
                        return Err(Fault::NoSubscriber);
                    }
                }
                QueueChange::Send(sending) => of_queues.push(Change::Offer {
                    queue: sending.destination.name(),
                    cost: cost_of(&sending.headers, sending.body.bytes()) + profile.user().len(),
                    mandatory: sending.mandatory,
                }),
            }
        }
        self.shared.queues().check(of_queues)
    }

    fn subscribe(
        &mut self,
        profile: &Profile,
        subscription: &Subscription,
        start: Start,
        operation: Option<Operation>,
    ) -> Result<Progress, Fault> {
        let (destination, number) = (&subscription.destination, subscription.number);
        let key = SubscriberKey { session: self.cx.id(), number };
        let owner = match destination.kind() {
            DestinationKind::Room => return self.enter(profile, subscription, start, operation),
            DestinationKind::Queue => {
                self.permit(destination.name())?;
                None
            }
            DestinationKind::UserQueue => Some(profile.owner.clone()),
        };
        // What waits in the queue is sent at once, and CONNECTED comes before.
        self.cx.flush();
        let consumer = SessionConsumer::new(self.cx.session().clone(), profile.version, subscription);
        match &owner {
            None => self.shared.queues().subscribe(destination.name(), key, subscription.mode, consumer)?,
            Some(owner) => self.shared.users().subscribe(owner.clone(), destination.name(), key, consumer),
        }
        self.subscriptions.queues.insert(number, Attached { destination: destination.clone(), owner });
        Ok(Progress::Now(Effect::Done))
    }

    fn unsubscribe(
        &mut self,
        profile: &Profile,
        subscription: &Subscription,
        operation: Option<Operation>,
    ) -> Progress {
        let number = subscription.number;
        if let Some(attached) = self.subscriptions.queues.remove(&number) {
            self.shared.detach(SubscriberKey { session: profile.session, number }, attached);
        }
        if let Some(membership) = self.subscriptions.rooms.remove(&number) {
            self.cx.leave(membership);
            if operation.is_some() {
                let guard = self.pending.begin(self.cx.session(), operation);
                self.cx.after(membership, || guard.complete(Ok(Effect::Done)));
                return Progress::Later;
            }
        }
        Progress::Now(Effect::Done)
    }

    fn publish(
        &mut self,
        profile: &Profile,
        sending: Sending<'_>,
        operation: Option<Operation>,
    ) -> Result<Progress, Fault> {
        let delivered = match sending.destination.kind() {
            DestinationKind::Room => return self.post(profile, &sending, operation),
            DestinationKind::UserQueue => self.tell(profile, sending)?,
            DestinationKind::Queue => {
                let (queue, mandatory) = (sending.destination.clone(), sending.mandatory);
                let message = self.shared.message(profile, sending);
                usize::from(self.shared.queues().offer(queue.name(), message, mandatory)?)
            }
        };
        Ok(Progress::Now(Effect::Delivered(delivered)))
    }

    fn ask_rooms(
        &mut self,
        profile: &Profile,
        sendings: &[Sending<'_>],
        operation: Option<Operation>,
    ) -> Result<usize, Fault> {
        if self.cx.are_together(sendings.iter().map(|sending| sending.destination.name())) {
            return Ok(0);
        }
        self.post_all(profile, sendings, true, operation)
    }

    fn publish_together(
        &mut self,
        profile: &Profile,
        sendings: &[Sending<'_>],
        operation: Option<Operation>,
    ) -> Result<usize, Fault> {
        self.post_all(profile, sendings, false, operation)
    }

    fn ack(&mut self, profile: &Profile, subscription: &Subscription, id: MessageId, accept: bool) -> bool {
        self.shared.queues().ack(subscription.destination.name(), key_of(profile, subscription), id, accept)
    }

    fn is_quiet(&self) -> bool {
        self.pending.await_quiet()
    }
}

/// A message for a room.
fn post_of(profile: &Profile, sending: &Sending<'_>) -> Result<Post, Fault> {
    let SendBody::Text(content) = &sending.body else { return Err(Fault::NotText) };
    let post = Post::new(sending.destination.name(), profile.user(), content)
        .client_id(sending.client_id.as_deref())
        .create()
        .mandatory(sending.mandatory)
        // A RECEIPT has the number of receivers alone.
        .without_json();
    // A name that all sessions without one share is no sender.
    Ok(match &profile.owner {
        Owner::User(_) => post,
        Owner::Session(session) => post.id_of_session(*session),
    })
}

fn delivered(posted: Result<Posted, PostError>) -> Result<Effect, Fault> {
    posted.map(|posted| Effect::Delivered(posted.receivers)).map_err(Fault::from)
}

fn key_of(profile: &Profile, subscription: &Subscription) -> SubscriberKey {
    SubscriberKey { session: profile.session, number: subscription.number }
}

impl From<RoomError> for Fault {
    fn from(error: RoomError) -> Fault {
        match error {
            RoomError::TooManyRooms => Fault::TooManyRooms,
            RoomError::TooManySessions => Fault::TooManySessions,
            RoomError::Closed | RoomError::TooBig | RoomError::Busy => Fault::Busy,
            RoomError::NotAllowed => Fault::NotAllowed,
            RoomError::NotThatUser => Fault::NotThatUser,
        }
    }
}

impl From<PostError> for Fault {
    fn from(error: PostError) -> Fault {
        match error {
            PostError::NoSuchRoom => Fault::NoSuchRoom,
            PostError::Unavailable => Fault::Unavailable,
            PostError::Busy => Fault::Busy,
            PostError::NoReceiver => Fault::NoSubscriber,
            PostError::IdReused => Fault::IdReused,
            PostError::Banned => Fault::Banned,
        }
    }
}

impl From<RejectReason> for Fault {
    fn from(why: RejectReason) -> Fault {
        match why {
            RejectReason::TooSlow => Fault::Busy,
            RejectReason::TooManyRooms | RejectReason::TooManyNewRooms | RejectReason::TooManyOpenings => {
                why.limit().map_or(Fault::Unavailable, Fault::Limited)
            }
            RejectReason::HandlerFailed => Fault::Unavailable,
            RejectReason::RoomFull => Fault::RoomFull,
            RejectReason::NoSuchRoom | RejectReason::RoomDeleted => Fault::NoSuchRoom,
            RejectReason::Unavailable => Fault::Unavailable,
            RejectReason::Kicked => Fault::Kicked,
            RejectReason::Banned => Fault::Banned,
        }
    }
}
