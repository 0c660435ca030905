//! The one thread that polls: it accepts, reads, parses, runs timers, opens and frees connections.
//!
//! It never blocks, and no peer can make it work for long: accepting and reading have budgets per turn, and a peer
//! with more waits for the next turn. Upwards it knows only the [`Service`] trait, downwards the handles of the shards and the
//! connections' write halves.
//!
//! | module | subject |
//! |---|---|
//! | this one | the loop: poll, one turn |
//! | [`setup`] | what it starts from |
//! | [`parts`], [`signals`] | what it consists of; `SIGTERM` and `SIGINT` |
//! | [`events`] | what it does for each cause: input, messages of other threads, memory, shutdown |
//! | [`connection`] | one connection: its states, HTTP, WebSocket; the table of all |
//! | [`reports`] | what the operator hears of requests and sessions |
//! | [`env`] | what a session borrows during an event |
//! | [`service`] | what the application above has to answer |
//! | [`session`] | what a handler can do with a session, on this thread and on others |
//! | [`state`] | what one turn shares: time, replies, shards |
//! | [`counters`], [`ended`], [`found`] | what it counts; the sessions that have ended last; those that an operator looks for |
//! | [`inflation`] | how much is inflated in one turn, and what waits for its turn |
//! | [`incidents`] | which lines may be written to the log |
//! | [`listen`] | listening sockets, exhaustion, quotas |
//! | [`inbox`] | what other threads want of the reactor |
//! | [`clock`] | the reactor's time and its timers |
//! | [`api`] | plain types that an application sees |
//! | [`limits`], [`key`] | the limits; the name of a connection |
//! | `check` | what must be true at the end of a turn, in debug builds |
//!
//! Each knows those below it alone.

mod api;
#[cfg(debug_assertions)]
mod check;
mod clock;
mod connection;
mod counters;
mod ended;
mod env;
mod events;
mod found;
mod inbox;
mod incidents;
mod inflation;
mod key;
mod limits;
mod listen;
mod parts;
mod reports;
mod service;
mod session;
mod setup;
mod signals;
mod state;

use std::io;
use std::time::Duration;

use mio::Events;

use self::clock::wheel::Tick;
use self::connection::states::InputEnd;
use self::events::readiness::ReadHint;
use self::parts::{EVENTS_PER_TURN, Life, SIGNALS, WAKER};
use crate::config::Listen;
use crate::system::Readiness;
use crate::workers::{Deadline, ShardGone};

pub use api::answer::{Answer, Fallback};
pub use api::attributes::Attributes;
pub(crate) use api::background::Background;
pub use api::disconnect::Disconnect;
pub use api::handshake::Handshake;
pub use api::join::{JoinRequest, Membership, RoomError};
pub use api::peer_info::PeerInfo;
pub use api::stream_response::StreamResponse;
pub(crate) use api::ticket::Ticket;
pub use api::timer::Timer;
pub(crate) use api::user_state::UserState;
pub(crate) use connection::table::Gauge;
pub(crate) use counters::{ClosedWith, ReactorStats};
pub(crate) use ended::EndedSession;
pub(crate) use found::{FoundSession, FoundSessions};
pub(crate) use inbox::channel::InboxSender;
pub(crate) use inbox::message::ReactorMessage;
pub(crate) use key::Key;
pub(crate) use limits::{RateLimits, ReactorLimits};
pub(crate) use listen::quotas::network;
pub(crate) use parts::Reactor;
pub(crate) use service::{Route, Service};
pub use session::context::Context;
pub use session::handle::Session;
pub(crate) use session::handle::TextFrame;
pub(crate) use session::terms::SessionEnd;
pub(crate) use setup::{Setup, StartFailure};

impl<S: Service> Reactor<S> {
    /// The public's addresses really bound, in the order asked for.
    pub(crate) fn addresses(&self) -> &[Listen] {
        &self.addresses
    }

    /// The same of those for operators.
    pub(crate) fn admin_addresses(&self) -> &[Listen] {
        &self.admin_addresses
    }

    /// The application.
    pub(crate) fn service(&self) -> &S {
        &self.service
    }

    /// Serves until told to shut down.
    ///
    /// # Errors
    /// If polling fails or a shard has died; the server cannot go on then.
    pub(crate) fn run(mut self) -> Result<(), RunFailure> {
        let outcome = self.serve();
        self.shared.tell_left_out(Tick::MAX);
        self.workers.deadline.set_in(self.time_left());
        outcome
    }

    /// Until when the shards, and other threads with something to store, may wait for the store: known when
    /// [`Reactor::run`] returns.
    pub(crate) fn deadline(&self) -> Deadline {
        self.workers.deadline.clone()
    }

    fn serve(&mut self) -> Result<(), RunFailure> {
        self.inbox.claim_thread();
        let mut events = Events::with_capacity(EVENTS_PER_TURN);
        let mut due = Vec::new();
        while !self.is_over() {
            let timeout = self.timeout();
            match self.poll.poll(&mut events, timeout) {
                Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
                polled => polled.map_err(RunFailure::Poll)?,
            }
            self.shared.tick(timeout);
            self.take_turn(&events, &mut due)?;
            self.shared.end_turn();
        }
        Ok(())
    }

