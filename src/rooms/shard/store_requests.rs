//! Requests of a shard to the store about rooms: to open one, or to begin its log anew.

use crate::rooms::clock::Moment;
use std::collections::{HashSet, VecDeque};

use crate::rooms::ids::RoomKey;

/// Requests of one shard at the store at most. The answers of all of them have to fit into the way back
/// (`workers::store_client`), and those of all shards into the store's queue beside everything else.
pub(crate) const REQUESTS_MAX: usize = 256;

/// The requests of a shard that are not answered.
#[derive(Debug, Default)]
pub(super) struct StoreRequests {
    /// Not made yet.
    pub(super) queued: VecDeque<RoomKey>,
    /// Invariant: every effect Open and Renew gets exactly one answer, which takes its room away here. A room has one
    /// request at a time.
    pub(super) under_way: HashSet<RoomKey>,
    /// Since when rooms have waited, oldest first; rooms that wait no more are dropped when they come to the front.
    pub(super) since: VecDeque<(RoomKey, Moment)>,
}

impl StoreRequests {
    /// Whether an answer about this room is going to come.
    #[cfg(any(test, feature = "fuzzing", debug_assertions))]
    pub(super) fn will_answer(&self, room: RoomKey) -> bool {
        self.under_way.contains(&room) || self.queued.contains(&room)
    }
}
