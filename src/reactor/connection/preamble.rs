//! A connection from `accept` to the moment when its first request may come.

use std::io;
use std::sync::Arc;

use crate::metrics::Limit;
use crate::proxy;
use crate::reactor::Reactor;
use crate::reactor::clock::wheel::{Armed, ticks};
use crate::reactor::connection::http::{self as exchange, Exchange};
use crate::reactor::connection::table::{Key, Slot, State};
use crate::reactor::connection::websocket::Reach;
use crate::reactor::events::readiness::after_event;
use crate::reactor::listen::acceptor::Newcomer;
use crate::reactor::reports::incidents::{Incident, Kind};
use crate::reactor::service::{Arrival, Service};
use crate::reactor::state::Turn;
use crate::transport::{Client, Outbound, Stream, StreamRef};

/// Connections that are refused and may be told so at one time; more are dropped without a word. These places are beyond
/// `limits.connections`: who is refused takes nobody's place.
const TURNED_AWAY_MAX: usize = 64;
/// Reads of connections that are being opened, before everybody else gets a turn: a handshake may cost as much as
/// thousands of messages.
const OPENINGS_PER_TURN: usize = 16;

/// What a connection still owes before it may speak.
#[derive(Debug)]
pub(crate) struct Opening {
    arrival: Arrival,
    /// A PROXY header comes before anything else.
    header: bool,
    /// The limit for which there is no room for it, of which it learns once it can be talked to.
    refused: Option<Limit>,
}

impl<S: Service> Reactor<S> {
    /// Takes in a connection that was accepted.
    pub(crate) fn open(&mut self, newcomer: Newcomer) {
        let Newcomer { socket, peer, local, tls } = newcomer;
        let limits = self.turn.limits.clone();
        let header = self.proxy_protocol;
        // What a proxy brings belongs to its clients, and is counted as soon as they are known.
        let proxied = header || limits.trusted.contains(peer.ip());
        let too_many = self.slots.len() - self.turn.refused >= limits.connections;
        let crowded = !proxied && self.turn.is_crowded(peer.ip());
        let refused =
            if too_many { Some(Limit::Connections) } else { crowded.then_some(Limit::ConnectionsPerIp) };
        if let Some(limit) = refused {
            self.turn.metrics.hit(limit);
        }
        if let Some(limit) = refused
            && self.turn.refused >= TURNED_AWAY_MAX
        {
            // It is not told, but it counts among those of which the log tells.
            return self.turn.report(Kind::Refused(503), Some(peer), || Incident {
                status: Some(503),
                reason: "too many connections".into(),
                limit: Some(limit.full_key()),
                ..Incident::default()
            });
        }
        let stream = match self.certificate.as_ref().filter(|_| tls) {
            Some(certificate) => Stream::secure(socket, certificate),
            None => Ok(Stream::plain(socket)),
        };
        let mut stream = match stream {
            Ok(stream) => stream,
            Err(error) => return tracing::error!(%error, "TLS could not be begun"),
        };
        if proxied {
            stream = stream.proxied(header);
        }
        if local {
            stream = stream.local();
        }
        let key = self.slots.next_key();
        if let Err(error) = stream.register(self.poll.registry(), key.token()) {
            return tracing::error!(%error, "a connection could not be registered");
        }
        let arrival = Arrival { peer, secure: tls, proxied: header };
        // Who is refused must not keep others of its address out as well.
        let counted = if proxied || refused.is_some() { None } else { self.turn.count(peer.ip()) };
        self.turn.refused += usize::from(refused.is_some());
        let timeout = if tls { limits.tls_timeout } else { limits.handshake_timeout };
        self.slots.insert(Slot {
            outbound: Arc::new(Outbound::new(stream, limits.reply_bytes).counted(self.turn.waiting.clone())),
            deadline: self.turn.now.saturating_add(ticks(timeout)),
            state: State::Opening(Opening { arrival, header, refused }),
            armed: Armed::default(),
            alive_at: self.turn.now,
            unread: false,
            urgent: false,
            ending: false,
            broken: false,
            ready: false,
            finishing: false,
            refused: refused.is_some(),
            counted,
        });
        self.go_on_opening(key);
    }

    /// Whether the connection may be read although it is being opened. If it is not its turn yet, it is remembered.
    pub(crate) fn may_open(&mut self, key: Key) -> bool {
        self.turn.openings += 1;
        if self.turn.openings <= OPENINGS_PER_TURN {
            return true;
        }
        if let Some(slot) = self.slots.get_mut(key) {
            slot.unread = true;
            self.turn.make_ready(key, slot);
        }
        false
    }

