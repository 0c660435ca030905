//! The embedded store: rooms and their messages in one SQLite database.
//!
//! [`Store`] is a handle; all calls return at once, and the answer comes by a callback on one of the store's threads.
//!
//! | thread | does |
//! |---|---|
//! | `store` | everything that writes: one transaction for whatever waits, then the answers; deletes old messages when idle |
//! | `reader-0`, `reader-1` | pages of history, rooms that are opened, what REST asks for |
//! | `checkpoint` | moves the write-ahead log into the database |
//!
//! What holds:
//! - A message that [`Store::append`] has answered for is there after `kill -9`; in a batch that demands
//!   [`Durability::Fsync`], after the loss of power.
//! - A room's numbers have no hole and its times only grow: what does not follow the last message is refused.
//! - After a failure nothing is stored that was built on what was lost, see [`RecordBatch::term`].
//! - After an fsync failed, nothing is stored until the process is restarted ([`Health::Failed`]): what the disk did not
//!   confirm once it will not confirm truly the second time.
//! - An epoch changes if messages may have been lost, see `epoch`, also by putting back a copy, see `mark`.
//!
//! | file | subject |
//! |---|---|
//! | `schema` | tables, migrations, connections |
//! | `writer`, `ledger` | rounds and their transactions; what is due next in every room |
//! | `rows`, `page` | rows as messages; reading parts of a log |
//! | `registry` | rooms and participants |
//! | `retention`, `checkpoint` | what is done beside |
//! | `epoch`, `mark`, `checksum`, `wal` | noticing what was lost, damaged, or put back from a copy |
//! | `locks`, `anchor`, `probe` | being alone with the files, and noticing that they are gone, or well again |
//! | `jobs`, `gate`, `health`, `error` | what passes between the threads, how much of it, and what can go wrong |

mod anchor;
mod checkpoint;
mod checksum;
mod epoch;
mod error;
mod gate;
mod health;
mod jobs;
mod ledger;
mod locks;
mod mark;
mod page;
mod probe;
mod registry;
mod retention;
mod rows;
mod schema;
#[cfg(test)]
mod tests;
mod threads;
mod wal;
mod writer;

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use crossbeam_channel::Sender;
use rusqlite::Connection;

pub use self::error::{Busy, Health, OpenError, StoreError};
use self::gate::{Gate, Permit};
use self::health::Monitor;
use self::jobs::{Append, Job, Open, Purpose, ReadJob, ReadTask, Reply, Work};
use self::ledger::Ledger;
use self::page::ReadOptions;
pub use self::registry::{Import, NewRoom, RoomInfo, RoomQuery};
pub use self::threads::StoreThreads;
use crate::rooms::Timestamp;
#[doc(inline)]
pub use crate::rooms::journal::{
    Durability, From, Page, PageRequest, Retention, RoomId, RoomSettings, Stored,
};
use crate::rooms::journal::{Opened, RecordBatch};
#[doc(inline)]
pub use crate::rooms::log::Window;

/// Jobs that wait for the writer, or for a reader, at most.
const JOBS_MAX: usize = 4_096;
const READS_MAX: usize = 1_024;

/// Hears what became of a request, once, on a thread of the store. Must not block.
pub type Done<T> = Box<dyn FnOnce(T) + Send>;

/// Where the database is.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Location {
    /// In this directory, which is created if need be, and of which no other process may make use meanwhile.
    Directory(PathBuf),
    /// In memory: the same in everything, but gone with the process.
    Memory,
}

/// How a store is to be.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Options {
    /// The newest messages that an opened room comes with, at most.
    pub window: Window,
    /// How old a message may be for its client id to come with an opened room.
    pub dedup_window: Duration,
    /// What messages survive in rooms that do not say.
    pub durability: Durability,
    /// How much is kept in rooms that do not say.
    pub retention: Retention,
    /// Bytes of texts that wait for the writer at most.
    pub queue_bytes_max: usize,
    /// Bytes of the database file at most; beyond it the store is as on a full disk. Not less than it has already.
    pub database_bytes_max: Option<u64>,
}

impl Default for Options {
    fn default() -> Options {
        Options {
            window: Window { messages: 256, bytes: 1 << 20 },
            dedup_window: Duration::from_secs(120),
            durability: Durability::Commit,
            retention: Retention::default(),
            queue_bytes_max: 64 << 20,
            database_bytes_max: None,
        }
    }
}

