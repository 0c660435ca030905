//! The one thread that writes messages.
//!
//! It takes everything that waits, inserts it together, and answers; meanwhile the next round gathers. Rooms that are to
//! be opened go on to others from here, so they come after everything that was appended to them before.

use std::collections::HashSet;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::sync::Arc;

use crossbeam_channel::{Receiver, Sender};

use super::append::{ROUND_RECORDS_MAX, Round};
use super::opening;
use super::shared::Shared;
use crate::rooms::Timestamp;
use crate::rooms::store_api::{Opened, RecordBatch, RoomId, refused_with};
use crate::store::admission::Permit;
use crate::store::answer::{Answer, Purpose};
use crate::store::entropy::clock;
use crate::store::error::StoreError;
use crate::store::health::Watch;
use crate::store::terms::FailedTerms;

/// A round takes no more once it has this number of jobs, [messages](ROUND_RECORDS_MAX), or bytes.
// An insert of so many has few round trips, and its first job does not wait long for its last.
const ROUND_JOBS_MAX: usize = 512;
const ROUND_BYTES_MAX: usize = 8 << 20;

/// A job of the writer.
pub(super) enum MongoJob {
    Append(AppendJob),
    /// Something that is done alone, in its turn.
    Change(Errand, Permit),
    Open(OpenJob),
    /// Finish what is queued, then end.
    Stop,
}

/// Something to be done on a thread of the store, which answers by itself.
pub(super) type Errand = Box<dyn FnOnce(&Shared) + Send>;

/// What the threads that read and open are told.
pub(super) enum Task {
    Do(Errand, Permit),
    Stop,
}

/// A batch of messages.
pub(super) struct AppendJob {
    pub(super) batch: RecordBatch,
    pub(super) answer: Answer<RecordBatch>,
    pub(super) permit: Permit,
}

/// A room to be opened.
pub(super) struct OpenJob {
    pub(super) name: Box<str>,
    pub(super) purpose: Purpose,
    pub(super) now: Timestamp,
    pub(super) answer: Answer<Opened>,
    pub(super) permit: Permit,
}

/// The writer's thread, as it runs.
pub(super) struct MessageWriter {
    pub(super) shared: Arc<Shared>,
    pub(super) jobs: Receiver<MongoJob>,
    pub(super) openers: Sender<Task>,
    /// Rooms that keep more than they should.
    pub(super) overfull: Sender<RoomId>,
    pub(super) failed_terms: FailedTerms,
}

impl MessageWriter {
    /// As [`MessageWriter::run`]; after a panic, all jobs that follow are answered, but not done.
    pub(super) fn run_or_dismiss(self) {
        let jobs = self.jobs.clone();
        // Nothing is left of the writer then that could be seen in a bad state.
        if let Err(panic) = catch_unwind(AssertUnwindSafe(|| self.run())) {
            while jobs.recv().is_ok_and(|job| !matches!(job, MongoJob::Stop)) {}
            resume_unwind(panic);
        }
    }

    fn run(mut self) {
        let _watch = Watch(self.shared.monitor.clone());
        let mut stopping = false;
        while let Some(first) = self.next(stopping) {
            let round = self.gather(first, &mut stopping);
            self.round(round);
        }
    }

    fn next(&self, stopping: bool) -> Option<MongoJob> {
        if stopping { self.jobs.try_recv().ok() } else { self.jobs.recv().ok() }
    }

    fn gather(&self, first: MongoJob, stopping: &mut bool) -> Vec<MongoJob> {
        let (mut round, mut records, mut bytes) = (Vec::new(), 0, 0);
        let mut next = Some(first);
        while let Some(job) = next {
            match &job {
                MongoJob::Stop => *stopping = true,
                MongoJob::Append(append) => {
                    records += append.batch.records.len();
                    bytes += append.batch.text.len();
                }
                MongoJob::Change(..) | MongoJob::Open(_) => {}
            }
            round.push(job);
            let full =
                round.len() >= ROUND_JOBS_MAX || records >= ROUND_RECORDS_MAX || bytes >= ROUND_BYTES_MAX;
            next = if full { None } else { self.jobs.try_recv().ok() };
        }
        round
    }

    /// Carries out jobs in their order; appends that nothing stands between are stored together.
    fn round(&mut self, round: Vec<MongoJob>) {
        let mut appends = Appends::default();
        for job in round {
            match job {
                MongoJob::Append(append) => appends.push(append, &self.shared),
                MongoJob::Change(work, permit) => {
                    self.store(std::mem::take(&mut appends));
                    work(&self.shared);
                    drop(permit);
                }
                MongoJob::Open(open) => {
                    if appends.touch(&open.name) {
                        self.store(std::mem::take(&mut appends));
                    }
                    self.open(open);
                }
                MongoJob::Stop => {}
            }
        }
        self.store(appends);
    }

