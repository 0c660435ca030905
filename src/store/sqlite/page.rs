//! Reading parts of a room's log.

use std::sync::Arc;
use std::time::Duration;

use rusqlite::Connection;

use super::epoch::Salts;
use super::retention::kept_after;
use super::rows::{LogRow, integer, message_columns, position, stored};
use crate::rooms::log::Window;
use crate::rooms::store_api::{
    Durability, OpenStay, Opened, Page, PageRequest, ReadFrom, RecentId, Retention, RoomId, StayId, Stored,
};
use crate::rooms::{Timestamp, content_digest};
use crate::store::error::StoreError;
use crate::store::quarantine::Quarantine;
use crate::store::values::RECENT_IDS_MAX;

/// Messages looked through for them at most.
// Not every message has an id: this bounds what opening a room reads where few have.
const RECENT_IDS_SEARCHED_MAX: u64 = 4 * RECENT_IDS_MAX;

/// What a reader has to know besides the database.
#[derive(Clone, Debug)]
pub(super) struct ReadOptions {
    pub(super) salts: Salts,
    pub(super) window: Window,
    pub(super) dedup_window: Duration,
    pub(super) durability: Durability,
    pub(super) retention: Retention,
    pub(super) quarantine: Arc<Quarantine>,
}

impl ReadOptions {
    fn durability(&self, room: &LogRow) -> Durability {
        room.settings.durability.unwrap_or(self.durability)
    }

    fn epoch(&self, room: &LogRow) -> u64 {
        self.salts.epoch(room.epoch, self.durability(room))
    }

    /// The room without what its retention keeps no longer: deleting that may take until later, nobody reads it now.
    fn as_kept(&self, conn: &Connection, room: LogRow, now: Timestamp) -> Result<LogRow, StoreError> {
        let kept_after = kept_after(conn, &room, self.retention, now)?;
        if kept_after == room.floor.seq {
            return Ok(room);
        }
        Ok(LogRow { floor: position(conn, room.id, kept_after)?, ..room })
    }
}

/// Where the room's log stands, and its newest part. `None` if there is no such room.
pub(super) fn open_room(
    conn: &Connection,
    options: &ReadOptions,
    name: &str,
    now: Timestamp,
) -> Result<Option<Opened>, StoreError> {
    let snapshot = conn.unchecked_transaction()?;
    let Some(room) = LogRow::by_name(&snapshot, name)? else { return Ok(None) };
    let id = room.id;
    options.quarantine.guard(id, || open_found(&snapshot, options, room, now)).map(Some)
}

fn open_found(
    snapshot: &Connection,
    options: &ReadOptions,
    room: LogRow,
    now: Timestamp,
) -> Result<Opened, StoreError> {
    let room = options.as_kept(snapshot, room, now)?;
    let Window { messages, bytes } = options.window;
    let mut recent = newest_first(snapshot, &room, room.floor.seq, room.head.seq, messages, bytes)?;
    recent.reverse();
    let window = u64::try_from(options.dedup_window.as_micros()).unwrap_or(u64::MAX);
    let ids_after = Timestamp::from_micros(now.micros().saturating_sub(window));
    Ok(Opened {
        id: room.id,
        epoch: options.epoch(&room),
        head: room.head.seq,
        tail: room.floor.seq + 1,
        gone_at: room.floor.at,
        last_at: room.head.at,
        recent,
        recent_ids: recent_ids(snapshot, &room, ids_after)?,
        open_stays: open_stays(snapshot, room.id)?,
        durability: options.durability(&room),
        retention: room.settings.retention(options.retention),
        numbering: crate::rooms::store_api::Numbering::Shard,
    })
}

/// The client ids of messages later than `after`, oldest first.
fn recent_ids(conn: &Connection, room: &LogRow, after: Timestamp) -> Result<Vec<RecentId>, StoreError> {
    let from = room.head.seq.saturating_sub(RECENT_IDS_SEARCHED_MAX);
    let mut query = conn.prepare_cached(
        "SELECT at, seq, sender, client_id, content FROM messages
         WHERE room = ?1 AND seq > ?2 AND at > ?3 AND client_id IS NOT NULL ORDER BY seq DESC LIMIT ?4",
    )?;
    let from = from.max(room.last_position(conn, |position| position.at <= after)?.seq);
    let parameters = (room.id.0, integer(from), integer(after.micros()), integer(RECENT_IDS_MAX));
    let rows = query.query_map(parameters, |row| {
        let digest = content_digest(row.get_ref(4)?.as_str()?);
        let at = Timestamp::from_micros(row.get(0)?);
        Ok(RecentId { at, seq: row.get(1)?, sender: row.get(2)?, id: row.get(3)?, digest })
    })?;
    let mut ids = rows.collect::<Result<Vec<_>, _>>()?;
    ids.reverse();
    Ok(ids)
}

