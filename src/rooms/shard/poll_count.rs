//! How many polls wait in a shard.

use crate::rooms::clock::Moment;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use crate::rooms::room::waiting_poll::Counted;

/// The polls that wait in one shard.
#[derive(Debug, Default)]
pub(in crate::rooms) struct Polls {
    count: Arc<AtomicUsize>,
    /// When the polls that have ended were looked for last, because too many waited.
    pub(super) swept_at: Moment,
}

impl Polls {
    pub(in crate::rooms) fn count(&self) -> usize {
        self.count.load(Ordering::Relaxed)
    }

    pub(in crate::rooms) fn enter(&self) -> Counted {
        // Relaxed: the number bounds memory and publishes nothing else. Atomic, for a reply may be dropped on another
        // thread.
        self.count.fetch_add(1, Ordering::Relaxed);
        Counted(self.count.clone())
    }
}
