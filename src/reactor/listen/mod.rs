//! Listening sockets, and who may come in.
//!
//! | file | subject |
//! |---|---|
//! | [`acceptor`] | accepting in bounded numbers, exhaustion |
//! | [`listener`] | one listening socket |
//! | [`quotas`] | connections of an address, sessions of a user |

pub(super) mod acceptor;
pub(super) mod listener;
pub(super) mod quotas;
