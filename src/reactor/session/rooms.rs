//! What a session does in rooms: joins, publishes, leaves.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::fmt;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;

use crate::metrics::Limit;
use crate::reactor::connection::table::Key;
use crate::reactor::session::context::{Context, LaneNumber};
use crate::reactor::session::handle::Session;
use crate::reactor::state::Turn;
use crate::rooms::{
    Command, Encoding, Fault, Format, Join, Joined, MemberKey, PostError, Posted, Posting, Publication,
    RejectReason, RelayMessage, Reply, RoomRequest, SessionKey, Start, Variant,
};
use crate::transport::Outbound;
use crate::workers::ShardHandle;
use crate::ws::deflate::WindowBits;
use crate::ws::{CloseCode, Message};

/// A session's place in a room.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Membership {
    pub(crate) lane: u16,
    pub(crate) member: MemberKey,
}

/// A wish to enter a room.
pub struct JoinRequest<'a> {
    room: &'a str,
    user: &'a str,
    format: Format,
    start: Start,
    hello: bool,
    announced: bool,
    creates: bool,
    nameless: bool,
    encoding: Option<Arc<dyn Encoding>>,
    reply: Option<Reply<Result<Joined, RejectReason>>>,
}

impl<'a> JoinRequest<'a> {
    /// Into a chat room, under the name that the others are to see; from the next message on.
    #[must_use]
    pub fn chat(room: &'a str, user: &'a str) -> JoinRequest<'a> {
        JoinRequest::new(room, user, Format::Chat)
    }

    /// Into a relay, which has other names than the chat; from the next message on.
    #[must_use]
    pub fn relay(room: &'a str) -> JoinRequest<'a> {
        JoinRequest::new(room, "", Format::Relay)
    }

    /// Into a conflated relay, which again has other names: of messages published with the same key, members that lag get
    /// the latest alone.
    #[must_use]
    pub fn latest(room: &'a str) -> JoinRequest<'a> {
        JoinRequest::new(room, "", Format::Conflated)
    }

    fn new(room: &'a str, user: &'a str, format: Format) -> JoinRequest<'a> {
        let start = Start::Live;
        let (hello, announced, creates, nameless) = (false, true, true, false);
        let (encoding, reply) = (None, None);
        JoinRequest { room, user, format, start, hello, announced, creates, nameless, encoding, reply }
    }

    /// Begins elsewhere in the room's log.
    #[must_use]
    pub fn start(mut self, start: Start) -> JoinRequest<'a> {
        self.start = start;
        self
    }

    /// Whether to begin with a WELCOME.
    #[must_use]
    pub fn hello(mut self, hello: bool) -> JoinRequest<'a> {
        self.hello = hello;
        self
    }

    /// Only listens: nobody is told, and the user does not count among those who are there.
    #[must_use]
    pub fn silent(mut self) -> JoinRequest<'a> {
        self.announced = false;
        self
    }

    /// Only reads: waits at a room that is not there as at an empty one, instead of creating it.
    #[must_use]
    pub fn reading(mut self) -> JoinRequest<'a> {
        self.creates = false;
        self
    }

    /// The name is no user's, but what sessions without one are called: each of them counts for itself.
    #[must_use]
    pub(crate) fn nameless(mut self, nameless: bool) -> JoinRequest<'a> {
        self.nameless = nameless;
        self
    }

    /// Gets the messages in this form.
    #[must_use]
    pub fn encoding(mut self, encoding: Arc<dyn Encoding>) -> JoinRequest<'a> {
        self.encoding = Some(encoding);
        self
    }

    /// Hears how it went, on a thread of the rooms, where `reply` must not block. Without this a session that is refused
    /// is closed; with it, it stays and has to [leave](Context::leave).
    #[must_use]
    pub fn then(
        mut self,
        reply: impl FnOnce(Result<Joined, RejectReason>) + Send + 'static,
    ) -> JoinRequest<'a> {
        self.reply = Some(Reply::new(reply));
        self
    }
}

impl fmt::Debug for JoinRequest<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("JoinRequest")
            .field("room", &self.room)
            .field("user", &self.user)
            .finish_non_exhaustive()
    }
}

/// A message for a chat room, from somebody who need not be in it.
#[derive(Clone, Copy, Debug)]
pub struct Post<'a> {
    pub(crate) room: &'a str,
    pub(crate) sender: &'a str,
    pub(crate) content: &'a str,
    pub(crate) client_id: Option<&'a str>,
    pub(crate) id_session: Option<u128>,
    pub(crate) create: bool,
    pub(crate) mandatory: bool,
}

