//! Limits on rooms and members that can change while the server runs.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use super::bans::Bans;
use super::publishers::Publishers;
use crate::limit_hits::{Limit, LimitHits};
use crate::rate::SharedRate;

/// The limits that all shards share. A lower limit removes nothing that is there already.
// All orders are relaxed: each value stands for itself, and no other memory is published with it.
#[derive(Debug)]
pub struct Bounds {
    members: AtomicUsize,
    /// Of one shard.
    rooms: AtomicUsize,
    shards: usize,
    /// How fast rooms may be created, by all shards and all other threads together.
    pub creations: SharedRate,
    openings: Quota,
    opening_bytes: Quota,
    limit_hits: LimitHits,
    /// Who must not come back where.
    pub bans: Bans,
    publishers: Publishers,
    /// Bytes of the recorder of one room.
    recorder_bytes: usize,
    /// Bytes of all of them.
    recorders: Quota,
    /// Time that never jumps.
    clock: fn() -> Duration,
}

/// An amount that all shards share, and its maximum.
#[derive(Debug)]
struct Quota {
    used: AtomicUsize,
    max: AtomicUsize,
}

impl Quota {
    fn unlimited() -> Quota {
        Quota { used: AtomicUsize::new(0), max: AtomicUsize::new(usize::MAX) }
    }

    fn take(&self, amount: usize) -> bool {
        // Added first and given back if it does not fit: two shards cannot both take the last of it, and none waits.
        let before = self.used.fetch_add(amount, Ordering::Relaxed);
        let fits = before.saturating_add(amount) <= self.max.load(Ordering::Relaxed);
        if !fits {
            self.give_back(amount);
        }
        fits
    }

    fn give_back(&self, amount: usize) {
        let before = self.used.fetch_sub(amount, Ordering::Relaxed);
        debug_assert!(before >= amount, "more is given back than was taken");
    }
}

impl Bounds {
    /// No limits yet, for `shards` shards together.
    #[must_use]
    pub fn new(shards: usize) -> Bounds {
        let unlimited = || AtomicUsize::new(usize::MAX);
        Bounds {
            members: unlimited(),
            rooms: unlimited(),
            shards,
            creations: SharedRate::new(0, Duration::ZERO),
            openings: Quota::unlimited(),
            opening_bytes: Quota::unlimited(),
            limit_hits: LimitHits::default(),
            bans: Bans::new(|| Duration::ZERO),
            publishers: Publishers::default(),
            recorder_bytes: 0,
            recorders: Quota { used: AtomicUsize::new(0), max: AtomicUsize::new(0) },
            clock: || Duration::ZERO,
        }
    }

    /// With bans and rates that go by this clock, which must not jump.
    #[must_use]
    pub fn clock(mut self, clock: fn() -> Duration) -> Bounds {
        self.clock = clock;
        self.bans = Bans::new(clock).counted_by(self.limit_hits.clone());
        self
    }

    /// Counts there what runs into the limits of rooms that are being opened, and of bans.
    #[must_use]
    pub fn counted_by(mut self, limit_hits: LimitHits) -> Bounds {
        self.bans = self.bans.counted_by(limit_hits.clone());
        self.limit_hits = limit_hits;
        self
    }

    /// Rooms record what happens there, in `room_bytes` bytes each and `bytes` together; 0 is no recorder.
    #[must_use]
    pub fn recorders(mut self, room_bytes: usize, bytes: usize) -> Bounds {
        self.recorder_bytes = room_bytes;
        self.recorders.max = AtomicUsize::new(bytes);
        self
    }

    /// Bytes that all recorders together take.
    #[must_use]
    pub fn recorder_used(&self) -> usize {
        self.recorders.used.load(Ordering::Relaxed)
    }

    pub(in crate::rooms) fn recorder_bytes(&self) -> usize {
        self.recorder_bytes
    }

