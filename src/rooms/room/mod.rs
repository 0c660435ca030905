//! One room: a log, what of it may be seen, and the members' cursors on it.
//!
//! | file | subject |
//! |---|---|
//! | `state` | the room itself |
//! | `positions` | how far the room has got, and the order of that |
//! | `limits` | limits of every room of a shard, and the texts of its notices |
//! | `round` | one pass over the members |
//! | `store_link` | whether what is said gets into the store |
//! | `member`, `members` | a position in the log and a socket; all of them |
//! | `presence` | the users in the room, each with one session or several |
//! | `publisher` | who published a message that is not stored yet |
//! | `delayed` | JOINs and LEAVEs that the store has refused |
//! | `waiting_poll` | a poll that waits |
//! | `dedup` | clients' message ids seen lately |
//! | `retention` | what is known of what the room keeps no longer |
//! | `recorder` | what has happened lately, for operators |
//! | `outcome` | what the operations leave for the shard to do |
//! | `parallel` | several threads moving the members of one room |
//! | `join` | a newcomer takes its place |
//! | `beginning` | where a reader begins |
//! | `append` | messages are appended, become visible, or are taken back |
//! | `eviction` | what leaves the window |
//! | `fanout` | moving the members along the log, however far they lag |
//! | `page` | a page from the store for a member that reads |
//! | `repeats` | messages that are published again under the same id |
//! | `poll` | what a room answers a poll |
//! | `reset` | a room goes on with the store's log |
//! | `submissions` | what was said where the store numbers the messages, and is not shown yet |
//! | `submitting` | it goes to the store, comes back, and is answered |

pub(in crate::rooms) mod append;
pub(in crate::rooms) mod beginning;
pub(in crate::rooms) mod dedup;
pub(in crate::rooms) mod delayed;
pub(in crate::rooms) mod eviction;
pub(in crate::rooms) mod fanout;
pub(in crate::rooms) mod join;
pub(in crate::rooms) mod limits;
pub(in crate::rooms) mod member;
pub(in crate::rooms) mod members;
pub(in crate::rooms) mod outcome;
pub(in crate::rooms) mod page;
pub(in crate::rooms) mod parallel;
pub(in crate::rooms) mod poll;
pub(in crate::rooms) mod positions;
pub(in crate::rooms) mod presence;
pub(in crate::rooms) mod publisher;
pub(in crate::rooms) mod recorder;
pub(in crate::rooms) mod repeats;
pub(in crate::rooms) mod reset;
pub(in crate::rooms) mod retention;
pub(in crate::rooms) mod round;
pub(in crate::rooms) mod state;
pub(in crate::rooms) mod store_link;
pub(in crate::rooms) mod submissions;
pub(in crate::rooms) mod submitting;
pub(in crate::rooms) mod waiting_poll;
