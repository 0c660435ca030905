//! The rooms of one worker: member index and fan-out queue.
//!
//! | file | subject |
//! |---|---|
//! | `state` | the shard itself |
//! | `apply` | commands take effect |
//! | `answer` | the store's answers take effect |
//! | `log_updates` | what comes from a store that numbers |
//! | `members` | members join and leave |
//! | `member_index` | the room and the position of each member |
//! | `publish` | members publish to their rooms |
//! | `pump` | the rooms with something new are pumped in turn |
//! | `room_opening` | a room on its way from the store, and its states |
//! | `opening` | what happens to such rooms |
//! | `held` | commands that wait for a room: what keeping them costs |
//! | `absent` | readers that wait at a room that is not there |
//! | `store_requests` | requests about rooms that the store has not answered |
//! | `store_asking` | the store is asked about rooms, few at a time |
//! | `commits` | messages on their way to the store |
//! | `appended`, `stopwatch`, `timing` | when they were appended; how long messages take from step to step; what is told of the time |
//! | `catch_up` | the members that read from the store |
//! | `pages` | pages are asked for and given to them |
//! | `epoch_reset` | rooms whose log is not the one that is stored, or is damaged there |
//! | `requests`, `posts` | who is online, kicks, deletions; posts, one or several together |
//! | `inspect` | what operators ask: searches, recordings |
//! | `polls`, `poll_count` | readers that come for the next messages and go; how many wait |
//! | `notices` | the JOINs and LEAVEs of members |
//! | `epochs` | numbers that no other shard comes to |
//! | `idle` | rooms without members |
//! | `forget` | rooms without members are forgotten |
//! | `check` | the invariants of all of that, for tests and builds with assertions |
//! | `tests` | tests of a whole shard, and what the tests of this folder share |

pub(in crate::rooms) mod absent;
pub(in crate::rooms) mod answer;
pub(in crate::rooms) mod appended;
pub(in crate::rooms) mod apply;
pub(in crate::rooms) mod catch_up;
#[cfg(any(test, feature = "fuzzing", debug_assertions))]
pub(in crate::rooms) mod check;
pub(in crate::rooms) mod commits;
pub(in crate::rooms) mod epoch_reset;
pub(in crate::rooms) mod epochs;
pub(in crate::rooms) mod forget;
pub(in crate::rooms) mod held;
pub(in crate::rooms) mod idle;
pub(in crate::rooms) mod inspect;
pub(in crate::rooms) mod log_updates;
pub(in crate::rooms) mod member_index;
pub(in crate::rooms) mod members;
pub(in crate::rooms) mod notices;
pub(in crate::rooms) mod opening;
pub(in crate::rooms) mod pages;
pub(in crate::rooms) mod poll_count;
pub(in crate::rooms) mod polls;
pub(in crate::rooms) mod posts;
pub(in crate::rooms) mod publish;
pub(in crate::rooms) mod pump;
pub(in crate::rooms) mod requests;
pub(in crate::rooms) mod room_opening;
pub(in crate::rooms) mod state;
pub(in crate::rooms) mod stopwatch;
pub(in crate::rooms) mod store_asking;
pub(in crate::rooms) mod store_requests;
#[cfg(test)]
pub(in crate::rooms) mod tests;
pub(in crate::rooms) mod timing;
