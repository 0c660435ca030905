//! A connection: its states, and every way from one to the next.

use std::sync::Arc;

use super::http::{Http1, Next};
use super::preamble::Preamble;
use super::streaming::Streaming;
use super::websocket::WebSocket;
use crate::reactor::api::disconnect::Disconnect;
use crate::reactor::clock::wheel::{Armed, Tick, ticks};
use crate::reactor::env::Env;
use crate::reactor::inflation::Inflating;
use crate::reactor::key::Key;
use crate::reactor::limits::LIMITED_READ_BYTES;
use crate::reactor::listen::quotas::Counted;
use crate::reactor::service::Service;
use crate::reactor::state::LoopState;
use crate::transport::Outbound;

/// The state of a connection. Each state that has to end carries its deadline.
///
/// ```text
/// Preamble ──► Http ◄──request, last answer──► Idle
///    │          ├──upgrade──► WebSocket ──both Close frames, failure──► Draining ──end of input, deadline──► (freed)
///    │          ├──stream response──► Streaming ──kicked, expired, shutdown──► Draining
///    │          └──last response, deadline──► Draining
///    └──no room: told so──► Draining
/// ```
///
/// Every state may also end at once: the connection is lost, or its deadline has passed.
#[derive(Debug)]
pub(crate) enum ConnectionState {
    /// What must be read before the first request.
    Preamble(Preamble),
    /// A request is under way. The box has the deadline.
    Http(Box<Http1>),
    /// Between two requests. An idle connection takes no memory for requests.
    Idle {
        /// `None`: it may last.
        until: Option<Tick>,
    },
    /// Frames.
    WebSocket(WebSocket),
    /// A response that goes on with the messages of a room; input is discarded.
    Streaming(Box<Streaming>),
    /// Everything is said. Input is discarded until the peer ends it, because closing a socket with unread input sends a
    /// reset, which destroys what was sent last (RFC 9112 §9.6).
    Draining {
        /// The peer has to end its side by then.
        until: Tick,
    },
}

/// Which list of the loop has a connection. It is on one at most.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Queue {
    /// None: an event or a timer wakes it.
    None,
    /// It goes on reading in the next turn.
    Ready,
    /// It waits for its shard, or for work of the application.
    Held,
    /// It has read bytes that wait to be inflated.
    Inflating,
}

/// What the kernel has reported of the end of the input, which it does once. Each value includes the one before it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum InputEnd {
    /// Nothing yet.
    #[default]
    Open,
    /// The end is near; what comes before it may take several turns to read.
    Near,
    /// The connection has failed: nothing that is sent arrives.
    Failed,
}

/// One connection, as the reactor holds it.
#[derive(Debug)]
pub(crate) struct Connection {
    pub(crate) outbound: Arc<Outbound>,
    pub(crate) state: ConnectionState,
    /// When the timer entry that counts comes out.
    pub(crate) armed: Armed,
    /// When the peer gave a sign of life last: bytes came, or some were taken of those that waited for it.
    pub(crate) alive_at: Tick,
    /// Reading stopped although the socket may have more: because of the budget, or to hold the peer back. Edge
    /// triggering will not report it again.
    pub(crate) unread: bool,
    /// The kernel has reported an urgent byte, and what is behind it was not read to the end.
    pub(crate) urgent: bool,
    /// The server shuts down, and the requests that were received are still answered.
    pub(crate) finishing: bool,
    pub(crate) input_end: InputEnd,
    pub(crate) queue: Queue,
    pub(crate) counted: Counted,
}

// Every idle session has one, besides its write half: a field more is a megabyte more for 100,000 of them.
const _: () = assert!(size_of::<Connection>() <= 232);

impl Connection {
    /// A connection that begins with a preamble.
    pub(crate) fn new(outbound: Outbound, preamble: Preamble, counted: Counted, now: Tick) -> Connection {
        Connection {
            outbound: Arc::new(outbound),
            state: ConnectionState::Preamble(preamble),
            armed: Armed::default(),
            alive_at: now,
            unread: false,
            urgent: false,
            finishing: false,
            input_end: InputEnd::Open,
            queue: Queue::None,
            counted,
        }
    }

    /// Goes on with what a request has led to.
    pub(crate) fn advance(&mut self, next: Next, shared: &mut LoopState) {
        self.state = match next {
            Next::Http(Some(http1)) => ConnectionState::Http(http1),
            Next::Http(None) => {
                ConnectionState::Idle { until: idle_until(shared.now, &self.outbound, shared) }
            }
            Next::WebSocket(websocket) => {
                self.count_client(shared);
                ConnectionState::WebSocket(websocket)
            }
            Next::Streaming(streaming) => ConnectionState::Streaming(streaming),
            Next::Drain => return self.drain(shared),
        };
    }

    /// Says no more: the sending direction ends when everything is written, and the peer is waited for.
    pub(crate) fn drain(&mut self, shared: &LoopState) {
        self.drain_until(shared.now.saturating_add(ticks(shared.limits.close_timeout)));
    }

    /// As [`Connection::drain`], until this moment.
    pub(crate) fn drain_until(&mut self, until: Tick) {
        debug_assert!(
            !matches!(self.state, ConnectionState::Streaming(_)),
            "a stream that has not left its room would be forgotten"
        );
        self.outbound.finish();
        self.state = ConnectionState::Draining { until };
    }

