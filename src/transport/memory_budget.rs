//! What is counted for all connections together: the bytes that wait in memory, and what rooms have told single members.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};

/// The bytes that wait for all connections together; cheap to clone.
#[derive(Clone, Debug, Default)]
pub(crate) struct MemoryBudget(Arc<Sums>);

#[derive(Debug, Default)]
struct Sums {
    waiting_bytes: AtomicUsize,
    told_messages: AtomicU64,
    told_bytes: AtomicU64,
}

impl MemoryBudget {
    /// All charges together.
    pub(crate) fn bytes(&self) -> usize {
        self.0.waiting_bytes.load(Ordering::Relaxed)
    }

    /// Counts what a room has told one member.
    // Shared by all threads; a room says a word of its own once for each join, gap or refusal, never for a delivery.
    pub(crate) fn count_told(&self, messages: u64, bytes: usize) {
        self.0.told_messages.fetch_add(messages, Ordering::Relaxed);
        self.0.told_bytes.fetch_add(bytes as u64, Ordering::Relaxed);
    }

    /// What has been counted so: messages, and bytes.
    pub(crate) fn told(&self) -> [u64; 2] {
        [&self.0.told_messages, &self.0.told_bytes].map(|sum| sum.load(Ordering::Relaxed))
    }

    /// A charge of 0 bytes.
    pub(crate) fn charge(&self) -> Charge {
        Charge { budget: self.clone(), bytes: 0 }
    }
}

/// One connection's part of a [`MemoryBudget`]; taken off when dropped.
#[derive(Debug)]
pub(crate) struct Charge {
    budget: MemoryBudget,
    bytes: usize,
}

impl Charge {
    /// Sets the charge.
    pub(crate) fn set(&mut self, bytes: usize) {
        // Wrapping, so that one addition serves both directions.
        // Relaxed: a sum that is compared with its limit now and then; nothing else hangs on it.
        self.budget.0.waiting_bytes.fetch_add(bytes.wrapping_sub(self.bytes), Ordering::Relaxed);
        self.bytes = bytes;
    }

    pub(crate) fn bytes(&self) -> usize {
        self.bytes
    }
}

impl Drop for Charge {
    fn drop(&mut self) {
        self.set(0);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_tally_is_the_sum_of_its_shares() {
        let budget = MemoryBudget::default();
        let (mut one, mut other) = (budget.charge(), budget.charge());
        one.set(10);
        other.set(5);
        one.set(3);
        assert_eq!((budget.bytes(), one.bytes()), (8, 3));
        drop(one);
        assert_eq!(budget.bytes(), 5);
        drop(other);
        assert_eq!(budget.bytes(), 0);
    }
}
