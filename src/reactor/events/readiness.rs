//! What becomes of a connection: opened, read, written on, timed, freed.

use std::io;
use std::sync::Arc;
use std::time::Duration;

use crate::metrics::Limit;
use crate::reactor::Reactor;
use crate::reactor::clock::wheel::ticks;
use crate::reactor::connection::deadlines::{http_deadline, next_due, note_progress, untaken_until};
use crate::reactor::connection::hold::holds_back;
use crate::reactor::connection::http::{self as exchange, Exchange};
use crate::reactor::connection::preamble::{arrival, count_client};
use crate::reactor::connection::rate_limit::RATIONED_READ_BYTES;
use crate::reactor::connection::table::{Key, Slot, State};
use crate::reactor::connection::websocket::Reach;
use crate::reactor::service::{Disconnect, Service};
use crate::reactor::state::Turn;
use crate::transport::{Arrived, Flushed};

/// The timer entry that lets a paused acceptor try again. It wakes the loop up and names no connection.
pub(crate) const RETRY_ACCEPT_BITS: u64 = u64::MAX;
const RETRY_ACCEPT_AFTER: Duration = Duration::from_millis(100);

/// Bytes that are decrypted at a time at least: a read takes its part of the buffer for a record that is not complete.
const ENCRYPTED_READ_BYTES_MIN: usize = 64 * 1024;

