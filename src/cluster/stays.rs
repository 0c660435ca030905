//! The stays that have begun over this node and not ended, to be announced again if Redis or the others took the node for
//! dead.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use super::draft::Draft;
use super::rooms::Room;
use crate::rooms::store_api::{RoomId, StayId};
use crate::system::RandomState;

#[derive(Default)]
struct InRoom {
    room: Option<Arc<Room>>,
    joins: HashMap<StayId, Draft, RandomState>,
}

/// The stays of this node.
#[derive(Default)]
pub(super) struct Stays {
    here: Mutex<HashMap<RoomId, InRoom, RandomState>>,
    /// Rooms in which they may be unknown to Redis.
    lost: Mutex<HashMap<RoomId, Arc<Room>, RandomState>>,
}

impl Stays {
    fn lock(&self) -> MutexGuard<'_, HashMap<RoomId, InRoom, RandomState>> {
        self.here.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// It has begun, with this JOIN.
    pub(super) fn begun(&self, room: &Arc<Room>, stay: StayId, join: Draft) {
        let mut rooms = self.lock();
        let here = rooms.entry(room.id).or_default();
        here.room.get_or_insert_with(|| room.clone());
        here.joins.insert(stay, join);
    }

    /// It has ended.
    pub(super) fn ended(&self, room: RoomId, stay: StayId) {
        let mut rooms = self.lock();
        if let Some(here) = rooms.get_mut(&room) {
            here.joins.remove(&stay);
            if here.joins.is_empty() {
                rooms.remove(&room);
            }
        }
    }

    /// The room is gone, and with it all stays.
    pub(super) fn forget(&self, room: RoomId) {
        self.lock().remove(&room);
    }

    /// Whether it has begun and not ended.
    pub(super) fn is_here(&self, room: RoomId, stay: StayId) -> bool {
        self.lock().get(&room).is_some_and(|here| here.joins.contains_key(&stay))
    }

    /// Redis may not know the stays in this room any more.
    pub(super) fn lose(&self, room: &Arc<Room>) {
        self.lost.lock().unwrap_or_else(PoisonError::into_inner).insert(room.id, room.clone());
    }

    /// The rooms that were [lost](Stays::lose) since this was asked last.
    pub(super) fn take_lost(&self) -> Vec<Arc<Room>> {
        let mut lost = self.lost.lock().unwrap_or_else(PoisonError::into_inner);
        std::mem::take(&mut *lost).into_values().collect()
    }

    /// The rooms in which there are stays.
    pub(super) fn rooms(&self) -> Vec<Arc<Room>> {
        self.lock().values().filter_map(|here| here.room.clone()).collect()
    }

    /// The JOINs of a room.
    pub(super) fn joins(&self, room: RoomId) -> Vec<Draft> {
        self.lock().get(&room).map(|here| here.joins.values().cloned().collect()).unwrap_or_default()
    }
}
