//! What the rooms and a store tell each other: batches of numbered messages going down, pages of them coming up.
//!
//! Plain data. A store numbers nothing: the shard that owns a room gives each message its `seq` and its time, and the
//! store refuses whatever does not follow the last one, so a log never has a hole.

use std::collections::HashSet;
use std::time::Duration;

use super::command::Span;
use crate::rooms::message::chat::Kind;
use crate::rooms::room::dedup::{IdOwner, Identified};
use crate::rooms::timestamp::Timestamp;

/// The highest number of a message: the largest whole number that every JSON parser keeps exactly. A room that has got
/// there takes no more.
pub const SEQ_MAX: u64 = (1 << 53) - 1;

/// A room as a store knows it. Never used again for another room, not even after the room was deleted.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct RoomId(pub i64);

/// What a message has to survive before anyone is shown it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[non_exhaustive]
pub enum Durability {
    /// Nothing: it is never stored.
    Off,
    /// Nothing: it is shown at once and stored soon.
    Async,
    /// The end of the process, by `kill -9` too.
    #[default]
    Commit,
    /// The loss of power.
    Fsync,
}

impl Durability {
    /// All of them, weakest first.
    pub const ALL: [Durability; 4] =
        [Durability::Off, Durability::Async, Durability::Commit, Durability::Fsync];

    /// The name in the configuration.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Durability::Off => "off",
            Durability::Async => "async",
            Durability::Commit => "commit",
            Durability::Fsync => "fsync",
        }
    }

    /// The durability of this name.
    #[must_use]
    pub fn from_name(name: &str) -> Option<Durability> {
        Durability::ALL.into_iter().find(|durability| durability.name() == name)
    }
}

/// How much of a room's log is kept; `None` is without limit. What exceeds any of the limits is deleted, oldest first.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Retention {
    /// Messages kept at most.
    pub messages_max: Option<u64>,
    /// Bytes of senders and contents kept at most (the newest message is kept whatever its size).
    pub bytes_max: Option<u64>,
    /// Messages older than this are deleted.
    pub age_max: Option<Duration>,
}

/// What one room has its own way. `None` takes the configuration's value; a limit of zero is "without limit".
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct RoomSettings {
    /// What its messages survive.
    pub durability: Option<Durability>,
    /// As [`Retention::messages_max`].
    pub messages_max: Option<u64>,
    /// As [`Retention::bytes_max`].
    pub bytes_max: Option<u64>,
    /// As [`Retention::age_max`].
    pub age_max: Option<Duration>,
}

impl RoomSettings {
    /// The retention that holds for the room where `general` is the configuration's.
    #[must_use]
    pub fn retention(&self, general: Retention) -> Retention {
        let limit = |own: Option<u64>, general| own.map_or(general, |own| (own > 0).then_some(own));
        Retention {
            messages_max: limit(self.messages_max, general.messages_max),
            bytes_max: limit(self.bytes_max, general.bytes_max),
            age_max: self.age_max.map_or(general.age_max, |own| (!own.is_zero()).then_some(own)),
        }
    }
}

/// A message as it came back from the store.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Stored {
    /// Its number in the room.
    pub seq: u64,
    /// When it was numbered. Later than any message before it.
    pub at: Timestamp,
    /// What it is.
    pub kind: Kind,
    /// Who said it.
    pub sender: Box<str>,
    /// What was said.
    pub content: Box<str>,
    /// The publisher's own id of it.
    pub client_id: Option<Box<str>>,
    /// What a JOIN or LEAVE says besides.
    pub presence: Option<StoredPresence>,
}

/// What a JOIN or LEAVE says besides its text.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StoredPresence {
    /// The name of the user that came or left.
    pub username: Box<str>,
    /// Number of users in the room after that.
    pub online: u64,
}

/// One membership of a room, from its JOIN to its LEAVE. Unique among all of the room, in all processes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct StayId(pub u64);

/// What a JOIN or LEAVE to be stored says besides its text; the span lies in the batch's arena and is UTF-8.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RecordPresence {
    /// The name of the user that came or left.
    pub username: Span,
    /// Number of users in the room after that.
    pub online: u64,
    /// Whose stay begins or ends with it; `None` if it is no stay in this store's rooms, but one that was imported.
    pub stay: Option<StayId>,
}

/// A stay whose JOIN is stored and whose LEAVE is not.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OpenStay {
    /// Which.
    pub id: StayId,
    /// The user's name.
    pub username: Box<str>,
}

impl Stored {
    /// The bytes of its texts: what page limits count.
    #[must_use]
    pub fn text_bytes(&self) -> usize {
        let client_id = self.client_id.as_ref().map_or(0, |id| id.len());
        let username = self.presence.as_ref().map_or(0, |presence| presence.username.len());
        self.sender.len() + self.content.len() + client_id + username
    }
}

/// One message to be stored; the spans lie in the batch's arena and are UTF-8.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Record {
    /// The room.
    pub room: RoomId,
    /// One more than the room's last message.
    pub seq: u64,
    /// Later than the room's last message.
    pub at: Timestamp,
    /// What it is.
    pub kind: Kind,
    /// Who said it.
    pub sender: Span,
    /// What was said.
    pub content: Span,
    /// The publisher's own id of it.
    pub client_id: Option<Span>,
    /// What a JOIN or LEAVE says besides.
    pub presence: Option<RecordPresence>,
}