/// A handle to the store; cheap to clone.
#[derive(Clone)]
pub struct Store {
    jobs: Sender<Job>,
    job_gate: Arc<Gate>,
    /// `None` if the writer reads as well.
    reads: Option<Sender<ReadTask>>,
    read_gate: Arc<Gate>,
    monitor: Arc<Monitor>,
}

impl std::fmt::Debug for Store {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Store").field("health", &self.health()).finish_non_exhaustive()
    }
}

impl Store {
    /// Opens the database and starts the threads.
    ///
    /// # Errors
    /// [`OpenError`].
    pub fn open(location: Location, options: Options) -> Result<(Store, StoreThreads), OpenError> {
        threads::start(location, options)
    }

    /// Stores a batch, together with whatever else arrived meanwhile. It comes back empty, for its buffers.
    ///
    /// # Errors
    /// [`Busy`], with the batch, if too much waits already.
    pub fn append(
        &self,
        batch: RecordBatch,
        done: Done<Result<RecordBatch, StoreError>>,
    ) -> Result<(), Busy> {
        let Some(permit) = self.job_gate.enter(batch.bytes.len()) else {
            return Err(Busy { batch: Some(Box::new(batch)) });
        };
        let (reply, verdict) = (Reply::new(done), Ok(()));
        self.submit(Job::Append(Append { batch, reply, verdict, permit }));
        Ok(())
    }

    /// Opens the room of this public id, after everything that was appended before; with `create`, one that does not
    /// exist is created, its id being its name.
    ///
    /// # Errors
    /// [`Busy`] if too much waits already. The answer is [`StoreError::NoSuchRoom`] if there is none.
    pub fn open_room(
        &self,
        name: &str,
        create: bool,
        now: Timestamp,
        done: Done<Result<Opened, StoreError>>,
    ) -> Result<(), Busy> {
        self.submit_open(name, if create { Purpose::Create } else { Purpose::Find }, now, done)
    }

    /// As [`Store::open_room`], for a room whose newest messages were shown to somebody and then refused here: its log
    /// gets another epoch first.
    ///
    /// # Errors
    /// [`Busy`] if too much waits already. The answer is [`StoreError::NoSuchRoom`] if there is none.
    pub fn renew_room(
        &self,
        name: &str,
        now: Timestamp,
        done: Done<Result<Opened, StoreError>>,
    ) -> Result<(), Busy> {
        self.submit_open(name, Purpose::Renew, now, done)
    }

    /// Reads a part of a room's log.
    ///
    /// # Errors
    /// [`Busy`] if too much waits already.
    pub fn read(&self, request: PageRequest, done: Done<Result<Page, StoreError>>) -> Result<(), Busy> {
        self.query(done, move |conn, options| page::read(conn, options, &request))
    }

    /// As [`Store::read`], for the room of this public id, whatever `request` says about it.
    ///
    /// # Errors
    /// [`Busy`] if too much waits already.
    pub fn messages(
        &self,
        room: &str,
        request: PageRequest,
        done: Done<Result<Page, StoreError>>,
    ) -> Result<(), Busy> {
        let room: Box<str> = room.into();
        self.query(done, move |conn, options| {
            let room = registry::id_of(conn, &room)?.ok_or(StoreError::NoSuchRoom)?;
            page::read(conn, options, &PageRequest { room, ..request })
        })
    }

    /// Creates a room.
    ///
    /// # Errors
    /// [`Busy`] if too much waits already. The answer is [`StoreError::RoomExists`] if the id is taken.
    pub fn create_room(&self, room: NewRoom, done: Done<Result<RoomInfo, StoreError>>) -> Result<(), Busy> {
        self.change(done, move |conn, _| registry::create(conn, room))
    }

    /// The room of this public id.
    ///
    /// # Errors
    /// [`Busy`] if too much waits already.
    pub fn room(&self, id: &str, done: Done<Result<RoomInfo, StoreError>>) -> Result<(), Busy> {
        let id: Box<str> = id.into();
        self.query(done, move |conn, _| registry::info(conn, &id))
    }

    /// Rooms, in the order of their creation.
    ///
    /// # Errors
    /// [`Busy`] if too much waits already. The answer is [`StoreError::NoSuchRoom`] if the room to begin after does
    /// not exist.
    pub fn rooms(&self, query: RoomQuery, done: Done<Result<Vec<RoomInfo>, StoreError>>) -> Result<(), Busy> {
        self.query(done, move |conn, _| registry::list(conn, &query))
    }

