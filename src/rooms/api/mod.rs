//! What goes into a shard and what comes out of it, and what it sees of others.
//!
//! | file | subject |
//! |---|---|
//! | `command` | commands of sessions |
//! | `publication` | what a member publishes, as it lies in the arena of a batch |
//! | `post`, `relayed` | messages whose sender need not be in the room |
//! | `request` | requests from outside of any session, which are answered |
//! | `inspection` | what operators ask |
//! | `effect` | what a shard wants done elsewhere, and the answers of the store |
//! | `store` | batches down to the store, pages up from it |
//! | `settings` | what a room keeps and for how long |
//! | `poll` | long polling: what is asked and what is answered |
//! | `history` | a part of a room's log as JSON |
//! | `peer` | the write half of a member's connection |

pub(in crate::rooms) mod command;
pub(in crate::rooms) mod effect;
pub(in crate::rooms) mod history;
pub(in crate::rooms) mod inspection;
pub(in crate::rooms) mod peer;
pub(in crate::rooms) mod poll;
pub(in crate::rooms) mod post;
pub(in crate::rooms) mod publication;
pub(in crate::rooms) mod relayed;
pub(in crate::rooms) mod request;
pub(in crate::rooms) mod settings;
pub mod store;
