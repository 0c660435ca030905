//! One connection, and the table of all of them.
//!
//! | file | subject |
//! |---|---|
//! | [`deadlines`] | when its states end |
//! | [`hold`] | why it is not read |
//! | [`http`] | requests and responses |
//! | [`inflation`] | how much is inflated in a turn |
//! | [`preamble`] | what comes before the first request |
//! | [`rate_limit`] | how fast a session may send |
//! | [`streaming`] | responses that follow a room |
//! | [`table`] | all connections by their keys |
//! | [`unfinished`] | what a session has begun and not ended |
//! | [`websocket`] | frames |

pub(super) mod deadlines;
pub(super) mod hold;
pub(super) mod http;
pub(super) mod inflation;
pub(super) mod preamble;
pub(super) mod rate_limit;
pub(super) mod streaming;
pub(super) mod table;
pub(super) mod unfinished;
pub(super) mod websocket;
