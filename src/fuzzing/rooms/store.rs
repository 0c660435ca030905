//! A store that answers when it is told to, and fails when it is told to.

use std::collections::{HashMap, VecDeque};

use crate::rooms::log::Window;
use crate::rooms::store_api::{
    Durability, OpenStay, Opened, Page, PageRequest, ReadFrom, RecentId, Record, RecordBatch, RecordPresence,
    RecordText, Retention, RoomId, Stored, StoredPresence,
};
use crate::rooms::{Kind, Reader, RejectReason, RoomKey, StoreAnswer, Timestamp, content_digest};

/// A room as it is stored.
#[derive(Debug, Default)]
pub(super) struct StoredRoom {
    pub(super) epoch: u64,
    pub(super) tail: u64,
    /// All messages there ever were; those before `tail` are gone.
    pub(super) messages: Vec<Stored>,
    /// Stays whose JOIN is stored and whose LEAVE is not.
    pub(super) stays: Vec<OpenStay>,
}

impl StoredRoom {
    pub(super) fn head(&self) -> u64 {
        self.messages.len() as u64
    }

    /// The time of the newest message that is gone.
    fn gone_at(&self) -> Timestamp {
        let gone = self.tail.checked_sub(2).and_then(|index| self.messages.get(usize::try_from(index).ok()?));
        gone.map_or(Timestamp::default(), |stored| stored.at)
    }

    fn page(&self, request: &PageRequest) -> Page {
        let start = match request.from {
            ReadFrom::Seq(seq) => seq,
            ReadFrom::Time(at) => self.messages.iter().filter(|stored| stored.at <= at).count() as u64,
            ReadFrom::Last(count) => self.head().saturating_sub(count),
        };
        // A number above the head is answered with nothing after it.
        let start = start.max(self.tail - 1);
        let from = usize::try_from(start.min(self.head())).expect("a few messages");
        let asked = self.messages[from..].iter().take_while(|m| request.before.is_none_or(|end| m.seq < end));
        // Small pages, so that a member has to turn many.
        let messages = asked.take(request.messages_max.min(3)).cloned().collect();
        let (tail, gone_at) = (self.tail, self.gone_at());
        Page { messages, tail, gone_at, head: self.head(), epoch: self.epoch, start }
    }

    fn note_stay(&mut self, record: &Record, text: impl Fn(RecordText) -> Box<str>) {
        let Some(RecordPresence { username, stay: Some(id), .. }) = record.presence else { return };
        if record.kind == Kind::Join {
            self.stays.push(OpenStay { id, username: text(username) });
        } else {
            self.stays.retain(|stay| stay.id != id);
        }
    }

    /// The messages that are kept.
    fn kept(&self) -> &[Stored] {
        &self.messages[usize::try_from(self.tail - 1).expect("a few messages")..]
    }
}

/// What a batch came to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Verdict {
    Committed,
    /// It failed, the first of its term.
    Failed,
    /// It was built on one that had failed.
    Stale,
}

/// The store, and what waits before it.
#[derive(Debug, Default)]
pub(super) struct ScriptedStore {
    rooms: Vec<StoredRoom>,
    names: HashMap<Box<str>, usize>,
    /// Rooms to be opened, and which of them under another epoch.
    pub(super) openings: VecDeque<(RoomKey, Box<str>, Option<RoomId>)>,
    pub(super) reads: VecDeque<(Reader, RoomId, PageRequest)>,
    pub(super) batches: VecDeque<RecordBatch>,
    /// Batches of this term or a lower one are refused.
    refused: Option<u32>,
    /// Whether the next batch, or the next change of an epoch, fails.
    pub(super) failing: bool,
    /// What messages survive.
    pub(super) durability: Durability,
}

impl ScriptedStore {
    /// An empty store whose messages survive so much.
    pub(super) fn new(durability: Durability) -> ScriptedStore {
        ScriptedStore { durability, ..ScriptedStore::default() }
    }

    pub(super) fn room(&mut self, name: &str) -> &mut StoredRoom {
        let next = self.rooms.len();
        let index = *self.names.entry(name.into()).or_insert(next);
        if index == next {
            let epoch = 0xfeed_0000 + next as u64;
            self.rooms.push(StoredRoom { epoch, tail: 1, ..StoredRoom::default() });
        }
        &mut self.rooms[index]
    }

    /// The room of this name is deleted, and there is another one from now on; returns the former.
    pub(super) fn delete(&mut self, name: &str) -> RoomId {
        self.room(name);
        let former = self.id(name).expect("it is there");
        self.names.remove(name);
        self.room(name);
        former
    }

