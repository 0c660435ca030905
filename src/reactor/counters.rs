//! What the reactor counts since its start: in fields of its own, which other threads ask for.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::time::Duration;

use super::api::disconnect::Disconnect;
use crate::histogram::Histogram;
use crate::http::{Head, Status};
use crate::ws::CloseCode;

/// How long a turn takes, in microseconds.
// A turn that takes milliseconds makes every session wait for them.
const TURN_BOUNDS: &[u64] =
    &[10, 25, 50, 100, 250, 500, 1_000, 2_500, 5_000, 10_000, 25_000, 50_000, 100_000, 1_000_000];

/// One turn in so many is measured: reading the clock once more costs as much as a short message does.
const TURNS_PER_MEASURED: u64 = 8;

/// What the reactor counts. Plain numbers: its thread alone touches them.
#[derive(Clone, Debug)]
pub(crate) struct ReactorCounters {
    /// Connections accepted, those that are told that they are too many included.
    pub(crate) accepted: u64,
    /// Bytes read from connections, decrypted.
    pub(crate) received_bytes: u64,
    /// Messages that sessions have sent.
    pub(crate) received_messages: u64,
    /// Bytes that were handed to connections, before they were encrypted: responses and frames, without what rooms send.
    pub(crate) sent_bytes: u64,
    /// Messages that were sent to sessions, without those of rooms.
    pub(crate) sent_messages: u64,
    /// Sessions that have begun.
    pub(crate) sessions: u64,
    /// Responses that follow a room and have begun.
    pub(crate) streams: u64,
    /// Those of them that have ended.
    pub(crate) streams_ended: u64,
    /// Answers to opening handshakes, by their status.
    pub(crate) handshakes: BTreeMap<u16, u64>,
    /// Responses, by their status; without those of `handshakes` that were accepted.
    pub(crate) responses: BTreeMap<u16, u64>,
    /// Sessions that have ended, by the cause and the code.
    pub(crate) closes: BTreeMap<(&'static str, ClosedWith), u64>,
    pub(crate) turns: u64,
    /// Lengths of turns, in microseconds, of one in `TURNS_PER_MEASURED`.
    pub(crate) turn_micros: Histogram,
}

impl Default for ReactorCounters {
    fn default() -> ReactorCounters {
        ReactorCounters {
            accepted: 0,
            received_bytes: 0,
            received_messages: 0,
            sent_bytes: 0,
            sent_messages: 0,
            sessions: 0,
            streams: 0,
            streams_ended: 0,
            handshakes: BTreeMap::new(),
            responses: BTreeMap::new(),
            closes: BTreeMap::new(),
            turns: 0,
            turn_micros: Histogram::new(TURN_BOUNDS),
        }
    }
}

impl ReactorCounters {
    pub(crate) fn count_response(&mut self, status: Status) {
        *self.responses.entry(status.code()).or_default() += 1;
    }

    pub(crate) fn count_handshake(&mut self, status: Status) {
        *self.handshakes.entry(status.code()).or_default() += 1;
    }

    /// Counts the end of a session, with the code of its Close frame if it had one.
    pub(crate) fn count_close(&mut self, because: Disconnect, code: Option<CloseCode>) {
        *self.closes.entry((cause_of(because), ClosedWith::of(because, code))).or_default() += 1;
    }

    /// Counts a turn; `length` is asked for if this one is measured.
    #[inline]
    pub(crate) fn count_turn(&mut self, length: impl FnOnce() -> Duration) {
        self.turns += 1;
        if self.turns.is_multiple_of(TURNS_PER_MEASURED) {
            self.turn_micros.note(u64::try_from(length().as_micros()).unwrap_or(u64::MAX));
        }
    }

    /// Sessions that have ended.
    pub(crate) fn ended(&self) -> u64 {
        self.closes.values().sum()
    }
}

/// What the reactor has counted, and what it holds at the moment.
#[derive(Clone, Debug, Default)]
pub(crate) struct ReactorStats {
    pub(crate) counters: ReactorCounters,
    /// Connections of any kind, closing ones included.
    pub(crate) connections: usize,
    /// Bytes that wait in memory for all connections together: what `limits.memory` is about.
    pub(crate) waiting_bytes: usize,
    /// How often accepting has paused, because no descriptors were left.
    pub(crate) accept_pauses: u64,
    /// Processor time that the reactor's thread has used, as far as the system tells; added by who asks.
    pub(crate) busy: Option<Duration>,
}

/// The code with which a session has ended. Clients choose among thousands; here is a bounded number of them.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum ClosedWith {
    /// A code of the RFC, or one that this server uses itself. 1005: none was sent; 1006: the connection was lost.
    Code(u16),
    /// Any other.
    Other,
}

