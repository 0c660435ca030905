//! Rooms in the order of their public ids. In the database those that are ObjectIds come behind all others, so there are
//! two lists to be read as one.

use std::collections::HashMap;

use mongodb::bson::oid::ObjectId;
use mongodb::bson::{Bson, Document, doc};

use super::documents::{LOGS, ROOMS, room_key, text};
use super::logs::{gather, read_settings};
use super::registry::read;
use super::shared::Shared;
use crate::rooms::store_api::RoomSettings;
use crate::store::error::StoreError;
use crate::store::values::{LIST_BYTES_MAX, RoomInfo, RoomQuery};

/// Names that are asked for at once.
const NAMES_AT_ONCE: usize = 500;

/// The rooms that are asked for.
pub(super) fn list(shared: &Shared, query: &RoomQuery) -> Result<Vec<RoomInfo>, StoreError> {
    let mut rooms = match query.names_after() {
        Some(names) => among(shared, query, &names)?,
        None => page(shared, query)?,
    };
    let names: Vec<&str> = rooms.iter().map(|room| &*room.id).collect();
    let mut settings = settings_of(shared, &names)?;
    for room in &mut rooms {
        room.settings = settings.remove(&room.id).unwrap_or_default();
    }
    Ok(rooms)
}

/// What fits of rooms that are in order.
fn fitting(rooms: impl Iterator<Item = RoomInfo>, query: &RoomQuery) -> Vec<RoomInfo> {
    let (mut taken, mut bytes) = (Vec::new(), 0);
    for room in rooms.take(query.limit) {
        bytes += room.text_bytes();
        taken.push(room);
        if bytes > LIST_BYTES_MAX {
            break;
        }
    }
    taken
}

fn among(shared: &Shared, query: &RoomQuery, names: &[&str]) -> Result<Vec<RoomInfo>, StoreError> {
    let mut found = Vec::new();
    let mut bytes = 0;
    for names in names.chunks(NAMES_AT_ONCE) {
        let keys: Vec<Bson> = names.iter().map(|name| room_key(name)).collect();
        let mut wanted = doc! { "_id": { "$in": keys } };
        if let Some(user) = &query.participant {
            wanted.insert("participants", &**user);
        }
        let mut rooms: Vec<RoomInfo> = read_until(shared, wanted, query.limit, None)?;
        rooms.sort_unstable_by(|one, other| one.id.cmp(&other.id));
        bytes += rooms.iter().map(RoomInfo::text_bytes).sum::<usize>();
        found.extend(rooms);
        if found.len() >= query.limit || bytes > LIST_BYTES_MAX {
            break;
        }
    }
    Ok(fitting(found.into_iter(), query))
}

fn page(shared: &Shared, query: &RoomQuery) -> Result<Vec<RoomInfo>, StoreError> {
    let after = query.after.as_deref().unwrap_or_default();
    let with_participant = |mut wanted: Document| {
        if let Some(user) = &query.participant {
            wanted.insert("participants", &**user);
        }
        wanted
    };
    let texts = with_participant(doc! { "_id": { "$gt": after } });
    let mut rooms = read_until(shared, texts, query.limit, Some(doc! { "_id": 1 }))?;
    if let Some(first) = first_object_id(after) {
        let objects = with_participant(doc! { "_id": { "$gte": first } });
        rooms.extend(read_until(shared, objects, query.limit, Some(doc! { "_id": 1 }))?);
    }
    rooms.sort_unstable_by(|one, other| one.id.cmp(&other.id));
    Ok(fitting(rooms.into_iter(), query))
}

/// Rooms as they are found, until there are enough of them.
fn read_until(
    shared: &Shared,
    wanted: Document,
    limit: usize,
    order: Option<Document>,
) -> Result<Vec<RoomInfo>, StoreError> {
    let rooms = shared.link.collection(ROOMS);
    let find = rooms.find(wanted).limit(i64::try_from(limit).unwrap_or(i64::MAX));
    let find = match order {
        Some(order) => find.sort(order),
        None => find,
    };
    let reading = async {
        let (mut cursor, mut found, mut bytes) = (find.await?, Vec::new(), 0);
        while bytes <= LIST_BYTES_MAX && cursor.advance().await? {
            if let Some(room) = read(&cursor.deserialize_current()?) {
                bytes += room.text_bytes();
                found.push(room);
            }
        }
        Ok(found)
    };
    Ok(shared.link.ask(reading)?)
}

fn settings_of(shared: &Shared, names: &[&str]) -> Result<HashMap<Box<str>, RoomSettings>, StoreError> {
    let mut settings = HashMap::new();
    for names in names.chunks(NAMES_AT_ONCE) {
        let logs = shared.link.collection(LOGS);
        let find = logs.find(doc! { "_id": { "$in": names.to_vec() } });
        for row in gather(&shared.link, find)? {
            if let Some(name) = text(&row, "_id") {
                settings.insert(name.into(), read_settings(&row));
            }
        }
    }
    Ok(settings)
}

/// The first ObjectId whose digits come behind `after` as texts are ordered; `None` if none does.
fn first_object_id(after: &str) -> Option<ObjectId> {
    const DIGITS: usize = 24;
    let mut value: u128 = 0;
    let mut count = 0;
    let mut bytes = after.bytes();
    let shifted = |value: u128, count: usize| value << (4 * (DIGITS - count));
    let first = loop {
        if count == DIGITS {
            // The same digits are before it, or equal to it.
            break value + 1;
        }
        match bytes.next() {
            // What begins with all of it is longer, and comes behind it.
            None => break shifted(value, count),
            Some(digit @ b'0'..=b'9') => value = value << 4 | u128::from(digit - b'0'),
            Some(digit @ b'a'..=b'f') => value = value << 4 | u128::from(digit - b'a' + 10),
            Some(other) if other < b'0' => break shifted(value, count),
            Some(other) if other < b'a' => break shifted(value << 4 | 10, count + 1),
            Some(_) => break shifted(value + 1, count),
        }
        count += 1;
    };
    let bytes = first.to_be_bytes();
    if bytes[..4] != [0; 4] {
        return None;
    }
    <[u8; 12]>::try_from(&bytes[4..]).ok().map(ObjectId::from_bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn object_ids_are_found_where_their_digits_stand_among_texts() {
        let all: Vec<String> = [
            "000000000000000000000000",
            "0fffffffffffffffffffffff",
            "5a0000000000000000000000",
            "5affffffffffffffffffffff",
            "5b0000000000000000000000",
            "ffffffffffffffffffffffff",
        ]
        .map(str::to_owned)
        .into();
        let afters = [
            "",
            "0",
            "5a",
            "5A",
            "5a!",
            "5az",
            "5a0000000000000000000000",
            "5a0000000000000000000000x",
            "lobby",
            "ffffffffffffffffffffffff",
            "f",
            "fz",
            "0fffffffffffffffffffffff",
            "~",
            "5:",
            "\u{fc}",
        ];
        for after in afters {
            let first = first_object_id(after).map(ObjectId::to_hex);
            for id in &all {
                let listed = first.as_ref().is_some_and(|first| id >= first);
                assert_eq!(listed, id.as_str() > after, "{id} after {after}");
            }
        }
    }
}
