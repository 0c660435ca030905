//! Authentication: which requests need a token, how a session proves its user, and until when.
//!
//! | file | subject |
//! |---|---|
//! | `session` | the state machine of a session: its diagram, and all transitions |
//! | `admission` | what becomes of a request and of an opening handshake, decided from its head |
//! | `policy` | how tokens are asked for and checked |
//! | `keys` | the keys that a configuration names |
//!
//! The reactor knows nothing of it: it keeps the [terms](crate::reactor::Context) of a session, and calls
//! [`overdue`](crate::reactor::Service::overdue) at their end.

pub(super) mod admission;
pub(super) mod keys;
pub(super) mod policy;
pub(super) mod session;
