//! What the socket did not take.

use super::pressure::Progress;
use crate::transport::memory_budget::Charge;
use crate::ws::{Role, header};

/// Bytes that wait for the socket. Exists only while the peer does not keep up.
#[derive(Debug, Default)]
pub(super) struct Backlog {
    /// Goes first, without interruption: it begins with the rest of the frame in flight.
    pub(super) rest: Vec<u8>,
    /// How much of `rest` is written.
    pub(super) written: usize,
    /// Where in `rest` the frame in flight ends.
    pub(super) whole_from: usize,
    /// The newest unanswered ping's pong; goes before `queue`.
    pub(super) pong: Vec<u8>,
    /// Whole frames, in order.
    pub(super) queue: Vec<u8>,
    /// All of it, as it is counted for all connections together.
    pub(super) charge: Option<Charge>,
    /// The progress that the next progress is counted from.
    pub(super) progress_from: Progress,
}

impl Backlog {
    /// Corrects what is counted, after a change.
    pub(super) fn count(&mut self) {
        let held_bytes = self.held_bytes();
        if let Some(charge) = &mut self.charge {
            charge.set(held_bytes);
        }
    }

    /// Bytes of memory, those among them that are written already: the buffers are given back when all of it is.
    pub(super) fn held_bytes(&self) -> usize {
        self.rest.capacity() + self.pong.capacity() + self.queue.capacity()
    }

    /// Forgets everything but the frame in flight.
    pub(super) fn cut(&mut self) {
        let end = if self.written <= self.whole_from {
            self.whole_from
        } else {
            frame_end(&self.rest, self.whole_from, self.written)
        };
        let rest = self.rest.get(self.written..end).unwrap_or_default();
        (self.rest, self.written, self.whole_from) = (rest.to_vec(), 0, rest.len());
        (self.pong, self.queue) = (Vec::new(), Vec::new());
    }

    pub(super) fn len(&self) -> usize {
        self.rest.len() - self.written + self.pong.len() + self.queue.len()
    }

    /// Makes `rest` the next bytes to write. False if there are none.
    pub(super) fn refill(&mut self) -> bool {
        if self.written < self.rest.len() {
            return true;
        }
        (self.written, self.whole_from) = (0, 0);
        self.rest.clear();
        self.rest.append(&mut self.pong);
        if self.rest.is_empty() {
            std::mem::swap(&mut self.rest, &mut self.queue);
        } else {
            self.rest.append(&mut self.queue);
        }
        !self.rest.is_empty()
    }
}

/// Where the frame ends that the byte before `at` belongs to; `start` is where some frame begins, at or before `at`.
/// What is not made of whole frames has one end, that of the bytes.
pub(super) fn frame_end(bytes: &[u8], start: usize, at: usize) -> usize {
    let mut end = start;
    while end < at {
        let len = match bytes.get(end..).and_then(|frame| header::parse(frame, Role::Client, true).ok()) {
            Some(Some(header)) => usize::try_from(header.payload_len)
                .ok()
                .and_then(|payload| payload.checked_add(header.header_len)),
            Some(None) | None => None,
        };
        end = len.and_then(|len| end.checked_add(len)).unwrap_or(bytes.len()).min(bytes.len());
        if end == bytes.len() {
            break;
        }
    }
    end.max(at)
}