    fn id(&self, name: &str) -> Option<RoomId> {
        self.names.get(name).map(|index| RoomId(i64::try_from(*index).expect("a few rooms")))
    }

    /// The room that has waited longest cannot be opened, for this reason; its name, if it is not a log to begin anew.
    pub(super) fn refuse_opening(&mut self, why: RejectReason) -> Option<(Box<str>, StoreAnswer)> {
        if self.openings.front().is_none_or(|(_, _, renewed)| renewed.is_some()) {
            return None;
        }
        let (room, name, _) = self.openings.pop_front()?;
        Some((name, StoreAnswer::Opened { room, opened: Err(why) }))
    }

    /// Opens the room that has waited longest.
    pub(super) fn open(&mut self, window: Window) -> Option<(Box<str>, StoreAnswer)> {
        let (key, name, renewed) = self.openings.pop_front()?;
        let why = match renewed {
            // It was deleted meanwhile.
            Some(id) if Some(id) != self.id(&name) => Some(RejectReason::NoSuchRoom),
            Some(_) if std::mem::take(&mut self.failing) => Some(RejectReason::Unavailable),
            Some(_) | None => None,
        };
        if let Some(why) = why {
            return Some((name, StoreAnswer::Opened { room: key, opened: Err(why) }));
        }
        let durability = self.durability;
        let room = self.room(&name);
        room.epoch += u64::from(renewed.is_some()) << 32;
        let kept = room.kept();
        let recent = kept[kept.len().saturating_sub(window.messages)..].to_vec();
        let ids = room.messages.iter();
        let opened = Opened {
            epoch: room.epoch,
            head: room.head(),
            tail: room.tail,
            gone_at: room.gone_at(),
            last_at: room.messages.last().map_or(Timestamp::default(), |last| last.at),
            recent,
            recent_ids: ids
                .filter_map(|stored| {
                    let Stored { at, seq, sender, .. } = stored;
                    let (id, digest) = (stored.client_id.clone()?, content_digest(&stored.content));
                    Some(RecentId { at: *at, seq: *seq, sender: sender.clone(), id, digest })
                })
                .collect(),
            open_stays: room.stays.clone(),
            durability,
            retention: Retention::default(),
            numbering: crate::rooms::store_api::Numbering::Shard,
            id: RoomId(i64::try_from(self.names[&name]).expect("a few rooms")),
        };
        Some((name, StoreAnswer::Opened { room: key, opened: Ok(Box::new(opened)) }))
    }

    /// Decides on the batch that has waited longest; says which rooms it was about.
    pub(super) fn commit(&mut self) -> Option<(Verdict, Vec<Box<str>>, StoreAnswer)> {
        let batch = self.batches.pop_front()?;
        if self.refused.is_some_and(|refused| batch.term <= refused) {
            return Some((Verdict::Stale, Vec::new(), StoreAnswer::Refused));
        }
        if std::mem::take(&mut self.failing) {
            self.refused = Some(batch.term);
            return Some((Verdict::Failed, Vec::new(), StoreAnswer::Refused));
        }
        let text = |span: RecordText| -> Box<str> { span.of(&batch.text).into() };
        for record in &batch.records {
            let room = &mut self.rooms[usize::try_from(record.room.0).expect("a room of ours")];
            assert_eq!(record.seq, room.head() + 1, "the log gets a hole");
            assert!(room.messages.last().is_none_or(|last| last.at < record.at), "time repeats");
            room.note_stay(record, text);
            room.messages.push(Stored {
                seq: record.seq,
                at: record.at,
                kind: record.kind,
                sender: text(record.sender),
                content: text(record.content),
                client_id: record.client_id.map(text),
                presence: record.presence.map(|presence| StoredPresence {
                    username: text(presence.username),
                    online: presence.online,
                }),
            });
        }
        let is_meant = |index: usize| batch.records.iter().any(|record| record.room.0 == index as i64);
        let names = self.names.iter().filter(|(_, index)| is_meant(**index)).map(|(name, _)| name.clone());
        Some((
            Verdict::Committed,
            names.collect(),
            StoreAnswer::Committed { refused: Vec::new(), placed: Vec::new() },
        ))
    }

    /// Reads the page that has waited longest.
    pub(super) fn read(&mut self) -> Option<StoreAnswer> {
        let (reader, room, request) = self.reads.pop_front()?;
        let room = &self.rooms[usize::try_from(room.0).expect("a room of ours")];
        Some(StoreAnswer::Page { reader, page: Some(room.page(&request)) })
    }

    /// Reads a page of the room of this name.
    pub(super) fn page(&self, name: &str, request: &PageRequest) -> Page {
        self.rooms[self.names[name]].page(request)
    }
}
