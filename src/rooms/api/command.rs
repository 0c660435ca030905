//! What goes into a shard and what comes out of it.

use std::borrow::Cow;
use std::fmt;
use std::net::SocketAddr;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::time::Duration;

use super::store::{Opened, Page, PageRequest, RoomId};
use crate::rooms::limits::bans::TooManyBans;
use crate::rooms::log::encoding::Encoding;
use crate::rooms::shard::polls::Poll;
use crate::rooms::timestamp::Timestamp;

/// A member of one of a shard's rooms. Chosen by whoever sends the commands, small and dense: a shard keeps a table
/// indexed by it. A key may be used again as soon as its [`Command::Leave`] is on the way.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct MemberKey(pub u32);

/// The connection that a member stands for, opaque to the rooms: they only hand it back in an [`Effect`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct SessionKey(pub u64);

/// A piece of the byte arena that travels with a batch of commands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Span {
    start: u32,
    len: u32,
}

impl Span {
    /// Appends `bytes` to `arena` and names the place. `None` if the arena would outgrow 4 GiB.
    #[must_use]
    pub fn store(arena: &mut Vec<u8>, bytes: &[u8]) -> Option<Span> {
        let span = Span { start: u32::try_from(arena.len()).ok()?, len: u32::try_from(bytes.len()).ok()? };
        arena.extend_from_slice(bytes);
        Some(span)
    }

    /// The bytes, from the arena they were stored in (empty from any other that is too short).
    #[must_use]
    pub fn of(self, arena: &[u8]) -> &[u8] {
        let start = self.start as usize;
        arena.get(start..start + self.len as usize).unwrap_or_default()
    }
}

/// What a room's messages look like on the wire. Rooms of different formats never meet, even under one name.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Format {
    /// JSON objects with sender, room, time and number, and notices when members join and leave.
    Chat,
    /// Text and binary exactly as published: no JSON, no notices.
    Relay,
    /// The same, conflated: of messages with the same key, members that lag get the latest alone.
    Conflated,
}

/// The wire form in which a member is sent the messages of a room.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Variant {
    /// As they are.
    Plain,
    /// Compressed where that helps (RFC 7692), each message by itself. The member's end must remember as far back as
    /// the window in [`RoomLimits::deflate`](crate::rooms::RoomLimits::deflate).
    Deflated,
    /// As the member's [`Encoding`] writes them.
    Encoded,
}

/// Where a new member's cursor begins.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Start {
    /// With the next message.
    Live,
    /// After the message `seq`, as counted under `epoch` (any epoch if absent).
    After {
        /// The last message that the member has; 0 for none.
        seq: u64,
        /// The log's epoch when it got that message.
        epoch: Option<u64>,
    },
    /// With the first message later than this.
    Since(Timestamp),
    /// With the last so many messages.
    Last(u64),
}

/// A request to become a member of a room, which is opened if nobody is in it.
#[derive(Debug)]
pub struct Join<P> {
    /// The name the member is known by in later commands.
    pub member: MemberKey,
    /// The member's connection.
    pub session: SessionKey,
    /// The session's public id.
    pub session_id: u128,
    /// The room's name.
    pub room: Box<str>,
    /// The room's format.
    pub format: Format,
    /// The user's name.
    pub user: Box<str>,
    /// The write half of the connection.
    pub peer: P,
    /// Where to begin.
    pub start: Start,
    /// Whether a WELCOME comes first.
    pub welcome: bool,
    /// How it is sent the room's messages.
    pub variant: Variant,
    /// Whether it counts among those who are there, and the others are told of it.
    pub announced: bool,
    /// Whether it brings the room into being, where rooms are open to everybody. A member that does not waits at a room
    /// that is not there as at an empty one.
    pub creates: bool,
    /// The form of what it is sent, for [`Variant::Encoded`].
    pub encoding: Option<Arc<dyn Encoding>>,
    /// Where to tell how it went; without it, a member that is refused has its session closed.
    pub reply: Option<Reply<Result<Joined, RejectReason>>>,
}

/// A member has its place.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Joined {
    /// The log's epoch.
    pub epoch: u64,
    /// The newest message at that moment.
    pub seq: u64,
    /// How many members there are, this one included.
    pub members: usize,
}

