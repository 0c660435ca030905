//! How other threads reach the reactor.
//!
//! | file | subject |
//! |---|---|
//! | [`message`] | what they tell it |
//! | [`channel`] | both sides of the queue |

pub(super) mod channel;
pub(super) mod message;
