//! The limits and texts that hold for every room of a shard.

use std::sync::Arc;
use std::time::Duration;

use super::members::BlockSize;
use crate::rooms::api::settings::Durability;
use crate::rooms::limits::bounds::Bounds;
use crate::rooms::log::frames::Window;
use crate::rooms::message::presence_text::Notices;
use crate::ws::deflate::Deflate;

/// What becomes of a member that fell behind the window.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum OnLag {
    /// It is sent what it missed from the store. Without a store: as `Gap`.
    CatchUp,
    /// It is told which messages it lost and goes on with the next one.
    Gap,
    /// Its session is closed as too slow.
    Close,
}

/// The limits and texts that hold for every room of a shard.
#[derive(Clone, Debug)]
pub struct RoomLimits {
    /// How much of a log stays in memory.
    pub window: Window,
    /// What becomes of a member that fell behind it. Relay rooms cannot tell of a gap and always close.
    pub on_lag: OnLag,
    /// How many rooms and members there may be.
    pub bounds: Arc<Bounds>,
    /// How many members are sent to before another room has its turn.
    pub block_size: BlockSize,
    /// Number of members from which on all workers send to a room, not only its own.
    pub parallel_members: usize,
    /// Whether the first member of a chat room creates it.
    pub open_rooms: bool,
    /// How long a client's message id is remembered.
    pub dedup_window: Duration,
    /// The texts of JOIN and LEAVE.
    pub notices: Notices,
    /// Whether chat rooms are kept in a store, and what a message has to survive there before it is shown.
    pub store: Option<Durability>,
    /// How messages are compressed for the members that want that.
    pub deflate: Deflate,
}
