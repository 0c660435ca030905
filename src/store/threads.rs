//! Starting the store's threads and ending them in good order.

use std::collections::HashMap;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::thread::{Builder, JoinHandle};

use crossbeam_channel::{Receiver, Sender, bounded};
use rusqlite::Connection;

use super::anchor::Anchor;
use super::checkpoint::{self, Checkpointer};
use super::epoch::{self, Salts};
use super::error::{OpenError, StoreError};
use super::gate::Gate;
use super::health::Monitor;
use super::jobs::{Job, ReadTask};
use super::ledger::Ledger;
use super::locks::Locks;
use super::mark::Before;
use super::page::ReadOptions;
use super::probe::Prober;
use super::retention::Retainer;
use super::schema::{self, Synchronous};
use super::writer::{Writer, clock};
use super::{JOBS_MAX, Location, Options, READS_MAX, Store};

const DATABASE_FILE: &str = "foghorn.db";
const READERS: usize = 2;

/// The running threads. Dropping it finishes what is queued, closes the database and waits for that; requests made
/// later are answered with [`StoreError::Stopped`].
pub struct StoreThreads {
    jobs: Sender<Job>,
    writer: Option<JoinHandle<Connection>>,
    reads: Sender<ReadTask>,
    readers: Vec<JoinHandle<()>>,
    checkpointer: Option<JoinHandle<()>>,
    monitor: Arc<Monitor>,
    on_disk: bool,
    /// Released when everything else is done.
    _locks: Option<Locks>,
}

pub(super) fn start(location: Location, options: Options) -> Result<(Store, StoreThreads), OpenError> {
    match location {
        Location::Directory(dir) => {
            let locks = Locks::take(&dir, &dir.join(DATABASE_FILE))?;
            start_threads(Some(&dir), Some(locks), options)
        }
        Location::Memory => start_threads(None, None, options),
    }
}

fn start_threads(
    dir: Option<&Path>,
    locks: Option<Locks>,
    options: Options,
) -> Result<(Store, StoreThreads), OpenError> {
    let path = dir.map(|dir| dir.join(DATABASE_FILE));
    let shown = path.clone().unwrap_or_else(|| PathBuf::from(":memory:"));
    let failed = |error: StoreError| OpenError::store(&shown, error);
    let not_started = |error: io::Error| OpenError::io(&shown, &error);
    let before = Before::look(&shown);
    let conn = schema::open_writer(&shown, options.database_bytes_max)?;
    schema::set_synchronous(&conn, Synchronous::Full).map_err(failed)?;
    let (salts, anchor) = match dir {
        Some(dir) => (
            Salts::renew(&conn, dir, &shown, before).map_err(failed)?,
            Some(Anchor::drop_at(&shown).map_err(not_started)?),
        ),
        None => (Salts::fresh(), None),
    };
    let monitor = Arc::new(Monitor::new(dir.map(Path::to_owned)));
    let (jobs, received) = bounded(JOBS_MAX + 1);
    let (reads, tasks) = bounded(READS_MAX + JOBS_MAX + READERS);
    let Options { window, dedup_window, durability, retention, queue_bytes_max, .. } = options;
    let read_options = ReadOptions { salts, window, dedup_window, durability, retention };
    let mut threads = StoreThreads {
        jobs: jobs.clone(),
        writer: None,
        reads: reads.clone(),
        readers: Vec::new(),
        checkpointer: None,
        monitor: monitor.clone(),
        on_disk: path.is_some(),
        _locks: locks,
    };
    let mut checkpointer = None;
    if let Some(path) = &path {
        for number in 0..READERS {
            let conn = schema::open_reader(path).map_err(failed)?;
            let (tasks, options) = (tasks.clone(), read_options.clone());
            let read = move || read(&conn, &tasks, &options);
            threads
                .readers
                .push(Builder::new().name(format!("reader-{number}")).spawn(read).map_err(not_started)?);
        }
        let conn = schema::open_checkpointer(path).map_err(failed)?;
        let (handle, thread) = Checkpointer::start(conn, monitor.clone()).map_err(not_started)?;
        (checkpointer, threads.checkpointer) = (Some(handle), Some(thread));
    }
    let writer = Writer {
        conn,
        jobs: received,
        readers: path.is_some().then(|| reads.clone()),
        checkpointer,
        monitor: monitor.clone(),
        anchor,
        prober: Prober::new(clock()),
        options: read_options,
        ledger: Ledger::new(retention),
        retainer: Retainer::new(retention, clock()),
        failed_terms: HashMap::new(),
        synchronous: Synchronous::Full,
    };
    threads.writer = Some(
        Builder::new().name("store".into()).spawn(move || writer.run_or_dismiss()).map_err(not_started)?,
    );
    let store = Store {
        jobs,
        job_gate: Gate::new(JOBS_MAX, queue_bytes_max),
        reads: path.is_some().then_some(reads),
        read_gate: Gate::new(READS_MAX, usize::MAX),
        monitor,
    };
    Ok((store, threads))
}

impl Drop for StoreThreads {
    fn drop(&mut self) {
        let _writer_is_gone = self.jobs.send(Job::Stop);
        let conn = self.writer.take().and_then(|writer| writer.join().ok());
        for _ in &self.readers {
            let _readers_are_gone = self.reads.send(ReadTask::Stop);
        }
        for thread in self.readers.drain(..).chain(self.checkpointer.take()) {
            let _panic_was_printed = thread.join();
        }
        if let Some(conn) = conn
            && self.on_disk
            && let Err(error) = self.finish(&conn)
        {
            tracing::error!(%error, "the store did not end in good order; the next start copes with it");
        }
    }
}

impl StoreThreads {
    /// Leaves the database in one file, with the note that nothing is missing.
    fn finish(&self, conn: &Connection) -> Result<(), StoreError> {
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
