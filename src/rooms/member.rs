//! A member: a position in the log and a socket.

use std::sync::Arc;

use super::command::{MemberKey, SessionKey, Variant};
use super::peer::Sent;
use super::timestamp::Timestamp;

/// What a member is waiting for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum State {
    /// Nothing: it is sent whatever comes.
    Ready,
    /// Its socket is full; a resume follows.
    Blocked,
    /// What it needs next has left the window: a page is on its way from the store, or waits to be asked for.
    Reading,
    /// The end: its peer is closing. Its leave follows.
    Gone,
}

/// One member, as small as it can be: the pump walks over all of them.
#[derive(Debug)]
pub(super) struct Member<P> {
    /// The last message that it has been sent.
    pub(super) cursor: u64,
    pub(super) session: SessionKey,
    pub(super) peer: P,
    pub(super) key: MemberKey,
    pub(super) state: State,
    pub(super) variant: Variant,
}

impl<P> Member<P> {
    /// Moves on after a send of everything up to `last`.
    pub(super) fn note(&mut self, sent: Sent, last: u64) {
        match sent {
            Sent::All => self.cursor = last,
            Sent::Blocked { frames } => {
                self.cursor += frames;
                self.state = State::Blocked;
            }
            Sent::Closed => self.state = State::Gone,
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
}
