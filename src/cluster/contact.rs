//! Since when a master answers this node, and when it is next tried if it does not.

use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use redis::RedisError;

use crate::system::instant;

/// How long after a failure to connect everything is answered with that failure, the first time and at most.
const PAUSE_MIN: Duration = Duration::from_millis(100);
const PAUSE_MAX: Duration = Duration::from_secs(1);

#[derive(Debug, Default)]
struct ContactState {
    /// Since when it answers.
    since: Option<Instant>,
    /// Until when it is not tried again, for how long that was, and why.
    trouble: Option<(Instant, Duration, RedisError)>,
}

/// What all threads know of the way to a master.
// While it does not answer, nobody renews a lease: a node that has just come back takes no other for dead.
#[derive(Debug, Default)]
pub(super) struct Contact(Mutex<ContactState>);

impl Contact {
    fn lock(&self) -> MutexGuard<'_, ContactState> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// It answers.
    pub(super) fn made(&self) {
        self.lock().since.get_or_insert_with(instant);
    }

    /// It does not.
    pub(super) fn lost(&self) {
        self.lock().since = None;
    }

    /// For how long it has answered without a break; `None` if it does not.
    pub(super) fn lasts(&self) -> Option<Duration> {
        self.lock().since.map(|since| instant().saturating_duration_since(since))
    }

    /// Whether it has answered for so long without a break.
    pub(super) fn has_lasted(&self, time: Duration) -> bool {
        self.lock().since.is_some_and(|since| instant().saturating_duration_since(since) >= time)
    }

    /// Why it need not be tried just now.
    pub(super) fn trouble(&self) -> Option<RedisError> {
        let state = self.lock();
        state.trouble.as_ref().filter(|(until, ..)| instant() < *until).map(|(.., error)| error.clone())
    }

    /// There is a connection.
    pub(super) fn connected(&self) {
        self.lock().trouble = None;
    }

    /// There was none to be had.
    pub(super) fn not_connected(&self, error: &RedisError) {
        let mut state = self.lock();
        let pause = state.trouble.take().map_or(PAUSE_MIN, |(_, pause, _)| (pause * 2).min(PAUSE_MAX));
        state.trouble = Some((instant() + pause, pause, error.clone()));
    }
}
