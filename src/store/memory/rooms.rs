//! All rooms of a store in memory: their logs, participants and settings, and the bound on all logs together.

use std::cmp::Reverse;
use std::collections::{BTreeMap, BTreeSet, BinaryHeap, HashMap};
use std::ops::Bound;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use super::log::Log;
use crate::rooms::log::Window;
use crate::rooms::store_api::{
    Durability, Opened, Page, PageRequest, ReadFrom, RecordBatch, Retention, RoomId, RoomSettings, Stored,
    refused_with,
};
use crate::rooms::{ID_EPOCH_BITS, Timestamp};
use crate::store::answer::Purpose;
use crate::store::entropy::{random, random_change};
use crate::store::error::StoreError;
use crate::store::values::{LIST_BYTES_MAX, PARTICIPANTS_MAX, RECENT_IDS_MAX, batch_of, made_up_id};
use crate::store::{Import, MemoryLimits, NewRoom, Options, RoomInfo, RoomQuery, SEQ_MAX};

/// A room that nobody has used for so long may be forgotten if there are too many.
const FORGOTTEN_AFTER: Duration = Duration::from_secs(600);
/// Rooms forgotten at a time: looking for them costs a look at all.
const FORGOTTEN_AT_ONCE: usize = 4_096;

#[derive(Debug)]
#[cfg_attr(feature = "simulation", derive(Clone))]
struct Room {
    info: RoomInfo,
    epoch: u64,
    log: Log,
    /// Whether it came into being by being used; nothing of it was asked to be kept.
    is_implicit: bool,
    /// Whether `oldest` has an entry for it. Invariant: true if its log has messages.
    is_queued: bool,
    used_at: Timestamp,
}

/// The rooms of one store.
#[derive(Debug)]
#[cfg_attr(feature = "simulation", derive(Clone))]
pub(super) struct Rooms {
    window: Window,
    dedup_window: Duration,
    durability: Durability,
    retention: Retention,
    limits: MemoryLimits,
    /// In place of [`MemoryLimits::rooms`], which may change.
    rooms_max: Arc<AtomicUsize>,
    rooms: BTreeMap<RoomId, Room>,
    names: BTreeMap<Box<str>, RoomId>,
    /// Who takes part where.
    by_participant: HashMap<Box<str>, BTreeSet<RoomId>>,
    last_id: i64,
    /// What all logs cost.
    cost: usize,
    /// For each room with messages, when its oldest one was numbered, or earlier: one entry a room, put right when it
    /// comes to the top. So an append costs nothing here.
    oldest: BinaryHeap<Reverse<(Timestamp, RoomId)>>,
    evicted: u64,
}

impl Rooms {
    pub(super) fn new(options: &Options, rooms_max: Arc<AtomicUsize>) -> Rooms {
        let Options { window, dedup_window, durability, retention, memory, .. } = *options;
        Rooms {
            window,
            dedup_window,
            durability,
            retention,
            limits: memory,
            rooms_max,
            rooms: BTreeMap::new(),
            names: BTreeMap::new(),
            by_participant: HashMap::new(),
            last_id: 0,
            cost: 0,
            oldest: BinaryHeap::new(),
            evicted: 0,
        }
    }

    /// Messages removed for the limits of memory since this was asked last.
    pub(super) fn take_evicted(&mut self) -> u64 {
        std::mem::take(&mut self.evicted)
    }

    /// Appends a batch; the rooms that are refused are noted in it.
    pub(super) fn append(&mut self, batch: &mut RecordBatch, now: Timestamp) {
        let refused = self.refused(batch);
        let all_refused = refused_with(&refused, &batch.together);
        let mut last = None;
        for record in &batch.records {
            if all_refused.contains(&record.room) {
                continue;
            }
            if last.is_some_and(|last| last != record.room) {
                last.into_iter().for_each(|room| self.trim(room, now));
            }
            last = Some(record.room);
            let Some(room) = self.rooms.get_mut(&record.room) else { continue };
            let before = room.log.cost();
            room.log.append(record, &batch.text);
            room.used_at = now;
            self.cost += room.log.cost() - before;
            if !std::mem::replace(&mut room.is_queued, true) {
                self.oldest.push(Reverse((record.at, record.room)));
            }
        }
        last.into_iter().for_each(|room| self.trim(room, now));
        self.evict();
        batch.refused.extend(refused);
    }

