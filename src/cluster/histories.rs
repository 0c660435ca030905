//! Histories of servers, as replicas know them: those in which all logs have begun new epochs (`fence`).

use std::collections::BTreeSet;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Instant;

/// Histories that are remembered; there is one for each fail-over.
const HISTORIES_MAX: usize = 64;

/// What this node knows of the histories of servers.
#[derive(Debug, Default)]
pub(super) struct Histories(Mutex<Known>);

#[derive(Debug, Default)]
struct Known {
    fenced: BTreeSet<Box<str>>,
    met_at: Option<Instant>,
}

impl Histories {
    fn lock(&self) -> MutexGuard<'_, Known> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// When a server was last met.
    pub(super) fn met_at(&self) -> Option<Instant> {
        self.lock().met_at
    }

    /// A server was met.
    pub(super) fn met(&self, now: Instant) {
        let mut known = self.lock();
        known.met_at = known.met_at.max(Some(now));
    }

    pub(super) fn is_fenced(&self, history: &str) -> bool {
        self.lock().fenced.contains(history)
    }

    pub(super) fn fenced(&self, history: Box<str>) {
        let mut known = self.lock();
        if known.fenced.len() >= HISTORIES_MAX {
            known.fenced.pop_first();
        }
        known.fenced.insert(history);
    }
}
