//! Why a room rejects a member or a message.

use std::fmt;

use super::values::Fault;
use crate::limit_hits::Limit;

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
    /// Too many rooms are on their way from the store, or too much waits for them.
    TooManyOpenings,
    /// The room was never created, or was deleted.
    NoSuchRoom,
    /// The room cannot be read at the moment.
    Unavailable,
    /// The user was thrown out.
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
    pub(in crate::rooms) const fn post_error(self) -> PostError {
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

    /// The limit that the member has run into, which was counted where it was hit.
    pub(crate) const fn limit(self) -> Option<Limit> {
        match self {
            RejectReason::RoomFull => Some(Limit::MembersPerRoom),
            RejectReason::TooManyRooms => Some(Limit::Rooms),
            RejectReason::TooManyNewRooms => Some(Limit::RoomCreations),
            // Or that of their bytes, which is hit by few rooms of which each has much to wait for.
            RejectReason::TooManyOpenings => Some(Limit::Openings),
            RejectReason::TooSlow
            | RejectReason::NoSuchRoom
            | RejectReason::Unavailable
            | RejectReason::Kicked
            | RejectReason::Banned
            | RejectReason::RoomDeleted
            | RejectReason::HandlerFailed => None,
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
    /// The room has no member to get it.
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
    pub(in crate::rooms) fn fault(self, id: Option<&str>) -> Fault {
        let id = id.filter(|id| !id.is_empty());
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
