//! In a simulation: a writer and a reader that do their next step when they are told to, on the thread of the one who tells
//! them.
//!
//! What works beside them (checkpoints, backups) has its own threads as ever, and changes nothing that a reader sees.

use std::path::Path;
use std::sync::Arc;

use crossbeam_channel::Receiver;
use rusqlite::Connection;

use super::handle::Sqlite;
use super::jobs::{Job, ReadTask};
use super::page::ReadOptions;
use super::threads::{Parts, SqliteThreads, prepare};
use super::writer::Writer;
use super::{page, registry};
use crate::rooms::store_api::{Page, PageRequest};
use crate::store::admission::AdmissionLimit;
use crate::store::answer::later::{Deliver, gather};
use crate::store::backend::Backend;
use crate::store::error::{OpenError, StoreError};
use crate::store::options::Options;

/// The store of one process, over a directory that outlives it.
pub(in crate::store) struct Stepped {
    sqlite: Arc<Sqlite>,
    writer: Writer,
    readers: Vec<Connection>,
    tasks: Receiver<ReadTask>,
    read_options: ReadOptions,
    /// Dropped last: they hold the lock on the directory.
    threads: SqliteThreads,
}

impl Stepped {
    /// Opens the database in `dir`; the writer is given no more than `jobs_max` jobs at a time.
    pub(in crate::store) fn start(
        dir: &Path,
        options: &Options,
        jobs_max: usize,
    ) -> Result<Stepped, OpenError> {
        let Parts { mut sqlite, threads, writer, readers, tasks, read_options } = prepare(dir, options)?;
        sqlite.job_limit = AdmissionLimit::new(jobs_max, options.queue_bytes_max);
        Ok(Stepped { sqlite: Arc::new(sqlite), writer, readers, tasks, read_options, threads })
    }

    /// What a server has of it. Its first question, for which it waits when it starts, is answered by another thread.
    pub(in crate::store) fn serve(&mut self) -> Arc<dyn Backend> {
        if let Some(conn) = self.readers.pop() {
            let (tasks, options) = (self.tasks.clone(), self.read_options.clone());
            drop(std::thread::spawn(move || {
                if let Ok(ReadTask::Read(job)) = tasks.recv() {
                    job.run(&conn, &options);
                }
            }));
        }
        self.sqlite.clone()
    }

    pub(in crate::store) fn jobs(&self) -> usize {
        self.writer.jobs.len()
    }

    pub(in crate::store) fn reads(&self) -> usize {
        self.tasks.len()
    }

    pub(in crate::store) fn has_failed(&self) -> bool {
        self.sqlite.monitor.failure().is_some()
    }

    /// Carries out the first `count` jobs in one transaction; nothing is stored if there is a `fault`.
    pub(in crate::store) fn commit(&mut self, count: usize, fault: Option<StoreError>) -> Vec<Deliver> {
        let writer = &mut self.writer;
        writer.fault = fault;
        let round: Vec<Job> = (0..count).filter_map(|_| writer.jobs.try_recv().ok()).collect();
        let records = round.iter().map(Job::records).sum();
        gather(|| {
            writer.round(round, records);
            writer.catch_up_deleting(records);
        })
    }

    /// Looks the first question up.
    pub(in crate::store) fn read(&mut self) -> Vec<Deliver> {
        let Stepped { tasks, readers, read_options, .. } = self;
        gather(|| {
            if let (Ok(ReadTask::Read(job)), Some(conn)) = (tasks.try_recv(), readers.first()) {
                job.run(conn, read_options);
            }
        })
    }

    /// What is kept of a room.
    pub(in crate::store) fn page(&self, room: &str, request: &PageRequest) -> Result<Page, StoreError> {
        let Stepped { writer, read_options, .. } = self;
        let room = registry::id_of(&writer.conn, room)?.ok_or(StoreError::NoSuchRoom)?;
        page::read(&writer.conn, read_options, room, request)
    }

    /// Deletes some of what is kept no longer.
    pub(in crate::store) fn sweep(&mut self) {
        let _more_is_left = self.writer.delete_some();
    }

    /// The process ends in good order.
    pub(in crate::store) fn finish(&self) -> Result<(), StoreError> {
        self.threads.finish(&self.writer.conn)
    }
}
