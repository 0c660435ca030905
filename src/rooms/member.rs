//! A member: a position in the log and a socket.

use std::sync::Arc;

use super::command::{MemberKey, SessionKey, Variant};
use super::journal::StayId;
use super::log::Slice;
use super::peer::{Peer, Sent};
use super::timestamp::Timestamp;

/// What a member is waiting for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum State {
    /// Nothing: it is sent whatever comes.
    Ready,
    /// Its socket is full; a resume follows.
    Blocked,
    /// What it needs next has left the window: a page is on its way from the store, or waits to be asked for.
    ///
    /// Invariant: one page at most is under way for a member, see [`Readers`](super::readers::Readers).
    Reading,
    /// The end: its peer is closing. Its leave follows.
    Gone,
}

/// One member, as small as it can be: the pump walks over all of them.
#[derive(Debug)]
pub(super) struct Member<P> {
    /// The last message that it has been sent.
    pub(super) cursor: u64,
    /// When the newest message that it was sent was published, or the one that it began after: what it is told between
    /// messages carries this time, so that it can come back from any frame.
    pub(super) sent_at: Timestamp,
    pub(super) session: SessionKey,
    pub(super) peer: P,
    pub(super) key: MemberKey,
    pub(super) state: State,
    pub(super) variant: Variant,
}

impl<P> Member<P> {
    /// Sends `slice`, whose last message is `last`, and moves on as far as the peer takes it.
    pub(super) fn send(&mut self, slice: &Slice<'_>, last: u64)
    where
        P: Peer,
    {
        let frames = match self.peer.send(slice) {
            Sent::All => {
                self.cursor = last;
                slice.frames()
            }
            Sent::Blocked { frames } => {
                self.cursor += frames;
                self.state = State::Blocked;
                frames
            }
            Sent::Closed => {
                self.state = State::Gone;
                0
            }
        };
        if let Some(at) = slice.at(frames) {
            self.sent_at = at.max(self.sent_at);
        }
    }
}

/// The part of a member that only questions need.
#[derive(Debug)]
pub(super) struct Profile {
    pub(super) user: Arc<str>,
    pub(super) session_id: u128,
    pub(super) joined_at: Timestamp,
    /// It counts among those who are there.
    pub(super) announced: bool,
    /// Its stay, if the room is told that it came, and so that it leaves.
    pub(super) stay: Option<StayId>,
    /// It was thrown out, or its room was deleted: what it says until its session has closed counts no more.
    pub(super) expelled: bool,
}
