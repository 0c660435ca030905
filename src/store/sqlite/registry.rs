//! Rooms and their participants, as the REST interface shows them.

use rusqlite::{Connection, OptionalExtension, Row};

use super::log_writer::LogWriter;
use super::rows::{LogRow, integer, read_settings};
use crate::rooms::store_api::{RoomId, RoomSettings};
use crate::rooms::{ID_EPOCH_BITS, Timestamp};
use crate::store::entropy::{random, random_change};
use crate::store::error::StoreError;
use crate::store::values::{
    Import, LIST_BYTES_MAX, NewRoom, PARTICIPANTS_MAX, RoomInfo, RoomQuery, batch_of, made_up_id,
};

const BY_NAME: &str =
    "SELECT id, public_id, name, description, created_by, created_at, durability, messages_max, bytes_max, age_max
     FROM rooms WHERE public_id = ?1";

/// Sees to it that the room exists.
pub(super) fn open(conn: &Connection, public_id: &str, now: Timestamp) -> Result<(), StoreError> {
    if !exists(conn, public_id)? {
        let room = NewRoom { name: public_id.into(), created_at: now, ..NewRoom::default() };
        insert(conn, public_id, &room)?;
    }
    Ok(())
}

/// Gives the log of this room another epoch, because messages were shown that it lacks.
pub(super) fn renew(conn: &Connection, id: RoomId, public_id: &str) -> Result<(), StoreError> {
    let renew = "UPDATE rooms SET epoch = (epoch & ?4) | ?3 WHERE id = ?1 AND public_id = ?2";
    let kept = ID_EPOCH_BITS.cast_signed();
    conn.execute(renew, (id.0, public_id, random_change().cast_signed(), kept))?;
    Ok(())
}

pub(super) fn create(conn: &Connection, room: NewRoom) -> Result<RoomInfo, StoreError> {
    let public_id = room.id.clone().unwrap_or_else(|| made_up_id(room.created_at));
    if exists(conn, &public_id)? {
        return Err(StoreError::RoomExists);
    }
    let id = insert(conn, &public_id, &room)?;
    if let Some(creator) = &room.created_by {
        add_participant(conn, id, creator)?;
    }
    Ok(RoomInfo {
        id: public_id,
        name: room.name,
        description: room.description,
        participants: room.created_by.iter().cloned().collect(),
        created_by: room.created_by,
        created_at: room.created_at,
        settings: room.settings,
    })
}

/// Deletes a room; its messages vanish at once and are removed from the disk little by little.
pub(super) fn delete(conn: &Connection, log: &mut LogWriter, public_id: &str) -> Result<RoomId, StoreError> {
    let id = id_of(conn, public_id)?.ok_or(StoreError::NoSuchRoom)?;
    conn.execute("DELETE FROM rooms WHERE id = ?1", [id.0])?;
    conn.execute("DELETE FROM participants WHERE room = ?1", [id.0])?;
    conn.execute("DELETE FROM imports WHERE room = ?1", [id.0])?;
    conn.execute("DELETE FROM stays WHERE room = ?1", [id.0])?;
    conn.execute("INSERT INTO condemned (room) VALUES (?1)", [id.0])?;
    log.heads.condemn(id);
    Ok(id)
}

pub(super) fn join(conn: &Connection, public_id: &str, user: &str) -> Result<RoomInfo, StoreError> {
    let id = id_of(conn, public_id)?.ok_or(StoreError::NoSuchRoom)?;
    add_participant(conn, id, user)?;
    info(conn, public_id)
}

pub(super) fn leave(conn: &Connection, public_id: &str, user: &str) -> Result<RoomInfo, StoreError> {
    let id = id_of(conn, public_id)?.ok_or(StoreError::NoSuchRoom)?;
    conn.prepare_cached("DELETE FROM participants WHERE room = ?1 AND user = ?2")?.execute((id.0, user))?;
    info(conn, public_id)
}

/// Changes what a room has its own way.
pub(super) fn configure(
    conn: &Connection,
    log: &mut LogWriter,
    public_id: &str,
    settings: &RoomSettings,
) -> Result<(), StoreError> {
    let id = id_of(conn, public_id)?.ok_or(StoreError::NoSuchRoom)?;
    conn.execute(
        "UPDATE rooms SET durability = ?2, messages_max = ?3, bytes_max = ?4, age_max = ?5 WHERE id = ?1",
        (
            id.0,
            settings.durability.map(|durability| durability.name()),
            settings.messages_max.map(integer),
            settings.bytes_max.map(integer),
            age_micros(settings),
        ),
    )?;
    log.heads.reconsider(id);
    Ok(())
}

