//! Numbers that no other shard and process comes to: epochs of logs, ids of stays.

use super::state::Shard;
use crate::rooms::api::peer::Peer;
use crate::rooms::ids::{RoomKey, StayId};

/// A number that no other counter of any shard and process comes to: SplitMix64's finaliser over a random seed and a
/// counter.
pub(super) const fn mixed(seed: u64, counter: u64) -> u64 {
    let mut mixed = seed.wrapping_add(counter.wrapping_mul(0x9e37_79b9_7f4a_7c15));
    mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    mixed ^ (mixed >> 31)
}

impl<P: Peer> Shard<P> {
    /// An epoch that no other log has.
    pub(super) fn new_epoch(&self, room: RoomKey) -> u64 {
        mixed(self.epoch_seed, room.number)
    }
}

impl<P: Peer> Shard<P> {
    /// A name for a stay that no other of any process has.
    pub(in crate::rooms) fn new_stay(&mut self) -> StayId {
        self.stays += 1;
        StayId(mixed(self.epoch_seed, self.stays))
    }
}
