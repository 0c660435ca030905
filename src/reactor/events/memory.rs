//! What becomes of those that make the most wait in memory, once it is too much for all together.

use std::time::Duration;

use crate::metrics::Limit;
use crate::reactor::Reactor;
use crate::reactor::clock::wheel::ticks;
use crate::reactor::connection::table::{Key, Slot, State};
use crate::reactor::connection::websocket::Reach;
use crate::reactor::events::readiness::after_event;
use crate::reactor::service::{Disconnect, Service};
use crate::ws::CloseCode;

/// The log tells once of closing that goes on, until there was none for so long.
const QUIET: Duration = Duration::from_secs(10);

impl<S: Service> Reactor<S> {
    /// Closes connections if too much waits for all together: those first that make the most wait, until an eighth of
    /// what may wait is free again. Looks at all connections then; if that frees too little, the next time in another
    /// tick. To be called after whatever makes something wait: a whole turn may bring more than the limit.
    #[inline]
    pub(crate) fn shed(&mut self) {
        let Some(max) = self.turn.limits.memory else { return };
        if self.turn.waiting.bytes() > max && self.turn.shed_in_vain_at != self.turn.now {
            self.shed_down_from(max);
        }
    }

    #[cold]
    fn shed_down_from(&mut self, max: usize) {
        let waiting = self.turn.waiting.bytes();
        let goes_on = self.turn.now.saturating_sub(self.turn.shed_at) < ticks(QUIET) && self.turn.shed_at > 0;
        self.turn.shed_at = self.turn.now;
        let mut shares: Vec<(usize, Key)> =
            self.slots.iter().map(|(key, slot)| (waits_for(slot), key)).collect();
        shares.retain(|(bytes, _)| *bytes > 0);
        shares.sort_unstable_by_key(|(bytes, _)| std::cmp::Reverse(*bytes));
        let (mut count, worst, goal) = (0, shares.first().map_or(0, |(bytes, _)| *bytes), max - max / 8);
        for (_, key) in shares {
            if self.turn.waiting.bytes() <= goal {
                break;
            }
            self.close_to_free_memory(key);
            count += 1;
        }
        if self.turn.waiting.bytes() > goal {
            self.turn.shed_in_vain_at = self.turn.now;
        }
        if goes_on {
            return;
        }
        tracing::warn!(
            waiting,
            max,
            count,
            worst,
            "too much waits in memory, the worst connections are closed"
        );
    }

    fn close_to_free_memory(&mut self, key: Key) {
        let Some(slot) = self.slots.get_mut(key) else { return };
        self.turn.metrics.hit(Limit::Memory);
        let State::WebSocket(websocket) = &mut slot.state else {
            self.report_cut(key, "too much waited in memory", Some(Limit::Memory));
            return self.remove(key);
        };
        if websocket.is_closing() {
            return self.remove(key);
        }
        let (code, reason) = if slot.outbound.untaken() > websocket.held_bytes() {
            (CloseCode::TOO_SLOW, "too slow")
        } else {
            (CloseCode::TRY_AGAIN_LATER, "the server is short of memory")
        };
        slot.outbound.shed();
        let mut reach =
            Reach { key, outbound: &slot.outbound, turn: &mut self.turn, service: &mut self.service };
        websocket.close(code, reason, Disconnect::Memory, &mut reach);
        slot.outbound.finish();
        slot.state = State::Draining;
        slot.deadline = 0;
        after_event(key, slot, &mut self.turn);
    }
}

/// Bytes of memory that wait for a connection, in either direction: what closing it gives back, also where most of it is
/// written already.
pub(crate) fn waits_for(slot: &Slot) -> usize {
    let unfinished = match &slot.state {
        State::WebSocket(websocket) => websocket.held_bytes(),
        State::Http(Some(exchange)) => exchange.held_bytes(),
        State::Opening(_) | State::Http(None) | State::Following(_) | State::Draining => 0,
    };
    slot.outbound.held_bytes() + unfinished
}
