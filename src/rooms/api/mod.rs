//! What goes into a shard and what comes out of it, and what it sees of others.
//!
//! | file | subject |
//! |---|---|
//! | `command` | commands in, effects out |
//! | [`store`] | batches down to the store, pages up from it |
//! | `peer` | the write half of a member's connection |

pub(in crate::rooms) mod command;
pub(in crate::rooms) mod peer;
pub mod store;
