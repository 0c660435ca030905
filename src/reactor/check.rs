//! What must be true of all connections at the end of a turn, and of all counts when one has gone. Looked at in debug builds
//! alone, and only while so few connections are there that it costs little.

use std::collections::HashMap;

use crate::reactor::Reactor;
use crate::reactor::clock::wheel::Tick;
use crate::reactor::connection::deadlines::next_due;
use crate::reactor::connection::table::State;
use crate::reactor::events::memory::waits_for;
use crate::reactor::service::Service;
use crate::workers::ShardHandle;

/// Beyond so many connections nothing is looked at: a turn must not take longer the more there are.
const CHECKED_MAX: usize = 16;
/// How often a sum is taken that other threads change meanwhile.
const SUMS_MAX: usize = 100;

impl<S: Service> Reactor<S> {
    /// To be called at the end of a turn.
    pub(crate) fn check_turn(&self) {
        // A lane that could not hand its batch over is rung for, work of the application keeps the loop awake.
        let wakes = !self.turn.background.is_empty() || self.turn.lanes.iter().any(ShardHandle::is_congested);
        debug_assert!(
            self.turn.held.is_empty() || wakes,
            "connections are held back, and nothing lets them go on"
        );
        if self.slots.len() < CHECKED_MAX {
            self.check_wakers();
            self.check_memory();
        }
    }

    /// Invariants: no connection sleeps without something that will wake it, and every state that must end has a timer that
    /// comes out in time.
    fn check_wakers(&self) {
        let now = self.turn.now;
        for (key, slot) in self.slots.iter() {
            let has_timer = slot.armed.is_set();
            let awaits_event = match &slot.state {
                State::Http(Some(exchange)) => exchange.is_waiting(),
                State::WebSocket(websocket) => websocket.is_slowed(now) && has_timer,
                State::Http(None) | State::Opening(_) | State::Following(_) | State::Draining => false,
            };
            let wakes = slot.ready || awaits_event || self.turn.paused;
            let takes = slot.outbound.stalled_at().is_some();
            debug_assert!(!slot.unread || wakes || takes, "{key:?} has input and sleeps: {slot:?}");
            debug_assert!(!slot.has_leftover() || slot.unread, "{key:?} is not to be inflated on: {slot:?}");
            let is_listed = self.turn.ready.contains(&key)
                || self.turn.held.contains(&key)
                || self.turn.inflating.has_waiting(key);
            debug_assert_eq!(slot.ready, is_listed, "{key:?} is on a list or is not: {slot:?}");
            let may_last = matches!(slot.state, State::Http(None)) && slot.deadline == 0;
            debug_assert!(has_timer || may_last, "{key:?} has no deadline: {slot:?}");
            // What the limits say that have changed holds once all connections have been looked at.
            let is_late = |due: Tick| self.review_from.is_none() && slot.armed.at() > due.max(now + 1);
            debug_assert!(!next_due(slot, &self.turn).is_some_and(is_late), "{key:?} is late: {slot:?}");
        }
    }

    /// Invariant: what waits in memory is the sum of what waits for each connection, so that nothing waits for nobody. Other
    /// threads send while the sum is taken: it has to fit once.
    fn check_memory(&self) {
        let sum = || self.slots.iter().map(|(_, slot)| waits_for(slot)).sum::<usize>();
        let fits = (0..SUMS_MAX).any(|_| self.turn.waiting.bytes() == sum());
        debug_assert!(fits, "{} bytes wait, for the connections {}", self.turn.waiting.bytes(), sum());
    }

    /// To be called when a connection was forgotten. Invariant: what is counted is the sum over the connections.
    pub(crate) fn check_counts(&self) {
        if self.slots.len() >= CHECKED_MAX {
            return;
        }
        let refused = self.slots.iter().filter(|(_, slot)| slot.refused).count();
        debug_assert_eq!(self.turn.refused, refused, "connections that are refused");
        let mut addresses = HashMap::new();
        for ip in self.slots.iter().filter_map(|(_, slot)| slot.counted) {
            *addresses.entry(ip).or_insert(0) += 1;
        }
        debug_assert_eq!(self.turn.addresses, addresses, "connections of each address");
        self.turn
            .users
            .check(|key| matches!(self.slots.get(key).map(|slot| &slot.state), Some(State::WebSocket(_))));
    }
}
