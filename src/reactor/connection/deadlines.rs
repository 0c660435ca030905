//! When the states of a connection end, and what moves that: progress of the peer, new limits, the clock.

use std::time::Duration;

use crate::reactor::Reactor;
use crate::reactor::clock::wheel::{Tick, ticks};
use crate::reactor::connection::table::{Key, Slot, State};
use crate::reactor::events::readiness::after_event;
use crate::reactor::service::Service;
use crate::reactor::state::{Turn, unix_time};

/// Connections whose deadlines are looked at anew in one turn. Each costs less than a read.
const REVIEWED_PER_TURN: usize = 4096;

/// When a session or a response ends unless something happens before: by the reactor's own time, and since 1970 if that is
/// said. The former stands still while the process does, so that the latter decides where there is one.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Ending {
    until: Option<Duration>,
    /// When to look whether it has come.
    pub(crate) at: Tick,
}

impl Ending {
    /// After this long.
    pub(crate) fn after(time: Duration, turn: &Turn) -> Ending {
        Ending { until: None, at: turn.now.saturating_add(ticks(time)) }
    }

    /// At this time since 1970.
    pub(crate) fn by_clock(until: Duration, turn: &Turn) -> Ending {
        Ending { until: Some(until), ..Ending::after(until.saturating_sub(unix_time()), turn) }
    }

    /// Whether it has come. Where the clock was set back, it is put off.
    pub(crate) fn has_come(&mut self, turn: &Turn) -> bool {
        match self.until {
            Some(until) if unix_time() >= until => true,
            Some(until) => {
                if self.at <= turn.now {
                    *self = Ending::by_clock(until, turn);
                }
                false
            }
            None => self.at <= turn.now,
        }
    }
}

impl<S: Service> Reactor<S> {
    /// Looks at the deadlines of some connections anew, after the limits have changed: what was planned by the old ones
    /// must not hold longer than the new ones say, however quiet the connection.
    pub(crate) fn review(&mut self) {
        let Some(from) = self.review_from else { return };
        let keys = self.slots.keys_from(from, REVIEWED_PER_TURN);
        self.review_from = keys.is_some().then_some(from + REVIEWED_PER_TURN);
        for key in keys.unwrap_or_default() {
            if let Some(slot) = self.slots.get_mut(key) {
                tighten(key, slot, &mut self.turn);
                after_event(key, slot, &mut self.turn);
            }
        }
    }
}

/// When the connection has to be looked after next, if ever.
pub(crate) fn next_due(slot: &Slot, turn: &Turn) -> Option<Tick> {
    let next = match &slot.state {
        State::WebSocket(websocket) => {
            let alive_at = if slot.unread { turn.now } else { slot.alive_at };
            websocket.next_check(alive_at, turn)
        }
        State::Following(following) => following.next_check(turn),
        State::Opening(_) | State::Http(_) | State::Draining => None,
    };
    next.into_iter().chain((slot.deadline != 0).then_some(slot.deadline)).min()
}

/// When the state that an exchange has led to ends; 0 if that is not HTTP's business any more.
pub(crate) fn http_deadline(slot: &Slot, turn: &Turn) -> Tick {
    match &slot.state {
        State::Http(Some(exchange)) => exchange.deadline,
        State::Http(None) if slot.outbound.stalled_at().is_some() => untaken_until(turn.now, turn),
        State::Http(None) => {
            turn.limits.idle_timeout.map_or(0, |timeout| turn.now.saturating_add(ticks(timeout)))
        }
        State::Opening(_) | State::WebSocket(_) | State::Following(_) | State::Draining => 0,
    }
}

/// Until when an HTTP client has to take something that has taken something, or asked for it, at `alive_at`.
pub(crate) fn untaken_until(alive_at: Tick, turn: &Turn) -> Tick {
    let limits = &turn.limits;
    let timeout = limits.idle_timeout.map_or(limits.write_timeout, |idle| idle.min(limits.write_timeout));
    alive_at.saturating_add(ticks(timeout))
}

/// The peer has taken some of what waits for it: that is a sign of life, and whatever ends when it does not take the rest
/// ends that much later. The timer that comes out too early finds that out.
pub(crate) fn note_progress(slot: &mut Slot, turn: &Turn) {
    slot.alive_at = turn.now;
    let closed_by = turn.now.saturating_add(ticks(turn.limits.close_timeout));
    match &mut slot.state {
        State::Draining => slot.deadline = slot.deadline.max(closed_by),
        // The Close frame is behind what waits, or has only now left.
        State::WebSocket(websocket) if websocket.is_closing() && slot.deadline != 0 => {
            slot.deadline = slot.deadline.max(closed_by);
        }
        State::Http(None) => slot.deadline = http_deadline(slot, turn),
        // The request that it sends was not read while it did not take the answers before.
        State::Http(Some(exchange)) if slot.unread && !exchange.is_waiting() => {
            exchange.put_off(turn);
            slot.deadline = exchange.deadline;
        }
        State::Http(Some(_)) | State::WebSocket(_) | State::Opening(_) | State::Following(_) => {}
    }
}

/// Brings the deadline of a connection within the limits as they are now.
fn tighten(key: Key, slot: &mut Slot, turn: &mut Turn) {
    let limits = turn.limits.clone();
    let by = |timeout| turn.now.saturating_add(ticks(timeout));
    let latest = match &mut slot.state {
        State::WebSocket(websocket) => {
            websocket.tighten(key, turn);
            by(limits.close_timeout)
        }
        State::Http(Some(exchange)) => {
            exchange.tighten(turn);
            exchange.deadline
        }
        State::Http(None) if slot.outbound.stalled_at().is_some() => untaken_until(slot.alive_at, turn),
        // Counted from the last sign of life, and 0 if there is no such limit any more.
        State::Http(None) => {
            let idle = limits.idle_timeout.map(|timeout| slot.alive_at.saturating_add(ticks(timeout)));
            slot.deadline = idle.map_or(0, |at| at.max(turn.now.saturating_add(1)));
            return;
        }
        State::Opening(_) => by(limits.tls_timeout.max(limits.handshake_timeout)),
        State::Draining => by(limits.close_timeout),
        State::Following(_) => return,
    };
    if slot.deadline != 0 {
        slot.deadline = slot.deadline.min(latest);
    }
}
