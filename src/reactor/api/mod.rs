//! Plain types that an application sees.
//!
//! | file | subject |
//! |---|---|
//! | [`attributes`] | values attached to a request or a session |
//! | [`background`] | work that goes on over several turns |

pub(super) mod attributes;
pub(super) mod background;
