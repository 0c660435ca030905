//! What this node counts, on all of its threads.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use redis::{RedisError, ServerErrorKind};

use crate::histogram::{Histogram, SharedHistogram};
use crate::store::{ClusterEvent, ClusterStats};
use crate::system::instant;

/// How long a request takes, in microseconds: those of commits, so that they can be laid beside each other.
const MICROS_BOUNDS: &[u64] =
    &[50, 100, 250, 500, 1_000, 2_500, 5_000, 10_000, 25_000, 50_000, 100_000, 250_000, 1_000_000, 5_000_000];

/// How many scripts, and messages.
const SCRIPTS_BOUNDS: &[u64] = &[1, 2, 5, 10, 20, 50, 100, 200, 500, 1_000];
const MESSAGES_BOUNDS: &[u64] = &[1, 2, 5, 10, 20, 50, 100, 200];

/// How long requests of one kind take.
// Nothing here is on the way of a single message: it is counted once for a request, an announcement, a round of the keeper.
#[derive(Clone, Debug)]
pub(super) struct RequestTimes(Arc<SharedHistogram>);

impl Default for RequestTimes {
    fn default() -> RequestTimes {
        RequestTimes(Arc::new(SharedHistogram::new(MICROS_BOUNDS)))
    }
}

impl RequestTimes {
    /// One that began then was answered.
    pub(super) fn note(&self, began: Instant) {
        let micros = instant().saturating_duration_since(began).as_micros();
        self.0.note_by_any(u64::try_from(micros).unwrap_or(u64::MAX));
    }
}

/// What this node counts.
#[derive(Debug)]
pub(super) struct Counters {
    pub(super) reads: RequestTimes,
    pub(super) keeps: RequestTimes,
    append_scripts: SharedHistogram,
    script_messages: SharedHistogram,
    events: Box<[AtomicU64]>,
    nodes: AtomicU64,
    unsettled: AtomicU64,
}

impl Default for Counters {
    fn default() -> Counters {
        Counters {
            reads: RequestTimes::default(),
            keeps: RequestTimes::default(),
            append_scripts: SharedHistogram::new(SCRIPTS_BOUNDS),
            script_messages: SharedHistogram::new(MESSAGES_BOUNDS),
            events: ClusterEvent::ALL.iter().map(|_| AtomicU64::new(0)).collect(),
            nodes: AtomicU64::new(0),
            unsettled: AtomicU64::new(0),
        }
    }
}

impl Counters {
    pub(super) fn note(&self, event: ClusterEvent) {
        self.note_many(event, 1);
    }

    pub(super) fn note_many(&self, event: ClusterEvent, times: u64) {
        if let Some(count) = self.events.get(event as usize) {
            count.fetch_add(times, Ordering::Relaxed);
        }
    }

    /// One request of the appender, with the numbers of messages of its scripts.
    pub(super) fn appends(&self, messages: impl ExactSizeIterator<Item = usize>) {
        self.append_scripts.note(messages.len() as u64);
        messages.for_each(|messages| self.script_messages.note(messages as u64));
    }

    /// Redis has not appended.
    pub(super) fn refused(&self, error: &RedisError) {
        let event = match (error.kind(), error.code()) {
            (redis::ErrorKind::Server(ServerErrorKind::BusyLoading), _) => ClusterEvent::RefusedLoading,
            (redis::ErrorKind::Server(ServerErrorKind::ReadOnly), _) => ClusterEvent::RefusedReadOnly,
            (redis::ErrorKind::Server(ServerErrorKind::NoScript), _) => ClusterEvent::RefusedScript,
            (_, Some("OOM")) => ClusterEvent::RefusedMemory,
            (_, Some("MISCONF")) => ClusterEvent::RefusedDisk,
            (_, Some("BUSY")) => ClusterEvent::RefusedBusy,
            (_, Some("NOAUTH" | "NOPERM" | "WRONGPASS")) => ClusterEvent::RefusedAccess,
            _ => ClusterEvent::RefusedOtherwise,
        };
        self.note(event);
    }

    pub(super) fn set_nodes(&self, nodes: u64) {
        self.nodes.store(nodes, Ordering::Relaxed);
    }

    pub(super) fn set_unsettled(&self, batches: usize) {
        self.unsettled.store(batches as u64, Ordering::Relaxed);
    }

    /// What has been counted so far; `contact`: for how long Redis answers; `appends`: how long those requests took.
    pub(super) fn read(&self, contact: Option<Duration>, appends: Histogram) -> ClusterStats {
        ClusterStats {
            contact,
            nodes: self.nodes.load(Ordering::Relaxed),
            unsettled: self.unsettled.load(Ordering::Relaxed),
            requests: [("append", appends), ("read", self.reads.0.read()), ("keep", self.keeps.0.read())],
            append_scripts: self.append_scripts.read(),
            script_messages: self.script_messages.read(),
            events: self.events.iter().map(|count| count.load(Ordering::Relaxed)).collect(),
        }
    }
}
