//! The rooms seen from outside of any session: publish, ask, throw out.

use std::sync::{Arc, Mutex, OnceLock, PoisonError};
use std::time::Duration;

use super::busy::Busy;
use crate::limit_hits::{Limit, LimitHits};
use crate::reactor::{EndedSession, FoundSessions, Gauge, InboxSender, ReactorMessage, ReactorStats};
use crate::rooms::{
    Bans, Bounds, Inspection, Joined, Online, Poll, Post, PostError, Posted, RejectReason, Relayed, Reply,
    RoomRequest, SessionKey, ShardStats, Timestamp, TooManyBans, VisibleHead,
};
use crate::store::{RoomId, Store};
use crate::system::{since_epoch, thread_time};

/// Reaches the rooms of a running server from any thread: publishes, reads, tells who is there, throws out. Where nothing
/// else is said, chat rooms are meant.
///
/// From [`Server::rooms`](super::Server::rooms), [`ServerHandle::rooms`](super::ServerHandle::rooms) or
/// [`Request::rooms`](super::Request::rooms). No call waits; the answers come on the threads of the rooms or of the store,
/// where `reply` must not block. To wait for an answer, use a channel:
///
#[cfg_attr(feature = "testing", doc = "```")]
#[cfg_attr(not(feature = "testing"), doc = "```ignore")]
/// use std::sync::mpsc::sync_channel;
/// use foghorn::server::{HistoryRequest, Post, Router, Start};
///
/// let server = foghorn::testing::Server::start(Router::new())?;
/// let rooms = server.rooms();
///
/// let (reply, answer) = sync_channel(1);
/// rooms.post(Post::new("lobby", "clock", "it is noon").create(), move |posted| drop(reply.send(posted)))?;
/// assert_eq!(answer.recv()??.seq, 1);
///
/// let (reply, answer) = sync_channel(1);
/// rooms.history(HistoryRequest::new("lobby", Start::Last(10)), move |history| drop(reply.send(history)))?;
/// assert_eq!(answer.recv()??.messages()[0].content, "it is noon");
/// server.stop()?;
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Debug)]
pub struct Rooms {
    inbox: InboxSender,
    gauge: Gauge,
    limit_hits: LimitHits,
    bounds: Arc<Bounds>,
    shards: usize,
    store: Option<Store>,
    started_at: Duration,
}

impl Rooms {
    pub(super) fn new(
        inbox: InboxSender,
        gauge: Gauge,
        limit_hits: LimitHits,
        bounds: Arc<Bounds>,
        shards: usize,
        store: Option<Store>,
    ) -> Rooms {
        let started_at = since_epoch();
        Rooms { inbox, gauge, limit_hits, bounds, shards, store, started_at }
    }

    pub(super) fn inbox(&self) -> &InboxSender {
        &self.inbox
    }

    pub(super) fn bounds(&self) -> &Bounds {
        &self.bounds
    }

    /// Where the rooms are kept, if anywhere.
    #[must_use]
    pub fn store(&self) -> Option<&Store> {
        self.store.as_ref()
    }

    /// What has been counted since the start.
    #[must_use]
    pub fn limit_hits(&self) -> &LimitHits {
        &self.limit_hits
    }

    /// Whether one more room may be created now (`limits.room_creations_per_second`); to be asked once for each.
    #[must_use]
    pub fn may_create(&self, now: Timestamp) -> bool {
        let may = self.bounds.creations.take(now.micros());
        if !may {
            self.limit_hits.hit(Limit::RoomCreations);
        }
        may
    }

    /// Whether a publisher without a session may publish one message now (`limits.messages_per_second`); to be asked once
    /// for each. `publisher` names a user or an address.
    ///
    /// # Errors
    /// When to come back.
    pub fn may_publish(&self, publisher: impl FnOnce() -> Box<str>) -> Result<(), Duration> {
        self.bounds.may_publish(publisher)
    }

    /// Number of open connections of any kind, closing ones included.
    #[must_use]
    pub fn connections(&self) -> usize {
        self.gauge.connections()
    }

    /// Publishes a message; the answer comes when it is stored.
    ///
    /// # Errors
    /// [`Busy`].
    pub fn post(
        &self,
        post: Post,
        reply: impl FnOnce(Result<Posted, PostError>) + Send + 'static,
    ) -> Result<(), Busy> {
        self.request(RoomRequest::Post { post: Box::new(post), reply: Reply::new(reply) })
    }

    /// Publishes to a relay; the answer is its number of members. If that is 0, the message is lost.
    ///
    /// # Errors
    /// [`Busy`].
    pub fn relay(&self, message: Relayed, reply: impl FnOnce(usize) + Send + 'static) -> Result<(), Busy> {
        self.request(RoomRequest::Relay { message, reply: Reply::new(reply) })
    }

