//! Messages that come from elsewhere, with the numbers and times that they have.

use super::rooms::Rooms;
use crate::rooms::{ID_EPOCH_BITS, Timestamp};
use crate::store::answer::Purpose;
use crate::store::entropy::random_change;
use crate::store::error::StoreError;
use crate::store::values::{Import, NewRoom, RoomInfo, batch_of};

impl Rooms {
    pub(super) fn import(&mut self, import: &Import, now: Timestamp) -> Result<u64, StoreError> {
        let first = import.messages.first();
        if import.after.is_none() && first.is_some_and(|first| first.seq == 0) {
            return Err(StoreError::Malformed);
        }
        let at = first.map_or(now, |message| message.at);
        if let Some(about) = import.about.as_deref().filter(|_| !self.names.contains_key(&*import.room)) {
            self.create_as(&import.room, about)?;
        }
        let id = self.open(&import.room, Purpose::Create, at)?.id;
        let room = self.rooms.get_mut(&id).ok_or(StoreError::NoSuchRoom)?;
        let head = room.log.head();
        match (import.after, first) {
            (None, _) if head > 0 => return Err(StoreError::RoomExists),
            (Some(after), _) if head != after => {
                return Err(StoreError::OutOfOrder { room: id, expected: head + 1, found: after + 1 });
            }
            (None, Some(first)) => {
                room.log.begin_after(first.seq - 1);
                if let Some(id_epoch) = import.id_epoch {
                    room.epoch = random_change() | id_epoch & ID_EPOCH_BITS;
                }
            }
            (None | Some(_), _) => {}
        }
        let mut batch = batch_of(id, &import.messages);
        let follows = batch.records.first().is_none_or(|first| room.log.precedes(first.seq, first.at));
        self.append(&mut batch, now);
        if let Some(&room) = batch.refused.first() {
            let found = first.map_or(0, |first| first.seq);
            let expected = import.after.unwrap_or(0) + 1;
            let disorder = StoreError::OutOfOrder { room, expected, found };
            return Err(if follows { StoreError::Malformed } else { disorder });
        }
        Ok(import.messages.last().map_or(head, |message| message.seq))
    }

    /// Creates a room as it was elsewhere.
    fn create_as(&mut self, name: &str, about: &RoomInfo) -> Result<(), StoreError> {
        let RoomInfo { name: title, description, created_by, created_at, settings, participants, .. } =
            about.clone();
        let room = NewRoom { id: None, name: title, description, created_by, created_at, settings };
        self.insert(name.into(), room, false)?;
        participants.iter().try_for_each(|user| self.join(name, user).map(|_| ()))
    }
}
