//! How much is inflated in one turn for all sessions together, and what waits for its turn meanwhile.
//!
//! A few bytes can stand for a thousand times as many, so inflating has a budget of its own besides that for reading. A
//! session that has used up its part keeps what it has read and waits in a queue, in the middle of a message if need
//! be; it is read on when nothing is left of that.

use std::collections::VecDeque;

use crate::metrics::Limit;
use crate::reactor::Reactor;
use crate::reactor::clock::wheel::Tick;
use crate::reactor::connection::rate_limit::RATIONED_READ_BYTES;
use crate::reactor::connection::table::{Key, Slot, State};
use crate::reactor::service::Service;
use crate::transport::{Share, Tally};

/// Bytes that are inflated for one session before the next one has its turn.
const SLICE_BYTES: usize = 64 * 1024;
/// What every session may inflate in its turn, whatever the others have used up: short messages never wait.
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
    /// Whether somebody waits.
    pub(crate) fn is_waiting(&self) -> bool {
        !self.queue.is_empty()
    }

    /// Whether this session waits.
    #[cfg(debug_assertions)]
    pub(crate) fn has_waiting(&self, key: Key) -> bool {
        self.queue.contains(&key)
    }

    /// How much a session may inflate now.
    pub(crate) fn grant(&self, is_rationed: bool) -> usize {
        let most = if is_rationed { RATIONED_READ_BYTES } else { SLICE_BYTES };
        self.left.max(SHORT_BYTES).min(most)
    }

    /// So much was inflated.
    pub(crate) fn spend(&mut self, bytes: usize) {
        self.left = self.left.saturating_sub(bytes);
    }

    /// How much may be read at once from a session that may compress.
    pub(crate) fn read_bytes_max(&self) -> usize {
        if self.is_waiting() { CROWDED_READ_BYTES } else { usize::MAX }
    }

    /// Puts a session at the end of the queue, unless it is on a list already.
    pub(crate) fn wait(&mut self, key: Key, slot: &mut Slot) {
        debug_assert!(slot.has_leftover(), "who waits has something to inflate");
        // The kernel may have more: whoever takes the session out of the queue reads on.
        slot.unread = true;
        if !slot.ready {
            slot.ready = true;
            self.queue.push_back(key);
        }
    }
}

/// What a session has read and may not inflate yet.
#[derive(Debug)]
pub(crate) struct Leftover {
    bytes: Vec<u8>,
    /// Bytes at the beginning that are used up.
    used: usize,
    held: Share,
    /// Since when it waits.
    pub(crate) since: Tick,
}

impl Leftover {
    pub(crate) fn new(bytes: &[u8], waiting: &Tally, now: Tick) -> Leftover {
        let mut held = waiting.share();
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

impl<S: Service> Reactor<S> {
    /// Begins the turn: those that wait longest inflate on, as far as the budget goes.
    pub(crate) fn inflate(&mut self) {
        self.turn.inflating.left = self.turn.limits.inflated_bytes;
        for _ in 0..self.turn.inflating.queue.len() {
            if self.turn.inflating.left == 0 {
                break;
            }
            let Some(key) = self.turn.inflating.queue.pop_front() else { break };
            let Some(slot) = self.slots.get_mut(key) else { continue };
            slot.ready = false;
            self.turn.metrics.hit(Limit::InflatedBytes);
            // Their shard may be behind by now; whoever lets them go on brings them back here.
            if self.is_held_back(key) {
                continue;
            }
            if let Some(slot) = self.slots.get_mut(key) {
                slot.alive_at = self.turn.now;
                self.receive(key, 0);
                self.read_on(key);
                self.shed();
            }
        }
    }

    /// The kernel has reported what it has while the session waited, and will not do so again.
    fn read_on(&mut self, key: Key) {
        if let Some(slot) = self.slots.get_mut(key)
            && slot.unread
            && !slot.has_leftover()
        {
            self.turn.make_ready(key, slot);
        }
    }
}

impl Slot {
    /// Whether bytes wait that were read and may not be inflated yet.
    pub(crate) fn has_leftover(&self) -> bool {
        match &self.state {
            State::WebSocket(websocket) => websocket.has_leftover(),
            State::Opening(_) | State::Http(_) | State::Following(_) | State::Draining => false,
        }
    }
}
