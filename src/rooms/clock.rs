//! What time it is in the rooms, by two clocks.
//!
//! Messages are stamped by the clock on the wall, which is set now and then, by hours if need be. Whatever is due after a
//! while goes by one that only ever runs on: a poll would wait for an hour too long otherwise, and a client's id would be
//! forgotten before the client has repeated it.

use std::time::Duration;

use super::timestamp::Timestamp;

/// A moment of the clock that only runs on, in microseconds.
// It counts from some time before the process began, so that what happened before that has its place, too.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct Moment(u64);

impl Moment {
    /// How long before the process began the count begins: longer than an id is remembered.
    const BEFORE_START_MICROS: u64 = 2 * 24 * 60 * 60 * 1_000_000;

    /// This long after the process began.
    #[must_use]
    pub fn after_start(time: Duration) -> Moment {
        Moment(micros(time).saturating_add(Moment::BEFORE_START_MICROS))
    }

    /// This long after.
    #[must_use]
    pub fn later_by(self, time: Duration) -> Moment {
        Moment(self.0.saturating_add(micros(time)))
    }

    /// This long before; the beginning of the count at the earliest.
    #[must_use]
    pub fn earlier_by(self, time: Duration) -> Moment {
        Moment(self.0.saturating_sub(micros(time)))
    }

    /// How long ago `before` was.
    #[must_use]
    pub fn since(self, before: Moment) -> Duration {
        Duration::from_micros(self.0.saturating_sub(before.0))
    }

    /// The microseconds since the count began.
    #[must_use]
    pub fn micros(self) -> u64 {
        self.0
    }
}

/// Without the 128 bits of [`Duration::as_micros`]: this is done for every batch of commands.
fn micros(time: Duration) -> u64 {
    time.as_secs().saturating_mul(1_000_000).saturating_add(time.subsec_micros().into())
}

/// Now, by both clocks.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Now {
    /// The clock on the wall: it says when a message was published.
    pub wall: Timestamp,
    /// The clock that only runs on: it says what is due.
    pub steady: Moment,
}

impl Now {
    /// When something was, of which only the time on the wall is known.
    #[must_use]
    pub fn moment_of(self, at: Timestamp) -> Moment {
        let ago = self.wall.micros().saturating_sub(at.micros());
        self.steady.earlier_by(Duration::from_micros(ago))
    }
}

/// Both clocks show the same, in tests and models.
impl From<Timestamp> for Now {
    fn from(wall: Timestamp) -> Now {
        Now { wall, steady: Moment(wall.micros()) }
    }
}
