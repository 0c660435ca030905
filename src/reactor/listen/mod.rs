//! Listening sockets.
//!
//! | file | subject |
//! |---|---|
//! | [`acceptor`] | accepting in bounded numbers |
//! | [`door`] | one listening socket |
//! | [`quotas`] | connections of an address, sessions of a user |

pub(super) mod acceptor;
pub(super) mod door;
pub(super) mod quotas;
