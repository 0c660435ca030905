//! What goes into a shard and what comes out of it.

use std::sync::Arc;

use super::publication::Publication;
use super::request::RoomRequest;
use crate::rooms::ids::{MemberKey, SessionKey};
use crate::rooms::log::encoding::Encoding;
use crate::rooms::reasons::RejectReason;
use crate::rooms::reply::Reply;
use crate::rooms::values::{Fault, Format, Joined, Start, Variant};

/// A request to become a member of a room, which is opened if it is not in memory.
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
    /// Whether it brings the room into being, where every user may open rooms. A member that does not waits at a room
    /// that is not there as at an empty one.
    pub creates: bool,
    /// The form of what it is sent, for [`Variant::Encoded`].
    pub encoding: Option<Arc<dyn Encoding>>,
    /// Where to tell how it went; without it, a member that is refused has its session closed.
    pub reply: Option<Reply<Result<Joined, RejectReason>>>,
}

/// What a shard can be told. Commands of one batch share an [`Arena`](crate::rooms::Arena).
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
        /// What.
        message: Publication,
    },
    /// Tells the member alone that something it said was not done.
    Tell(MemberKey, Box<Fault>),
    /// The member's peer, which was [`Blocked`](crate::rooms::Sent::Blocked), can send again.
    Resume(MemberKey),
    /// Asks for something that is answered.
    Request(Box<RoomRequest>),
    /// Answered once everything before it that this member has said, its joining included, has had its effect.
    After(MemberKey, Reply<()>),
    /// Asks for [`SessionEffect::Passed`](crate::rooms::SessionEffect::Passed) once everything before it is stored and
    /// has been sent as far as the sockets took it.
    Barrier,
}
