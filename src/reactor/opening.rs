//! A connection from `accept` to the moment when its first request may come.

use std::sync::Arc;

use super::Reactor;
use super::acceptor::Newcomer;
use super::connections::after_event;
use super::exchange::{self, Exchange};
use super::service::{Arrival, Service};
use super::slots::{Key, Slot, State};
use super::timers::{Armed, ticks};
use super::websocket::Reach;
use crate::transport::{Outbound, Stream};

/// Connections over the limit that are told so at one time; more are dropped without a word.
const TURNED_AWAY_MAX: usize = 64;
/// Reads of connections that are being opened, before everybody else gets a turn: a handshake may cost as much as
/// thousands of messages.
const OPENINGS_PER_TURN: usize = 16;

/// What a connection still owes before it may speak.
#[derive(Debug)]
pub(super) struct Opening {
    arrival: Arrival,
    /// There is no room for it, of which it learns once it can be talked to.
    refused: bool,
}

impl<S: Service> Reactor<S> {
    /// Takes in a connection that was accepted.
    pub(super) fn open(&mut self, newcomer: Newcomer) {
        let Newcomer { socket, peer, tls } = newcomer;
        let limits = self.turn.limits.clone();
        let per_address = limits.connections_per_ip.map(|max| (peer.ip(), max));
        let too_many_here = per_address.is_some_and(|(ip, max)| {
            self.turn.addresses.get(&ip).is_some_and(|&connections| connections >= max)
        });
        let refused = too_many_here || self.slots.len() >= limits.connections;
        if refused && self.slots.len() >= limits.connections.saturating_add(TURNED_AWAY_MAX) {
            return;
        }
        let stream = match self.identity.as_ref().filter(|_| tls) {
            Some(identity) => Stream::secure(socket, identity),
            None => Ok(Stream::plain(socket)),
        };
        let mut stream = match stream {
            Ok(stream) => stream,
            Err(error) => return tracing::error!(%error, "TLS could not be begun"),
        };
        let key = self.slots.next_key();
        if let Err(error) = stream.register(self.poll.registry(), key.token()) {
            return tracing::error!(%error, "a connection could not be registered");
        }
        if let Some((ip, _)) = per_address {
            *self.turn.addresses.entry(ip).or_default() += 1;
        }
        let secure = stream.is_secure();
        self.slots.insert(Slot {
            outbound: Arc::new(Outbound::new(stream, limits.reply_bytes)),
            deadline: self.turn.now.saturating_add(ticks(limits.tls_timeout)),
            state: State::Opening(Opening { arrival: Arrival { peer, secure }, refused }),
            armed: Armed::default(),
            last_read: self.turn.now,
            unread: false,
            ending: false,
            ready: false,
            counted: per_address.map(|(ip, _)| ip),
        });
        self.go_on_opening(key);
    }

    /// Whether the connection may be read although it is being opened. If it is not its turn yet, it is remembered.
    pub(super) fn may_open(&mut self, key: Key) -> bool {
        let Some(slot) = self.slots.get_mut(key) else { return false };
        if matches!(slot.state, State::Opening(_)) {
            self.turn.openings += 1;
            if self.turn.openings > OPENINGS_PER_TURN {
                slot.unread = true;
                self.turn.make_ready(key, slot);
                return false;
            }
        }
        true
    }

    /// Lets the connection speak, if nothing stands before that any more.
    pub(super) fn go_on_opening(&mut self, key: Key) {
        let Some(slot) = self.slots.get_mut(key) else { return };
        if let State::Opening(Opening { arrival, refused }) = &slot.state
            && !slot.outbound.stream().is_handshaking()
        {
            let exchange = Exchange::new(*arrival, &self.turn);
            slot.deadline = exchange.deadline;
            if *refused {
                let mut reach =
                    Reach { key, outbound: &slot.outbound, turn: &mut self.turn, service: &mut self.service };
                exchange::turn_away(&mut reach);
                slot.state = State::Draining;
                slot.deadline = 0;
            } else {
                slot.state = State::Http(Some(Box::new(exchange)));
            }
        }
        after_event(key, slot, &mut self.turn);
    }
}
