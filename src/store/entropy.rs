//! What a store takes from outside: random numbers and the time.

pub(super) use crate::system::{instant as clock, random};

use crate::rooms::{ID_EPOCH_BITS, Timestamp};
use crate::system::since_epoch;

/// What an epoch is combined with to make it another one of the same log, whose messages keep their ids.
pub(super) fn random_change() -> u64 {
    random() & !ID_EPOCH_BITS
}

pub(super) fn now() -> Timestamp {
    Timestamp::from_unix(since_epoch())
}
