//! The end, in good order: finish what was received, send it, say good-bye.

use std::io;
use std::time::Duration;

use mio::Poll;
use signal_hook::consts::{SIGINT, SIGTERM};
use signal_hook_mio::v1_0::Signals;

use crate::reactor::clock::wheel::{TICK_MILLIS, Tick, ticks};
use crate::reactor::connection::table::{Key, Slot, State};
use crate::reactor::connection::websocket::Reach;
use crate::reactor::events::readiness::{RETRY_ACCEPT_BITS, after_event};
use crate::reactor::service::{Disconnect, Service};
use crate::reactor::{EVENTS_PER_TURN, Reactor, SIGNALS};
use crate::rooms::Command;
use crate::ws::CloseCode;

/// Two signals within this time are one: a terminal and a service manager both tell a group of processes.
const ONE_SIGNAL: Duration = Duration::from_millis(200);

/// How far shutting down has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Life {
    /// As usual.
    Serving,
    /// Nobody is accepted any more; what has arrived already is read, for so many more turns. The end has to be reached
    /// at this moment.
    Reading(usize, Tick),
    /// Nothing more is read but the requests behind one that was received: each is answered, in its order.
    Answering(Tick),
    /// So many shards still have to send what was published before. One whose store does not answer is waited for during
    /// half of the time.
    Flushing(usize, Tick),
    /// Every session has been closed; until this moment its peer may answer.
    Closing(Tick),
}

/// Rounds of accepting before the listening sockets are closed: as many as empty the longest queue, and an end to it where
/// more come all the time.
const LAST_ACCEPTS_MAX: usize = 32;

/// Time for the shards to store what the end of the sessions has brought about, also if those took all of the grace. Less
/// than `foghorn serve` gives besides before it ends the process.
const LAST_COMMIT: Duration = Duration::from_millis(150);

impl<S: Service> Reactor<S> {
    pub(crate) fn read_signals(&mut self) {
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

    pub(crate) fn begin_shutdown(&mut self) {
        if self.life == Life::Serving {
            self.accept_last();
            let deadline = self.turn.now.saturating_add(ticks(self.turn.limits.shutdown_grace));
            // As many turns as it takes to hear of every connection that has input, and one for what is behind it.
            let turns = 2 + self.slots.len() / EVENTS_PER_TURN;
            self.life = Life::Reading(turns, deadline);
        }
    }

    /// Takes in whoever has connected already and waits in the kernel's queue, which closing the socket would reset.
    fn accept_last(&mut self) {
        self.acceptor.expect_all();
        for _ in 0..LAST_ACCEPTS_MAX {
            if !self.acceptor.is_ready() {
                break;
            }
            self.accept();
        }
        self.acceptor.stop();
    }

    /// Takes shutting down one step further: read what has come, have the shards send what was published, then close
    /// everything.
    pub(crate) fn advance_shutdown(&mut self) {
        match self.life {
            Life::Serving | Life::Closing(_) => {}
            // What was read is finished, too, unless those that compress, or relay, do not stop sending.
            Life::Reading(0, deadline)
                if (self.turn.inflating.is_waiting() || !self.turn.background.is_empty())
                    && self.turn.now < self.answered_by(deadline) => {}
            Life::Reading(0, deadline) => {
                // A publisher that does not stop must not keep the shards from coming to an end.
                self.turn.paused = true;
                self.life = Life::Answering(deadline);
                self.finish_requests();
                // The loop has to wake up for it even if nothing is answered.
                self.turn.timers.insert(self.answered_by(deadline), Key::from_bits(RETRY_ACCEPT_BITS));
                self.advance_shutdown();
            }
            Life::Reading(turns, deadline) => self.life = Life::Reading(turns - 1, deadline),
            Life::Answering(deadline) => {
                if self.has_requests() && self.turn.now < self.answered_by(deadline) {
                    return;
                }
                self.stop_finishing();
                for lane in &mut self.turn.lanes {
                    lane.push(Command::Barrier);
                }
                // The loop has to wake up for it even if no shard answers.
                self.turn.timers.insert(self.flushed_by(deadline), Key::from_bits(RETRY_ACCEPT_BITS));
                self.life = Life::Flushing(self.turn.lanes.len(), deadline);
            }
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

    /// Lets the clients read on that have sent requests which were not answered yet.
    fn finish_requests(&mut self) {
        for key in self.slots.keys() {
            // A long poll is told now that there is nothing: what was received behind it comes after it.
            if matches!(self.slots.get(key).map(|slot| &slot.state), Some(State::Http(Some(exchange))) if exchange.has_otherwise())
            {
                self.answer_late(key);
            }
            let Some(slot) = self.slots.get_mut(key).filter(|slot| owes_answers(slot)) else { continue };
            slot.finishing = true;
            self.finishing.push(key);
            if slot.unread {
                self.turn.make_ready(key, slot);
            }
        }
    }

    /// Whether answers are owed still.
    fn has_requests(&mut self) -> bool {
        let slots = &mut self.slots;
        self.finishing.retain(|&key| {
            let Some(slot) = slots.get_mut(key) else { return false };
            // Once it has nothing more, what it sends from now on came too late.
            slot.finishing = owes_answers(slot);
            slot.finishing
        });
        !self.finishing.is_empty()
    }

    fn stop_finishing(&mut self) {
        for key in std::mem::take(&mut self.finishing) {
            if let Some(slot) = self.slots.get_mut(key) {
                slot.finishing = false;
            }
        }
    }

    /// Until when messages are inflated and requests are answered, if the end has to be reached at `deadline`: what they
    /// bring about takes time, too.
    fn answered_by(&self, deadline: Tick) -> Tick {
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
                let mut reach =
                    Reach { key, outbound: &slot.outbound, turn: &mut self.turn, service: &mut self.service };
                if let State::Http(Some(exchange)) = &slot.state {
                    exchange.refuse_rest(&mut reach);
                }
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

    /// How long the shards may take to store what was published last: what is left of `shutdown.grace`.
    pub(crate) fn time_left(&self) -> Duration {
        let left = match self.life {
            Life::Closing(deadline) => {
                Duration::from_millis(deadline.saturating_sub(self.turn.now).saturating_mul(TICK_MILLIS))
            }
            Life::Serving | Life::Reading(..) | Life::Answering(_) | Life::Flushing(..) => {
                self.turn.limits.shutdown_grace
            }
        };
        left.max(LAST_COMMIT)
    }

    pub(crate) fn is_over(&self) -> bool {
        matches!(self.life, Life::Closing(deadline) if self.slots.len() == 0 || self.turn.now >= deadline)
    }
}

/// Whether the connection has sent requests that can be answered: one that waits for its answer (a long poll waits for
/// news, of which there will be none), or what was received behind it.
fn owes_answers(slot: &Slot) -> bool {
    match &slot.state {
        State::Http(exchange) => {
            let waits = exchange.as_ref().is_some_and(|exchange| exchange.is_waiting());
            let polls = exchange.as_ref().is_some_and(|exchange| exchange.has_otherwise());
            if waits { !polls } else { slot.unread && !slot.outbound.is_congested() }
        }
        State::Opening(_) | State::WebSocket(_) | State::Following(_) | State::Draining => false,
    }
}

/// Has the loop hear of `SIGTERM` and `SIGINT`.
pub(crate) fn register_signals(poll: &Poll) -> io::Result<Signals> {
    let mut signals = Signals::new([SIGTERM, SIGINT])?;
    poll.registry().register(&mut signals, SIGNALS, mio::Interest::READABLE)?;
    Ok(signals)
}