/// How much of an open room's log its members may have seen by now. The store can know of more, for a moment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct VisibleHead {
    /// The log's epoch.
    pub epoch: u64,
    /// The epoch under which the store has the log.
    pub stored_epoch: u64,
    /// The number of the newest message that may be seen.
    pub seq: u64,
}

/// What a shard can be told. Commands of one batch share a byte arena; see [`Span`].
#[derive(Debug)]
pub enum Command<P> {
    /// Adds a member.
    Join(Box<Join<P>>),
    /// Removes a member. Ignored if it is not there.
    Leave(MemberKey),
    /// Publishes to the member's room, in its name.
    Publish {
        /// Who publishes.
        member: MemberKey,
        /// The content: the text of a chat message, or a relayed payload.
        content: Span,
        /// In a chat, the publisher's own id of the message, by which repeats are recognised; in a conflated relay, its key.
        tag: Option<Span>,
        /// Whether a relayed payload is text rather than binary.
        text: bool,
    },
    /// Tells the member, and nobody else, that something it said was not done.
    Tell(MemberKey, Box<Fault>),
    /// The member's peer, which was [`Blocked`](crate::rooms::Sent::Blocked), can send again.
    Resume(MemberKey),
    /// Asks for something that is answered.
    Request(Box<RoomRequest>),
    /// Answered once everything before it that this member has said, its joining included, has had its effect.
    After(MemberKey, Reply<()>),
    /// Asks for [`Effect::Passed`] once everything before it is stored and has been sent as far as the sockets took it.
    Barrier,
}

/// What is wrong with something that a member said.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Fault {
    /// A word that programs understand.
    pub code: &'static str,
    /// The same for people.
    pub content: Cow<'static, str>,
    /// The client's own id of the message that it is about, if it had one.
    pub client_id: Option<Box<str>>,
}

/// Where an answer goes. Called once, on the shard's thread; must not block for long.
pub struct Reply<T>(Box<dyn FnOnce(T) + Send>);

impl<T> Reply<T> {
    /// An answer goes to `take`.
    pub fn new(take: impl FnOnce(T) + Send + 'static) -> Reply<T> {
        Reply(Box::new(take))
    }

    /// Answers.
    pub fn send(self, answer: T) {
        self.deliver(answer);
    }

    /// Answers; false if what takes the answer has panicked. That ends here: it must not end the shard, which owns others'
    /// rooms.
    pub(in crate::rooms) fn deliver(self, answer: T) -> bool {
        let taken = catch_unwind(AssertUnwindSafe(|| (self.0)(answer))).is_ok();
        if !taken {
            tracing::error!("what was to take an answer of a room has panicked");
        }
        taken
    }
}

impl<T> fmt::Debug for Reply<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Reply")
    }
}

/// A message for a chat room, without a member.
#[derive(Debug)]
pub struct Posting {
    /// The room's name.
    pub room: Box<str>,
    /// In whose name.
    pub sender: Box<str>,
    /// The text.
    pub content: Box<str>,
    /// By which a repeat is recognised.
    pub client_id: Option<Box<str>>,
    /// The session that `client_id` belongs to, if the sender has no name of its own.
    pub id_session: Option<u128>,
    /// Whether the room is created if nobody has, where rooms are open to everybody.
    pub create: bool,
    /// Whether to publish it only if somebody is there to get it.
    pub mandatory: bool,
    /// The answer.
    pub reply: Reply<Result<Posted, PostError>>,
}

