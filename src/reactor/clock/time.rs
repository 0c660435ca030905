//! The clock of the loop: read once in a turn.

use std::time::{Duration, Instant};

use super::wheel::{TICK_MILLIS, Tick};
use crate::http::date;
use crate::system::{instant, since_epoch};

/// A turn that took longer than it asked for by this much did so because the whole process was stopped: that time does
/// not count against any deadline: clients would be cut for a laptop that slept. Longer than any turn under load, shorter
/// than the shortest usual timeout.
const STANDSTILL: Duration = Duration::from_secs(2);

/// The reactor's own time; stands still while the process does.
#[derive(Debug)]
pub(crate) struct Clock {
    last: Instant,
    elapsed: Duration,
    /// `Date` of the current second, and that second.
    date: (u64, String),
}

impl Clock {
    /// A clock that begins now.
    pub(crate) fn new() -> Clock {
        Clock { last: instant(), elapsed: Duration::ZERO, date: (0, String::new()) }
    }

    /// Reads the system's clock after a poll that was to wait for `timeout` at most.
    pub(crate) fn advance(&mut self, timeout: Option<Duration>) -> Tick {
        let now = instant();
        let passed = now.duration_since(self.last);
        self.last = now;
        self.elapsed += match timeout {
            Some(timeout) if passed > timeout + STANDSTILL => timeout,
            Some(_) | None => passed,
        };
        self.now()
    }

    /// When it was read last.
    pub(crate) fn read_at(&self) -> Instant {
        self.last
    }

    /// How long ago it was read last.
    pub(crate) fn since_advance(&self) -> Duration {
        instant().duration_since(self.last)
    }

    /// The time is what it is said to be, whatever the system's clock says.
    #[cfg(any(test, feature = "fuzzing"))]
    pub(crate) fn set(&mut self, elapsed: Duration) -> Tick {
        self.elapsed = elapsed;
        self.now()
    }

    fn now(&self) -> Tick {
        let millis = u64::try_from(self.elapsed.as_millis()).unwrap_or(u64::MAX);
        millis / TICK_MILLIS
    }

    /// How long it is until this moment.
    pub(crate) fn until(&self, at: Tick) -> Duration {
        Duration::from_millis(at.saturating_mul(TICK_MILLIS)).saturating_sub(self.elapsed)
    }

    /// The `Date` header's value.
    pub(crate) fn date(&mut self) -> &str {
        let second = since_epoch().as_secs();
        if self.date.0 != second {
            self.date = (second, date::imf_fixdate(second));
        }
        &self.date.1
    }
}