    /// Everything that is to be done now. `due` is empty before and after.
    fn take_turn<'e, E: Readiness + 'e>(
        &mut self,
        events: impl IntoIterator<Item = &'e E>,
        due: &mut Vec<Key>,
    ) -> Result<(), ShardGone> {
        self.inflate();
        for event in events {
            self.on_event(event);
            self.shed();
        }
        if self.inbox_waits {
            self.read_inbox();
        }
        self.review();
        self.read_ready();
        self.accept();
        self.shared.advance_background();
        self.shared.timers.advance(self.shared.now, due);
        for key in due.drain(..) {
            self.on_timer(key);
        }
        self.retry_accept();
        self.shared.tell_left_out(self.shared.now);
        self.shed();
        self.advance_shutdown();
        self.dispatch()?;
        self.release_held();
        #[cfg(debug_assertions)]
        self.check_turn();
        Ok(())
    }

    /// Takes turns without waiting for anything, at this time of its own since the start, until there is nothing more
    /// to be done; for a reactor that is not [run](Reactor::run), in the hands of a test.
    ///
    /// # Errors
    /// As [`Reactor::run`].
    #[cfg(any(test, feature = "fuzzing"))]
    pub(crate) fn run_until_idle(&mut self, elapsed: Duration) -> Result<(), RunFailure> {
        self.inbox.claim_thread();
        self.shared.set_time(elapsed);
        let mut events = Events::with_capacity(16);
        loop {
            self.poll.poll(&mut events, Some(Duration::ZERO)).map_err(RunFailure::Poll)?;
            self.take_turn(&events, &mut Vec::new())?;
            let waits = !self.shared.held.is_empty()
                || self.shared.has_work()
                || self.acceptor.is_ready()
                || self.inbox_waits
                || self.review_from.is_some();
            if events.is_empty() && !waits {
                return Ok(());
            }
        }
    }

    /// In a simulation: what [`Reactor::run`] does before its first turn.
    #[cfg(feature = "simulation")]
    pub(crate) fn begin(&self) {
        self.inbox.claim_thread();
    }

    /// In a simulation: one turn, after a poll that has returned these events. How long the next poll may wait, if not for
    /// ever; nothing at the end.
    ///
    /// # Errors
    /// As [`Reactor::run`].
    #[cfg(feature = "simulation")]
    pub(crate) fn turn<'e, E: Readiness + 'e>(
        &mut self,
        events: impl IntoIterator<Item = &'e E>,
    ) -> Result<Option<Option<Duration>>, RunFailure> {
        if self.is_over() {
            self.workers.deadline.set_in(self.time_left());
            return Ok(None);
        }
        let timeout = self.timeout();
        self.shared.tick(timeout);
        self.take_turn(events, &mut Vec::new())?;
        Ok(Some(self.timeout()))
    }

    /// In a simulation: the workers, which have no threads.
    #[cfg(feature = "simulation")]
    pub(crate) fn workers(&mut self) -> &mut Vec<Box<dyn crate::workers::SteppedWorker>> {
        &mut self.workers.stepped
    }

    /// In a simulation: nothing is waited for any more.
    #[cfg(feature = "simulation")]
    pub(crate) fn crash(&mut self) {
        self.workers.deadline.set_in(Duration::ZERO);
    }

    /// In a simulation: lets go of the shards, as at the end.
    #[cfg(feature = "simulation")]
    pub(crate) fn abandon_workers(&mut self) {
        self.shared.shards.clear();
        self.workers.stepped.iter_mut().for_each(|worker| worker.abandon());
    }

    /// Connections that are open, and the bytes that wait in memory for all of them.
    #[cfg(any(test, feature = "fuzzing", feature = "simulation"))]
    pub(crate) fn burden(&self) -> (usize, usize) {
        (self.connections.len(), self.shared.waiting.bytes())
    }

    /// Hands the commands of this turn to their shards, and does what those say that are run here.
    fn dispatch(&mut self) -> Result<(), ShardGone> {
        let mut effects = std::mem::take(&mut self.shared.effects);
        let began = self.shared.turn_began();
        let mut shards = self.shared.shards.iter_mut();
        let dispatched = shards.try_for_each(|shard| shard.dispatch(began, &mut effects));
        effects.drain(..).for_each(|effect| self.carry_out(effect));
        self.shared.effects = effects;
        dispatched
    }

    fn timeout(&self) -> Option<Duration> {
        let waits_for_turn = self.acceptor.is_ready()
            || self.inbox_waits
            || self.review_from.is_some()
            || matches!(self.life, Life::Reading(..) | Life::Flushing(0, _));
        if waits_for_turn { Some(Duration::ZERO) } else { self.shared.timeout(self.next_alarm()) }
    }

    /// When the loop has to wake up for something of its own: a connection's timers are in the wheel.
    fn next_alarm(&self) -> Option<Tick> {
        let untold = self.shared.incidents.due();
        self.retry_accept_at.into_iter().chain(self.shutdown_alarm()).chain(untold).min()
    }

    fn on_event(&mut self, event: &impl Readiness) {
        match event.token() {
            WAKER => self.inbox_waits = true,
            SIGNALS => self.read_signals(),
            token if self.acceptor.note(token) => {}
            token => {
                let key = Key::of(token);
                if event.is_writable() {
                    self.on_writable(key);
                }
                let end = match (event.is_error(), event.is_read_closed()) {
                    (true, _) => InputEnd::Failed,
                    (false, true) => InputEnd::Near,
                    (false, false) => InputEnd::Open,
                };
                let urgent = event.is_priority();
                if event.is_readable() || end != InputEnd::Open || urgent {
                    self.read(key, ReadHint { end, urgent });
                }
            }
        }
    }
}

/// RejectReason a reactor could not go on.
#[derive(Debug)]
pub(crate) enum RunFailure {
    /// Polling failed.
    Poll(io::Error),
    /// A shard's thread has ended.
    ShardGone,
}

impl From<ShardGone> for RunFailure {
    fn from(ShardGone: ShardGone) -> Self {
        RunFailure::ShardGone
    }
}
