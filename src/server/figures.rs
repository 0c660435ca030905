//! How the server is, as JSON: what was counted since the start, and what there is at the moment.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::time::Duration;

use serde::Serialize;

use super::rooms::Rooms;
use crate::histogram::Histogram;
use crate::limit_hits::{Limit, LogLines};
use crate::reactor::ReactorStats;
use crate::rooms::{MessageSteps, ShardStats};
use crate::store::{ClusterEvent, ClusterStats, CommitStats, Health, Store};
use crate::system::{resident_bytes, since_epoch};

/// What a shard, or the server, holds.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Counts {
    /// Rooms in memory.
    rooms: usize,
    /// Rooms on their way from the store.
    openings: usize,
    members: usize,
    /// Messages published since the start, notices included.
    messages: u64,
    /// Messages that wait for the store.
    unstored: usize,
    /// Messages that members have not been sent yet, all added up.
    lag: u64,
    /// The same, of the member that is furthest behind.
    lag_max: u64,
    /// Logs that have begun a new epoch while their rooms were open, since the store did not have what was shown.
    epoch_resets: u64,
}

impl From<&ShardStats> for Counts {
    fn from(stats: &ShardStats) -> Counts {
        let ShardStats { rooms, openings, members, messages, unstored, lag, lag_max, resets, .. } = *stats;
        Counts { rooms, openings, members, messages, unstored, lag, lag_max, epoch_resets: resets }
    }
}

/// One shard.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Shard {
    #[serde(flatten)]
    counts: Counts,
    /// Messages that members have been sent since the start.
    deliveries: u64,
    /// Bytes of the newest messages of its rooms.
    window_bytes: u64,
    /// Processor time that its thread has used, in microseconds, as far as the system tells. Without threads for rooms it
    /// is the reactor's.
    busy_micros: Option<u64>,
}

impl From<&ShardStats> for Shard {
    fn from(stats: &ShardStats) -> Shard {
        let ShardStats { deliveries, window_bytes, busy, .. } = *stats;
        Shard { counts: stats.into(), deliveries, window_bytes, busy_micros: busy.map(micros) }
    }
}

/// How the server is: the answer of `/api/stats`, and what the dashboard shows.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Figures {
    version: &'static str,
    /// Seconds since the start.
    uptime: u64,
    /// The same in microseconds: between two answers, what rates are made of.
    uptime_micros: u64,
    /// Connections of every kind, this one included.
    connections: usize,
    /// WebSocket sessions among these.
    sessions: u64,
    /// Event streams among these.
    streams: u64,
    #[serde(flatten)]
    all: Counts,
    store: &'static str,
    /// How often each limit was hit since the start, by its key.
    limits: BTreeMap<&'static str, u64>,
    log: LogStats,
    memory: MemoryStats,
    traffic: TrafficStats,
    /// Sessions that have ended since the start, by their close code; 1005: none was sent, 1006: the connection was lost.
    closes: BTreeMap<Cow<'static, str>, u64>,
    commits: CommitLatency,
    reactor: ReactorLoad,
    way: Way,
    /// Of a node of a cluster.
    #[serde(skip_serializing_if = "Option::is_none")]
    cluster: Option<ClusterFigures>,
    /// How many members lag how many messages at the moment.
    lags: Distribution,
    shards: Vec<Shard>,
}

impl Figures {
    /// `store` is the server's own.
    pub(crate) fn new(
        reactor: &ReactorStats,
        shards: &[ShardStats],
        rooms: &Rooms,
        store: &Store,
    ) -> Figures {
        let sum = ShardStats::sum(shards);
        let uptime = since_epoch().saturating_sub(rooms.started_at());
        let counters = &reactor.counters;
        Figures {
            version: env!("CARGO_PKG_VERSION"),
            uptime: uptime.as_secs(),
            uptime_micros: micros(uptime),
            connections: rooms.connections(),
            sessions: counters.sessions.saturating_sub(counters.ended()),
            streams: counters.streams.saturating_sub(counters.streams_ended),
            all: Counts::from(&sum),
            store: match store.health() {
                Health::Healthy => "healthy",
                Health::Unavailable(_) => "unavailable",
                Health::Failed(_) => "failed",
            },
            limits: limits(rooms, store),
            log: LogStats { dropped: LogLines::dropped() },
            memory: MemoryStats {
                resident: resident_bytes(),
                waiting: reactor.waiting_bytes,
                windows: sum.window_bytes,
                recorders: rooms.recorder_bytes(),
            },
            traffic: TrafficStats::new(reactor, &sum),
            closes: closes(reactor),
            commits: CommitLatency::new(&store.commits()),
            reactor: ReactorLoad::new(reactor),
            way: Way::from(&sum.steps),
            cluster: store.cluster().as_ref().map(ClusterFigures::from),
            lags: Distribution::from(&sum.lags),
            shards: shards.iter().map(Shard::from).collect(),
        }
    }
}

fn micros(duration: Duration) -> u64 {
    u64::try_from(duration.as_micros()).unwrap_or(u64::MAX)
}

/// How often each limit was hit, by its key.
fn limits(rooms: &Rooms, store: &Store) -> BTreeMap<&'static str, u64> {
    let hits = |&limit: &Limit| (limit.key(), rooms.limit_hits().hits(limit));
    let of_store = [("memory_bytes", store.evicted()), ("log_bytes", store.log_limit_hits())];
    Limit::ALL.iter().map(hits).chain(of_store).collect()
}

