//! What a room sees of a member's connection: something that takes frames and may refuse them.

use std::net::SocketAddr;

use crate::rooms::log::frames::Slice;

/// What became of an attempt to send.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Sent {
    /// The peer took everything.
    All,
    /// The peer took this many whole frames (it keeps the rest of the last one itself) and takes no more until the
    /// shard hears [`Command::Resume`](crate::rooms::Command::Resume) for the member.
    Blocked {
        /// Frames that are the peer's business now; the next one to send comes after them.
        frames: u64,
    },
    /// The peer is closing or gone; nothing will ever be sent to it again.
    Closed,
}

/// The write half of a member's connection.
pub trait Peer {
    /// Sends as much of `slice` as can be sent now, never waiting, never splitting a frame between two calls.
    fn send(&self, slice: &Slice<'_>) -> Sent;

    /// Sends whole frames, with this number of messages, that are meant for this peer alone, in order with everything sent to it before. They are
    /// queued (up to the peer's own limit) if it cannot take them now.
    fn reply(&self, frames: &[u8], messages: u64);

    /// The peer's address, while it is connected.
    fn address(&self) -> Option<SocketAddr>;
}
