//! Starting and ending.

use std::io;
use std::sync::Arc;
use std::thread::{Builder, JoinHandle};
use std::time::Duration;

use crossbeam_channel::{Receiver, RecvTimeoutError, Sender, bounded};

use super::handle::Mongo;
use super::lease::Lease;
use super::link::Link;
use super::retention::Tidier;
use super::shared::Shared;
use super::writer::{MessageWriter, MongoJob, Task};
use super::{import, schema};
use crate::rooms::store_api::RoomId;
use crate::store::admission::AdmissionLimit;
use crate::store::entropy::clock;
use crate::store::error::{Health, OpenError, StoreError};
use crate::store::options::{JOBS_MAX, MongoDb, Options, READS_MAX};
use crate::store::terms::FailedTerms;

/// How long a database is waited for at the start.
const START_PATIENCE: Duration = Duration::from_secs(30);
/// How often one is asked whether it is there that was away.
const PROBE_INTERVAL: Duration = Duration::from_millis(250);
/// Threads that read, and change rooms; each waits for one answer at a time.
const READERS: usize = 4;
/// Threads that open rooms. Some rooms may have to be numbered first, which takes long: the others go on beside.
const OPENERS: usize = 4;
/// Rooms that wait for the thread that deletes.
const OVERFULL_MAX: usize = 4_096;

/// The running threads; dropping it finishes what is queued, and lets go of the database.
pub(in crate::store) struct MongoThreads {
    shared: Arc<Shared>,
    jobs: Sender<MongoJob>,
    writer: Option<JoinHandle<()>>,
    queues: Vec<(Sender<Task>, usize)>,
    workers: Vec<JoinHandle<()>>,
    stop_tidier: Option<Sender<()>>,
    tidier: Option<JoinHandle<()>>,
    stop_keeper: Option<Sender<()>>,
    keeper: Option<JoinHandle<()>>,
}

/// Takes the database and starts the threads.
pub(in crate::store) fn start(
    location: &MongoDb,
    options: &Options,
) -> Result<(Mongo, MongoThreads), OpenError> {
    let link = Link::open(location)?;
    wait_for(&link)?;
    let lease = Lease::new(location.lease);
    lease.take(&link)?;
    let failed = |place: Box<str>| {
        move |error: StoreError| OpenError::Unreachable { place, reason: error.to_string() }
    };
    let place = failed(link.place.clone());
    let salts = match schema::begin_run(&link) {
        Ok(salts) => salts,
        Err(error) => return Err(place(error)),
    };
    let shared = Arc::new(Shared::new(link, lease, salts, options.clone()));
    // From here on the lease is kept, however long the rest takes.
    let (stop_keeper, keeper) = keep(&shared)?;
    let prepared = schema::build_room_indexes(&shared.link).and_then(|()| import::take_back_all(&shared));
    prepared.map_err(failed(shared.link.place.clone()))?;
    start_threads(shared, stop_keeper, keeper)
}

/// Waits until the database answers.
fn wait_for(link: &Link) -> Result<(), OpenError> {
    let until = clock() + START_PATIENCE;
    let mut is_told = false;
    loop {
        let fault = match link.probe() {
            Ok(_) => return Ok(()),
            Err(fault) => fault,
        };
        let (place, reason) = (link.place.clone(), fault.to_string());
        let is_hopeless = matches!(fault, super::link::Fault::Told(_));
        if is_hopeless || clock() >= until {
            return Err(OpenError::Unreachable { place, reason });
        }
        if !is_told {
            tracing::warn!(%place, reason, "MongoDB does not answer; it is waited for");
            is_told = true;
        }
        std::thread::park_timeout(PROBE_INTERVAL);
    }
}

fn start_threads(
    shared: Arc<Shared>,
    stop_keeper: Sender<()>,
    keeper: JoinHandle<()>,
) -> Result<(Mongo, MongoThreads), OpenError> {
    let (jobs, received) = bounded(JOBS_MAX + 1);
    let (tasks, to_read) = bounded(READS_MAX + READERS);
    let (openers, to_open) = bounded(JOBS_MAX + READS_MAX + OPENERS);
    let (overfull, outgrown) = bounded(OVERFULL_MAX);
    let (stop_tidier, tidier) = tidy(&shared, outgrown)?;
    let mut workers = Vec::new();
    for number in 0..READERS {
        workers.push(work(&shared, format!("reader-{number}"), to_read.clone())?);
    }
    for number in 0..OPENERS {
        let (waiting, tasks) = (shared.clone(), to_open.clone());
        // Without the indexes each room would cost a look at all messages there are.
        let open = move || {
            waiting.indexes.pass();
            do_all(&waiting, &tasks);
        };
        workers.push(spawn(format!("opener-{number}"), open)?);
    }
    let writer = MessageWriter {
        shared: shared.clone(),
        jobs: received,
        openers: openers.clone(),
        overfull: overfull.clone(),
        failed_terms: FailedTerms::default(),
    };
    let writer = spawn("store".to_owned(), move || writer.run_or_dismiss())?;
    let job_limit = AdmissionLimit::new(JOBS_MAX, shared.options.queue_bytes_max);
    let threads = MongoThreads {
        shared: shared.clone(),
        jobs: jobs.clone(),
        writer: Some(writer),
        queues: vec![(tasks.clone(), READERS), (openers.clone(), OPENERS)],
        workers,
        stop_tidier: Some(stop_tidier),
        tidier: Some(tidier),
        stop_keeper: Some(stop_keeper),
        keeper: Some(keeper),
    };
    let read_limit = AdmissionLimit::new(READS_MAX, usize::MAX);
    let mongo = Mongo { shared, jobs, job_limit, tasks, openers, read_limit, overfull };
    Ok((mongo, threads))
}

