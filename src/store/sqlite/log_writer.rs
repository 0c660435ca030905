//! Writing messages: what is due next in every room, and the insert.

use std::collections::HashMap;
use std::sync::Arc;

use rusqlite::types::{ToSqlOutput, ValueRef};
use rusqlite::{Connection, Statement};

use super::room_heads::{RoomHead, RoomHeads};
use super::rows::{LogPosition, Texts, integer, kind_code};
use crate::rooms::Kind;
use crate::rooms::store_api::{
    Record, RecordBatch, RecordPresence, Retention, RoomId, SEQ_MAX, refused_with,
};
use crate::store::error::StoreError;
use crate::store::quarantine::Quarantine;

/// Messages inserted by one statement, if there are as many: beginning and ending a statement is a good part of what
/// a row costs.
const INSERT_ROWS: usize = 16;
const INSERT_COLUMNS: usize = 11;

/// Bytes of one message's texts at most: half of what SQLite takes as a row, so that no insert fails for its size.
const ROW_BYTES_MAX: usize = 500_000_000;

/// The rooms of a batch of which nothing is stored, and why.
pub(super) type Refusals = HashMap<RoomId, StoreError>;

/// Writes messages, and knows what is due next in every room.
#[derive(Debug)]
pub(super) struct LogWriter {
    pub(super) heads: RoomHeads,
    quarantine: Arc<Quarantine>,
    /// `bytes_end` of the records that were verified and not yet inserted; `None` for those of deleted and refused rooms.
    verified: Vec<Option<u64>>,
    insert_one: String,
    insert_many: String,
}

impl LogWriter {
    pub(super) fn new(retention: Retention, quarantine: Arc<Quarantine>) -> LogWriter {
        LogWriter {
            heads: RoomHeads::new(retention),
            quarantine,
            verified: Vec::new(),
            insert_one: insert_statement(1),
            insert_many: insert_statement(INSERT_ROWS),
        }
    }

    /// Inserts the messages of a batch, in the transaction that `conn` is in; returns the rooms that it refuses, and
    /// why. Of those, and of rooms that go together with them, nothing is inserted, and of every other room all of it.
    /// Messages of a room that was deleted meanwhile go where the room went.
    ///
    /// # Errors
    /// The store's own faults alone: the transaction has to be rolled back.
    pub(super) fn append(&mut self, conn: &Connection, batch: &RecordBatch) -> Result<Refusals, StoreError> {
        self.heads.bound();
        let inserted =
            self.verify(conn, batch).and_then(|refused| self.insert(conn, batch).map(|()| refused));
        if inserted.is_err() {
            for record in &batch.records {
                self.heads.forget(record.room);
            }
        }
        inserted
    }

    /// Sees whether every message follows the last one of its room, and notes it as that room's last. Everything that
    /// a room can be refused for is found here, before the first row is written: so no other room pays for it.
    fn verify(&mut self, conn: &Connection, batch: &RecordBatch) -> Result<Refusals, StoreError> {
        self.verified.clear();
        let mut refused = Refusals::new();
        for record in &batch.records {
            if refused.contains_key(&record.room) {
                self.verified.push(None);
                continue;
            }
            let verdict = match self.verify_record(conn, record, &batch.text) {
                Ok(bytes_end) => bytes_end,
                Err(refusal) if refusal.is_refusal() => {
                    refused.insert(record.room, refusal);
                    None
                }
                Err(error) => return Err(error),
            };
            self.verified.push(verdict);
        }
        if !refused.is_empty() {
            let all = refused_with(refused.keys(), &batch.together);
            for (record, verdict) in batch.records.iter().zip(&mut self.verified) {
                if all.contains(&record.room) {
                    *verdict = None;
                }
            }
            // What was noted of them is not going to be true.
            for room in &all {
                self.heads.forget(*room);
            }
        }
        Ok(refused)
    }

    /// The room's `bytes_end` after this message; `None` if the room was deleted.
    fn verify_record(
        &mut self,
        conn: &Connection,
        record: &Record,
        text: &str,
    ) -> Result<Option<u64>, StoreError> {
        let retention = self.heads.retention();
        self.quarantine.check(record.room)?;
        let RoomHead::Kept(room) = self.heads.of(conn, record.room)? else { return Ok(None) };
        let head = room.head;
        if record.seq != head.seq + 1 || record.at <= head.at {
            return Err(StoreError::OutOfOrder {
                room: record.room,
                expected: head.seq + 1,
                found: record.seq,
            });
        }
        let texts = texts(record, text);
        let username = texts.presence.map(|(username, _)| username).unwrap_or_default();
        let all = [texts.sender, texts.content, texts.client_id.unwrap_or_default(), username];
        let fits = record.seq <= SEQ_MAX
            && record.at.micros() < i64::MAX.cast_unsigned()
            && all.iter().map(|text| text.len()).sum::<usize>() <= ROW_BYTES_MAX;
        if !fits {
            return Err(StoreError::Malformed);
        }
        let bytes_end = room.head.bytes_end + texts.kept_bytes();
        if room.advance(LogPosition { seq: record.seq, at: record.at, bytes_end }, retention) {
            self.heads.note_overfull(record.room);
        }
        Ok(Some(bytes_end))
    }

