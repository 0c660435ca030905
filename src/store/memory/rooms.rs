//! All rooms of a store in memory: what is appended to their logs, and the bound on all logs together.

use std::cmp::Reverse;
use std::collections::{BTreeMap, BTreeSet, BinaryHeap, HashMap};
use std::sync::Arc;
use std::sync::atomic::AtomicUsize;
use std::time::Duration;

use super::log::Log;
use crate::rooms::Timestamp;
use crate::rooms::log::Window;
use crate::rooms::store_api::{Durability, RecordBatch, Retention, RoomId, SEQ_MAX, refused_with};
use crate::store::options::{MemoryLimits, Options};
use crate::store::values::RoomInfo;

/// A room.
#[derive(Debug)]
#[cfg_attr(feature = "simulation", derive(Clone))]
pub(super) struct Room {
    pub(super) info: RoomInfo,
    pub(super) epoch: u64,
    pub(super) log: Log,
    /// Whether it came into being by being used; nothing of it was asked to be kept.
    pub(super) is_implicit: bool,
    /// Whether `oldest` has an entry for it. Invariant: true if its log has messages.
    pub(super) is_queued: bool,
    pub(super) used_at: Timestamp,
}

/// The rooms of one store.
#[derive(Debug)]
#[cfg_attr(feature = "simulation", derive(Clone))]
pub(super) struct Rooms {
    pub(super) window: Window,
    pub(super) dedup_window: Duration,
    pub(super) durability: Durability,
    pub(super) retention: Retention,
    pub(super) limits: MemoryLimits,
    /// In place of [`MemoryLimits::rooms`], which may change.
    pub(super) rooms_max: Arc<AtomicUsize>,
    pub(super) rooms: BTreeMap<RoomId, Room>,
    pub(super) names: BTreeMap<Box<str>, RoomId>,
    /// The rooms of each participant.
    pub(super) by_participant: HashMap<Box<str>, BTreeSet<RoomId>>,
    pub(super) last_id: i64,
    /// What all logs cost.
    pub(super) cost: usize,
    /// For each room with messages, when its oldest one was numbered, or earlier: one entry a room, put right when it
    /// comes to the top. So an append costs nothing here.
    pub(super) oldest: BinaryHeap<Reverse<(Timestamp, RoomId)>>,
    pub(super) evicted: u64,
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
    pub(super) fn trim(&mut self, id: RoomId, now: Timestamp) {
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
            debug_assert!(room.is_queued, "an entry is of a room that says so");
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
                room.epoch =
                    crate::store::entropy::random_change() | room.epoch & crate::rooms::ID_EPOCH_BITS;
            }
        }
    }
}
