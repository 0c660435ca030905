//! How many rooms and members there may be: limits that can be changed while they hold.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use crate::rate::SharedRate;

/// Limits that all shards share with whoever changes them. What is there already stays.
#[derive(Debug)]
pub struct Bounds {
    members: AtomicUsize,
    /// Of one shard.
    rooms: AtomicUsize,
    shards: usize,
    /// How fast rooms may be created, by all shards and everybody else together.
    pub creations: SharedRate,
}

impl Bounds {
    /// None yet, for so many shards together.
    #[must_use]
    pub fn new(shards: usize) -> Bounds {
        let unlimited = || AtomicUsize::new(usize::MAX);
        let creations = SharedRate::new(0, Duration::ZERO);
        Bounds { members: unlimited(), rooms: unlimited(), shards, creations }
    }

    /// From now on at most `members` in a room, and about `rooms` in all: each shard has its part of them.
    pub fn set(&self, members: usize, rooms: usize) {
        self.members.store(members, Ordering::Relaxed);
        self.rooms.store(rooms.div_ceil(self.shards), Ordering::Relaxed);
    }

    /// Members of one room at most.
    pub(super) fn members(&self) -> usize {
        self.members.load(Ordering::Relaxed)
    }

    /// Rooms of one shard at most.
    pub(super) fn rooms(&self) -> usize {
        self.rooms.load(Ordering::Relaxed)
    }
}
