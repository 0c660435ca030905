//! Batches are held against the heads of their rooms, and stored together.

use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::time::Instant;

use mongodb::bson::doc;

use super::documents::{Draft, MESSAGES, Position, TEXT_BYTES_MAX, signed};
use super::heads::Head;
use super::insert::{NewMessage, RefusedRooms, insert};
use super::link::durably;
use super::logs::last_allotted;
use super::shared::Shared;
use super::stays::StayNotes;
use crate::rooms::store_api::{Record, RecordBatch, RoomId, SEQ_MAX, refused_with};
use crate::store::error::StoreError;

/// A round takes no more batches once it has this number of messages.
pub(super) const ROUND_RECORDS_MAX: usize = 4_096;

/// What is to be stored in one round.
#[derive(Debug, Default)]
pub(super) struct Round {
    messages: Vec<NewMessage>,
    notes: StayNotes,
    /// Where the logs stand once it is stored; `None` for rooms that were deleted.
    ends: HashMap<RoomId, Option<Head>>,
}

impl Round {
    /// How many messages it has.
    pub(super) fn len(&self) -> usize {
        self.messages.len()
    }

    /// Adds a batch; returns the rooms that it refuses, and why. Of those, and of rooms that go together with them,
    /// nothing is added, and of every other room all of it.
    ///
    /// # Errors
    /// The store's own faults alone.
    pub(super) fn add(&mut self, shared: &Shared, batch: &RecordBatch) -> Result<RefusedRooms, StoreError> {
        let mut refused = RefusedRooms::new();
        let mut ends = HashMap::new();
        let mut messages = Vec::with_capacity(batch.records.len());
        for record in &batch.records {
            if refused.contains_key(&record.room) {
                continue;
            }
            let end = match ends.entry(record.room) {
                Entry::Occupied(known) => Ok(known.into_mut()),
                Entry::Vacant(unknown) => self.end(shared, record.room).map(|end| unknown.insert(end)),
            };
            let added = end.and_then(|end| match end {
                Some(head) => message(record, &batch.text, head).map(Some),
                None => Ok(None),
            });
            match added {
                Ok(message) => messages.extend(message.map(|message| (message, record))),
                Err(refusal) if refusal.is_refusal() => {
                    refused.insert(record.room, refusal);
                }
                Err(error) => return Err(error),
            }
        }
        let all = refused_with(refused.keys(), &batch.together);
        for (message, record) in messages.into_iter().filter(|(message, _)| !all.contains(&message.room)) {
            if let Some((stay, username)) = stay(record, &batch.text) {
                self.notes.note(message.room, record.kind, message.seq, stay, username);
            }
            self.messages.push(message);
        }
        self.ends.extend(ends.into_iter().filter(|(room, _)| !all.contains(room)));
        Ok(refused)
    }

    /// Where the log of a room ends in this round so far; `None` if it was deleted.
    fn end(&self, shared: &Shared, room: RoomId) -> Result<Option<Head>, StoreError> {
        if let Some(end) = self.ends.get(&room) {
            return Ok(end.clone());
        }
        shared.quarantine.check(room)?;
        let head = match shared.head(room) {
            Ok(head) => head,
            Err(StoreError::NoSuchRoom) if room.0 > 0 && room.0 <= last_allotted(&shared.link)? => {
                return Ok(None);
            }
            Err(error) => return Err(error),
        };
        if head.is_unsettled {
            take_back(shared, room, &head)?;
        }
        Ok(Some(head))
    }

    /// Stores it; returns the rooms whose messages were not taken, and why.
    ///
    /// # Errors
    /// Nothing of it counts as stored. What is there all the same is settled before anything else happens in its room.
    pub(super) fn store(self, shared: &Shared, deadline: Instant) -> Result<RefusedRooms, StoreError> {
        if self.messages.is_empty() {
            return Ok(RefusedRooms::new());
        }
        let stored = shared
            .may_write()
            .and_then(|()| shared.persistently(deadline, || self.notes.write_before(&shared.link)))
            .and_then(|()| insert(shared, &self.messages, deadline))
            .and_then(|refused| shared.answered_in_time(refused));
        let refused = match stored {
            Ok(refused) => refused,
            Err(error) => {
                for room in self.ends.keys() {
                    shared.heads.change(*room, |head| head.is_unsettled = true);
                }
                return Err(error);
            }
        };
        for (room, end) in self.ends {
            match end {
                Some(_) if refused.contains_key(&room) => shared.heads.forget(room),
                Some(end) => advance(shared, room, end),
                None => {}
            }
        }
        if let Err(error) = self.notes.write_after(&shared.link) {
            // Seen when the room is opened.
            tracing::debug!(%error, "stays that have ended are still noted");
        }
        Ok(refused)
    }
}

/// The log of the room stands there now.
fn advance(shared: &Shared, room: RoomId, end: Head) {
    let Head { head, .. } = end;
    let is_known = shared.heads.change(room, |known| {
        (known.head, known.is_unsettled) = (head, false);
    });
    if is_known.is_none() {
        shared.heads.put(room, Head { is_unsettled: false, ..end });
    }
}

/// Removes what the database has of a room beyond what was acknowledged: its publishers were told that it is not stored.
fn take_back(shared: &Shared, room: RoomId, head: &Head) -> Result<(), StoreError> {
    shared.may_write()?;
    let beyond = doc! { "roomId": &*head.name, "seq": { "$gt": signed(head.head.seq) } };
    let messages = shared.link.collection(MESSAGES);
    let delete = messages.delete_many(beyond).write_concern(durably());
    let deleted = shared.link.ask(delete)?.deleted_count;
    if deleted > 0 {
        let (room, after) = (&*head.name, head.head.seq);
        tracing::info!(room, after, deleted, "messages whose answers were missing were taken back");
    }
    shared.heads.change(room, |head| head.is_unsettled = false);
    Ok(())
}

/// The message after `head`, which it moves.
fn message(record: &Record, text: &str, head: &mut Head) -> Result<NewMessage, StoreError> {
    let Record { room, seq, at, .. } = *record;
    if seq != head.head.seq + 1 || at <= head.head.at {
        return Err(StoreError::OutOfOrder { room, expected: head.head.seq + 1, found: seq });
    }
    let presence = record.presence.map(|presence| (presence.username.of(text), presence.online));
    let draft = Draft {
        seq,
        at,
        kind: record.kind,
        sender: record.sender.of(text),
        content: record.content.of(text),
        client_id: record.client_id.map(|id| id.of(text)),
        presence,
        stay: stay(record, text).map(|(stay, _)| stay),
    };
    let texts = [
        draft.sender,
        draft.content,
        draft.client_id.unwrap_or_default(),
        presence.unzip().0.unwrap_or_default(),
    ];
    let bytes: usize = texts.iter().map(|text| text.len()).sum();
    if seq > SEQ_MAX || at.micros() >= i64::MAX.cast_unsigned() || bytes > TEXT_BYTES_MAX {
        return Err(StoreError::Malformed);
    }
    head.head = Position { seq, at, bytes: head.head.bytes + draft.kept_bytes() };
    Ok(NewMessage { room, seq, document: draft.document(&head.name, head.epoch, head.head.bytes) })
}

/// The stay that begins or ends with a message, and whose it is.
fn stay<'t>(record: &Record, text: &'t str) -> Option<(u64, &'t str)> {
    let presence = record.presence?;
    Some((presence.stay?.0, presence.username.of(text)))
}
