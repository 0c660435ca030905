//! Which rooms there are, and their participants.

use std::cmp::Reverse;
use std::ops::Bound;
use std::sync::atomic::Ordering;
use std::time::Duration;

use super::log::Log;
use super::rooms::{Room, Rooms};
use crate::rooms::Timestamp;
use crate::rooms::store_api::{RoomId, RoomSettings};
use crate::store::entropy::random;
use crate::store::error::StoreError;
use crate::store::values::{LIST_BYTES_MAX, NewRoom, PARTICIPANTS_MAX, RoomInfo, RoomQuery, made_up_id};

/// A room that was not used for this time may be forgotten if there are too many.
// Longer than a client that lost its connection tries to come back.
const FORGOTTEN_AFTER: Duration = Duration::from_secs(600);
/// Rooms forgotten at a time: looking for them costs a look at all.
const FORGOTTEN_AT_ONCE: usize = 4_096;

impl Rooms {
    pub(super) fn create(&mut self, room: NewRoom) -> Result<RoomInfo, StoreError> {
        let public_id = room.id.clone().unwrap_or_else(|| made_up_id(room.created_at));
        if self.names.contains_key(&public_id) {
            return Err(StoreError::RoomExists);
        }
        let creator = room.created_by.clone();
        let id = self.insert(public_id, room, false)?;
        if let Some(creator) = creator {
            self.add_participant(id, &creator)?;
        }
        self.info_of(id)
    }

    pub(super) fn info(&self, name: &str) -> Result<RoomInfo, StoreError> {
        self.info_of(self.id_of(name)?)
    }

    fn info_of(&self, id: RoomId) -> Result<RoomInfo, StoreError> {
        self.rooms.get(&id).map(|room| room.info.clone()).ok_or(StoreError::NoSuchRoom)
    }

    pub(super) fn id_of(&self, name: &str) -> Result<RoomId, StoreError> {
        self.names.get(name).copied().ok_or(StoreError::NoSuchRoom)
    }

    /// As [`crate::store::registry::list`] has it.
    pub(super) fn list(&self, query: &RoomQuery) -> Vec<RoomInfo> {
        let after = query.after.as_deref().unwrap_or_default();
        let ids: Vec<RoomId> = match (query.names_after(), &query.participant) {
            (Some(names), _) => names.iter().filter_map(|name| self.names.get(*name).copied()).collect(),
            (None, None) => {
                let beyond = (Bound::Excluded(after), Bound::Unbounded);
                self.names.range::<str, _>(beyond).map(|(_, id)| *id).take(query.limit).collect()
            }
            (None, Some(user)) => {
                let theirs = self.by_participant.get(user).into_iter().flatten();
                let named = theirs.filter_map(|id| Some((&*self.rooms.get(id)?.info.id, *id)));
                let mut named: Vec<_> = named.filter(|(name, _)| *name > after).collect();
                named.sort_unstable();
                named.into_iter().map(|(_, id)| id).collect()
            }
        };
        let (mut rooms, mut bytes) = (Vec::new(), 0);
        let found = ids.iter().filter_map(|id| self.rooms.get(id)).map(|room| &room.info);
        let wanted =
            |room: &&RoomInfo| query.participant.as_ref().is_none_or(|user| room.participants.contains(user));
        for room in found.filter(wanted).take(query.limit) {
            bytes += room.text_bytes();
            rooms.push(room.clone());
            if bytes > LIST_BYTES_MAX {
                break;
            }
        }
        rooms
    }

    pub(super) fn delete(&mut self, name: &str) -> Result<RoomId, StoreError> {
        let id = self.names.remove(name).ok_or(StoreError::NoSuchRoom)?;
        self.remove(id);
        Ok(id)
    }

    fn remove(&mut self, id: RoomId) {
        let Some(room) = self.rooms.remove(&id) else { return };
        self.cost -= room.log.cost();
        for user in &room.info.participants {
            self.leave_index(user, id);
        }
        // Deleted rooms leave entries behind, which go when they are on top; not without end.
        if self.oldest.len() > 2 * self.rooms.len() + 1_024 {
            let rooms = &self.rooms;
            self.oldest.retain(|Reverse((_, id))| rooms.contains_key(id));
        }
    }

