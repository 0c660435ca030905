//! The store that keeps nothing: rooms and their newest messages in memory, within limits, and gone with the process.
//!
//! One thread does everything, in the order in which it was asked. There is no database: what is kept of a room is the
//! end of its log, and a reader that wants more is told what is missing (GAP), as after retention.
//!
//! | file | subject |
//! |---|---|
//! | `log` | the log of one room |
//! | `rooms` | all rooms: what is appended, and the bound on their logs together |
//! | `registry` | which rooms there are, and their participants |
//! | `reading` | rooms are opened, and their messages read |
//! | `import` | messages that come from elsewhere |
//! | `simulated` | in a simulation: what a store with a disk does, as it is told to |

mod import;
mod log;
mod reading;
mod registry;
mod rooms;
#[cfg(feature = "simulation")]
pub(crate) mod simulated;

use std::any::Any;
use std::io;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::thread::{Builder, JoinHandle};
use std::time::{Duration, Instant};

use crossbeam_channel::{Receiver, RecvTimeoutError, Sender, bounded};

use self::rooms::Rooms;
use super::admission::{AdmissionLimit, Permit};
use super::answer::{Answer, Done, Purpose};
use super::backend::{Backend, DamageListener};
use super::entropy::{clock, now};
use super::error::{Busy, OpenError, StoreError};
use super::health::{Monitor, Watch};
use super::options::{JOBS_MAX, Options};
use super::values::{BanChange, Import, NewRoom, RoomInfo, RoomQuery};
use crate::rooms::store_api::{Opened, Page, PageRequest, RecordBatch, RoomId, RoomSettings};
use crate::rooms::{Ban, Timestamp};

/// How often all rooms are looked through for messages that have grown old.
// A reader never sees what is too old, swept or not: this is about memory alone.
const SWEEP_INTERVAL: Duration = Duration::from_secs(30);

enum MemoryJob {
    Do(Box<dyn FnOnce(&mut Rooms) + Send>),
    /// Finish what is queued, then end.
    Stop,
}

/// The way to the thread.
pub(super) struct Memory {
    jobs: Sender<MemoryJob>,
    admission: Arc<AdmissionLimit>,
    monitor: Arc<Monitor>,
    evicted: Arc<AtomicU64>,
    rooms_max: Arc<AtomicUsize>,
}

/// Ends the thread when dropped, once it has done what was asked for by then.
struct MemoryThread {
    jobs: Sender<MemoryJob>,
    thread: Option<JoinHandle<()>>,
}

impl Drop for MemoryThread {
    fn drop(&mut self) {
        let _thread_is_gone = self.jobs.send(MemoryJob::Stop);
        let _panic_was_printed = self.thread.take().map(JoinHandle::join);
    }
}

/// Starts the thread; what comes second ends it when it is dropped.
pub(super) fn start(options: &Options) -> Result<(Memory, Box<dyn Any + Send + Sync>), OpenError> {
    let (jobs, received) = bounded(JOBS_MAX + 1);
    let monitor = Arc::new(Monitor::default());
    let evicted = Arc::new(AtomicU64::new(0));
    let rooms_max = Arc::new(AtomicUsize::new(options.memory.rooms));
    let rooms = Rooms::new(options, rooms_max.clone());
    let (watched, counted) = (monitor.clone(), evicted.clone());
    let run = move || run_or_dismiss(rooms, &received, watched, &counted);
    let failed = |error: io::Error| OpenError::io(":memory:", &error);
    let thread = Builder::new().name("store".into()).spawn(run).map_err(failed)?;
    let ends = MemoryThread { jobs: jobs.clone(), thread: Some(thread) };
    let admission = AdmissionLimit::new(JOBS_MAX, options.queue_bytes_max);
    Ok((Memory { jobs, admission, monitor, evicted, rooms_max }, Box::new(ends)))
}

/// Does what is asked for; after a panic, all jobs that follow are answered, but not done.
fn run_or_dismiss(rooms: Rooms, jobs: &Receiver<MemoryJob>, monitor: Arc<Monitor>, evicted: &AtomicU64) {
    // Nothing is left of the rooms then that could be seen in a bad state.
    let ran = catch_unwind(AssertUnwindSafe(|| run(rooms, jobs, monitor, evicted)));
    if let Err(panic) = ran {
        while jobs.recv().is_ok_and(|job| !matches!(job, MemoryJob::Stop)) {}
        resume_unwind(panic);
    }
}

fn run(mut rooms: Rooms, jobs: &Receiver<MemoryJob>, monitor: Arc<Monitor>, evicted: &AtomicU64) {
    let _watch = Watch(monitor);
    let mut sweep_at = clock() + SWEEP_INTERVAL;
    loop {
        match jobs.recv_timeout(sweep_at.saturating_duration_since(clock())) {
            Ok(MemoryJob::Do(job)) => job(&mut rooms),
            Ok(MemoryJob::Stop) | Err(RecvTimeoutError::Disconnected) => break,
            Err(RecvTimeoutError::Timeout) => {}
        }
        let clock: Instant = clock();
        if clock >= sweep_at {
            rooms.sweep(now());
            sweep_at = clock + SWEEP_INTERVAL;
        }
        evicted.fetch_add(rooms.take_evicted(), Ordering::Relaxed);
    }
    while let Ok(MemoryJob::Do(job)) = jobs.try_recv() {
        job(&mut rooms);
    }
}

