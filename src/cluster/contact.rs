//! Since when Redis answers this node.

use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use crate::system::instant;

/// Since when Redis answers.
// While it does not, nobody renews a lease: a node that has just come back takes no other for dead.
#[derive(Debug, Default)]
pub(super) struct Contact(Mutex<Option<Instant>>);

impl Contact {
    fn lock(&self) -> MutexGuard<'_, Option<Instant>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// It answers.
    pub(super) fn made(&self) {
        self.lock().get_or_insert_with(instant);
    }

    /// It does not.
    pub(super) fn lost(&self) {
        *self.lock() = None;
    }

    /// For how long it has answered without a break; `None` if it does not.
    pub(super) fn lasts(&self) -> Option<Duration> {
        self.lock().map(|since| instant().saturating_duration_since(since))
    }

    /// Whether it has answered for so long without a break.
    pub(super) fn has_lasted(&self, time: Duration) -> bool {
        self.lock().is_some_and(|since| instant().saturating_duration_since(since) >= time)
    }
}