/// The room of this public id.
pub(super) fn info(conn: &Connection, public_id: &str) -> Result<RoomInfo, StoreError> {
    let mut query = conn.prepare_cached(BY_NAME)?;
    let found = query.query_row([public_id], read_room).optional()?;
    let (id, room) = found.ok_or(StoreError::NoSuchRoom)?;
    with_participants(conn, id, room)
}

/// Pages by public id: an id has its place in this order whether a room has it, had it once, or has it again.
pub(super) fn list(conn: &Connection, query: &RoomQuery) -> Result<Vec<RoomInfo>, StoreError> {
    let snapshot = conn.unchecked_transaction()?;
    let after = query.after.as_deref().unwrap_or_default();
    let (mut rooms, mut bytes) = (Vec::new(), 0);
    let mut take = |(id, room): (RoomId, RoomInfo)| -> Result<bool, StoreError> {
        let room = with_participants(&snapshot, id, room)?;
        if query.participant.as_ref().is_none_or(|user| room.participants.contains(user)) {
            bytes += room.text_bytes();
            rooms.push(room);
        }
        Ok(rooms.len() < query.limit && bytes <= LIST_BYTES_MAX)
    };
    if let Some(names) = query.names_after() {
        let mut select = snapshot.prepare_cached(BY_NAME)?;
        for name in names {
            if let Some(row) = select.query_row([name], read_room).optional()?
                && !take(row)?
            {
                break;
            }
        }
        return Ok(rooms);
    }
    let sql = match query.participant {
        None => {
            "SELECT id, public_id, name, description, created_by, created_at, durability, messages_max, bytes_max,
                    age_max FROM rooms
             WHERE public_id > ?1 AND ?2 IS NULL ORDER BY public_id LIMIT ?3"
        }
        Some(_) => {
            "SELECT rooms.id, public_id, name, description, created_by, created_at, durability, messages_max, bytes_max,
                    age_max
             FROM participants JOIN rooms ON rooms.id = participants.room
             WHERE public_id > ?1 AND participants.user = ?2 ORDER BY public_id LIMIT ?3"
        }
    };
    let mut select = snapshot.prepare_cached(sql)?;
    let limit = integer(query.limit as u64);
    for row in select.query_map((after, query.participant.as_deref(), limit), read_room)? {
        if !take(row?)? {
            break;
        }
    }
    Ok(rooms)
}

/// Puts messages into a room; says the number of the last one.
pub(super) fn import(
    conn: &Connection,
    log: &mut LogWriter,
    import: &Import,
    now: Timestamp,
) -> Result<u64, StoreError> {
    let first = import.messages.first();
    let existed = exists(conn, &import.room)?;
    match &import.about {
        Some(about) if !existed => create_as(conn, &import.room, about)?,
        Some(_) | None => open(conn, &import.room, first.map_or(now, |message| message.at))?,
    }
    let room = LogRow::by_name(conn, &import.room)?.ok_or(StoreError::NoSuchRoom)?;
    match import.after {
        None if room.head.seq > 0 => return Err(StoreError::RoomExists),
        Some(after) if room.head.seq != after => {
            return Err(StoreError::OutOfOrder {
                room: room.id,
                expected: room.head.seq + 1,
                found: after + 1,
            });
        }
        None | Some(_) => {}
    }
    if let (None, Some(first)) = (import.after, first) {
        let floor = first.seq.checked_sub(1).ok_or(StoreError::Malformed)?;
        conn.execute("UPDATE rooms SET floor = ?2 WHERE id = ?1", (room.id.0, integer(floor)))?;
        if let Some(id_epoch) = import.id_epoch {
            let epoch = random_change() | id_epoch & ID_EPOCH_BITS;
            conn.execute("UPDATE rooms SET epoch = ?2 WHERE id = ?1", (room.id.0, epoch.cast_signed()))?;
        }
    }
    log.heads.forget(room.id);
    let batch = batch_of(room.id, &import.messages);
    if let Some((_, refusal)) = log.append(conn, &batch)?.into_iter().next() {
        return Err(refusal);
    }
    match (import.after, import.is_last) {
        (_, true) => conn.execute("DELETE FROM imports WHERE room = ?1", [room.id.0])?,
        (None, false) => conn.execute(
            "INSERT OR REPLACE INTO imports (room, existed) VALUES (?1, ?2)",
            (room.id.0, existed),
        )?,
        (Some(_), false) => 0,
    };
    Ok(import.messages.last().map_or(room.head.seq, |message| message.seq))
}

/// Creates a room as it was elsewhere.
fn create_as(conn: &Connection, public_id: &str, about: &RoomInfo) -> Result<(), StoreError> {
    let RoomInfo { name, description, created_by, created_at, settings, participants, .. } = about.clone();
    let room = NewRoom { id: None, name, description, created_by, created_at, settings };
    let id = insert(conn, public_id, &room)?;
    participants.iter().try_for_each(|user| add_participant(conn, id, user))
}

