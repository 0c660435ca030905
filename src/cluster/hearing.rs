//! Whether the announcements of a master are still heard.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};

use super::partition::Partition;

/// What tells whether the announcements of a master are still heard: probes, which come the same way.
#[derive(Debug, Default)]
pub(super) struct Hearing {
    /// The newest probe that was sent, and heard.
    sent: AtomicU64,
    heard: AtomicU64,
    /// The partition through whose channel probes come, while somebody listens.
    through: Mutex<Option<Partition>>,
}

impl Hearing {
    fn lock(&self) -> MutexGuard<'_, Option<Partition>> {
        self.through.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Somebody listens.
    pub(super) fn begins(&self, through: Partition) {
        self.heard.store(self.sent.load(Ordering::Relaxed), Ordering::Relaxed);
        *self.lock() = Some(through);
    }

    /// Nobody listens any more.
    pub(super) fn ends(&self) {
        *self.lock() = None;
    }

    /// Through what the next probe is to go, and its number.
    pub(super) fn next_probe(&self) -> Option<(Partition, u64)> {
        self.lock().map(|partition| (partition, self.sent.load(Ordering::Relaxed) + 1))
    }

    /// A probe was sent.
    pub(super) fn was_sent(&self, number: u64) {
        self.sent.store(number, Ordering::Relaxed);
    }

    /// A probe was heard.
    pub(super) fn was_heard(&self, number: u64) {
        self.heard.fetch_max(number, Ordering::Relaxed);
    }

    /// Whether the last probe was heard, or none was sent.
    pub(super) fn has_heard_all(&self) -> bool {
        self.heard.load(Ordering::Relaxed) >= self.sent.load(Ordering::Relaxed)
    }

    /// Whether two probes in a row were not heard.
    pub(super) fn is_lost(&self) -> bool {
        let (sent, heard) = (self.sent.load(Ordering::Relaxed), self.heard.load(Ordering::Relaxed));
        sent >= heard.saturating_add(2)
    }
}
