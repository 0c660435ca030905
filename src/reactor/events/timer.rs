//! A connection's timer has come out.

use crate::limit_hits::Limit;
use crate::reactor::connection::deadlines::after_event;
use crate::reactor::connection::pause::holds_back;
use crate::reactor::connection::states::{ConnectionState, write_deadline};
use crate::reactor::env::Env;
use crate::reactor::key::Key;
use crate::reactor::parts::Reactor;
use crate::reactor::service::Service;

impl<S: Service> Reactor<S> {
    /// The client takes nothing of its answer.
    fn cut_off(&mut self, key: Key) {
        self.shared.limit_hits.hit(Limit::WriteTimeout);
        self.report_cut(key, "takes no data of an answer", Some(Limit::WriteTimeout));
        self.remove(key);
    }

    pub(crate) fn on_timer(&mut self, key: Key) {
        let now = self.shared.now;
        let Some(connection) = self.connections.get_mut(key) else { return };
        if !connection.armed.comes_due(now) {
            return;
        }
        // The kernel tells of room in its buffer when a third of it is free, which with a slow peer takes long. What the
        // peer has taken meanwhile counts, and a write shows it.
        self.on_writable(key);
        let Some(connection) = self.connections.get_mut(key) else { return };
        // What the server has not read yet cannot be missed; whether its peer takes anything is looked at apart.
        let alive_at = if connection.unread { now } else { connection.alive_at };
        self.shared.alive_at = alive_at;
        self.shared.is_held_back = connection.unread || holds_back(key, connection, &self.shared).is_some();
        let expired = connection.deadline().is_some_and(|until| until <= now);
        let (outbound, counted) = (&connection.outbound, &connection.counted);
        let (shared, service) = (&mut self.shared, &mut self.service);
        let mut env = Env { key, outbound, counted, shared, service };
        match &mut connection.state {
            ConnectionState::WebSocket(websocket) if !expired => websocket.check(alive_at, &mut env),
            ConnectionState::Streaming(streaming) => {
                if !streaming.check(env.outbound, env.shared) {
                    return self.stop_streaming(key);
                }
            }
            ConnectionState::Http(http1) if expired && http1.has_fallback() => {
                return self.answer_late(key);
            }
            // Its request is not read because it does not take the answers before it: that has its own time.
            ConnectionState::Http(http1)
                if expired && !http1.is_waiting() && connection.unread && env.outbound.is_congested() =>
            {
                let until = write_deadline(connection.alive_at, env.shared);
                if until > now {
                    http1.deadline = until;
                } else {
                    return self.cut_off(key);
                }
            }
            // It has not taken the last answer.
            ConnectionState::Idle { .. } if expired && env.outbound.stalled_at().is_some() => {
                return self.cut_off(key);
            }
            ConnectionState::Http(http1) if expired => {
                http1.expire(&mut env);
                connection.drain(&self.shared);
            }
            ConnectionState::Idle { .. } if expired => {
                // An idle one is closed without a word.
                env.shared.limit_hits.hit(Limit::IdleTimeout);
                connection.drain(&self.shared);
            }
            ConnectionState::Preamble(_) if expired => {
                let in_tls = connection.outbound.stream().is_handshaking();
                let limit = if in_tls { Limit::TlsTimeout } else { Limit::HandshakeTimeout };
                self.shared.limit_hits.hit(limit);
                let what = if in_tls { "TLS handshake" } else { "PROXY header" };
                self.report_cut(key, format!("{what} not complete in time"), Some(limit));
                return self.remove(key);
            }
            ConnectionState::WebSocket(_) | ConnectionState::Draining { .. } if expired => {
                self.shared.limit_hits.hit(Limit::CloseTimeout);
                return self.remove(key);
            }
            ConnectionState::Preamble(_)
            | ConnectionState::WebSocket(_)
            | ConnectionState::Draining { .. }
            | ConnectionState::Idle { .. }
            | ConnectionState::Http(_) => {}
        }
        if let Some(connection) = self.connections.get_mut(key) {
            // It may have been held back until now, and the kernel will not report its input again.
            if connection.unread && matches!(connection.state, ConnectionState::WebSocket(_)) {
                connection.make_ready(key, &mut self.shared);
            }
            after_event(key, connection, &mut self.shared);
        }
    }
}
