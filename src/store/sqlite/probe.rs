//! Finding out whether the store can be written to again, when no job writes.
//!
//! Without it a store that hesitated once would be called unavailable until a client publishes; and the readiness that
//! says so keeps away the clients that might.

use std::time::{Duration, Instant};

use rusqlite::Connection;

use crate::store::error::StoreError;

/// How long the store is left alone after an attempt that failed.
// A full disk is seldom well sooner, and an attempt is a write with its fsync.
const PAUSE: Duration = Duration::from_millis(500);
/// How large an attempt is: as large as what failed, so that a full disk is not called well for the sake of one page.
const BYTES: std::ops::RangeInclusive<usize> = 4 << 10..=1 << 20;

/// Knows how large the next attempt is and when it is due.
#[derive(Debug)]
pub(super) struct Prober {
    bytes: usize,
    next_at: Instant,
}

impl Prober {
    pub(super) fn new(clock: Instant) -> Prober {
        Prober { bytes: *BYTES.start(), next_at: clock }
    }

    /// This number of bytes could not be written.
    pub(super) fn failed(&mut self, bytes: usize, clock: Instant) {
        self.bytes = bytes.clamp(*BYTES.start(), *BYTES.end());
        self.next_at = clock + PAUSE;
    }

    /// The attempt itself has failed.
    pub(super) fn put_off(&mut self, clock: Instant) {
        self.next_at = clock + PAUSE;
    }

    pub(super) fn is_due(&self, clock: Instant) -> bool {
        self.next_at <= clock
    }

    /// Writes and removes as much as failed last.
    pub(super) fn write(&self, conn: &Connection) -> Result<(), StoreError> {
        let blob = i64::try_from(self.bytes).unwrap_or(i64::MAX);
        let write = "INSERT INTO meta (key, value) VALUES ('probe', zeroblob(?1))
                     ON CONFLICT (key) DO UPDATE SET value = zeroblob(?1)";
        conn.execute(write, [blob])?;
        // What is left behind by a process that ends here is removed by its next attempt.
        conn.execute("DELETE FROM meta WHERE key = 'probe'", [])?;
        Ok(())
    }
}
