//! Load shedding: closes the connections with the largest backlogs when the memory budget is exceeded.

use std::time::Duration;

use crate::limit_hits::Limit;
use crate::reactor::api::disconnect::Disconnect;
use crate::reactor::clock::wheel::ticks;
use crate::reactor::connection::deadlines::after_event;
use crate::reactor::connection::states::{Connection, ConnectionState};
use crate::reactor::env::Env;
use crate::reactor::key::Key;
use crate::reactor::parts::Reactor;
use crate::reactor::service::Service;
use crate::ws::CloseCode;

/// The log has one line for closing that goes on: a new one only after this time without any.
const QUIET: Duration = Duration::from_secs(10);

impl<S: Service> Reactor<S> {
    /// Closes connections if the memory budget is exceeded: those with the largest backlogs first, until an eighth of
    /// what may wait is free again. Looks at all connections then; if that frees too little, the next time in another
    /// tick. To be called after whatever makes something wait: a whole turn may bring more than the limit.
    #[inline]
    pub(crate) fn shed(&mut self) {
        let Some(max) = self.shared.limits.memory else { return };
        if self.shared.waiting.bytes() > max && self.shared.shed_in_vain_at != self.shared.now {
            self.shed_down_from(max);
        }
    }

    #[cold]
    fn shed_down_from(&mut self, max: usize) {
        let waiting = self.shared.waiting.bytes();
        let goes_on =
            self.shared.now.saturating_sub(self.shared.shed_at) < ticks(QUIET) && self.shared.shed_at > 0;
        self.shared.shed_at = self.shared.now;
        let mut shares: Vec<(usize, Key)> =
            self.connections.iter().map(|(key, connection)| (waits_for(connection), key)).collect();
        shares.retain(|(bytes, _)| *bytes > 0);
        shares.sort_unstable_by_key(|(bytes, _)| std::cmp::Reverse(*bytes));
        let (mut count, worst, goal) = (0, shares.first().map_or(0, |(bytes, _)| *bytes), max - max / 8);
        for (_, key) in shares {
            if self.shared.waiting.bytes() <= goal {
                break;
            }
            self.close_to_free_memory(key);
            count += 1;
        }
        if self.shared.waiting.bytes() > goal {
            self.shared.shed_in_vain_at = self.shared.now;
        }
        if goes_on {
            return;
        }
        let gib = |bytes: usize| bytes as f64 / f64::from(1 << 30);
        tracing::warn!(
            waiting,
            max,
            count,
            worst,
            "memory budget exceeded ({:.2} of {:.2} GiB, limits.memory), closing {count} connections with the largest \
             backlogs",
            gib(waiting),
            gib(max),
        );
    }

    fn close_to_free_memory(&mut self, key: Key) {
        let Some(connection) = self.connections.get_mut(key) else { return };
        self.shared.limit_hits.hit(Limit::Memory);
        let ConnectionState::WebSocket(websocket) = &mut connection.state else {
            self.report_cut(key, "too much waited in memory", Some(Limit::Memory));
            return self.remove(key);
        };
        if websocket.is_closing() {
            return self.remove(key);
        }
        let (code, reason) = if connection.outbound.backlog_bytes() > websocket.held_bytes() {
            (CloseCode::TOO_SLOW, "too slow")
        } else {
            (CloseCode::TRY_AGAIN_LATER, "the server is short of memory")
        };
        connection.outbound.shed();
        let (shared, service) = (&mut self.shared, &mut self.service);
        let mut env =
            Env { key, outbound: &connection.outbound, counted: &connection.counted, shared, service };
        websocket.close(code, reason, Disconnect::Memory, &mut env);
        connection.drain(&self.shared);
        after_event(key, connection, &mut self.shared);
    }
}

/// Bytes of memory that wait for a connection, in either direction: what closing it gives back, also where most of it is
/// written already.
pub(crate) fn waits_for(connection: &Connection) -> usize {
    let unfinished = match &connection.state {
        ConnectionState::WebSocket(websocket) => websocket.held_bytes(),
        ConnectionState::Http(http1) => http1.held_bytes(),
        ConnectionState::Preamble(_)
        | ConnectionState::Idle { .. }
        | ConnectionState::Streaming(_)
        | ConnectionState::Draining { .. } => 0,
    };
    connection.outbound.held_bytes() + unfinished
}