impl<'a> Post<'a> {
    /// A message in the name of `sender`, into a room that is there.
    #[must_use]
    pub fn new(room: &'a str, sender: &'a str, content: &'a str) -> Post<'a> {
        Post { room, sender, content, client_id: None, id_session: None, create: false, mandatory: false }
    }

    /// The sender's own id of the message, unless it is empty: a repeat within `chat.dedup_window` publishes nothing and is
    /// answered with the first message; one with other content is refused ([`PostError::IdReused`]).
    #[must_use]
    pub fn client_id(mut self, id: Option<&'a str>) -> Post<'a> {
        self.client_id = id.filter(|id| !id.is_empty());
        self
    }

    /// The id belongs to this session alone: `sender` is a name that others have, too.
    #[must_use]
    pub fn id_of_session(mut self, session: u128) -> Post<'a> {
        self.id_session = Some(session);
        self
    }

    /// Creates the room if nobody has, where rooms are open to everybody (`chat.open_rooms`).
    #[must_use]
    pub fn create(mut self) -> Post<'a> {
        self.create = true;
        self
    }

    /// Is published only if somebody is there to get it; otherwise [`PostError::NoReceiver`].
    #[must_use]
    pub fn mandatory(mut self, mandatory: bool) -> Post<'a> {
        self.mandatory = mandatory;
        self
    }

    pub(crate) fn ask(self, reply: impl FnOnce(Result<Posted, PostError>) + Send + 'static) -> RoomRequest {
        RoomRequest::Post(Box::new(self.posting(reply)))
    }

    fn posting(self, reply: impl FnOnce(Result<Posted, PostError>) + Send + 'static) -> Posting {
        Posting {
            room: self.room.into(),
            sender: self.sender.into(),
            content: self.content.into(),
            client_id: self.client_id.map(Into::into),
            id_session: self.id_session,
            create: self.create,
            mandatory: self.mandatory,
            reply: Reply::new(reply),
        }
    }
}

/// A message for a relay, from somebody who need not be in it.
#[derive(Clone, Copy, Debug)]
pub struct Relayed<'a> {
    room: &'a str,
    /// In a conflated relay; `None` in others.
    key: Option<&'a [u8]>,
    message: Message<'a>,
}

impl<'a> Relayed<'a> {
    /// A message for a relay as in [`JoinRequest::relay`].
    #[must_use]
    pub fn new(room: &'a str, message: Message<'a>) -> Relayed<'a> {
        Relayed { room, key: None, message }
    }

    /// The latest value of `key`, for a conflated relay as in [`JoinRequest::latest`].
    #[must_use]
    pub fn latest(room: &'a str, key: &'a [u8], value: Message<'a>) -> Relayed<'a> {
        Relayed { room, key: Some(key), message: value }
    }

    pub(crate) fn ask(self, reply: impl FnOnce(usize) + Send + 'static) -> RoomRequest {
        let Relayed { room, key, message } = self;
        let message = match (key, message) {
            (None, Message::Text(text)) => RelayMessage::Text(text.into()),
            (None, Message::Binary(payload)) => RelayMessage::Binary(payload.into()),
            (Some(key), value) => {
                let (value, is_text) = match value {
                    Message::Text(text) => (text.as_bytes(), true),
                    Message::Binary(payload) => (payload, false),
                };
                RelayMessage::Keyed { key: key.into(), value: value.into(), is_text }
            }
        };
        RoomRequest::Relay { room: room.into(), message, reply: Reply::new(reply) }
    }
}

/// Why a session cannot join or publish.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum RoomError {
    /// The session is in `limits.rooms_per_session` rooms already.
    TooManyRooms,
    /// The user has `limits.sessions_per_user` other sessions already.
    TooManySessions,
    /// The session is closing.
    Closed,
    /// More was published in one turn than a batch can hold (4 GiB).
    TooBig,
    /// Too much waits for the room already.
    Busy,
    /// The session's [`Identity`](crate::auth::Identity) may not enter that room.
    NotAllowed,
    /// The session's [`Identity`](crate::auth::Identity) has another name.
    NotThatUser,
}

impl RoomError {
    /// The code to close a session with that cannot go on for this reason.
    #[must_use]
    pub fn close_code(self) -> CloseCode {
        match self {
            RoomError::TooManyRooms
            | RoomError::TooManySessions
            | RoomError::Closed
            | RoomError::TooBig
            | RoomError::Busy => CloseCode::TRY_AGAIN_LATER,
            RoomError::NotAllowed => CloseCode::POLICY,
            RoomError::NotThatUser => CloseCode::UNAUTHENTICATED,
        }
    }
}

