//! Deleting what is kept no longer, in steps so small that no commit waits for long.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::{Duration, Instant};

use rusqlite::{Connection, OptionalExtension};

use super::room_heads::{RoomHeads, exceeds};
use super::rows::{LogPosition, LogRow, integer, read_position};
use crate::rooms::Timestamp;
use crate::rooms::store_api::{Retention, RoomId};
use crate::store::error::StoreError;
use crate::store::quarantine::Quarantine;

/// Messages deleted in one step at most.
// A step is a transaction of the one writer: what is to be stored meanwhile waits for it.
pub(super) const STEP_MESSAGES: u64 = 500;
/// Bytes of texts deleted in one step at most (one message of any size is deleted).
const STEP_BYTES: u64 = 4 << 20;
/// Rooms that are looked at in one step of a sweep.
const SWEEP_ROOMS: i64 = 64;
/// The pause after that. So a million rooms cost a few per cent of one core, and are all seen within five minutes.
const SWEEP_PAUSE: Duration = Duration::from_millis(20);
/// The pause after a sweep through all rooms.
// Readers do not see what is too old: half a minute late, it only takes space.
const SWEEP_INTERVAL: Duration = Duration::from_secs(30);
/// How long deleting may wait for an idle moment.
// A server that is never idle has to delete, too, before the file has grown by much.
const WAIT_MAX: Duration = Duration::from_secs(1);

/// A search through all rooms for messages that grew old, or that a new configuration keeps no longer.
#[derive(Clone, Copy, Debug)]
struct Sweep {
    /// The last room that was looked at.
    after: RoomId,
    /// When the next ones are.
    next_at: Instant,
}

/// What a step came to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Step {
    /// This number of messages were deleted, maybe none; there may be more to do.
    Done(u64),
    /// There is nothing to do for so long.
    Rest(Duration),
}

/// Knows what is to be deleted.
#[derive(Debug)]
pub(super) struct Retainer {
    retention: Retention,
    quarantine: Arc<Quarantine>,
    /// Rooms that keep more than they should.
    due: VecDeque<RoomId>,
    /// Since when there has been something to do.
    due_since: Option<Instant>,
    /// Whether there may be messages of deleted rooms.
    condemned: bool,
    sweep: Sweep,
}

impl Retainer {
    /// Begins with a sweep: the configuration may have changed since the last run.
    pub(super) fn new(retention: Retention, quarantine: Arc<Quarantine>, clock: Instant) -> Retainer {
        let sweep = Sweep { after: RoomId(0), next_at: clock };
        Retainer { retention, quarantine, due: VecDeque::new(), due_since: None, condemned: true, sweep }
    }

    /// Puts off the next sweep, and with it the search for what may be left of deleted rooms.
    pub(super) fn pause(&mut self, clock: Instant) {
        self.due.clear();
        self.sweep = Sweep { after: RoomId(0), next_at: clock + SWEEP_INTERVAL };
        self.condemned = false;
    }

    /// Hears of rooms that have grown, and whether one was deleted.
    pub(super) fn note(&mut self, heads: &mut RoomHeads, clock: Instant) {
        self.due.extend(heads.take_overfull());
        self.condemned |= heads.take_condemned();
        self.due_since = if self.is_due(clock) { self.due_since.or(Some(clock)) } else { None };
    }

    /// Whether there is something to do.
    pub(super) fn is_due(&self, clock: Instant) -> bool {
        self.condemned || !self.due.is_empty() || self.sweep.next_at <= clock
    }

    /// Whether there is something to do that has waited too long for an idle moment.
    pub(super) fn is_late(&self, clock: Instant) -> bool {
        self.is_due(clock) && self.due_since.is_some_and(|since| clock.duration_since(since) > WAIT_MAX)
    }

    /// Deletes a few messages, or looks for some to delete.
    pub(super) fn step(
        &mut self,
        conn: &Connection,
        heads: &mut RoomHeads,
        now: Timestamp,
        clock: Instant,
    ) -> Result<Step, StoreError> {
        if let Some(room) = self.due.pop_front() {
            let trimmed = self.quarantine.guard(room, || self.trim(conn, heads, room, now));
            let (removed, more) = harmless(trimmed)?.unwrap_or((0, false));
            if more {
                self.due.push_back(room);
            }
            return Ok(Step::Done(removed));
        }
        if self.condemned {
            let removed = bury(conn)?;
            self.condemned = removed.is_some();
            return Ok(Step::Done(removed.unwrap_or(0)));
        }
        if self.sweep.next_at > clock {
            return Ok(Step::Rest(self.sweep.next_at - clock));
        }
        self.look_around(conn, now, clock)?;
        Ok(Step::Done(0))
    }

