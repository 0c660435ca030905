//! Until when the shards wait for the store, once the reactor has ended.

use std::sync::{Arc, OnceLock};
use std::time::{Duration, Instant};

use crate::system::instant;

/// A time that is known when the end has come; before it is, nothing is late.
#[derive(Clone, Debug, Default)]
pub(crate) struct Deadline(Arc<OnceLock<Instant>>);

impl Deadline {
    /// The end is `left` from now. Only the first call counts.
    pub(crate) fn set_in(&self, left: Duration) {
        let _set_already = self.0.set(instant() + left);
    }

    pub(super) fn has_passed(&self) -> bool {
        self.0.get().is_some_and(|at| instant() >= *at)
    }

    /// How long it is until then, if that is known.
    pub(crate) fn left(&self) -> Option<Duration> {
        self.0.get().map(|at| at.saturating_duration_since(instant()))
    }
}
