//! What a session does in rooms: joins, publishes, leaves.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;

use super::context::Context;
use super::handle::Session;
use super::state::ShardNumber;
use crate::limit_hits::Limit;
use crate::reactor::api::join::{JoinRequest, Membership, RoomError};
use crate::reactor::key::Key;
use crate::reactor::state::LoopState;
use crate::rooms::{
    Command, Fault, Format, Join, Post, PostError, PostReply, Posted, Publication, Reply, RoomRequest,
    SessionKey, Variant,
};
use crate::transport::Outbound;
use crate::workers::ShardHandle;
use crate::ws::deflate::WindowBits;
use crate::ws::{CloseCode, Message};

impl Context<'_> {
    /// Makes the session a member of a room. Its messages go to the socket directly, without the handler.
    ///
    /// If the room or the server is full, the session is closed with 1013 a moment later (unless it wants to
    /// [hear](JoinRequest::then) of that).
    ///
    /// # Errors
    /// [`RoomError::TooManyRooms`], [`RoomError::TooManySessions`], [`RoomError::Closed`]; [`RoomError::NotAllowed`] and
    /// [`RoomError::NotThatUser`] if the session has an [`Identity`](crate::auth::Identity) and that says otherwise.
    /// Every session may join without a name (`""`).
    pub fn join(&mut self, request: JoinRequest<'_>) -> Result<Membership, RoomError> {
        if !self.is_open() {
            return Err(RoomError::Closed);
        }
        if self.memberships().len() >= self.shared.limits.rooms_per_session {
            self.shared.limit_hits.hit(Limit::RoomsPerSession);
            self.shared.blamed = Some((self.key, Limit::RoomsPerSession));
            return Err(RoomError::TooManyRooms);
        }
        self.may_act(request.room, request.user)?;
        // Only who may be that user counts as one of its sessions.
        if let (Format::Chat, false, Some(max)) =
            (request.format, request.nameless, self.shared.limits.sessions_per_user)
            && !self.shared.users.enter(self.key, request.user, max)
        {
            self.shared.limit_hits.hit(Limit::SessionsPerUser);
            self.shared.blamed = Some((self.key, Limit::SessionsPerUser));
            return Err(RoomError::TooManySessions);
        }
        // A room's frames are compressed once for all members, so that no message may count on any other from now on.
        if let Some(rare) = &mut self.state.rare {
            rare.history = None;
        }
        let membership = self.shared.enter(self.key, self.outbound, request, self.state.deflate);
        self.state.memberships.add(membership);
        Ok(membership)
    }

    /// Leaves a room. Does nothing if the session is not in it (any more).
    pub fn leave(&mut self, membership: Membership) {
        if self.state.memberships.remove(membership) {
            self.shared.shards[usize::from(membership.shard)].push(Command::Leave(membership.member));
        }
    }

    /// Has `reply` called, on a thread of the rooms, when everything that the session has done so far in this room (its
    /// joining or leaving included) has had its effect.
    pub fn after(&mut self, membership: Membership, reply: impl FnOnce() + Send + 'static) {
        let reply = Reply::new(contained(self.session().clone(), |()| reply()));
        self.shared.shards[usize::from(membership.shard)].push(Command::After(membership.member, reply));
    }

    /// Tells the session alone, as a member of this room, that something it said was not done: an ERROR between
    /// the room's messages, in the form of these.
    pub fn tell(
        &mut self,
        membership: Membership,
        code: &'static str,
        content: impl Into<Cow<'static, str>>,
        client_id: Option<Box<str>>,
    ) {
        let fault = Box::new(Fault { code, content: content.into(), client_id });
        self.shared.shards[usize::from(membership.shard)].push(Command::Tell(membership.member, fault));
    }

    /// The rooms that the session is in, in the order of joining.
    #[must_use]
    pub fn memberships(&self) -> &[Membership] {
        self.state.memberships.as_slice()
    }

    /// Publishes text to a room, in the name that the session joined with. `client_id` is the publisher's own id of the
    /// message, unless it is empty: a repeat within `chat.dedup_window` is not published, and answered to this session alone
    /// ([`Notice::Ack`](crate::server::Notice::Ack); with other content an error, `id_reused`).
    ///
    /// # Errors
    /// [`RoomError::Closed`] if the session is not in that room, [`RoomError::TooBig`].
    pub fn publish_text(
        &mut self,
        to: Membership,
        text: &str,
        client_id: Option<&str>,
    ) -> Result<(), RoomError> {
        self.publish(to, |shard| {
            let content = shard.store_text(text)?;
            let id = match client_id {
                Some(id) => Some(shard.store_text(id)?),
                None => None,
            };
            Some(Publication::Text { content, id })
        })
    }

    /// Publishes bytes to a relay. In a chat room they are published as text if they are UTF-8, and dropped otherwise.
    ///
    /// # Errors
    /// As [`Context::publish_text`].
    pub fn publish_binary(&mut self, to: Membership, payload: &[u8]) -> Result<(), RoomError> {
        self.publish(to, |shard| shard.store_bytes(payload).map(Publication::Binary))
    }

    /// Publishes the latest value of `key` to a conflated relay, as text or binary: a member that has not been sent the value
    /// before will not be. In a relay of the other kind the key means nothing; in a chat room it is the client's id of the
    /// message.
    ///
    /// # Errors
    /// As [`Context::publish_text`].
    pub fn publish_latest(
        &mut self,
        to: Membership,
        key: &[u8],
        value: Message<'_>,
    ) -> Result<(), RoomError> {
        let (value, is_text) = match value {
            Message::Text(text) => (text.as_bytes(), true),
            Message::Binary(payload) => (payload, false),
        };
        self.publish(to, |shard| {
            let (value, key) = (shard.store_bytes(value)?, shard.store_bytes(key)?);
            Some(Publication::Keyed { key, value, is_text })
        })
    }

    /// Publishes to a chat room that the session need not be in. The answer comes when the message is stored, on a thread
    /// of the rooms, where `reply` must not block.
    ///
    /// # Errors
    /// [`RoomError::Busy`]; [`RoomError::NotAllowed`] and [`RoomError::NotThatUser`] as with [`Context::join`].
    pub fn post(
        &mut self,
        post: Post,
        reply: impl FnOnce(Result<Posted, PostError>) + Send + 'static,
    ) -> Result<(), RoomError> {
        self.may_act(&post.room, &post.sender)?;
        let reply = contained(self.session().clone(), reply);
        let number = self.shared.shard_of(&post.room);
        self.state.posts_to = ShardNumber::new(number);
        let shard = &mut self.shared.shards[usize::from(number)];
        // From congestion on the session is not read; what had been read by then is taken.
        if shard.is_flooded() {
            self.shared.limit_hits.hit(Limit::ShardQueue);
            return Err(RoomError::Busy);
        }
        let request = RoomRequest::Post { post: Box::new(post), reply: Reply::new(reply) };
        let bytes = request.bytes();
        shard.request(Box::new(request), bytes);
        Ok(())
    }

    /// Whether [`Context::post`] would take this.
    pub(crate) fn may_post(&self, post: &Post) -> Result<(), RoomError> {
        self.may_act(&post.room, &post.sender)?;
        let shard = &self.shared.shards[usize::from(self.shared.shard_of(&post.room))];
        if shard.is_flooded() { Err(RoomError::Busy) } else { Ok(()) }
    }

    /// Whether these rooms are in the hands of one thread, which publishes all that is [posted](Context::post_all) together
    /// or nothing.
    pub(crate) fn are_together<'r>(&self, mut rooms: impl Iterator<Item = &'r str>) -> bool {
        let first = rooms.next().map(|room| self.shared.shard_of(room));
        first.is_none_or(|first| rooms.all(|room| self.shared.shard_of(room) == first))
    }

    /// Publishes as [`Context::post`] what it [may](Context::may_post), of the rooms that are together all or nothing. With
    /// `only_asks` nothing is published, and the answers are what they would be.
    pub(crate) fn post_all<F>(&mut self, posts: Vec<(Post, F)>, only_asks: bool)
    where
        F: FnOnce(Result<Posted, PostError>) + Send + 'static,
    {
        let mut by_shard = BTreeMap::<u16, Vec<(Post, PostReply)>>::new();
        for (post, reply) in posts {
            let reply = Reply::new(contained(self.session().clone(), reply));
            by_shard.entry(self.shared.shard_of(&post.room)).or_default().push((post, reply));
        }
        for (number, posts) in by_shard {
            self.state.posts_to = ShardNumber::new(number);
            let ask = RoomRequest::PostAll { posts, only_asks };
            let bytes = ask.bytes();
            self.shared.shards[usize::from(number)].request(Box::new(ask), bytes);
        }
    }

    /// Whether the session may be this user in this room.
    fn may_act(&self, room: &str, user: &str) -> Result<(), RoomError> {
        let Some(identity) = self.identity() else { return Ok(()) };
        if !user.is_empty() && user != identity.user() {
            return Err(RoomError::NotThatUser);
        }
        if identity.may_enter(room) { Ok(()) } else { Err(RoomError::NotAllowed) }
    }

    fn publish(
        &mut self,
        to: Membership,
        store: impl FnOnce(&mut ShardHandle) -> Option<Publication>,
    ) -> Result<(), RoomError> {
        if !self.memberships().contains(&to) {
            return Err(RoomError::Closed);
        }
        let shard = &mut self.shared.shards[usize::from(to.shard)];
        let message = store(shard).ok_or(RoomError::TooBig)?;
        shard.push(Command::Publish { member: to.member, message });
        Ok(())
    }
}

