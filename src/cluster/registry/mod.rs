//! Which rooms there are, their participants, messages that come from elsewhere, and bans: what REST asks of a store.
//!
//! Each question is one script of one partition, so it is answered whole and in one round trip. Lists ask all partitions
//! in one round trip for each master.
//!
//! | file | subject |
//! |---|---|
//! | `call` | questions are asked, alone or many at once |
//! | `answer` | what Redis answers, checked |
//! | `info` | a room as it is shown, and what it has its own way |
//! | `rooms` | rooms are created, shown, joined, left, configured, deleted |
//! | `merge`, `list` | public ids of all partitions in one order; the rooms of a page |
//! | `import` | messages that come from elsewhere |
//! | `bans` | bans, as long as they last |
//! | `tests` | the same questions for all stores, and what stands in Redis after them |
//! | `scripts` | what runs in Redis; `room` stands before each that is of a room |

mod answer;
mod bans;
mod call;
mod import;
mod info;
mod list;
mod merge;
mod rooms;
#[cfg(test)]
#[cfg(feature = "store")]
mod tests;

pub(super) use self::bans::{bans, change_bans};
pub(super) use self::import::{import, take_back, take_back_overdue};
pub(super) use self::list::rooms;
pub(super) use self::rooms::{
    configure_room, create_room, delete_room, join_participant, leave_participant, room,
};
