//! Messages that come from elsewhere, with the numbers and times that they have.

use mongodb::bson::{Document, doc};

use super::append::Round;
use super::documents::{IMPORTS, MESSAGES, Position, text};
use super::link::durably;
use super::logs::{RoomLog, floor_fields, gather};
use super::opening::{find_or_create, reconcile};
use super::registry;
use super::shared::Shared;
use super::stays;
use crate::rooms::{ID_EPOCH_BITS, Timestamp};
use crate::store::answer::Purpose;
use crate::store::entropy::{clock, random_change};
use crate::store::error::StoreError;
use crate::store::values::{Import, RoomInfo, batch_of};

/// Puts messages into a room; says the number of the last one.
pub(super) fn import(shared: &Shared, import: &Import, now: Timestamp) -> Result<u64, StoreError> {
    shared.indexes.pass();
    shared.alone(&import.room, || import_alone(shared, import, now))
}

fn import_alone(shared: &Shared, import: &Import, now: Timestamp) -> Result<u64, StoreError> {
    shared.may_write()?;
    let first = import.messages.first();
    if import.after.is_none() && first.is_some_and(|first| first.seq == 0) {
        return Err(StoreError::Malformed);
    }
    let existed = match find_or_create(shared, &import.room, Purpose::Find, now) {
        Ok(_) => true,
        Err(StoreError::NoSuchRoom) => false,
        Err(error) => return Err(error),
    };
    if let Some(about) = import.about.as_deref().filter(|_| !existed) {
        registry::insert(shared, &RoomInfo { id: import.room.clone(), ..about.clone() })?;
    }
    let at = first.map_or(now, |message| message.at);
    let mut row = find_or_create(shared, &import.room, Purpose::Create, at)?;
    let head = match shared.heads.of(row.id) {
        Some(head) => head,
        None => reconcile(shared, &mut row)?,
    };
    match import.after {
        None if head.head.seq > 0 => return Err(StoreError::RoomExists),
        Some(after) if head.head.seq != after => {
            let expected = head.head.seq + 1;
            return Err(StoreError::OutOfOrder { room: row.id, expected, found: after + 1 });
        }
        None | Some(_) => {}
    }
    if import.after.is_none() {
        begin(shared, &mut row, import, existed)?;
    }
    let mut round = Round::default();
    let batch = batch_of(row.id, &import.messages);
    let mut refused = round.add(shared, &batch)?;
    if refused.is_empty() {
        refused = round.store(shared, clock() + shared.link.timeout)?;
    }
    if let Some((_, refusal)) = refused.into_iter().next() {
        return Err(refusal);
    }
    if import.is_last {
        shared.link.ask(shared.link.collection(IMPORTS).delete_one(doc! { "_id": &*import.room }))?;
    }
    Ok(import.messages.last().map_or(head.head.seq, |message| message.seq))
}

/// Notes that an import has begun, and has the log begin before its first message.
fn begin(shared: &Shared, row: &mut RoomLog, import: &Import, existed: bool) -> Result<(), StoreError> {
    if !import.is_last {
        let noted = doc! { "$setOnInsert": { "room": row.id.0, "existed": existed } };
        let imports = shared.link.collection(IMPORTS);
        let note = imports.update_one(doc! { "_id": &*import.room }, noted).upsert(true);
        shared.link.ask(note.write_concern(durably()))?;
    }
    let Some(first) = import.messages.first() else { return Ok(()) };
    row.floor = Position { seq: first.seq - 1, ..Position::default() };
    let mut change = floor_fields(row.floor);
    if let Some(id_epoch) = import.id_epoch {
        row.epoch = random_change() | id_epoch & ID_EPOCH_BITS;
        change.insert("epoch", row.epoch.cast_signed());
    }
    row.head = 0;
    change.insert("head", 0_i64);
    row.change(&shared.link, doc! { "$set": change })?;
    reconcile(shared, row)?;
    Ok(())
}

/// Takes back what an import that was not finished has left of this room: half a log is no log.
pub(super) fn take_back(shared: &Shared, name: &str) -> Result<(), StoreError> {
    let link = &shared.link;
    let imports = link.collection(IMPORTS);
    let Some(noted) = link.ask(imports.find_one(doc! { "_id": name }))? else {
        return find_or_create(shared, name, Purpose::Find, Timestamp::default()).map(|_| ());
    };
    shared.may_write()?;
    if !noted.get_bool("existed").unwrap_or(true) {
        registry::delete(shared, name)?;
        return Ok(());
    }
    let Some(row) = RoomLog::by_name(link, name)? else { return Ok(()) };
    let numbered = doc! { "roomId": name, "seq": { "$gt": 0 } };
    link.ask_patiently(link.collection(MESSAGES).delete_many(numbered).write_concern(durably()))?;
    stays::forget_room(link, row.id)?;
    let mut empty = floor_fields(Position::default());
    empty.insert("head", 0_i64);
    empty.insert("epochs", Vec::<Document>::new());
    row.change(link, doc! { "$set": empty })?;
    shared.heads.forget(row.id);
    link.ask(imports.delete_one(doc! { "_id": name }).write_concern(durably()))?;
    Ok(())
}

/// Takes back all imports that were interrupted.
pub(super) fn take_back_all(shared: &Shared) -> Result<(), StoreError> {
    let imports = gather(&shared.link, shared.link.collection(IMPORTS).find(doc! {}))?;
    for room in imports.iter().filter_map(|import| text(import, "_id")) {
        take_back(shared, room)?;
        tracing::warn!(room, "an import that was not finished was taken back");
    }
    Ok(())
}
