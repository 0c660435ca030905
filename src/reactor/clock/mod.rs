//! The reactor's time.
//!
//! | file | subject |
//! |---|---|
//! | [`wheel`] | ticks and the timer wheel |

pub(super) mod wheel;
