//! The metrics: their names, what they mean, their values.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::fmt;

use prometheus_client::collector::Collector;
use prometheus_client::encoding::DescriptorEncoder;

use super::cluster;
use super::encoder::{Encoder, Scale};
use super::figures::Figures;
use crate::reactor::ClosedWith;
use crate::server::MessageSteps;

/// Answers to opening handshakes that are shown from the start: what is counted for the first time is a rate, too, if there
/// was a 0 before.
const HANDSHAKE_STATUSES: &[u16] = &[101, 400, 401, 403, 404, 426, 503];
/// The same of all responses.
const RESPONSE_STATUSES: &[u16] = &[200, 400, 401, 403, 404, 408, 429, 431, 500, 503];
/// The same of ends of sessions.
const CLOSES: &[(&str, u16)] = &[
    ("client", 1000),
    ("client", 1001),
    ("client", 1005),
    ("handler", 1011),
    ("idle", 1001),
    ("limit", 1008),
    ("lost", 1006),
    ("memory", 1013),
    ("memory", 4008),
    ("protocol", 1002),
    ("protocol", 1007),
    ("protocol", 1009),
    ("server", 1008),
    ("server", 1013),
    ("server", 4001),
    ("server", 4401),
    ("shutdown", 1001),
    ("slow", 4008),
    ("stalled", 1008),
    ("unfinished", 1008),
];

impl Collector for Figures {
    fn encode(&self, encoder: DescriptorEncoder<'_>) -> fmt::Result {
        let out = &mut Encoder(encoder);
        self.process(out)?;
        self.connections(out)?;
        self.requests(out)?;
        self.traffic(out)?;
        self.way(out)?;
        self.rooms(out)?;
        self.store(out)?;
        self.cluster.as_ref().map_or(Ok(()), |cluster| cluster::encode(cluster, out))?;
        self.limits(out)
    }
}

impl Figures {
    fn process(&self, out: &mut Encoder<'_>) -> fmt::Result {
        let version = [("version", env!("CARGO_PKG_VERSION"))];
        out.info("foghorn_build", "The version of the server.", &version)?;
        let started_at = self.started_at.as_secs_f64();
        out.gauge(
            "process_start_time_seconds",
            "When the server was started, in seconds since 1970.",
            started_at,
        )?;
        if let Some(bytes) = self.resident_bytes {
            out.gauge(
                "process_resident_memory_bytes",
                "Memory that the process has resident, in bytes.",
                bytes,
            )?;
        }
        let kinds = [
            ([("kind", "waiting")], self.reactor.waiting_bytes as u64),
            ([("kind", "windows")], self.rooms.window_bytes),
            ([("kind", "recorders")], self.recorder_bytes as u64),
        ];
        let help = "Memory in use, in bytes: waiting for or from clients (limited by limits.memory); the newest messages of \
                    rooms; what rooms have recorded for operators.";
        out.gauges("foghorn_memory_bytes", help, kinds)?;
        let help =
            "Lines of the log that were dropped, because nobody took them or they could not be written.";
        out.counter("foghorn_log_lines_dropped", help, self.log_lines_dropped)
    }

    fn connections(&self, out: &mut Encoder<'_>) -> fmt::Result {
        let counters = &self.reactor.counters;
        let websockets = counters.sessions.saturating_sub(counters.ended());
        let streams = counters.streams.saturating_sub(counters.streams_ended);
        let others = (self.reactor.connections as u64).saturating_sub(websockets + streams);
        let kinds = [
            ([("kind", "websocket")], websockets),
            ([("kind", "stream")], streams),
            ([("kind", "other")], others),
        ];
        let help = "Open connections: WebSocket sessions, event streams, and all others (requests, and those that close).";
        out.gauges("foghorn_connections", help, kinds)?;
        let help = "Connections accepted, those that were too many included.";
        out.counter("foghorn_connections_accepted", help, counters.accepted)?;
        let help = "How often accepting has paused because no descriptors were left.";
        out.counter("foghorn_accept_pauses", help, self.reactor.accept_pauses)?;
        let mut closes: BTreeMap<_, _> =
            CLOSES.iter().map(|&(cause, code)| ((cause, ClosedWith::Code(code)), 0)).collect();
        closes.extend(counters.closes.iter().map(|(key, count)| (*key, *count)));
        let closes = closes
            .into_iter()
            .map(|((cause, code), count)| ([("cause", Cow::Borrowed(cause)), ("code", code.text())], count));
        let help = "WebSocket sessions that have ended, by the cause and the close code (1005: none, 1006: the connection was \
                    lost).";
        out.counters("foghorn_sessions_closed", help, closes)?;
        let help = "Turns of the thread that serves all sockets.";
        out.counter("foghorn_reactor_turns", help, counters.turns)?;
        let help = "How long a turn of the thread that serves all sockets takes, in seconds; one turn in eight is measured.";
        out.histogram("foghorn_reactor_turn_seconds", help, &counters.turn_micros, Scale::Seconds)
    }

