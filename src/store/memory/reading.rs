//! Rooms are opened, and their messages read.

use super::log::Log;
use super::rooms::Rooms;
use crate::rooms::store_api::{Opened, Page, PageRequest, ReadFrom, RoomId, Stored};
use crate::rooms::{ID_EPOCH_BITS, Timestamp};
use crate::store::answer::Purpose;
use crate::store::entropy::random_change;
use crate::store::error::StoreError;
use crate::store::values::{NewRoom, RECENT_IDS_MAX};

impl Rooms {
    pub(super) fn open(
        &mut self,
        name: &str,
        purpose: Purpose,
        now: Timestamp,
    ) -> Result<Opened, StoreError> {
        let id = match (self.names.get(name), purpose) {
            // Another one has the name by now.
            (Some(&id), Purpose::Renew(meant)) if id != meant => return Err(StoreError::NoSuchRoom),
            (Some(&id), _) => id,
            (None, Purpose::Create) => {
                let room = NewRoom { name: name.into(), created_at: now, ..NewRoom::default() };
                self.insert(name.into(), room, true)?
            }
            (None, Purpose::Find | Purpose::Renew(_)) => return Err(StoreError::NoSuchRoom),
        };
        self.trim(id, now);
        let room = self.rooms.get_mut(&id).ok_or(StoreError::NoSuchRoom)?;
        room.used_at = now;
        if matches!(purpose, Purpose::Renew(_)) {
            room.epoch = random_change() | room.epoch & ID_EPOCH_BITS;
        }
        let room = &*room;
        let (head, tail) = (room.log.head(), room.log.tail());
        let mut recent = newest(&room.log, tail, head, self.window.messages, self.window.bytes);
        recent.reverse();
        let window = u64::try_from(self.dedup_window.as_micros()).unwrap_or(u64::MAX);
        let ids_from = room.log.seq_at(Timestamp::from_micros(now.micros().saturating_sub(window))) + 1;
        let ids_from = ids_from.max(head.saturating_sub(RECENT_IDS_MAX) + 1).max(tail);
        Ok(Opened {
            id,
            epoch: room.epoch,
            head,
            tail,
            gone_at: room.log.gone_at(),
            last_at: room.log.last_at(),
            recent,
            recent_ids: (ids_from..=head).filter_map(|seq| room.log.recent_id(seq)).collect(),
            // They end with the process, as the log does.
            open_stays: Vec::new(),
            durability: room.info.settings.durability.unwrap_or(self.durability),
            retention: room.info.settings.retention(self.retention),
            numbering: crate::rooms::store_api::Numbering::Shard,
        })
    }

    pub(super) fn read(&mut self, id: RoomId, request: &PageRequest) -> Result<Page, StoreError> {
        self.trim(id, request.now);
        let room = self.rooms.get(&id).ok_or(StoreError::NoSuchRoom)?;
        let log = &room.log;
        let (head, tail) = (log.head(), log.tail());
        let upto = request.before.map_or(head, |before| before.saturating_sub(1).min(head));
        let after = match request.from {
            ReadFrom::Seq(seq) => seq.max(tail - 1),
            ReadFrom::Time(at) => log.seq_at(at),
            ReadFrom::Last(count) => upto.saturating_sub(count).max(tail - 1),
        };
        let (count, bytes) = (request.messages_max, request.bytes_max);
        let first = after.saturating_add(1);
        let (messages, start) = if request.newest_first {
            let messages = newest(log, first, upto, count, bytes);
            let start = messages.last().map_or(after, |oldest| oldest.seq - 1);
            (messages, start)
        } else {
            (gather((first..=upto).map_while(|seq| log.message(seq)), count, bytes), after)
        };
        let (gone_at, epoch) = (log.gone_at(), room.epoch);
        Ok(Page { messages, tail, gone_at, head, epoch, start })
    }

    pub(super) fn read_by_name(&mut self, name: &str, request: &PageRequest) -> Result<Page, StoreError> {
        let room = self.id_of(name)?;
        self.read(room, request)
    }

    /// The number of the newest message that was removed.
    #[cfg(test)]
    pub(super) fn floor(&self, id: RoomId) -> Result<u64, StoreError> {
        self.rooms.get(&id).map(|room| room.log.tail() - 1).ok_or(StoreError::NoSuchRoom)
    }
}

/// The messages from `first` to `upto`, newest first, as many as fit.
fn newest(log: &Log, first: u64, upto: u64, count: usize, bytes: usize) -> Vec<Stored> {
    gather((first..=upto).rev().map_while(|seq| log.message(seq)), count, bytes)
}

/// At most `count` messages, until their texts exceed `bytes_max`; at least one.
fn gather(messages: impl Iterator<Item = Stored>, count: usize, bytes_max: usize) -> Vec<Stored> {
    let mut bytes = 0;
    let mut gathered = Vec::new();
    for message in messages.take(count) {
        bytes += message.text_bytes();
        if bytes > bytes_max && !gathered.is_empty() {
            break;
        }
        gathered.push(message);
    }
    gathered
}
