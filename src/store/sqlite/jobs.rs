//! What the store's threads are asked to do, and how they answer.

use rusqlite::Connection;

use super::log_writer::LogWriter;
use super::page::ReadOptions;
use crate::rooms::Timestamp;
use crate::rooms::store_api::{Durability, Opened, RecordBatch};
use crate::store::admission::Permit;
use crate::store::answer::{Answer, Purpose};
use crate::store::error::StoreError;

/// A job of the writer.
pub(super) enum Job {
    Append(Append),
    Change(Box<dyn Change>, Permit),
    Open(Open),
    /// Finish what is queued, then end.
    Stop,
}

impl Job {
    /// Whether it takes a transaction.
    pub(super) fn writes(&self) -> bool {
        match self {
            Job::Append(_) | Job::Change(..) => true,
            Job::Open(open) => match open.purpose {
                Purpose::Find => false,
                Purpose::Create | Purpose::Renew(_) => true,
            },
            Job::Stop => false,
        }
    }

    /// Whether it is not done before the disk has it.
    pub(super) fn demands_fsync(&self) -> bool {
        match self {
            Job::Append(append) => append.batch.durability == Durability::Fsync,
            Job::Change(..) | Job::Open(_) | Job::Stop => false,
        }
    }

    /// Messages in it.
    pub(super) fn records(&self) -> usize {
        match self {
            Job::Append(append) => append.batch.records.len(),
            Job::Change(..) | Job::Open(_) | Job::Stop => 0,
        }
    }

    /// Bytes of texts in it.
    pub(super) fn bytes(&self) -> usize {
        match self {
            Job::Append(append) => append.batch.text.len(),
            Job::Change(..) | Job::Open(_) | Job::Stop => 0,
        }
    }
}

/// A batch of messages.
pub(super) struct Append {
    pub(super) batch: RecordBatch,
    pub(super) answer: Answer<RecordBatch>,
    /// What became of it, as far as it depends on itself.
    pub(super) verdict: Result<(), StoreError>,
    pub(super) permit: Permit,
}

/// A room to be opened. Passes through the writer, so it comes after everything appended to the room before.
pub(super) struct Open {
    pub(super) name: Box<str>,
    pub(super) purpose: Purpose,
    pub(super) now: Timestamp,
    pub(super) answer: Answer<Opened>,
    pub(super) permit: Permit,
}

/// Something to be changed in a transaction that others share.
pub(super) trait Change: Send {
    /// Makes the change. An error is the store's; after a refusal, which is kept for `finish`, nothing has changed.
    fn apply(&mut self, conn: &Connection, log: &mut LogWriter) -> Result<(), StoreError>;

    /// Answers, once it is known whether the transaction was committed.
    fn finish(self: Box<Self>, committed: Result<(), StoreError>);
}

/// A [`Change`] made of a function.
pub(super) struct Work<T, F> {
    work: Option<F>,
    outcome: Result<T, StoreError>,
    answer: Answer<T>,
}

impl<T, F> Work<T, F>
where
    T: Send + 'static,
    F: FnOnce(&Connection, &mut LogWriter) -> Result<T, StoreError> + Send + 'static,
{
    pub(super) fn boxed(work: F, answer: Answer<T>) -> Box<dyn Change> {
        Box::new(Work { work: Some(work), outcome: Err(StoreError::Stopped), answer })
    }
}

impl<T, F> Change for Work<T, F>
where
    T: Send + 'static,
    F: FnOnce(&Connection, &mut LogWriter) -> Result<T, StoreError> + Send,
{
    fn apply(&mut self, conn: &Connection, log: &mut LogWriter) -> Result<(), StoreError> {
        let Some(work) = self.work.take() else { return Ok(()) };
        conn.execute_batch("SAVEPOINT change")?;
        self.outcome = work(conn, log);
        match &self.outcome {
            Ok(_) => conn.execute_batch("RELEASE change")?,
            Err(refusal) if refusal.is_refusal() => {
                conn.execute_batch("ROLLBACK TO change; RELEASE change")?
            }
            Err(error) => return Err(error.clone()),
        }
        Ok(())
    }

    fn finish(self: Box<Self>, committed: Result<(), StoreError>) {
        self.answer.send(committed.and(self.outcome));
    }
}

type ReadWork = Box<dyn FnOnce(&Connection, &ReadOptions) + Send>;

/// A job of a reader.
pub(super) struct ReadJob {
    work: ReadWork,
    _permit: Permit,
}

impl ReadJob {
    pub(super) fn new<T: Send + 'static>(
        permit: Permit,
        answer: Answer<T>,
        read: impl FnOnce(&Connection, &ReadOptions) -> Result<T, StoreError> + Send + 'static,
    ) -> ReadJob {
        ReadJob { work: Box::new(move |conn, options| answer.send(read(conn, options))), _permit: permit }
    }

    pub(super) fn run(self, conn: &Connection, options: &ReadOptions) {
        (self.work)(conn, options);
    }
}

/// What a reader's queue holds.
pub(super) enum ReadTask {
    Read(ReadJob),
    Stop,
}

impl ReadTask {
    pub(super) fn into_job(self) -> Option<ReadJob> {
        match self {
            ReadTask::Read(job) => Some(job),
            ReadTask::Stop => None,
        }
    }
}