    fn store(&mut self, appends: Appends) {
        if appends.all.is_empty() {
            return;
        }
        let began_at = clock();
        let deadline = began_at + self.shared.link.timeout;
        let (mut all, mut round) = (appends.all, Round::default());
        let mut verdicts = Vec::with_capacity(all.len());
        let mut outcome = Ok(());
        for append in &mut all {
            let verdict = self.failed_terms.check(&append.batch);
            if verdict.is_ok() && outcome.is_ok() {
                outcome =
                    self.shared.persistently(deadline, || add(&self.shared, &mut round, &mut append.batch));
            }
            verdicts.push(verdict);
        }
        let count = round.len();
        let stored = outcome.and_then(|()| round.store(&self.shared, deadline));
        match &stored {
            Ok(_) if count > 0 => {
                self.shared.monitor.commits.note(clock().saturating_duration_since(began_at), count);
                self.shared.monitor.succeeded();
            }
            Ok(_) => {}
            Err(error) => self.shared.monitor.failed(error),
        }
        for (append, verdict) in all.into_iter().zip(verdicts) {
            let outcome = match (&verdict, &stored) {
                (Err(error), _) | (Ok(()), Err(error)) => Err(error.clone()),
                (Ok(()), Ok(refused)) => Ok(refused),
            };
            self.answer(append, outcome);
        }
    }

    fn answer(&mut self, append: AppendJob, outcome: Result<&super::insert::RefusedRooms, StoreError>) {
        let AppendJob { mut batch, answer, permit } = append;
        drop(permit);
        let answered = outcome.map(|refused| {
            let here: HashSet<RoomId> = batch.records.iter().map(|record| record.room).collect();
            let late: Vec<RoomId> = refused.keys().copied().filter(|room| here.contains(room)).collect();
            for room in refused_with(&late, &batch.together) {
                // What was stored of the others is no part of what they were told.
                self.shared.heads.forget(room);
                if !batch.refused.contains(&room) {
                    tracing::error!(room = room.0, "messages of a room were refused");
                    batch.refused.push(room);
                }
            }
            self.note_overfull(here);
        });
        if answered.is_err() || !batch.refused.is_empty() {
            self.shared.monitor.lost();
        }
        if let Err(error) = &answered {
            self.failed_terms.note(&batch, error);
        }
        answer.send(answered.map(|()| {
            batch.clear();
            batch
        }));
    }

    fn note_overfull(&self, rooms: HashSet<RoomId>) {
        let general = self.shared.options.retention;
        for room in rooms {
            let outgrown = self.shared.heads.change(room, |head| {
                let outgrown = !head.is_overfull && head.exceeds(general);
                head.is_overfull |= outgrown;
                outgrown
            });
            if outgrown == Some(true) && self.overfull.try_send(room).is_err() {
                // The next message says it again, or the next look at all rooms.
                self.shared.heads.change(room, |head| head.is_overfull = false);
            }
        }
    }

    /// Has another thread open the room: one that was never opened here may take long.
    fn open(&self, open: OpenJob) {
        let OpenJob { name, purpose, now, answer, permit } = open;
        let work: Errand = Box::new(move |shared| answer.send(opening::open(shared, &name, purpose, now)));
        // The admission limit sees to it that the queue has room; if the threads are gone, the answer is dropped, which
        // answers it.
        drop(self.openers.try_send(Task::Do(work, permit)));
    }
}

/// Batches that are stored together, and the rooms that they are of.
#[derive(Default)]
struct Appends {
    all: Vec<AppendJob>,
    rooms: HashSet<RoomId>,
    names: HashSet<Arc<str>>,
}

impl Appends {
    fn push(&mut self, append: AppendJob, shared: &Shared) {
        for record in &append.batch.records {
            if self.rooms.insert(record.room) {
                self.names.extend(shared.heads.of(record.room).map(|head| head.name));
            }
        }
        self.all.push(append);
    }

    /// Whether the room of this name may be one of them.
    fn touch(&self, name: &str) -> bool {
        // A room whose name is not known may be any.
        self.names.contains(name) || self.names.len() < self.rooms.len()
    }
}

/// Adds a batch to a round, and notes in it the rooms that are refused.
fn add(shared: &Shared, round: &mut Round, batch: &mut RecordBatch) -> Result<(), StoreError> {
    for (room, error) in round.add(shared, batch)? {
        tracing::error!(shard = batch.shard, room = room.0, %error, "messages of a room were refused");
        batch.refused.push(room);
    }
    Ok(())
}