    /// The rooms of a batch whose messages do not follow or cannot be stored. Messages of deleted rooms are neither.
    fn refused(&self, batch: &RecordBatch) -> BTreeSet<RoomId> {
        let mut heads: HashMap<RoomId, (u64, Timestamp)> = HashMap::new();
        let mut refused = BTreeSet::new();
        for record in &batch.records {
            let Some(room) = self.rooms.get(&record.room) else {
                if !(1..=self.last_id).contains(&record.room.0) {
                    refused.insert(record.room);
                }
                continue;
            };
            let head = heads.entry(record.room).or_insert_with(|| (room.log.head(), room.log.last_at()));
            let fits = record.seq == head.0 + 1 && record.at > head.1 && record.seq <= SEQ_MAX;
            if fits {
                *head = (record.seq, record.at);
            } else if refused.insert(record.room) {
                tracing::error!(room = record.room.0, seq = record.seq, "messages of a room were refused");
            }
        }
        refused
    }

    /// Removes what the room keeps no longer.
    fn trim(&mut self, id: RoomId, now: Timestamp) {
        let Some(room) = self.rooms.get_mut(&id) else { return };
        let own = room.info.settings.retention(self.retention);
        let messages_max = own.messages_max.unwrap_or(u64::MAX).min(self.limits.room_messages);
        let by_retention = own.messages_max.is_some_and(|max| max <= self.limits.room_messages);
        let before = room.log.cost();
        let retention = Retention { messages_max: Some(messages_max), ..own };
        let removed = room.log.trim(retention, self.limits.room_bytes, now);
        if !by_retention && own.bytes_max.is_none() && own.age_max.is_none() {
            self.evicted += removed;
        }
        self.cost -= before - room.log.cost();
    }

    /// Removes the oldest messages of all rooms until the rest is within the limit.
    fn evict(&mut self) {
        while self.cost > self.limits.bytes {
            let Some(Reverse((at, id))) = self.oldest.pop() else { return };
            let Some(room) = self.rooms.get_mut(&id) else { continue };
            match room.log.oldest_at() {
                None => room.is_queued = false,
                Some(oldest) if oldest != at => self.oldest.push(Reverse((oldest, id))),
                Some(_) => {
                    let before = room.log.cost();
                    room.log.remove_oldest();
                    self.cost -= before - room.log.cost();
                    self.evicted += 1;
                    match room.log.oldest_at() {
                        None => room.is_queued = false,
                        Some(oldest) => self.oldest.push(Reverse((oldest, id))),
                    }
                }
            }
        }
        debug_assert_eq!(
            self.cost,
            self.cost.min(self.limits.bytes),
            "what is over the limit can be removed"
        );
    }

    /// Removes what has grown too old, everywhere.
    pub(super) fn sweep(&mut self, now: Timestamp) {
        let ids: Vec<RoomId> = self.rooms.keys().copied().collect();
        for id in ids {
            self.trim(id, now);
        }
    }

    /// In a simulation: the store is opened again, and logs of these durabilities may have lost something.
    #[cfg(feature = "simulation")]
    pub(super) fn begin_epochs(&mut self, has_lost: impl Fn(Durability) -> bool) {
        for room in self.rooms.values_mut() {
            if has_lost(room.info.settings.durability.unwrap_or(self.durability)) {
                room.epoch = random_change() | room.epoch & ID_EPOCH_BITS;
            }
        }
    }

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

    /// Creates a room as it was elsewhere.
    fn create_as(&mut self, name: &str, about: &RoomInfo) -> Result<(), StoreError> {
        let RoomInfo { name: title, description, created_by, created_at, settings, participants, .. } =
            about.clone();
        let room = NewRoom { id: None, name: title, description, created_by, created_at, settings };
        self.insert(name.into(), room, false)?;
        participants.iter().try_for_each(|user| self.join(name, user).map(|_| ()))
    }

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

    fn id_of(&self, name: &str) -> Result<RoomId, StoreError> {
        self.names.get(name).copied().ok_or(StoreError::NoSuchRoom)
    }

    fn insert(
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
    /// use all the same, what is said there goes to those who are there; whoever comes later finds another epoch.
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

/// The messages from `first` to `upto`, newest first, as many as fit.
fn newest(log: &Log, first: u64, upto: u64, count: usize, bytes: usize) -> Vec<Stored> {
    gather((first..=upto).rev().map_while(|seq| log.message(seq)), count, bytes)
}

/// So many messages at most, until their texts exceed `bytes_max`; at least one.
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
