//! What the operator hears of requests and sessions.
//!
//! | file | subject |
//! |---|---|
//! | [`names`] | the user and the room of a line |
//! | [`request`] | requests that were refused |
//! | [`session`] | sessions that ended badly |

pub(super) mod names;
pub(super) mod request;
pub(super) mod session;
