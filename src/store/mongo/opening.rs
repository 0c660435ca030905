//! Rooms are opened: what a crash or another program has left is put in order first.

use mongodb::bson::{Document, doc};

use super::append::ROUND_RECORDS_MAX;
use super::burying::bury;
use super::documents::{CONDEMNED, MESSAGES, Position, date, room_key, signed};
use super::heads::Head;
use super::link::durably;
use super::logs::{RoomLog, SEGMENTS_MAX, Segment, floor_fields, segments_field};
use super::numbering;
use super::page::{Range, as_it_stands, kept_floor, newest_first, recent_ids};
use super::shared::Shared;
use super::stays::open_stays;
use crate::rooms::log::Window;
use crate::rooms::store_api::{Durability, Numbering, Opened, RoomId, RoomSettings};
use crate::rooms::{ID_EPOCH_BITS, Timestamp};
use crate::store::answer::Purpose;
use crate::store::entropy::random_change;
use crate::store::error::StoreError;

/// Opens the room of this name.
pub(super) fn open(
    shared: &Shared,
    name: &str,
    purpose: Purpose,
    now: Timestamp,
) -> Result<Opened, StoreError> {
    let row = shared.alone(name, || {
        let mut row = find_or_create(shared, name, purpose, now)?;
        if let Purpose::Renew(id) = purpose {
            if row.id != id {
                // Another one has the name by now.
                return Err(StoreError::NoSuchRoom);
            }
            shared.quarantine.check(id)?;
            renew(shared, &mut row)?;
        }
        shared.quarantine.guard(row.id, || reconcile(shared, &mut row))?;
        Ok(row)
    })?;
    as_it_stands(shared, row.id, |head| opened(shared, &row, head, now))
}

/// The room of this name, whose documents are in order: for those who read it by its name.
pub(super) fn reconciled(shared: &Shared, name: &str) -> Result<RoomId, StoreError> {
    if let Some(room) = shared.heads.by_name(name) {
        return Ok(room);
    }
    shared.alone(name, || {
        let mut row = find_or_create(shared, name, Purpose::Find, Timestamp::default())?;
        if !shared.heads.was_opened(row.id) {
            shared.quarantine.guard(row.id, || reconcile(shared, &mut row))?;
        }
        Ok(row.id)
    })
}

/// The row of a room; one that is not known yet is there if it was created, or has messages, or is to be created.
pub(super) fn find_or_create(
    shared: &Shared,
    name: &str,
    purpose: Purpose,
    now: Timestamp,
) -> Result<RoomLog, StoreError> {
    let link = &shared.link;
    // What is left of a room that was deleted is none of this one.
    if link.ask(link.collection(CONDEMNED).find_one(doc! { "_id": name }))?.is_some() {
        shared.may_write()?;
        bury(shared, name)?;
    }
    let row = RoomLog::by_name(link, name)?;
    let is_known = row.is_some() || matches!(purpose, Purpose::Create) || exists(shared, name)?;
    if !is_known || (row.is_none() && matches!(purpose, Purpose::Renew(_))) {
        return Err(StoreError::NoSuchRoom);
    }
    if matches!(purpose, Purpose::Create) {
        create_document(shared, name, now)?;
    }
    match row {
        Some(row) => Ok(row),
        None => {
            shared.may_write()?;
            RoomLog::create(link, name, &RoomSettings::default())
        }
    }
}

fn exists(shared: &Shared, name: &str) -> Result<bool, StoreError> {
    let link = &shared.link;
    let rooms = link.collection(super::documents::ROOMS);
    if link.ask(rooms.find_one(doc! { "_id": room_key(name) }))?.is_some() {
        return Ok(true);
    }
    let messages = link.collection(MESSAGES);
    let one = messages.find_one(doc! { "roomId": name }).projection(doc! { "_id": 1 });
    Ok(link.ask(one)?.is_some())
}

/// Sees to it that the room is one for other programs, too.
fn create_document(shared: &Shared, name: &str, now: Timestamp) -> Result<(), StoreError> {
    let rooms = shared.link.collection(super::documents::ROOMS);
    let key = doc! { "_id": room_key(name) };
    if shared.link.ask(rooms.find_one(key.clone()).projection(doc! { "_id": 1 }))?.is_some() {
        return Ok(());
    }
    shared.may_write()?;
    let room = doc! { "name": name, "description": "", "createdAt": date(now), "participants": [] };
    let create = rooms.update_one(key, doc! { "$setOnInsert": room }).upsert(true).write_concern(durably());
    match shared.link.ask(create) {
        Ok(_) => Ok(()),
        // Another program was faster.
        Err(fault) if fault.is_duplicate() => Ok(()),
        Err(fault) => Err(fault.into()),
    }
}

/// Gives the log another epoch, because messages were shown that it lacks.
fn renew(shared: &Shared, row: &mut RoomLog) -> Result<(), StoreError> {
    shared.may_write()?;
    row.epoch = random_change() | row.epoch & ID_EPOCH_BITS;
    row.change(&shared.link, doc! { "$set": { "epoch": row.epoch.cast_signed() } })
}