impl ClosedWith {
    /// The code as text.
    pub(crate) fn text(self) -> Cow<'static, str> {
        match self {
            ClosedWith::Code(code) => Cow::Owned(code.to_string()),
            ClosedWith::Other => Cow::Borrowed("other"),
        }
    }

    /// What RFC 6455 §7.1.5 calls the close code of the connection.
    fn of(because: Disconnect, code: Option<CloseCode>) -> ClosedWith {
        const NO_CODE: u16 = 1005;
        const LOST: u16 = 1006;
        let code = match because {
            Disconnect::PeerGone => LOST,
            Disconnect::PeerClosed(_)
            | Disconnect::Closed(_)
            | Disconnect::Protocol(_)
            | Disconnect::Idle
            | Disconnect::UnfinishedMessage
            | Disconnect::Stalled
            | Disconnect::OverLimit(_)
            | Disconnect::Memory
            | Disconnect::TooSlow
            | Disconnect::HandlerFailed
            | Disconnect::Shutdown => code.map_or(NO_CODE, CloseCode::get),
        };
        match code {
            1000..=1014 | 4001 | 4008 | 4401 | 4403 => ClosedWith::Code(code),
            _ => ClosedWith::Other,
        }
    }
}

/// Why a session has ended, in a word.
fn cause_of(because: Disconnect) -> &'static str {
    match because {
        Disconnect::PeerClosed(_) => "client",
        Disconnect::PeerGone => "lost",
        Disconnect::Closed(_) => "server",
        Disconnect::Protocol(_) => "protocol",
        Disconnect::Idle => "idle",
        Disconnect::UnfinishedMessage => "unfinished",
        Disconnect::Stalled => "stalled",
        Disconnect::OverLimit(_) => "limit",
        Disconnect::Memory => "memory",
        Disconnect::TooSlow => "slow",
        Disconnect::HandlerFailed => "handler",
        Disconnect::Shutdown => "shutdown",
    }
}

/// Whether a request is an opening handshake, be it a broken one.
pub(crate) fn is_handshake(head: &Head<'_>) -> bool {
    ["sec-websocket-key", "sec-websocket-version"].into_iter().any(|name| head.header(name).is_some())
        || head.fields().list("Upgrade").any(|protocol| protocol.eq_ignore_ascii_case("websocket"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::limit_hits::Limit;

    #[test]
    fn what_clients_choose_makes_no_new_series() {
        let mut counters = ReactorCounters::default();
        for code in (0..=u16::MAX).filter_map(CloseCode::new) {
            counters.count_close(Disconnect::PeerClosed(Some(code)), Some(code));
            counters.count_close(Disconnect::Closed(code), Some(code));
        }
        counters.count_close(Disconnect::PeerClosed(None), None);
        counters.count_close(Disconnect::OverLimit(Limit::Bytes), Some(CloseCode::POLICY));
        assert!(counters.closes.len() < 40, "{}", counters.closes.len());
        assert_eq!(counters.closes[&("client", ClosedWith::Code(1005))], 1);
        assert_eq!(counters.closes[&("limit", ClosedWith::Code(1008))], 1);
        assert_eq!(counters.closes[&("client", ClosedWith::Code(4401))], 1);
        assert_eq!(
            counters.closes[&("client", ClosedWith::Other)],
            2000 - 4,
            "3000 to 4999 but for those of the server"
        );
        assert_eq!(counters.ended(), 2 * (4 + 8 + 2000) + 2);
    }

    #[test]
    fn one_turn_in_eight_is_measured() {
        let mut counters = ReactorCounters::default();
        (0..80).for_each(|_| counters.count_turn(|| Duration::from_micros(30)));
        assert_eq!((counters.turns, counters.turn_micros.count(), counters.turn_micros.sum()), (80, 10, 300));
    }
}
