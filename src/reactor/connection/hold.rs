//! Who is not read for now, because the server is behind or the peer has to wait, and who lets it go on.

use crate::reactor::Reactor;
use crate::reactor::clock::wheel::ticks;
use crate::reactor::connection::table::{Key, Slot, State};
use crate::reactor::events::readiness::after_event;
use crate::reactor::service::Service;
use crate::reactor::state::Turn;

impl<S: Service> Reactor<S> {
    /// Whether the connection must not be read now: it is [held back](hold_back), or is gone because of that.
    pub(crate) fn is_held_back(&mut self, key: Key) -> bool {
        let Some(slot) = self.slots.get_mut(key) else { return true };
        if !hold_back(key, slot, &mut self.turn) {
            return false;
        }
        // A client that has reset its connection takes no answer, however long it was to wait for one, and waits for no
        // rate: what the kernel still has of its input is lost (RFC 9293 §3.10.7.4). Where only the shard is behind, which
        // does not last, it is read to its end.
        if slot.broken && !slot.ready {
            self.remove(key);
        } else {
            hasten(key, slot, &mut self.turn);
        }
        true
    }

    /// Lets those read on whose shards have caught up.
    pub(crate) fn release_held(&mut self) {
        for key in std::mem::take(&mut self.turn.held) {
            let Some(slot) = self.slots.get_mut(key) else { continue };
            slot.ready = false;
            if !self.is_held_back(key)
                && let Some(slot) = self.slots.get_mut(key)
            {
                self.turn.make_ready(key, slot);
            }
        }
    }
}

/// Whether the connection must not be read now: its peer does not read our replies, or its shard is behind. It is
/// remembered, since the kernel will not report its input again.
fn hold_back(key: Key, slot: &mut Slot, turn: &mut Turn) -> bool {
    let hold = holds_back(key, slot, turn);
    if hold == Some(Hold::Shard) && !slot.ready {
        slot.ready = true;
        turn.held.push(key);
    }
    if let State::WebSocket(websocket) = &mut slot.state {
        // Of the time that its rate takes the session knows already.
        let is_ours = matches!(hold, Some(Hold::Shard | Hold::Backlog));
        websocket.note_held_back(is_ours, turn.now);
    }
    slot.unread |= hold.is_some();
    hold.is_some()
}

/// Why a connection is not read, and who will see to it that it is read on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Hold {
    /// The server shuts down: the end of that.
    Shutdown,
    /// It has sent too much: a timer.
    Rate,
    /// Its request waits for an answer: the answer.
    Answer,
    /// Its shard, or work of the application, is behind: the loop looks in each turn.
    Shard,
    /// It does not take what it asked for: its taking it.
    Backlog,
}

pub(crate) fn holds_back(key: Key, slot: &Slot, turn: &Turn) -> Option<Hold> {
    if turn.paused && !slot.finishing {
        return Some(Hold::Shutdown);
    }
    match &slot.state {
        // Whatever comes before the peer's Close frame is discarded.
        State::WebSocket(websocket) if websocket.is_closing() => return None,
        State::WebSocket(websocket) if websocket.is_slowed(turn.now) => return Some(Hold::Rate),
        State::WebSocket(websocket) if websocket.is_held(turn) || turn.is_held_by_background(key) => {
            return Some(Hold::Shard);
        }
        State::Http(Some(exchange)) if exchange.is_waiting() => return Some(Hold::Answer),
        State::WebSocket(_) | State::Http(_) => {}
        State::Opening(_) | State::Following(_) | State::Draining => return None,
    }
    slot.outbound.is_congested().then_some(Hold::Backlog)
}

/// A client that has ended its side may still want the answer it waits for; one that is gone looks the same, and is not
/// to be kept for as long as an answer may take that nobody hurries with.
fn hasten(key: Key, slot: &mut Slot, turn: &mut Turn) {
    if let State::Http(Some(exchange)) = &slot.state
        && slot.ending
        && exchange.has_otherwise()
    {
        slot.deadline = slot.deadline.min(turn.now.saturating_add(ticks(turn.limits.close_timeout)));
        after_event(key, slot, turn);
    }
}