/// Messages of one shard that are stored together or not at all, but for those of rooms that the store refuses.
#[derive(Debug, Default)]
pub struct RecordBatch {
    /// The shard they come from.
    pub shard: usize,
    /// Which of the shard's attempts this is. Once a batch has failed, all later ones of the same shard fail unless
    /// their term is higher: their numbers were built on messages that were lost.
    pub term: u32,
    /// The strongest that a room of the batch demands. Whether anyone waits for the commit is the shard's business;
    /// the store sees to it that the commit is worth as much as this.
    pub durability: Durability,
    /// The messages.
    pub records: Vec<Record>,
    /// The arena.
    pub bytes: Vec<u8>,
    /// Rooms whose messages here are stored together or not at all: where one of them is refused, so are the others.
    pub together: Vec<Vec<RoomId>>,
    /// The store's answer: rooms whose messages do not follow what is stored, or cannot be stored. Of these nothing is
    /// stored, and nothing of those that go [together](Self::together) with them, and of all others everything.
    pub refused: Vec<RoomId>,
}

/// The rooms of which nothing is stored if these are refused: they, and those that go together with them.
pub(crate) fn refused_with<'r>(
    refused: impl IntoIterator<Item = &'r RoomId>,
    together: &[Vec<RoomId>],
) -> HashSet<RoomId> {
    let mut all: HashSet<RoomId> = refused.into_iter().copied().collect();
    let mut count = 0;
    // One that goes with another may take a third with it.
    while count < all.len() {
        count = all.len();
        for group in together {
            if group.iter().any(|room| all.contains(room)) {
                all.extend(group);
            }
        }
    }
    all
}

impl RecordBatch {
    /// Empties the batch and keeps its buffers, and what the store has answered.
    pub fn clear(&mut self) {
        self.records.clear();
        self.bytes.clear();
        self.together.clear();
    }
}

/// The client id of a message that was stored lately.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RecentId {
    /// When the message was numbered.
    pub at: Timestamp,
    /// Its number.
    pub seq: u64,
    /// The user whose id it is.
    pub sender: Box<str>,
    /// The id.
    pub id: Box<str>,
    /// [`content_digest`](crate::rooms::content_digest) of what the client sent.
    pub digest: u64,
}

impl RecentId {
    pub(in crate::rooms) fn identified(&self) -> Identified<'_> {
        Identified { owner: IdOwner::User(&self.sender), id: &self.id, digest: self.digest }
    }
}

/// A room that was opened: where its log stands, and the newest part of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Opened {
    /// The store's name for the room.
    pub id: RoomId,
    /// The name of this log. Differs from what it was if messages may have been lost since.
    pub epoch: u64,
    /// The number of the newest message; 0 before the first.
    pub head: u64,
    /// The number of the oldest message that is kept; `head + 1` if there is none.
    pub tail: u64,
    /// The time of the newest message that is not kept any more; zero if all of them are.
    pub gone_at: Timestamp,
    /// The time of the newest message that ever was.
    pub last_at: Timestamp,
    /// The newest messages, as many as fit a window, oldest first.
    pub recent: Vec<Stored>,
    /// The client ids of the messages within the deduplication window, oldest first.
    pub recent_ids: Vec<RecentId>,
    /// The stays that have not ended, oldest first. Of a room that was in nobody's memory, their sessions are gone with the
    /// process that had them.
    pub open_stays: Vec<OpenStay>,
    /// The room's durability, its own or the configuration's.
    pub durability: Durability,
    /// The room's retention, its own or the configuration's. The store sees to it on disk, the room in memory.
    pub retention: Retention,
}

/// Where a page begins.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ReadFrom {
    /// After this message.
    Seq(u64),
    /// With the first message later than this.
    Time(Timestamp),
    /// With the last so many messages.
    Last(u64),
}

/// What to read of a room's log.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PageRequest {
    /// The room.
    pub room: RoomId,
    /// Nothing before this.
    pub from: ReadFrom,
    /// Messages at most.
    pub messages_max: usize,
    /// Bytes of their texts at most (one message is delivered whatever its size).
    pub bytes_max: usize,
    /// Whether the page is taken, and ordered, from the newest message backwards.
    pub newest_first: bool,
    /// Nothing from this number on; [`ReadFrom::Last`] counts back from it.
    pub before: Option<u64>,
    /// What the room keeps no longer at this time is not read, whether it was deleted by now or not.
    pub now: Timestamp,
}

/// A part of a room's log.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Page {
    /// The messages, without a hole, in the order asked for.
    pub messages: Vec<Stored>,
    /// As [`Opened::tail`], at the moment of reading.
    pub tail: u64,
    /// As [`Opened::gone_at`], at the moment of reading.
    pub gone_at: Timestamp,
    /// As [`Opened::head`], at the moment of reading.
    pub head: u64,
    /// As [`Opened::epoch`].
    pub epoch: u64,
    /// The cursor that precedes the first message in the order of the log. It is what a time or a count came to; at
    /// least `tail - 1`.
    pub start: u64,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_room_overrides_what_it_names_and_lifts_what_it_sets_to_zero() {
        let hour = Duration::from_secs(3600);
        let general = Retention { messages_max: Some(10), bytes_max: Some(20), age_max: Some(hour) };
        assert_eq!(RoomSettings::default().retention(general), general);
        let own = RoomSettings {
            messages_max: Some(5),
            bytes_max: Some(0),
            age_max: Some(Duration::ZERO),
            durability: None,
        };
        assert_eq!(
            own.retention(general),
            Retention { messages_max: Some(5), bytes_max: None, age_max: None }
        );
        assert_eq!(own.retention(Retention::default()).messages_max, Some(5));
    }

    #[test]
    fn durabilities_have_names_and_an_order() {
        for durability in Durability::ALL {
            assert_eq!(Durability::from_name(durability.name()), Some(durability));
        }
        assert_eq!(Durability::from_name("Commit"), None);
        assert!(Durability::ALL.is_sorted());
    }
}
