//! Rows of `rooms` and `messages`, and where a room's log stands.

use std::time::Duration;

use rusqlite::types::ValueRef;
use rusqlite::{Connection, OptionalExtension, Row};

use super::checksum::{LegacyChecksum, checksum};
use crate::rooms::store_api::{Durability, RoomId, RoomSettings, Stored, StoredPresence};
use crate::rooms::{Kind, Timestamp};
use crate::store::error::StoreError;

/// The columns that [`stored`] reads.
macro_rules! message_columns {
    () => {
        "seq, at, kind, checksum, sender, content, client_id, username, online"
    };
}
pub(super) use message_columns;

/// A number as SQLite has it. Those beyond its range mean "beyond everything" to every query here.
pub(super) fn integer(value: u64) -> i64 {
    i64::try_from(value).unwrap_or(i64::MAX)
}

pub(super) const fn kind_code(kind: Kind) -> u32 {
    match kind {
        Kind::Message => 0,
        Kind::Join => 1,
        Kind::Leave => 2,
        Kind::System => 3,
    }
}

fn kind_of(code: u32) -> Option<Kind> {
    [Kind::Message, Kind::Join, Kind::Leave, Kind::System].into_iter().find(|kind| kind_code(*kind) == code)
}

/// The texts of one message.
#[derive(Clone, Copy, Debug)]
pub(super) struct Texts<'a> {
    pub(super) sender: &'a [u8],
    pub(super) content: &'a [u8],
    pub(super) client_id: Option<&'a [u8]>,
    /// Of a JOIN or LEAVE, the user and the number of users.
    pub(super) presence: Option<(&'a [u8], u64)>,
}

impl Texts<'_> {
    /// The checksum that is stored with the message.
    pub(super) fn checksum(&self, room: RoomId, seq: u64, at: Timestamp, kind: Kind) -> i64 {
        let (user, online) = self.presence.unzip();
        let numbers = [
            room.0.cast_unsigned(),
            seq,
            at.micros(),
            u64::from(kind_code(kind)),
            online.unwrap_or_default(),
        ];
        checksum(numbers, [Some(self.sender), Some(self.content), self.client_id, user])
    }

    /// As [`checksum`](Texts::checksum), for messages from before schema 5.
    fn legacy_checksum(&self, room: RoomId, seq: u64, at: Timestamp, kind: Kind) -> i64 {
        let sum = LegacyChecksum::new()
            .number(room.0.cast_unsigned())
            .number(seq)
            .number(at.micros())
            .number(u64::from(kind_code(kind)))
            .text(self.sender)
            .text(self.content);
        let sum = self.client_id.map_or(sum, |id| sum.text(id));
        // Nothing is added where there is none, so that the sums of schemas before 4 hold.
        self.presence.map_or(sum, |(username, online)| sum.text(username).number(online)).value()
    }

    /// What the message adds to `bytes_end`.
    pub(super) fn kept_bytes(&self) -> u64 {
        self.sender.len() as u64 + self.content.len() as u64
    }
}

/// The message in a row of [`message_columns`], after a look at its checksum.
pub(super) fn stored(room: RoomId, row: &Row<'_>) -> Result<Stored, StoreError> {
    let (seq, at) = (row.get(0)?, Timestamp::from_micros(row.get(1)?));
    let damaged = || StoreError::room_damaged(room, format_args!("message {seq} is not what was stored"));
    let kind = kind_of(row.get(2)?).ok_or_else(damaged)?;
    let text = |column| match row.get_ref(column)? {
        ValueRef::Text(text) => Ok(Some(text)),
        ValueRef::Null => Ok(None),
        ValueRef::Integer(_) | ValueRef::Real(_) | ValueRef::Blob(_) => Err(damaged()),
    };
    let (sender, content, client_id) = (text(4)?, text(5)?, text(6)?);
    let online: Option<u64> = row.get(8)?;
    let presence = text(7)?.map(|username| online.map(|online| (username, online)).ok_or_else(damaged));
    let presence = presence.transpose()?;
    let (sender, content) = (sender.unwrap_or_default(), content.unwrap_or_default());
    let texts = Texts { sender, content, client_id, presence };
    let stored: i64 = row.get(3)?;
    let expected = if stored < 0 {
        texts.checksum(room, seq, at, kind)
    } else {
        texts.legacy_checksum(room, seq, at, kind)
    };
    if stored != expected {
        return Err(damaged());
    }
    let owned = |text| simdutf8::basic::from_utf8(text).map(Box::from).map_err(|_| damaged());
    Ok(Stored {
        seq,
        at,
        kind,
        sender: owned(texts.sender)?,
        content: owned(texts.content)?,
        client_id: client_id.map(owned).transpose()?,
        presence: match presence {
            Some((username, online)) => Some(StoredPresence { username: owned(username)?, online }),
            None => None,
        },
    })
}