    /// Takes `bytes` of what all recorders may take; false if that is too much.
    pub(in crate::rooms) fn take_recorder(&self, bytes: usize) -> bool {
        self.recorders.take(bytes)
    }

    pub(in crate::rooms) fn give_back_recorder(&self, bytes: usize) {
        self.recorders.give_back(bytes);
    }

    /// From now on at most `members` in a room, and about `rooms` in all: each shard has its part of them.
    pub fn set(&self, members: usize, rooms: usize) {
        self.members.store(members, Ordering::Relaxed);
        self.rooms.store(rooms.div_ceil(self.shards), Ordering::Relaxed);
    }

    /// From now on at most `openings` rooms on their way from the store, and `bytes` bytes that wait for them.
    pub fn set_openings(&self, openings: usize, bytes: usize) {
        self.openings.max.store(openings, Ordering::Relaxed);
        self.opening_bytes.max.store(bytes, Ordering::Relaxed);
    }

    /// From now on `per_second` messages a second of each publisher without a session.
    pub fn set_publishers(&self, per_second: usize, saved: Duration) {
        self.publishers.set(per_second, saved);
    }

    /// Whether a publisher without a session may publish now; if so, it does. Nothing is asked of it where there is no
    /// limit.
    ///
    /// # Errors
    /// When to come back.
    pub fn may_publish(&self, publisher: impl FnOnce() -> Box<str>) -> Result<(), Duration> {
        let taken = self.publishers.take(publisher, (self.clock)());
        self.count(Limit::Messages, taken.is_ok());
        taken
    }

    /// From now on at most `bans` bans.
    pub fn set_bans(&self, bans: usize) {
        self.bans.set_max(bans);
    }

    /// Bytes that wait for rooms on their way from the store.
    #[must_use]
    pub fn opening_bytes(&self) -> usize {
        self.opening_bytes.used.load(Ordering::Relaxed)
    }

    /// Members of one room at most.
    pub(in crate::rooms) fn members(&self) -> usize {
        self.members.load(Ordering::Relaxed)
    }

    /// Rooms of one shard at most.
    pub(in crate::rooms) fn rooms(&self) -> usize {
        self.rooms.load(Ordering::Relaxed)
    }

    /// Takes one of the rooms that may be on their way from the store; false if that is too many.
    pub(in crate::rooms) fn begin_opening(&self) -> bool {
        self.count(Limit::Openings, self.openings.take(1))
    }

    pub(in crate::rooms) fn end_opening(&self) {
        self.openings.give_back(1);
    }

    /// Takes `bytes` of what may wait for rooms that are being opened; false if that is too much.
    pub(in crate::rooms) fn charge(&self, bytes: usize) -> bool {
        self.count(Limit::OpeningBytes, self.opening_bytes.take(bytes))
    }

    /// Counts one more that ran into this limit.
    pub(in crate::rooms) fn hit(&self, limit: Limit) {
        self.limit_hits.hit(limit);
    }

    pub(in crate::rooms) fn discharge(&self, bytes: usize) {
        self.opening_bytes.give_back(bytes);
    }

    fn count(&self, limit: Limit, fits: bool) -> bool {
        if !fits {
            self.limit_hits.hit(limit);
        }
        fits
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_does_not_fit_is_not_taken_and_is_counted() {
        let limit_hits = LimitHits::default();
        let bounds = Bounds::new(2).counted_by(limit_hits.clone());
        bounds.set_openings(1, 100);
        assert!(bounds.begin_opening() && !bounds.begin_opening());
        assert!(bounds.charge(60) && !bounds.charge(41) && bounds.charge(40));
        assert_eq!(bounds.opening_bytes(), 100);
        bounds.discharge(100);
        bounds.end_opening();
        assert!(bounds.begin_opening() && bounds.charge(100));
        assert_eq!((limit_hits.hits(Limit::Openings), limit_hits.hits(Limit::OpeningBytes)), (1, 1));
    }
}
