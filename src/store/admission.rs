//! The bound on the jobs that wait for the store, in number and in bytes.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

/// Counts the jobs that were admitted and have not been dropped.
#[derive(Debug)]
pub(crate) struct AdmissionLimit {
    count_max: usize,
    bytes_max: usize,
    count: AtomicUsize,
    bytes: AtomicUsize,
}

impl AdmissionLimit {
    pub(crate) fn new(count_max: usize, bytes_max: usize) -> Arc<AdmissionLimit> {
        Arc::new(AdmissionLimit {
            count_max,
            bytes_max,
            count: AtomicUsize::new(0),
            bytes: AtomicUsize::new(0),
        })
    }

    /// How many jobs are admitted at the moment, and their bytes.
    pub(crate) fn waiting(&self) -> (usize, usize) {
        (self.count.load(Ordering::Relaxed), self.bytes.load(Ordering::Relaxed))
    }

    /// Admits a job of `bytes`, if there is room. A job larger than the whole limit is admitted when no other waits.
    pub(crate) fn admit(self: &Arc<AdmissionLimit>, bytes: usize) -> Option<Permit> {
        let permit = Permit { limit: self.clone(), bytes };
        // Counted first and looked at then, without a lock: two that come at the same time may both be turned away, but
        // never both be let in above the limit. Relaxed: the jobs themselves are handed over by a channel.
        let count = self.count.fetch_add(1, Ordering::Relaxed);
        let before = self.bytes.fetch_add(bytes, Ordering::Relaxed);
        let fits = count < self.count_max && (before == 0 || before.saturating_add(bytes) <= self.bytes_max);
        fits.then_some(permit)
    }
}

/// Room for one job within the limit, given back when dropped.
#[derive(Debug)]
pub(crate) struct Permit {
    limit: Arc<AdmissionLimit>,
    bytes: usize,
}

impl Drop for Permit {
    fn drop(&mut self) {
        let count = self.limit.count.fetch_sub(1, Ordering::Relaxed);
        let bytes = self.limit.bytes.fetch_sub(self.bytes, Ordering::Relaxed);
        debug_assert!(count > 0 && bytes >= self.bytes, "what is given back was admitted");
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn neither_too_many_nor_too_large_jobs_are_admitted() {
        let limit = AdmissionLimit::new(2, 100);
        let first = limit.admit(60).unwrap();
        assert!(limit.admit(41).is_none());
        let second = limit.admit(40).unwrap();
        assert!(limit.admit(0).is_none());
        drop((first, second));
        let _large = limit.admit(1000).unwrap();
        assert!(limit.admit(1).is_none());
    }
}