    /// How far is a room, which is opened if need be (see `chat.open_rooms`), and may this user read it?
    ///
    /// # Errors
    /// [`Busy`].
    pub fn position(
        &self,
        room: &str,
        user: &str,
        reply: impl FnOnce(Result<Joined, RejectReason>) + Send + 'static,
    ) -> Result<(), Busy> {
        self.request(RoomRequest::Position { room: room.into(), user: user.into(), reply: Reply::new(reply) })
    }

    /// How much of a room's log its members may have seen; `None` if the room is not open, which this does not change.
    ///
    /// # Errors
    /// [`Busy`].
    pub(crate) fn visible(
        &self,
        room: &str,
        reply: impl FnOnce(Result<Option<VisibleHead>, RejectReason>) + Send + 'static,
    ) -> Result<(), Busy> {
        self.request(RoomRequest::Visible { room: room.into(), reply: Reply::new(reply) })
    }

    /// What comes next in a room, as far as it is in memory?
    pub(super) fn poll(&self, room: &str, user: &str, poll: Poll) -> Result<(), Busy> {
        self.request(RoomRequest::Poll { room: room.into(), user: user.into(), poll: Box::new(poll) })
    }

    /// The users in a room; none if it does not exist.
    ///
    /// # Errors
    /// [`Busy`].
    pub fn online(&self, room: &str, reply: impl FnOnce(Online) + Send + 'static) -> Result<(), Busy> {
        self.request(RoomRequest::Online { room: room.into(), reply: Reply::new(reply) })
    }

    /// Closes all sessions of a user in a room with 4001; the answer is their number. With `ban`, every door of the room is
    /// closed to the user until that has passed, or the ban is lifted; a new ban replaces an old one. With
    /// [`TooManyBans`] nothing was done.
    ///
    /// # Errors
    /// [`Busy`].
    pub fn kick(
        &self,
        room: &str,
        user: &str,
        ban: Option<Duration>,
        reply: impl FnOnce(Result<usize, TooManyBans>) + Send + 'static,
    ) -> Result<(), Busy> {
        self.request(RoomRequest::Kick {
            room: room.into(),
            user: user.into(),
            ban,
            reply: Reply::new(reply),
        })
    }

    /// Who must not come back where.
    #[must_use]
    pub fn bans(&self) -> &Bans {
        &self.bounds.bans
    }

    /// Closes all sessions of a room with 1000; the answer is their number. A room that is kept in memory alone is deleted by
    /// that.
    ///
    /// # Errors
    /// [`Busy`].
    pub fn close(&self, room: &str, reply: impl FnOnce(usize) + Send + 'static) -> Result<(), Busy> {
        self.request(RoomRequest::Close { room: room.into(), id: None, reply: Reply::new(reply) })
    }

    /// As [`Rooms::close`], for a room that was deleted from the store. `id` is what [`Store::delete_room`] has answered:
    /// another room that has the name by now is not meant. Never refused, for the members would stay in a room that is not
    /// there.
    pub fn close_deleted(&self, room: &str, id: RoomId, reply: impl FnOnce(usize) + Send + 'static) {
        let request = RoomRequest::Close { room: room.into(), id: Some(id), reply: Reply::new(reply) };
        self.inbox.post_or_keep(ReactorMessage::Request(Box::new(request)));
    }

    /// What does each shard hold? Each looks at all of its members for that.
    ///
    /// # Errors
    /// [`Busy`].
    pub fn stats(&self, reply: impl FnOnce(Vec<ShardStats>) + Send + 'static) -> Result<(), Busy> {
        // The answer is taken on the shard's own thread, whose time is read there: nothing has to be measured before.
        let timed = |reply: Reply<ShardStats>| {
            Reply::new(move |stats| reply.send(ShardStats { busy: thread_time(), ..stats }))
        };
        self.request_all(|reply| RoomRequest::Stats { reply: timed(reply) }, reply)
    }

    /// What has the reactor counted, and what does each shard hold?
    ///
    /// # Errors
    /// [`Busy`].
    pub(crate) fn figures(
        &self,
        reply: impl FnOnce(ReactorStats, Vec<ShardStats>) + Send + 'static,
    ) -> Result<(), Busy> {
        let counted = Arc::new(OnceLock::new());
        let seen = counted.clone();
        let count = Reply::new(move |reactor: ReactorStats| {
            let _asked_once = seen.set(ReactorStats { busy: thread_time(), ..reactor });
        });
        // Before the questions to the shards, which the reactor passes on: it has answered when they do.
        self.post_message(ReactorMessage::Count(count))?;
        self.stats(move |shards| {
            debug_assert!(counted.get().is_some(), "the reactor has passed a later question on first");
            reply(counted.get().cloned().unwrap_or_default(), shards);
        })
    }

