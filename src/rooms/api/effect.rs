//! What a shard wants done to sessions, what it asks of the store, and what comes back from the store.

use super::store::{Opened, Page, PageRequest, Placed, Stored};
use crate::rooms::ids::{Reader, RoomId, RoomKey, SessionKey};
use crate::rooms::reasons::RejectReason;

/// What a shard wants done to sessions.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SessionEffect {
    /// Close a session.
    Close(SessionKey, RejectReason),
    /// A [`Command::Barrier`](crate::rooms::Command::Barrier) was passed.
    Passed,
}

/// What a shard asks of the store besides storing messages.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum StoreRequest {
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
    ResetEpoch {
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
        /// The room.
        room: RoomId,
        /// What to read.
        request: PageRequest,
    },
    /// The room is in memory no longer: nothing more is to be heard of it. Not answered.
    Unfollow(RoomId),
}

/// What has happened in the log of a room whose messages the store numbers. From its opening on until it is
/// [left](StoreRequest::Unfollow), a room hears of everything, in order.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum LogUpdate {
    /// The next messages: they follow those before without a hole, and there is at least one.
    Messages(Vec<Stored>),
    /// The log goes on under another epoch, since something of it was lost.
    Epoch(Box<Opened>),
    /// The room was deleted.
    Deleted,
}

/// What comes back from the store.
#[derive(Debug)]
pub enum StoreAnswer {
    /// To [`StoreRequest::Open`] and [`StoreRequest::ResetEpoch`].
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
        /// What became of each record, where the store numbers.
        placed: Vec<Placed>,
    },
    /// The oldest batch of records under way is not stored, and neither is any other under way.
    Refused,
    /// To nothing: what has happened in the log of a room whose messages the store numbers.
    Log {
        /// The room.
        room: RoomId,
        /// What has happened.
        update: LogUpdate,
    },
    /// To nothing: what is stored of this room was found to be damaged, and the store does nothing with it any more.
    Damaged(RoomId),
    /// To [`StoreRequest::Read`].
    Page {
        /// For whom.
        reader: Reader,
        /// The page; `None` if the store could not read it.
        page: Option<Page>,
    },
}
