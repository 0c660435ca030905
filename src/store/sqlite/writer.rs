//! The one thread that writes.
//!
//! It takes everything that waits, carries it out in one transaction, commits, and answers; meanwhile the next round
//! gathers. So the more arrives, the less a commit costs each message, and no message waits for a timer.

use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::sync::Arc;
use std::time::Duration;

use crossbeam_channel::{Receiver, RecvTimeoutError, Sender};
use rusqlite::{Connection, Transaction, TransactionBehavior};

use super::anchor::Anchor;
use super::checkpoint::Checkpointer;
use super::jobs::{Append, Job, Open, ReadJob, ReadTask};
use super::log_writer::LogWriter;
use super::page::{self, ReadOptions};
use super::probe::Prober;
use super::registry;
use super::retention::{Retainer, STEP_MESSAGES, Step};
use super::schema::{self, Synchronous};
use crate::rooms::store_api::{Durability, Opened};
use crate::store::answer::Purpose;
use crate::store::entropy::{clock, now};
use crate::store::error::{Health, StoreError};
use crate::store::health::{Monitor, Watch};
use crate::store::terms::FailedTerms;

/// A round takes no more once it has this number of jobs, messages or bytes.
// A round is one transaction, and its first job waits for its last: large enough that the commit costs each message
// little, small enough that the wait is not noticed.
const ROUND_JOBS_MAX: usize = 512;
const ROUND_RECORDS_MAX: usize = 8_192;
const ROUND_BYTES_MAX: usize = 8 << 20;
/// How often the files are looked after when nothing is written.
// Two looks at the directory: cheap, and half a second is soon enough for damage that no job has met yet.
const LOOK_INTERVAL: Duration = Duration::from_millis(500);
/// How long nothing may have come before deleting begins.
// A few commits long: where messages keep coming, deleting waits for a real pause, or for `retention::WAIT_MAX`.
const IDLE_AFTER: Duration = Duration::from_millis(50);

/// The writer's thread, as it runs.
pub(super) struct Writer {
    pub(super) conn: Connection,
    pub(super) jobs: Receiver<Job>,
    pub(super) readers: Sender<ReadTask>,
    pub(super) checkpointer: Checkpointer,
    pub(super) monitor: Arc<Monitor>,
    pub(super) anchor: Anchor,
    pub(super) prober: Prober,
    pub(super) options: ReadOptions,
    pub(super) log: LogWriter,
    pub(super) retainer: Retainer,
    pub(super) failed_terms: FailedTerms,
    pub(super) synchronous: Synchronous,
    /// In a simulation: the transactions fail like this.
    #[cfg(feature = "simulation")]
    pub(super) fault: Option<StoreError>,
}

/// What became of the jobs of a round as a whole.
type Outcome = Result<(), StoreError>;

impl Writer {
    /// As [`Writer::run`]; after a panic, all jobs that follow are answered, but not done. (A channel keeps what is not
    /// received.)
    pub(super) fn run_or_dismiss(self) -> Connection {
        let jobs = self.jobs.clone();
        // Nothing is left of the writer then that could be seen in a bad state.
        catch_unwind(AssertUnwindSafe(|| self.run())).unwrap_or_else(|panic| {
            while jobs.recv().is_ok_and(|job| !matches!(job, Job::Stop)) {}
            resume_unwind(panic)
        })
    }

    /// Works until it is told to stop and nothing is queued any more. Hands the connection back.
    fn run(mut self) -> Connection {
        let _watch = Watch(self.monitor.clone());
        let mut stopping = false;
        while let Some(first) = self.next(stopping) {
            let round = self.gather(first, &mut stopping);
            let records: usize = round.iter().map(Job::records).sum();
            self.round(round, records);
            self.catch_up_deleting(records);
        }
        self.conn
    }