/// What can be asked of a shard.
#[derive(Debug)]
pub enum RoomRequest {
    /// Publishes to a chat room in somebody's name, without a member; answered when the message is stored.
    Post(Box<Posting>),
    /// Publishes to chat rooms as [`RoomRequest::Post`], all of it or nothing; each message has its own answer.
    PostAll {
        /// The messages, in their order.
        posts: Vec<Posting>,
        /// Whether it is only asked if that could be done now. The answer to each is what it would be, without a number.
        only_asks: bool,
    },
    /// Publishes to a relay without a member; answered with the number of its members. Where nobody is, nothing is done.
    Relay {
        /// The room's name.
        room: Box<str>,
        /// The relay's format.
        format: Format,
        /// The payload.
        payload: Box<[u8]>,
        /// Whether it is text rather than binary.
        text: bool,
        /// Its key, for a conflated relay.
        key: Option<Box<[u8]>>,
        /// The answer.
        reply: Reply<usize>,
    },
    /// How far is a chat room, and may this user read it?
    Position {
        /// The room's name.
        room: Box<str>,
        /// The user's name.
        user: Box<str>,
        /// The answer.
        reply: Reply<Result<Joined, RejectReason>>,
    },
    /// How much of a chat room's log may be seen? Never waits, and opens nothing: `None` for a room that is not open.
    Visible {
        /// The room's name.
        room: Box<str>,
        /// The answer.
        reply: Reply<Result<Option<VisibleHead>, RejectReason>>,
    },
    /// What comes next in a chat room?
    Poll {
        /// The room's name.
        room: Box<str>,
        /// The user's name.
        user: Box<str>,
        /// What is wanted.
        poll: Box<Poll>,
    },
    /// Who is in a chat room?
    Online {
        /// The room's name.
        room: Box<str>,
        /// The answer.
        reply: Reply<Online>,
    },
    /// Closes all sessions of a user in a chat room with 4001; answered with their number, or that there are too many bans:
    /// then nothing was done.
    Kick {
        /// The room's name.
        room: Box<str>,
        /// The user's name.
        user: Box<str>,
        /// How long the user must not come back.
        ban: Option<Duration>,
        /// The answer.
        reply: Reply<Result<usize, TooManyBans>>,
    },
    /// Closes all sessions of a chat room with 1000, because the room was deleted; answered with their number.
    Close {
        /// The room's name.
        room: Box<str>,
        /// The room that was deleted, if it was stored: there may be another one of that name by now.
        id: Option<RoomId>,
        /// The answer.
        reply: Reply<usize>,
    },
    /// What does the shard hold?
    Stats {
        /// The answer.
        reply: Reply<ShardStats>,
    },
    /// Is the shard alive? Answered with the time that the room has waited which has waited longest for the store.
    Ping {
        /// The answer.
        reply: Reply<Option<Duration>>,
    },
}

impl Start {
    /// A time before which whoever begins here has everything, where the log is not known.
    pub(in crate::rooms) fn at(self) -> Timestamp {
        match self {
            Start::Since(time) => time,
            Start::Live | Start::After { .. } | Start::Last(_) => Timestamp::default(),
        }
    }
}

impl RoomRequest {
    /// The bytes of the message that it brings, if it brings one.
    #[must_use]
    pub(crate) fn bytes(&self) -> usize {
        match self {
            RoomRequest::Post(post) => post.content.len(),
            RoomRequest::PostAll { posts, .. } => posts.iter().map(|post| post.content.len()).sum(),
            RoomRequest::Relay { payload, .. } => payload.len(),
            RoomRequest::Position { .. }
            | RoomRequest::Visible { .. }
            | RoomRequest::Poll { .. }
            | RoomRequest::Online { .. }
            | RoomRequest::Kick { .. }
            | RoomRequest::Close { .. }
            | RoomRequest::Stats { .. }
            | RoomRequest::Ping { .. } => 0,
        }
    }

    /// Whether its answer can say that it was refused.
    #[must_use]
    pub(crate) fn can_be_refused(&self) -> bool {
        match self {
            RoomRequest::Post(_)
            | RoomRequest::PostAll { .. }
            | RoomRequest::Position { .. }
            | RoomRequest::Visible { .. }
            | RoomRequest::Poll { .. } => true,
            RoomRequest::Relay { .. }
            | RoomRequest::Online { .. }
            | RoomRequest::Kick { .. }
            | RoomRequest::Close { .. }
            | RoomRequest::Stats { .. }
            | RoomRequest::Ping { .. } => false,
        }
    }

    /// Answers what has waited for a room that cannot be opened, or is not taken. What is not about one chat room never
    /// waits.
    pub(crate) fn refuse(self, reason: RejectReason) {
        match self {
            RoomRequest::Post(post) => post.reply.send(Err(reason.post_error())),
            RoomRequest::PostAll { posts, .. } => {
                posts.into_iter().for_each(|post| post.reply.send(Err(reason.post_error())));
            }
            RoomRequest::Position { reply, .. } => reply.send(Err(reason)),
            RoomRequest::Visible { reply, .. } => reply.send(Err(reason)),
            RoomRequest::Poll { poll, .. } => poll.reply.send(Err(reason)),
            RoomRequest::Online { reply, .. } => reply.send(Online::default()),
            RoomRequest::Relay { .. }
            | RoomRequest::Kick { .. }
            | RoomRequest::Close { .. }
            | RoomRequest::Stats { .. }
            | RoomRequest::Ping { .. } => {}
        }
    }

