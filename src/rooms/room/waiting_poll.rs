//! A poll that waits in a room.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Weak};

use crate::rooms::api::poll::PollResult;
use crate::rooms::reasons::RejectReason;
use crate::rooms::reply::Reply;
use crate::rooms::timestamp::Timestamp;

/// A poll that waits.
#[derive(Debug)]
pub(in crate::rooms) struct WaitingPoll {
    /// Who asks; empty if nobody knows.
    pub(in crate::rooms) user: Box<str>,
    pub(in crate::rooms) cursor: u64,
    pub(in crate::rooms) limit: usize,
    /// Nobody waits for the answer any longer.
    pub(in crate::rooms) until: Timestamp,
    /// As [`Poll::waiter`].
    pub(in crate::rooms) waiter: Option<Weak<()>>,
    pub(in crate::rooms) reply: Reply<Result<PollResult, RejectReason>>,
    pub(in crate::rooms) _counted: Counted,
}

impl WaitingPoll {
    /// Whether it waits for what comes after something that was seen.
    #[cfg(any(test, feature = "fuzzing", debug_assertions))]
    pub(in crate::rooms) fn is_within(&self, visible: u64) -> bool {
        self.cursor <= visible
    }

    /// Whether nobody waits for the answer any longer, as far as the one who asked is known.
    pub(in crate::rooms) fn has_gone(&self) -> bool {
        self.waiter.as_ref().is_some_and(|waiter| waiter.strong_count() == 0)
    }
}

/// One of the polls that wait.
#[derive(Debug)]
pub(in crate::rooms) struct Counted(pub(in crate::rooms) Arc<AtomicUsize>);

impl Drop for Counted {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}