    /// The next job; while there is none, old messages are deleted, and the files are looked after.
    fn next(&mut self, stopping: bool) -> Option<Job> {
        if stopping {
            return self.jobs.try_recv().ok();
        }
        let mut wait = if self.retainer.is_due(clock()) { IDLE_AFTER } else { Duration::ZERO };
        loop {
            match self.jobs.recv_timeout(wait) {
                Ok(job) => return Some(job),
                Err(RecvTimeoutError::Disconnected) => return None,
                Err(RecvTimeoutError::Timeout) => {
                    self.look_after_files();
                    wait = match self.delete_some() {
                        Step::Done(_) => Duration::ZERO,
                        Step::Rest(rest) => rest.min(LOOK_INTERVAL),
                    };
                }
            }
        }
    }

    /// While nothing is written, nothing else would notice that the files are gone, or that they are well again.
    fn look_after_files(&mut self) {
        let checked = match self.monitor.health() {
            Health::Failed(_) => return,
            Health::Healthy => self.anchor.check(),
            Health::Unavailable(_) if !self.prober.is_due(clock()) => return,
            Health::Unavailable(_) => self.probe(),
        };
        if let Err(error) = checked {
            self.monitor.failed(&error);
        }
    }

    fn probe(&mut self) -> Result<(), StoreError> {
        let ready = self.anchor.check().and_then(|()| self.checkpointer.before_write(&self.conn));
        let probed = ready.and_then(|()| self.prober.write(&self.conn));
        match &probed {
            Ok(()) => self.monitor.succeeded(),
            Err(_) => self.prober.put_off(clock()),
        }
        probed
    }

    fn gather(&mut self, first: Job, stopping: &mut bool) -> Vec<Job> {
        let (mut round, mut records, mut bytes) = (Vec::new(), 0, 0);
        let mut next = Some(first);
        while let Some(job) = next {
            records += job.records();
            bytes += job.bytes();
            match job {
                Job::Stop => *stopping = true,
                Job::Append(_) | Job::Change(..) | Job::Open(_) => round.push(job),
            }
            let full =
                round.len() >= ROUND_JOBS_MAX || records >= ROUND_RECORDS_MAX || bytes >= ROUND_BYTES_MAX;
            next = if full { None } else { self.jobs.try_recv().ok() };
        }
        round
    }

    pub(super) fn round(&mut self, mut round: Vec<Job>, records: usize) {
        let outcome = if round.iter().any(Job::writes) {
            let (began_at, outcome) = (clock(), self.transact(&mut round));
            if outcome.is_ok() {
                self.monitor.commits.note(clock().saturating_duration_since(began_at), records);
            }
            outcome
        } else {
            Ok(())
        };
        if let Err(error) = &outcome {
            self.log.heads.clear();
            self.monitor.failed(error);
            self.prober.failed(round.iter().map(Job::bytes).sum(), clock());
        }
        self.retainer.note(&mut self.log.heads, clock());
        for job in round {
            match job {
                Job::Append(append) => self.answer_append(append, &outcome),
                Job::Change(change, permit) => {
                    change.finish(outcome.clone());
                    drop(permit);
                }
                Job::Open(open) => self.open(open, &outcome),
                Job::Stop => {}
            }
        }
    }

    /// Carries out what is to be written, in one transaction.
    fn transact(&mut self, round: &mut [Job]) -> Outcome {
        if let Some(failure) = self.monitor.failure() {
            return Err(failure);
        }
        self.anchor.check()?;
        self.checkpointer.before_write(&self.conn)?;
        let fsync = self.options.durability == Durability::Fsync || round.iter().any(Job::demands_fsync);
        self.set_synchronous(if fsync { Synchronous::Full } else { Synchronous::Normal })?;
        let tx = Transaction::new_unchecked(&self.conn, TransactionBehavior::Immediate)?;
        for job in round {
            match job {
                Job::Append(append) => append_batch(append, &tx, &mut self.log, &self.failed_terms)?,
                Job::Change(change, _) => change.apply(&tx, &mut self.log)?,
                Job::Open(open) => match open.purpose {
                    Purpose::Find => {}
                    Purpose::Create => registry::open(&tx, &open.name, open.now)?,
                    // Of a damaged room nothing is changed any more.
                    Purpose::Renew(id) if self.options.quarantine.check(id).is_err() => {}
                    Purpose::Renew(id) => registry::renew(&tx, id, &open.name)?,
                },
                Job::Stop => {}
            }
        }
        #[cfg(feature = "simulation")]
        if let Some(fault) = &self.fault {
            return Err(fault.clone());
        }
        tx.commit()?;
        self.monitor.succeeded();
        self.after_commit();
        Ok(())
    }

