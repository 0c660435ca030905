//! Messages that another program has inserted get their numbers, in the order of their dates.
//!
//! A database of that program may have millions of them: they are read by one cursor and numbered a batch at a time. What
//! an interruption leaves is a log that ends early, and documents without a number, which come next.

use std::time::{Duration, Instant};

use mongodb::Cursor;
use mongodb::bson::{Bson, Document, doc};

use super::documents::{MESSAGES, Position, integer, micros_within, signed, stamped, text};
use super::link::run_many;
use super::logs::RoomLog;
use super::shared::Shared;
use crate::rooms::store_api::SEQ_MAX;
use crate::store::entropy::clock;
use crate::store::error::StoreError;

/// Documents that are numbered at once, at most, and the bytes of their texts.
const BATCH_MESSAGES: usize = 1_000;
const BATCH_BYTES: usize = 8 << 20;
/// How often the log says how far it is.
const REPORT_INTERVAL: Duration = Duration::from_secs(5);

/// Numbers what has no number, behind the message at `newest`; says where the log ends then.
pub(super) fn number_new(
    shared: &Shared,
    row: &RoomLog,
    mut newest: Position,
) -> Result<Position, StoreError> {
    let mut progress = Progress { numbered: 0, total: None, reported_at: clock() };
    while has_unnumbered(shared, row)? {
        newest = number_found(shared, row, newest, &mut progress)?;
    }
    if progress.numbered > 0 {
        let (room, messages) = (&*row.name, progress.numbered);
        tracing::info!(room, messages, head = newest.seq, "messages of another program were numbered");
    }
    Ok(newest)
}

/// How far it is.
struct Progress {
    numbered: u64,
    total: Option<u64>,
    reported_at: Instant,
}

fn unnumbered(row: &RoomLog) -> Document {
    doc! { "roomId": &*row.name, "seq": Bson::Null }
}

fn has_unnumbered(shared: &Shared, row: &RoomLog) -> Result<bool, StoreError> {
    let messages = shared.link.collection(MESSAGES);
    let one = messages.find_one(unnumbered(row)).projection(doc! { "_id": 1 });
    Ok(shared.link.ask_patiently(one)?.is_some())
}

/// Numbers what one search finds; less, if some of it was changed by another program meanwhile.
fn number_found(
    shared: &Shared,
    row: &RoomLog,
    mut newest: Position,
    progress: &mut Progress,
) -> Result<Position, StoreError> {
    let messages = shared.link.collection(MESSAGES);
    let found = messages
        .find(unnumbered(row))
        .sort(doc! { "timestamp": 1, "_id": 1 })
        .projection(doc! { "timestamp": 1, "sender": 1, "content": 1 })
        .batch_size(u32::try_from(BATCH_MESSAGES).unwrap_or(u32::MAX))
        .allow_disk_use(true);
    let mut cursor = shared.link.ask_patiently(found)?;
    loop {
        let batch = next_batch(shared, &mut cursor)?;
        if batch.is_empty() {
            return Ok(newest);
        }
        let (statements, end) = statements(shared, row, &batch, newest)?;
        shared.may_write()?;
        let count = statements.len() as u64;
        shared.link.ask_patiently(run_many(&shared.link.database, "update", MESSAGES, statements))?;
        if let Some(hole) = first_missing(shared, row, newest.seq, count)? {
            // A document went while it was numbered: those behind it are numbered again.
            return end_before(shared, row, newest, hole);
        }
        newest = end;
        report(shared, row, progress, count)?;
    }
}

fn next_batch(shared: &Shared, cursor: &mut Cursor<Document>) -> Result<Vec<Document>, StoreError> {
    let reading = async {
        let (mut batch, mut bytes) = (Vec::new(), 0);
        while batch.len() < BATCH_MESSAGES && bytes < BATCH_BYTES && cursor.advance().await? {
            let document = cursor.deserialize_current()?;
            bytes += kept_bytes(&document);
            batch.push(document);
        }
        Ok(batch)
    };
    Ok(shared.link.ask_patiently(reading)?)
}

