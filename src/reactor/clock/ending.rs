//! The end of what lasts until a moment that a token, or the application, has set.

use std::time::Duration;

use super::wheel::{Tick, ticks};
use crate::system::since_epoch;

/// When a session or a response ends unless something happens before: by the reactor's own time, and since 1970 if that is
/// said. The former stands still while the process does, so that the latter decides where there is one.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Ending {
    until: Option<Duration>,
    /// When to look whether it has come.
    pub(crate) at: Tick,
}

impl Ending {
    /// After this long.
    pub(crate) fn after(time: Duration, now: Tick) -> Ending {
        Ending { until: None, at: now.saturating_add(ticks(time)) }
    }

    /// At this time since 1970.
    pub(crate) fn by_clock(until: Duration, now: Tick) -> Ending {
        Ending { until: Some(until), ..Ending::after(until.saturating_sub(since_epoch()), now) }
    }

    /// Whether it has come. Where the clock was set back, it is put off.
    pub(crate) fn has_come(&mut self, now: Tick) -> bool {
        match self.until {
            Some(until) if since_epoch() >= until => true,
            Some(until) => {
                if self.at <= now {
                    *self = Ending::by_clock(until, now);
                }
                false
            }
            None => self.at <= now,
        }
    }
}