/// What takes an answer for a session: a panic costs that session (1011) and not the shard that it is called by.
fn contained<T>(session: Session, reply: impl FnOnce(T) + Send + 'static) -> impl FnOnce(T) + Send + 'static {
    move |answer| {
        if catch_unwind(AssertUnwindSafe(|| reply(answer))).is_err() {
            tracing::error!("what was to take an answer of a room has panicked, its session is closed");
            session.close(CloseCode::INTERNAL, "handler failed");
        }
    }
}

impl LoopState {
    /// Makes a connection a member of a room, which sends it compressed messages if it remembers far enough back.
    pub(crate) fn enter(
        &mut self,
        key: Key,
        outbound: &Arc<Outbound>,
        request: JoinRequest<'_>,
        deflate: Option<WindowBits>,
    ) -> Membership {
        let JoinRequest {
            room,
            user,
            format,
            start,
            welcome,
            announced,
            creates,
            nameless: _,
            encoding,
            reply,
        } = request;
        let variant = match deflate {
            _ if encoding.is_some() => Variant::Encoded,
            Some(window) if window >= self.limits.deflate.window => Variant::Deflated,
            Some(_) | None => Variant::Plain,
        };
        let (number, session_id, session) =
            (self.shard_of(room), self.session_id(key), SessionKey(key.to_bits()));
        let (room, user, peer) = (room.into(), user.into(), outbound.clone());
        let shard = &mut self.shards[usize::from(number)];
        let member = shard.new_member();
        shard.push(Command::Join(Box::new(Join {
            member,
            session,
            session_id,
            room,
            format,
            user,
            peer,
            start,
            welcome,
            variant,
            announced,
            creates,
            encoding,
            reply,
        })));
        Membership { shard: number, member }
    }
}
