//! What becomes of a connection: opened, read, written on, timed, freed.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use mio::net::TcpStream;

use super::Reactor;
use super::census::network;
use super::exchange::{self, Exchange};
use super::service::{Disconnect, Service};
use super::slots::{Key, Slot, State};
use super::timers::{Armed, Tick, ticks};
use super::turn::Turn;
use super::websocket::Reach;
use crate::metrics::Limit;
use crate::transport::{Flushed, Outbound, Stream};

/// The timer entry that lets a paused acceptor try again. It wakes the loop up and names no connection.
pub(super) const RETRY_ACCEPT_BITS: u64 = u64::MAX;
const RETRY_ACCEPT_AFTER: Duration = Duration::from_millis(100);

/// Connections over the limit that are told so at one time; more are dropped without a word.
const TURNED_AWAY_MAX: usize = 64;

impl<S: Service> Reactor<S> {
    /// Reads once from a connection and lets it act. `ending`: the kernel says that the end of the input is near, so
    /// from now on a short read is not the last one.
    pub(super) fn read(&mut self, key: Key, ending: bool) {
        let Some(slot) = self.slots.get_mut(key) else { return };
        slot.ending |= ending;
        if hold_back(key, slot, &mut self.turn) {
            return;
        }
        if let State::Http(Some(exchange)) = &slot.state
            && exchange.has_input()
        {
            slot.unread = true;
            self.turn.make_ready(key, slot);
            return self.receive(key, 0);
        }
        let limit = match &slot.state {
            State::WebSocket(websocket) => websocket.read_bytes_max().min(self.buffer.len()),
            State::Http(_) | State::Draining => self.buffer.len(),
        };
        let space = match &mut slot.state {
            State::WebSocket(websocket) => websocket.space(limit),
            State::Http(_) | State::Draining => None,
        };
        let goes_through = space.is_none();
        let place = space.unwrap_or(&mut self.buffer[..limit]);
        let place_len = place.len();
        match slot.outbound.stream().read(place) {
            Ok(0) => self.on_end_of_input(key),
            Ok(count) => {
                slot.unread = slot.ending || count == place_len;
                if slot.unread {
                    self.turn.make_ready(key, slot);
                }
                slot.last_read = self.turn.now;
                match &mut slot.state {
                    State::WebSocket(websocket) if !goes_through => websocket.fill(count),
                    State::WebSocket(_) | State::Http(_) | State::Draining => {
                        return self.receive(key, count);
                    }
                }
                self.receive(key, 0);
            }
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => slot.unread = false,
            Err(_) => self.remove(key),
        }
    }

    /// Lets a connection act on the first `count` bytes of the buffer.
    fn receive(&mut self, key: Key, count: usize) {
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
                    None => match slot.outbound.stream().peer_addr() {
                        Ok(peer) => Exchange::new(peer, reach.turn),
                        Err(_) => return self.remove(key),
                    },
                };
                slot.state = exchange.receive(bytes, &mut reach);
                slot.deadline = http_deadline(&slot.state, &self.turn);
                if matches!(&slot.state, State::Http(Some(exchange)) if exchange.has_input()) {
                    slot.unread = true;
                    self.turn.make_ready(key, slot);
                }
            }
            State::Draining => {}
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
            State::Http(_) | State::Draining => {}
        }
        self.remove(key);
    }

    pub(super) fn on_writable(&mut self, key: Key) {
        let Some(slot) = self.slots.get_mut(key) else { return };
        match slot.outbound.flush() {
            Flushed::Empty { resume } => {
                if let (true, State::WebSocket(websocket)) = (resume, &slot.state) {
                    websocket.resume(&mut self.turn);
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
        self.acceptor.accept(|stream, peer| accepted.push((stream, peer)));
        for (stream, peer) in accepted {
            self.open(stream, peer);
        }
        if self.acceptor.paused && !was_paused {
            let at = self.turn.now.saturating_add(ticks(RETRY_ACCEPT_AFTER));
            self.turn.timers.insert(at, Key::from_bits(RETRY_ACCEPT_BITS));
        }
    }

    fn open(&mut self, stream: TcpStream, peer: SocketAddr) {
        let limits = self.turn.limits.clone();
        let per_address = limits.connections_per_ip.map(|max| (network(peer.ip()), max));
        let too_many_here = per_address.is_some_and(|(ip, max)| {
            self.turn.addresses.get(&ip).is_some_and(|&connections| connections >= max)
        });
        let refused = too_many_here || self.slots.len() >= limits.connections;
        if refused {
            let limit = if too_many_here { Limit::ConnectionsPerIp } else { Limit::Connections };
            self.turn.metrics.hit(limit);
        }
        if refused && self.slots.len() >= limits.connections.saturating_add(TURNED_AWAY_MAX) {
            return;
        }
        let key = self.slots.next_key();
        let mut stream = Stream::Tcp(stream);
        if let Err(error) = stream.register(self.poll.registry(), key.token()) {
            return tracing::error!(%error, "a connection could not be registered");
        }
        if let Some((ip, _)) = per_address {
            *self.turn.addresses.entry(ip).or_default() += 1;
        }
        let exchange = Exchange::new(peer, &self.turn);
        self.slots.insert(Slot {
            outbound: Arc::new(Outbound::new(stream, limits.reply_bytes).counted(self.turn.waiting.clone())),
            deadline: exchange.deadline,
            state: State::Http(Some(Box::new(exchange))),
            armed: Armed::default(),
            last_read: self.turn.now,
            unread: false,
            ending: false,
            ready: false,
            counted: per_address.map(|(ip, _)| ip),
        });
        let Some(slot) = self.slots.get_mut(key) else { return };
        if refused {
            let mut reach =
                Reach { key, outbound: &slot.outbound, turn: &mut self.turn, service: &mut self.service };
            exchange::turn_away(&mut reach);
            slot.state = State::Draining;
            slot.deadline = 0;
        }
        after_event(key, slot, &mut self.turn);
    }

    /// Forgets a connection. Its socket closes when the shards have let go of it, too.
    pub(super) fn remove(&mut self, key: Key) {
        let Some(mut slot) = self.slots.remove(key) else { return };
        if let State::WebSocket(websocket) = &mut slot.state {
            let mut reach =
                Reach { key, outbound: &slot.outbound, turn: &mut self.turn, service: &mut self.service };
            websocket.end(Disconnect::PeerGone, &mut reach);
        }
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
            State::Http(exchange) if expired => {
                exchange::expire(exchange.as_deref(), &mut reach);
                slot.state = State::Draining;
                slot.deadline = 0;
            }
            State::WebSocket(_) | State::Draining if expired => {
                self.turn.metrics.hit(Limit::CloseTimeout);
                return self.remove(key);
            }
            State::WebSocket(_) | State::Draining | State::Http(_) => {}
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
        State::Draining => return false,
    };
    if held && !slot.ready {
        slot.ready = true;
        turn.held.push(key);
    }
    let congested = slot.outbound.is_congested();
    slot.unread |= held || congested;
    held || congested
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
        State::Http(_) => None,
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
        State::WebSocket(_) | State::Draining => 0,
    }
}
