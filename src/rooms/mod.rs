//! Rooms, without I/O: a room is a log, a member is a cursor.
//!
//! A [`Shard`] owns the rooms whose names hash to it. It takes [`Command`]s and `now`, and answers with writes to
//! [`Peer`]s (the members' sockets, seen only as that trait) and [`Effect`]s for whoever runs it. Nothing here
//! reads a clock, opens a socket or starts a thread, so a test can run thousands of rooms under virtual time.
//!
//! | file | subject |
//! |---|---|
//! | [`log`](self::log) | the newest messages of a room as wire bytes, numbered |
//! | `room` | one log, its members, and the pump that moves the members along the log |
//! | `shard` | many rooms: who belongs where, whose turn it is |
//! | `command` | what goes into a shard and what comes out |
//! | `message` | the JSON of a chat message, encoded once |
//! | `presence` | who is there: sessions and users |

mod command;
mod dedup;
mod json;
pub mod log;
mod message;
mod peer;
mod presence;
mod room;
mod shard;
mod timestamp;

pub use command::{Command, Effect, Format, Join, MemberKey, SessionKey, Span, Start};
pub use json::push_string as push_json_string;
pub use message::{Kind, Notices};
pub use peer::{Peer, Sent};
pub use room::{OnLag, RoomLimits};
pub use shard::{Shard, ShardStats};
pub use timestamp::Timestamp;