    /// Bytes of what all rooms have recorded.
    pub(crate) fn recorder_bytes(&self) -> usize {
        self.bounds.recorder_used()
    }

    /// Number of shards.
    pub(crate) fn shards(&self) -> usize {
        self.shards
    }

    /// Asks one shard about itself, or the shard of the room that it is about.
    ///
    /// # Errors
    /// [`Busy`].
    pub(crate) fn inspect(&self, shard: Option<usize>, inspection: Inspection) -> Result<(), Busy> {
        let request = Box::new(RoomRequest::Inspect(Box::new(inspection)));
        self.post_message(match shard {
            Some(shard) => ReactorMessage::RequestShard(shard, request),
            None => ReactorMessage::Request(request),
        })
    }

    /// The sessions that have ended after the one of this number, as far as is remembered.
    ///
    /// # Errors
    /// [`Busy`].
    pub(crate) fn ended(
        &self,
        after: u64,
        reply: impl FnOnce(Vec<EndedSession>) + Send + 'static,
    ) -> Result<(), Busy> {
        self.post_message(ReactorMessage::Ended(after, Reply::new(reply)))
    }

    /// The sessions in no room whose user has this text in its name, or whose address or public id begins so: a part of them,
    /// from this place on.
    ///
    /// # Errors
    /// [`Busy`].
    pub(crate) fn find_sessions(
        &self,
        text: &Arc<str>,
        from: usize,
        reply: impl FnOnce(FoundSessions) + Send + 'static,
    ) -> Result<(), Busy> {
        self.post_message(ReactorMessage::FindSessions(text.clone(), from, Reply::new(reply)))
    }

    /// Closes the connection of a session with 4001, if it has this id; the answer is whether there is one.
    ///
    /// # Errors
    /// [`Busy`].
    pub(crate) fn disconnect(
        &self,
        session: SessionKey,
        id: u128,
        reply: impl FnOnce(bool) + Send + 'static,
    ) -> Result<(), Busy> {
        self.post_message(ReactorMessage::Disconnect(session, id, Reply::new(reply)))
    }

    /// When the server was put together, since 1970.
    pub(crate) fn started_at(&self) -> Duration {
        self.started_at
    }

    /// Are all shards alive? Answered when each has answered, which costs them nothing.
    ///
    /// # Errors
    /// [`Busy`].
    pub fn ping(&self, reply: impl FnOnce() + Send + 'static) -> Result<(), Busy> {
        self.opening_age(move |_age| reply())
    }

    /// As [`Rooms::ping`]; answered with the time that the room has waited which has waited longest for the store, if any
    /// waits.
    ///
    /// # Errors
    /// [`Busy`].
    pub fn opening_age(&self, reply: impl FnOnce(Option<Duration>) + Send + 'static) -> Result<(), Busy> {
        self.request_all(
            |reply| RoomRequest::Ping { reply },
            move |ages: Vec<Option<Duration>>| reply(ages.into_iter().flatten().max()),
        )
    }

    /// Asks all shards the same, and replies with their answers in the order of the shards.
    fn request_all<T: Clone + Send + 'static>(
        &self,
        request: impl Fn(Reply<T>) -> RoomRequest,
        reply: impl FnOnce(Vec<T>) + Send + 'static,
    ) -> Result<(), Busy> {
        let gathered = Arc::new(Mutex::new((vec![None; self.shards], Some(reply))));
        for shard in 0..self.shards {
            let gathered = gathered.clone();
            let reply = Reply::new(move |answer| {
                let mut gathered = gathered.lock().unwrap_or_else(PoisonError::into_inner);
                gathered.0[shard] = Some(answer);
                if gathered.0.iter().all(Option::is_some)
                    && let Some(reply) = gathered.1.take()
                {
                    // Under the lock: it was the last shard, so no other thread waits for it.
                    reply(gathered.0.iter().flatten().cloned().collect());
                }
            });
            // If one is refused, the answers of the others go nowhere: the last of them drops `reply`.
            self.post_message(ReactorMessage::RequestShard(shard, Box::new(request(reply))))?;
        }
        Ok(())
    }

    fn request(&self, request: RoomRequest) -> Result<(), Busy> {
        self.post_message(ReactorMessage::Request(Box::new(request)))
    }

    fn post_message(&self, message: ReactorMessage) -> Result<(), Busy> {
        if self.inbox.try_post(message) {
            return Ok(());
        }
        self.limit_hits.hit(Limit::ShardQueue);
        Err(Busy)
    }
}
