//! The end, in good order: finish what was received, send it, say good-bye.

use std::io;

use mio::Poll;
use signal_hook::consts::{SIGINT, SIGTERM};
use signal_hook_mio::v1_0::Signals;

use super::connections::{RETRY_ACCEPT_BITS, after_event};
use super::service::{Disconnect, Service};
use super::slots::{Key, State};
use super::timers::{Tick, ticks};
use super::{Reactor, SIGNALS};
use crate::rooms::Command;
use crate::ws::CloseCode;

/// How far shutting down has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Life {
    /// As usual.
    Serving,
    /// Nobody is accepted any more; what has arrived already is read, for so many more turns.
    Reading(u8),
    /// So many shards still have to send what was published before.
    Flushing(usize),
    /// Every session has been closed; until this moment its peer may answer.
    Closing(Tick),
}

impl<S: Service> Reactor<S> {
    pub(super) fn read_signals(&mut self) {
        let Some(signals) = &mut self.signals else { return };
        for signal in signals.pending().collect::<Vec<_>>() {
            if self.life != Life::Serving {
                tracing::warn!(signal, "second signal, leaving at once");
                self.life = Life::Closing(0);
                return;
            }
            tracing::info!(signal, "shutting down");
            self.begin_shutdown();
        }
    }

    pub(super) fn begin_shutdown(&mut self) {
        if self.life == Life::Serving {
            self.acceptor.stop();
            self.life = Life::Reading(2);
        }
    }

    /// Takes shutting down one step further: read what has come, have the shards send what was published, then close
    /// everything.
    pub(super) fn advance_shutdown(&mut self) {
        match &mut self.life {
            Life::Serving | Life::Closing(_) => {}
            Life::Reading(turns) if *turns > 0 => *turns -= 1,
            Life::Reading(_) => {
                for lane in &mut self.turn.lanes {
                    lane.push(Command::Barrier);
                }
                // A publisher that does not stop must not keep the shards from coming to an end.
                self.turn.paused = true;
                self.life = Life::Flushing(self.turn.lanes.len());
            }
            Life::Flushing(0) => self.close_all(),
            Life::Flushing(_) => {}
        }
    }

    fn close_all(&mut self) {
        let deadline = self.turn.now.saturating_add(ticks(self.turn.limits.shutdown_grace));
        // The loop has to wake up for it even if no connection has a timer.
        self.turn.timers.insert(deadline, Key::from_bits(RETRY_ACCEPT_BITS));
        self.life = Life::Closing(deadline);
        self.turn.paused = false;
        for key in self.slots.keys() {
            // Whoever waits for news is told that there is none, and where to go on.
            if matches!(self.slots.get(key).map(|slot| &slot.state), Some(State::Http(Some(exchange))) if exchange.has_otherwise())
            {
                self.answer_late(key);
            }
            let Some(slot) = self.slots.get_mut(key) else { continue };
            if slot.unread {
                self.turn.make_ready(key, slot);
            }
            if matches!(slot.state, State::Opening(_) | State::Http(_)) {
                slot.outbound.finish();
                slot.state = State::Draining;
                slot.deadline = 0;
                after_event(key, slot, &mut self.turn);
            }
            self.stop_following(key);
            self.with_websocket(key, |websocket, reach| {
                websocket.close(CloseCode::GOING_AWAY, "server shuts down", Disconnect::Shutdown, reach);
            });
        }
    }

    pub(super) fn is_over(&self) -> bool {
        matches!(self.life, Life::Closing(deadline) if self.slots.len() == 0 || self.turn.now >= deadline)
    }
}

/// Has the loop hear of `SIGTERM` and `SIGINT`.
pub(super) fn register_signals(poll: &Poll) -> io::Result<Signals> {
    let mut signals = Signals::new([SIGTERM, SIGINT])?;
    poll.registry().register(&mut signals, SIGNALS, mio::Interest::READABLE)?;
    Ok(signals)
}