    /// Takes the PROXY header away, if one is due; false if it has not come whole, or was none. Until then its bytes
    /// stay in the kernel, so that those behind it are read by whoever they are for.
    pub(crate) fn pass_proxy_header(&mut self, key: Key) -> bool {
        let Some(slot) = self.slots.get_mut(key) else { return false };
        let State::Opening(opening) = &mut slot.state else { return true };
        if !opening.header {
            return true;
        }
        let stream = slot.outbound.stream();
        let parsed = match stream.peek(&mut self.buffer[..proxy::HEADER_BYTES_MAX]) {
            Ok(0) => return self.drop_opening(key, &"connection lost"),
            Ok(count) => proxy::parse(&self.buffer[..count]),
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => Ok(None),
            Err(error) => return self.drop_opening(key, &error),
        };
        let (source, len) = match parsed {
            Ok(Some(parsed)) => parsed,
            // After the end of the input no more will come of it.
            Ok(None) if slot.ending => return self.drop_opening(key, &"PROXY header cut off"),
            Ok(None) => {
                slot.unread = false;
                return false;
            }
            Err(error) => {
                self.report_cut(key, error.to_string(), None);
                return self.drop_opening(key, &error);
            }
        };
        if stream.skip(&mut self.buffer[..len]).is_err() {
            return self.drop_opening(key, &"connection lost");
        }
        opening.header = false;
        let trusted = self.turn.limits.trusted.contains(opening.arrival.peer.ip());
        if let (true, Some(address)) = (trusted, source.client) {
            let secure = source.secure || stream.is_encrypted();
            stream.set_client(Client { address, secure });
            opening.arrival = Arrival { peer: address, secure, proxied: true };
        }
        // A trusted proxy that speaks for itself may have clients all the same, of whom it tells in each request.
        if !trusted || source.client.is_some() {
            let ip = opening.arrival.peer.ip();
            if self.turn.is_crowded(ip) {
                self.turn.metrics.hit(Limit::ConnectionsPerIp);
                if !slot.refused && self.turn.refused >= TURNED_AWAY_MAX {
                    return self.drop_opening(key, &"too many connections from its address");
                }
                self.turn.refused += usize::from(!std::mem::replace(&mut slot.refused, true));
                opening.refused = Some(Limit::ConnectionsPerIp);
            } else if !slot.refused {
                slot.counted = self.turn.count(ip);
            }
        }
        self.go_on_opening(key);
        true
    }

    fn drop_opening(&mut self, key: Key, error: &dyn std::fmt::Display) -> bool {
        tracing::debug!(%error, "a connection was not opened");
        self.remove(key);
        false
    }

    /// Lets the connection speak, if nothing stands before that any more.
    pub(crate) fn go_on_opening(&mut self, key: Key) {
        let Some(slot) = self.slots.get_mut(key) else { return };
        if let State::Opening(Opening { arrival, header: false, refused }) = slot.state
            && !slot.outbound.stream().is_handshaking()
        {
            let exchange = Exchange::new(arrival, &self.turn);
            slot.deadline = exchange.deadline;
            if let Some(limit) = refused {
                let mut reach =
                    Reach { key, outbound: &slot.outbound, turn: &mut self.turn, service: &mut self.service };
                exchange::turn_away(&arrival, limit, &mut reach);
                slot.state = State::Draining;
                slot.deadline = 0;
            } else {
                slot.state = State::Http(Some(Box::new(exchange)));
            }
        }
        after_event(key, slot, &mut self.turn);
    }
}

/// Where the requests of a connection come from, as far as it knows itself.
pub(crate) fn arrival(stream: StreamRef<'_>) -> io::Result<Arrival> {
    Ok(Arrival { peer: stream.peer_addr()?, secure: stream.is_secure(), proxied: stream.is_proxied() })
}

/// Counts a session against its client's address, if a proxy has brought it and it was not counted before.
pub(crate) fn count_client(slot: &mut Slot, turn: &mut Turn) {
    if let (State::WebSocket(_), None, Some(_)) = (&slot.state, slot.counted, turn.limits.connections_per_ip)
        && let Ok(client) = slot.outbound.stream().peer_addr()
    {
        slot.counted = turn.count(client.ip());
    }
}
