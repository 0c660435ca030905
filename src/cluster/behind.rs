//! Rooms whose log could not be read when it had to be, to be tried again.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

use super::rooms::Room;
use crate::rooms::store_api::RoomId;
use crate::system::RandomState;

/// Rooms whose log is to be read again.
#[derive(Default)]
pub(super) struct Behind(Mutex<HashMap<RoomId, Arc<Room>, RandomState>>);

impl Behind {
    pub(super) fn note(&self, room: &Arc<Room>) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).insert(room.id, room.clone());
    }

    pub(super) fn take(&self) -> Vec<Arc<Room>> {
        let mut rooms = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        std::mem::take(&mut *rooms).into_values().collect()
    }
}