/// The stays that have not ended, in the order of their JOINs.
fn open_stays(conn: &Connection, room: RoomId) -> Result<Vec<OpenStay>, StoreError> {
    let mut query =
        conn.prepare_cached("SELECT stay, username FROM stays WHERE room = ?1 ORDER BY joined")?;
    let stays = query.query_map([room.0], |row| {
        let id = StayId(row.get::<_, i64>(0)?.cast_unsigned());
        Ok(OpenStay { id, username: row.get(1)? })
    })?;
    Ok(stays.collect::<Result<_, _>>()?)
}

/// A page of a room's log.
pub(super) fn read(
    conn: &Connection,
    options: &ReadOptions,
    room: RoomId,
    request: &PageRequest,
) -> Result<Page, StoreError> {
    options.quarantine.guard(room, || read_room(conn, options, room, request))
}

fn read_room(
    conn: &Connection,
    options: &ReadOptions,
    room: RoomId,
    request: &PageRequest,
) -> Result<Page, StoreError> {
    let snapshot = conn.unchecked_transaction()?;
    let room = LogRow::by_id(&snapshot, room)?.ok_or(StoreError::NoSuchRoom)?;
    let room = options.as_kept(&snapshot, room, request.now)?;
    let upto = request.before.map_or(room.head.seq, |before| before.saturating_sub(1).min(room.head.seq));
    let after = match request.from {
        ReadFrom::Seq(seq) => seq.max(room.floor.seq),
        ReadFrom::Time(at) => room.last_position(&snapshot, |position| position.at <= at)?.seq,
        ReadFrom::Last(count) => upto.saturating_sub(count).max(room.floor.seq),
    };
    let (count, bytes) = (request.messages_max, request.bytes_max);
    let (messages, start) = if request.newest_first {
        let messages = newest_first(&snapshot, &room, after, upto, count, bytes)?;
        let start = messages.last().map_or(after, |oldest| oldest.seq - 1);
        (messages, start)
    } else {
        (oldest_first(&snapshot, &room, after, upto, count, bytes)?, after)
    };
    let (tail, gone_at) = (room.floor.seq + 1, room.floor.at);
    Ok(Page { messages, tail, gone_at, head: room.head.seq, epoch: options.epoch(&room), start })
}

fn oldest_first(
    conn: &Connection,
    room: &LogRow,
    after: u64,
    upto: u64,
    messages_max: usize,
    bytes_max: usize,
) -> Result<Vec<Stored>, StoreError> {
    let sql = concat!(
        "SELECT ",
        message_columns!(),
        " FROM messages WHERE room = ?1 AND seq > ?2 AND seq <= ?3 ORDER BY seq"
    );
    let due = (after.saturating_add(1)..=upto).take(messages_max);
    collect(conn, sql, room.id, (after, upto), due, bytes_max)
}

fn newest_first(
    conn: &Connection,
    room: &LogRow,
    after: u64,
    upto: u64,
    messages_max: usize,
    bytes_max: usize,
) -> Result<Vec<Stored>, StoreError> {
    let sql = concat!(
        "SELECT ",
        message_columns!(),
        " FROM messages WHERE room = ?1 AND seq > ?2 AND seq <= ?3 ORDER BY seq DESC"
    );
    let due = (after.saturating_add(1)..=upto).rev().take(messages_max);
    collect(conn, sql, room.id, (after, upto), due, bytes_max)
}

/// The messages numbered `due`, in that order, until their texts exceed `bytes_max`; at least one.
fn collect(
    conn: &Connection,
    sql: &str,
    room: RoomId,
    (after, upto): (u64, u64),
    due: impl Iterator<Item = u64>,
    bytes_max: usize,
) -> Result<Vec<Stored>, StoreError> {
    let mut query = conn.prepare_cached(sql)?;
    let mut rows = query.query((room.0, integer(after), integer(upto)))?;
    let (mut messages, mut bytes) = (Vec::new(), 0);
    for seq in due {
        let message = match rows.next()? {
            Some(row) => stored(room, row)?,
            None => return Err(missing(room, seq)),
        };
        if message.seq != seq {
            return Err(missing(room, seq));
        }
        bytes += message.text_bytes();
        if bytes > bytes_max && !messages.is_empty() {
            break;
        }
        messages.push(message);
    }
    Ok(messages)
}

fn missing(room: RoomId, seq: u64) -> StoreError {
    StoreError::room_damaged(room, format_args!("message {seq} is missing"))
}
