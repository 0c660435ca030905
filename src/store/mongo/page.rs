//! Reading parts of a room's log.

use mongodb::bson::{Document, doc};

use super::documents::{MESSAGES, Position, at, integer, natural, position_fields, signed, stored, text};
use super::heads::Head;
use super::logs::{last_position, missing, position_at};
use super::shared::Shared;
use crate::rooms::store_api::{Page, PageRequest, ReadFrom, RecentId, RoomId, Stored};
use crate::rooms::{Timestamp, content_digest};
use crate::store::error::StoreError;
use crate::store::values::RECENT_IDS_MAX;

/// Messages looked through for client ids at most.
const RECENT_IDS_SEARCHED_MAX: u64 = 4 * RECENT_IDS_MAX;

/// A page of the log of a room.
pub(super) fn read(shared: &Shared, room: RoomId, request: &PageRequest) -> Result<Page, StoreError> {
    as_it_stands(shared, room, |head| read_room(shared, room, head, request))
}

/// Reads a log by where it stands. What is missing may have been deleted since that was looked up, as retention does: then it is
/// read again, and only otherwise a damage.
pub(super) fn as_it_stands<T>(
    shared: &Shared,
    room: RoomId,
    read: impl Fn(&Head) -> Result<T, StoreError>,
) -> Result<T, StoreError> {
    shared.quarantine.guard(room, || {
        loop {
            let head = shared.head(room)?;
            let found = read(&head);
            let is_damaged = matches!(found, Err(StoreError::RoomDamaged { .. }));
            if !is_damaged || shared.head(room)?.floor.seq == head.floor.seq {
                return found;
            }
        }
    })
}

fn read_room(shared: &Shared, room: RoomId, head: &Head, request: &PageRequest) -> Result<Page, StoreError> {
    let floor = kept_floor(shared, room, head, request.now)?;
    let upto = request.before.map_or(head.head.seq, |before| before.saturating_sub(1).min(head.head.seq));
    let after = match request.from {
        ReadFrom::Seq(seq) => seq.max(floor.seq),
        ReadFrom::Time(time) if time >= head.head.at => head.head.seq,
        ReadFrom::Time(time) => {
            let log = (room, &*head.name);
            last_position(&shared.link, log, (floor, head.head.seq), |position| position.at <= time)?.seq
        }
        ReadFrom::Last(count) => upto.saturating_sub(count).max(floor.seq),
    };
    let range = Range { room, after, upto, messages_max: request.messages_max, bytes_max: request.bytes_max };
    let (messages, start) = if request.newest_first {
        let messages = newest_first(shared, head, range)?;
        let start = messages.last().map_or(after, |oldest| oldest.seq - 1);
        (messages, start)
    } else {
        (oldest_first(shared, head, range)?, after)
    };
    let (tail, gone_at) = (floor.seq + 1, floor.at);
    Ok(Page { messages, tail, gone_at, head: head.head.seq, epoch: head.epoch, start })
}

/// The floor of the log without what retention keeps no longer: deleting that may take until later, nobody reads it now.
pub(super) fn kept_floor(
    shared: &Shared,
    room: RoomId,
    head: &Head,
    now: Timestamp,
) -> Result<Position, StoreError> {
    let retention = head.settings.retention(shared.options.retention);
    let log = (room, &*head.name);
    let mut floor = head.floor;
    if head.exceeds(shared.options.retention) {
        let mut target = floor.seq;
        if let Some(max) = retention.messages_max {
            target = target.max(head.head.seq.saturating_sub(max));
        }
        if let Some(max) = retention.bytes_max {
            let too_much = |position: Position| head.head.bytes.saturating_sub(position.bytes) > max;
            let last = last_position(&shared.link, log, (floor, head.head.seq), too_much)?;
            // The message after `last` is the one that is too much, unless it is the newest.
            let cut =
                if too_much(last) { (last.seq + 1).min(head.head.seq.saturating_sub(1)) } else { last.seq };
            target = target.max(cut);
        }
        if target > floor.seq {
            floor = position_at(&shared.link, room, &head.name, target)?;
        }
    }
    if let Some(age) = retention.age_max
        && floor.seq < head.head.seq
    {
        // The room's clock never goes back, even if the wall clock does.
        let too_old = now.max(head.head.at).earlier_by(age);
        let is_old = |position: Position| position.at < too_old;
        if is_old(position_at(&shared.link, room, &head.name, floor.seq + 1)?) {
            floor = last_position(&shared.link, log, (floor, head.head.seq), is_old)?;
        }
    }
    Ok(floor)
}

/// Which messages to read.
#[derive(Clone, Copy)]
pub(super) struct Range {
    pub(super) room: RoomId,
    pub(super) after: u64,
    pub(super) upto: u64,
    pub(super) messages_max: usize,
    pub(super) bytes_max: usize,
}

