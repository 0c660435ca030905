//! Where the logs stand that are in use, as far as members were told.

use std::collections::{HashMap, HashSet};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use super::documents::Position;
use crate::rooms::store_api::{Retention, RoomId, RoomSettings};

/// Rooms that are remembered; beyond it all are forgotten that nothing depends on, and looked up again as needed.
const ROOMS_MAX: usize = 65_536;

/// Where the log of a room stands.
#[derive(Clone, Debug)]
pub(super) struct Head {
    pub(super) name: Arc<str>,
    /// After the newest message that was acknowledged. What the database has beyond it was not, and nobody sees it.
    pub(super) head: Position,
    /// Before the oldest message that is kept.
    pub(super) floor: Position,
    /// The epoch of what is appended.
    pub(super) epoch: u64,
    pub(super) settings: RoomSettings,
    /// The head that the database has noted.
    pub(super) noted: u64,
    /// Whether the database may have messages beyond `head`, whose answers are missing.
    pub(super) is_unsettled: bool,
    /// Whether retention has been told that there is something to delete.
    pub(super) is_overfull: bool,
}

impl Head {
    /// Whether the log is more than `general` keeps; age is not looked at.
    pub(super) fn exceeds(&self, general: Retention) -> bool {
        let retention = self.settings.retention(general);
        let messages = self.head.seq - self.floor.seq;
        let bytes = self.head.bytes.saturating_sub(self.floor.bytes);
        retention.messages_max.is_some_and(|max| messages > max)
            || retention.bytes_max.is_some_and(|max| bytes > max && messages > 1)
    }
}

/// The heads of all rooms that are in use.
#[derive(Debug, Default)]
pub(super) struct Heads(Mutex<Known>);

#[derive(Debug, Default)]
struct Known {
    rooms: HashMap<RoomId, Head>,
    names: HashMap<Arc<str>, RoomId>,
    /// Rooms that were opened in this run: what others insert there is left alone until the next one.
    // A number a room, for as many as the database has.
    opened: HashSet<RoomId>,
}

impl Heads {
    pub(super) fn of(&self, room: RoomId) -> Option<Head> {
        self.lock().rooms.get(&room).cloned()
    }

    /// The room of this name, if its head is known.
    pub(super) fn by_name(&self, name: &str) -> Option<RoomId> {
        self.lock().names.get(name).copied()
    }

    /// Whether the room was opened in this run.
    pub(super) fn was_opened(&self, room: RoomId) -> bool {
        self.lock().opened.contains(&room)
    }

    /// The room was opened, and its log stands there.
    pub(super) fn opened(&self, room: RoomId, head: Head) {
        let (mut known, mut head) = (self.lock(), head);
        known.opened.insert(room);
        // Retention may have moved it since the row of the room was read; it never goes back.
        if let Some(before) = known.rooms.get(&room).filter(|before| before.floor.seq > head.floor.seq) {
            head.floor = before.floor;
        }
        known.put(room, head);
    }

    /// The log of the room stands there.
    pub(super) fn put(&self, room: RoomId, head: Head) {
        self.lock().put(room, head);
    }

    /// Changes what is known of a room, if anything is.
    pub(super) fn change<T>(&self, room: RoomId, change: impl FnOnce(&mut Head) -> T) -> Option<T> {
        self.lock().rooms.get_mut(&room).map(change)
    }

    /// Forgets where the log stands.
    pub(super) fn forget(&self, room: RoomId) {
        let mut known = self.lock();
        if let Some(head) = known.rooms.remove(&room) {
            known.names.remove(&head.name);
        }
    }

    /// The room is gone for good.
    pub(super) fn remove(&self, room: RoomId) {
        self.forget(room);
        self.lock().opened.remove(&room);
    }

    /// Rooms whose head the database has not noted, this many at most.
    pub(super) fn unnoted(&self, count: usize) -> Vec<(RoomId, Arc<str>, u64)> {
        let known = self.lock();
        let behind = known.rooms.iter().filter(|(_, head)| head.noted < head.head.seq);
        behind.map(|(room, head)| (*room, head.name.clone(), head.head.seq)).take(count).collect()
    }

    fn lock(&self) -> MutexGuard<'_, Known> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Known {
    fn put(&mut self, room: RoomId, head: Head) {
        if self.rooms.len() >= ROOMS_MAX {
            // Of the others the database says as much.
            self.rooms.retain(|_, head| head.is_unsettled || head.noted < head.head.seq);
            let rooms = &self.rooms;
            self.names.retain(|_, room| rooms.contains_key(room));
        }
        self.names.insert(head.name.clone(), room);
        self.rooms.insert(room, head);
    }
}