    /// Looks at the next rooms of the sweep.
    fn look_around(&mut self, conn: &Connection, now: Timestamp, clock: Instant) -> Result<(), StoreError> {
        let mut query = conn.prepare_cached("SELECT id FROM rooms WHERE id > ?1 ORDER BY id LIMIT ?2")?;
        let ids = query.query_map((self.sweep.after.0, SWEEP_ROOMS), |row| Ok(RoomId(row.get(0)?)))?;
        let mut last = None;
        for id in ids {
            let id = id?;
            last = Some(id);
            let has_more = self.quarantine.guard(id, || {
                let Some(room) = LogRow::by_id(conn, id)? else { return Ok(false) };
                Ok(kept_after(conn, &room, self.retention, now)? > room.floor.seq)
            });
            if harmless(has_more)? == Some(true) {
                self.due.push_back(id);
            }
        }
        self.sweep = match last {
            Some(after) => Sweep { after, next_at: clock + SWEEP_PAUSE },
            None => Sweep { after: RoomId(0), next_at: clock + SWEEP_INTERVAL },
        };
        // After a failure, what is left of deleted rooms is found again here.
        self.condemned |= last.is_none();
        Ok(())
    }

    /// Deletes the oldest messages of a room; says how many, and whether there are more to delete.
    fn trim(
        &self,
        conn: &Connection,
        heads: &mut RoomHeads,
        id: RoomId,
        now: Timestamp,
    ) -> Result<(u64, bool), StoreError> {
        let tx = conn.unchecked_transaction()?;
        let Some(room) = LogRow::by_id(&tx, id)? else { return Ok((0, false)) };
        let target = kept_after(&tx, &room, self.retention, now)?;
        let Some(floor) = step_end(&tx, id, target)? else {
            heads.set_floor(id, room.floor, false);
            return Ok((0, false));
        };
        delete_upto(&tx, id, floor.seq)?;
        tx.prepare_cached("UPDATE rooms SET floor = ?2, floor_at = ?3, floor_bytes = ?4 WHERE id = ?1")?
            .execute((id.0, integer(floor.seq), integer(floor.at.micros()), integer(floor.bytes_end)))?;
        tx.commit()?;
        let more = floor.seq < target;
        heads.set_floor(id, floor, more);
        Ok((floor.seq - room.floor.seq, more))
    }
}

/// What became of a room; nothing, if it is damaged: that is its own affair.
fn harmless<T>(outcome: Result<T, StoreError>) -> Result<Option<T>, StoreError> {
    match outcome {
        Ok(done) => Ok(Some(done)),
        Err(StoreError::RoomDamaged { .. }) => Ok(None),
        Err(error) => Err(error),
    }
}

/// The number of the newest message that the room keeps no longer; its floor if it keeps all that is there.
///
/// The room's clock never goes back: what is older than its newest message by the wall clock of a moment ago stays old.
pub(super) fn kept_after(
    conn: &Connection,
    room: &LogRow,
    general: Retention,
    now: Timestamp,
) -> Result<u64, StoreError> {
    let retention = room.settings.retention(general);
    let mut target = room.floor.seq;
    if exceeds(room.floor, room.head, retention) {
        if let Some(max) = retention.messages_max {
            target = target.max(room.head.seq.saturating_sub(max));
        }
        if let Some(max) = retention.bytes_max {
            let too_much = |position: LogPosition| room.head.bytes_end - position.bytes_end > max;
            let last = room.last_position(conn, too_much)?;
            // The message after `last` is the one that is too much, unless it is the newest.
            let cut = if too_much(last) { (last.seq + 1).min(room.head.seq - 1) } else { last.seq };
            target = target.max(cut);
        }
    }
    if let Some(age) = retention.age_max {
        let too_old = now.max(room.head.at).earlier_by(age);
        target = target.max(room.last_position(conn, |position| position.at < too_old)?.seq);
    }
    Ok(target)
}

/// Deletes a few messages of a deleted room. `None` if there are no such messages.
fn bury(conn: &Connection) -> Result<Option<u64>, StoreError> {
    let tx = conn.unchecked_transaction()?;
    let condemned = tx.query_row("SELECT room FROM condemned LIMIT 1", [], |row| row.get(0)).optional()?;
    let Some(room) = condemned.map(RoomId) else { return Ok(None) };
    let removed = match step_end(&tx, room, u64::MAX)? {
        Some(end) => delete_upto(&tx, room, end.seq)?,
        None => {
            tx.execute("DELETE FROM condemned WHERE room = ?1", [room.0])?;
            0
        }
    };
    tx.commit()?;
    Ok(Some(removed))
}

fn delete_upto(conn: &Connection, room: RoomId, seq: u64) -> Result<u64, StoreError> {
    let mut delete = conn.prepare_cached("DELETE FROM messages WHERE room = ?1 AND seq <= ?2")?;
    Ok(delete.execute((room.0, integer(seq)))? as u64)
}

/// How far one step gets in deleting a room's messages up to `target`. `None` if there is nothing to delete.
fn step_end(conn: &Connection, room: RoomId, target: u64) -> Result<Option<LogPosition>, StoreError> {
    let mut query = conn.prepare_cached(
        "SELECT seq, at, bytes_end FROM messages WHERE room = ?1 AND seq <= ?2 ORDER BY seq LIMIT ?3",
    )?;
    let mut rows = query.query((room.0, integer(target), integer(STEP_MESSAGES)))?;
    let (mut first, mut end) = (None, None);
    while let Some(row) = rows.next()? {
        let position = read_position(row)?;
        let first = *first.get_or_insert(position.bytes_end);
        if end.is_some() && position.bytes_end - first > STEP_BYTES {
            break;
        }
        end = Some(position);
    }
    Ok(end)
}
