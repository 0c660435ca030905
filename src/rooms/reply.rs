//! Where an answer goes.

use std::fmt;
use std::panic::{AssertUnwindSafe, catch_unwind};

/// Where an answer goes. Called once, on the shard's thread; must not block for long.
pub struct Reply<T>(Box<dyn FnOnce(T) + Send>);

impl<T> Reply<T> {
    /// An answer goes to `take`.
    pub fn new(take: impl FnOnce(T) + Send + 'static) -> Reply<T> {
        Reply(Box::new(take))
    }

    /// Answers.
    pub fn send(self, answer: T) {
        self.deliver(answer);
    }

    /// Answers; false if what takes the answer has panicked. That ends here: it must not end the shard, which owns
    /// others' rooms.
    pub(in crate::rooms) fn deliver(self, answer: T) -> bool {
        let taken = catch_unwind(AssertUnwindSafe(|| (self.0)(answer))).is_ok();
        if !taken {
            tracing::error!("what was to take an answer of a room has panicked");
        }
        taken
    }
}

impl<T> fmt::Debug for Reply<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Reply")
    }
}
