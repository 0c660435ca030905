//! A WebSocket session as its handler sees it.
//!
//! | file | subject |
//! |---|---|
//! | [`auth`] | who has to say who they are |
//! | [`context`] | during a callback |
//! | [`handle`] | on any thread |
//! | [`rooms`] | what it does in rooms |
//! | [`timers`] | its timers |

pub(super) mod auth;
pub(super) mod context;
pub(super) mod handle;
pub(super) mod rooms;
pub(super) mod timers;
