//! What becomes of a connection: opened, read, written on, timed, freed.

use std::io;
use std::sync::Arc;

use crate::reactor::api::peer_info::PeerInfo;
use crate::reactor::connection::deadlines::{after_event, note_progress};
use crate::reactor::connection::http::Http1;
use crate::reactor::connection::states::{ConnectionState, InputEnd, Queue};
use crate::reactor::env::Env;
use crate::reactor::key::Key;
use crate::reactor::listen::quotas::Counted;
use crate::reactor::parts::Reactor;
use crate::reactor::service::Service;
use crate::transport::{Arrived, Flushed};

/// Minimum size of a read that decrypts: half of the buffer is for the ciphertext, and a record of 16 KiB that is not
/// complete takes its part of it.
const ENCRYPTED_READ_BYTES_MIN: usize = 64 * 1024;

impl<S: Service> Reactor<S> {
    /// Reads once from a connection and lets it act, after an event that said this about its input.
    pub(crate) fn read(&mut self, key: Key, hint: ReadHint) {
        let Some(connection) = self.connections.get_mut(key) else { return };
        connection.input_end = connection.input_end.max(hint.end);
        connection.urgent |= hint.urgent;
        if self.is_held_back(key) {
            return;
        }
        let Some(connection) = self.connections.get_mut(key) else { return };
        if connection.has_leftover() {
            return connection.wait_to_inflate(key, &mut self.shared);
        }
        if connection.http().is_some_and(Http1::has_input) {
            connection.unread = true;
            connection.make_ready(key, &mut self.shared);
            return self.receive(key, 0);
        }
        if matches!(connection.state, ConnectionState::Preamble(_))
            && !(self.may_advance(key) && self.pass_proxy_header(key))
        {
            return;
        }
        let Some(connection) = self.connections.get_mut(key) else { return };
        let is_encrypted = connection.outbound.stream().is_encrypted();
        let least = if is_encrypted { ENCRYPTED_READ_BYTES_MIN } else { 0 };
        let limit = connection.read_bytes_max(&self.shared.inflating).max(least).min(self.buffer.len());
        let space = match &mut connection.state {
            // What is encrypted is decrypted into the buffer of all.
            ConnectionState::WebSocket(websocket) if !is_encrypted => websocket.space(limit),
            ConnectionState::WebSocket(_)
            | ConnectionState::Preamble(_)
            | ConnectionState::Http(_)
            | ConnectionState::Idle { .. }
            | ConnectionState::Streaming(_)
            | ConnectionState::Draining { .. } => None,
        };
        let goes_through = space.is_none();
        match connection.outbound.stream().read(space.unwrap_or(&mut self.buffer[..limit])) {
            Ok(Arrived::End) => self.on_end_of_input(key),
            Ok(Arrived::Broken) => self.on_broken_input(key),
            Ok(Arrived::Bytes { count, more }) => {
                self.shared.counters.received_bytes += count as u64;
                connection.unread = connection.input_end >= InputEnd::Near || connection.urgent || more;
                if connection.unread {
                    connection.make_ready(key, &mut self.shared);
                }
                connection.alive_at = self.shared.now;
                self.shared.alive_at = self.shared.now;
                match &mut connection.state {
                    ConnectionState::Preamble(_) => self.advance_preamble(key),
                    ConnectionState::WebSocket(websocket) if !goes_through => {
                        websocket.fill(count);
                        return self.receive(key, 0);
                    }
                    ConnectionState::WebSocket(_)
                    | ConnectionState::Http(_)
                    | ConnectionState::Idle { .. }
                    | ConnectionState::Streaming(_)
                    | ConnectionState::Draining { .. } => {}
                }
                if count > 0 {
                    self.receive(key, count);
                }
            }
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                connection.unread = false;
                connection.urgent = false;
            }
            Err(_) => self.remove(key),
        }
    }

    /// Lets a connection act on the first `count` bytes of the buffer.
    pub(crate) fn receive(&mut self, key: Key, count: usize) {
        let Some(connection) = self.connections.get_mut(key) else { return };
        let bytes = &mut self.buffer[..count];
        match &mut connection.state {
            ConnectionState::WebSocket(websocket) => {
                let (shared, service) = (&mut self.shared, &mut self.service);
                websocket.receive(
                    bytes,
                    &mut Env {
                        key,
                        outbound: &connection.outbound,
                        counted: &connection.counted,
                        shared,
                        service,
                    },
                );
                // What every message goes through: reading on moves the deadlines of a session at ease only further
                // away, and the timer that comes out at the earlier time finds that out.
                if websocket.is_at_ease() && connection.armed.is_set() {
                    return;
                }
            }
            ConnectionState::Http(_) | ConnectionState::Idle { .. } => {
                let http1 = match connection.take_http() {
                    Some(http1) => *http1,
                    None => {
                        match PeerInfo::of(connection.outbound.stream(), connection.counted == Counted::Admin)
                        {
                            Ok(peer_info) => Http1::new(peer_info, &self.shared),
                            Err(_) => return self.remove(key),
                        }
                    }
                };
                let (shared, service) = (&mut self.shared, &mut self.service);
                let next = http1.receive(
                    bytes,
                    &mut Env {
                        key,
                        outbound: &connection.outbound,
                        counted: &connection.counted,
                        shared,
                        service,
                    },
                );
                connection.advance(next, &mut self.shared);
                if connection.http().is_some_and(Http1::has_input) {
                    connection.unread = true;
                    connection.make_ready(key, &mut self.shared);
                }
            }
            ConnectionState::Preamble(_)
            | ConnectionState::Streaming(_)
            | ConnectionState::Draining { .. } => {}
        }
        if connection.has_leftover() {
            connection.wait_to_inflate(key, &mut self.shared);
        }
        after_event(key, connection, &mut self.shared);
    }

    fn on_end_of_input(&mut self, key: Key) {
        let Some(connection) = self.connections.get_mut(key) else { return };
        match &connection.state {
            // A client may end its side and still wait for the rest of the answers.
            ConnectionState::Http(_) | ConnectionState::Idle { .. } | ConnectionState::Draining { .. }
                if connection.outbound.stalled_at().is_some() =>
            {
                match connection.deadline() {
                    Some(until) => connection.drain_until(until),
                    None => connection.drain(&self.shared),
                }
                return after_event(key, connection, &mut self.shared);
            }
            ConnectionState::WebSocket(_)
            | ConnectionState::Preamble(_)
            | ConnectionState::Http(_)
            | ConnectionState::Idle { .. }
            | ConnectionState::Streaming(_)
            | ConnectionState::Draining { .. } => {}
        }
        connection.leave(key, &mut self.shared, &mut self.service);
        if connection.outbound.stream().is_encrypted() {
            connection.outbound.finish();
        }
        self.remove(key);
    }

    /// The peer broke TLS and was told so. Its connection ends as after a last word, so that the alert arrives.
    fn on_broken_input(&mut self, key: Key) {
        let Some(connection) = self.connections.get(key) else { return };
        let fault = connection.outbound.stream().take_fault().unwrap_or_default();
        self.report_cut(key, format!("the peer broke TLS: {fault}"), None);
        let Some(connection) = self.connections.get_mut(key) else { return };
        connection.leave(key, &mut self.shared, &mut self.service);
        connection.drain(&self.shared);
        connection.unread = true;
        connection.make_ready(key, &mut self.shared);
        after_event(key, connection, &mut self.shared);
    }

    pub(crate) fn on_writable(&mut self, key: Key) {
        let Some(connection) = self.connections.get_mut(key) else { return };
        match connection.outbound.flush() {
            Flushed::Empty { resume, progress } => {
                if progress {
                    note_progress(connection, &self.shared);
                }
                match &connection.state {
                    ConnectionState::WebSocket(websocket) if resume => websocket.resume(&mut self.shared),
                    ConnectionState::Streaming(streaming) if resume => streaming.resume(&mut self.shared),
                    ConnectionState::WebSocket(_)
                    | ConnectionState::Streaming(_)
                    | ConnectionState::Preamble(_)
                    | ConnectionState::Http(_)
                    | ConnectionState::Idle { .. }
                    | ConnectionState::Draining { .. } => {}
                }
                if connection.unread {
                    connection.make_ready(key, &mut self.shared);
                }
            }
            Flushed::Closed if matches!(connection.state, ConnectionState::Draining { .. }) => {
                connection.unread = true;
                connection.make_ready(key, &mut self.shared);
            }
            // A write has failed, and with it went what the kernel would have reported.
            Flushed::Closed => connection.input_end = InputEnd::Failed,
            Flushed::Blocked { progress } => {
                if progress {
                    note_progress(connection, &self.shared);
                }
                if connection.unread
                    && !matches!(connection.state, ConnectionState::Draining { .. })
                    && connection.outbound.is_relieved()
                {
                    connection.make_ready(key, &mut self.shared);
                }
            }
        }
    }

    pub(crate) fn read_ready(&mut self) {
        for key in std::mem::take(&mut self.shared.ready) {
            if let Some(connection) = self.connections.get_mut(key) {
                connection.queue = Queue::None;
                self.read(key, ReadHint::default());
                self.shed();
            }
        }
    }

    /// Forgets a connection. Its socket closes when the shards have let go of it, too.
    pub(crate) fn remove(&mut self, key: Key) {
        let Some(mut connection) = self.connections.remove(key) else { return };
        connection.leave(key, &mut self.shared, &mut self.service);
        if Arc::strong_count(&connection.outbound) > 1 {
            // Another thread still holds the write half: it must not wait for a socket that the reactor does not read.
            connection.outbound.abort();
        }
        match connection.counted {
            Counted::No(_) => {}
            Counted::Address(ip) => self.shared.uncount(ip),
            Counted::Admin => self.shared.admins -= 1,
            Counted::Rejected => self.shared.rejected -= 1,
        }
        drop(connection);
        // A descriptor is free now.
        self.acceptor.resume();
        #[cfg(debug_assertions)]
        self.check_counts();
    }
}

/// What an event says about the input of a connection.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct ReadHint {
    /// From a near end on, a short read is not the last one. A client that only ends its side has not failed.
    pub(crate) end: InputEnd,
    /// There is an urgent byte, at which a read ends though more may be behind it (RFC 9293 §3.8.5): it is read until
    /// nothing is left.
    pub(crate) urgent: bool,
}
