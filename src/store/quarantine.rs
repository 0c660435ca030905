//! Rooms whose stored messages are damaged: they alone are out of use.
//!
//! Damage to a row says nothing about other rooms. (What says something about all of them, a failed fsync or a broken
//! structure, is the store's `Health`.) Found once, it is said once, and the room is not opened, read or written to until
//! a restart finds it mended; it can be deleted.

use std::collections::HashMap;
use std::fmt;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use super::backend::DamageListener;
use super::error::StoreError;
use crate::rooms::store_api::RoomId;

/// The damaged rooms that were met, and what is wrong with them.
#[derive(Default)]
pub(super) struct Quarantine {
    rooms: Mutex<HashMap<RoomId, Arc<str>>>,
    /// How many: the lock is not taken while there are none.
    count: AtomicUsize,
    listeners: Mutex<Vec<DamageListener>>,
}

impl fmt::Debug for Quarantine {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Quarantine").field("count", &self.count).finish_non_exhaustive()
    }
}

impl Quarantine {
    /// Why the room is not to be used, if so.
    pub(super) fn check(&self, room: RoomId) -> Result<(), StoreError> {
        // A room that is being noted at this moment may be missed once: what reads it then meets the damage itself.
        if self.count.load(Ordering::Acquire) == 0 {
            return Ok(());
        }
        match self.lock().get(&room) {
            Some(reason) => Err(StoreError::RoomDamaged { room, reason: reason.clone() }),
            None => Ok(()),
        }
    }

    /// Does something with the room, unless it is damaged; and notes if it is.
    pub(super) fn guard<T>(
        &self,
        room: RoomId,
        work: impl FnOnce() -> Result<T, StoreError>,
    ) -> Result<T, StoreError> {
        self.check(room)?;
        work().map_err(|error| self.note(room, error))
    }

    /// From now on `listener` hears of rooms that are found to be damaged: a shard that has one of them open is to
    /// close it.
    pub(super) fn listen(&self, listener: DamageListener) {
        self.listeners.lock().unwrap_or_else(PoisonError::into_inner).push(listener);
    }

    /// Hears of an error that was met with the room.
    pub(super) fn note(&self, room: RoomId, error: StoreError) -> StoreError {
        let error = error.in_room(room);
        if let StoreError::RoomDamaged { room, reason } = &error
            && self.lock().insert(*room, reason.clone()).is_none()
        {
            self.count.fetch_add(1, Ordering::Release);
            tracing::error!(room = room.0, %reason, "a room is damaged and out of use; the others go on");
            let listeners = self.listeners.lock().unwrap_or_else(PoisonError::into_inner);
            listeners.iter().for_each(|listener| listener(*room));
        }
        error
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<RoomId, Arc<str>>> {
        self.rooms.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