fn kept_bytes(document: &Document) -> usize {
    ["sender", "content"].into_iter().filter_map(|key| text(document, key)).map(str::len).sum()
}

/// What numbers a batch, and where the log ends with it.
fn statements(
    shared: &Shared,
    row: &RoomLog,
    batch: &[Document],
    mut newest: Position,
) -> Result<(Vec<Document>, Position), StoreError> {
    let epoch = shared.epoch(row).cast_signed();
    let mut statements = Vec::with_capacity(batch.len());
    for document in batch {
        if newest.seq >= SEQ_MAX {
            return Err(StoreError::room_damaged(row.id, "its numbers have come to their end"));
        }
        let dated = stamped(document).unwrap_or_default();
        let at = dated.after(newest.at);
        newest = Position { seq: newest.seq + 1, at, bytes: newest.bytes + kept_bytes(document) as u64 };
        let mut numbered =
            doc! { "seq": signed(newest.seq), "epoch": epoch, "bytesEnd": signed(newest.bytes) };
        // Its date is another program's and stays; what it does not say of the time stands beside it.
        if dated.micros() / 1000 == at.micros() / 1000 {
            numbered.insert("micros", micros_within(at));
        } else {
            numbered.insert("at", signed(at.micros()));
        }
        let id = document.get("_id").cloned().unwrap_or(Bson::Null);
        statements.push(doc! { "q": { "_id": id, "seq": Bson::Null }, "u": { "$set": numbered } });
    }
    Ok((statements, newest))
}

/// The first number that is missing of `count` numbers after `after`.
fn first_missing(shared: &Shared, row: &RoomLog, after: u64, count: u64) -> Result<Option<u64>, StoreError> {
    let range = doc! { "roomId": &*row.name, "seq": { "$gt": signed(after), "$lte": signed(after + count) } };
    let messages = shared.link.collection(MESSAGES);
    let found = shared.link.ask_patiently(messages.count_documents(range.clone()))?;
    if found == count {
        return Ok(None);
    }
    let found = messages.find(range).sort(doc! { "seq": 1 }).projection(doc! { "seq": 1 });
    let found = super::logs::gather(&shared.link, found)?;
    let mut due = after + 1;
    for document in &found {
        if integer(document, "seq") != Some(signed(due)) {
            break;
        }
        due += 1;
    }
    Ok(Some(due))
}

/// Takes the numbers from `hole` on back; says where the log ends then.
fn end_before(shared: &Shared, row: &RoomLog, before: Position, hole: u64) -> Result<Position, StoreError> {
    let behind = doc! { "roomId": &*row.name, "seq": { "$gte": signed(hole) } };
    let messages = shared.link.collection(MESSAGES);
    let without = doc! { "$unset": { "seq": "", "epoch": "", "bytesEnd": "" } };
    shared.link.ask_patiently(messages.update_many(behind, without).write_concern(super::link::durably()))?;
    if hole == before.seq + 1 {
        return Ok(before);
    }
    super::logs::position_at(&shared.link, row.id, &row.name, hole - 1)
}

fn report(shared: &Shared, row: &RoomLog, progress: &mut Progress, count: u64) -> Result<(), StoreError> {
    progress.numbered += count;
    if progress.total.is_none() && count >= BATCH_MESSAGES as u64 {
        let messages = shared.link.collection(MESSAGES);
        let rest = shared.link.ask_patiently(messages.count_documents(unnumbered(row)))?;
        progress.total = Some(progress.numbered + rest);
    }
    let now = clock();
    if now.saturating_duration_since(progress.reported_at) >= REPORT_INTERVAL {
        progress.reported_at = now;
        let (room, numbered, of) = (&*row.name, progress.numbered, progress.total);
        tracing::info!(room, numbered, of, "messages of another program are being numbered");
    }
    Ok(())
}
