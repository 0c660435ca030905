//! How the server is.

use std::collections::BTreeMap;
use std::time::Duration;

use serde::Serialize;

use super::call::{Call, json};
use super::error::ApiError;
use crate::http::Status;
use crate::limit_hits::{Limit, LogLines};
use crate::rooms::ShardStats;
use crate::store::Health;

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
        let ShardStats { rooms, openings, members, messages, unstored, lag, lag_max, resets } = *stats;
        Counts { rooms, openings, members, messages, unstored, lag, lag_max, epoch_resets: resets }
    }
}

#[derive(Serialize)]
struct Stats {
    /// Connections of every kind, this one included.
    connections: usize,
    #[serde(flatten)]
    all: Counts,
    store: &'static str,
    /// How often each limit was hit since the start, by its key.
    limits: BTreeMap<&'static str, u64>,
    log: LogStats,
    shards: Vec<Counts>,
}

#[derive(Serialize)]
struct LogStats {
    /// Lines that were not taken, or could not be written.
    dropped: u64,
}

#[derive(Serialize)]
struct Alive {
    status: &'static str,
}

const ALIVE: Alive = Alive { status: "ok" };

pub(super) fn stats(call: Call<'_>) -> Result<(), ApiError> {
    let (pending, store, rooms) = (call.pending.clone(), call.store.clone(), call.rooms.clone());
    call.rooms.stats(move |shards| {
        let connections = rooms.connections();
        let all = Counts {
            rooms: shards.iter().map(|shard| shard.rooms).sum(),
            openings: shards.iter().map(|shard| shard.openings).sum(),
            members: shards.iter().map(|shard| shard.members).sum(),
            messages: shards.iter().map(|shard| shard.messages).sum(),
            unstored: shards.iter().map(|shard| shard.unstored).sum(),
            lag: shards.iter().map(|shard| shard.lag).sum(),
            lag_max: shards.iter().map(|shard| shard.lag_max).max().unwrap_or(0),
            epoch_resets: shards.iter().map(|shard| shard.resets).sum(),
        };
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
        pending.send(json(Status::OK, &Stats { connections, all, store, limits, log, shards }));
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
