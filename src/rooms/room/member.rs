//! A member: a position in the log and a socket.

use crate::rooms::api::peer::{Peer, Sent};
use crate::rooms::ids::{MemberKey, SessionKey};
use crate::rooms::log::frames::Slice;
use crate::rooms::timestamp::Timestamp;
use crate::rooms::values::Variant;

/// What a member waits for.
///
/// ```text
///             its socket is full                 what it needs has left the window
///  Blocked ◄───────────────────── Ready ────────────────────────────────────────────► Reading
///     │        it can send again    ▲                 a page has come                     │
///     └─────────────────────────────┴─────────────────────────────────────────────────────┘
///  any ──► Gone: closed, too slow, thrown out, or its encoding has failed
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::rooms) enum MemberState {
    /// Nothing: it is sent every message that comes.
    Ready,
    /// Its socket is full; a resume follows.
    Blocked,
    /// What it needs next has left the window: a page is on its way from the store, or waits to be asked for.
    ///
    /// Invariant: one page at most is under way for a member, see [`CatchUp`](crate::rooms::shard::catch_up::CatchUp).
    Reading,
    /// The end: its peer is closing. Its leave follows.
    Gone,
}

/// One member, as small as it can be: the pump walks over all of them.
#[derive(Debug)]
pub(in crate::rooms) struct Member<P> {
    /// The last message that it has been sent.
    pub(in crate::rooms) cursor: u64,
    /// When the newest message that it was sent was published, or the one that it began after: what it is told between
    /// messages carries this time, so that it can come back from any frame.
    pub(in crate::rooms) sent_at: Timestamp,
    pub(in crate::rooms) session: SessionKey,
    pub(in crate::rooms) peer: P,
    pub(in crate::rooms) key: MemberKey,
    pub(in crate::rooms) state: MemberState,
    pub(in crate::rooms) variant: Variant,
}

/// What has been sent to members: counted where they are sent to, without looking at any other thread.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(in crate::rooms) struct Delivered {
    pub(in crate::rooms) messages: u64,
    pub(in crate::rooms) bytes: u64,
}

impl Delivered {
    #[inline]
    pub(in crate::rooms) fn add(&mut self, more: Delivered) {
        self.messages += more.messages;
        self.bytes += more.bytes;
    }
}

impl<P> Member<P> {
    /// Sends `slice`, whose last message is `last`, and moves on as far as the peer takes it. A message of which the peer
    /// takes a part counts as sent.
    #[must_use]
    pub(in crate::rooms) fn send(&mut self, slice: &Slice<'_>, last: u64) -> Delivered
    where
        P: Peer,
    {
        let (frames, bytes) = match self.peer.send(slice) {
            Sent::All => {
                self.cursor = last;
                (slice.frames(), slice.bytes().len())
            }
            Sent::Blocked { frames } => {
                self.cursor += frames;
                self.state = MemberState::Blocked;
                (frames, slice.bytes_of(frames))
            }
            Sent::Closed => {
                self.state = MemberState::Gone;
                (0, 0)
            }
        };
        if let Some(at) = slice.at(frames) {
            self.sent_at = at.max(self.sent_at);
        }
        Delivered { messages: frames, bytes: bytes as u64 }
    }
}
