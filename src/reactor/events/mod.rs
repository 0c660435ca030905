//! What the loop does, a file for each cause.
//!
//! | file | subject |
//! |---|---|
//! | [`inbox`] | messages of other threads |
//! | [`memory`] | too much waits in memory |
//! | [`readiness`] | sockets and timers |
//! | [`shutdown`] | the end in good order |

pub(super) mod inbox;
pub(super) mod memory;
pub(super) mod readiness;
pub(super) mod shutdown;
