//! How much waits in memory for all connections together.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

/// The bytes that wait for all connections together; cheap to clone.
#[derive(Clone, Debug, Default)]
pub(crate) struct Tally(Arc<AtomicUsize>);

impl Tally {
    /// All shares together.
    pub(crate) fn bytes(&self) -> usize {
        self.0.load(Ordering::Relaxed)
    }

    /// A share of nothing yet.
    pub(crate) fn share(&self) -> Share {
        Share { tally: self.clone(), bytes: 0 }
    }
}

/// One connection's part of a [`Tally`]; taken off when dropped.
#[derive(Debug)]
pub(crate) struct Share {
    tally: Tally,
    bytes: usize,
}

impl Share {
    /// From now on it is so much.
    pub(crate) fn set(&mut self, bytes: usize) {
        // Wrapping, so that one addition serves both directions.
        self.tally.0.fetch_add(bytes.wrapping_sub(self.bytes), Ordering::Relaxed);
        self.bytes = bytes;
    }

    pub(crate) fn bytes(&self) -> usize {
        self.bytes
    }
}

impl Drop for Share {
    fn drop(&mut self) {
        self.set(0);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_tally_is_the_sum_of_its_shares() {
        let tally = Tally::default();
        let (mut one, mut other) = (tally.share(), tally.share());
        one.set(10);
        other.set(5);
        one.set(3);
        assert_eq!((tally.bytes(), one.bytes()), (8, 3));
        drop(one);
        assert_eq!(tally.bytes(), 5);
        drop(other);
        assert_eq!(tally.bytes(), 0);
    }
}
