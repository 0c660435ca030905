//! The reactor's time.
//!
//! | file | subject |
//! |---|---|
//! | [`time`] | the clock, read once in a turn |
//! | [`wheel`] | ticks, and the timers of all connections |
//! | [`ending`] | an end that is set by the clock on the wall |

pub(super) mod ending;
pub(super) mod time;
pub(super) mod wheel;