/// Takes back what an import that was not finished has left of this room: half a log is no log.
pub(super) fn take_back(conn: &Connection, log: &mut LogWriter, public_id: &str) -> Result<(), StoreError> {
    let id = id_of(conn, public_id)?.ok_or(StoreError::NoSuchRoom)?;
    let existed = "SELECT existed FROM imports WHERE room = ?1";
    let Some(existed) = conn.query_row(existed, [id.0], |row| row.get::<_, bool>(0)).optional()? else {
        return Ok(());
    };
    if existed {
        conn.execute("DELETE FROM messages WHERE room = ?1", [id.0])?;
        conn.execute("UPDATE rooms SET floor = 0, floor_at = 0, floor_bytes = 0 WHERE id = ?1", [id.0])?;
        log.heads.forget(id);
    } else {
        delete(conn, log, public_id)?;
    }
    conn.execute("DELETE FROM imports WHERE room = ?1", [id.0])?;
    Ok(())
}

/// Takes back all imports that were interrupted.
pub(super) fn take_back_all(conn: &Connection, log: &mut LogWriter) -> Result<(), StoreError> {
    let mut query = conn.prepare("SELECT public_id FROM imports JOIN rooms ON rooms.id = imports.room")?;
    let rooms = query.query_map([], |row| row.get::<_, Box<str>>(0))?.collect::<Result<Vec<_>, _>>()?;
    for room in rooms {
        let tx = conn.unchecked_transaction()?;
        take_back(&tx, log, &room)?;
        tx.commit()?;
        tracing::warn!(%room, "an import that was not finished was taken back");
    }
    Ok(())
}

fn exists(conn: &Connection, public_id: &str) -> Result<bool, StoreError> {
    Ok(id_of(conn, public_id)?.is_some())
}

/// The internal id of the room of this public id.
pub(super) fn id_of(conn: &Connection, public_id: &str) -> Result<Option<RoomId>, StoreError> {
    let mut query = conn.prepare_cached("SELECT id FROM rooms WHERE public_id = ?1")?;
    Ok(query.query_row([public_id], |row| row.get(0)).optional()?.map(RoomId))
}

fn insert(conn: &Connection, public_id: &str, room: &NewRoom) -> Result<RoomId, StoreError> {
    let NewRoom { name, description, created_by, created_at, settings, .. } = room;
    let mut insert = conn.prepare_cached(
        "INSERT INTO rooms (public_id, name, description, created_by, created_at, epoch,
                            durability, messages_max, bytes_max, age_max)
         VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10)",
    )?;
    let id = insert.insert((
        public_id,
        &**name,
        &**description,
        created_by.as_deref(),
        integer(created_at.micros()),
        random().cast_signed(),
        settings.durability.map(|durability| durability.name()),
        settings.messages_max.map(integer),
        settings.bytes_max.map(integer),
        age_micros(settings),
    ))?;
    Ok(RoomId(id))
}

fn age_micros(settings: &RoomSettings) -> Option<i64> {
    settings.age_max.map(|age| i64::try_from(age.as_micros()).unwrap_or(i64::MAX))
}

fn add_participant(conn: &Connection, room: RoomId, user: &str) -> Result<(), StoreError> {
    let mut count =
        conn.prepare_cached("SELECT count(*) FROM participants WHERE room = ?1 AND user <> ?2")?;
    let others: u64 = count.query_row((room.0, user), |row| row.get(0))?;
    if others >= PARTICIPANTS_MAX {
        return Err(StoreError::TooManyParticipants);
    }
    let mut insert =
        conn.prepare_cached("INSERT INTO participants (room, user) VALUES (?1, ?2) ON CONFLICT DO NOTHING")?;
    insert.execute((room.0, user))?;
    Ok(())
}

fn read_room(row: &Row<'_>) -> rusqlite::Result<(RoomId, RoomInfo)> {
    let room = RoomInfo {
        id: row.get(1)?,
        name: row.get(2)?,
        description: row.get(3)?,
        created_by: row.get(4)?,
        participants: Vec::new(),
        created_at: Timestamp::from_micros(row.get(5)?),
        settings: read_settings(row, 6)?,
    };
    Ok((RoomId(row.get(0)?), room))
}

fn with_participants(conn: &Connection, id: RoomId, room: RoomInfo) -> Result<RoomInfo, StoreError> {
    let mut query = conn.prepare_cached("SELECT user FROM participants WHERE room = ?1 ORDER BY id")?;
    let users = query.query_map([id.0], |row| row.get(0))?;
    Ok(RoomInfo { participants: users.collect::<Result<_, _>>()?, ..room })
}
