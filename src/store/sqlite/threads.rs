//! Starting the threads of a store with a database, and ending them in good order.

use std::io;
use std::path::Path;
use std::sync::Arc;
use std::thread::{Builder, JoinHandle};

use crossbeam_channel::{Receiver, Sender, bounded};
use rusqlite::Connection;

use super::anchor::Anchor;
use super::backup::Backups;
use super::checkpoint::{self, Checkpointer};
use super::epoch::{self, Salts};
use super::files::DATABASE_FILE;
use super::handle::Sqlite;
use super::jobs::{Job, ReadTask};
use super::locks::Locks;
use super::log_writer::LogWriter;
use super::mark::Before;
use super::page::ReadOptions;
use super::probe::Prober;
use super::registry;
use super::retention::Retainer;
use super::schema::{self, Synchronous};
use super::writer::Writer;
use crate::store::admission::AdmissionLimit;
use crate::store::entropy::clock;
use crate::store::error::{OpenError, StoreError};
use crate::store::health::Monitor;
use crate::store::options::{JOBS_MAX, Options, READS_MAX};
use crate::store::quarantine::Quarantine;
use crate::store::terms::FailedTerms;

// A page that comes slowly from the disk must not hold up all others; more readers would wait for the same disk.
const READERS: usize = 2;

/// The threads of a store with a database.
pub(in crate::store) struct SqliteThreads {
    jobs: Sender<Job>,
    writer: Option<JoinHandle<Connection>>,
    reads: Sender<ReadTask>,
    readers: Vec<JoinHandle<()>>,
    checkpointer: Option<JoinHandle<()>>,
    backups: Option<(Backups, JoinHandle<()>)>,
    monitor: Arc<Monitor>,
    /// Released when everything else is done.
    _locks: Locks,
}

/// A store that is ready to work, before its writer and its readers run.
pub(super) struct Parts {
    pub(super) sqlite: Sqlite,
    pub(super) threads: SqliteThreads,
    pub(super) writer: Writer,
    pub(super) readers: Vec<Connection>,
    pub(super) tasks: Receiver<ReadTask>,
    pub(super) read_options: ReadOptions,
}

pub(in crate::store) fn start(dir: &Path, options: &Options) -> Result<(Sqlite, SqliteThreads), OpenError> {
    let Parts { sqlite, mut threads, writer, readers, tasks, read_options } = prepare(dir, options)?;
    let not_started = |error: io::Error| OpenError::io(dir.join(DATABASE_FILE), &error);
    for (number, conn) in readers.into_iter().enumerate() {
        let (tasks, options) = (tasks.clone(), read_options.clone());
        let read = move || read(&conn, &tasks, &options);
        let reader = Builder::new().name(format!("reader-{number}")).spawn(read).map_err(not_started)?;
        threads.readers.push(reader);
    }
    let writer =
        Builder::new().name("store".into()).spawn(move || writer.run_or_dismiss()).map_err(not_started)?;
    threads.writer = Some(writer);
    Ok((sqlite, threads))
}

/// Opens the database, and starts what works beside the writer and the readers.
pub(super) fn prepare(dir: &Path, options: &Options) -> Result<Parts, OpenError> {
    let path = dir.join(DATABASE_FILE);
    let failed = |error: StoreError| OpenError::store(&path, error);
    let not_started = |error: io::Error| OpenError::io(&path, &error);
    let locks = Locks::take(dir, &path)?;
    let before = Before::look(&path);
    let conn = schema::open_writer(&path, options.database_bytes_max)?;
    schema::set_synchronous(&conn, Synchronous::Full).map_err(failed)?;
    let salts = Salts::renew(&conn, dir, &path, before).map_err(failed)?;
    let anchor = Anchor::drop_at(&path).map_err(not_started)?;
    let monitor = Arc::new(Monitor::noting(dir, epoch::note_failure));
    let (jobs, received) = bounded(JOBS_MAX + 1);
    let (reads, tasks) = bounded(READS_MAX + JOBS_MAX + READERS);
    let Options { window, dedup_window, durability, retention, queue_bytes_max, .. } = *options;
    let quarantine = Arc::<Quarantine>::default();
    let read_options =
        ReadOptions { salts, window, dedup_window, durability, retention, quarantine: quarantine.clone() };
    let mut threads = SqliteThreads {
        jobs: jobs.clone(),
        writer: None,
        reads: reads.clone(),
        readers: Vec::new(),
        checkpointer: None,
        backups: None,
        monitor: monitor.clone(),
        _locks: locks,
    };
    let readers =
        (0..READERS).map(|_| schema::open_reader(&path)).collect::<Result<_, _>>().map_err(failed)?;
    let conn_beside = schema::open_checkpointer(&path).map_err(failed)?;
    let (checkpointer, thread) =
        Checkpointer::start(conn_beside, monitor.clone(), options.log_bytes_max).map_err(not_started)?;
    threads.checkpointer = Some(thread);
    let (backups, thread) = Backups::start(&path, checkpointer.log_is_long()).map_err(not_started)?;
    threads.backups = Some((backups.clone(), thread));
    let mut log = LogWriter::new(retention, quarantine.clone());
    registry::take_back_all(&conn, &mut log).map_err(failed)?;
    let writer = Writer {
        conn,
        jobs: received,
        readers: reads.clone(),
        checkpointer,
        monitor: monitor.clone(),
        anchor,
        prober: Prober::new(clock()),
        options: read_options.clone(),
        log,
        retainer: Retainer::new(retention, quarantine.clone(), clock()),
        failed_terms: FailedTerms::default(),
        synchronous: Synchronous::Full,
        #[cfg(feature = "simulation")]
        fault: None,
    };
    let (job_limit, read_limit) =
        (AdmissionLimit::new(JOBS_MAX, queue_bytes_max), AdmissionLimit::new(READS_MAX, usize::MAX));
    let sqlite = Sqlite { jobs, job_limit, reads, read_limit, monitor, backups, quarantine };
    Ok(Parts { sqlite, threads, writer, readers, tasks, read_options })
}

impl Drop for SqliteThreads {
    fn drop(&mut self) {
        // First of all: it keeps the log from being emptied.
        if let Some((backups, thread)) = self.backups.take() {
            backups.stop();
            let _panic_was_printed = thread.join();
        }
        let _writer_is_gone = self.jobs.send(Job::Stop);
        let conn = self.writer.take().and_then(|writer| writer.join().ok());
        for _ in &self.readers {
            let _readers_are_gone = self.reads.send(ReadTask::Stop);
        }
        for thread in self.readers.drain(..).chain(self.checkpointer.take()) {
            let _panic_was_printed = thread.join();
        }
        if let Some(conn) = conn
            && let Err(error) = self.finish(&conn)
        {
            tracing::error!(%error, "the store did not end in good order; the next start copes with it");
        }
    }
}

impl SqliteThreads {
    /// Leaves the database in one file, with the note that nothing is missing.
    pub(super) fn finish(&self, conn: &Connection) -> Result<(), StoreError> {
        if let Some(failure) = self.monitor.failure() {
            return Err(failure);
        }
        schema::set_synchronous(conn, Synchronous::Full)?;
        epoch::note_end(conn, self.monitor.has_lost())?;
        checkpoint::finish(conn)
    }
}

fn read(conn: &Connection, tasks: &Receiver<ReadTask>, options: &ReadOptions) {
    while let Ok(ReadTask::Read(job)) = tasks.recv() {
        job.run(conn, options);
    }
}
