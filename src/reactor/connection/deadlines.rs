//! When the states of a connection end, and what moves that: progress of the peer, new limits, the clock.

use super::states::{Connection, ConnectionState, idle_until, write_deadline};
use crate::reactor::clock::wheel::{Tick, ticks};
use crate::reactor::key::Key;
use crate::reactor::state::LoopState;

/// When the connection has to be looked after next, if ever.
pub(crate) fn next_due(connection: &Connection, shared: &LoopState) -> Option<Tick> {
    let next = match &connection.state {
        ConnectionState::WebSocket(websocket) => {
            let alive_at = if connection.unread { shared.now } else { connection.alive_at };
            websocket.next_check(alive_at, shared)
        }
        ConnectionState::Streaming(streaming) => streaming.next_check(shared),
        ConnectionState::Preamble(_)
        | ConnectionState::Http(_)
        | ConnectionState::Idle { .. }
        | ConnectionState::Draining { .. } => None,
    };
    next.into_iter().chain(connection.deadline()).min()
}

/// The peer has taken some of what waits for it: that is a sign of life, and whatever ends when it does not take the rest
/// ends that much later. The timer that comes out too early finds that out.
pub(crate) fn note_progress(connection: &mut Connection, shared: &LoopState) {
    connection.alive_at = shared.now;
    let closed_by = shared.now.saturating_add(ticks(shared.limits.close_timeout));
    match &mut connection.state {
        ConnectionState::Draining { until } => *until = (*until).max(closed_by),
        // The Close frame is behind what waits, or has only now left.
        ConnectionState::WebSocket(websocket) => websocket.put_off_closing(closed_by),
        ConnectionState::Idle { until } => *until = idle_until(shared.now, &connection.outbound, shared),
        // The request that it sends was not read while it did not take the answers before.
        ConnectionState::Http(http1) if connection.unread && !http1.is_waiting() => http1.put_off(shared),
        ConnectionState::Http(_) | ConnectionState::Preamble(_) | ConnectionState::Streaming(_) => {}
    }
}

/// Brings the deadline of a connection within the limits as they are now.
pub(crate) fn tighten(key: Key, connection: &mut Connection, shared: &mut LoopState) {
    let limits = shared.limits.clone();
    let by = |timeout| shared.now.saturating_add(ticks(timeout));
    match &mut connection.state {
        ConnectionState::WebSocket(websocket) => websocket.tighten(key, shared),
        ConnectionState::Http(http1) => http1.tighten(shared),
        ConnectionState::Idle { until } if connection.outbound.stalled_at().is_some() => {
            let latest = write_deadline(connection.alive_at, shared);
            *until = until.map(|until| until.min(latest));
        }
        // Counted from the last sign of life, and without end if there is no such limit any more. Not at once, also where
        // the new limit has passed already: a deadline comes out of the wheel in the next tick at the earliest.
        ConnectionState::Idle { until } => {
            let idle = idle_until(connection.alive_at, &connection.outbound, shared);
            *until = idle.map(|at| at.max(shared.now.saturating_add(1)));
        }
        ConnectionState::Preamble(preamble) => {
            preamble.until = preamble.until.min(by(limits.tls_timeout.max(limits.handshake_timeout)));
        }
        ConnectionState::Draining { until } => *until = (*until).min(by(limits.close_timeout)),
        ConnectionState::Streaming(_) => {}
    }
}

/// Moves the connection on to the state it has reached, and makes sure that its next deadline finds it.
pub(crate) fn after_event(key: Key, connection: &mut Connection, shared: &mut LoopState) {
    if let ConnectionState::WebSocket(websocket) = &mut connection.state {
        if websocket.is_over() {
            connection.drain(shared);
        } else if websocket.begin_closing(shared) && connection.unread {
            // The peer's Close frame may be in what was not read until now.
            connection.make_ready(key, shared);
        }
    }
    if let Some(at) = next_due(connection, shared) {
        shared.arm(key, &mut connection.armed, at);
        let latest = at.max(shared.now.saturating_add(1));
        debug_assert!(
            connection.armed.is_set() && connection.armed.at() <= latest,
            "a deadline would be found late"
        );
    }
}
