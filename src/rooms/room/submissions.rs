//! What was said in a room whose messages the store numbers, and is not shown yet.
//!
//! ```text
//!   submit ──► waiting ──► placed ──► answered
//!                 │          when its number is known, until the log has got there
//!                 └─► answered at once: a failure, a repeat of what is shown
//! ```

use std::collections::VecDeque;

use super::publisher::Publisher;

/// A message that the store has to number.
#[derive(Debug)]
pub(in crate::rooms) struct Submission {
    pub(in crate::rooms) publisher: Publisher,
    pub(in crate::rooms) client_id: Option<Box<str>>,
}

/// The messages of one room that the store has not shown yet.
#[derive(Debug, Default)]
pub(in crate::rooms) struct Submissions {
    /// In the order in which the store has them.
    pub(in crate::rooms) waiting: VecDeque<Submission>,
    /// Their numbers are known, in order, and the log has not got there.
    pub(in crate::rooms) placed: VecDeque<(u64, Submission)>,
    /// Users of the room on all nodes, after the last JOIN or LEAVE that was shown.
    pub(in crate::rooms) users: u64,
    /// JOINs among those that wait.
    pub(in crate::rooms) joins: u64,
}

impl Submissions {
    /// Of a room that has this number of users.
    pub(in crate::rooms) fn new(users: u64) -> Submissions {
        Submissions { users, ..Submissions::default() }
    }

    pub(in crate::rooms) fn is_empty(&self) -> bool {
        self.waiting.is_empty() && self.placed.is_empty()
    }

    /// About how many users the room has, one that is about to be announced included.
    // A user who has a session on another node is counted twice until its JOIN comes back.
    pub(in crate::rooms) fn users_with_newcomer(&self) -> u64 {
        self.users + self.joins + 1
    }
}