impl std::fmt::Display for RoomError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            RoomError::TooManyRooms => "the session is in too many rooms",
            RoomError::TooManySessions => "the user has too many sessions",
            RoomError::Closed => "the session is closing",
            RoomError::TooBig => "too much was published at once",
            RoomError::Busy => "too much waits for the room",
            RoomError::NotAllowed => "the token does not allow this room",
            RoomError::NotThatUser => "the token is another user's",
        })
    }
}

impl std::error::Error for RoomError {}

/// The rooms a session is in. Nearly always one at most, so only several take memory of their own.
#[derive(Debug, Default)]
pub(crate) enum Memberships {
    #[default]
    None,
    One(Membership),
    #[expect(
        clippy::box_collection,
        reason = "one word instead of three in every session that does not need it"
    )]
    Several(Box<Vec<Membership>>),
}

impl Memberships {
    pub(crate) fn as_slice(&self) -> &[Membership] {
        match self {
            Memberships::None => &[],
            Memberships::One(membership) => std::slice::from_ref(membership),
            Memberships::Several(memberships) => memberships,
        }
    }

    fn add(&mut self, membership: Membership) {
        match self {
            Memberships::None => *self = Memberships::One(membership),
            Memberships::One(first) => *self = Memberships::Several(Box::new(vec![*first, membership])),
            Memberships::Several(memberships) => memberships.push(membership),
        }
    }

    /// Whether it was there.
    fn remove(&mut self, membership: Membership) -> bool {
        let found = self.as_slice().contains(&membership);
        match self {
            Memberships::None => {}
            Memberships::One(_) if found => *self = Memberships::None,
            Memberships::One(_) => {}
            Memberships::Several(memberships) => memberships.retain(|other| *other != membership),
        }
        found
    }
}

