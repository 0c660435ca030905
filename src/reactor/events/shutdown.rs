//! The end, in good order: finish what was received, send it, say good-bye.

use std::time::Duration;

use crate::reactor::api::disconnect::Disconnect;
use crate::reactor::clock::wheel::{TICK_MILLIS, Tick, ticks};
use crate::reactor::connection::deadlines::after_event;
use crate::reactor::connection::http::Http1;
use crate::reactor::connection::states::{Connection, ConnectionState};
use crate::reactor::env::Env;
use crate::reactor::key::Key;
use crate::reactor::parts::{EVENTS_PER_TURN, Life, Reactor};
use crate::reactor::service::Service;
use crate::rooms::Command;
use crate::ws::CloseCode;

/// Two signals within this time are one: a terminal and a service manager both tell a group of processes.
const ONE_SIGNAL: Duration = Duration::from_millis(200);

/// Rounds of accepting before the listening sockets are closed: as many as empty the longest queue (4096 connections at 128
/// in a round), and an end to it where more come all the time.
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
                    self.signalled_at = Some(self.shared.now);
                    self.begin_shutdown();
                }
                Some(at) if self.shared.now.saturating_sub(at) < ticks(ONE_SIGNAL) => {}
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
            let deadline = self.shared.now.saturating_add(ticks(self.shared.limits.shutdown_grace));
            // As many turns as it takes to hear of every connection that has input, and one for what is behind it.
            let turns = 2 + self.connections.len() / EVENTS_PER_TURN;
            self.life = Life::Reading(turns, deadline);
        }
    }

    /// Accepts the connections that wait in the kernel's queue: closing the listening socket would reset them.
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
            // What was read is finished, too, unless clients that compress, or relay, do not stop sending.
            Life::Reading(0, deadline)
                if (self.shared.inflating.is_waiting() || !self.shared.background.is_empty())
                    && self.shared.now < self.answered_by(deadline) => {}
            Life::Reading(0, deadline) => {
                // A publisher that does not stop must not keep the shards from coming to an end.
                self.shared.paused = true;
                self.life = Life::Answering(deadline);
                self.finish_requests();
                self.advance_shutdown();
            }
            Life::Reading(turns, deadline) => self.life = Life::Reading(turns - 1, deadline),
            Life::Answering(deadline) => {
                if self.has_requests() && self.shared.now < self.answered_by(deadline) {
                    return;
                }
                self.stop_finishing();
                for shard in &mut self.shared.shards {
                    shard.push(Command::Barrier);
                }
                self.life = Life::Flushing(self.shared.shards.len(), deadline);
            }
            Life::Flushing(0, deadline) => self.close_all(deadline),
            Life::Flushing(_, deadline) if self.shared.now >= self.flushed_by(deadline) => {
                let waited = self.shared.limits.shutdown_grace / 2;
                tracing::warn!(
                    "shutdown: store did not commit within {waited:?} (half of shutdown.grace), closing sessions anyway"
                );
                self.close_all(deadline);
            }
            Life::Flushing(..) => {}
        }
    }

    /// Lets the clients read on that have sent requests which were not answered yet.
    fn finish_requests(&mut self) {
        for key in self.connections.keys() {
            // A long poll is told now that there is nothing: what was received behind it comes after it.
            if self.has_fallback(key) {
                self.answer_late(key);
            }
            let Some(connection) =
                self.connections.get_mut(key).filter(|connection| owes_answers(connection))
            else {
                continue;
            };
            connection.finishing = true;
            self.finishing.push(key);
            if connection.unread {
                connection.make_ready(key, &mut self.shared);
            }
        }
    }

    /// Whether a request waits that is answered in any case, as a long poll is.
    fn has_fallback(&self, key: Key) -> bool {
        self.connections.get(key).and_then(Connection::http).is_some_and(Http1::has_fallback)
    }

    /// Whether answers are owed still.
    fn has_requests(&mut self) -> bool {
        let connections = &mut self.connections;
        self.finishing.retain(|&key| {
            let Some(connection) = connections.get_mut(key) else { return false };
            // Once it has nothing more, what it sends from now on came too late.
            connection.finishing = owes_answers(connection);
            connection.finishing
        });
        !self.finishing.is_empty()
    }

    fn stop_finishing(&mut self) {
        for key in std::mem::take(&mut self.finishing) {
            if let Some(connection) = self.connections.get_mut(key) {
                connection.finishing = false;
            }
        }
    }

    /// When the loop has to wake up to go on with shutting down, even if nothing else happens.
    pub(crate) fn shutdown_alarm(&self) -> Option<Tick> {
        match self.life {
            // A turn follows at once.
            Life::Serving | Life::Reading(..) | Life::Flushing(0, _) => None,
            Life::Answering(deadline) => Some(self.answered_by(deadline)),
            Life::Flushing(_, deadline) => Some(self.flushed_by(deadline)),
            Life::Closing(deadline) => Some(deadline),
        }
    }

    /// Until when messages are inflated and requests are answered, if the end has to be reached at `deadline`: what they
    /// bring about takes time, too.
    fn answered_by(&self, deadline: Tick) -> Tick {
        deadline.saturating_sub(ticks(self.shared.limits.shutdown_grace) / 4 * 3)
    }

    /// Until when the shards are waited for, if the end has to be reached at `deadline`.
    fn flushed_by(&self, deadline: Tick) -> Tick {
        deadline.saturating_sub(ticks(self.shared.limits.shutdown_grace) / 2)
    }

    fn close_all(&mut self, deadline: Tick) {
        self.life = Life::Closing(deadline);
        self.shared.paused = false;
        for key in self.connections.keys() {
            // A long poll is told that there is nothing new, and where to go on.
            if self.has_fallback(key) {
                self.answer_late(key);
            }
            let Some(connection) = self.connections.get_mut(key) else { continue };
            if connection.unread {
                connection.make_ready(key, &mut self.shared);
            }
            if matches!(
                connection.state,
                ConnectionState::Preamble(_) | ConnectionState::Http(_) | ConnectionState::Idle { .. }
            ) {
                if let ConnectionState::Http(http1) = &connection.state {
                    let (shared, service) = (&mut self.shared, &mut self.service);
                    http1.refuse_rest(&mut Env {
                        key,
                        outbound: &connection.outbound,
                        counted: &connection.counted,
                        shared,
                        service,
                    });
                }
                connection.drain(&self.shared);
                after_event(key, connection, &mut self.shared);
            }
            self.stop_streaming(key);
            self.with_websocket(key, |websocket, env| {
                websocket.close(CloseCode::GOING_AWAY, "server shuts down", Disconnect::Shutdown, env);
            });
        }
    }

    /// How long the shards may take to store what was published last: what is left of `shutdown.grace`.
    pub(crate) fn time_left(&self) -> Duration {
        let left = match self.life {
            Life::Closing(deadline) => {
                Duration::from_millis(deadline.saturating_sub(self.shared.now).saturating_mul(TICK_MILLIS))
            }
            Life::Serving | Life::Reading(..) | Life::Answering(_) | Life::Flushing(..) => {
                self.shared.limits.shutdown_grace
            }
        };
        left.max(LAST_COMMIT)
    }

    pub(crate) fn is_over(&self) -> bool {
        matches!(self.life, Life::Closing(deadline) if self.connections.len() == 0 || self.shared.now >= deadline)
    }
}

/// Whether the connection has sent requests that can be answered: one that waits for its answer (a long poll waits for
/// news, of which there will be none), or what was received behind it.
fn owes_answers(connection: &Connection) -> bool {
    let may_read_on = connection.unread && !connection.outbound.is_congested();
    match &connection.state {
        ConnectionState::Http(http1) if http1.is_waiting() => !http1.has_fallback(),
        ConnectionState::Http(_) | ConnectionState::Idle { .. } => may_read_on,
        ConnectionState::Preamble(_)
        | ConnectionState::WebSocket(_)
        | ConnectionState::Streaming(_)
        | ConnectionState::Draining { .. } => false,
    }
}
