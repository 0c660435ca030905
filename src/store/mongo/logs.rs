//! What is kept of each room beside its messages: `foghorn_rooms`.

use std::time::Duration;

use mongodb::bson::{Bson, Document, doc};
use mongodb::options::ReturnDocument;

use super::documents::{
    LOGS, MESSAGES, META, Position, integer, natural, position, position_fields, signed, text,
};
use super::link::{Fault, Link, durably};
use crate::rooms::Timestamp;
use crate::rooms::store_api::{Durability, RoomId, RoomSettings};
use crate::store::entropy::random;
use crate::store::error::StoreError;

/// Where an epoch began.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Segment {
    pub(super) epoch: u64,
    /// Its first number.
    pub(super) from: u64,
}

/// Beginnings of epochs that are kept of a room.
// An epoch that is older than so many others says nothing about messages any more that are still read under it.
pub(super) const SEGMENTS_MAX: usize = 64;

/// What is kept of a room.
#[derive(Clone, Debug)]
pub(super) struct RoomLog {
    pub(super) id: RoomId,
    pub(super) name: Box<str>,
    /// The room's own part of its epoch.
    pub(super) epoch: u64,
    pub(super) settings: RoomSettings,
    /// Up to where retention has deleted.
    pub(super) floor: Position,
    /// The head as it was noted last: not higher than the entries, unless some are lost.
    pub(super) head: u64,
    /// Oldest first.
    pub(super) segments: Vec<Segment>,
}

impl RoomLog {
    pub(super) fn by_name(link: &Link, name: &str) -> Result<Option<RoomLog>, StoreError> {
        let found = link.ask(link.collection(LOGS).find_one(doc! { "_id": name }))?;
        Ok(found.as_ref().and_then(RoomLog::read))
    }

    pub(super) fn by_id(link: &Link, id: RoomId) -> Result<Option<RoomLog>, StoreError> {
        let found = link.ask(link.collection(LOGS).find_one(doc! { "room": id.0 }))?;
        Ok(found.as_ref().and_then(RoomLog::read))
    }

    /// Makes a room known; one that has become known meanwhile stays as it is.
    pub(super) fn create(link: &Link, name: &str, settings: &RoomSettings) -> Result<RoomLog, StoreError> {
        let id = allot(link)?;
        let mut row = doc! { "_id": name, "room": id.0, "epoch": random().cast_signed(), "floor": 0_i64, "head": 0_i64 };
        row.extend(settings_fields(settings));
        let inserted = link.ask(link.collection(LOGS).insert_one(&row).write_concern(durably()));
        match inserted {
            Ok(_) => {}
            Err(fault) if fault.is_duplicate() => {}
            Err(fault) => return Err(fault.into()),
        }
        RoomLog::by_name(link, name)?.ok_or(StoreError::NoSuchRoom)
    }

    pub(super) fn read(document: &Document) -> Option<RoomLog> {
        let segments = document.get_array("epochs").map(|list| list.iter().filter_map(segment).collect());
        Some(RoomLog {
            id: RoomId(integer(document, "room")?),
            name: text(document, "_id")?.into(),
            epoch: integer(document, "epoch")?.cast_unsigned(),
            settings: read_settings(document),
            floor: Position {
                seq: natural(document, "floor"),
                at: Timestamp::from_micros(natural(document, "floorAt")),
                bytes: natural(document, "floorBytes"),
            },
            head: natural(document, "head"),
            segments: segments.unwrap_or_default(),
        })
    }

    /// Changes fields of the row.
    pub(super) fn change(&self, link: &Link, change: Document) -> Result<(), StoreError> {
        let logs = link.collection(LOGS);
        let update = logs.update_one(doc! { "_id": &*self.name, "room": self.id.0 }, change);
        link.ask(update.write_concern(durably()))?;
        Ok(())
    }

    /// The position after the newest entry; `None` if there is none above the floor.
    pub(super) fn newest(&self, link: &Link) -> Result<Option<Position>, StoreError> {
        // Most entries are below the head that was noted, and need not be looked at.
        let above = self.head.max(self.floor.seq + 1);
        let near = newest_from(link, &self.name, above)?;
        if near.is_some() || above <= self.floor.seq + 1 {
            return Ok(near);
        }
        newest_from(link, &self.name, self.floor.seq + 1)
    }
}

fn newest_from(link: &Link, name: &str, seq: u64) -> Result<Option<Position>, StoreError> {
    let messages = link.collection(MESSAGES);
    let newest = messages.find_one(doc! { "roomId": name, "seq": { "$gte": signed(seq) } });
    let newest = newest.sort(doc! { "seq": -1 }).projection(position_fields());
    Ok(link.ask_patiently(newest)?.as_ref().map(position))
}

/// The position after the message `seq`, which must exist.
pub(super) fn position_at(link: &Link, room: RoomId, name: &str, seq: u64) -> Result<Position, StoreError> {
    let messages = link.collection(MESSAGES);
    let found = messages.find_one(doc! { "roomId": name, "seq": signed(seq) }).projection(position_fields());
    let found = link.ask(found)?;
    found.as_ref().map(position).ok_or_else(|| missing(room, seq))
}

