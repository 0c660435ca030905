//! The embedded store: rooms and their messages in one SQLite database, or the newest of them in memory.
//!
//! [`Store`] is a handle; all calls return at once, and the answer comes by a callback on one of the store's threads.
//! Where nothing is to be kept, one thread keeps the ends of the logs in memory (`memory`). With a database:
//!
//! | thread | does |
//! |---|---|
//! | `store` | everything that writes: one transaction for whatever waits, then the answers; deletes old messages when idle |
//! | `reader-0`, `reader-1` | pages of history, rooms that are opened, what REST asks for |
//! | `checkpoint` | moves the write-ahead log into the database |
//! | `backup` | copies of the database for clients |
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
//! | `backend`, `memory`, `sqlite` | what every store does; the store without a database; the one with it (feature `store`) |
//! | `values`, `backup` | what goes in and out; copies, as their clients see them |
//! | `threads`, `answer`, `admission` | starting and ending; how requests are answered, and how many may wait |
//! | `terms` | which attempts of the shards came to nothing |
//! | `health`, `error` | how a store is, and what can go wrong |
//! | `entropy` | random numbers and the time |

mod admission;
mod answer;
mod backend;
mod backup;
mod entropy;
mod error;
mod health;
#[cfg(test)]
mod held;
mod memory;
#[cfg(feature = "store")]
mod sqlite;
mod terms;
#[cfg(test)]
#[cfg(feature = "store")]
mod tests;
mod threads;
mod values;

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use self::answer::Purpose;
use self::backend::Backend;
pub use self::backup::{BackupError, BackupId, BackupPart};
pub use self::error::{Busy, Health, OpenError, StoreError};
#[cfg(test)]
pub(crate) use self::held::HeldAnswers;
#[cfg(feature = "simulation")]
pub(crate) use self::memory::simulated;
#[cfg(feature = "store")]
pub use self::sqlite::{RestoreError, check_backup, restore};
pub use self::threads::StoreThreads;
use self::values::BanChange;
pub use self::values::{Import, NewRoom, RoomInfo, RoomQuery};
#[doc(inline)]
pub use crate::rooms::log::Window;
#[doc(inline)]
pub use crate::rooms::store_api::{
    Durability, Page, PageRequest, ReadFrom, Retention, RoomId, RoomSettings, SEQ_MAX, Stored, StoredPresence,
};
use crate::rooms::store_api::{Opened, RecordBatch};
use crate::rooms::{Ban, Timestamp};

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
    /// In memory: the newest messages within [`MemoryLimits`], and gone with the process.
    Memory,
}

/// How much a store in memory keeps. What exceeds it goes, oldest first; then readers are told what is missing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct MemoryLimits {
    /// Messages of one room at most.
    pub room_messages: u64,
    /// Bytes of one room's messages at most, 64 counted for each besides its texts (the newest one is kept anyway).
    pub room_bytes: usize,
    /// Bytes of all rooms' messages at most, counted alike.
    pub bytes: usize,
    /// Rooms at most; one more is not created.
    pub rooms: usize,
}

impl Default for MemoryLimits {
    fn default() -> MemoryLimits {
        MemoryLimits { room_messages: 10_000, room_bytes: 16 << 20, bytes: 32 << 20, rooms: 1_000_000 }
    }
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
    /// Bytes of the write-ahead log's file at most; beyond it the store is unavailable until the log can start again.
    pub log_bytes_max: u64,
    /// How much is kept where nothing is kept on disk.
    pub memory: MemoryLimits,
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
            log_bytes_max: 4 << 30,
            memory: MemoryLimits::default(),
        }
    }
}

/// A handle to the store; cheap to clone.
#[derive(Clone)]
pub struct Store {
    backend: Arc<dyn Backend>,
    #[cfg(test)]
    holder: held::Holder,
}

impl std::fmt::Debug for Store {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Store").field("health", &self.health()).finish_non_exhaustive()
    }
}

