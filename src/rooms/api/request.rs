//! What can be asked of a shard.

use std::time::Duration;

use super::inspection::Inspection;
use super::poll::Poll;
use super::post::{Post, PostReply};
use super::relayed::Relayed;
use crate::rooms::ids::RoomId;
use crate::rooms::limits::bans::TooManyBans;
use crate::rooms::reasons::RejectReason;
use crate::rooms::reply::Reply;
use crate::rooms::values::{Joined, Online, ShardStats, VisibleHead};

/// What can be asked of a shard.
#[derive(Debug)]
pub enum RoomRequest {
    /// Publishes to a chat room in the name of a user, without a member; answered when the message is stored.
    Post {
        /// The message.
        post: Box<Post>,
        /// The answer.
        reply: PostReply,
    },
    /// Publishes to chat rooms as [`RoomRequest::Post`], all of it or nothing; each message has its own answer.
    PostAll {
        /// The messages in their order, each with where its answer goes.
        posts: Vec<(Post, PostReply)>,
        /// Whether it is only asked if that could be done now. The answer to each is what it would be, without a number.
        only_asks: bool,
    },
    /// Publishes to a relay without a member; answered with the number of its members. Without members, nothing is done.
    Relay {
        /// The message.
        message: Relayed,
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
    /// What an operator asks.
    Inspect(Box<Inspection>),
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
            RoomRequest::Post { post, .. } => post.content.len(),
            RoomRequest::PostAll { posts, .. } => posts.iter().map(|(post, _)| post.content.len()).sum(),
            RoomRequest::Relay { message, .. } => message.published().payload().len(),
            RoomRequest::Position { .. }
            | RoomRequest::Visible { .. }
            | RoomRequest::Poll { .. }
            | RoomRequest::Online { .. }
            | RoomRequest::Kick { .. }
            | RoomRequest::Close { .. }
            | RoomRequest::Stats { .. }
            | RoomRequest::Inspect(_)
            | RoomRequest::Ping { .. } => 0,
        }
    }

    /// Whether its answer can say that it was refused.
    #[must_use]
    pub(crate) fn can_be_refused(&self) -> bool {
        match self {
            RoomRequest::Post { .. }
            | RoomRequest::PostAll { .. }
            | RoomRequest::Position { .. }
            | RoomRequest::Visible { .. }
            | RoomRequest::Poll { .. } => true,
            RoomRequest::Relay { .. }
            | RoomRequest::Online { .. }
            | RoomRequest::Kick { .. }
            | RoomRequest::Close { .. }
            | RoomRequest::Stats { .. }
            | RoomRequest::Inspect(_)
            | RoomRequest::Ping { .. } => false,
        }
    }

    /// Answers what has waited for a room that cannot be opened, or is not taken. What is not about one chat room never
    /// waits.
    pub(crate) fn refuse(self, reason: RejectReason) {
        match self {
            RoomRequest::Post { reply, .. } => reply.send(Err(reason.post_error())),
            RoomRequest::PostAll { posts, .. } => {
                posts.into_iter().for_each(|(_, reply)| reply.send(Err(reason.post_error())));
            }
            RoomRequest::Position { reply, .. } => reply.send(Err(reason)),
            RoomRequest::Visible { reply, .. } => reply.send(Err(reason)),
            RoomRequest::Poll { poll, .. } => poll.reply.send(Err(reason)),
            RoomRequest::Online { reply, .. } => reply.send(Online::default()),
            RoomRequest::Relay { .. }
            | RoomRequest::Kick { .. }
            | RoomRequest::Close { .. }
            | RoomRequest::Stats { .. }
            | RoomRequest::Inspect(_)
            | RoomRequest::Ping { .. } => {}
        }
    }

    /// The room that it is about.
    #[must_use]
    pub fn room(&self) -> Option<&str> {
        match self {
            RoomRequest::Post { post, .. } => Some(&post.room),
            RoomRequest::PostAll { posts, .. } => posts.first().map(|(post, _)| &*post.room),
            RoomRequest::Relay { message, .. } => Some(&message.room),
            RoomRequest::Position { room, .. }
            | RoomRequest::Visible { room, .. }
            | RoomRequest::Poll { room, .. }
            | RoomRequest::Online { room, .. }
            | RoomRequest::Kick { room, .. }
            | RoomRequest::Close { room, .. } => Some(room),
            RoomRequest::Inspect(inspection) => inspection.room(),
            RoomRequest::Stats { .. } | RoomRequest::Ping { .. } => None,
        }
    }
}
