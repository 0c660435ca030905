//! What is counted while the server runs: how often each limit was hit.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

/// Whether a key names its table itself.
const fn is_whole(key: &str) -> bool {
    let (bytes, mut at) = (key.as_bytes(), 0);
    while at < bytes.len() {
        if bytes[at] == b'.' {
            return true;
        }
        at += 1;
    }
    false
}

/// Declares the limits together with their names, so that neither can be forgotten.
macro_rules! limits {
    ($($(#[doc = $doc:literal])+ $name:ident $key:literal,)+) => {
        /// A limit or deadline that something can run into.
        #[derive(Clone, Copy, Debug, PartialEq, Eq)]
        #[non_exhaustive]
        pub enum Limit {
            $($(#[doc = $doc])+ $name,)+
        }

        impl Limit {
            /// All of them.
            pub const ALL: &[Limit] = &[$(Limit::$name),+];

            /// The key of the configuration that sets it, without its table.
            #[must_use]
            pub const fn key(self) -> &'static str {
                match self {
                    $(Limit::$name => $key,)+
                }
            }

            /// The whole key, with its table, as the log names it.
            #[must_use]
            pub const fn full_key(self) -> &'static str {
                match self {
                    Limit::IdleTimeout => "heartbeat.idle_timeout",
                    // These are no keys, and named like none.
                    Limit::Descriptors | Limit::ShardQueue | Limit::LateAnswers => self.key(),
                    $(#[allow(unreachable_patterns, reason = "those that stand above")]
                    Limit::$name => if is_whole($key) { $key } else { concat!("limits.", $key) },)+
                }
            }
        }
    };
}

limits! {
    /// Connections in all.
    Connections "connections",
    /// Connections from one address.
    ConnectionsPerIp "connections_per_ip",
    /// Connections of operators.
    AdminConnections "admin.connections",
    /// Descriptors of the process; not a key, but a limit of the system.
    Descriptors "descriptors",
    /// Sessions of one user.
    SessionsPerUser "sessions_per_user",
    /// Rooms that one session is in.
    RoomsPerSession "rooms_per_session",
    /// Rooms in all.
    Rooms "rooms",
    /// Rooms created.
    RoomCreations "room_creations_per_second",
    /// Rooms on their way from the store.
    Openings "openings",
    /// Bytes that wait for rooms on their way from the store.
    OpeningBytes "opening_bytes",
    /// Members of one room.
    MembersPerRoom "members_per_room",
    /// Bans in all.
    Bans "bans",
    /// Messages of one session.
    Messages "messages_per_second",
    /// Bytes of one session.
    Bytes "bytes_per_second",
    /// Control frames of one session.
    ControlFrames "control_frames_per_second",
    /// The length of a message.
    MessageBytes "message_bytes",
    /// The length of a request's head.
    RequestHeadBytes "request_head_bytes",
    /// The length of a request's body.
    BodyBytes "body_bytes",
    /// The time for a TLS handshake.
    TlsTimeout "tls_timeout",
    /// The time for a request's head.
    HandshakeTimeout "handshake_timeout",
    /// The time for a message or a request's body, and for the answer to a request.
    MessageTimeout "message_timeout",
    /// The time for a client to take what waits for it.
    WriteTimeout "write_timeout",
    /// The time for the end of a closing handshake.
    CloseTimeout "close_timeout",
    /// The time without a sign of life.
    IdleTimeout "idle_timeout",
    /// What may wait in memory for all clients.
    Memory "memory",
    /// What compressed messages are inflated to in one turn.
    InflatedBytes "inflated_bytes",
    /// What waits for the thread of a room, and events for sessions; not a key: a sender of more is told.
    ShardQueue "shard_queue",
    /// Answers to requests that nobody waits for any more; not a key: they are dropped.
    LateAnswers "late_answers",
    /// Peers of a signaling room.
    PeersPerRoom "signaling.peers_per_room",
    /// Subscriptions of a STOMP session.
    StompSubscriptions "stomp.subscriptions",
    /// Transactions of a STOMP session.
    StompTransactions "stomp.transactions",
    /// Bytes in the transactions of a STOMP session.
    StompTransactionBytes "stomp.transaction_bytes",
    /// Messages that wait in a queue.
    StompQueueLength "stomp.queue_length",
    /// Bytes of a queue.
    StompQueueBytes "stomp.queue_bytes",
    /// Queues in all.
    StompQueues "stomp.queues",
    /// Bytes of all queues.
    StompMemory "stomp.memory",
}

/// The counters; cheap to clone, for any thread.
#[derive(Clone, Debug)]
pub struct LimitHits(Arc<[AtomicU64]>);

impl Default for LimitHits {
    fn default() -> LimitHits {
        LimitHits(Limit::ALL.iter().map(|_| AtomicU64::new(0)).collect())
    }
}

impl LimitHits {
    /// Counts one more that ran into the limit.
    pub fn hit(&self, limit: Limit) {
        if let Some(counter) = self.0.get(limit as usize) {
            counter.fetch_add(1, Ordering::Relaxed);
        }
    }

    /// How many have run into the limit since the start.
    #[must_use]
    pub fn hits(&self, limit: Limit) -> u64 {
        self.0.get(limit as usize).map_or(0, |counter| counter.load(Ordering::Relaxed))
    }
}

/// Lines of the log that were dropped, because nobody took them or they could not be written. The log belongs to the
/// process, and so does this.
static LOG_LINES_DROPPED: AtomicU64 = AtomicU64::new(0);

/// What became of the lines of the log.
#[derive(Clone, Copy, Debug)]
pub enum LogLines {}

impl LogLines {
    /// How many have been dropped since the start of the process.
    #[must_use]
    pub fn dropped() -> u64 {
        LOG_LINES_DROPPED.load(Ordering::Relaxed)
    }

    /// Counts one more that was dropped.
    pub(crate) fn drop_one() {
        LOG_LINES_DROPPED.fetch_add(1, Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_limit_has_a_counter_of_its_own() {
        let limit_hits = LimitHits::default();
        for (number, &limit) in Limit::ALL.iter().enumerate() {
            assert_eq!(limit_hits.hits(limit), 0, "{}", limit.key());
            (0..=number).for_each(|_| limit_hits.clone().hit(limit));
        }
        for (number, &limit) in Limit::ALL.iter().enumerate() {
            assert_eq!(limit_hits.hits(limit), number as u64 + 1, "{}", limit.key());
        }
    }
}
