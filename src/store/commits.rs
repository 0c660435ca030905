//! How long commits take, and how much is in them.

use std::time::Duration;

use crate::histogram::{Histogram, SharedHistogram};

/// How long a commit takes, in microseconds.
// From a file in memory to a disk that is overloaded.
const MICROS_BOUNDS: &[u64] =
    &[50, 100, 250, 500, 1_000, 2_500, 5_000, 10_000, 25_000, 50_000, 100_000, 250_000, 1_000_000, 5_000_000];

/// How many messages a commit has. Some have none: they create rooms, or change them.
const MESSAGES_BOUNDS: &[u64] = &[0, 1, 2, 5, 10, 20, 50, 100, 200, 500, 1_000, 2_000, 5_000, 10_000];

/// Counted by the thread that writes, for any thread to read.
#[derive(Debug)]
pub(crate) struct Commits {
    micros: SharedHistogram,
    messages: SharedHistogram,
}

impl Default for Commits {
    fn default() -> Commits {
        Commits {
            micros: SharedHistogram::new(MICROS_BOUNDS),
            messages: SharedHistogram::new(MESSAGES_BOUNDS),
        }
    }
}

impl Commits {
    /// A transaction with this number of messages was committed, and took this long from its beginning.
    // A store in memory has no transactions.
    #[cfg_attr(
        not(any(feature = "mongodb", feature = "redis", feature = "store")),
        expect(dead_code, reason = "only a store with a database commits")
    )]
    pub(crate) fn note(&self, time: Duration, messages: usize) {
        self.micros.note(u64::try_from(time.as_micros()).unwrap_or(u64::MAX));
        self.messages.note(messages as u64);
    }

    pub(crate) fn read(&self) -> CommitStats {
        CommitStats { micros: self.micros.read(), messages: self.messages.read() }
    }
}

/// The commits of a store so far.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct CommitStats {
    /// How long each took, in microseconds: one transaction, with everything that had gathered.
    pub micros: Histogram,
    /// How many messages each had.
    pub messages: Histogram,
}