fn spawn(name: String, work: impl FnOnce() + Send + 'static) -> Result<JoinHandle<()>, OpenError> {
    let failed = |error: io::Error| OpenError::io("mongodb", &error);
    Builder::new().name(name).spawn(work).map_err(failed)
}

fn work(shared: &Arc<Shared>, name: String, tasks: Receiver<Task>) -> Result<JoinHandle<()>, OpenError> {
    let shared = shared.clone();
    spawn(name, move || do_all(&shared, &tasks))
}

fn do_all(shared: &Shared, tasks: &Receiver<Task>) {
    while let Ok(Task::Do(work, permit)) = tasks.recv() {
        work(shared);
        drop(permit);
    }
}

fn tidy(shared: &Arc<Shared>, overfull: Receiver<RoomId>) -> Result<(Sender<()>, JoinHandle<()>), OpenError> {
    let (stop, stopped) = bounded(1);
    let tidier = Tidier { shared: shared.clone(), overfull, stopped };
    Ok((stop, spawn("tidier".to_owned(), move || tidier.run())?))
}

/// The thread that moves the end of the lease on, and asks whether a database that was away is there.
fn keep(shared: &Arc<Shared>) -> Result<(Sender<()>, JoinHandle<()>), OpenError> {
    let (stop, stopped) = bounded(1);
    let shared = shared.clone();
    let keeper = move || {
        let mut renew_at = clock() + shared.lease.renewal_interval();
        loop {
            let wait = renew_at.saturating_duration_since(clock()).min(PROBE_INTERVAL);
            match stopped.recv_timeout(wait) {
                Ok(()) | Err(RecvTimeoutError::Disconnected) => return,
                Err(RecvTimeoutError::Timeout) => {}
            }
            if clock() >= renew_at {
                renew_at = clock() + renew(&shared);
            } else if !is_well(&shared) && shared.link.probe().is_ok() {
                // The lease may have run out meanwhile.
                renew_at = clock() + renew(&shared);
            }
        }
    };
    Ok((stop, spawn("lease".to_owned(), keeper)?))
}

fn is_well(shared: &Shared) -> bool {
    !shared.link.is_away() && shared.monitor.health() == Health::Healthy
}

/// Renews the lease; says after what time to do so again.
fn renew(shared: &Shared) -> Duration {
    match shared.lease.renew(&shared.link) {
        Ok(()) => {
            shared.monitor.succeeded();
            shared.lease.renewal_interval()
        }
        Err(error) => {
            shared.monitor.failed(&error);
            PROBE_INTERVAL
        }
    }
}

impl Drop for MongoThreads {
    fn drop(&mut self) {
        self.shared.indexes.open();
        let _writer_is_gone = self.jobs.send(MongoJob::Stop);
        let _panic_was_printed = self.writer.take().map(JoinHandle::join);
        // Whatever still takes long is done again by the next run.
        self.shared.link.end();
        for (queue, threads) in self.queues.drain(..) {
            for _ in 0..threads {
                let _threads_are_gone = queue.send(Task::Stop);
            }
        }
        for thread in self.workers.drain(..) {
            let _panic_was_printed = thread.join();
        }
        for (stop, thread) in
            [(self.stop_tidier.take(), self.tidier.take()), (self.stop_keeper.take(), self.keeper.take())]
        {
            drop(stop);
            let _panic_was_printed = thread.map(JoinHandle::join);
        }
        let shared = &self.shared;
        let ended = match shared.monitor.failure() {
            Some(failure) => Err(failure),
            None => shared
                .may_write()
                .and_then(|()| schema::end_run(&shared.link, shared.monitor.has_lost()))
                .and_then(|()| shared.lease.release(&shared.link)),
        };
        if let Err(error) = ended {
            tracing::error!(%error, "the store did not end in good order; the next start copes with it");
        }
    }
}
