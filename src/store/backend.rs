//! What every store does, wherever it keeps things.

use std::sync::Arc;

use super::answer::{Done, Purpose};
use super::backup::{BackupError, BackupId, BackupPart};
use super::cluster::ClusterStats;
use super::error::{Busy, StoreError};
use super::health::Monitor;
use super::values::{BanChange, Import, NewRoom, Presence, RoomInfo, RoomQuery};
use crate::rooms::store_api::{Opened, Page, PageRequest, RecordBatch, RoomId, RoomSettings};
use crate::rooms::{Ban, LogUpdate, Timestamp};

/// Hears of each room that is found to be damaged, once, on a thread of the store. Must not block.
pub(crate) type DamageListener = Box<dyn Fn(RoomId) + Send + Sync>;

/// Hears what happens in the logs of rooms that were opened with it, on a thread of the store, where it may wait as long
/// as its shard is behind.
pub(crate) type Follower = Arc<dyn Fn(RoomId, LogUpdate) + Send + Sync>;

/// Hears what nodes tell each other.
pub(crate) type NodeListener = Box<dyn Fn(&str) + Send + Sync>;

/// What has to be done before the first room is opened; tried again if it fails with a reason.
pub(crate) type FirstTask = Box<dyn FnMut(&dyn Backend) -> Result<(), String> + Send>;

/// A store: all calls return at once, and the answer comes by a callback on a thread of the store.
///
/// [`Store`](super::Store) says what each of them promises. `late` passes all of them on.
pub(crate) trait Backend: Send + Sync {
    fn append(&self, batch: RecordBatch, done: Done<Result<RecordBatch, StoreError>>) -> Result<(), Busy>;

    fn open(
        &self,
        name: &str,
        purpose: Purpose,
        now: Timestamp,
        done: Done<Result<Opened, StoreError>>,
    ) -> Result<(), Busy>;

    /// As [`Backend::open`], and has `follower` hear of the room from then on, where other nodes write to its log.
    fn open_and_follow(
        &self,
        name: &str,
        purpose: Purpose,
        _follower: Follower,
        now: Timestamp,
        done: Done<Result<Opened, StoreError>>,
    ) -> Result<(), Busy> {
        self.open(name, purpose, now, done)
    }

    /// Nothing more is to be heard of the room.
    fn unfollow(&self, _room: RoomId) {}

    /// Who is in the room on all nodes; `None` where there are no others, so that the shards know it alone.
    fn sessions(
        &self,
        _room: &str,
        done: Done<Result<Option<Vec<Presence>>, StoreError>>,
    ) -> Result<(), Busy> {
        done(Ok(None));
        Ok(())
    }

    /// Tells all nodes something, this one included, each at least once.
    fn tell_nodes(&self, _command: &str) {}

    /// Has `listener` hear what nodes tell each other, on a thread of the store, where it must not block.
    fn listen_to_nodes(&self, _listener: NodeListener) {}

    /// Whether there are other nodes that write to the same logs.
    fn is_shared(&self) -> bool {
        false
    }

    /// Whether it has not been there since the start.
    fn is_awaited(&self) -> bool {
        false
    }

    /// Keeps a task until the store is there, and does it before anything else then; one that is there gives it back.
    fn keep_for_first(&self, task: FirstTask) -> Option<FirstTask> {
        Some(task)
    }

    fn read(
        &self,
        room: RoomId,
        request: PageRequest,
        done: Done<Result<Page, StoreError>>,
    ) -> Result<(), Busy>;

    fn messages(
        &self,
        room: &str,
        request: PageRequest,
        done: Done<Result<Page, StoreError>>,
    ) -> Result<(), Busy>;

    fn create_room(&self, room: NewRoom, done: Done<Result<RoomInfo, StoreError>>) -> Result<(), Busy>;

    fn room(&self, id: &str, done: Done<Result<RoomInfo, StoreError>>) -> Result<(), Busy>;

    fn rooms(&self, query: RoomQuery, done: Done<Result<Vec<RoomInfo>, StoreError>>) -> Result<(), Busy>;

    fn delete_room(&self, id: &str, done: Done<Result<RoomId, StoreError>>) -> Result<(), Busy>;

    fn join_participant(
        &self,
        id: &str,
        user: &str,
        done: Done<Result<RoomInfo, StoreError>>,
    ) -> Result<(), Busy>;

    fn leave_participant(
        &self,
        id: &str,
        user: &str,
        done: Done<Result<RoomInfo, StoreError>>,
    ) -> Result<(), Busy>;

    fn configure_room(
        &self,
        id: &str,
        settings: RoomSettings,
        done: Done<Result<(), StoreError>>,
    ) -> Result<(), Busy>;

    fn import(
        &self,
        messages: Import,
        now: Timestamp,
        done: Done<Result<u64, StoreError>>,
    ) -> Result<(), Busy>;

    fn take_back(&self, room: &str, done: Done<Result<(), StoreError>>) -> Result<(), Busy>;
    /// A store that ends with the process need not keep any.
    fn change_bans(&self, change: BanChange, done: Done<Result<(), StoreError>>) -> Result<(), Busy>;

    fn bans(&self, done: Done<Result<Vec<Ban>, StoreError>>) -> Result<(), Busy>;

    /// Has `listener` hear of rooms that are found to be damaged, where that can happen.
    fn listen_for_damage(&self, listener: DamageListener);

    /// In memory there is nothing to copy.
    fn begin_backup(&self, done: Done<Result<BackupId, BackupError>>) -> Result<(), Busy> {
        done(Err(BackupError::InMemory));
        Ok(())
    }

    fn read_backup(
        &self,
        _id: BackupId,
        _offset: u64,
        done: Done<Result<BackupPart, BackupError>>,
    ) -> Result<(), Busy> {
        done(Err(BackupError::InMemory));
        Ok(())
    }

    fn end_backup(&self, _id: BackupId, done: Done<Result<(), BackupError>>) -> Result<(), Busy> {
        done(Err(BackupError::InMemory));
        Ok(())
    }

    /// The number of the newest message that was removed for good.
    #[cfg(test)]
    fn floor(&self, room: RoomId, done: Done<Result<u64, StoreError>>) -> Result<(), Busy>;

    fn monitor(&self) -> &Monitor;

    /// What this node has counted of its cluster; `None` where there is none.
    fn cluster(&self) -> Option<ClusterStats> {
        None
    }

    /// How many jobs wait for the thread that writes, and their bytes.
    fn waiting(&self) -> (usize, usize);

    /// Messages that went because the limits of a store in memory were reached.
    fn evicted(&self) -> u64;

    /// Sets the maximum number of rooms of a store in memory.
    fn set_rooms_max(&self, rooms: usize);
}
