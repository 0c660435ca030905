//! The rooms that this process knows, and the names that it has given them.

use std::collections::HashMap;
use std::sync::atomic::AtomicU64;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, TryLockError};

use super::follow::Follow;
use super::partition::Partition;
use crate::rooms::Timestamp;
use crate::rooms::store_api::{RoomId, Stored};
use crate::store::Follower;
use crate::system::threads::lock_long;

/// Rooms that nobody here follows and whose names are kept, at most.
const IDLE_MAX: usize = 65_536;

/// A room that this process knows.
pub(super) struct Room {
    pub(super) id: RoomId,
    pub(super) name: Box<str>,
    pub(super) partition: Partition,
    /// The number of the latest opening by which it is to be followed.
    pub(super) openings: AtomicU64,
    /// Held while its news are handed on, so that they come in order.
    log: Mutex<Log>,
}

/// What is known of a room, and who hears of it.
#[derive(Default)]
pub(super) struct Log {
    /// Which room of this name it is in Redis.
    pub(super) uid: Box<str>,
    /// The generation of the partition in which it was seen last.
    pub(super) generation: Box<str>,
    /// The time of the newest message that was shown.
    pub(super) shown_at: Timestamp,
    /// The epoch and number of the newest message that was shown before it was closed.
    closed_at: Option<(u64, u64)>,
    pub(super) follow: Follow,
    pub(super) follower: Option<Follower>,
    /// By which opening it is followed.
    pub(super) opening: u64,
}

/// What this node has shown of a room, for Redis to compare with what it knows.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Shown {
    pub(super) uid: Box<str>,
    pub(super) generation: Box<str>,
    /// The epoch, 16 hex digits; empty if nothing was shown.
    pub(super) epoch: String,
    pub(super) seq: u64,
    pub(super) at: Timestamp,
}

impl Room {
    pub(super) fn lock(&self) -> MutexGuard<'_, Log> {
        lock_long(&self.log)
    }

    /// As [`Room::lock`], unless somebody else has it.
    pub(super) fn try_lock(&self) -> Option<MutexGuard<'_, Log>> {
        match self.log.try_lock() {
            Ok(log) => Some(log),
            Err(TryLockError::Poisoned(log)) => Some(log.into_inner()),
            Err(TryLockError::WouldBlock) => None,
        }
    }
}

impl Log {
    pub(super) fn shown(&mut self) -> Shown {
        let live = self.follow.live().map(|live| (live.epoch, live.shown));
        let shown = live.or(self.closed_at);
        let (epoch, seq) = shown.map_or((String::new(), 0), |(epoch, seq)| (format!("{epoch:016x}"), seq));
        Shown { uid: self.uid.clone(), generation: self.generation.clone(), epoch, seq, at: self.shown_at }
    }

    /// It is about to be opened.
    pub(super) fn opens(&mut self) {
        self.close();
        self.follow.opens();
    }

    /// Nothing of it is shown any more.
    pub(super) fn close(&mut self) {
        if let Some(live) = self.follow.live() {
            self.closed_at = Some((live.epoch, live.shown));
        }
        self.follow = Follow::Closed;
    }

    /// Notes that these are shown.
    pub(super) fn note_shown(&mut self, messages: &[Stored]) {
        if let Some(last) = messages.last() {
            self.shown_at = self.shown_at.max(last.at);
        }
    }
}

#[derive(Default)]
struct Names {
    by_id: HashMap<RoomId, Arc<Room>>,
    by_name: HashMap<Box<str>, Arc<Room>>,
    last_id: i64,
    /// Rooms at which it is next looked for those that nobody follows.
    sweep_at: usize,
}

/// All rooms that this process knows.
#[derive(Default)]
pub(super) struct Rooms(Mutex<Names>);

