//! How other threads reach the reactor.
//!
//! | file | subject |
//! |---|---|
//! | [`mailbox`] | both sides of it |

pub(super) mod mailbox;