impl Memory {
    fn ask<T: Send + 'static>(
        &self,
        done: Done<Result<T, StoreError>>,
        work: impl FnOnce(&mut Rooms) -> Result<T, StoreError> + Send + 'static,
    ) -> Result<(), Busy> {
        let permit = self.admission.admit(0).ok_or_else(Busy::default)?;
        self.submit(permit, done, work);
        Ok(())
    }

    /// Hands work over. The admission limit sees to it that the queue has room; if the thread is gone, the answer is
    /// dropped, which answers it.
    fn submit<T: Send + 'static>(
        &self,
        permit: Permit,
        done: Done<Result<T, StoreError>>,
        work: impl FnOnce(&mut Rooms) -> Result<T, StoreError> + Send + 'static,
    ) {
        let answer = Answer::new(done);
        let job = move |rooms: &mut Rooms| {
            let outcome = work(rooms);
            drop(permit);
            answer.send(outcome);
        };
        drop(self.jobs.try_send(MemoryJob::Do(Box::new(job))));
    }
}

impl Backend for Memory {
    fn append(
        &self,
        mut batch: RecordBatch,
        done: Done<Result<RecordBatch, StoreError>>,
    ) -> Result<(), Busy> {
        let Some(permit) = self.admission.admit(batch.text.len()) else {
            return Err(Busy { batch: Some(Box::new(batch)) });
        };
        self.submit(permit, done, move |rooms| {
            rooms.append(&mut batch, now());
            batch.clear();
            Ok(batch)
        });
        Ok(())
    }

    fn open(
        &self,
        name: &str,
        purpose: Purpose,
        now: Timestamp,
        done: Done<Result<Opened, StoreError>>,
    ) -> Result<(), Busy> {
        let name: Box<str> = name.into();
        self.ask(done, move |rooms| rooms.open(&name, purpose, now))
    }

    fn read(
        &self,
        room: RoomId,
        request: PageRequest,
        done: Done<Result<Page, StoreError>>,
    ) -> Result<(), Busy> {
        self.ask(done, move |rooms| rooms.read(room, &request))
    }

    fn messages(
        &self,
        room: &str,
        request: PageRequest,
        done: Done<Result<Page, StoreError>>,
    ) -> Result<(), Busy> {
        let room: Box<str> = room.into();
        self.ask(done, move |rooms| rooms.read_by_name(&room, &request))
    }

    fn create_room(&self, room: NewRoom, done: Done<Result<RoomInfo, StoreError>>) -> Result<(), Busy> {
        self.ask(done, move |rooms| rooms.create(room))
    }

    fn room(&self, id: &str, done: Done<Result<RoomInfo, StoreError>>) -> Result<(), Busy> {
        let id: Box<str> = id.into();
        self.ask(done, move |rooms| rooms.info(&id))
    }

    fn rooms(&self, query: RoomQuery, done: Done<Result<Vec<RoomInfo>, StoreError>>) -> Result<(), Busy> {
        self.ask(done, move |rooms| Ok(rooms.list(&query)))
    }

    fn delete_room(&self, id: &str, done: Done<Result<RoomId, StoreError>>) -> Result<(), Busy> {
        let id: Box<str> = id.into();
        self.ask(done, move |rooms| rooms.delete(&id))
    }

    fn join_participant(
        &self,
        id: &str,
        user: &str,
        done: Done<Result<RoomInfo, StoreError>>,
    ) -> Result<(), Busy> {
        let (id, user): (Box<str>, Box<str>) = (id.into(), user.into());
        self.ask(done, move |rooms| rooms.join(&id, &user))
    }

    fn leave_participant(
        &self,
        id: &str,
        user: &str,
        done: Done<Result<RoomInfo, StoreError>>,
    ) -> Result<(), Busy> {
        let (id, user): (Box<str>, Box<str>) = (id.into(), user.into());
        self.ask(done, move |rooms| rooms.leave(&id, &user))
    }

    fn configure_room(
        &self,
        id: &str,
        settings: RoomSettings,
        done: Done<Result<(), StoreError>>,
    ) -> Result<(), Busy> {
        let id: Box<str> = id.into();
        self.ask(done, move |rooms| rooms.configure(&id, settings, now()))
    }

    fn change_bans(&self, _: BanChange, done: Done<Result<(), StoreError>>) -> Result<(), Busy> {
        self.ask(done, |_| Ok(()))
    }

    fn bans(&self, done: Done<Result<Vec<Ban>, StoreError>>) -> Result<(), Busy> {
        self.ask(done, |_| Ok(Vec::new()))
    }

    fn import(
        &self,
        messages: Import,
        now: Timestamp,
        done: Done<Result<u64, StoreError>>,
    ) -> Result<(), Busy> {
        self.ask(done, move |rooms| rooms.import(&messages, now))
    }

    /// Everything here is gone with the process.
    fn take_back(&self, _room: &str, done: Done<Result<(), StoreError>>) -> Result<(), Busy> {
        self.ask(done, |_| Ok(()))
    }

    fn monitor(&self) -> &Monitor {
        &self.monitor
    }

    fn waiting(&self) -> (usize, usize) {
        self.admission.waiting()
    }

    #[cfg(test)]
    fn floor(&self, room: RoomId, done: Done<Result<u64, StoreError>>) -> Result<(), Busy> {
        self.ask(done, move |rooms| rooms.floor(room))
    }

    /// Memory is not damaged.
    fn listen_for_damage(&self, _listener: DamageListener) {}

    fn evicted(&self) -> u64 {
        self.evicted.load(Ordering::Relaxed)
    }

    fn set_rooms_max(&self, rooms: usize) {
        self.rooms_max.store(rooms, Ordering::Relaxed);
    }
}
