//! What all threads of the engine have in common.

use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::time::Duration;

use super::asker::Asker;
use super::behind::Behind;
use super::counters::{Counters, RequestTimes};
use super::generation::Generations;
use super::orders::Orders;
use super::partition::Partition;
use super::rooms::{Room, Rooms};
use super::stays::Stays;
use super::subscriptions::Subscriptions;
use super::tasks::Tasks;
use super::topology::Topology;
use crate::store::{Monitor, Options};

/// What all threads have in common.
pub(super) struct Shared {
    /// This process, 16 hex digits.
    pub(super) node: String,
    pub(super) topology: Arc<Topology>,
    pub(super) timeout: Duration,
    pub(super) lease: Duration,
    pub(super) options: Options,
    pub(super) monitor: Arc<Monitor>,
    pub(super) rooms: Rooms,
    pub(super) generations: Generations,
    pub(super) subscriptions: Subscriptions,
    pub(super) tasks: Tasks,
    pub(super) behind: Behind,
    pub(super) stays: Stays,
    pub(super) orders: Orders,
    /// What a LEAVE says; `{username}` stands for the user's name.
    pub(super) leave_notice: String,
    pub(super) counters: Counters,
    pub(super) is_ending: AtomicBool,
}

impl Shared {
    /// One who asks over a connection of its own.
    pub(super) fn asker(&self, times: &RequestTimes) -> Asker {
        Asker::new(self.topology.clone(), self.timeout, times.clone())
    }

    /// Whether the master of a partition has answered this node for half a lease: others have had the time to renew theirs.
    pub(super) fn may_reap(&self, partition: Partition) -> bool {
        let layout = self.topology.layout();
        layout.home(partition).is_some_and(|home| home.contact.has_lasted(self.lease / 2))
    }

    /// The channel of a room is wanted by one less.
    pub(super) fn released(self: &Arc<Shared>, room: &Arc<Room>) {
        let (shared, room) = (self.clone(), room.clone());
        // Redis is told by one who may wait for it.
        self.tasks.push(move |_| shared.subscriptions.release(&room));
    }

    /// For how many milliseconds Redis keeps a lease. What is left of the time for which a node is believed to be there is
    /// for the others to find out that it is not.
    pub(super) fn lease_millis(&self) -> u64 {
        u64::try_from((self.lease * 2 / 3).as_millis()).unwrap_or(u64::MAX)
    }

    /// Messages kept at most, microseconds that they are kept, and bytes, as the scripts take it: 0 is without limit.
    pub(super) fn retention(&self) -> String {
        let retention = self.options.retention;
        let micros = |age: Duration| u64::try_from(age.as_micros()).unwrap_or(u64::MAX);
        let (messages, bytes) = (retention.messages_max.unwrap_or(0), retention.bytes_max.unwrap_or(0));
        format!("{messages} {} {bytes}", retention.age_max.map_or(0, micros))
    }
}

/// Sixteen hex digits that nobody else has.
pub(super) fn nonce() -> String {
    format!("{:016x}", crate::system::random())
}