impl Context<'_> {
    /// Makes the session a member of a room. Its messages go to the socket directly, without the handler.
    ///
    /// If the room or the server is full, the session is closed with 1013 a moment later (unless it wants to
    /// [hear](JoinRequest::then) of that).
    ///
    /// # Errors
    /// [`RoomError::TooManyRooms`], [`RoomError::TooManySessions`], [`RoomError::Closed`]; [`RoomError::NotAllowed`] and
    /// [`RoomError::NotThatUser`] if the session has an [`Identity`](crate::auth::Identity) and that says otherwise.
    /// Without a name (`""`) one joins as nobody, which all may.
    pub fn join(&mut self, request: JoinRequest<'_>) -> Result<Membership, RoomError> {
        if !self.is_open() {
            return Err(RoomError::Closed);
        }
        if self.memberships().len() >= self.turn.limits.rooms_per_session {
            self.turn.metrics.hit(Limit::RoomsPerSession);
            self.turn.blamed = Some((self.key, Limit::RoomsPerSession));
            return Err(RoomError::TooManyRooms);
        }
        self.may_act(request.room, request.user)?;
        // Only who may be that user counts as one of its sessions.
        if let (Format::Chat, false, Some(max)) =
            (request.format, request.nameless, self.turn.limits.sessions_per_user)
            && !self.turn.users.enter(self.key, request.user, max)
        {
            self.turn.metrics.hit(Limit::SessionsPerUser);
            self.turn.blamed = Some((self.key, Limit::SessionsPerUser));
            return Err(RoomError::TooManySessions);
        }
        // A room's frames are compressed once for all members, so that no message may count on any other from now on.
        if let Some(rare) = &mut self.side.rare {
            rare.history = None;
        }
        let membership = self.turn.enter(self.key, self.outbound, request, self.side.deflate);
        self.side.memberships.add(membership);
        Ok(membership)
    }

    /// Leaves a room. Does nothing if the session is not in it (any more).
    pub fn leave(&mut self, membership: Membership) {
        if self.side.memberships.remove(membership) {
            self.turn.lanes[usize::from(membership.lane)].push(Command::Leave(membership.member));
        }
    }

    /// Has `reply` called, on a thread of the rooms, when everything that the session has done so far in this room (its
    /// joining or leaving included) has had its effect.
    pub fn after(&mut self, membership: Membership, reply: impl FnOnce() + Send + 'static) {
        let reply = Reply::new(contained(self.session().clone(), |()| reply()));
        self.turn.lanes[usize::from(membership.lane)].push(Command::After(membership.member, reply));
    }

    /// Tells the session, as a member of this room and nobody else, that something it said was not done: an ERROR between
    /// the room's messages, in the form of these.
    pub fn tell(
        &mut self,
        membership: Membership,
        code: &'static str,
        content: impl Into<Cow<'static, str>>,
        client_id: Option<Box<str>>,
    ) {
        let fault = Box::new(Fault { code, content: content.into(), client_id });
        self.turn.lanes[usize::from(membership.lane)].push(Command::Tell(membership.member, fault));
    }

    /// The rooms that the session is in, in the order of joining.
    #[must_use]
    pub fn memberships(&self) -> &[Membership] {
        self.side.memberships.as_slice()
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

    /// Publishes bytes to a relay. In a chat room they are dropped.
    ///
    /// # Errors
    /// As [`Context::publish_text`].
    pub fn publish_binary(&mut self, to: Membership, payload: &[u8]) -> Result<(), RoomError> {
        self.publish(to, |shard| shard.store_bytes(payload).map(Publication::Binary))
    }

    /// Publishes the latest value of `key` to a conflated relay, as text or binary: whoever has not been sent the value
    /// before will not be. In a relay of the other kind the key means nothing.
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
        post: Post<'_>,
        reply: impl FnOnce(Result<Posted, PostError>) + Send + 'static,
    ) -> Result<(), RoomError> {
        self.may_act(post.room, post.sender)?;
        let reply = contained(self.session().clone(), reply);
        let number = self.turn.lane_of(post.room);
        self.side.posts_to = LaneNumber::new(number);
        let lane = &mut self.turn.lanes[usize::from(number)];
        // From congestion on the session is not read; what had been read by then is taken.
        if lane.is_flooded() {
            self.turn.metrics.hit(Limit::ShardQueue);
            return Err(RoomError::Busy);
        }
        lane.request(Box::new(post.ask(reply)), post.content.len());
        Ok(())
    }

    /// Whether [`Context::post`] would take this.
    pub(crate) fn may_post(&self, post: &Post<'_>) -> Result<(), RoomError> {
        self.may_act(post.room, post.sender)?;
        let lane = &self.turn.lanes[usize::from(self.turn.lane_of(post.room))];
        if lane.is_flooded() { Err(RoomError::Busy) } else { Ok(()) }
    }

    /// Whether these rooms are in the hands of one thread, which publishes all that is [posted](Context::post_all) together
    /// or nothing.
    pub(crate) fn are_together<'r>(&self, mut rooms: impl Iterator<Item = &'r str>) -> bool {
        let first = rooms.next().map(|room| self.turn.lane_of(room));
        first.is_none_or(|first| rooms.all(|room| self.turn.lane_of(room) == first))
    }

    /// Publishes as [`Context::post`] what it [may](Context::may_post), of the rooms that are together all or nothing. With
    /// `only_asks` nothing is published, and the answers are what they would be.
    pub(crate) fn post_all<F>(&mut self, posts: Vec<(Post<'_>, F)>, only_asks: bool)
    where
        F: FnOnce(Result<Posted, PostError>) + Send + 'static,
    {
        let mut by_lane = BTreeMap::<u16, Vec<Posting>>::new();
        for (post, reply) in posts {
            let reply = contained(self.session().clone(), reply);
            by_lane.entry(self.turn.lane_of(post.room)).or_default().push(post.posting(reply));
        }
        for (number, posts) in by_lane {
            self.side.posts_to = LaneNumber::new(number);
            let ask = RoomRequest::PostAll { posts, only_asks };
            let bytes = ask.bytes();
            self.turn.lanes[usize::from(number)].request(Box::new(ask), bytes);
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
        let lane = &mut self.turn.lanes[usize::from(to.lane)];
        let message = store(lane).ok_or(RoomError::TooBig)?;
        lane.push(Command::Publish { member: to.member, message });
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

impl Turn {
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
            hello,
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
            (self.lane_of(room), self.session_id(key), SessionKey(key.to_bits()));
        let (room, user, peer) = (room.into(), user.into(), outbound.clone());
        let lane = &mut self.lanes[usize::from(number)];
        let member = lane.new_member();
        lane.push(Command::Join(Box::new(Join {
            member,
            session,
            session_id,
            room,
            format,
            user,
            peer,
            start,
            welcome: hello,
            variant,
            announced,
            creates,
            encoding,
            reply,
        })));
        Membership { lane: number, member }
    }
}
