//! What becomes of connections over their whole life: which answer belongs to which request, what the clocks count from,
//! who is counted against which limit, what other threads want, what is left at the end.

mod clocks;
mod counts;
mod elsewhere;
mod ends;
mod held;
mod tickets;
mod urgent;

use std::sync::mpsc;
use std::time::Duration;

/// Lets so much time pass: what a client does slowly is what is tested, and nothing is waited for.
pub(crate) fn pause(time: Duration) {
    let (_kept, never) = mpsc::sync_channel::<()>(0);
    let _timed_out = never.recv_timeout(time);
}

/// So many milliseconds.
pub(crate) const fn millis(count: u64) -> Duration {
    Duration::from_millis(count)
}