/// A position between two messages of a log.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct LogPosition {
    /// The number of the message before it; 0 at the beginning.
    pub(super) seq: u64,
    /// The time of that message.
    pub(super) at: Timestamp,
    /// The bytes of all messages up to it.
    pub(super) bytes_end: u64,
}

/// A room and the ends of its log.
#[derive(Clone, Copy, Debug)]
pub(super) struct LogRow {
    pub(super) id: RoomId,
    /// The room's own part of its epoch.
    pub(super) epoch: u64,
    pub(super) settings: RoomSettings,
    /// Before the oldest message that is kept.
    pub(super) floor: LogPosition,
    /// After the newest message.
    pub(super) head: LogPosition,
}

/// What a room has its own way, from four columns: durability, messages_max, bytes_max, age_max.
pub(super) fn read_settings(row: &Row<'_>, first: usize) -> rusqlite::Result<RoomSettings> {
    let durability: Option<String> = row.get(first)?;
    Ok(RoomSettings {
        durability: durability.as_deref().and_then(Durability::from_name),
        messages_max: row.get(first + 1)?,
        bytes_max: row.get(first + 2)?,
        age_max: row.get::<_, Option<u64>>(first + 3)?.map(Duration::from_micros),
    })
}

impl LogRow {
    /// The room of this public id.
    pub(super) fn by_name(conn: &Connection, name: &str) -> Result<Option<LogRow>, StoreError> {
        let mut query = conn.prepare_cached(
            "SELECT id, epoch, durability, messages_max, bytes_max, age_max, floor, floor_at, floor_bytes
             FROM rooms WHERE public_id = ?1",
        )?;
        query.query_row([name], LogRow::read).optional()?.map(|row| row.with_head(conn)).transpose()
    }

    pub(super) fn by_id(conn: &Connection, id: RoomId) -> Result<Option<LogRow>, StoreError> {
        let mut query = conn.prepare_cached(
            "SELECT id, epoch, durability, messages_max, bytes_max, age_max, floor, floor_at, floor_bytes
             FROM rooms WHERE id = ?1",
        )?;
        query.query_row([id.0], LogRow::read).optional()?.map(|row| row.with_head(conn)).transpose()
    }

    fn read(row: &Row<'_>) -> rusqlite::Result<LogRow> {
        let floor =
            LogPosition { seq: row.get(6)?, at: Timestamp::from_micros(row.get(7)?), bytes_end: row.get(8)? };
        Ok(LogRow {
            id: RoomId(row.get(0)?),
            epoch: row.get::<_, i64>(1)?.cast_unsigned(),
            settings: read_settings(row, 2)?,
            floor,
            head: floor,
        })
    }

    fn with_head(self, conn: &Connection) -> Result<LogRow, StoreError> {
        let mut newest = conn.prepare_cached(
            "SELECT seq, at, bytes_end FROM messages WHERE room = ?1 ORDER BY seq DESC LIMIT 1",
        )?;
        let head = newest.query_row([self.id.0], read_position).optional()?;
        Ok(LogRow { head: head.unwrap_or(self.floor), ..self })
    }

    /// The last position of the log for which `passed` holds, where it holds up to some position and for none after that.
    /// It is taken for granted at the floor.
    pub(super) fn last_position(
        &self,
        conn: &Connection,
        passed: impl Fn(LogPosition) -> bool,
    ) -> Result<LogPosition, StoreError> {
        let (mut low, mut high) = (self.floor, self.head.seq + 1);
        while low.seq + 1 < high {
            let middle = position(conn, self.id, low.seq + (high - low.seq) / 2)?;
            if passed(middle) {
                low = middle;
            } else {
                high = middle.seq;
            }
        }
        Ok(low)
    }
}

/// The position after the message `seq`, which must exist.
pub(super) fn position(conn: &Connection, room: RoomId, seq: u64) -> Result<LogPosition, StoreError> {
    let mut query =
        conn.prepare_cached("SELECT seq, at, bytes_end FROM messages WHERE room = ?1 AND seq = ?2")?;
    let found = query.query_row((room.0, integer(seq)), read_position).optional()?;
    found.ok_or_else(|| StoreError::room_damaged(room, format_args!("message {seq} is missing")))
}

pub(super) fn read_position(row: &Row<'_>) -> rusqlite::Result<LogPosition> {
    Ok(LogPosition { seq: row.get(0)?, at: Timestamp::from_micros(row.get(1)?), bytes_end: row.get(2)? })
}
