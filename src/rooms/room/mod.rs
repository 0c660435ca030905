//! One room: a log, what of it may be seen, and the members' cursors on it.
//!
//! | file | subject |
//! |---|---|
//! | `state` | the room itself |
//! | `member`, `members` | a position in the log and a socket; all of them |
//! | `fanout` | moving the members along the log, whatever they lag |
//! | `parallel` | several threads moving the members of one room |
//! | `presence` | who is there: users, each with one session or several |
//! | `dedup`, `repeats` | clients' message ids; messages that are published again under the same one |
//! | `retention` | what a room keeps no longer |

pub(in crate::rooms) mod dedup;
pub(in crate::rooms) mod fanout;
pub(in crate::rooms) mod member;
pub(in crate::rooms) mod members;
pub(in crate::rooms) mod parallel;
pub(in crate::rooms) mod presence;
pub(in crate::rooms) mod repeats;
pub(in crate::rooms) mod retention;
pub(in crate::rooms) mod state;
