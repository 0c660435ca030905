//! What a session asks of the server.

use super::heartbeat::Heartbeat;
use super::sending::Sending;
use super::subscription::{Profile, Subscription};
use crate::server::Start;
use crate::stomp::destination::DestinationKind;
use crate::stomp::fault::Fault;
use crate::stomp::message::MessageId;
use crate::ws::CloseCode;

/// Names something that has been asked for and is answered later.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Operation(pub(super) u32);

/// What something that was asked for has come to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Effect {
    /// The message goes to this number of receivers.
    Delivered(usize),
    /// A subscription gets a room's messages; the newest one at that moment.
    Entered { epoch: u64, seq: u64 },
    /// A subscription has begun or ended.
    Done,
}

/// How far something that was asked for has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Progress {
    /// It has had its effect.
    Now(Effect),
    /// [`StompSession::done`](super::StompSession::done) or [`StompSession::refused`](super::StompSession::refused)
    /// will follow; only the latter where no operation was named.
    Later,
}

/// What a transaction does to a queue.
#[derive(Clone, Debug)]
pub(crate) enum QueueChange {
    Send(Sending<'static>),
    Ack { subscription: Subscription, id: MessageId, accept: bool },
}

/// The server as a session sees it.
pub(crate) trait Broker {
    /// Sends one frame.
    fn send(&mut self, frame: &[u8]);

    /// Closes the connection after what was sent.
    fn close(&mut self, code: CloseCode, reason: &str);

    /// The session ends because of this.
    fn note(&mut self, fault: Fault);

    /// The session has begun; these signs of life were agreed on.
    fn start_heartbeat(&mut self, heartbeat: Heartbeat);

    /// Whether the user may enter the room or use the queue of this name.
    fn permit(&self, name: &str) -> Result<(), Fault>;

    /// Whether the user may send this.
    fn permit_sending(&self, sending: &Sending<'_>) -> Result<(), Fault> {
        match sending.destination.kind() {
            DestinationKind::Room | DestinationKind::Queue => self.permit(sending.destination.name()),
            // It reaches no other user.
            DestinationKind::UserQueue => Ok(()),
        }
    }

    /// Whether the frame that is being handled has brought a token that was accepted; asked once for each.
    fn take_renewal(&mut self) -> bool;

    /// Whether a subscription to a queue has this message and has not acknowledged it.
    fn holds(&self, profile: &Profile, subscription: &Subscription, id: MessageId) -> bool;

    /// Whether queues can be changed in all these ways; if so, [`publish`](Self::publish) and [`ack`](Self::ack)
    /// make each of them, if nothing else happens before.
    fn check(&self, profile: &Profile, changes: &[QueueChange]) -> Result<(), Fault>;

    fn subscribe(
        &mut self,
        profile: &Profile,
        subscription: &Subscription,
        start: Start,
        operation: Option<Operation>,
    ) -> Result<Progress, Fault>;

    fn unsubscribe(
        &mut self,
        profile: &Profile,
        subscription: &Subscription,
        operation: Option<Operation>,
    ) -> Progress;

    fn publish(
        &mut self,
        profile: &Profile,
        sending: Sending<'_>,
        operation: Option<Operation>,
    ) -> Result<Progress, Fault>;

    /// Asks rooms whether they would take all of these messages now; says how many answers follow. None: there is no
    /// need to ask, since [`publish_together`](Self::publish_together) takes all of them or none.
    fn ask_rooms(
        &mut self,
        profile: &Profile,
        sendings: &[Sending<'_>],
        operation: Option<Operation>,
    ) -> Result<usize, Fault>;

    /// Publishes messages for rooms, those that one thread has all or none; says how many answers follow. After an error
    /// nothing was done.
    fn publish_together(
        &mut self,
        profile: &Profile,
        sendings: &[Sending<'_>],
        operation: Option<Operation>,
    ) -> Result<usize, Fault>;

    /// Acknowledges a message of a queue, or gives it back. False if the subscription has no such message.
    fn ack(&mut self, profile: &Profile, subscription: &Subscription, id: MessageId, accept: bool) -> bool;

    /// Whether everything that was asked for has had its effect; if not,
    /// [`StompSession::drained`](super::StompSession::drained) follows when it has.
    fn is_quiet(&self) -> bool;
}
