//! How the server is.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::time::Duration;

use serde::Serialize;

use super::call::{Call, json};
use super::error::ApiError;
use crate::http::Status;
use crate::limit_hits::{Limit, LogLines};
use crate::reactor::ReactorStats;
use crate::rooms::ShardStats;
use crate::store::{CommitStats, Health};
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

#[derive(Serialize)]
struct Stats {
    version: &'static str,
    /// Seconds since the start.
    uptime: u64,
    /// Connections of every kind, this one included.
    connections: usize,
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
    shards: Vec<Counts>,
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
}

impl CommitLatency {
    fn new(CommitStats { micros, messages, .. }: &CommitStats) -> CommitLatency {
        CommitLatency {
            count: micros.count(),
            messages: messages.sum(),
            micros_mean: micros.sum().checked_div(micros.count()),
            micros_p50: micros.quantile(0.5),
            micros_p99: micros.quantile(0.99),
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

#[derive(Serialize)]
struct Alive {
    status: &'static str,
}

const ALIVE: Alive = Alive { status: "ok" };

pub(super) fn stats(call: Call<'_>) -> Result<(), ApiError> {
    let (pending, store, rooms) = (call.pending.clone(), call.store.clone(), call.rooms.clone());
    call.rooms.figures(move |reactor, shards| {
        let connections = rooms.connections();
        let sum = ShardStats::sum(&shards);
        let memory = MemoryStats {
            resident: resident_bytes(),
            waiting: reactor.waiting_bytes,
            windows: sum.window_bytes,
        };
        let (traffic, closes) = (TrafficStats::new(&reactor, &sum), closes(&reactor));
        let commits = CommitLatency::new(&store.commits());
        let uptime = since_epoch().saturating_sub(rooms.started_at()).as_secs();
        let (evicted, log_limit_hits) = (store.evicted(), store.log_limit_hits());
        let store = match store.health() {
            Health::Healthy => "healthy",
            Health::Unavailable(_) => "unavailable",
            Health::Failed(_) => "failed",
        };
        let shards = shards.iter().map(Counts::from).collect();
        let mut limits: BTreeMap<_, _> =
            Limit::ALL.iter().map(|&limit| (limit.key(), rooms.limit_hits().hits(limit))).collect();
        limits.insert("memory_bytes", evicted);
        limits.insert("log_bytes", log_limit_hits);
        let log = LogStats { dropped: LogLines::dropped() };
        let version = env!("CARGO_PKG_VERSION");
        let stats = Stats {
            version,
            uptime,
            connections,
            all: Counts::from(&sum),
            store,
            limits,
            log,
            memory,
            traffic,
            closes,
            commits,
            shards,
        };
        pending.send(json(Status::OK, &stats));
    })?;
    Ok(())
}

/// The server is alive if every shard answers. A shard that hangs leaves the request to its deadline.
pub(super) fn health(call: Call<'_>) -> Result<(), ApiError> {
    let pending = call.pending.clone();
    call.rooms.ping(move || pending.send(json(Status::OK, &ALIVE)))?;
    Ok(())
}

/// How long a room may be on its way from the store before the server says that it is not ready: far longer than a disk
/// hesitates, shorter than who waits for the room has patience.
const OPENING_AGE_MAX: Duration = Duration::from_secs(10);

/// As [`health`], and no room has waited too long for the store.
fn openings(call: Call<'_>) -> Result<(), ApiError> {
    let pending = call.pending.clone();
    call.rooms.opening_age(move |age| match age {
        Some(age) if age > OPENING_AGE_MAX => {
            pending
                .send(Err(ApiError::unavailable("a room has been on its way from the store for too long")));
        }
        Some(_) | None => pending.send(json(Status::OK, &ALIVE)),
    })?;
    Ok(())
}

/// The server is ready if it is alive and can store.
pub(super) fn readiness(call: Call<'_>) -> Result<(), ApiError> {
    match call.store.health() {
        Health::Healthy => openings(call),
        Health::Unavailable(_) => Err(ApiError::unavailable("nothing can be stored at the moment")),
        Health::Failed(_) => Err(ApiError::unavailable("nothing is stored until the server is restarted")),
    }
}
