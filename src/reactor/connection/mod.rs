//! One connection: its states, what it does in each, and the table of all connections.
//!
//! | file | subject |
//! |---|---|
//! | [`states`] | the connection and its states |
//! | [`table`] | all connections by their keys |
//! | [`preamble`] | what comes before the first request |
//! | [`http`], [`pending`], [`respond`] | requests; those that are answered later; writing responses |
//! | [`streaming`] | responses that follow a room |
//! | [`websocket`] | frames, callbacks |
//! | [`course`] | whether a session is open or closing: its next ping, or until when the closing handshake may take |
//! | [`session_deadlines`] | when a session does something by itself, and what: ping, idleness, closing handshake, timers |
//! | [`unfinished`] | what a session has begun and not ended |
//! | [`stall`] | a peer that takes nothing |
//! | [`rate_limit`] | how fast a session may send |
//! | [`deadlines`] | when the states end |
//! | [`pause`] | why a connection is not read for now |

mod course;
pub(super) mod deadlines;
pub(super) mod http;
pub(super) mod pause;
mod pending;
pub(super) mod preamble;
mod rate_limit;
pub(super) mod respond;
mod session_deadlines;
mod stall;
pub(super) mod states;
pub(super) mod streaming;
pub(super) mod table;
mod unfinished;
pub(super) mod websocket;
