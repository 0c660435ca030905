//! What must be true of all connections at the end of a turn, and of all counts when one has gone. Looked at in debug builds
//! alone, and only while so few connections are there that it costs little.

use std::collections::HashMap;

use super::clock::wheel::Tick;
use super::connection::deadlines::next_due;
use super::connection::states::{ConnectionState, Queue};
use super::events::memory::waits_for;
use super::listen::quotas::{Counted, network};
use super::parts::Reactor;
use super::service::Service;
use crate::workers::ShardHandle;

/// With more connections nothing is checked: a turn must not take longer the more there are.
const CHECKED_MAX: usize = 16;
/// How often a sum is taken that other threads change meanwhile, before it counts as wrong.
const SUMS_MAX: usize = 100;

impl<S: Service> Reactor<S> {
    /// To be called at the end of a turn.
    pub(crate) fn check_turn(&self) {
        // A shard whose queue is full wakes the loop when it has room, work of the application keeps it awake.
        let wakes =
            !self.shared.background.is_empty() || self.shared.shards.iter().any(ShardHandle::is_congested);
        debug_assert!(
            self.shared.held.is_empty() || wakes,
            "connections are held back, and nothing lets them go on"
        );
        self.inbox.check_overflow();
        if self.connections.len() < CHECKED_MAX {
            self.check_wakers();
            self.check_tickets();
            self.check_memory();
        }
    }

    /// Invariants: no connection sleeps without something that will wake it, and every state that must end has a timer that
    /// comes out in time.
    fn check_wakers(&self) {
        let now = self.shared.now;
        for (key, connection) in self.connections.iter() {
            let has_timer = connection.armed.is_set();
            debug_assert!(
                !has_timer || self.shared.timers.holds(connection.armed.at(), key),
                "{key:?} is armed, and the wheel has no entry at that time: {connection:?}"
            );
            let awaits_event = match &connection.state {
                ConnectionState::Http(http1) => http1.is_waiting(),
                ConnectionState::WebSocket(websocket) => websocket.is_slowed(now) && has_timer,
                ConnectionState::Idle { .. }
                | ConnectionState::Preamble(_)
                | ConnectionState::Streaming(_)
                | ConnectionState::Draining { .. } => false,
            };
            let wakes = connection.queue != Queue::None || awaits_event || self.shared.paused;
            let takes = connection.outbound.stalled_at().is_some();
            debug_assert!(
                !connection.unread || wakes || takes,
                "{key:?} has input and sleeps: {connection:?}"
            );
            debug_assert!(
                !connection.has_leftover() || connection.unread,
                "{key:?} is not to be inflated on: {connection:?}"
            );
            let is_listed = match connection.queue {
                Queue::None => true,
                Queue::Ready => self.shared.ready.contains(&key),
                Queue::Held => self.shared.held.contains(&key),
                Queue::Inflating => self.shared.inflating.has_waiting(key),
            };
            debug_assert!(is_listed, "{key:?} is not on its list: {connection:?}");
            let is_tidy = match &connection.state {
                ConnectionState::WebSocket(websocket) => websocket.is_tidy(),
                ConnectionState::Http(_)
                | ConnectionState::Idle { .. }
                | ConnectionState::Preamble(_)
                | ConnectionState::Streaming(_)
                | ConnectionState::Draining { .. } => true,
            };
            debug_assert!(is_tidy, "{key:?} keeps an empty box: {connection:?}");
            let may_last = matches!(connection.state, ConnectionState::Idle { until: None });
            debug_assert!(has_timer || may_last, "{key:?} has no deadline: {connection:?}");
            // What the limits say that have changed holds once all connections have been looked at.
            let is_late = |due: Tick| self.review_from.is_none() && connection.armed.at() > due.max(now + 1);
            debug_assert!(
                !next_due(connection, &self.shared).is_some_and(is_late),
                "{key:?} is late: {connection:?}"
            );
        }
    }

    /// Invariant of a ticket: no two requests that wait have the same number.
    fn check_tickets(&self) {
        let mut numbers: Vec<u64> = self
            .connections
            .iter()
            .filter_map(|(_, connection)| match &connection.state {
                ConnectionState::Http(http1) => http1.awaited(),
                ConnectionState::WebSocket(_)
                | ConnectionState::Idle { .. }
                | ConnectionState::Preamble(_)
                | ConnectionState::Streaming(_)
                | ConnectionState::Draining { .. } => None,
            })
            .collect();
        let count = numbers.len();
        numbers.sort_unstable();
        numbers.dedup();
        debug_assert_eq!(numbers.len(), count, "each request that waits has its own ticket");
    }

    /// Invariant: what waits in memory is the sum of what waits for each connection, so that no byte is counted for a connection that is gone. Other
    /// threads send while the sum is taken: it has to fit once.
    fn check_memory(&self) {
        let sum = || self.connections.iter().map(|(_, connection)| waits_for(connection)).sum::<usize>();
        let fits = (0..SUMS_MAX).any(|_| self.shared.waiting.bytes() == sum());
        debug_assert!(fits, "{} bytes wait, for the connections {}", self.shared.waiting.bytes(), sum());
    }

    /// To be called when a connection was forgotten. Invariant: what is counted is the sum over the connections.
    pub(crate) fn check_counts(&self) {
        if self.connections.len() >= CHECKED_MAX {
            return;
        }
        let rejected =
            self.connections.iter().filter(|(_, connection)| connection.counted == Counted::Rejected).count();
        debug_assert_eq!(self.shared.rejected, rejected, "connections that are rejected");
        let admins =
            self.connections.iter().filter(|(_, connection)| connection.counted == Counted::Admin).count();
        debug_assert_eq!(self.shared.admins, admins, "connections of operators");
        let mut addresses = HashMap::new();
        for (_, connection) in self.connections.iter() {
            if let Counted::Address(ip) = connection.counted {
                *addresses.entry(network(ip)).or_insert(0) += 1;
            }
        }
        debug_assert_eq!(self.shared.addresses, addresses, "connections of each address");
        self.shared.users.check(|key| {
            matches!(
                self.connections.get(key).map(|connection| &connection.state),
                Some(ConnectionState::WebSocket(_))
            )
        });
    }
}
