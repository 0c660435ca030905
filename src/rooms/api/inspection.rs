//! What an operator asks of a shard: which rooms and members there are, and what has happened in a room lately.

use std::net::SocketAddr;
use std::sync::Arc;

use crate::rooms::ids::SessionKey;
use crate::rooms::reply::Reply;
use crate::rooms::timestamp::Timestamp;
use crate::rooms::values::Format;

/// What an operator asks of a shard.
#[derive(Debug)]
pub enum Inspection {
    /// Which rooms, or members, are like this? The shard looks at a part of them and says where the next part begins.
    Find {
        /// What is looked for.
        search: Arc<Search>,
        /// Where this part begins; the default is the beginning.
        from: Place,
        /// The answer.
        reply: Reply<Found>,
    },
    /// What has happened in a room lately? `None` for a room that is not in memory.
    Record {
        /// The room's name.
        room: Box<str>,
        /// What kind of room it is.
        format: Format,
        /// The answer.
        reply: Reply<Option<Recording>>,
    },
    /// Closes all sessions of a chat room with 4001; answered with their number.
    CloseSessions {
        /// The room's name.
        room: Box<str>,
        /// The answer.
        reply: Reply<usize>,
    },
}

impl Inspection {
    /// The room that it is about, if about one.
    pub(in crate::rooms) fn room(&self) -> Option<&str> {
        match self {
            Inspection::Find { .. } => None,
            Inspection::Record { room, .. } | Inspection::CloseSessions { room, .. } => Some(room),
        }
    }
}

/// What is looked for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Search {
    /// Rooms whose names have this in them, in any case of ASCII letters.
    Rooms(Box<str>),
    /// Members whose user's name has this in it, or whose address or session id begins so.
    Members {
        /// The same.
        text: Box<str>,
        /// Of the rooms of this name only.
        room: Option<Box<str>>,
    },
}

/// How far a search has come in a shard.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Place {
    pub(in crate::rooms) room: usize,
    pub(in crate::rooms) member: usize,
}

/// What one part of a search has found.
#[derive(Clone, Debug, Default)]
pub struct Found {
    /// Rooms.
    pub rooms: Vec<FoundRoom>,
    /// Members.
    pub members: Vec<FoundMember>,
    /// Where the next part begins; `None` at the end.
    pub next: Option<Place>,
}

/// A room.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FoundRoom {
    /// Its name.
    pub name: Box<str>,
    /// What kind of room it is.
    pub format: Format,
    /// Number of its members.
    pub members: usize,
    /// The newest message that may be seen.
    pub seq: u64,
    /// Messages that its members have not been sent yet, all added up.
    pub lag: u64,
    /// The same of the member that is furthest behind.
    pub lag_max: u64,
    /// Bytes of its messages in memory.
    pub window_bytes: usize,
}

/// A member.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FoundMember {
    /// The name of its room.
    pub room: Box<str>,
    /// What kind of room that is.
    pub format: Format,
    /// The connection that it stands for.
    pub session: SessionKey,
    /// The public id of its session.
    pub session_id: u128,
    /// The user's name.
    pub user: Arc<str>,
    /// The peer's address, while it is connected.
    pub address: Option<SocketAddr>,
    /// When it joined.
    pub joined_at: Timestamp,
    /// Messages it has not been sent yet.
    pub lag: u64,
}

/// What has happened in a room lately.
#[derive(Clone, Debug)]
pub struct Recording {
    /// The log's epoch.
    pub epoch: u64,
    /// What has happened, oldest first.
    pub events: Vec<(Timestamp, RecordedEvent)>,
    /// The payloads of messages of which these tell and that may be seen and are in memory, in their order: number and
    /// payload.
    pub payloads: Vec<(u64, Box<[u8]>)>,
    /// The members among those of whom these tell: session, its public id, its user.
    pub members: Vec<(SessionKey, u128, Arc<str>)>,
}

/// Something that has happened in a room.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RecordedEvent {
    /// A message has come and got this number.
    Received {
        /// Its number.
        seq: u64,
        /// Who has sent it, if a member.
        session: Option<SessionKey>,
    },
    /// A message was refused.
    Refused {
        /// Who has sent it, if a member.
        session: Option<SessionKey>,
        /// Why, as a word.
        code: &'static str,
    },
    /// Members were sent messages.
    Sent {
        /// The newest of them.
        seq: u64,
        /// Messages, each counted for each member.
        deliveries: u64,
        /// Their bytes.
        bytes: u64,
    },
}