    /// The room that it is about.
    #[must_use]
    pub fn room(&self) -> Option<&str> {
        match self {
            RoomRequest::Post(post) => Some(&post.room),
            RoomRequest::PostAll { posts, .. } => posts.first().map(|post| &*post.room),
            RoomRequest::Relay { room, .. }
            | RoomRequest::Position { room, .. }
            | RoomRequest::Visible { room, .. }
            | RoomRequest::Poll { room, .. }
            | RoomRequest::Online { room, .. }
            | RoomRequest::Kick { room, .. }
            | RoomRequest::Close { room, .. } => Some(room),
            RoomRequest::Stats { .. } | RoomRequest::Ping { .. } => None,
        }
    }
}

/// A message that was posted.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Posted {
    /// Its number.
    pub seq: u64,
    /// Its JSON, unless it was published before (by a repeat of its id) and has left the window.
    pub json: Option<Box<[u8]>>,
    /// The members it goes to.
    pub receivers: usize,
}

/// Why a message could not be posted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum PostError {
    /// There is no such room.
    NoSuchRoom,
    /// It cannot be stored at the moment.
    Unavailable,
    /// Too much waits already.
    Busy,
    /// Nobody is there to get it.
    NoReceiver,
    /// The sender has used its id for another message.
    IdReused,
    /// The sender was banned from the room.
    Banned,
}

impl PostError {
    /// The word for it on the wire.
    #[must_use]
    pub const fn code(self) -> &'static str {
        match self {
            PostError::NoSuchRoom => "not_found",
            PostError::Unavailable | PostError::Busy => "unavailable",
            PostError::NoReceiver => "no_receiver",
            PostError::IdReused => "id_reused",
            PostError::Banned => "banned",
        }
    }

    /// What a member is told whose message, with this id, was not published.
    pub(in crate::rooms) fn fault(self, id: Option<&[u8]>) -> Fault {
        let id = id.and_then(|id| simdutf8::basic::from_utf8(id).ok()).filter(|id| !id.is_empty());
        Fault { code: self.code(), content: self.text().into(), client_id: id.map(Into::into) }
    }

    /// What is wrong, for people.
    #[must_use]
    pub const fn text(self) -> &'static str {
        match self {
            PostError::NoSuchRoom => "there is no such room",
            PostError::Unavailable => "the message cannot be stored at the moment",
            PostError::Busy => "too much waits for the room",
            PostError::NoReceiver => "nobody is there to get the message",
            PostError::IdReused => "the id was used for another message",
            PostError::Banned => "this user is banned from the room",
        }
    }
}

impl fmt::Display for PostError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.text())
    }
}

impl std::error::Error for PostError {}

/// Who is in a room.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Online {
    /// Each user once, sorted.
    pub users: Vec<Arc<str>>,
    /// Each session, in no order.
    pub sessions: Vec<OnlineSession>,
}

/// One session in a room.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct OnlineSession {
    /// The session's public id.
    pub id: u128,
    /// The user's name.
    pub user: Arc<str>,
    /// The peer's address, while it is connected.
    pub address: Option<SocketAddr>,
    /// When it joined.
    pub joined_at: Timestamp,
    /// Messages it has not been sent yet.
    pub lag: u64,
}

/// What a shard holds at the moment.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct ShardStats {
    /// Rooms in memory.
    pub rooms: usize,
    /// Rooms on their way from the store.
    pub openings: usize,
    /// Members of all rooms.
    pub members: usize,
    /// Messages published so far, notices included.
    pub messages: u64,
    /// Messages that wait for the store.
    pub unstored: usize,
    /// Messages that members have not been sent yet, all added up.
    pub lag: u64,
    /// The same, of the member that is furthest behind.
    pub lag_max: u64,
    /// Logs that have begun a new epoch while their rooms were open, since the store did not have what was shown.
    pub resets: u64,
}

