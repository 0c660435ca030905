//! Histories of a server, as replicas know them: those in which logs have begun new epochs (`fence`).

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Instant;

use super::partition::Partition;

/// Histories that are remembered; there is one for each fail-over.
const HISTORIES_MAX: usize = 64;

/// What this node knows of the histories of one server.
#[derive(Debug, Default)]
pub(super) struct Histories(Mutex<Known>);

#[derive(Debug, Default)]
struct Known {
    /// The partitions in which that is so.
    fenced: BTreeMap<Box<str>, BTreeSet<Partition>>,
    met_at: Option<Instant>,
}

impl Histories {
    fn lock(&self) -> MutexGuard<'_, Known> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// When the server was last met.
    pub(super) fn met_at(&self) -> Option<Instant> {
        self.lock().met_at
    }

    /// The server was met.
    pub(super) fn met(&self, now: Instant) {
        let mut known = self.lock();
        known.met_at = known.met_at.max(Some(now));
    }

    /// Whether a history is known at all.
    pub(super) fn is_known(&self, history: &str) -> bool {
        self.lock().fenced.contains_key(history)
    }

    /// Those of these partitions in which nothing was done yet.
    pub(super) fn unfenced(
        &self,
        history: &str,
        partitions: impl Iterator<Item = Partition>,
    ) -> Vec<Partition> {
        let known = self.lock();
        let fenced = known.fenced.get(history);
        partitions.filter(|of| fenced.is_none_or(|fenced| !fenced.contains(of))).collect()
    }

    pub(super) fn fenced(&self, history: Box<str>, partitions: Vec<Partition>) {
        let mut known = self.lock();
        if known.fenced.len() >= HISTORIES_MAX && !known.fenced.contains_key(&history) {
            known.fenced.pop_first();
        }
        known.fenced.entry(history).or_default().extend(partitions);
    }
}
