//! What a compressed message may refer back to.

use std::num::NonZeroU8;

/// The end of a flushed stream, which both sides know and nobody sends (RFC 7692 §7.2.1): an empty stored block
/// without its first bits.
pub(super) const FLUSH_TAIL: [u8; 4] = [0x00, 0x00, 0xff, 0xff];

/// The base-2 logarithm of an LZ77 window, from 8 to 15.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct WindowBits(NonZeroU8);

impl WindowBits {
    /// 32 KiB, the largest, and what holds where nothing else was agreed on.
    pub const MAX: WindowBits = WindowBits::new(15).expect("15 is in the range");

    /// A window of that many bits, from 8 to 15.
    pub const fn new(bits: u8) -> Option<WindowBits> {
        match (bits, NonZeroU8::new(bits)) {
            (8..=15, Some(bits)) => Some(WindowBits(bits)),
            _ => None,
        }
    }

    /// The number of bits.
    pub const fn get(self) -> u8 {
        self.0.get()
    }

    /// The size of the window in bytes.
    pub const fn bytes(self) -> usize {
        1 << self.get()
    }
}

/// What the next compressed message of one direction may refer back to, where its context is taken over: the last
/// bytes of the compressed messages before it. It grows with them, up to the window.
#[derive(Debug)]
pub struct History {
    /// Invariant: at most `window.bytes()`.
    pub(super) bytes: Vec<u8>,
    window: WindowBits,
}

impl History {
    /// Before the first message.
    #[must_use]
    pub const fn new(window: WindowBits) -> History {
        History { bytes: Vec::new(), window }
    }

    /// Takes in a message that has passed compressed. One that has passed as it is must not be noted (RFC 7692 §7.2.3).
    pub fn note(&mut self, message: &[u8]) {
        let room = self.window.bytes();
        let message = &message[message.len().saturating_sub(room)..];
        let surplus = (self.bytes.len() + message.len()).saturating_sub(room);
        self.bytes.drain(..surplus);
        // Doubling as `Vec` does, but not past the window.
        if self.bytes.len() + message.len() > self.bytes.capacity() {
            let capacity = (2 * self.bytes.capacity()).min(room).max(self.bytes.len() + message.len());
            self.bytes.reserve_exact(capacity - self.bytes.len());
        }
        self.bytes.extend_from_slice(message);
        debug_assert!(self.bytes.len() <= room, "a history is no longer than its window");
    }

    pub(super) fn bytes(&self) -> &[u8] {
        &self.bytes
    }
}