/// What a shard wants done elsewhere.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Effect {
    /// Close a session.
    Close(SessionKey, RejectReason),
    /// A [`Command::Barrier`] was passed.
    Passed,
    /// Open a room in the store; answered by [`StoreAnswer::Opened`](crate::rooms::StoreAnswer::Opened).
    Open {
        /// To be handed back.
        room: RoomKey,
        /// The room's name.
        name: Box<str>,
        /// Whether to create it if it is not there.
        create: bool,
    },
    /// Give the log of a room in the store another epoch, because its newest messages were shown and are not there;
    /// answered by [`StoreAnswer::Opened`](crate::rooms::StoreAnswer::Opened).
    Renew {
        /// To be handed back.
        room: RoomKey,
        /// The room's name.
        name: Box<str>,
        /// The room: another one of that name, after this was deleted, is not meant.
        id: RoomId,
    },
    /// Read from the store for a member; answered by [`StoreAnswer::Page`](crate::rooms::StoreAnswer::Page).
    Read {
        /// To be handed back.
        reader: Reader,
        /// What to read.
        request: PageRequest,
    },
}

/// One stay of a room in a shard's memory.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct RoomKey {
    pub(in crate::rooms) index: usize,
    /// Differs for each stay.
    pub(in crate::rooms) number: u64,
}

/// A request for a page: for one member of one room, which asks for one at a time.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Reader {
    pub(in crate::rooms) room: RoomKey,
    /// Used once in the shard; 0 until the request is made. Keys of members are used again, and one session has many.
    pub(in crate::rooms) number: u64,
    pub(in crate::rooms) member: MemberKey,
    pub(in crate::rooms) session: SessionKey,
}

/// Why a shard wants a session closed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum RejectReason {
    /// It fell behind the window, and its room does not tolerate that.
    TooSlow,
    /// Its room already holds as many members as it may.
    RoomFull,
    /// The shard already holds as many rooms as it may.
    TooManyRooms,
    /// Rooms are being created faster than they may be.
    TooManyNewRooms,
    /// So many rooms are on their way from the store, or so much waits for them, that nothing more may.
    TooManyOpenings,
    /// Nobody created the room.
    NoSuchRoom,
    /// The room cannot be read at the moment.
    Unavailable,
    /// Somebody threw the user out.
    Kicked,
    /// The user was thrown out and must not come back yet.
    Banned,
    /// The room was deleted.
    RoomDeleted,
    /// Code of the application that wrote for this session has panicked.
    HandlerFailed,
}

impl RejectReason {
    /// What a message is answered whose room is refused for this reason.
    const fn post_error(self) -> PostError {
        match self {
            RejectReason::NoSuchRoom => PostError::NoSuchRoom,
            RejectReason::TooSlow
            | RejectReason::RoomFull
            | RejectReason::TooManyRooms
            | RejectReason::TooManyNewRooms
            | RejectReason::TooManyOpenings
            | RejectReason::Unavailable
            | RejectReason::Kicked
            | RejectReason::Banned
            | RejectReason::RoomDeleted
            | RejectReason::HandlerFailed => PostError::Unavailable,
        }
    }

    /// What is wrong, short enough for a close reason.
    #[must_use]
    pub const fn text(self) -> &'static str {
        match self {
            RejectReason::TooSlow => "too slow",
            RejectReason::RoomFull => "the room is full",
            RejectReason::TooManyRooms => "too many rooms",
            RejectReason::TooManyNewRooms => "too many new rooms",
            RejectReason::TooManyOpenings => "too much waits for rooms being opened",
            RejectReason::NoSuchRoom => "there is no such room",
            RejectReason::Unavailable => "the room cannot be read at the moment",
            RejectReason::Kicked => "kicked",
            RejectReason::Banned => "banned",
            RejectReason::RoomDeleted => "the room was deleted",
            RejectReason::HandlerFailed => "handler failed",
        }
    }
}

impl fmt::Display for RejectReason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.text())
    }
}

impl std::error::Error for RejectReason {}

/// What comes back from the store.
#[derive(Debug)]
pub enum StoreAnswer {
    /// To [`Effect::Open`] and [`Effect::Renew`].
    Opened {
        /// Which opening.
        room: RoomKey,
        /// The room, or why there is none.
        opened: Result<Box<Opened>, RejectReason>,
    },
    /// The oldest batch of records under way is stored.
    Committed {
        /// But nothing of these rooms is, and nothing that is under way after it will be.
        refused: Vec<RoomId>,
    },
    /// The oldest batch of records under way is not stored, and neither is any other under way.
    Refused,
    /// To nothing: what is stored of this room was found to be damaged, and the store does nothing with it any more.
    Damaged(RoomId),
    /// To [`Effect::Read`].
    Page {
        /// For whom.
        reader: Reader,
        /// The page; `None` if the store could not read it.
        page: Option<Page>,
    },
}
