//! The end, in good order: finish what was received, send it, say good-bye.

use std::io;
use std::time::Duration;

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

/// Two signals within this time are one: a terminal and a service manager both tell a group of processes.
const ONE_SIGNAL: Duration = Duration::from_millis(200);

/// How far shutting down has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Life {
    /// As usual.
    Serving,
    /// Nobody is accepted any more; what has arrived already is read, for so many more turns. The end has to be reached
    /// at this moment.
    Reading(u8, Tick),
    /// So many shards still have to send what was published before. One whose store does not answer is waited for during
    /// half of the time.
    Flushing(usize, Tick),
    /// Every session has been closed; until this moment its peer may answer.
    Closing(Tick),
}

impl<S: Service> Reactor<S> {
    pub(super) fn read_signals(&mut self) {
        let Some(signals) = &mut self.signals else { return };
        for signal in signals.pending().collect::<Vec<_>>() {
            match self.signalled_at {
                None => {
                    tracing::info!(signal, "shutting down");
                    self.signalled_at = Some(self.turn.now);
                    self.begin_shutdown();
                }
                Some(at) if self.turn.now.saturating_sub(at) < ticks(ONE_SIGNAL) => {}
                Some(_) => {
                    tracing::warn!(signal, "second signal, leaving at once");
                    self.life = Life::Closing(0);
                    return;
                }
            }
        }
    }

    pub(super) fn begin_shutdown(&mut self) {
        if self.life == Life::Serving {
            self.acceptor.stop();
            let deadline = self.turn.now.saturating_add(ticks(self.turn.limits.shutdown_grace));
            self.life = Life::Reading(2, deadline);
        }
    }

    /// Takes shutting down one step further: read what has come, have the shards send what was published, then close
    /// everything.
    pub(super) fn advance_shutdown(&mut self) {
        match self.life {
            Life::Serving | Life::Closing(_) => {}
            // What was read is finished, too, unless those that compress do not stop sending.
            Life::Reading(0, deadline)
                if self.turn.inflating.is_waiting() && self.turn.now < self.inflated_by(deadline) => {}
            Life::Reading(0, deadline) => {
                for lane in &mut self.turn.lanes {
                    lane.push(Command::Barrier);
                }
                // A publisher that does not stop must not keep the shards from coming to an end.
                self.turn.paused = true;
                // The loop has to wake up for it even if no shard answers.
                self.turn.timers.insert(self.flushed_by(deadline), Key::from_bits(RETRY_ACCEPT_BITS));
                self.life = Life::Flushing(self.turn.lanes.len(), deadline);
            }
            Life::Reading(turns, deadline) => self.life = Life::Reading(turns - 1, deadline),
            Life::Flushing(0, deadline) => self.close_all(deadline),
            Life::Flushing(_, deadline) if self.turn.now >= self.flushed_by(deadline) => {
                tracing::warn!(
                    "what was published last is not stored in time, the sessions are closed all the same"
                );
                self.close_all(deadline);
            }
            Life::Flushing(..) => {}
        }
    }

    /// Until when messages are inflated, if the end has to be reached at `deadline`.
    fn inflated_by(&self, deadline: Tick) -> Tick {
        deadline.saturating_sub(ticks(self.turn.limits.shutdown_grace) / 4 * 3)
    }

    /// Until when the shards are waited for, if the end has to be reached at `deadline`.
    fn flushed_by(&self, deadline: Tick) -> Tick {
        deadline.saturating_sub(ticks(self.turn.limits.shutdown_grace) / 2)
    }

    fn close_all(&mut self, deadline: Tick) {
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
