//! New connections: accepted, counted, and opened as far as their first request.

use std::io;
use std::net::SocketAddr;
use std::time::Duration;

use crate::limit_hits::Limit;
use crate::proxy;
use crate::reactor::api::peer_info::PeerInfo;
use crate::reactor::clock::wheel::ticks;
use crate::reactor::connection::deadlines::after_event;
use crate::reactor::connection::http::Http1;
use crate::reactor::connection::preamble::Preamble;
use crate::reactor::connection::respond;
use crate::reactor::connection::states::{Connection, ConnectionState, InputEnd};
use crate::reactor::env::Env;
use crate::reactor::incidents::{Incident, Kind};
use crate::reactor::key::Key;
use crate::reactor::listen::acceptor::Newcomer;
use crate::reactor::listen::quotas::Counted;
use crate::reactor::parts::Reactor;
use crate::reactor::service::Service;
use crate::reactor::state::LoopState;
use crate::transport::{Client, Outbound, Stream};

/// Time after which a paused acceptor tries again. No event tells that descriptors are free again, or that a listener
/// works again; ten attempts in a second cost nothing.
const RETRY_ACCEPT_AFTER: Duration = Duration::from_millis(100);

/// Maximum number of rejected connections that are told so at one time; more are dropped without a word. They are beyond
/// `limits.connections`: a rejected connection takes no place of another. 64 are enough for a client to see the reason, and
/// too few to be worth an attack.
const REJECTED_MAX: usize = 64;
/// Reads of connections in their preamble in one turn: a TLS handshake may cost as much as thousands of messages, and the
/// sessions must not wait for more than a few.
const PREAMBLES_PER_TURN: usize = 16;

impl<S: Service> Reactor<S> {
    pub(crate) fn accept(&mut self) {
        let mut accepted = Vec::new();
        let mut refused = Vec::new();
        self.acceptor.accept(|newcomer| accepted.push(newcomer), |peer| refused.push(peer));
        refused.into_iter().for_each(|peer| self.report_dropped(peer, Limit::Descriptors));
        accepted.into_iter().for_each(|newcomer| self.open(newcomer));
        // The first moment counts, however often accepting pauses before it has come.
        if self.acceptor.needs_retry() && self.retry_accept_at.is_none() {
            self.retry_accept_at = Some(self.shared.now.saturating_add(ticks(RETRY_ACCEPT_AFTER)));
        }
    }

    /// Tells the operator of a connection that there was no room for, not even to tell it so.
    fn report_dropped(&mut self, peer: SocketAddr, limit: Limit) {
        let reason = if limit == Limit::Descriptors { "no descriptors left" } else { "too many connections" };
        self.shared.report(Kind::Refused(503), Some(limit.full_key()), Some(peer), || Incident {
            reason: reason.into(),
            ..Incident::default()
        });
    }

    /// Lets a paused acceptor try again, when it is time.
    pub(crate) fn retry_accept(&mut self) {
        if self.retry_accept_at.take_if(|at| *at <= self.shared.now).is_some() {
            self.acceptor.retry();
        }
    }

