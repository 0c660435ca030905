//! What can be asked of a shard.

use std::time::Duration;

use super::poll::Poll;
use super::publication::RelayMessage;
use crate::rooms::ids::RoomId;
use crate::rooms::limits::bans::TooManyBans;
use crate::rooms::reasons::{PostError, RejectReason};
use crate::rooms::reply::Reply;
use crate::rooms::values::{Joined, Online, Posted, ShardStats, VisibleHead};

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
    /// Whether the room is created if it is not there, where rooms are open to all users.
    pub create: bool,
    /// Whether to publish it only if the room has a member to get it.
    pub mandatory: bool,
    /// The answer.
    pub reply: Reply<Result<Posted, PostError>>,
}

/// What can be asked of a shard.
#[derive(Debug)]
pub enum RoomRequest {
    /// Publishes to a chat room in the name of a user, without a member; answered when the message is stored.
    Post(Box<Posting>),
    /// Publishes to chat rooms as [`RoomRequest::Post`], all of it or nothing; each message has its own answer.
    PostAll {
        /// The messages, in their order.
        posts: Vec<Posting>,
        /// Whether it is only asked if that could be done now. The answer to each is what it would be, without a number.
        only_asks: bool,
    },
    /// Publishes to a relay without a member; answered with the number of its members. Without members, nothing is done.
    Relay {
        /// The room's name.
        room: Box<str>,
        /// The message.
        message: RelayMessage,
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
    /// Closes all sessions of a user in a chat room with 4001; answered with their number, or that there are too many
    /// bans: then nothing was done.
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

impl RoomRequest {
    /// The bytes of the message that it brings, if it brings one.
    #[must_use]
    pub(crate) fn bytes(&self) -> usize {
        match self {
            RoomRequest::Post(post) => post.content.len(),
            RoomRequest::PostAll { posts, .. } => posts.iter().map(|post| post.content.len()).sum(),
            RoomRequest::Relay { message, .. } => message.published().payload().len(),
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
