//! Messages on their way to the store: the batch that is being filled, and the batches that are not answered yet.

use crate::rooms::clock::{Moment, Now};
use std::collections::VecDeque;

use super::appended::Appended;
use crate::rooms::api::peer::Peer;
use crate::rooms::api::settings::Durability;
use crate::rooms::api::store::{Placed, Record, RecordBatch, RecordPresence, RecordText, refused_with};
use crate::rooms::ids::{RoomId, RoomKey};
use crate::rooms::message::draft::{Draft, DraftPresence};
use crate::rooms::room::limits::RoomLimits;
use crate::rooms::room::publisher::Publisher;
use crate::rooms::room::state::Room;
use crate::rooms::timestamp::Timestamp;

/// Batches under way at most. More than one keeps the store busy while an answer travels; few keep batches large.
pub(crate) const BATCHES_MAX: usize = 4;
/// Maximum number of records that wait for the store; beyond it the shard takes no commands.
// Enough for several full batches under way, little enough that publishers feel a slow store before memory does.
const RECORDS_MAX: usize = 16_384;
/// As `RECORDS_MAX`, in bytes of the batch that is being filled.
// A batch is one transaction, and all of it lies in memory until its commit.
const BYTES_MAX: usize = 2 << 20;

/// The last message of a room in a batch.
#[derive(Clone, Copy, Debug)]
pub(super) struct StoredUpTo {
    pub(super) room: RoomKey,
    id: RoomId,
    pub(super) seq: u64,
}

/// What became of a batch.
#[derive(Debug, Default)]
pub(super) struct CommitOutcome {
    /// Rooms whose messages are stored, and up to which.
    pub(super) stored: Vec<StoredUpTo>,
    /// Rooms that were refused.
    pub(super) lost: Vec<RoomKey>,
    /// Rooms that the store has nothing against, but that went together with those.
    pub(super) refused_along: Vec<RoomKey>,
}

/// A batch that the store has not answered yet.
#[derive(Debug, Default)]
struct UnderWay {
    term: u32,
    rooms: Vec<StoredUpTo>,
    records: usize,
    /// As [`RecordBatch::together`].
    together: Vec<Vec<RoomId>>,
    /// The room of each record, with the number of those that follow each other, where the store numbers them.
    submitted: Vec<(RoomKey, usize)>,
}

/// The messages of a shard that are not stored yet.
#[derive(Debug)]
pub(super) struct PendingCommits {
    shard: usize,
    term: u32,
    batch: RecordBatch,
    rooms: Vec<StoredUpTo>,
    submitted: Vec<(RoomKey, usize)>,
    under_way: VecDeque<UnderWay>,
    unstored: usize,
    /// When the messages that wait were appended. Invariant: there are `unstored` of them.
    appended: Appended,
}

impl PendingCommits {
    pub(super) fn new(shard: usize) -> PendingCommits {
        PendingCommits {
            shard,
            term: 0,
            batch: RecordBatch::default(),
            rooms: Vec::new(),
            submitted: Vec::new(),
            under_way: VecDeque::new(),
            unstored: 0,
            appended: Appended::default(),
        }
    }

    /// Appends a message to a room's log, and to the batch if the room is stored.
    pub(super) fn append<P: Peer>(
        &mut self,
        room: &mut Room<P>,
        draft: Draft<'_>,
        publisher: Publisher,
        limits: &RoomLimits,
        now: Now,
    ) {
        if room.submissions.is_some() {
            return self.submit(room, draft, publisher, now);
        }
        let seq = room.append(draft, publisher, limits, now);
        let Some(id) = room.record_as() else { return };
        self.push(id, seq, room.last_at, draft, now);
        room.positions.record(seq, room.log.head());
        self.batch.durability = self.batch.durability.max(room.durability);
        match self.rooms.last_mut() {
            Some(last) if last.room == room.key => last.seq = seq,
            Some(_) | None => self.rooms.push(StoredUpTo { room: room.key, id, seq }),
        }
    }

    /// Hands a message to the store, which numbers it.
    fn submit<P: Peer>(&mut self, room: &mut Room<P>, draft: Draft<'_>, publisher: Publisher, now: Now) {
        let Some(id) = room.stored_as else {
            return debug_assert!(false, "a room whose messages the store numbers is stored");
        };
        self.push(id, 0, Timestamp::default(), draft, now);
        room.submit(publisher, draft.client_id);
        match self.submitted.last_mut() {
            Some((last, count)) if *last == room.key => *count += 1,
            Some(_) | None => self.submitted.push((room.key, 1)),
        }
    }

    fn push(&mut self, room: RoomId, seq: u64, at: Timestamp, draft: Draft<'_>, now: Now) {
        let text = &mut self.batch.text;
        let (sender, content) =
            (RecordText::store(text, draft.sender), RecordText::store(text, draft.content));
        let client_id = draft.client_id.map(|id| RecordText::store(text, id));
        let presence = draft.presence.map(|presence| {
            let DraftPresence { username, online, stay, session_id } = presence;
            RecordPresence {
                username: RecordText::store(text, username),
                online,
                stay: Some(stay),
                session_id,
            }
        });
        let kind = draft.kind;
        self.batch.records.push(Record { room, seq, at, kind, sender, content, client_id, presence });
        self.unstored += 1;
        self.appended.push(now.steady);
    }

    /// What was appended last to these rooms, in one go, is stored together or not at all.
    pub(super) fn group(&mut self, mut rooms: Vec<RoomId>) {
        rooms.sort_unstable();
        rooms.dedup();
        if rooms.len() > 1 {
            self.batch.together.push(rooms);
        }
    }