    /// Ends what the connection takes part in: the session, the stream of a room. To be called before it is forgotten, or
    /// drained without a last word of its own.
    pub(crate) fn leave<S: Service>(&mut self, key: Key, shared: &mut LoopState, service: &mut S) {
        match &mut self.state {
            ConnectionState::WebSocket(websocket) => {
                let mut env = Env { key, outbound: &self.outbound, counted: &self.counted, shared, service };
                websocket.end(Disconnect::PeerGone, None, &mut env);
            }
            ConnectionState::Streaming(_) => {
                self.leave_stream(shared);
            }
            ConnectionState::Preamble(_)
            | ConnectionState::Http(_)
            | ConnectionState::Idle { .. }
            | ConnectionState::Draining { .. } => {}
        }
    }

    /// Takes the stream of a room out of it, once. False in every other state.
    pub(crate) fn leave_stream(&mut self, shared: &mut LoopState) -> bool {
        if !matches!(self.state, ConnectionState::Streaming(_)) {
            return false;
        }
        let taken = std::mem::replace(&mut self.state, ConnectionState::Idle { until: None });
        if let ConnectionState::Streaming(streaming) = taken {
            streaming.end(shared);
        }
        true
    }

    /// Takes the request under way, if there is one; the connection [advances](Connection::advance) with what becomes of
    /// it.
    pub(crate) fn take_http(&mut self) -> Option<Box<Http1>> {
        if !matches!(self.state, ConnectionState::Http(_)) {
            return None;
        }
        match std::mem::replace(&mut self.state, ConnectionState::Idle { until: None }) {
            ConnectionState::Http(http1) => Some(http1),
            ConnectionState::Idle { .. }
            | ConnectionState::Preamble(_)
            | ConnectionState::WebSocket(_)
            | ConnectionState::Streaming(_)
            | ConnectionState::Draining { .. } => None,
        }
    }

    /// The request under way.
    pub(crate) fn http(&self) -> Option<&Http1> {
        match &self.state {
            ConnectionState::Http(http1) => Some(http1),
            ConnectionState::Preamble(_)
            | ConnectionState::Idle { .. }
            | ConnectionState::WebSocket(_)
            | ConnectionState::Streaming(_)
            | ConnectionState::Draining { .. } => None,
        }
    }

    /// When the state ends, whatever happens.
    pub(crate) fn deadline(&self) -> Option<Tick> {
        match &self.state {
            ConnectionState::Preamble(preamble) => Some(preamble.until),
            ConnectionState::Http(http1) => Some(http1.deadline),
            ConnectionState::Idle { until } => *until,
            ConnectionState::WebSocket(websocket) => websocket.closing_until(),
            ConnectionState::Streaming(_) => None,
            ConnectionState::Draining { until } => Some(*until),
        }
    }

    /// Has the connection go on reading in the next turn, unless it is on a list already.
    pub(crate) fn make_ready(&mut self, key: Key, shared: &mut LoopState) {
        if self.queue == Queue::None {
            self.queue = Queue::Ready;
            shared.ready.push(key);
        }
    }

    /// Puts a session at the end of the queue for inflating, unless it is on a list already.
    pub(crate) fn wait_to_inflate(&mut self, key: Key, shared: &mut LoopState) {
        debug_assert!(self.has_leftover(), "a session that waits has something to inflate");
        // The kernel may have more: the loop reads on when it takes the session out of the queue.
        self.unread = true;
        if self.queue == Queue::None {
            self.queue = Queue::Inflating;
            shared.inflating.push(key);
        }
    }

    /// Maximum number of bytes to read at once.
    pub(crate) fn read_bytes_max(&self, inflating: &Inflating) -> usize {
        match &self.state {
            ConnectionState::WebSocket(websocket) => websocket.read_bytes_max(inflating),
            // Messages may come behind the head of an upgrade: no more of them at once than its session could send.
            ConnectionState::Idle { .. } => LIMITED_READ_BYTES,
            ConnectionState::Http(http1) if http1.is_in_head() => LIMITED_READ_BYTES,
            ConnectionState::Preamble(_)
            | ConnectionState::Http(_)
            | ConnectionState::Streaming(_)
            | ConnectionState::Draining { .. } => usize::MAX,
        }
    }

    /// Whether bytes wait that were read and may not be inflated yet.
    pub(crate) fn has_leftover(&self) -> bool {
        match &self.state {
            ConnectionState::WebSocket(websocket) => websocket.has_leftover(),
            ConnectionState::Preamble(_)
            | ConnectionState::Http(_)
            | ConnectionState::Idle { .. }
            | ConnectionState::Streaming(_)
            | ConnectionState::Draining { .. } => false,
        }
    }

    /// Counts a session against its client's address, if a proxy has brought it and it was not counted before.
    fn count_client(&mut self, shared: &mut LoopState) {
        if matches!(self.counted, Counted::No(_))
            && shared.limits.connections_per_ip.is_some()
            && let Ok(client) = self.outbound.stream().peer_addr()
        {
            self.counted = shared.count(client.ip());
        }
    }
}

/// Until when a connection between two requests may last; `None` without limit.
pub(crate) fn idle_until(alive_at: Tick, outbound: &Outbound, shared: &LoopState) -> Option<Tick> {
    if outbound.stalled_at().is_some() {
        return Some(write_deadline(alive_at, shared));
    }
    shared.limits.idle_timeout.map(|timeout| alive_at.saturating_add(ticks(timeout)))
}

/// Until when an HTTP client has to take something that has taken something, or asked for it, at `alive_at`.
pub(crate) fn write_deadline(alive_at: Tick, shared: &LoopState) -> Tick {
    let limits = &shared.limits;
    let timeout = limits.idle_timeout.map_or(limits.write_timeout, |idle| idle.min(limits.write_timeout));
    alive_at.saturating_add(ticks(timeout))
}
