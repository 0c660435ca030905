//! Which rooms there are, and their participants: `chat_rooms`, which other programs write to, too.

use std::sync::atomic::Ordering;

use mongodb::bson::{Bson, Document, doc};
use mongodb::options::ReturnDocument;

use super::burying::{bury, forget};
use super::documents::{CONDEMNED, LOGS, ROOMS, date, room_id, room_key, text};
use super::link::durably;
use super::logs::{RoomLog, read_settings, settings_fields};
use super::opening::find_or_create;
use super::shared::Shared;
use crate::rooms::Timestamp;
use crate::rooms::store_api::{RoomId, RoomSettings};
use crate::store::answer::Purpose;
use crate::store::error::StoreError;
use crate::store::values::{NewRoom, PARTICIPANTS_MAX, RoomInfo, made_up_id};

/// Creates a room.
pub(super) fn create(shared: &Shared, room: NewRoom) -> Result<RoomInfo, StoreError> {
    let id = room.id.clone().unwrap_or_else(|| made_up_id(room.created_at));
    let participants = room.created_by.iter().cloned().collect();
    let NewRoom { name, description, created_by, created_at, settings, .. } = room;
    let info = RoomInfo {
        id,
        name,
        description,
        created_by,
        participants,
        created_at: stored_time(created_at),
        settings,
    };
    shared.alone(&info.id, || {
        shared.may_write()?;
        if shared.link.ask(shared.link.collection(CONDEMNED).find_one(doc! { "_id": &*info.id }))?.is_some() {
            bury(shared, &info.id)?;
        }
        if RoomLog::by_name(&shared.link, &info.id)?.is_some() {
            return Err(StoreError::RoomExists);
        }
        insert(shared, &info)
    })?;
    Ok(info)
}

/// Creates the room as it is said, which is not there.
pub(super) fn insert(shared: &Shared, info: &RoomInfo) -> Result<(), StoreError> {
    let participants: Vec<&str> = info.participants.iter().map(|user| &**user).collect();
    let document = doc! {
        "_id": room_key(&info.id),
        "name": &*info.name,
        "description": &*info.description,
        "createdBy": info.created_by.as_deref(),
        "participants": participants,
        "createdAt": date(info.created_at),
    };
    let rooms = shared.link.collection(ROOMS);
    let insert = rooms.insert_one(&document).write_concern(durably());
    match shared.link.ask(insert) {
        Ok(_) => {}
        Err(fault) if fault.is_duplicate() => return Err(StoreError::RoomExists),
        Err(fault) => return Err(fault.into()),
    }
    RoomLog::create(&shared.link, &info.id, &info.settings)?;
    Ok(())
}

/// A date has milliseconds.
fn stored_time(at: Timestamp) -> Timestamp {
    Timestamp::from_micros(at.micros() / 1000 * 1000)
}

/// The room of this public id.
pub(super) fn info(shared: &Shared, id: &str) -> Result<RoomInfo, StoreError> {
    let room = shared.link.ask(shared.link.collection(ROOMS).find_one(doc! { "_id": room_key(id) }))?;
    with_settings(shared, &room.ok_or(StoreError::NoSuchRoom)?)
}

fn with_settings(shared: &Shared, room: &Document) -> Result<RoomInfo, StoreError> {
    let mut info = read(room).ok_or(StoreError::NoSuchRoom)?;
    let row = shared.link.ask(shared.link.collection(LOGS).find_one(doc! { "_id": &*info.id }))?;
    info.settings = row.as_ref().map(read_settings).unwrap_or_default();
    Ok(info)
}

/// A room without its settings; `None` if another program has given it an id of another kind.
pub(super) fn read(room: &Document) -> Option<RoomInfo> {
    let id = room_id(room)?;
    let owned = |key| text(room, key).map(Box::<str>::from);
    let participants = room.get_array("participants").map(Vec::as_slice).unwrap_or_default();
    let created = room.get_datetime("createdAt").map_or(0, |date| date.timestamp_millis());
    Some(RoomInfo {
        name: owned("name").unwrap_or_else(|| id.clone()),
        description: owned("description").unwrap_or_default(),
        created_by: owned("createdBy"),
        participants: participants.iter().filter_map(Bson::as_str).map(Box::from).collect(),
        created_at: Timestamp::from_micros(u64::try_from(created).unwrap_or(0).saturating_mul(1000)),
        settings: RoomSettings::default(),
        id,
    })
}

/// Adds a participant, unless it is one.
pub(super) fn join(shared: &Shared, id: &str, user: &str) -> Result<RoomInfo, StoreError> {
    shared.may_write()?;
    let key = doc! { "_id": room_key(id) };
    let last = format!("participants.{}", PARTICIPANTS_MAX - 1);
    let has_place = doc! { "_id": room_key(id), &last: { "$exists": false } };
    let add = doc! { "$addToSet": { "participants": user } };
    let rooms = shared.link.collection(ROOMS);
    let joined = || {
        let join = rooms.find_one_and_update(has_place.clone(), add.clone());
        shared.link.ask(join.return_document(ReturnDocument::After).write_concern(durably()))
    };
    let room = match joined() {
        Ok(room) => room,
        Err(fault) if fault.code().is_some() => {
            // Another program has left no list there.
            let none = doc! { "_id": room_key(id), "participants": { "$not": { "$type": "array" } } };
            let list = doc! { "$set": { "participants": [] } };
            shared.link.ask(rooms.update_one(none, list).write_concern(durably()))?;
            joined()?
        }
        Err(fault) => return Err(fault.into()),
    };
    if let Some(room) = room {
        return with_settings(shared, &room);
    }
    let full = shared.link.ask(rooms.find_one(key))?.ok_or(StoreError::NoSuchRoom)?;
    let info = with_settings(shared, &full)?;
    let is_in = info.participants.iter().any(|participant| **participant == *user);
    if is_in { Ok(info) } else { Err(StoreError::TooManyParticipants) }
}

/// Removes a participant, if it is one.
pub(super) fn leave(shared: &Shared, id: &str, user: &str) -> Result<RoomInfo, StoreError> {
    shared.may_write()?;
    let rooms = shared.link.collection(ROOMS);
    let is_in = doc! { "_id": room_key(id), "participants": user };
    let remove = rooms.update_one(is_in, doc! { "$pull": { "participants": user } });
    shared.link.ask(remove.write_concern(durably()))?;
    info(shared, id)
}

/// Changes what a room has its own way; says which room that is.
pub(super) fn configure(shared: &Shared, id: &str, settings: RoomSettings) -> Result<RoomId, StoreError> {
    shared.may_write()?;
    let row = shared.alone(id, || find_or_create(shared, id, Purpose::Find, Timestamp::default()))?;
    row.change(&shared.link, doc! { "$set": settings_fields(&settings) })?;
    shared.heads.change(row.id, |head| head.settings = settings);
    Ok(row.id)
}

/// Deletes a room; its messages vanish at once and are removed little by little.
pub(super) fn delete(shared: &Shared, id: &str) -> Result<RoomId, StoreError> {
    shared.may_write()?;
    shared.alone(id, || {
        // One that was never opened here gets a number all the same, which no other room has then.
        let row = find_or_create(shared, id, Purpose::Find, Timestamp::default())?;
        let mark = doc! { "$set": { "room": row.id.0 } };
        let condemned = shared.link.collection(CONDEMNED);
        let condemn = condemned.update_one(doc! { "_id": id }, mark).upsert(true);
        shared.link.ask(condemn.write_concern(durably()))?;
        forget(shared, id, row.id)?;
        shared.has_condemned.store(true, Ordering::Relaxed);
        Ok(row.id)
    })
}
