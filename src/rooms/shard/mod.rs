//! The rooms of one worker: member index and fan-out queue.
//!
//! | file | subject |
//! |---|---|
//! | `state` | the shard itself: commands in, effects out |
//! | `member_index` | the room and the position of each member |
//! | `opening`, `held` | a room on its way from the store, and the commands that wait for it |
//! | `absent` | readers that wait at a room that is not there |
//! | `store_requests` | rooms asked of the store, few at a time |
//! | `commits` | messages on their way to the store |
//! | `catch_up` | members that read from the store |
//! | `epoch_reset` | rooms whose log is not the one that is stored, or is damaged there |
//! | `requests`, `posts` | who is online, kicks, deletions; posts, one or several together |
//! | `polls` | readers that come for the next messages and go |
//! | `notices` | the JOINs and LEAVEs of members |
//! | `idle` | rooms without members, kept for a while |
//! | `check` | the invariants of all of that, for tests and builds with assertions |
//! | `tests` | tests of a whole shard, and what the tests of this folder share |

pub(in crate::rooms) mod absent;
pub(in crate::rooms) mod catch_up;
#[cfg(any(test, feature = "fuzzing", debug_assertions))]
pub(in crate::rooms) mod check;
pub(in crate::rooms) mod commits;
pub(in crate::rooms) mod epoch_reset;
pub(in crate::rooms) mod held;
pub(in crate::rooms) mod idle;
pub(in crate::rooms) mod member_index;
pub(in crate::rooms) mod notices;
pub(in crate::rooms) mod opening;
pub(in crate::rooms) mod polls;
pub(in crate::rooms) mod posts;
pub(in crate::rooms) mod requests;
pub(in crate::rooms) mod state;
pub(in crate::rooms) mod store_requests;
#[cfg(test)]
pub(in crate::rooms) mod tests;