    fn leave_index(&mut self, user: &str, id: RoomId) {
        if let Some(rooms) = self.by_participant.get_mut(user) {
            rooms.remove(&id);
            if rooms.is_empty() {
                self.by_participant.remove(user);
            }
        }
    }

    pub(super) fn join(&mut self, name: &str, user: &str) -> Result<RoomInfo, StoreError> {
        let id = self.id_of(name)?;
        self.add_participant(id, user)?;
        self.info_of(id)
    }

    fn add_participant(&mut self, id: RoomId, user: &str) -> Result<(), StoreError> {
        let room = self.rooms.get_mut(&id).ok_or(StoreError::NoSuchRoom)?;
        let theirs = self.by_participant.entry(user.into()).or_default();
        if theirs.contains(&id) {
            return Ok(());
        }
        if room.info.participants.len() as u64 >= PARTICIPANTS_MAX {
            self.leave_index(user, id);
            return Err(StoreError::TooManyParticipants);
        }
        theirs.insert(id);
        room.info.participants.push(user.into());
        Ok(())
    }

    pub(super) fn leave(&mut self, name: &str, user: &str) -> Result<RoomInfo, StoreError> {
        let id = self.id_of(name)?;
        if let Some(room) = self.rooms.get_mut(&id) {
            room.info.participants.retain(|participant| **participant != *user);
        }
        self.leave_index(user, id);
        self.info_of(id)
    }

    pub(super) fn configure(
        &mut self,
        name: &str,
        settings: RoomSettings,
        now: Timestamp,
    ) -> Result<(), StoreError> {
        let id = self.id_of(name)?;
        if let Some(room) = self.rooms.get_mut(&id) {
            (room.info.settings, room.is_implicit) = (settings, false);
        }
        self.trim(id, now);
        Ok(())
    }

    pub(super) fn insert(
        &mut self,
        public_id: Box<str>,
        room: NewRoom,
        is_implicit: bool,
    ) -> Result<RoomId, StoreError> {
        let NewRoom { name, description, created_by, created_at, settings, .. } = room;
        let rooms_max = self.rooms_max.load(Ordering::Relaxed);
        if self.rooms.len() >= rooms_max {
            self.forget_unused(created_at);
        }
        if self.rooms.len() >= rooms_max {
            return Err(StoreError::Unavailable("there are as many rooms as limits.rooms allows".into()));
        }
        self.last_id += 1;
        let id = RoomId(self.last_id);
        let info = RoomInfo {
            id: public_id.clone(),
            name,
            description,
            created_by,
            participants: Vec::new(),
            created_at,
            settings,
        };
        let (log, epoch) = (Log::default(), random());
        let room = Room { info, epoch, log, is_implicit, is_queued: false, used_at: created_at };
        self.rooms.insert(id, room);
        self.names.insert(public_id, id);
        Ok(id)
    }

    /// Forgets rooms of which nothing is left but their names, and that were not used for long. Should one of them be in
    /// use all the same, what is said there goes to its members; a member that joins later finds another epoch.
    fn forget_unused(&mut self, now: Timestamp) {
        let age = u64::try_from(FORGOTTEN_AFTER.as_micros()).unwrap_or(u64::MAX);
        let unused = |room: &Room| {
            let is_old = now.micros().saturating_sub(room.used_at.micros()) > age;
            is_old && room.is_implicit && room.info.participants.is_empty() && room.log.cost() == 0
        };
        let found = self.rooms.iter().filter(|(_, room)| unused(room));
        let forgotten: Vec<_> =
            found.map(|(id, room)| (*id, room.info.id.clone())).take(FORGOTTEN_AT_ONCE).collect();
        for (id, name) in forgotten {
            self.names.remove(&name);
            self.remove(id);
        }
    }
}
