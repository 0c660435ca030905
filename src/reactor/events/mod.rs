//! What the loop does: a file for each cause.
//!
//! | file | subject |
//! |---|---|
//! | [`accept`] | new connections |
//! | [`readiness`] | sockets that can be read or written |
//! | [`pause`] | connections that may be read again |
//! | [`inflation`] | compressed input that waited for its turn |
//! | [`timer`] | a connection's timer is due |
//! | [`inbox`] | messages of other threads |
//! | [`search`] | sessions that an operator looks for |
//! | [`limits`] | new limits |
//! | [`memory`] | too much waits in memory |
//! | [`shutdown`] | the end in good order |
//! | [`cut`] | the log line of a connection that is cut |

pub(super) mod accept;
pub(super) mod cut;
pub(super) mod inbox;
pub(super) mod inflation;
pub(super) mod limits;
pub(super) mod memory;
pub(super) mod pause;
pub(super) mod readiness;
mod search;
pub(super) mod shutdown;
pub(super) mod timer;