fn oldest_first(shared: &Shared, head: &Head, range: Range) -> Result<Vec<Stored>, StoreError> {
    let last = range.after.saturating_add(range.messages_max as u64).min(range.upto);
    collect(shared, head, range, (range.after.saturating_add(1)..=last).collect(), 1)
}

pub(super) fn newest_first(shared: &Shared, head: &Head, range: Range) -> Result<Vec<Stored>, StoreError> {
    let first = range.upto.saturating_sub(range.messages_max as u64).max(range.after);
    collect(shared, head, range, (first.saturating_add(1)..=range.upto).rev().collect(), -1)
}

/// The messages numbered `due`, in that order, until their texts exceed the range's bytes; at least one.
fn collect(
    shared: &Shared,
    head: &Head,
    range: Range,
    due: Vec<u64>,
    order: i32,
) -> Result<Vec<Stored>, StoreError> {
    let (Some(first), Some(last)) = (due.iter().min(), due.iter().max()) else { return Ok(Vec::new()) };
    let numbers = doc! { "$gte": signed(*first), "$lte": signed(*last) };
    let messages = shared.link.collection(MESSAGES);
    let found = messages.find(doc! { "roomId": &*head.name, "seq": numbers }).sort(doc! { "seq": order });
    let reading = async {
        let (mut cursor, mut read, mut bytes): (_, Vec<Document>, usize) = (found.await?, Vec::new(), 0);
        while cursor.advance().await? {
            let document = cursor.deserialize_current()?;
            if supersedes(head, &document, read.last()) {
                read.pop();
            } else if read.last().is_some_and(|last| natural(last, "seq") == natural(&document, "seq")) {
                continue;
            }
            bytes += stored(&document).text_bytes();
            if bytes > range.bytes_max && !read.is_empty() {
                return Ok((read, true));
            }
            read.push(document);
        }
        Ok((read, false))
    };
    let (read, was_cut) = shared.link.ask(reading)?;
    let is_due = |(document, seq): &(&Document, &u64)| natural(document, "seq") == **seq;
    let dense = read.iter().zip(&due).take_while(is_due).count();
    if dense < read.len() || (dense < due.len() && !was_cut) {
        return Err(missing(range.room, due[dense]));
    }
    Ok(read.iter().map(stored).collect())
}

/// Of two messages with one number, which an insert that came too late has brought about, the log's is the one of its
/// epoch.
fn supersedes(head: &Head, document: &Document, last: Option<&Document>) -> bool {
    let epoch = |document| integer(document, "epoch").map(i64::cast_unsigned);
    last.is_some_and(|last| {
        natural(last, "seq") == natural(document, "seq")
            && epoch(last) != Some(head.epoch)
            && epoch(document) == Some(head.epoch)
    })
}

/// The client ids of messages later than `after`, oldest first.
pub(super) fn recent_ids(
    shared: &Shared,
    room: RoomId,
    (head, floor): (&Head, Position),
    after: Timestamp,
) -> Result<Vec<RecentId>, StoreError> {
    if head.head.at <= after || head.head.seq <= floor.seq {
        return Ok(Vec::new());
    }
    let name = &*head.name;
    let from = head.head.seq.saturating_sub(RECENT_IDS_SEARCHED_MAX);
    let low = if from > floor.seq { position_at(&shared.link, room, name, from)? } else { floor };
    let low = if low.at > after {
        low
    } else {
        last_position(&shared.link, (room, name), (low, head.head.seq), |position| position.at <= after)?
    };
    let mut fields = position_fields();
    fields.extend(doc! { "sender": 1, "clientId": 1, "digest": 1 });
    let range = doc! { "$gt": signed(low.seq), "$lte": signed(head.head.seq) };
    let messages = shared.link.collection(MESSAGES);
    let found =
        messages.find(doc! { "roomId": name, "seq": range }).sort(doc! { "seq": -1 }).projection(fields);
    let reading = async {
        let (mut cursor, mut ids) = (found.await?, Vec::new());
        while (ids.len() as u64) < RECENT_IDS_MAX && cursor.advance().await? {
            ids.extend(recent_id(&cursor.deserialize_current()?));
        }
        Ok(ids)
    };
    let mut ids = shared.link.ask_patiently(reading)?;
    ids.reverse();
    Ok(ids)
}

fn recent_id(document: &Document) -> Option<RecentId> {
    let id = text(document, "clientId")?;
    let digest = integer(document, "digest").map(i64::cast_unsigned);
    Some(RecentId {
        at: at(document),
        seq: natural(document, "seq"),
        sender: text(document, "sender").unwrap_or_default().into(),
        id: id.into(),
        digest: digest.unwrap_or_else(|| content_digest("")),
    })
}
