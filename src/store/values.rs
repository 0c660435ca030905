//! What goes in and out of every store.

use std::time::Duration;

use super::entropy::random;
use crate::rooms::store_api::{
    Record, RecordBatch, RecordPresence, RecordText, RoomId, RoomSettings, Stored, StoredPresence,
};
use crate::rooms::{Ban, Timestamp};

/// Participants of one room at most.
// A room is always shown with all of its participants.
pub(crate) const PARTICIPANTS_MAX: u64 = 10_000;
/// A list of rooms ends early once its texts have this number of bytes.
// The list is built whole in memory, on a thread that others wait for.
pub(crate) const LIST_BYTES_MAX: usize = 4 << 20;
/// Client ids that an opened room gets back at most.
// A thousand messages a second within the default window of two minutes.
pub(super) const RECENT_IDS_MAX: u64 = 131_072;

/// A room to be created.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct NewRoom {
    /// Its public id; a new one is made up if absent.
    pub id: Option<Box<str>>,
    /// Its name.
    pub name: Box<str>,
    /// What it is for.
    pub description: Box<str>,
    /// The user who creates it, its first participant.
    pub created_by: Option<Box<str>>,
    /// When.
    pub created_at: Timestamp,
    /// What it has its own way.
    pub settings: RoomSettings,
}

/// A room as it was created, and its participants.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct RoomInfo {
    /// Its public id. Ids that the store made sort by time.
    pub id: Box<str>,
    /// Its name.
    pub name: Box<str>,
    /// What it is for.
    pub description: Box<str>,
    /// The user who created it, if known.
    pub created_by: Option<Box<str>>,
    /// The participants, in the order of joining.
    pub participants: Vec<Box<str>>,
    /// When it was created.
    pub created_at: Timestamp,
    /// What it has its own way.
    pub settings: RoomSettings,
}

impl RoomInfo {
    pub(crate) fn text_bytes(&self) -> usize {
        let participants: usize = self.participants.iter().map(|user| user.len()).sum();
        self.id.len() + self.name.len() + self.description.len() + participants
    }
}

/// A session in a room, on any node.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Presence {
    /// The session's public id.
    pub(crate) session_id: u128,
    /// The user's name.
    pub(crate) user: Box<str>,
    /// When it came into the room.
    pub(crate) joined_at: Timestamp,
}

/// Which rooms to list, in the order of their public ids: ids that the store made are in the order of creation.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct RoomQuery {
    /// Only rooms that this user takes part in.
    pub participant: Option<Box<str>>,
    /// Rooms at most. The list may end earlier, but never empty, if the rooms are large.
    pub limit: usize,
    /// Only rooms behind this public id. There need not be such a room any more.
    pub after: Option<Box<str>>,
    /// Only rooms of these public ids, in any order.
    pub among: Option<Box<[Box<str>]>>,
}

impl RoomQuery {
    /// The public ids to look for, each once and in their order, if only certain ones are wanted.
    pub(crate) fn names_after(&self) -> Option<Vec<&str>> {
        let after = self.after.as_deref().unwrap_or_default();
        let names = self.among.as_deref()?.iter().map(|name| &**name).filter(|name| *name > after);
        let mut names: Vec<&str> = names.collect();
        names.sort_unstable();
        names.dedup();
        Some(names)
    }
}

/// Messages to be put into a room with the numbers and times that they have.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Import {
    /// The room's public id. It is created if need be.
    pub room: Box<str>,
    /// What the room is, in the first batch: counts if there is no such room yet, but for the id.
    pub about: Option<Box<RoomInfo>>,
    /// What of the epoch is in the messages' ids, in the first batch, if they are to keep them.
    pub id_epoch: Option<u64>,
    /// The number of the room's last message, for a batch that continues an import; `None` for the first batch, which
    /// is refused if the room has, or ever had, messages.
    pub after: Option<u64>,
    /// The messages: dense numbers, growing times. The first of all may have any number.
    pub messages: Vec<Stored>,
    /// Whether these are the last. Until they have come, the import is taken back when the store is next opened.
    pub is_last: bool,
}

/// A ban that has ended was noted with no more left than this when it was noted last. More is left of one that has come in
/// its place.
// Bans are noted every five seconds; three times that for a busy machine.
pub(super) const BAN_ENDING: Duration = Duration::from_secs(15);

/// What becomes of bans.
pub(crate) enum BanChange {
    /// This much of it is left.
    Keep(Ban),
    /// It is lifted.
    Lift { room: Box<str>, user: Box<str> },
    /// Time has passed.
    Note { bans: Vec<Ban>, ended: Vec<Ban> },
}

pub(super) fn batch_of(room: RoomId, messages: &[Stored]) -> RecordBatch {
    let mut batch = RecordBatch::default();
    for Stored { seq, at, kind, sender, content, client_id, presence } in messages {
        let text = &mut batch.text;
        let (sender, content) = (RecordText::store(text, sender), RecordText::store(text, content));
        let client_id = client_id.as_ref().map(|id| RecordText::store(text, id));
        let presence = presence.as_ref().map(|StoredPresence { username, online }| {
            // No session of this server is meant: it came and left elsewhere.
            RecordPresence {
                username: RecordText::store(text, username),
                online: *online,
                stay: None,
                session_id: 0,
            }
        });
        let (seq, at, kind) = (*seq, *at, *kind);
        batch.records.push(Record { room, seq, at, kind, sender, content, client_id, presence });
    }
    batch
}

/// A UUID (RFC 9562, version 7): milliseconds, then what is left of the microseconds in the upper ten bits of `rand_a`
/// (§6.2, method 3), so that rooms that come one after the other are listed in this order, then random bits.
pub(crate) fn made_up_id(at: Timestamp) -> Box<str> {
    let (high, low) = (random(), random());
    let value = u128::from((at.micros() / 1000) << 16 | 0x7000 | ((at.micros() % 1000) << 2) | (high & 3))
        << 64
        | u128::from(low & (u64::MAX >> 2) | 1 << 63);
    let hex = format!("{value:032x}");
    let parts = [&hex[..8], &hex[8..12], &hex[12..16], &hex[16..20], &hex[20..]];
    parts.join("-").into()
}
