//! RejectReason a connection is not read for now: the server is behind, or the peer has to wait.

use super::deadlines::after_event;
use super::states::{Connection, ConnectionState, InputEnd, Queue};

use crate::reactor::clock::wheel::ticks;
use crate::reactor::key::Key;
use crate::reactor::state::LoopState;

/// Whether the connection must not be read now: its peer does not read our replies, or its shard is behind. It is
/// remembered, since the kernel will not report its input again.
pub(crate) fn hold_back(key: Key, connection: &mut Connection, shared: &mut LoopState) -> bool {
    let hold = holds_back(key, connection, shared);
    if hold == Some(Pause::Shard) && connection.queue == Queue::None {
        connection.queue = Queue::Held;
        shared.held.push(key);
    }
    if let ConnectionState::WebSocket(websocket) = &mut connection.state {
        // Of the time that its rate takes the session knows already.
        let is_ours = matches!(hold, Some(Pause::Shard | Pause::Backlog));
        websocket.note_held_back(is_ours, shared.now);
    }
    connection.unread |= hold.is_some();
    hold.is_some()
}

/// RejectReason a connection is not read, and who will see to it that it is read on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Pause {
    /// The server shuts down: the end of that.
    Shutdown,
    /// It has sent too much: a timer.
    Rate,
    /// Its request waits for an answer: the answer.
    Answer,
    /// Its shard, or work of the application, is behind: the loop looks in each turn.
    Shard,
    /// It does not take what it asked for: its taking it.
    Backlog,
}

pub(crate) fn holds_back(key: Key, connection: &Connection, shared: &LoopState) -> Option<Pause> {
    if shared.paused && !connection.finishing {
        return Some(Pause::Shutdown);
    }
    match &connection.state {
        // Whatever comes before the peer's Close frame is discarded.
        ConnectionState::WebSocket(websocket) if websocket.is_closing() => return None,
        ConnectionState::WebSocket(websocket) if websocket.is_slowed(shared.now) => return Some(Pause::Rate),
        ConnectionState::WebSocket(websocket)
            if websocket.is_held(shared) || shared.is_held_by_background(key) =>
        {
            return Some(Pause::Shard);
        }
        ConnectionState::Http(http1) if http1.is_waiting() => return Some(Pause::Answer),
        ConnectionState::WebSocket(_) | ConnectionState::Http(_) | ConnectionState::Idle { .. } => {}
        ConnectionState::Preamble(_) | ConnectionState::Streaming(_) | ConnectionState::Draining { .. } => {
            return None;
        }
    }
    connection.outbound.is_congested().then_some(Pause::Backlog)
}

/// A client that has ended its side may still want the answer it waits for; one that is gone looks the same, and is not
/// kept for as long as a long poll may take.
pub(crate) fn hasten(key: Key, connection: &mut Connection, shared: &mut LoopState) {
    if let ConnectionState::Http(http1) = &mut connection.state
        && connection.input_end >= InputEnd::Near
        && http1.has_fallback()
    {
        let latest = shared.now.saturating_add(ticks(shared.limits.close_timeout));
        http1.deadline = http1.deadline.min(latest);
        after_event(key, connection, shared);
    }
}
