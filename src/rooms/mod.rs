//! Rooms, without I/O: a room is a log, a member is a cursor.
//!
//! A [`Shard`] owns the rooms whose names hash to it. It takes [`Command`]s and `now`, and answers with writes to
//! [`Peer`]s (the members' sockets, seen only as that trait), [`SessionEffect`]s and [`StoreRequest`]s. Nothing here
//! reads a clock, opens a socket or starts a thread, so a test can run thousands of rooms under virtual time.
//!
//! Each folder uses those above it in this table, and none below:
//!
//! | folder or file | subject |
//! |---|---|
//! | `timestamp` | points in time as the log sees them |
//! | `clock` | now, by the clock on the wall and by one that only runs on |
//! | `ids`, `values`, `reasons`, `reply` | names and plain values, below everything that uses them |
//! | `steps` | how long messages take from step to step |
//! | `limits` | what all shards share: limits that can change, and bans |
//! | `message` | one message and its JSON |
//! | [`log`] | the newest messages of a room as wire bytes, numbered, and the other forms of it |
//! | `api` | commands and effects, what the store is told, what a room sees of a connection |
//! | `room` | one log, what of it may be shown, the positions of its members |
//! | `shard` | many rooms: their members, whose turn it is, what waits for the store |

mod api;
mod clock;
mod ids;
mod limits;
pub mod log;
mod message;
mod reasons;
mod reply;
mod room;
mod shard;
mod steps;
mod timestamp;
mod values;

pub use self::api::command::{Command, Join};
pub use self::api::effect::{LogUpdate, SessionEffect, StoreAnswer, StoreRequest};
pub use self::api::history::{Backlog, History};
pub(crate) use self::api::inspection::{
    Found, FoundMember, FoundRoom, Inspection, Place, RecordedEvent, Recording, Search, is_meant,
};
pub use self::api::peer::{Peer, Sent};
pub use self::api::poll::{Poll, PollResult};
pub use self::api::post::Post;
pub(crate) use self::api::post::PostReply;
pub use self::api::publication::Publication;
pub use self::api::relayed::Relayed;
pub use self::api::request::RoomRequest;
pub use self::api::store as store_api;
pub use self::clock::{Moment, Now};
pub use self::ids::{Arena, MemberKey, Reader, RoomKey, SessionKey, Span, TextSpan};
pub use self::limits::bans::{Ban, BanPlace, Bans, TooManyBans};
pub use self::limits::bounds::Bounds;
pub use self::log::encoding::{Encoding, Entry};
pub use self::message::chat::{Chat, push_stored as push_stored_json};
#[cfg(feature = "mongodb")]
pub(crate) use self::message::id::message_id;
pub(crate) use self::message::id::{ID_EPOCH_BITS, id_epoch};
pub use self::message::identity::content_digest;
pub use self::message::json::push_string as push_json_string;
pub use self::message::kind::Kind;
pub use self::message::notice::Notice;
pub use self::message::presence_text::Notices;
pub use self::reasons::{PostError, RejectReason};
pub use self::reply::Reply;
pub use self::room::limits::{OnLag, RoomLimits};
pub use self::room::members::BlockSize;
pub use self::room::parallel::{FanoutJob, FanoutPool, Sequential};
pub(crate) use self::shard::catch_up::PAGES_MAX;
pub(crate) use self::shard::commits::BATCHES_MAX;
pub use self::shard::state::Shard;
pub(crate) use self::shard::store_requests::REQUESTS_MAX as STORE_REQUESTS_MAX;
pub use self::steps::MessageSteps;
pub use self::timestamp::Timestamp;
pub use self::values::{
    Fault, Format, Joined, Online, OnlineSession, Position, Posted, ShardStats, Start, Variant, VisibleHead,
};
