//! How much is inflated in one turn for all sessions together, and what waits for its turn meanwhile.
//!
//! A few bytes can stand for a thousand times as many, so inflating has a budget of its own besides that for reading. A
//! session that has used up its part keeps what it has read and waits in a queue, in the middle of a message if need
//! be; it is read on when nothing is left of that.

use std::collections::VecDeque;

use super::clock::wheel::Tick;
use super::key::Key;
use super::limits::LIMITED_READ_BYTES;
use crate::transport::{Charge, MemoryBudget};

/// Maximum number of bytes that are inflated for one session before the next one has its turn: about 100 µs.
const SLICE_BYTES: usize = 64 * 1024;
/// What every session may inflate in its turn, also when the budget is used up: short messages never wait.
const SHORT_BYTES: usize = 4 * 1024;
/// Bytes read at once from a session that may compress, while others wait for their turn: what is read and not inflated
/// has to be kept.
const CROWDED_READ_BYTES: usize = 16 * 1024;

/// What is left of `limits.inflated_bytes` in this turn, and who waits for the next.
#[derive(Debug, Default)]
pub(crate) struct Inflating {
    left: usize,
    /// Invariant: each has a [`Leftover`] and is marked as ready, or is gone.
    queue: VecDeque<Key>,
}

impl Inflating {
    /// Whether a session waits.
    pub(crate) fn is_waiting(&self) -> bool {
        !self.queue.is_empty()
    }

    /// Whether this session waits.
    #[cfg(debug_assertions)]
    pub(crate) fn has_waiting(&self, key: Key) -> bool {
        self.queue.contains(&key)
    }

    /// How much a session may inflate now.
    pub(crate) fn grant(&self, is_limited: bool) -> usize {
        let most = if is_limited { LIMITED_READ_BYTES } else { SLICE_BYTES };
        self.left.max(SHORT_BYTES).min(most)
    }

    /// This many bytes were inflated.
    pub(crate) fn spend(&mut self, bytes: usize) {
        self.left = self.left.saturating_sub(bytes);
    }

    /// How much may be read at once from a session that may compress.
    pub(crate) fn read_bytes_max(&self) -> usize {
        if self.is_waiting() { CROWDED_READ_BYTES } else { usize::MAX }
    }

    /// Puts a session at the end of the queue.
    pub(crate) fn push(&mut self, key: Key) {
        self.queue.push_back(key);
    }

    /// Begins a turn, in which this many bytes may be inflated.
    pub(crate) fn begin_turn(&mut self, bytes: usize) {
        self.left = bytes;
    }

    /// How many sessions wait.
    pub(crate) fn waiting(&self) -> usize {
        self.queue.len()
    }

    /// The session that waits longest, while something is left for it.
    pub(crate) fn pop(&mut self) -> Option<Key> {
        if self.left == 0 { None } else { self.queue.pop_front() }
    }
}

/// What a session has read and may not inflate yet.
#[derive(Debug)]
pub(crate) struct Leftover {
    bytes: Vec<u8>,
    /// Bytes at the beginning that are used up.
    used: usize,
    held: Charge,
    /// Since when it waits.
    pub(crate) since: Tick,
}

impl Leftover {
    pub(crate) fn new(bytes: &[u8], waiting: &MemoryBudget, now: Tick) -> Leftover {
        let mut held = waiting.charge();
        held.set(bytes.len());
        Leftover { bytes: bytes.to_vec(), used: 0, held, since: now }
    }

    /// The bytes, with others behind them.
    pub(crate) fn followed_by(&mut self, more: &[u8]) -> &mut [u8] {
        if !more.is_empty() {
            self.bytes.extend_from_slice(more);
            self.held.set(self.bytes.capacity());
        }
        &mut self.bytes[self.used..]
    }

    /// Uses all but the last `unread` bytes up.
    pub(crate) fn keep(&mut self, unread: usize, now: Tick) {
        (self.used, self.since) = (self.bytes.len().saturating_sub(unread), now);
    }

    /// Bytes of memory.
    pub(crate) fn held_bytes(&self) -> usize {
        self.held.bytes()
    }
}