    fn insert(&self, conn: &Connection, batch: &RecordBatch) -> Result<(), StoreError> {
        let verified = batch.records.iter().zip(&self.verified);
        let kept: Vec<(&Record, u64)> =
            verified.filter_map(|(record, bytes_end)| Some((record, (*bytes_end)?))).collect();
        let (groups, rest) = kept.as_chunks::<INSERT_ROWS>();
        if !groups.is_empty() {
            let mut insert = conn.prepare_cached(&self.insert_many)?;
            for group in groups {
                bind(&mut insert, group, &batch.text)?;
                insert.raw_execute()?;
            }
        }
        let mut insert = conn.prepare_cached(&self.insert_one)?;
        for record in rest.chunks(1) {
            bind(&mut insert, record, &batch.text)?;
            insert.raw_execute()?;
        }
        for (record, _) in kept {
            note_stay(conn, record, &batch.text)?;
        }
        Ok(())
    }
}

/// Notes that a stay begins or ends, in the transaction of the JOIN or LEAVE: so in any end of the process, each
/// JOIN that is stored has its LEAVE, or its stay is here.
fn note_stay(conn: &Connection, record: &Record, text: &str) -> Result<(), StoreError> {
    let Some(RecordPresence { username, stay: Some(stay), .. }) = record.presence else { return Ok(()) };
    let (room, stay) = (record.room.0, stay.0.cast_signed());
    match record.kind {
        Kind::Join => {
            let mut note = conn.prepare_cached(
                "INSERT OR REPLACE INTO stays (room, stay, joined, username) VALUES (?1, ?2, ?3, ?4)",
            )?;
            let username = ToSqlOutput::Borrowed(ValueRef::Text(username.of(text).as_bytes()));
            note.execute((room, stay, integer(record.seq), username))?;
        }
        Kind::Leave => {
            let mut end = conn.prepare_cached("DELETE FROM stays WHERE room = ?1 AND stay = ?2")?;
            end.execute((room, stay))?;
        }
        Kind::Message | Kind::System => {}
    }
    Ok(())
}

/// The statement that inserts this number of messages.
fn insert_statement(rows: usize) -> String {
    const INSERT: &str =
        "INSERT INTO messages (room, seq, at, bytes_end, kind, checksum, sender, content, client_id,
                               username, online) VALUES ";
    INSERT.to_owned() + &vec!["(?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)"; rows].join(", ")
}

/// Gives an insert of as many rows the records and what goes with them.
fn bind(insert: &mut Statement<'_>, records: &[(&Record, u64)], text: &str) -> rusqlite::Result<()> {
    let bound = |bytes| ToSqlOutput::Borrowed(ValueRef::Text(bytes));
    for (first, (record, bytes_end)) in (1..).step_by(INSERT_COLUMNS).zip(records) {
        let texts = texts(record, text);
        insert.raw_bind_parameter(first, record.room.0)?;
        insert.raw_bind_parameter(first + 1, integer(record.seq))?;
        insert.raw_bind_parameter(first + 2, integer(record.at.micros()))?;
        insert.raw_bind_parameter(first + 3, integer(*bytes_end))?;
        insert.raw_bind_parameter(first + 4, kind_code(record.kind))?;
        insert
            .raw_bind_parameter(first + 5, texts.checksum(record.room, record.seq, record.at, record.kind))?;
        insert.raw_bind_parameter(first + 6, bound(texts.sender))?;
        insert.raw_bind_parameter(first + 7, bound(texts.content))?;
        insert.raw_bind_parameter(first + 8, texts.client_id.map(bound))?;
        insert.raw_bind_parameter(first + 9, texts.presence.map(|(username, _)| bound(username)))?;
        insert.raw_bind_parameter(first + 10, texts.presence.map(|(_, online)| integer(online)))?;
    }
    Ok(())
}

fn texts<'a>(record: &Record, text: &'a str) -> Texts<'a> {
    Texts {
        sender: record.sender.of(text).as_bytes(),
        content: record.content.of(text).as_bytes(),
        client_id: record.client_id.map(|id| id.of(text).as_bytes()),
        presence: record.presence.map(|presence| (presence.username.of(text).as_bytes(), presence.online)),
    }
}
