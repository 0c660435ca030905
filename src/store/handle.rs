//! The handle by which programs reach a store.

use std::sync::Arc;

use super::answer::{Done, Purpose};
use super::backend::{Backend, FirstTask, Follower};
use super::backup::{BackupError, BackupId, BackupPart};
use super::cluster::ClusterStats;
use super::commits::CommitStats;
use super::error::{Busy, Health, OpenError, StoreError};
#[cfg(test)]
use super::held::Holder;
use super::options::{Location, Options};
use super::threads::{self, StoreThreads};
use super::values::{BanChange, Import, NewRoom, Presence, RoomInfo, RoomQuery};
use crate::rooms::store_api::{Opened, Page, PageRequest, RecordBatch, RoomId, RoomSettings};
use crate::rooms::{Ban, Timestamp};

/// A handle to the store; cheap to clone.
#[derive(Clone)]
pub struct Store {
    pub(super) backend: Arc<dyn Backend>,
    #[cfg(test)]
    pub(super) holder: Holder,
}

impl std::fmt::Debug for Store {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Store").field("health", &self.health()).finish_non_exhaustive()
    }
}

impl Store {
    pub(crate) fn on(backend: Arc<dyn Backend>) -> Store {
        Store {
            backend,
            #[cfg(test)]
            holder: Holder::default(),
        }
    }

    /// Opens the database and starts the threads.
    ///
    /// # Errors
    /// [`OpenError`].
    pub fn open(location: Location, options: Options) -> Result<(Store, StoreThreads), OpenError> {
        let (backend, threads) = threads::start(location, &options)?;
        Ok((Store::on(backend), threads))
    }

    /// Stores a batch, together with others that arrived meanwhile. It comes back empty, for its buffers.
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

    /// As [`Store::open_room`]; where other nodes write to the room's log, `follower` hears of it from then on.
    pub(crate) fn open_and_follow(
        &self,
        name: &str,
        create: bool,
        follower: Follower,
        now: Timestamp,
        done: Done<Result<Opened, StoreError>>,
    ) -> Result<(), Busy> {
        let purpose = if create { Purpose::Create } else { Purpose::Find };
        self.backend.open_and_follow(name, purpose, follower, now, done)
    }

    /// The room is in memory no longer: nothing more is to be heard of it.
    pub(crate) fn unfollow(&self, room: RoomId) {
        self.backend.unfollow(room);
    }

    /// Who is in the room on all nodes; `None` where there are no others, so that the shards alone know it.
    ///
    /// # Errors
    /// [`Busy`] if too much waits already.
    pub(crate) fn sessions(
        &self,
        room: &str,
        done: Done<Result<Option<Vec<Presence>>, StoreError>>,
    ) -> Result<(), Busy> {
        self.backend.sessions(room, done)
    }

    /// Tells all nodes something, this one included, each at least once; nothing, where there are no others.
    pub(crate) fn tell_nodes(&self, command: &str) {
        self.backend.tell_nodes(command);
    }

    /// Has `listener` hear what nodes tell each other, on a thread of the store, where it must not block.
    pub(crate) fn listen_to_nodes(&self, listener: impl Fn(&str) + Send + Sync + 'static) {
        self.backend.listen_to_nodes(Box::new(listener));
    }

    /// Whether there are other nodes that write to the same logs.
    pub(crate) fn is_shared(&self) -> bool {
        self.backend.is_shared()
    }

    /// Whether it has not been there since the start: nothing can be asked of it yet.
    pub(crate) fn is_awaited(&self) -> bool {
        self.backend.is_awaited()
    }

    /// Does what has to be done before the first room is opened: now, or, where the answer is `None`, when the store is
    /// there, as often as it takes.
    pub(crate) fn when_there(&self, task: FirstTask) -> Option<Result<(), String>> {
        self.backend.keep_for_first(task).map(|mut task| task(&*self.backend))
    }

    /// As [`Store::open_room`], for a room whose newest messages were shown to members and then refused here: its log
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

    /// Puts messages into a room that is not open, with the numbers and times that they have; the answer is the
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

    /// Begins a copy of everything that is stored by now, while the store goes on. It is made little by little and
    /// fetched with [`Store::read_backup`]; a client that does not ask for a minute is taken to have gone.
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

    /// Its commits since the start; a store in memory has none.
    #[must_use]
    pub fn commits(&self) -> CommitStats {
        self.backend.monitor().commits.read()
    }

    /// What this node has counted of its cluster since the start; `None` if it is in none.
    #[must_use]
    pub fn cluster(&self) -> Option<ClusterStats> {
        self.backend.cluster()
    }

    /// How many batches and other changes wait for it at the moment, and the bytes of their messages.
    #[must_use]
    pub fn waiting(&self) -> (usize, usize) {
        self.backend.waiting()
    }

    /// Messages that a store in memory has removed since the start because its limits were reached.
    #[must_use]
    pub fn evicted(&self) -> u64 {
        self.backend.evicted()
    }

    /// Sets the maximum number of rooms of a store in memory ([`MemoryLimits::rooms`](super::MemoryLimits::rooms)); rooms
    /// that are there stay.
    pub fn set_rooms_max(&self, rooms: usize) {
        self.backend.set_rooms_max(rooms);
    }
}
