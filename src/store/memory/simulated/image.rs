//! What is on the disk.

use std::collections::BTreeMap;
use std::time::Duration;

use crate::rooms::store_api::{OpenStay, Opened, RecordBatch, RoomId, StayId, refused_with};
use crate::rooms::{Ban, Kind, Timestamp};
use crate::store::answer::Purpose;
use crate::store::entropy::now;
use crate::store::error::StoreError;
use crate::store::memory::rooms::Rooms;
use crate::store::values::{BAN_ENDING, BanChange};

/// What is on the disk.
#[derive(Clone)]
pub(super) struct Image {
    pub(super) rooms: Rooms,
    pub(super) stays: BTreeMap<RoomId, BTreeMap<StayId, Box<str>>>,
    pub(super) bans: BTreeMap<(Box<str>, Box<str>), Duration>,
}

impl Image {
    pub(super) fn append(&mut self, batch: &mut RecordBatch) {
        self.rooms.append(batch, now());
        let refused = refused_with(&batch.refused, &batch.together);
        for record in batch.records.iter().filter(|record| !refused.contains(&record.room)) {
            let Some(presence) = record.presence else { continue };
            let Some(stay) = presence.stay else { continue };
            let stays = self.stays.entry(record.room).or_default();
            match record.kind {
                Kind::Join => {
                    stays.insert(stay, presence.username.of(&batch.text).into());
                }
                Kind::Leave => {
                    stays.remove(&stay);
                }
                Kind::Message | Kind::System => {}
            }
        }
    }

    pub(super) fn open(&mut self, name: &str, now: Timestamp) -> Result<Opened, StoreError> {
        let mut opened = self.rooms.open(name, Purpose::Find, now)?;
        if let Some(stays) = self.stays.get(&opened.id) {
            let open = stays.iter().map(|(id, username)| OpenStay { id: *id, username: username.clone() });
            opened.open_stays = open.collect();
        }
        Ok(opened)
    }

    pub(super) fn change_bans(&mut self, change: BanChange) {
        match change {
            BanChange::Keep(Ban { room, user, left }) => {
                self.bans.insert((room, user), left);
            }
            BanChange::Lift { room, user } => {
                self.bans.remove(&(room, user));
            }
            BanChange::Note { bans, ended } => {
                for Ban { room, user, left } in bans {
                    if let Some(kept) = self.bans.get_mut(&(room, user)) {
                        *kept = left.min(*kept);
                    }
                }
                for Ban { room, user, .. } in ended {
                    let key = (room, user);
                    if self.bans.get(&key).is_some_and(|left| *left <= BAN_ENDING) {
                        self.bans.remove(&key);
                    }
                }
            }
        }
    }
}
