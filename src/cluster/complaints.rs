//! What is wrong with what stands in Redis, said in the log, and not too often.

use std::time::{Duration, Instant};

use crate::system::instant;

/// The least time between two of them.
const INTERVAL: Duration = Duration::from_secs(1);

/// Complaints of one thread.
#[derive(Debug, Default)]
pub(super) struct Complaints {
    last: Option<Instant>,
    /// Those since then that were not said.
    kept: u64,
}

impl Complaints {
    pub(super) fn complain(&mut self, room: &str, reason: &str) {
        let now = instant();
        if self.last.is_some_and(|last| now.saturating_duration_since(last) < INTERVAL) {
            self.kept += 1;
            return;
        }
        let others = std::mem::take(&mut self.kept);
        self.last = Some(now);
        tracing::error!(room, reason, others, "Redis does not do what it was asked to with a room");
    }
}