    /// Deletes a room and all it has. Messages that are still appended to it come to nothing, without an error.
    ///
    /// # Errors
    /// [`Busy`] if too much waits already.
    pub fn delete_room(&self, id: &str, done: Done<Result<RoomId, StoreError>>) -> Result<(), Busy> {
        let id: Box<str> = id.into();
        self.change(done, move |conn, ledger| registry::delete(conn, ledger, &id))
    }

    /// Adds a participant, unless it is one.
    ///
    /// # Errors
    /// [`Busy`] if too much waits already.
    pub fn join_participant(
        &self,
        id: &str,
        user: &str,
        done: Done<Result<RoomInfo, StoreError>>,
    ) -> Result<(), Busy> {
        let (id, user): (Box<str>, Box<str>) = (id.into(), user.into());
        self.change(done, move |conn, _| registry::join(conn, &id, &user))
    }

    /// Removes a participant, if it is one.
    ///
    /// # Errors
    /// [`Busy`] if too much waits already.
    pub fn leave_participant(
        &self,
        id: &str,
        user: &str,
        done: Done<Result<RoomInfo, StoreError>>,
    ) -> Result<(), Busy> {
        let (id, user): (Box<str>, Box<str>) = (id.into(), user.into());
        self.change(done, move |conn, _| registry::leave(conn, &id, &user))
    }

    /// Changes what a room has its own way. Its retention follows at once; its durability and epoch, when it is opened.
    ///
    /// # Errors
    /// [`Busy`] if too much waits already.
    pub fn configure_room(
        &self,
        id: &str,
        settings: RoomSettings,
        done: Done<Result<(), StoreError>>,
    ) -> Result<(), Busy> {
        let id: Box<str> = id.into();
        self.change(done, move |conn, ledger| registry::configure(conn, ledger, &id, &settings))
    }

    /// Puts messages into a room that nobody has open, with the numbers and times that they have; the answer is the
    /// number of the room's last message.
    ///
    /// # Errors
    /// [`Busy`] if too much waits already.
    pub fn import(
        &self,
        messages: Import,
        now: Timestamp,
        done: Done<Result<u64, StoreError>>,
    ) -> Result<(), Busy> {
        self.change(done, move |conn, ledger| registry::import(conn, ledger, &messages, now))
    }

    /// How the store is.
    #[must_use]
    pub fn health(&self) -> Health {
        self.monitor.health()
    }

    fn submit_open(
        &self,
        name: &str,
        purpose: Purpose,
        now: Timestamp,
        done: Done<Result<Opened, StoreError>>,
    ) -> Result<(), Busy> {
        let permit = self.job_permit(name.len())?;
        self.submit(Job::Open(Open { name: name.into(), purpose, now, reply: Reply::new(done), permit }));
        Ok(())
    }

    fn change<T: Send + 'static>(
        &self,
        done: Done<Result<T, StoreError>>,
        work: impl FnOnce(&Connection, &mut Ledger) -> Result<T, StoreError> + Send + 'static,
    ) -> Result<(), Busy> {
        let permit = self.job_permit(0)?;
        self.submit(Job::Change(Work::boxed(work, Reply::new(done)), permit));
        Ok(())
    }

    fn query<T: 'static>(
        &self,
        done: Done<Result<T, StoreError>>,
        read: impl FnOnce(&Connection, &ReadOptions) -> Result<T, StoreError> + Send + 'static,
    ) -> Result<(), Busy> {
        let permit = self.read_gate.enter(0).ok_or_else(Busy::default)?;
        let job = ReadJob::new(permit, Reply::new(done), read);
        match &self.reads {
            // If the threads are gone, the job is dropped, which answers it.
            Some(reads) => drop(reads.try_send(ReadTask::Read(job))),
            None => self.submit(Job::Read(job)),
        }
        Ok(())
    }

    fn job_permit(&self, bytes: usize) -> Result<Permit, Busy> {
        self.job_gate.enter(bytes).ok_or_else(Busy::default)
    }

    /// Hands a job over. The gates see to it that there is room in the queue; if the thread is gone, the job is dropped,
    /// which answers it.
    fn submit(&self, job: Job) {
        drop(self.jobs.try_send(job));
    }
}
