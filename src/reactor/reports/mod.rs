//! What the operator hears.
//!
//! | file | subject |
//! |---|---|
//! | [`cut`] | connections that are cut |
//! | [`incidents`] | requests that were refused, sessions that ended badly |

pub(super) mod cut;
pub(super) mod incidents;