impl Rooms {
    fn lock(&self) -> MutexGuard<'_, Names> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn by_id(&self, id: RoomId) -> Option<Arc<Room>> {
        self.lock().by_id.get(&id).cloned()
    }

    /// The room of this name, which may turn out not to be there.
    pub(super) fn named(&self, name: &str) -> Arc<Room> {
        let mut names = self.lock();
        if let Some(room) = names.by_name.get(name) {
            return room.clone();
        }
        names.insert(name, Log::default())
    }

    /// Another room has the name of this one, or none: what is asked by name from now on is not about this one. Gives
    /// the room that has its place.
    pub(super) fn replace(&self, room: &Room) -> Arc<Room> {
        let mut names = self.lock();
        match names.by_name.get(&room.name) {
            Some(other) if other.id != room.id => other.clone(),
            Some(_) | None => names.insert(&room.name, Log::default()),
        }
    }

    /// The room of this name, if this process knows it.
    pub(super) fn by_name(&self, name: &str) -> Option<Arc<Room>> {
        self.lock().by_name.get(name).cloned()
    }

    /// What this process calls a room that it does not know, and never will.
    pub(super) fn unknown_id(&self) -> RoomId {
        let mut names = self.lock();
        names.last_id += 1;
        RoomId(names.last_id)
    }

    /// The room is there no longer.
    pub(super) fn forget(&self, room: &Room) {
        let mut names = self.lock();
        names.by_id.remove(&room.id);
        if names.by_name.get(&room.name).is_some_and(|other| other.id == room.id) {
            names.by_name.remove(&room.name);
        }
    }
}

impl Names {
    fn insert(&mut self, name: &str, log: Log) -> Arc<Room> {
        self.sweep();
        self.last_id += 1;
        let id = RoomId(self.last_id);
        let room = Arc::new(Room {
            id,
            name: name.into(),
            partition: Partition::of(name),
            openings: AtomicU64::new(0),
            log: Mutex::new(log),
        });
        self.by_id.insert(id, room.clone());
        self.by_name.insert(name.into(), room.clone());
        room
    }

    /// Forgets rooms that nobody follows or makes use of, if they are many.
    fn sweep(&mut self) {
        if self.by_id.len() < self.sweep_at.max(IDLE_MAX) {
            return;
        }
        // By these two maps alone: nobody else has it, and nobody else can get it meanwhile.
        let is_idle = |room: &Arc<Room>| Arc::strong_count(room) <= 2 && room.lock().follower.is_none();
        let idle: Vec<RoomId> =
            self.by_id.values().filter(|room| is_idle(room)).map(|room| room.id).collect();
        self.by_name.retain(|_, room| !is_idle(room));
        for id in idle {
            self.by_id.remove(&id);
        }
        self.sweep_at = 2 * self.by_id.len();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_room_that_takes_the_place_of_another_has_another_id() {
        let rooms = Rooms::default();
        let first = rooms.named("lobby");
        assert_eq!(rooms.named("lobby").id, first.id);
        let second = rooms.replace(&first);
        assert_ne!(second.id, first.id);
        assert_eq!(rooms.replace(&first).id, second.id);
        assert_eq!(rooms.named("lobby").id, second.id);
        assert!(rooms.by_id(first.id).is_some());
        rooms.forget(&first);
        assert!(rooms.by_id(first.id).is_none());
        assert_eq!(rooms.named("lobby").id, second.id);
    }

    #[test]
    fn a_room_that_is_not_known_has_an_id_that_no_other_has() {
        let rooms = Rooms::default();
        assert!(rooms.by_name("lobby").is_none());
        let known = rooms.named("lobby");
        assert_eq!(rooms.by_name("lobby").map(|room| room.id), Some(known.id));
        let unknown = rooms.unknown_id();
        assert!(unknown != known.id && rooms.by_id(unknown).is_none());
        assert_ne!(rooms.named("other").id, unknown);
    }

    #[test]
    fn rooms_that_nobody_follows_are_forgotten_when_they_are_many() {
        let rooms = Rooms::default();
        let kept = rooms.named("kept");
        kept.lock().follower = Some(Arc::new(|_, _| {}));
        let id = kept.id;
        drop(kept);
        (0..IDLE_MAX).for_each(|number| drop(rooms.named(&number.to_string())));
        assert!(rooms.lock().by_id.len() < IDLE_MAX);
        assert_eq!(rooms.named("kept").id, id);
    }
}
