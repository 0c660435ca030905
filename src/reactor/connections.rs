//! What becomes of a connection: opened, read, written on, timed, freed.

use std::io;
use std::sync::Arc;
use std::time::Duration;

use super::Reactor;
use super::exchange::{self, Exchange};
use super::opening::{arrival, count_client};
use super::service::{Disconnect, Service};
use super::slots::{Key, Slot, State};
use super::timers::{Tick, ticks};
use super::turn::Turn;
use super::websocket::Reach;
use crate::metrics::Limit;
use crate::transport::{Arrived, Flushed};

/// The timer entry that lets a paused acceptor try again. It wakes the loop up and names no connection.
pub(super) const RETRY_ACCEPT_BITS: u64 = u64::MAX;
const RETRY_ACCEPT_AFTER: Duration = Duration::from_millis(100);

/// Bytes that are decrypted at a time at least: a read takes its part of the buffer for a record that is not complete.
const ENCRYPTED_READ_BYTES_MIN: usize = 64 * 1024;

impl<S: Service> Reactor<S> {
    /// Reads once from a connection and lets it act. `ending`: the kernel says that the end of the input is near, so
    /// from now on a short read is not the last one.
    pub(super) fn read(&mut self, key: Key, ending: bool) {
        let Some(slot) = self.slots.get_mut(key) else { return };
        slot.ending |= ending;
        if hold_back(key, slot, &mut self.turn) {
            return hasten(key, slot, &mut self.turn);
        }
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
        let mut limit = self.buffer.len();
        let space = match &mut slot.state {
            State::WebSocket(websocket) => {
                let least = if is_encrypted { ENCRYPTED_READ_BYTES_MIN } else { 0 };
                limit = limit.min(websocket.read_bytes_max(&self.turn.inflating).max(least));
                // What is encrypted is decrypted into the buffer of all.
                if is_encrypted { None } else { websocket.space(limit) }
            }
            State::Opening(_) | State::Http(_) | State::Following(_) | State::Draining => None,
        };
        let goes_through = space.is_none();
        match slot.outbound.stream().read(space.unwrap_or(&mut self.buffer[..limit])) {
            Ok(Arrived::End) => self.on_end_of_input(key),
            Ok(Arrived::Broken) => self.on_broken_input(key),
            Ok(Arrived::Bytes { count, more }) => {
                slot.unread = slot.ending || more;
                if slot.unread {
                    self.turn.make_ready(key, slot);
                }
                slot.last_read = self.turn.now;
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
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => slot.unread = false,
            Err(_) => self.remove(key),
        }
    }

    /// Lets a connection act on the first `count` bytes of the buffer.
    pub(super) fn receive(&mut self, key: Key, count: usize) {
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
                slot.deadline = http_deadline(&slot.state, &self.turn);
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
        self.report_not_opened(key, "the peer broke TLS", None);
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

    pub(super) fn on_writable(&mut self, key: Key) {
        let Some(slot) = self.slots.get_mut(key) else { return };
        match slot.outbound.flush() {
            Flushed::Empty { resume } => {
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
            Flushed::Closed => {
                if matches!(slot.state, State::Draining) {
                    slot.unread = true;
                    self.turn.make_ready(key, slot);
                }
            }
            Flushed::Blocked => {}
        }
    }

    pub(super) fn read_ready(&mut self) {
        for key in std::mem::take(&mut self.turn.ready) {
            if let Some(slot) = self.slots.get_mut(key) {
                slot.ready = false;
                self.read(key, false);
                self.shed();
            }
        }
    }

    /// Lets those read on whose shards have caught up.
    pub(super) fn release_held(&mut self) {
        for key in std::mem::take(&mut self.turn.held) {
            if let Some(slot) = self.slots.get_mut(key) {
                slot.ready = false;
                if !hold_back(key, slot, &mut self.turn) {
                    self.turn.make_ready(key, slot);
                }
            }
        }
    }

    pub(super) fn accept(&mut self) {
        let was_paused = self.acceptor.paused;
        let mut accepted = Vec::new();
        self.acceptor.accept(|newcomer| accepted.push(newcomer));
        accepted.into_iter().for_each(|newcomer| self.open(newcomer));
        if self.acceptor.paused && !was_paused {
            let at = self.turn.now.saturating_add(ticks(RETRY_ACCEPT_AFTER));
            self.turn.timers.insert(at, Key::from_bits(RETRY_ACCEPT_BITS));
        }
    }

    /// Forgets a connection. Its socket closes when the shards have let go of it, too.
    pub(super) fn remove(&mut self, key: Key) {
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
        self.acceptor.paused = false;
    }

    pub(super) fn on_timer(&mut self, key: Key) {
        if key.to_bits() == RETRY_ACCEPT_BITS {
            self.acceptor.paused = false;
            return;
        }
        let now = self.turn.now;
        let Some(slot) = self.slots.get_mut(key) else { return };
        if !slot.armed.comes_due(now) {
            return;
        }
        let expired = slot.deadline != 0 && slot.deadline <= now;
        let mut reach =
            Reach { key, outbound: &slot.outbound, turn: &mut self.turn, service: &mut self.service };
        match &mut slot.state {
            State::WebSocket(websocket) if !expired => websocket.check(slot.last_read, &mut reach),
            State::Following(following) => {
                if !following.check(reach.outbound, reach.turn) {
                    return self.stop_following(key);
                }
            }
            State::Http(Some(exchange)) if expired && exchange.has_otherwise() => {
                return self.answer_late(key);
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
                self.report_not_opened(key, format!("{what} not complete in time"), Some(limit));
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

/// Whether the connection must not be read now: its peer does not read our replies, or its shard is behind. It is
/// remembered, since the kernel will not report its input again.
pub(super) fn hold_back(key: Key, slot: &mut Slot, turn: &mut Turn) -> bool {
    if turn.paused {
        slot.unread = true;
        return true;
    }
    let held = match &slot.state {
        State::WebSocket(websocket) if websocket.is_slowed(turn.now) => {
            slot.unread = true;
            return true;
        }
        State::WebSocket(websocket) => websocket.is_held(turn),
        State::Http(Some(exchange)) if exchange.is_waiting() => {
            slot.unread = true;
            return true;
        }
        State::Http(_) => false,
        State::Opening(_) | State::Following(_) | State::Draining => return false,
    };
    if held && !slot.ready {
        slot.ready = true;
        turn.held.push(key);
    }
    let congested = slot.outbound.is_congested();
    slot.unread |= held || congested;
    held || congested
}

/// A client that has ended its side may still want the answer it waits for; one that is gone looks the same, and is not
/// to be kept for as long as an answer may take that nobody hurries with.
fn hasten(key: Key, slot: &mut Slot, turn: &mut Turn) {
    if let State::Http(Some(exchange)) = &slot.state
        && slot.ending
        && exchange.has_otherwise()
    {
        slot.deadline = slot.deadline.min(turn.now.saturating_add(ticks(turn.limits.close_timeout)));
        after_event(key, slot, turn);
    }
}

/// Moves the connection on to the state it has reached, and makes sure that its next deadline finds it.
pub(super) fn after_event(key: Key, slot: &mut Slot, turn: &mut Turn) {
    if let State::WebSocket(websocket) = &slot.state
        && websocket.is_over()
    {
        slot.outbound.finish();
        slot.state = State::Draining;
        slot.deadline = 0;
    }
    let next = match &slot.state {
        State::WebSocket(websocket) => {
            if slot.deadline == 0 && websocket.is_closing() {
                slot.deadline = turn.now.saturating_add(ticks(turn.limits.close_timeout));
            }
            websocket.next_check(slot.last_read, turn)
        }
        State::Draining => {
            if slot.deadline == 0 {
                slot.deadline = turn.now.saturating_add(ticks(turn.limits.close_timeout));
            }
            None
        }
        State::Following(following) => following.next_check(turn),
        State::Opening(_) | State::Http(_) => None,
    };
    let next = next.into_iter().chain((slot.deadline != 0).then_some(slot.deadline)).min();
    if let Some(at) = next {
        turn.arm(key, &mut slot.armed, at);
    }
}

/// When the state that an exchange has led to ends; 0 if that is not HTTP's business any more.
pub(super) fn http_deadline(state: &State, turn: &Turn) -> Tick {
    match state {
        State::Http(Some(exchange)) => exchange.deadline,
        State::Http(None) => {
            turn.limits.idle_timeout.map_or(0, |timeout| turn.now.saturating_add(ticks(timeout)))
        }
        State::Opening(_) | State::WebSocket(_) | State::Following(_) | State::Draining => 0,
    }
}
