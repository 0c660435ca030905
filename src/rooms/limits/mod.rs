//! What all shards share: limits that can change while the server runs, and bans.
//!
//! | file | subject |
//! |---|---|
//! | `bounds` | how many rooms and members there may be |
//! | `bans` | who must not come back where |
//! | `publishers` | how fast is published from outside of any session |

pub(in crate::rooms) mod bans;
pub(in crate::rooms) mod bounds;
pub(in crate::rooms) mod publishers;