impl<S: Service> Reactor<S> {
    /// Reads once from a connection and lets it act, after an event that said this about its input.
    pub(crate) fn read(&mut self, key: Key, hint: ReadHint) {
        let Some(slot) = self.slots.get_mut(key) else { return };
        slot.ending |= hint.ending;
        slot.urgent |= hint.urgent;
        slot.broken |= hint.broken;
        if self.is_held_back(key) {
            return;
        }
        let Some(slot) = self.slots.get_mut(key) else { return };
        if slot.has_leftover() {
            return self.turn.inflating.wait(key, slot);
        }
        if let State::Http(Some(exchange)) = &slot.state
            && exchange.has_input()
        {
            slot.unread = true;
            self.turn.make_ready(key, slot);
            return self.receive(key, 0);
        }
        if matches!(slot.state, State::Opening(_)) && !(self.may_open(key) && self.pass_proxy_header(key)) {
            return;
        }
        let Some(slot) = self.slots.get_mut(key) else { return };
        let is_encrypted = slot.outbound.stream().is_encrypted();
        let least = if is_encrypted { ENCRYPTED_READ_BYTES_MIN } else { 0 };
        let mut limit = self.buffer.len();
        let space = match &mut slot.state {
            State::WebSocket(websocket) => {
                limit = limit.min(websocket.read_bytes_max(&self.turn.inflating).max(least));
                // What is encrypted is decrypted into the buffer of all.
                if is_encrypted { None } else { websocket.space(limit) }
            }
            // Messages may come behind the head of an upgrade: no more of them at once than its session could send.
            State::Http(exchange) if exchange.as_ref().is_none_or(|exchange| exchange.is_in_head()) => {
                limit = limit.min(RATIONED_READ_BYTES.max(least));
                None
            }
            State::Opening(_) | State::Http(_) | State::Following(_) | State::Draining => None,
        };
        let goes_through = space.is_none();
        match slot.outbound.stream().read(space.unwrap_or(&mut self.buffer[..limit])) {
            Ok(Arrived::End) => self.on_end_of_input(key),
            Ok(Arrived::Broken) => self.on_broken_input(key),
            Ok(Arrived::Bytes { count, more }) => {
                slot.unread = slot.ending || slot.urgent || more;
                if slot.unread {
                    self.turn.make_ready(key, slot);
                }
                slot.alive_at = self.turn.now;
                self.turn.alive_at = self.turn.now;
                match &mut slot.state {
                    State::Opening(_) => self.go_on_opening(key),
                    State::WebSocket(websocket) if !goes_through => {
                        websocket.fill(count);
                        return self.receive(key, 0);
                    }
                    State::WebSocket(_) | State::Http(_) | State::Following(_) | State::Draining => {}
                }
                if count > 0 {
                    self.receive(key, count);
                }
            }
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                slot.unread = false;
                slot.urgent = false;
            }
            Err(_) => self.remove(key),
        }
    }

    /// Lets a connection act on the first `count` bytes of the buffer.
    pub(crate) fn receive(&mut self, key: Key, count: usize) {
        let Some(slot) = self.slots.get_mut(key) else { return };
        let bytes = &mut self.buffer[..count];
        let mut reach =
            Reach { key, outbound: &slot.outbound, turn: &mut self.turn, service: &mut self.service };
        match &mut slot.state {
            State::WebSocket(websocket) => {
                websocket.receive(bytes, &mut reach);
                // What every message goes through: reading on moves the deadlines of a session at ease only further
                // away, and whoever looks after it at the earlier time will see that.
                if websocket.is_at_ease() && slot.armed.is_set() {
                    return;
                }
            }
            State::Http(exchange) => {
                let exchange = match exchange.take() {
                    Some(exchange) => *exchange,
                    None => match arrival(slot.outbound.stream()) {
                        Ok(arrival) => Exchange::new(arrival, reach.turn),
                        Err(_) => return self.remove(key),
                    },
                };
                slot.state = exchange.receive(bytes, &mut reach);
                count_client(slot, &mut self.turn);
                slot.deadline = http_deadline(slot, &self.turn);
                if matches!(&slot.state, State::Http(Some(exchange)) if exchange.has_input()) {
                    slot.unread = true;
                    self.turn.make_ready(key, slot);
                }
            }
            State::Opening(_) | State::Following(_) | State::Draining => {}
        }
        if slot.has_leftover() {
            self.turn.inflating.wait(key, slot);
        }
        after_event(key, slot, &mut self.turn);
    }

    fn on_end_of_input(&mut self, key: Key) {
        let Some(slot) = self.slots.get_mut(key) else { return };
        let mut reach =
            Reach { key, outbound: &slot.outbound, turn: &mut self.turn, service: &mut self.service };
        match &mut slot.state {
            State::WebSocket(websocket) => websocket.end(Disconnect::PeerGone, &mut reach),
            // A client may end its side and still wait for the rest of the answers.
            State::Http(_) | State::Draining if slot.outbound.stalled_at().is_some() => {
                slot.outbound.finish();
                slot.state = State::Draining;
                return after_event(key, slot, &mut self.turn);
            }
            State::Opening(_) | State::Http(_) | State::Following(_) | State::Draining => {}
        }
        if slot.outbound.stream().is_encrypted() {
            slot.outbound.finish();
        }
        self.remove(key);
    }

    /// The peer broke TLS and was told so. Its connection ends as after a last word, so that the alert arrives.
    fn on_broken_input(&mut self, key: Key) {
        self.report_cut(key, "the peer broke TLS", None);
        let Some(slot) = self.slots.get_mut(key) else { return };
        let mut reach =
            Reach { key, outbound: &slot.outbound, turn: &mut self.turn, service: &mut self.service };
        end_session(&mut slot.state, &mut reach);
        slot.outbound.finish();
        slot.state = State::Draining;
        slot.deadline = 0;
        slot.unread = true;
        self.turn.make_ready(key, slot);
        after_event(key, slot, &mut self.turn);
    }

    pub(crate) fn on_writable(&mut self, key: Key) {
        let Some(slot) = self.slots.get_mut(key) else { return };
        match slot.outbound.flush() {
            Flushed::Empty { resume, progress } => {
                if progress {
                    note_progress(slot, &self.turn);
                }
                match &slot.state {
                    State::WebSocket(websocket) if resume => websocket.resume(&mut self.turn),
                    State::Following(following) if resume => following.resume(&mut self.turn),
                    State::WebSocket(_)
                    | State::Following(_)
                    | State::Opening(_)
                    | State::Http(_)
                    | State::Draining => {}
                }
                if slot.unread {
                    self.turn.make_ready(key, slot);
                }
            }
            Flushed::Closed if matches!(slot.state, State::Draining) => {
                slot.unread = true;
                self.turn.make_ready(key, slot);
            }
            // A write has failed, and with it went what the kernel would have reported.
            Flushed::Closed => slot.broken = true,
            Flushed::Blocked { progress } => {
                if progress {
                    note_progress(slot, &self.turn);
                }
                if slot.unread && !matches!(slot.state, State::Draining) && slot.outbound.is_relieved() {
                    self.turn.make_ready(key, slot);
                }
            }
        }
    }

    pub(crate) fn read_ready(&mut self) {
        for key in std::mem::take(&mut self.turn.ready) {
            if let Some(slot) = self.slots.get_mut(key) {
                slot.ready = false;
                self.read(key, ReadHint::default());
                self.shed();
            }
        }
    }

    pub(crate) fn accept(&mut self) {
        let mut accepted = Vec::new();
        self.acceptor.accept(|newcomer| accepted.push(newcomer));
        accepted.into_iter().for_each(|newcomer| self.open(newcomer));
        // One entry at a time, however often accepting pauses before it comes out.
        if self.acceptor.needs_retry() && !std::mem::replace(&mut self.retry_armed, true) {
            let at = self.turn.now.saturating_add(ticks(RETRY_ACCEPT_AFTER));
            self.turn.timers.insert(at, Key::from_bits(RETRY_ACCEPT_BITS));
        }
    }

    /// Forgets a connection. Its socket closes when the shards have let go of it, too.
    pub(crate) fn remove(&mut self, key: Key) {
        let Some(mut slot) = self.slots.remove(key) else { return };
        let mut reach =
            Reach { key, outbound: &slot.outbound, turn: &mut self.turn, service: &mut self.service };
        end_session(&mut slot.state, &mut reach);
        if Arc::strong_count(&slot.outbound) > 1 {
            // Somebody still holds the write half: nobody shall wait for a socket that nobody reads.
            slot.outbound.abort();
        }
        if let Some(ip) = slot.counted
            && let Some(connections) = self.turn.addresses.get_mut(&ip)
        {
            *connections -= 1;
            if *connections == 0 {
                self.turn.addresses.remove(&ip);
            }
        }
        if slot.refused {
            self.turn.refused -= 1;
        }
        self.acceptor.paused = false;
        drop(slot);
        #[cfg(debug_assertions)]
        self.check_counts();
    }

    /// The client takes nothing of its answer.
    fn cut_off(&mut self, key: Key) {
        self.turn.metrics.hit(Limit::WriteTimeout);
        self.report_cut(key, "takes no data of an answer", Some(Limit::WriteTimeout));
        self.remove(key);
    }

    pub(crate) fn on_timer(&mut self, key: Key) {
        if key.to_bits() == RETRY_ACCEPT_BITS {
            self.retry_armed = false;
            self.acceptor.retry();
            return;
        }
        let now = self.turn.now;
        let Some(slot) = self.slots.get_mut(key) else { return };
        if !slot.armed.comes_due(now) {
            return;
        }
        // The kernel tells of room in its buffer when a third of it is free, which with a slow peer takes long. What the
        // peer has taken meanwhile counts, and a write shows it.
        self.on_writable(key);
        let Some(slot) = self.slots.get_mut(key) else { return };
        // What the server has not read yet cannot be missed; whether its peer takes anything is looked at apart.
        let alive_at = if slot.unread { now } else { slot.alive_at };
        self.turn.alive_at = alive_at;
        self.turn.is_held_back = slot.unread || holds_back(key, slot, &self.turn).is_some();
        let expired = slot.deadline != 0 && slot.deadline <= now;
        let mut reach =
            Reach { key, outbound: &slot.outbound, turn: &mut self.turn, service: &mut self.service };
        match &mut slot.state {
            State::WebSocket(websocket) if !expired => websocket.check(alive_at, &mut reach),
            State::Following(following) => {
                if !following.check(reach.outbound, reach.turn) {
                    return self.stop_following(key);
                }
            }
            State::Http(Some(exchange)) if expired && exchange.has_otherwise() => {
                return self.answer_late(key);
            }
            // Its request is not read because it does not take the answers before it: that has its own time.
            State::Http(Some(exchange))
                if expired && !exchange.is_waiting() && slot.unread && reach.outbound.is_congested() =>
            {
                let until = untaken_until(slot.alive_at, reach.turn);
                if until > now {
                    exchange.deadline = until;
                    slot.deadline = until;
                } else {
                    return self.cut_off(key);
                }
            }
            // It has not taken the last answer.
            State::Http(None) if expired && reach.outbound.stalled_at().is_some() => {
                return self.cut_off(key);
            }
            State::Http(exchange) if expired => {
                exchange::expire(exchange.as_deref(), &mut reach);
                slot.state = State::Draining;
                slot.deadline = 0;
            }
            State::Opening(_) if expired => {
                let in_tls = slot.outbound.stream().is_handshaking();
                let limit = if in_tls { Limit::TlsTimeout } else { Limit::HandshakeTimeout };
                self.turn.metrics.hit(limit);
                let what = if in_tls { "TLS handshake" } else { "PROXY header" };
                self.report_cut(key, format!("{what} not complete in time"), Some(limit));
                return self.remove(key);
            }
            State::WebSocket(_) | State::Draining if expired => {
                self.turn.metrics.hit(Limit::CloseTimeout);
                return self.remove(key);
            }
            State::Opening(_) | State::WebSocket(_) | State::Draining | State::Http(_) => {}
        }
        if let Some(slot) = self.slots.get_mut(key) {
            // It may have been held back until now, and the kernel will not report its input again.
            if slot.unread && matches!(slot.state, State::WebSocket(_)) {
                self.turn.make_ready(key, slot);
            }
            after_event(key, slot, &mut self.turn);
        }
    }
}

