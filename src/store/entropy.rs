//! What a store takes from outside: random numbers and the time.

use std::hash::{BuildHasher, RandomState};
use std::time::{Instant, SystemTime};

use crate::rooms::{ID_EPOCH_BITS, Timestamp};

/// Sixty-four random bits.
pub(super) fn random() -> u64 {
    RandomState::new().hash_one(0)
}

/// What an epoch is combined with to make it another one of the same log, whose messages keep their ids.
pub(super) fn random_change() -> u64 {
    random() & !ID_EPOCH_BITS
}

#[expect(clippy::disallowed_methods, reason = "the shell is where the clock is read")]
pub(super) fn clock() -> Instant {
    Instant::now()
}

#[expect(clippy::disallowed_methods, reason = "the shell is where the clock is read")]
pub(super) fn now() -> Timestamp {
    let since_epoch = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
    Timestamp::from_micros(u64::try_from(since_epoch.as_micros()).unwrap_or(u64::MAX / 2))
}