/// What a hole in a log is.
pub(super) fn missing(room: RoomId, seq: u64) -> StoreError {
    StoreError::room_damaged(room, format_args!("message {seq} is missing"))
}

/// Positions that are looked up at once in a search.
// Four questions find one of a million messages; the answer to each is small.
const SEARCHED_AT_ONCE: u64 = 31;

/// The last position from `low` to `high` for which `passed` holds, where it holds up to some position and for none
/// after that. It is taken for granted at `low`.
pub(super) fn last_position(
    link: &Link,
    (room, name): (RoomId, &str),
    (mut low, high): (Position, u64),
    passed: impl Fn(Position) -> bool,
) -> Result<Position, StoreError> {
    let mut end = high + 1;
    while low.seq + 1 < end {
        let step = (end - low.seq).div_ceil(SEARCHED_AT_ONCE + 1).max(1);
        let looked_up: Vec<u64> = (1..=SEARCHED_AT_ONCE)
            .map(|number| low.seq + number * step)
            .take_while(|seq| *seq < end)
            .collect();
        for (seq, position) in looked_up.iter().zip(positions(link, (room, name), &looked_up)?) {
            if !passed(position) {
                end = *seq;
                break;
            }
            low = position;
        }
    }
    Ok(low)
}

fn positions(link: &Link, (room, name): (RoomId, &str), seqs: &[u64]) -> Result<Vec<Position>, StoreError> {
    let wanted: Vec<i64> = seqs.iter().copied().map(signed).collect();
    let messages = link.collection(MESSAGES);
    let found =
        messages.find(doc! { "roomId": name, "seq": { "$in": wanted } }).projection(position_fields());
    let mut found: Vec<Position> = gather(link, found)?.iter().map(position).collect();
    found.sort_unstable_by_key(|position| position.seq);
    found.dedup_by_key(|position| position.seq);
    match seqs.iter().zip(&found).find(|(seq, position)| **seq != position.seq) {
        Some((seq, _)) => Err(missing(room, *seq)),
        None if found.len() < seqs.len() => Err(missing(room, seqs[found.len()])),
        None => Ok(found),
    }
}

/// All documents that are found. What asks sees to it that they are few.
pub(super) fn gather(link: &Link, find: mongodb::action::Find<'_, Document>) -> Result<Vec<Document>, Fault> {
    link.ask(async {
        let (mut cursor, mut found) = (find.await?, Vec::new());
        while cursor.advance().await? {
            found.push(cursor.deserialize_current()?);
        }
        Ok(found)
    })
}

/// A number that no room has had.
fn allot(link: &Link) -> Result<RoomId, StoreError> {
    let meta = link.collection(META);
    let next = meta.find_one_and_update(doc! { "_id": "rooms" }, doc! { "$inc": { "last": 1_i64 } });
    let next = next.return_document(ReturnDocument::After).write_concern(durably());
    let last = link.ask(next)?.as_ref().and_then(|counter| integer(counter, "last"));
    last.map(RoomId).ok_or_else(|| StoreError::damaged("the number of the last room is missing"))
}

/// The number of the last room that there was.
pub(super) fn last_allotted(link: &Link) -> Result<i64, StoreError> {
    let counter = link.ask(link.collection(META).find_one(doc! { "_id": "rooms" }))?;
    Ok(counter.as_ref().and_then(|counter| integer(counter, "last")).unwrap_or(0))
}

fn segment(entry: &Bson) -> Option<Segment> {
    let entry = entry.as_document()?;
    Some(Segment { epoch: integer(entry, "epoch")?.cast_unsigned(), from: natural(entry, "from") })
}

/// The segments as they are stored.
pub(super) fn segments_field(segments: &[Segment]) -> Vec<Document> {
    let document =
        |segment: &Segment| doc! { "epoch": segment.epoch.cast_signed(), "from": signed(segment.from) };
    segments.iter().map(document).collect()
}

/// A floor as fields of the row.
pub(super) fn floor_fields(floor: Position) -> Document {
    doc! {
        "floor": signed(floor.seq),
        "floorAt": signed(floor.at.micros()),
        "floorBytes": signed(floor.bytes),
    }
}

/// What a room has its own way, as fields of its row; what it has not is `null`.
pub(super) fn settings_fields(settings: &RoomSettings) -> Document {
    let number = |value: Option<u64>| value.map_or(Bson::Null, |value| Bson::Int64(signed(value)));
    let micros = |age: Duration| u64::try_from(age.as_micros()).unwrap_or(u64::MAX);
    doc! {
        "durability": settings.durability.map(|durability| durability.name().to_owned()),
        "messagesMax": number(settings.messages_max),
        "bytesMax": number(settings.bytes_max),
        "ageMax": number(settings.age_max.map(micros)),
    }
}

/// What a row says of settings.
pub(super) fn read_settings(document: &Document) -> RoomSettings {
    let number = |key| integer(document, key).and_then(|value| u64::try_from(value).ok());
    RoomSettings {
        durability: text(document, "durability").and_then(Durability::from_name),
        messages_max: number("messagesMax"),
        bytes_max: number("bytesMax"),
        age_max: number("ageMax").map(Duration::from_micros),
    }
}