/// The connection is gone: whoever took part in something leaves it.
fn end_session<S: Service>(state: &mut State, reach: &mut Reach<'_, S>) {
    match state {
        State::WebSocket(websocket) => websocket.end(Disconnect::PeerGone, reach),
        State::Following(_) => {
            if let State::Following(following) = std::mem::replace(state, State::Draining) {
                following.end(reach.turn);
            }
        }
        State::Opening(_) | State::Http(_) | State::Draining => {}
    }
}

/// Moves the connection on to the state it has reached, and makes sure that its next deadline finds it.
pub(crate) fn after_event(key: Key, slot: &mut Slot, turn: &mut Turn) {
    if let State::WebSocket(websocket) = &slot.state
        && websocket.is_over()
    {
        slot.outbound.finish();
        slot.state = State::Draining;
        slot.deadline = 0;
    }
    if let State::WebSocket(websocket) = &slot.state
        && slot.deadline == 0
        && websocket.is_closing()
    {
        slot.deadline = turn.now.saturating_add(ticks(turn.limits.close_timeout));
        // The peer's Close frame may be in what was not read until now.
        if slot.unread {
            turn.make_ready(key, slot);
        }
    }
    if matches!(slot.state, State::Draining) && slot.deadline == 0 {
        slot.deadline = turn.now.saturating_add(ticks(turn.limits.close_timeout));
    }
    if let Some(at) = next_due(slot, turn) {
        turn.arm(key, &mut slot.armed, at);
        let latest = at.max(turn.now.saturating_add(1));
        debug_assert!(slot.armed.is_set() && slot.armed.at() <= latest, "a deadline would be found late");
    }
}

/// What an event says about the input of a connection.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct ReadHint {
    /// The kernel says that the end of the input is near: from now on a short read is not the last one.
    pub(crate) ending: bool,
    /// The connection has failed: a client that only ends its side is no failure.
    pub(crate) broken: bool,
    /// There is an urgent byte, at which a read ends though more may be behind it (RFC 9293 §3.8.5): it is read until
    /// nothing is left.
    pub(crate) urgent: bool,
}
