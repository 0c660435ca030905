//! What the rooms and a store tell each other: batches of numbered messages going down, pages of them coming up.
//!
//! Plain data. A store numbers nothing: the shard that owns a room gives each message its `seq` and its time, and the
//! store refuses a message that does not follow the last one, so a log never has a hole.

pub use super::settings::{Durability, Retention, RoomSettings};
pub use crate::rooms::ids::{RoomId, StayId};
pub use crate::rooms::message::stored::{Stored, StoredPresence};

use std::collections::HashSet;

use crate::rooms::message::identity::{IdOwner, Identified};
use crate::rooms::message::kind::Kind;
use crate::rooms::timestamp::Timestamp;

/// The highest number of a message: the largest whole number that every JSON parser keeps exactly. A room that has got
/// there takes no more.
// Clients in JavaScript read numbers as doubles: beyond 2^53 two messages would have one number there.
pub const SEQ_MAX: u64 = (1 << 53) - 1;

/// A piece of the text of a batch for the store.
// Longer than a span of commands, whose sender hears that a batch of them is full: a message that has its number must be
// recorded, however long it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RecordText {
    start: usize,
    len: usize,
}

impl RecordText {
    /// Appends `piece` to `text` and names the place.
    pub fn store(text: &mut String, piece: &str) -> RecordText {
        let stored = RecordText { start: text.len(), len: piece.len() };
        text.push_str(piece);
        stored
    }

    /// The piece, from the text it was stored in (empty from any other that has no such piece).
    #[must_use]
    pub fn of(self, text: &str) -> &str {
        text.get(self.start..self.start + self.len).unwrap_or_default()
    }
}

/// What a JOIN or LEAVE to be stored says besides its text; the span lies in the text of the batch.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RecordPresence {
    /// The name of the user that came or left.
    pub username: RecordText,
    /// Number of users in the room after that.
    pub online: u64,
    /// Whose stay begins or ends with it; `None` if it is no stay in this store's rooms, but one that was imported.
    pub stay: Option<StayId>,
    /// The public id of the session that came or left; 0 where that is not known.
    pub session_id: u128,
}

/// A stay whose JOIN is stored and whose LEAVE is not.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OpenStay {
    /// Which.
    pub id: StayId,
    /// The user's name.
    pub username: Box<str>,
}

/// One message to be stored; the spans lie in the text of the batch.
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
    pub sender: RecordText,
    /// What was said.
    pub content: RecordText,
    /// The publisher's own id of it.
    pub client_id: Option<RecordText>,
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
    /// The text that the messages name pieces of.
    pub text: String,
    /// Rooms whose messages here are stored together or not at all: where one of them is refused, so are the others.
    pub together: Vec<Vec<RoomId>>,
    /// The store's answer: rooms whose messages do not follow what is stored, or cannot be stored. Of these nothing is
    /// stored, and nothing of those that go [together](Self::together) with them, and of all others everything.
    pub refused: Vec<RoomId>,
    /// The store's answer where it numbers ([`Numbering::Store`]): what became of each record, in their order.
    pub placed: Vec<Placed>,
}

/// Who gives the messages of a room their numbers and times.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Numbering {
    /// The shard that owns the room: nobody else writes to its log.
    #[default]
    Shard,
    /// The store, since other nodes write to the log, too. Records go down with number and time 0, in the order in which
    /// they were said here, and all messages come up as [`LogUpdate`](crate::rooms::LogUpdate), one's own among them.
    Store {
        /// Users in the room, on all nodes.
        users: u64,
    },
}

impl Numbering {
    /// Users in the room on all nodes, where there are others.
    pub(in crate::rooms) fn users(self) -> u64 {
        match self {
            Numbering::Shard => 0,
            Numbering::Store { users } => users,
        }
    }
}

/// What became of a record of a room whose messages the store numbers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Placed {
    /// It is stored under this number.
    At(u64),
    /// Its id was used before, by this message.
    Repeat {
        /// The number of that message.
        seq: u64,
        /// Its time.
        at: Timestamp,
        /// Whether that message said the same.
        is_same: bool,
    },
    /// There is nothing to be stored: a stay that has ended before, or one that is not told of.
    Nothing,
    /// It is not known to be stored. If it is, it will be shown.
    Unavailable,
    /// It is not stored, and will not be.
    NotStored,
}

/// The rooms of which nothing is stored if these are refused: they, and the rooms that go together with them.
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
        self.text.clear();
        self.together.clear();
        self.placed.clear();
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
    /// The stays that have not ended, oldest first. Of a room that was in no shard's memory, their sessions are gone
    /// with the process that had them.
    pub open_stays: Vec<OpenStay>,
    /// The room's durability, its own or the configuration's.
    pub durability: Durability,
    /// The room's retention, its own or the configuration's. The store sees to it on disk, the room in memory.
    pub retention: Retention,
    /// Who numbers its messages.
    pub numbering: Numbering,
}

/// Where a page begins.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ReadFrom {
    /// After this message.
    Seq(u64),
    /// With the first message later than this.
    Time(Timestamp),
    /// With the last messages, this many.
    Last(u64),
}

/// What to read of a room's log.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PageRequest {
    /// Nothing before this.
    pub from: ReadFrom,
    /// Messages at most.
    pub messages_max: usize,
    /// Bytes of their texts at most (one message of any size is delivered).
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
