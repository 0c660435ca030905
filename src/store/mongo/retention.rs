//! What is done beside: deleting what is kept no longer, and noting the heads.

use std::collections::VecDeque;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use crossbeam_channel::{Receiver, RecvTimeoutError};
use mongodb::bson::{Document, doc};

use super::burying::bury_all;
use super::documents::{LOGS, MESSAGES, Position, integer, signed};
use super::link::{durably, run_many};
use super::logs::{RoomLog, floor_fields, gather, read_settings};
use super::page::kept_floor;
use super::schema::build_message_indexes;
use super::shared::Shared;
use crate::rooms::store_api::{Retention, RoomId};
use crate::store::entropy::{clock, now};
use crate::store::error::StoreError;

/// How often the heads are noted that have moved.
// The note tells what is lost apart from what never was: a second of messages that it does not know of is little.
const NOTE_INTERVAL: Duration = Duration::from_secs(1);
/// Heads that are noted at once.
const NOTES_MAX: usize = 200;
/// Rooms that are looked at in one step of a sweep, the pause after that, and the pause between two sweeps.
// Readers do not see what is too old: half a minute late, it only takes space.
const SWEEP_ROOMS: i64 = 64;
const SWEEP_PAUSE: Duration = Duration::from_millis(20);
const SWEEP_INTERVAL: Duration = Duration::from_secs(30);

/// What the thread is told.
pub(super) struct Tidier {
    pub(super) shared: Arc<Shared>,
    /// Rooms that keep more than they should.
    pub(super) overfull: Receiver<RoomId>,
    /// Ends the thread when its sender is gone.
    pub(super) stopped: Receiver<()>,
}

/// A search through all rooms for messages that grew old.
struct LogSweep {
    /// The last room that was looked at.
    after: i64,
    next_at: Instant,
}

impl Tidier {
    pub(super) fn run(self) {
        let mut sweep = LogSweep { after: 0, next_at: clock() };
        let mut note_at = clock() + NOTE_INTERVAL;
        let mut due = VecDeque::new();
        self.build_indexes();
        loop {
            let wait = note_at.min(sweep.next_at).saturating_duration_since(clock());
            let wait = if due.is_empty() { wait } else { Duration::ZERO };
            crossbeam_channel::select! {
                recv(self.overfull) -> room => due.extend(room),
                recv(self.stopped) -> _ => break,
                default(wait) => {}
            }
            if self.shared.link.is_away() || self.shared.may_write().is_err() {
                // What is due now is found again by the next sweep.
                due.clear();
                (note_at, sweep.next_at) = (clock() + NOTE_INTERVAL / 4, clock() + SWEEP_INTERVAL);
                continue;
            }
            if clock() >= note_at {
                self.attempt(note_heads(&self.shared));
                note_at = clock() + NOTE_INTERVAL;
            }
            if self.shared.has_condemned.swap(false, Ordering::Relaxed) {
                let buried = bury_all(&self.shared);
                self.shared.has_condemned.fetch_or(buried.is_err(), Ordering::Relaxed);
                self.attempt(buried);
            }
            if let Some(room) = due.pop_front() {
                let trimmed = self.shared.quarantine.guard(room, || trim(&self.shared, room));
                self.shared.heads.change(room, |head| head.is_overfull = false);
                self.attempt(trimmed);
            } else if clock() >= sweep.next_at {
                let swept = self.sweep(&mut sweep, &mut due);
                self.attempt(swept);
            }
        }
        while !self.shared.heads.unnoted(1).is_empty() && note_heads(&self.shared).is_ok() {}
    }

    /// Rooms are opened once they are there.
    fn build_indexes(&self) {
        let pause = || self.stopped.recv_timeout(NOTE_INTERVAL / 4);
        while let Err(error) = build_message_indexes(&self.shared.link) {
            tracing::debug!(%error, "the indexes are not there yet");
            if !matches!(pause(), Err(RecvTimeoutError::Timeout)) {
                break;
            }
        }
        self.shared.indexes.open();
    }

    /// What is not done now is done later.
    fn attempt(&self, done: Result<(), StoreError>) {
        if let Err(error) = done
            && !error.is_refusal()
        {
            tracing::debug!(%error, "the database could not be tidied up");
        }
    }

    fn sweep(&self, sweep: &mut LogSweep, due: &mut VecDeque<RoomId>) -> Result<(), StoreError> {
        let link = &self.shared.link;
        sweep.next_at = clock() + SWEEP_INTERVAL;
        let logs = link.collection(LOGS);
        let next =
            logs.find(doc! { "room": { "$gt": sweep.after } }).sort(doc! { "room": 1 }).limit(SWEEP_ROOMS);
        let rows = gather(link, next.projection(doc! { "epochs": 0 }))?;
        match rows.last().and_then(|row| integer(row, "room")) {
            Some(last) => (sweep.after, sweep.next_at) = (last, clock() + SWEEP_PAUSE),
            None => sweep.after = 0,
        }
        let general = self.shared.options.retention;
        let keeps_all = |row: &&Document| read_settings(row).retention(general) == Retention::default();
        let limited = rows.iter().filter(|row| !keeps_all(row));
        due.extend(limited.filter_map(|row| integer(row, "room")).map(RoomId));
        Ok(())
    }
}

/// Notes heads that have moved.
fn note_heads(shared: &Shared) -> Result<(), StoreError> {
    let behind = shared.heads.unnoted(NOTES_MAX);
    if behind.is_empty() {
        return Ok(());
    }
    let note = |(room, name, head): &(RoomId, Arc<str>, u64)| -> Document {
        doc! { "q": { "_id": &**name, "room": room.0 }, "u": { "$max": { "head": signed(*head) } } }
    };
    let statements = behind.iter().map(note).collect();
    shared.link.ask_patiently(run_many(&shared.link.database, "update", LOGS, statements))?;
    for (room, _, noted) in behind {
        shared.heads.change(room, |head| head.noted = head.noted.max(noted));
    }
    Ok(())
}

/// Deletes what a room keeps no longer.
fn trim(shared: &Shared, room: RoomId) -> Result<(), StoreError> {
    let head = shared.head(room)?;
    let floor: Position = kept_floor(shared, room, &head, now())?;
    if floor.seq <= head.floor.seq {
        return Ok(());
    }
    let Some(row) = RoomLog::by_id(&shared.link, room)? else { return Ok(()) };
    // The floor first: what a crash leaves below it is deleted with the next.
    row.change(&shared.link, doc! { "$set": floor_fields(floor) })?;
    shared.heads.change(room, |head| head.floor = floor);
    let gone = doc! { "roomId": &*row.name, "seq": { "$gt": 0, "$lte": signed(floor.seq) } };
    shared.link.ask_patiently(shared.link.collection(MESSAGES).delete_many(gone).write_concern(durably()))?;
    Ok(())
}
