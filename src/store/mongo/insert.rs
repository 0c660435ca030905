//! Documents are inserted in order, and what became of them is found out before anything else happens in their rooms.

use std::collections::{HashMap, HashSet};
use std::time::Instant;

use mongodb::bson::{Bson, Document, doc};
use mongodb::error::ErrorKind;

use super::documents::{MESSAGES, signed};
use super::link::{DUPLICATE_KEY, Fault, durably};
use super::logs::gather;
use super::shared::Shared;
use crate::rooms::store_api::RoomId;
use crate::store::error::StoreError;

/// Messages in one command.
// A database that is slow answers to so many before anybody takes it for one that is away.
const INSERTED_AT_ONCE: usize = 1_000;

/// What MongoDB says of a document that it does not take: too large, or not what the collection's validator allows.
const REFUSALS: [i32; 4] = [2, 121, 10_334, 17_280];

/// A message that is to be inserted.
#[derive(Debug)]
pub(super) struct NewMessage {
    pub(super) room: RoomId,
    pub(super) seq: u64,
    pub(super) document: Document,
}

/// The rooms whose messages were not taken, and why.
pub(super) type RefusedRooms = HashMap<RoomId, StoreError>;

/// Inserts messages, in this order; what is not there at the deadline counts as not stored, whatever becomes of it.
///
/// # Errors
/// It is not known what is stored.
pub(super) fn insert(
    shared: &Shared,
    messages: &[NewMessage],
    deadline: Instant,
) -> Result<RefusedRooms, StoreError> {
    let mut refused = RefusedRooms::new();
    let mut done = HashSet::new();
    loop {
        let is_due = |message: &&NewMessage| {
            !refused.contains_key(&message.room) && !done.contains(&message.seq_in_room())
        };
        let rest: Vec<&NewMessage> = messages.iter().filter(is_due).take(INSERTED_AT_ONCE).collect();
        if rest.is_empty() {
            return Ok(refused);
        }
        let fault = match insert_all(shared, &rest) {
            Ok(()) if rest.len() < INSERTED_AT_ONCE => return Ok(refused),
            Ok(()) => {
                done.extend(rest.iter().map(|message| message.seq_in_room()));
                continue;
            }
            Err(fault) => fault,
        };
        match stopped_at(&fault).and_then(|(index, code)| Some((*rest.get(index)?, code))) {
            Some((message, code)) => {
                let before = rest.iter().take_while(|other| !std::ptr::eq(**other, message));
                done.extend(before.map(|message| message.seq_in_room()));
                if code == DUPLICATE_KEY && shared.persistently(deadline, || is_stored(shared, message))? {
                    done.insert(message.seq_in_room());
                } else {
                    refused.insert(message.room, refusal(message, code, &fault)?);
                }
            }
            None => {
                wait_for_database(shared, &fault, deadline)?;
                done.extend(shared.persistently(deadline, || stored_of(shared, &rest))?);
            }
        }
    }
}

impl NewMessage {
    fn seq_in_room(&self) -> (RoomId, u64) {
        (self.room, self.seq)
    }

    fn id(&self) -> Bson {
        self.document.get("_id").cloned().unwrap_or(Bson::Null)
    }
}

fn insert_all(shared: &Shared, messages: &[&NewMessage]) -> Result<(), Fault> {
    let documents = messages.iter().map(|message| &message.document);
    let collection = shared.link.collection(MESSAGES);
    let insert = collection.insert_many(documents).ordered(true).write_concern(durably());
    shared.link.ask(insert).map(|_| ())
}

/// The first document that was not inserted, and why: all before it were, none after it.
fn stopped_at(fault: &Fault) -> Option<(usize, i32)> {
    let Fault::Told(error) = fault else { return None };
    let ErrorKind::InsertMany(many) = &*error.kind else { return None };
    // What a majority has not acknowledged is not stored.
    if many.write_concern_error.is_some() {
        return None;
    }
    many.write_errors.as_ref()?.first().map(|error| (error.index, error.code))
}

/// Whether the document that has the number is this very message, of an attempt whose answer was lost.
fn is_stored(shared: &Shared, message: &NewMessage) -> Result<bool, StoreError> {
    let same = doc! { "_id": message.id(), "seq": signed(message.seq) };
    let found = shared.link.ask(shared.link.collection(MESSAGES).find_one(same))?;
    Ok(found.is_some_and(|found| found == message.document))
}

fn refusal(message: &NewMessage, code: i32, fault: &Fault) -> Result<StoreError, StoreError> {
    if code == DUPLICATE_KEY {
        let NewMessage { room, seq, .. } = *message;
        return Ok(StoreError::OutOfOrder { room, expected: seq + 1, found: seq });
    }
    if REFUSALS.contains(&code) {
        tracing::error!(room = message.room.0, seq = message.seq, %fault, "a message was refused");
        return Ok(StoreError::Malformed);
    }
    Err(fault.clone().into())
}

/// After a fault: until the database answers again, but not for longer than somebody waits.
fn wait_for_database(shared: &Shared, fault: &Fault, deadline: Instant) -> Result<(), StoreError> {
    let failed = StoreError::from(fault.clone());
    if let Fault::Told(_) = fault {
        return Err(failed);
    }
    if shared.is_back(deadline) { Ok(()) } else { Err(failed) }
}

/// Which of these messages are there.
fn stored_of(shared: &Shared, messages: &[&NewMessage]) -> Result<Vec<(RoomId, u64)>, StoreError> {
    let ids: Vec<Bson> = messages.iter().map(|message| message.id()).collect();
    let messages_there = shared.link.collection(MESSAGES);
    let find = messages_there.find(doc! { "_id": { "$in": ids } });
    let found = gather(&shared.link, find.projection(doc! { "_id": 1 }))?;
    let found: HashSet<&str> = found.iter().filter_map(|found| found.get_str("_id").ok()).collect();
    let is_there =
        |message: &&&NewMessage| message.document.get_str("_id").is_ok_and(|id| found.contains(id));
    Ok(messages.iter().filter(is_there).map(|message| message.seq_in_room()).collect())
}