    /// Takes in a connection that was accepted.
    pub(crate) fn open(&mut self, newcomer: Newcomer) {
        let Newcomer { socket, peer, local, tls, admin } = newcomer;
        self.shared.counters.accepted += 1;
        let limits = self.shared.limits.clone();
        // Proxies stand before the public alone.
        let header = self.proxy_protocol && !admin;
        // What a proxy brings belongs to its clients, and is counted as soon as they are known.
        let proxied = header || limits.trusted.contains(peer.ip());
        let rejected = self.exceeded_by(peer, proxied, admin);
        if let Some(limit) = rejected {
            self.shared.limit_hits.hit(limit);
        }
        if let Some(limit) = rejected
            && self.shared.rejected >= REJECTED_MAX
        {
            // It is not told, but it counts among those of which the log tells.
            return self.report_dropped(peer, limit);
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
        let key = self.connections.next_key();
        if let Err(error) = stream.register(self.poll.registry(), key.token()) {
            return tracing::error!(%error, "a connection could not be registered");
        }
        let peer_info = PeerInfo { peer, secure: tls, proxied: header, admin };
        // A rejected connection must not keep others of its address out as well.
        let counted = match rejected {
            Some(_) => Counted::Rejected,
            None if admin => self.shared.count_admin(),
            None if proxied => Counted::No(peer.ip()),
            None => self.shared.count(peer.ip()),
        };
        self.shared.rejected += usize::from(rejected.is_some());
        let timeout = if tls { limits.tls_timeout } else { limits.handshake_timeout };
        let until = self.shared.now.saturating_add(ticks(timeout));
        let outbound = Outbound::new(stream, limits.reply_bytes).counted(self.shared.waiting.clone());
        let preamble = Preamble { peer_info, header, rejected, until };
        self.connections.insert(Connection::new(outbound, preamble, counted, self.shared.now));
        self.advance_preamble(key);
    }

    /// The limit that one more connection is beyond. Operators have one of their own: they get in when the public is full.
    fn exceeded_by(&self, peer: SocketAddr, proxied: bool, admin: bool) -> Option<Limit> {
        let LoopState { limits, rejected, admins, .. } = &self.shared;
        if admin {
            return (*admins >= limits.admin_connections).then_some(Limit::AdminConnections);
        }
        if self.connections.len() - rejected - admins >= limits.connections {
            return Some(Limit::Connections);
        }
        (!proxied && self.shared.is_crowded(peer.ip())).then_some(Limit::ConnectionsPerIp)
    }

    /// Whether the connection may be read although it is being opened. If it is not its turn yet, it is remembered.
    pub(crate) fn may_advance(&mut self, key: Key) -> bool {
        self.shared.preambles += 1;
        if self.shared.preambles <= PREAMBLES_PER_TURN {
            return true;
        }
        if let Some(connection) = self.connections.get_mut(key) {
            connection.unread = true;
            connection.make_ready(key, &mut self.shared);
        }
        false
    }

    /// Takes the PROXY header away, if one is due; false if it has not come whole, or was none. Until then its bytes
    /// stay in the kernel, so that the reader of what follows finds those behind it.
    pub(crate) fn pass_proxy_header(&mut self, key: Key) -> bool {
        let Some(connection) = self.connections.get_mut(key) else { return false };
        let ConnectionState::Preamble(preamble) = &mut connection.state else { return true };
        if !preamble.header {
            return true;
        }
        let stream = connection.outbound.stream();
        let parsed = match stream.peek(&mut self.buffer[..proxy::HEADER_BYTES_MAX]) {
            Ok(0) => return self.drop_preamble(key, &"connection lost"),
            Ok(count) => proxy::parse(&self.buffer[..count]),
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => Ok(None),
            Err(error) => return self.drop_preamble(key, &error),
        };
        let (source, len) = match parsed {
            Ok(Some(parsed)) => parsed,
            // After the end of the input no more will come of it.
            Ok(None) if connection.input_end >= InputEnd::Near => {
                return self.drop_preamble(key, &"PROXY header cut off");
            }
            Ok(None) => {
                connection.unread = false;
                return false;
            }
            Err(error) => {
                self.report_cut(key, error.to_string(), None);
                return self.drop_preamble(key, &error);
            }
        };
        if stream.skip(&mut self.buffer[..len]).is_err() {
            return self.drop_preamble(key, &"connection lost");
        }
        preamble.header = false;
        let trusted = self.shared.limits.trusted.contains(preamble.peer_info.peer.ip());
        if let (true, Some(address)) = (trusted, source.client) {
            let secure = source.secure || stream.is_encrypted();
            stream.set_client(Client { address, secure });
            preamble.peer_info = PeerInfo { peer: address, secure, proxied: true, admin: false };
        }
        // A trusted proxy that speaks for itself may have clients all the same, of whom it tells in each request.
        if !trusted || source.client.is_some() {
            let ip = preamble.peer_info.peer.ip();
            if self.shared.is_crowded(ip) {
                self.shared.limit_hits.hit(Limit::ConnectionsPerIp);
                let is_new = connection.counted != Counted::Rejected;
                if is_new && self.shared.rejected >= REJECTED_MAX {
                    let peer = preamble.peer_info.peer;
                    self.report_dropped(peer, Limit::ConnectionsPerIp);
                    return self.drop_preamble(key, &"too many connections from its address");
                }
                self.shared.rejected += usize::from(is_new);
                connection.counted = Counted::Rejected;
                preamble.rejected = Some(Limit::ConnectionsPerIp);
            } else if connection.counted != Counted::Rejected {
                connection.counted = self.shared.count(ip);
            }
        }
        self.advance_preamble(key);
        true
    }

    fn drop_preamble(&mut self, key: Key, error: &dyn std::fmt::Display) -> bool {
        tracing::debug!(%error, "a connection was not opened");
        self.remove(key);
        false
    }

    /// Lets the connection speak, if nothing stands before that any more.
    pub(crate) fn advance_preamble(&mut self, key: Key) {
        let Some(connection) = self.connections.get_mut(key) else { return };
        if let ConnectionState::Preamble(Preamble { peer_info, header: false, rejected, .. }) =
            connection.state
            && !connection.outbound.stream().is_handshaking()
        {
            let http1 = Http1::new(peer_info, &self.shared);
            if let Some(limit) = rejected {
                let mut env = Env {
                    key,
                    outbound: &connection.outbound,
                    counted: &connection.counted,
                    shared: &mut self.shared,
                    service: &mut self.service,
                };
                respond::reject(&peer_info, limit, &mut env);
                connection.drain(&self.shared);
            } else {
                connection.state = ConnectionState::Http(Box::new(http1));
            }
        }
        after_event(key, connection, &mut self.shared);
    }
}
