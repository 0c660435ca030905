//! A WebSocket session as its handler sees it.
//!
//! | file | subject |
//! |---|---|
//! | [`state`] | what is kept of a session |
//! | [`context`] | during a callback |
//! | [`rooms`] | joining, publishing, leaving |
//! | [`handle`] | on any thread |
//! | [`memberships`] | the rooms that it is in |
//! | [`timers`] | its timers |
//! | [`terms`] | whose it is, until when, how long its messages may be |

pub(super) mod context;
pub(super) mod handle;
pub(super) mod memberships;
pub(super) mod rooms;
pub(super) mod state;
pub(super) mod terms;
pub(super) mod timers;