/// How many values there were up to each bound and above the one before; last, how many above all bounds. The difference
/// between two answers is what happened between them.
#[derive(Serialize)]
struct Distribution {
    bounds: Vec<u64>,
    counts: Vec<u64>,
}

impl From<&Histogram> for Distribution {
    fn from(histogram: &Histogram) -> Distribution {
        let (bounds, counts): (Vec<_>, Vec<_>) = histogram.counts().unzip();
        Distribution { bounds: bounds.into_iter().flatten().collect(), counts }
    }
}

/// How long messages took from step to step since the start, in microseconds.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Way {
    /// Published messages, from the turn that read them to the shard of their room.
    read_to_shard: Distribution,
    /// Stored ones, from there until the shard knew that they are stored.
    shard_to_commit: Distribution,
    /// Deliveries, from when the message could be seen until the sockets had it.
    commit_to_send: Distribution,
}

impl From<&MessageSteps> for Way {
    fn from(steps: &MessageSteps) -> Way {
        let MessageSteps { read_to_shard, shard_to_commit, commit_to_send, .. } = steps;
        Way {
            read_to_shard: read_to_shard.into(),
            shard_to_commit: shard_to_commit.into(),
            commit_to_send: commit_to_send.into(),
        }
    }
}

/// A node of a cluster.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct ClusterFigures {
    /// Whether Redis answers, and for how many microseconds it has done so without a break.
    contact: bool,
    contact_micros: u64,
    /// Nodes that listen, this one included.
    nodes: u64,
    /// Batches that may have been appended, their answers being missing.
    unsettled: u64,
    /// How long requests took since the start, in microseconds, by kind.
    requests: BTreeMap<&'static str, Distribution>,
    /// How often each event happened since the start.
    events: BTreeMap<&'static str, u64>,
}

impl From<&ClusterStats> for ClusterFigures {
    fn from(stats: &ClusterStats) -> ClusterFigures {
        ClusterFigures {
            contact: stats.contact.is_some(),
            contact_micros: stats.contact.map_or(0, micros),
            nodes: stats.nodes,
            unsettled: stats.unsettled,
            requests: stats.requests.iter().map(|(kind, times)| (*kind, times.into())).collect(),
            events: ClusterEvent::ALL.iter().map(|&event| (event.key(), stats.count(event))).collect(),
        }
    }
}

/// The thread that serves all sockets.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct ReactorLoad {
    turns: u64,
    /// How long turns take, in microseconds; one in eight is measured.
    turn_micros: Distribution,
    /// Processor time that it has used, in microseconds, as far as the system tells.
    busy_micros: Option<u64>,
}

impl ReactorLoad {
    fn new(ReactorStats { counters, busy, .. }: &ReactorStats) -> ReactorLoad {
        let turn_micros = Distribution::from(&counters.turn_micros);
        ReactorLoad { turns: counters.turns, turn_micros, busy_micros: busy.map(micros) }
    }
}

#[derive(Serialize)]
struct LogStats {
    /// Lines that were not taken, or could not be written.
    dropped: u64,
}

/// Bytes of memory.
#[derive(Serialize)]
struct MemoryStats {
    /// That the process has resident, as far as the system tells.
    resident: Option<u64>,
    /// That wait for clients, or of what clients have not finished: what `limits.memory` is about.
    waiting: usize,
    /// Of the newest messages of all rooms.
    windows: u64,
    /// Of what has happened in rooms lately (`admin.recorder_memory`).
    recorders: usize,
}

/// Since the start, over all connections.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct TrafficStats {
    accepted: u64,
    bytes_received: u64,
    bytes_sent: u64,
    messages_received: u64,
    messages_sent: u64,
    /// Messages of rooms among these, each counted for each member.
    deliveries: u64,
}

impl TrafficStats {
    fn new(ReactorStats { counters, .. }: &ReactorStats, rooms: &ShardStats) -> TrafficStats {
        TrafficStats {
            accepted: counters.accepted,
            bytes_received: counters.received_bytes,
            bytes_sent: counters.sent_bytes + rooms.delivered_bytes,
            messages_received: counters.received_messages,
            messages_sent: counters.sent_messages + rooms.deliveries,
            deliveries: rooms.deliveries,
        }
    }
}

/// How long commits take, in microseconds. Half of them, and 99 of 100, take no longer than this; absent before the first
/// one, and where it is longer than what is told apart.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct CommitLatency {
    count: u64,
    messages: u64,
    micros_mean: Option<u64>,
    micros_p50: Option<u64>,
    micros_p99: Option<u64>,
    /// All of them.
    micros: Distribution,
}

impl CommitLatency {
    fn new(CommitStats { micros, messages, .. }: &CommitStats) -> CommitLatency {
        CommitLatency {
            count: micros.count(),
            messages: messages.sum(),
            micros_mean: micros.sum().checked_div(micros.count()),
            micros_p50: micros.quantile(0.5),
            micros_p99: micros.quantile(0.99),
            micros: Distribution::from(micros),
        }
    }
}

/// The ends of sessions by their codes, whatever the causes.
fn closes(reactor: &ReactorStats) -> BTreeMap<Cow<'static, str>, u64> {
    let mut closes = BTreeMap::new();
    for (&(_, code), count) in &reactor.counters.closes {
        *closes.entry(code.text()).or_default() += count;
    }
    closes
}
