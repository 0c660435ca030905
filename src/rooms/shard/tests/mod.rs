//! Tests of a whole shard, and what the tests of this folder share.
//!
//! | file | subject |
//! |---|---|
//! | `kit` | a shard whose members take everything, and whose store is the test itself |
//! | `states` | commands in the states that a room and its member can be in |

pub(in crate::rooms) mod kit;
mod states;