    fn set_synchronous(&mut self, synchronous: Synchronous) -> Result<(), StoreError> {
        if self.synchronous != synchronous {
            schema::set_synchronous(&self.conn, synchronous)?;
            self.synchronous = synchronous;
        }
        Ok(())
    }

    /// What was committed stays committed, even if this fails.
    fn after_commit(&self) {
        if let Err(error) = self.checkpointer.after_commit(&self.conn) {
            self.monitor.checkpoint_failed(&error);
        }
    }

    fn answer_append(&mut self, append: Append, outcome: &Outcome) {
        let Append { mut batch, answer, verdict, permit } = append;
        drop(permit);
        if outcome.is_err() || verdict.is_err() || !batch.refused.is_empty() {
            self.monitor.lost();
        }
        if let Err(error) = outcome {
            self.failed_terms.note(&batch, error);
        }
        match verdict.and_then(|()| outcome.clone()) {
            Ok(()) => {
                batch.clear();
                answer.send(Ok(batch));
            }
            Err(error) => answer.send(Err(error)),
        }
    }

    /// Has a reader open the room, which sees everything that was committed by now.
    fn open(&self, open: Open, outcome: &Outcome) {
        let Open { name, purpose, now, answer, permit } = open;
        let absent = match (outcome, purpose) {
            (Err(error), Purpose::Renew(_)) => return answer.send(Err(error.clone())),
            (Err(error), Purpose::Create) => error.clone(),
            (Ok(()) | Err(_), _) => StoreError::NoSuchRoom,
        };
        let read = ReadJob::new(permit, answer, move |conn, options| {
            let is_meant = |opened: &Opened| match purpose {
                // Another one may have the name by now.
                Purpose::Renew(id) => opened.id == id,
                Purpose::Find | Purpose::Create => true,
            };
            page::open_room(conn, options, &name, now)?.filter(is_meant).ok_or(absent)
        });
        let unread = match self.readers.try_send(ReadTask::Read(read)) {
            Ok(()) => None,
            Err(refused) => refused.into_inner().into_job(),
        };
        if let Some(read) = unread {
            read.run(&self.conn, &self.options);
        }
    }

    /// Deletes about as much as the last round added if deleting has been due for long: then no idle moment came.
    pub(super) fn catch_up_deleting(&mut self, records: usize) {
        for _step in 0..=records as u64 / STEP_MESSAGES {
            if !self.retainer.is_late(clock()) {
                return;
            }
            self.delete_some();
        }
    }

    pub(super) fn delete_some(&mut self) -> Step {
        let clock = clock();
        if self.monitor.failure().is_some() {
            self.retainer.pause(clock);
        }
        let step = self
            .set_synchronous(Synchronous::Normal)
            .and_then(|()| self.retainer.step(&self.conn, &mut self.log.heads, now(), clock));
        match step {
            Ok(Step::Done(removed)) => {
                if removed > 0 {
                    self.after_commit();
                }
                Step::Done(removed)
            }
            Ok(Step::Rest(rest)) => Step::Rest(rest),
            Err(error) => {
                self.log.heads.clear();
                self.monitor.failed(&error);
                self.retainer.pause(clock);
                Step::Done(0)
            }
        }
    }
}

/// Inserts a batch, unless its shard has to begin a new term first, and notes in it the rooms that are refused: they
/// alone are. Only what is the store's fault is an error.
fn append_batch(
    append: &mut Append,
    conn: &Connection,
    log: &mut LogWriter,
    failed_terms: &FailedTerms,
) -> Result<(), StoreError> {
    let batch = &mut append.batch;
    append.verdict = failed_terms.check(batch);
    if append.verdict.is_err() {
        return Ok(());
    }
    for (room, error) in log.append(conn, batch)? {
        tracing::error!(shard = batch.shard, room = room.0, %error, "messages of a room were refused");
        batch.refused.push(room);
    }
    Ok(())
}
