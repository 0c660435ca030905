//! What a scrape has gathered.

use std::time::Duration;

use crate::limit_hits::{Limit, LogLines};
use crate::reactor::ReactorStats;
use crate::server::{Rooms, ShardStats};
use crate::store::{ClusterStats, CommitStats, Health, Store};
use crate::system::resident_bytes;

/// Everything that the metrics are made of.
#[derive(Debug)]
pub(super) struct Figures {
    pub(super) reactor: ReactorStats,
    /// All shards together.
    pub(super) rooms: ShardStats,
    pub(super) store: StoreFigures,
    /// Of a node that is in one.
    pub(super) cluster: Option<ClusterStats>,
    /// How often each limit was hit, by its key.
    pub(super) limit_hits: Vec<(&'static str, u64)>,
    pub(super) log_lines_dropped: u64,
    /// Since 1970.
    pub(super) started_at: Duration,
    pub(super) resident_bytes: Option<u64>,
    /// Of what rooms have recorded.
    pub(super) recorder_bytes: usize,
}

#[derive(Clone, Copy, Debug)]
pub(super) struct StoreFigures {
    pub(super) is_healthy: bool,
    pub(super) commits: CommitStats,
    pub(super) waiting_jobs: usize,
    pub(super) waiting_bytes: usize,
}

impl Figures {
    pub(super) fn gather(
        reactor: ReactorStats,
        shards: &[ShardStats],
        rooms: &Rooms,
        store: &Store,
    ) -> Figures {
        let mut limit_hits: Vec<_> =
            Limit::ALL.iter().map(|&limit| (limit.full_key(), rooms.limit_hits().hits(limit))).collect();
        limit_hits.push(("history.memory_bytes", store.evicted()));
        limit_hits.push(("history.log_bytes", store.log_limit_hits()));
        let (waiting_jobs, waiting_bytes) = store.waiting();
        let is_healthy = store.health() == Health::Healthy;
        Figures {
            reactor,
            rooms: ShardStats::sum(shards),
            store: StoreFigures { is_healthy, commits: store.commits(), waiting_jobs, waiting_bytes },
            cluster: store.cluster(),
            limit_hits,
            log_lines_dropped: LogLines::dropped(),
            started_at: rooms.started_at(),
            resident_bytes: resident_bytes(),
            recorder_bytes: rooms.recorder_bytes(),
        }
    }
}
