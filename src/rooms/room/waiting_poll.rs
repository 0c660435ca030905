//! A poll that waits in a room, and its part of the number of polls.

use crate::rooms::clock::Moment;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Weak};

use crate::rooms::api::poll::PollResult;
use crate::rooms::reasons::RejectReason;
use crate::rooms::reply::Reply;

/// A poll that waits.
#[derive(Debug)]
pub(in crate::rooms) struct WaitingPoll {
    /// The user's name; empty if it is not known.
    pub(in crate::rooms) user: Box<str>,
    pub(in crate::rooms) cursor: u64,
    pub(in crate::rooms) limit: usize,
    /// From then on no client waits for the answer.
    pub(in crate::rooms) until: Moment,
    /// As [`Poll::waiter`](crate::rooms::Poll::waiter).
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

    /// Whether the waiter is known and has gone.
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
