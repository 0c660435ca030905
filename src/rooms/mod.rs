//! Rooms, without I/O: a room is a log, a member is a cursor.
//!
//! A [`Shard`] owns the rooms whose names hash to it. It takes [`Command`]s and `now`, and answers with writes to
//! [`Peer`]s (the members' sockets, seen only as that trait) and [`Effect`]s for whoever runs it. Nothing here
//! reads a clock, opens a socket or starts a thread, so a test can run thousands of rooms under virtual time.
//!
//! | file | subject |
//! |---|---|
//! | [`log`] | the newest messages of a room as wire bytes, numbered |
//! | `view`, `deflated` | the same in another form, and compressed for members that agreed on that |
//! | `contained` | an application's encoding whose panic costs one member |
//! | `encoding`, `guests` | the forms that an application adds, and the members that are sent them |
//! | `room`, `member`, `members` | one log, what of it may be shown, who is where on it |
//! | `latest` | rooms in which only the latest message of each key counts |
//! | `pump` | moving the members along the log, whatever they lag |
//! | `crew` | several threads moving the members of one room |
//! | `shard`, `seats` | many rooms: who belongs where, whose turn it is |
//! | `opening`, `held` | a room on its way from the store, and the commands that wait for it |
//! | `absent` | readers that wait at a room that is not there |
//! | `store_requests` | rooms asked of the store, few at a time |
//! | `check` | the invariants of all of that, for tests and builds with assertions |
//! | `idle` | rooms without members, kept for a while |
//! | `readers` | members that read from the store |
//! | `retention` | what a room keeps no longer |
//! | `renewal` | rooms whose log is not the one that is stored, or is damaged there |
//! | `asks`, `posts` | posts, one or several together; who is online, kicks, deletions |
//! | `polls` | readers that come for the next messages and go |
//! | `dedup`, `repeats` | clients' message ids; messages that are published again under the same one |
//! | `ledger`, [`journal`] | messages on their way to the store, and what the store is told |
//! | `command` | what goes into a shard and what comes out |
//! | `message` | the JSON of a chat message, encoded once |
//! | [`journal`] | what rooms and a store tell each other |
//! | `bans` | who must not come back where |
//! | `presence`, `notices` | who is there: sessions and users; their JOINs and LEAVEs |

mod absent;
mod asks;
mod bans;
mod bounds;
#[cfg(any(test, feature = "fuzzing", debug_assertions))]
mod check;
mod command;
mod contained;
mod crew;
mod dedup;
mod deflated;
mod encoding;
mod guests;
mod held;
mod idle;
pub mod journal;
mod json;
#[cfg(test)]
mod kit;
mod latest;
mod ledger;
pub mod log;
mod member;
mod members;
mod message;
mod notices;
mod opening;
mod peer;
mod polls;
mod posts;
mod presence;
mod publishers;
mod pump;
mod readers;
mod renewal;
mod repeats;
mod retention;
mod room;
mod seats;
mod shard;
#[cfg(test)]
mod states;
mod store_requests;
mod timestamp;
mod view;

pub use bans::{Ban, BanPlace, Bans, TooManyBans};
pub use bounds::Bounds;
pub use command::{
    Answer, Ask, Command, Effect, Fault, Format, Join, Joined, MemberKey, Online, OnlineSession, PostError,
    Posted, Posting, Reader, Reply, RoomKey, SessionKey, ShardStats, Span, Start, Variant, VisibleHead, Why,
};
pub use crew::{Alone, Crew, Job};
pub use dedup::content_digest;
pub use encoding::{Encoding, Entry};
pub use json::push_string as push_json_string;
pub(crate) use ledger::BATCHES_MAX;
pub use message::{Chat, Kind, Notice, Notices, push_stored as push_stored_json};
pub(crate) use message::{ID_EPOCH_BITS, id_epoch};
pub use peer::{Peer, Sent};
pub use polls::{Backlog, History, News, Poll, Position};
pub(crate) use readers::PAGES_MAX;
pub use room::{OnLag, RoomLimits};
pub use shard::Shard;
pub(crate) use store_requests::REQUESTS_MAX as STORE_REQUESTS_MAX;
pub use timestamp::Timestamp;
