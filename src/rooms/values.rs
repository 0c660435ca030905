//! Plain values that travel between the rooms and those who use them.

use std::borrow::Cow;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use super::steps::MessageSteps;
use super::timestamp::Timestamp;
use crate::histogram::Histogram;

/// What a room's messages look like on the wire. Rooms of different formats never meet, even under one name.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Format {
    /// JSON objects with sender, room, time and number, and notices when members join and leave.
    Chat,
    /// Text and binary exactly as published: no JSON, no notices.
    Relay,
    /// The same, conflated: of messages with the same key, members that lag get the latest alone.
    Conflated,
}

/// The wire form in which a member is sent the messages of a room.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Variant {
    /// As they are.
    Plain,
    /// Compressed where that helps (RFC 7692), each message by itself. The member's end must remember as far back as
    /// the window in [`RoomLimits::deflate`](crate::rooms::RoomLimits::deflate).
    Deflated,
    /// As the member's [`Encoding`](crate::rooms::Encoding) writes them.
    Encoded,
}

/// Where a new member's cursor begins.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Start {
    /// With the next message.
    Live,
    /// After the message `seq`, as counted under `epoch` (any epoch if absent).
    After {
        /// The last message that the member has; 0 for none.
        seq: u64,
        /// The log's epoch when it got that message.
        epoch: Option<u64>,
    },
    /// With the first message later than this.
    Since(Timestamp),
    /// With the last messages, this many.
    Last(u64),
}

/// A member has its place.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Joined {
    /// The log's epoch.
    pub epoch: u64,
    /// The newest message at that moment.
    pub seq: u64,
    /// How many members there are, this one included.
    pub members: usize,
}

/// How much of an open room's log its members may have seen by now. The store can know of more, for a moment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct VisibleHead {
    /// The log's epoch.
    pub epoch: u64,
    /// The epoch under which the store has the log.
    pub stored_epoch: u64,
    /// The number of the newest message that may be seen.
    pub seq: u64,
}

/// What is wrong with something that a member said.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Fault {
    /// A word that programs understand.
    pub code: &'static str,
    /// The same for people.
    pub content: Cow<'static, str>,
    /// The client's own id of the message that it is about, if it had one.
    pub client_id: Option<Box<str>>,
}

/// A message that was posted.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Posted {
    /// Its number.
    pub seq: u64,
    /// Its JSON, unless it was published before (by a repeat of its id) and has left the window, or was not wanted.
    pub json: Option<Box<[u8]>>,
    /// The members it goes to.
    pub receivers: usize,
}

/// Who is in a room.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Online {
    /// Each user once, sorted.
    pub users: Vec<Arc<str>>,
    /// Each session, in no order.
    pub sessions: Vec<OnlineSession>,
}

/// One session in a room.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct OnlineSession {
    /// The session's public id.
    pub id: u128,
    /// The user's name.
    pub user: Arc<str>,
    /// The peer's address, while it is connected.
    pub address: Option<SocketAddr>,
    /// When it joined.
    pub joined_at: Timestamp,
    /// Messages it has not been sent yet.
    pub lag: u64,
}

/// What a shard holds at the moment.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct ShardStats {
    /// Rooms in memory.
    pub rooms: usize,
    /// Rooms on their way from the store.
    pub openings: usize,
    /// Members of all rooms.
    pub members: usize,
    /// Messages published so far, notices included.
    pub messages: u64,
    /// Messages that wait for the store.
    pub unstored: usize,
    /// Messages that members have not been sent yet, all added up.
    pub lag: u64,
    /// The same, of the member that is furthest behind.
    pub lag_max: u64,
    /// The same, of each member: how many members lag how far.
    pub lags: Histogram,
    /// Messages that members have been sent so far.
    pub deliveries: u64,
    /// The bytes of these, with the headers of their frames.
    pub delivered_bytes: u64,
    /// Bytes of the messages that are in memory.
    pub window_bytes: u64,
    /// Logs that have begun a new epoch while their rooms were open, since the store did not have what was shown.
    pub resets: u64,
    /// How long messages took from step to step.
    pub steps: MessageSteps,
    /// Processor time that the thread of the shard has used so far, as far as the system tells. A shard itself knows no time:
    /// who asks it adds this.
    pub busy: Option<Duration>,
}

impl ShardStats {
    /// What these shards hold together.
    pub(crate) fn sum(shards: &[ShardStats]) -> ShardStats {
        let mut sum = ShardStats::default();
        for shard in shards {
            sum.rooms += shard.rooms;
            sum.openings += shard.openings;
            sum.members += shard.members;
            sum.messages += shard.messages;
            sum.unstored += shard.unstored;
            sum.lag = sum.lag.saturating_add(shard.lag);
            sum.lag_max = sum.lag_max.max(shard.lag_max);
            sum.lags.add(&shard.lags);
            sum.deliveries += shard.deliveries;
            sum.delivered_bytes += shard.delivered_bytes;
            sum.window_bytes += shard.window_bytes;
            sum.resets += shard.resets;
            sum.steps.add(&shard.steps);
            sum.busy = sum.busy.into_iter().chain(shard.busy).reduce(Duration::saturating_add);
        }
        sum
    }
}

/// A place in the log of a room. `0:0` is before the first message of any.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Position {
    /// The log's epoch.
    pub epoch: u64,
    /// The last message before it.
    pub seq: u64,
}

impl std::fmt::Display for Position {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        if *self == (Position { epoch: 0, seq: 0 }) {
            return f.write_str("0:0");
        }
        write!(f, "{:016x}:{}", self.epoch, self.seq)
    }
}

impl Start {
    /// A time before which a reader that begins here has everything, where the log is not known.
    pub(in crate::rooms) fn at(self) -> Timestamp {
        match self {
            Start::Since(time) => time,
            Start::Live | Start::After { .. } | Start::Last(_) => Timestamp::default(),
        }
    }
}