/// Puts the documents of a room in order, and says where its log stands.
pub(super) fn reconcile(shared: &Shared, row: &mut RoomLog) -> Result<Head, StoreError> {
    let link = &shared.link;
    check_numbers(shared, row)?;
    take_latecomers_out(shared, row)?;
    let mut newest = row.newest(link)?.unwrap_or(row.floor);
    if row.head > newest.seq {
        newest = begin_above_what_is_lost(shared, row, newest)?;
    }
    note_epoch(shared, row, newest.seq)?;
    let end = numbering::number_new(shared, row, newest)?;
    let head = shared.head_of(row, end);
    shared.heads.opened(row.id, head.clone());
    Ok(head)
}

/// Numbers that no log has.
fn check_numbers(shared: &Shared, row: &RoomLog) -> Result<(), StoreError> {
    let messages = shared.link.collection(MESSAGES);
    for odd in [doc! { "$lte": 0 }, doc! { "$gte": "" }] {
        let one = messages.find_one(doc! { "roomId": &*row.name, "seq": odd });
        if let Some(document) = shared.link.ask(one)? {
            let what = format_args!(
                "the document {} has the number {}",
                told(&document, "_id"),
                told(&document, "seq")
            );
            return Err(StoreError::room_damaged(row.id, what));
        }
    }
    Ok(())
}

fn told(document: &Document, key: &str) -> String {
    document.get(key).map(ToString::to_string).unwrap_or_default()
}

/// Messages under the last epoch but one that were inserted after the last one had begun: nobody has waited for them, and
/// others have their numbers. They are numbered anew at the end.
fn take_latecomers_out(shared: &Shared, row: &RoomLog) -> Result<(), StoreError> {
    let [_, .., last] = row.segments.as_slice() else { return Ok(()) };
    // No more than a few rounds of the writer can come so late.
    let range = doc! { "$gte": signed(last.from), "$lt": signed(last.from + 4 * ROUND_RECORDS_MAX as u64) };
    let late = doc! { "roomId": &*row.name, "seq": range, "epoch": { "$ne": last.epoch.cast_signed() } };
    let messages = shared.link.collection(MESSAGES);
    if shared.link.ask(messages.find_one(late.clone()))?.is_some() {
        shared.may_write()?;
        let without = doc! { "$unset": { "seq": "", "epoch": "", "bytesEnd": "" } };
        shared.link.ask(messages.update_many(late, without).write_concern(durably()))?;
    }
    Ok(())
}

/// The head that was noted is above all entries: some are lost. The log goes on above it, under another epoch.
fn begin_above_what_is_lost(
    shared: &Shared,
    row: &mut RoomLog,
    newest: Position,
) -> Result<Position, StoreError> {
    let (room, stored, noted) = (&*row.name, newest.seq, row.head);
    tracing::warn!(
        room,
        stored,
        noted,
        "the newest messages of a room are lost: its log goes on under another epoch"
    );
    renew(shared, row)?;
    row.floor = Position { seq: row.head, ..newest };
    row.change(&shared.link, doc! { "$set": floor_fields(row.floor) })?;
    Ok(row.floor)
}

/// Notes where the room's epoch began, before anything has it.
fn note_epoch(shared: &Shared, row: &mut RoomLog, newest: u64) -> Result<(), StoreError> {
    let epoch = shared.epoch(row);
    let is_noted = row.segments.last().is_some_and(|last| last.epoch == epoch);
    if is_noted || shared.durability(row) == Durability::Off {
        return Ok(());
    }
    shared.may_write()?;
    row.segments.push(Segment { epoch, from: newest + 1 });
    let surplus = row.segments.len().saturating_sub(SEGMENTS_MAX);
    row.segments.drain(..surplus);
    row.change(&shared.link, doc! { "$set": { "epochs": segments_field(&row.segments) } })
}

fn opened(shared: &Shared, row: &RoomLog, head: &Head, now: Timestamp) -> Result<Opened, StoreError> {
    let floor = kept_floor(shared, row.id, head, now)?;
    let Window { messages, bytes } = shared.options.window;
    let range = Range {
        room: row.id,
        after: floor.seq,
        upto: head.head.seq,
        messages_max: messages,
        bytes_max: bytes,
    };
    let mut recent = newest_first(shared, head, range)?;
    recent.reverse();
    let window = u64::try_from(shared.options.dedup_window.as_micros()).unwrap_or(u64::MAX);
    let ids_after = Timestamp::from_micros(now.micros().saturating_sub(window));
    Ok(Opened {
        id: row.id,
        epoch: head.epoch,
        head: head.head.seq,
        tail: floor.seq + 1,
        gone_at: floor.at,
        last_at: head.head.at,
        recent,
        recent_ids: recent_ids(shared, row.id, (head, floor), ids_after)?,
        open_stays: open_stays(&shared.link, row.id, &row.name, head.head.seq)?,
        durability: shared.durability(row),
        retention: row.settings.retention(shared.options.retention),
        numbering: Numbering::Shard,
    })
}
