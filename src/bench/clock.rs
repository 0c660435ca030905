//! The load generator's clock: nanoseconds since it started.

use std::time::{Duration, Instant};

/// Nanoseconds since a [`Clock`] started. Enough for 584 years.
pub(super) type Nanos = u64;

/// A clock that starts at zero.
#[derive(Clone, Copy, Debug)]
pub(super) struct Clock {
    start: Instant,
}

impl Clock {
    #[expect(clippy::disallowed_methods, reason = "measuring time is what a load generator is for")]
    pub(super) fn new() -> Clock {
        Clock { start: Instant::now() }
    }

    /// What the clock shows.
    #[inline]
    pub(super) fn now(&self) -> Nanos {
        nanos(self.start.elapsed())
    }
}

/// A duration in nanoseconds.
pub(super) fn nanos(duration: Duration) -> Nanos {
    Nanos::try_from(duration.as_nanos()).unwrap_or(Nanos::MAX)
}
