//! A door that lets only so many in: the bound on what waits for the store.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

/// Counts what has entered, in number and in bytes.
#[derive(Debug)]
pub(super) struct Gate {
    count_max: usize,
    bytes_max: usize,
    count: AtomicUsize,
    bytes: AtomicUsize,
}

impl Gate {
    pub(super) fn new(count_max: usize, bytes_max: usize) -> Arc<Gate> {
        Arc::new(Gate { count_max, bytes_max, count: AtomicUsize::new(0), bytes: AtomicUsize::new(0) })
    }

    /// Lets something of `bytes` in, if there is room. Something too large by itself gets in when nothing else is.
    pub(super) fn enter(self: &Arc<Gate>, bytes: usize) -> Option<Permit> {
        let permit = Permit { gate: self.clone(), bytes };
        let count = self.count.fetch_add(1, Ordering::AcqRel);
        let before = self.bytes.fetch_add(bytes, Ordering::AcqRel);
        let fits = count < self.count_max && (before == 0 || before.saturating_add(bytes) <= self.bytes_max);
        fits.then_some(permit)
    }
}

/// A place behind the gate, given back when dropped.
#[derive(Debug)]
pub(super) struct Permit {
    gate: Arc<Gate>,
    bytes: usize,
}

impl Drop for Permit {
    fn drop(&mut self) {
        self.gate.count.fetch_sub(1, Ordering::AcqRel);
        self.gate.bytes.fetch_sub(self.bytes, Ordering::AcqRel);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn neither_too_many_nor_too_large_ones_enter() {
        let gate = Gate::new(2, 100);
        let first = gate.enter(60).unwrap();
        assert!(gate.enter(41).is_none());
        let second = gate.enter(40).unwrap();
        assert!(gate.enter(0).is_none());
        drop((first, second));
        let _large = gate.enter(1000).unwrap();
        assert!(gate.enter(1).is_none());
    }
}