    /// The next batch for the store, unless there is nothing or too much is under way.
    pub(super) fn take_batch(&mut self) -> Option<RecordBatch> {
        if self.batch.records.is_empty() || self.under_way.len() >= BATCHES_MAX {
            return None;
        }
        let mut batch = std::mem::take(&mut self.batch);
        self.batch.durability = Durability::Off;
        (batch.shard, batch.term) = (self.shard, self.term);
        let (term, rooms, records) = (self.term, std::mem::take(&mut self.rooms), batch.records.len());
        let together = batch.together.clone();
        let submitted = std::mem::take(&mut self.submitted);
        self.under_way.push_back(UnderWay { term, rooms, records, together, submitted });
        Some(batch)
    }

    /// Takes back the batch that was just taken: it is the next one again, and gathers more meanwhile.
    pub(super) fn put_back(&mut self, batch: RecordBatch) {
        if let Some(UnderWay { rooms, submitted, .. }) = self.under_way.pop_back() {
            (self.batch, self.rooms, self.submitted) = (batch, rooms, submitted);
        }
    }

    /// The oldest batch under way is stored, but for these rooms. What was said there since was built on what is lost:
    /// it is taken back here, and the store refuses what is on its way already, since it does not follow.
    /// `stored` is told when how many messages were appended that are stored now, unless some were refused.
    pub(super) fn committed(
        &mut self,
        refused: &[RoomId],
        mut stored: impl FnMut(Moment, usize),
    ) -> CommitOutcome {
        let Some(UnderWay { rooms, records, together, .. }) = self.under_way.pop_front() else {
            debug_assert!(false, "an answer to no batch");
            return CommitOutcome::default();
        };
        self.unstored -= records.min(self.unstored);
        self.appended.take(records, |at, count| {
            if refused.is_empty() {
                stored(at, count);
            }
        });
        if refused.is_empty() {
            return CommitOutcome { stored: rooms, ..CommitOutcome::default() };
        }
        let all = refused_with(refused, &together);
        let (lost, stored): (Vec<StoredUpTo>, _) = rooms.into_iter().partition(|upto| all.contains(&upto.id));
        let mut lost: Vec<(RoomKey, RoomId)> = lost.into_iter().map(|upto| (upto.room, upto.id)).collect();
        lost.dedup();
        let is_lost = |id: RoomId| lost.iter().any(|(_, lost)| *lost == id);
        for later in self.under_way.iter_mut().map(|later| &mut later.rooms).chain([&mut self.rooms]) {
            later.retain(|upto| !is_lost(upto.id));
        }
        let before = self.batch.records.len();
        self.batch.records.retain(|record| !is_lost(record.room));
        let taken_back = before - self.batch.records.len();
        self.unstored -= taken_back.min(self.unstored);
        self.appended.drop_newest(taken_back);
        let (lost, refused_along): (Vec<_>, Vec<_>) =
            lost.into_iter().partition(|(_, id)| refused.contains(id));
        let keys = |rooms: Vec<(RoomKey, RoomId)>| rooms.into_iter().map(|(room, _)| room).collect();
        CommitOutcome { stored, lost: keys(lost), refused_along: keys(refused_along) }
    }

    /// The oldest batch under way is not stored, and nothing that was built on it can be: the rooms concerned. The
    /// later batches of its term are going to be refused, too; that says nothing new.
    pub(super) fn refused(&mut self) -> Vec<RoomKey> {
        let Some(refused) = self.under_way.pop_front() else { return Vec::new() };
        if refused.term < self.term {
            return Vec::new();
        }
        self.term += 1;
        self.batch.clear();
        self.batch.durability = Durability::Off;
        self.unstored = 0;
        self.appended.clear();
        let mut lost = refused.rooms;
        lost.append(&mut self.rooms);
        for later in &mut self.under_way {
            later.records = 0;
            lost.append(&mut later.rooms);
        }
        lost.into_iter().map(|upto| upto.room).collect()
    }

    /// Whether the oldest batch under way is one that the store numbers.
    pub(super) fn is_submission(&self) -> bool {
        self.under_way.front().is_some_and(|oldest| !oldest.submitted.is_empty())
    }

    /// The store has numbered the oldest batch under way: what has become of each record, with its room.
    /// `stored` is told when how many of them were appended.
    pub(super) fn placed(
        &mut self,
        placed: Vec<Placed>,
        stored: impl FnMut(Moment, usize),
    ) -> Vec<(RoomKey, Placed)> {
        let UnderWay { submitted, records, .. } = self.under_way.pop_front().unwrap_or_default();
        debug_assert!(placed.is_empty() || placed.len() == records, "an answer to each record");
        self.unstored -= records.min(self.unstored);
        self.appended.take(records, stored);
        let rooms = submitted.into_iter().flat_map(|(room, count)| std::iter::repeat_n(room, count));
        rooms.zip(placed.into_iter().chain(std::iter::repeat(Placed::Unavailable))).collect()
    }

    /// # Panics
    /// If it is not known of each message that waits when it was appended.
    #[cfg(any(test, feature = "fuzzing", debug_assertions))]
    pub(super) fn check(&self) {
        assert_eq!(
            self.appended.len(),
            self.unstored,
            "messages wait that were never appended, or the other way round"
        );
    }

    pub(super) fn is_empty(&self) -> bool {
        self.batch.records.is_empty() && self.under_way.is_empty()
    }

    pub(super) fn is_full(&self) -> bool {
        self.unstored >= RECORDS_MAX || self.batch.text.len() >= BYTES_MAX
    }

    pub(super) fn unstored(&self) -> usize {
        self.unstored
    }
}
