//! What is known of a backlog without the lock of the write half.

use std::sync::atomic::{AtomicU32, Ordering};

/// Bytes of a backlog that count as progress: a peer that takes less is as good as one that takes nothing, or an attacker
/// could hold a backlog for ever by taking a byte at a time. Less than the smallest receive buffer of a real client.
pub(super) const PROGRESS_BYTES: u32 = 4 * 1024;

/// The lower bits of a mark, which hold the [`Level`].
const LEVEL_BITS: u32 = 2;
const LEVEL_MASK: u32 = (1 << LEVEL_BITS) - 1;

/// How many bytes of backlogs were written, modulo 2^30. It grows with each byte of a backlog that is written, and by
/// [`PROGRESS_BYTES`] whenever all of it is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Progress(u32);

impl Progress {
    /// The progress after this many more bytes.
    pub(super) fn plus(self, bytes: u32) -> Progress {
        Progress(self.0.wrapping_add(bytes << LEVEL_BITS))
    }

    /// Whether the peer has taken enough since `before` to count.
    pub(crate) fn is_since(self, before: Progress) -> bool {
        self.0.wrapping_sub(before.0) >= PROGRESS_BYTES << LEVEL_BITS
    }
}

/// How much waits.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u32)]
pub(super) enum Level {
    /// Nothing: the socket takes what it is given.
    None = 0,
    /// Little: reading may begin again.
    Relieved = 1,
    /// Reading may go on, but not begin again.
    Between = 2,
    /// Too much: requests are not read.
    Congested = 3,
}

impl Level {
    /// The level of this many bytes in a queue of at most `bytes_max`. Reading stops at a half and begins again at a
    /// quarter, not at the same mark, or a peer that takes steadily would be read a few bytes at a time.
    pub(super) fn of(waiting: usize, bytes_max: usize) -> Level {
        if waiting > bytes_max / 2 {
            Level::Congested
        } else if waiting > bytes_max / 4 {
            Level::Between
        } else {
            Level::Relieved
        }
    }
}

/// The mark beside the lock: level and progress in one number, so that they are of one moment. Written under the lock
/// only; read by the reactor, which must not wait for a shard that holds the lock over `send(2)`.
///
/// Relaxed is enough: it is a hint. Only the reactor makes a backlog smaller, so it never sees one that is gone
/// for longer than its own next flush; one that another thread has just begun, it sees with the next read.
#[derive(Debug, Default)]
pub(super) struct Pressure(AtomicU32);

impl Pressure {
    pub(super) fn progress(&self) -> Progress {
        Progress(self.0.load(Ordering::Relaxed) & !LEVEL_MASK)
    }

    /// The progress, while something waits.
    pub(super) fn stalled_at(&self) -> Option<Progress> {
        let mark = self.0.load(Ordering::Relaxed);
        (mark & LEVEL_MASK != Level::None as u32).then_some(Progress(mark & !LEVEL_MASK))
    }

    pub(super) fn is_congested(&self) -> bool {
        self.0.load(Ordering::Relaxed) & LEVEL_MASK == Level::Congested as u32
    }

    pub(super) fn is_relieved(&self) -> bool {
        self.0.load(Ordering::Relaxed) & LEVEL_MASK <= Level::Relieved as u32
    }

    /// To be called under the lock.
    pub(super) fn set_level(&self, level: Level) {
        let mark = self.0.load(Ordering::Relaxed);
        // The usual case of a socket that keeps up costs no write to memory that the reactor reads.
        if mark & LEVEL_MASK != level as u32 {
            self.0.store(mark & !LEVEL_MASK | level as u32, Ordering::Relaxed);
        }
    }

    /// To be called under the lock.
    pub(super) fn advance(&self, bytes: u32) {
        let mark = self.0.load(Ordering::Relaxed);
        let Progress(progress) = Progress(mark & !LEVEL_MASK).plus(bytes);
        self.0.store(progress | mark & LEVEL_MASK, Ordering::Relaxed);
    }
}