    fn requests(&self, out: &mut Encoder<'_>) -> fmt::Result {
        let counters = &self.reactor.counters;
        let help = "Opening handshakes of WebSockets, by the status that answered them.";
        out.counters("foghorn_handshakes", help, by_status(&counters.handshakes, HANDSHAKE_STATUSES))?;
        let help = "Responses to requests, by status, refused handshakes included, 101 not.";
        out.counters("foghorn_http_responses", help, by_status(&counters.responses, RESPONSE_STATUSES))
    }

    fn traffic(&self, out: &mut Encoder<'_>) -> fmt::Result {
        let (counters, rooms) = (&self.reactor.counters, &self.rooms);
        out.counter(
            "foghorn_received_bytes",
            "Bytes received from clients, decrypted.",
            counters.received_bytes,
        )?;
        out.counter(
            "foghorn_received_messages",
            "Messages received on WebSockets.",
            counters.received_messages,
        )?;
        let help = "Bytes sent to clients, before they are encrypted, deliveries included.";
        out.counter("foghorn_sent_bytes", help, counters.sent_bytes + rooms.delivered_bytes)?;
        let help = "Messages sent to clients, deliveries included.";
        out.counter("foghorn_sent_messages", help, counters.sent_messages + rooms.deliveries)?;
        let help = "Messages published in rooms, JOIN and LEAVE included.";
        out.counter("foghorn_published_messages", help, rooms.messages)?;
        let help = "Messages of rooms that members were sent, each counted for each member.";
        out.counter("foghorn_deliveries", help, rooms.deliveries)?;
        let help = "The bytes of these messages.";
        out.counter("foghorn_delivery_bytes", help, rooms.delivered_bytes)
    }

    fn way(&self, out: &mut Encoder<'_>) -> fmt::Result {
        let MessageSteps { read_to_shard, shard_to_commit, commit_to_send, .. } = &self.rooms.steps;
        let help = "How long published messages took from the turn that read them to the shard of their room, in seconds.";
        out.histogram("foghorn_read_to_shard_seconds", help, read_to_shard, Scale::Seconds)?;
        let help = "How long messages that are stored took from their shard until it knew that, in seconds.";
        out.histogram("foghorn_shard_to_commit_seconds", help, shard_to_commit, Scale::Seconds)?;
        let help = "How long deliveries took from when the message could be seen until the sockets had it, in seconds.";
        out.histogram("foghorn_commit_to_send_seconds", help, commit_to_send, Scale::Seconds)
    }

    fn rooms(&self, out: &mut Encoder<'_>) -> fmt::Result {
        let rooms = &self.rooms;
        out.gauge("foghorn_rooms", "Rooms in memory.", rooms.rooms as u64)?;
        out.gauge("foghorn_room_openings", "Rooms on their way from the store.", rooms.openings as u64)?;
        out.gauge("foghorn_members", "Members of all rooms.", rooms.members as u64)?;
        let help = "How many messages the members have not been sent yet that there are at this moment.";
        out.histogram("foghorn_member_lag_messages", help, &rooms.lags, Scale::One)?;
        let help = "Messages that the member furthest behind has not been sent yet.";
        out.gauge("foghorn_member_lag_messages_max", help, rooms.lag_max)?;
        let help = "Logs that have begun a new epoch while their rooms were open, since the store had lost a part of them.";
        out.counter("foghorn_epoch_resets", help, rooms.resets)
    }

    fn store(&self, out: &mut Encoder<'_>) -> fmt::Result {
        let store = &self.store;
        let help = "1 while the store takes messages, 0 while it does not.";
        out.gauge("foghorn_store_healthy", help, u64::from(store.is_healthy))?;
        let help = "How long commits take, in seconds; a store in memory has none.";
        out.histogram("foghorn_store_commit_seconds", help, &store.commits.micros, Scale::Seconds)?;
        let help = "How many messages commits have.";
        out.histogram("foghorn_store_commit_messages", help, &store.commits.messages, Scale::One)?;
        let help = "Batches and other changes that wait for the store.";
        out.gauge("foghorn_store_queue_jobs", help, store.waiting_jobs as u64)?;
        let help = "The bytes of the messages that wait for the store.";
        out.gauge("foghorn_store_queue_bytes", help, store.waiting_bytes as u64)?;
        let help = "Messages that rooms wait for the store to have.";
        out.gauge("foghorn_unstored_messages", help, self.rooms.unstored as u64)
    }

    fn limits(&self, out: &mut Encoder<'_>) -> fmt::Result {
        let hits = self.limit_hits.iter().map(|&(key, hits)| ([("limit", key)], hits));
        out.counters(
            "foghorn_limit_hits",
            "How often each limit was hit, by its key in the configuration.",
            hits,
        )
    }
}

type StatusLabel = [(&'static str, u64); 1];

/// What was counted by status, and a 0 for each of the usual ones.
fn by_status(counts: &BTreeMap<u16, u64>, usual: &[u16]) -> Vec<(StatusLabel, u64)> {
    let mut all: BTreeMap<u16, u64> = usual.iter().map(|&status| (status, 0)).collect();
    all.extend(counts);
    all.into_iter().map(|(status, count)| ([("status", u64::from(status))], count)).collect()
}