impl Store {
    fn on(backend: impl Backend + 'static) -> Store {
        Store {
            backend: Arc::new(backend),
            #[cfg(test)]
            holder: held::Holder::default(),
        }
    }

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
        #[cfg(test)]
        let done = self.holder.held(done);
        self.backend.append(batch, done)
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
        self.backend.open(name, if create { Purpose::Create } else { Purpose::Find }, now, done)
    }

    /// As [`Store::open_room`], for a room whose newest messages were shown to somebody and then refused here: its log
    /// gets another epoch first.
    ///
    /// # Errors
    /// [`Busy`] if too much waits already. The answer is [`StoreError::NoSuchRoom`] if it was deleted, whether or not
    /// another room has its name by now.
    pub fn renew_room(
        &self,
        name: &str,
        id: RoomId,
        now: Timestamp,
        done: Done<Result<Opened, StoreError>>,
    ) -> Result<(), Busy> {
        self.backend.open(name, Purpose::Renew(id), now, done)
    }

    /// Has `listener` hear of each room that is found to be damaged, on a thread of the store, where it must not block.
    pub(crate) fn listen_for_damage(&self, listener: impl Fn(RoomId) + Send + Sync + 'static) {
        self.backend.listen_for_damage(Box::new(listener));
    }

    /// Reads a part of a room's log.
    ///
    /// # Errors
    /// [`Busy`] if too much waits already.
    pub fn read(
        &self,
        room: RoomId,
        request: PageRequest,
        done: Done<Result<Page, StoreError>>,
    ) -> Result<(), Busy> {
        self.backend.read(room, request, done)
    }

    /// As [`Store::read`], for the room of this public id.
    ///
    /// # Errors
    /// [`Busy`] if too much waits already.
    pub fn messages(
        &self,
        room: &str,
        request: PageRequest,
        done: Done<Result<Page, StoreError>>,
    ) -> Result<(), Busy> {
        self.backend.messages(room, request, done)
    }

    /// Creates a room.
    ///
    /// # Errors
    /// [`Busy`] if too much waits already. The answer is [`StoreError::RoomExists`] if the id is taken.
    pub fn create_room(&self, room: NewRoom, done: Done<Result<RoomInfo, StoreError>>) -> Result<(), Busy> {
        self.backend.create_room(room, done)
    }

    /// The room of this public id.
    ///
    /// # Errors
    /// [`Busy`] if too much waits already.
    pub fn room(&self, id: &str, done: Done<Result<RoomInfo, StoreError>>) -> Result<(), Busy> {
        self.backend.room(id, done)
    }

    /// Rooms, in the order of their public ids.
    ///
    /// # Errors
    /// [`Busy`] if too much waits already. The answer is [`StoreError::NoSuchRoom`] if the room to begin after does
    /// not exist.
    pub fn rooms(&self, query: RoomQuery, done: Done<Result<Vec<RoomInfo>, StoreError>>) -> Result<(), Busy> {
        self.backend.rooms(query, done)
    }

    /// Deletes a room and all it has. Messages that are still appended to it come to nothing, without an error.
    ///
    /// # Errors
    /// [`Busy`] if too much waits already.
    pub fn delete_room(&self, id: &str, done: Done<Result<RoomId, StoreError>>) -> Result<(), Busy> {
        self.backend.delete_room(id, done)
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
        self.backend.join_participant(id, user, done)
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
        self.backend.leave_participant(id, user, done)
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
        self.backend.configure_room(id, settings, done)
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
        self.backend.import(messages, now, done)
    }

    /// Takes back an import into this room that was not finished; nothing, if there is none.
    ///
    /// # Errors
    /// [`Busy`] if too much waits already. The answer is [`StoreError::NoSuchRoom`] if there is no such room.
    pub fn take_back_import(&self, room: &str, done: Done<Result<(), StoreError>>) -> Result<(), Busy> {
        self.backend.take_back(room, done)
    }

    /// Keeps what is left of a ban, in place of what was kept of it before.
    ///
    /// # Errors
    /// [`Busy`] if too much waits already.
    pub fn keep_ban(&self, ban: Ban, done: Done<Result<(), StoreError>>) -> Result<(), Busy> {
        self.backend.change_bans(BanChange::Keep(ban), done)
    }

    /// Forgets a ban.
    ///
    /// # Errors
    /// [`Busy`] if too much waits already.
    pub fn lift_ban(&self, room: &str, user: &str, done: Done<Result<(), StoreError>>) -> Result<(), Busy> {
        let (room, user) = (room.into(), user.into());
        self.backend.change_bans(BanChange::Lift { room, user }, done)
    }

    /// Writes down what is left of the bans that hold, and forgets those that have ended.
    ///
    /// # Errors
    /// [`Busy`] if too much waits already.
    pub fn note_bans(
        &self,
        bans: Vec<Ban>,
        ended: Vec<Ban>,
        done: Done<Result<(), StoreError>>,
    ) -> Result<(), Busy> {
        self.backend.change_bans(BanChange::Note { bans, ended }, done)
    }

    /// The bans that are kept.
    ///
    /// # Errors
    /// [`Busy`] if too much waits already.
    pub fn bans(&self, done: Done<Result<Vec<Ban>, StoreError>>) -> Result<(), Busy> {
        self.backend.bans(done)
    }

    /// Begins a copy of everything that is stored by now, while the store goes on. It is made little by little and fetched
    /// with [`Store::read_backup`]; whoever does not ask for a minute is taken to have gone.
    ///
    /// # Errors
    /// [`Busy`] if too much waits already. The answer is [`BackupError::UnderWay`] while there is another one.
    pub fn begin_backup(&self, done: Done<Result<BackupId, BackupError>>) -> Result<(), Busy> {
        self.backend.begin_backup(done)
    }

    /// What there is of a copy from byte `offset` on.
    ///
    /// # Errors
    /// [`Busy`] if too much waits already.
    pub fn read_backup(
        &self,
        id: BackupId,
        offset: u64,
        done: Done<Result<BackupPart, BackupError>>,
    ) -> Result<(), Busy> {
        self.backend.read_backup(id, offset, done)
    }

    /// Removes a copy, which was fetched or is not wanted any more.
    ///
    /// # Errors
    /// [`Busy`] if too much waits already.
    pub fn end_backup(&self, id: BackupId, done: Done<Result<(), BackupError>>) -> Result<(), Busy> {
        self.backend.end_backup(id, done)
    }

    /// How the store is.
    #[must_use]
    pub fn health(&self) -> Health {
        self.backend.monitor().health()
    }

    /// How often since the start something was not stored because the write-ahead log was as long as it may be.
    #[must_use]
    pub fn log_limit_hits(&self) -> u64 {
        self.backend.monitor().log_limit_hits()
    }

    /// Messages that a store in memory has removed since the start because its limits were reached.
    #[must_use]
    pub fn evicted(&self) -> u64 {
        self.backend.evicted()
    }

    /// From now on a store in memory creates so many rooms at most ([`MemoryLimits::rooms`]); what is there stays.
    pub fn set_rooms_max(&self, rooms: usize) {
        self.backend.set_rooms_max(rooms);
    }
}
