//! The one thread that polls: it accepts, reads, parses, runs timers, opens and frees connections.
//!
//! It never blocks, and no peer can make it work for long: accepting and reading have budgets per turn, and whoever has
//! more waits for the next turn. Upwards it knows only the [`Service`] trait, downwards the shards' lanes and the
//! connections' write halves.
//!
//! | module | subject |
//! |---|---|
//! | this one | the loop |
//! | [`state`] | what one turn shares: time, replies, lanes |
//! | [`service`] | what the application above has to answer |
//! | [`api`] | plain types that an application sees |
//! | [`clock`] | the reactor's time and its timers |
//! | [`listen`] | listening sockets, exhaustion, quotas |
//! | [`inbox`] | what other threads want of the reactor |
//! | [`session`] | what a handler can do with a session, on this thread and on others |
//! | [`connection`] | one connection: its states, HTTP, WebSocket, the table of all |
//! | [`events`] | what the loop does for each cause: input, messages of other threads, memory, shutdown |
//! | [`reports`] | what the operator hears of refused requests and bad ends |
//! | `check` | what must be true at the end of a turn |

mod api;
#[cfg(debug_assertions)]
mod check;
mod clock;
mod connection;
mod events;
mod inbox;
mod listen;
mod reports;
mod service;
mod session;
mod state;

use std::io;
use std::os::fd::OwnedFd;
use std::sync::Arc;
use std::time::Duration;

use mio::{Events, Poll, Token, Waker};

use self::clock::wheel::Tick;
pub(crate) use self::connection::rate_limit::Ration;
pub(crate) use self::connection::table::Gauge;
use self::connection::table::{Key, Slots};
use self::events::readiness::ReadHint;
use self::events::shutdown::{Life, register_signals};
use self::inbox::mailbox::Inbox;
pub(crate) use self::inbox::mailbox::{Letter, Mailbox};
use self::listen::acceptor::Acceptor;
use self::listen::door::Door;
use self::state::Turn;
use crate::config::Listen;
use crate::http::HeadLimits;
use crate::metrics::Metrics;
use crate::proxy::Trusted;
use crate::rooms::{RoomLimits, SessionEffect};
use crate::store::Store;
use crate::transport::{Certificate, CertificateError, CertificateFiles};
use crate::workers::{self, Deadline, Report, ShardGone, Workers};
use crate::ws::deflate::Deflate;
use crate::ws::header::HEADER_BYTES_MAX;

pub use api::attributes::Attributes;
pub(crate) use api::background::Background;
pub use connection::streaming::Follow;
pub(crate) use listen::quotas::network;
pub(crate) use service::{Admission, Route, Service, State, Ticket, Verdict};
pub use service::{Answer, Arrival, Disconnect, Otherwise};
pub(crate) use session::auth::Standing;
pub use session::context::Context;
pub(crate) use session::handle::TextFrame;
pub use session::handle::{Handshake, Session};
pub use session::rooms::{JoinRequest, Membership, Post, Relayed, RoomError};
pub use session::timers::Timer;
pub(crate) use state::unix_time;

const WAKER: Token = Token(usize::MAX);
const SIGNALS: Token = Token(usize::MAX - 1);

/// Bytes read from one connection before the others get their turn. The buffer is shared by all connections. A frame of
/// 256 KiB fits in with its header: a message is gathered elsewhere only if it is longer.
const READ_BYTES: usize = 256 * 1024 + HEADER_BYTES_MAX;
const EVENTS_PER_TURN: usize = 1024;

/// The reactor's limits and deadlines. `None` turns one off.
#[derive(Clone, Debug)]
pub(crate) struct ReactorLimits {
    pub(crate) head: HeadLimits,
    pub(crate) body_bytes: usize,
    pub(crate) reply_bytes: usize,
    /// Bytes that messages of all connections together are inflated to in one turn.
    pub(crate) inflated_bytes: usize,
    pub(crate) connections: usize,
    pub(crate) connections_per_ip: Option<usize>,
    /// The proxies that are believed.
    pub(crate) trusted: Trusted,
    pub(crate) tls_timeout: Duration,
    pub(crate) sessions_per_user: Option<usize>,
    pub(crate) rooms_per_session: usize,
    /// Whether a session that sends more than its ration is closed, and not slowed down.
    pub(crate) close_on_flood: bool,
    /// Control frames of a session in `burst`.
    pub(crate) control_frames: Option<u32>,
    pub(crate) burst: Duration,
    /// Bytes that may wait for all connections together.
    pub(crate) memory: Option<usize>,
    pub(crate) handshake_timeout: Duration,
    pub(crate) close_timeout: Duration,
    pub(crate) message_timeout: Duration,
    pub(crate) write_timeout: Duration,
    pub(crate) ping_interval: Option<Duration>,
    pub(crate) idle_timeout: Option<Duration>,
    pub(crate) shutdown_grace: Duration,
    /// How replies are compressed for clients that agreed on it; the window is each client's own.
    pub(crate) deflate: Deflate,
}

/// Everything a reactor starts from.
#[derive(Debug)]
pub(crate) struct Setup {
    pub(crate) listen: Vec<Listen>,
    /// Sockets that listen already, each with whether TLS is spoken there.
    pub(crate) sockets: Vec<(OwnedFd, bool)>,
    /// Who may connect to Unix sockets.
    pub(crate) unix_mode: u32,
    /// Whether connections begin with a PROXY header.
    pub(crate) proxy_protocol: bool,
    /// Certificate and key, if TLS is spoken anywhere.
    pub(crate) tls: Option<CertificateFiles>,
    pub(crate) limits: ReactorLimits,
    pub(crate) rooms: RoomLimits,
    /// One random number for each shard.
    pub(crate) shard_seeds: Vec<u64>,
    /// Whether there is a single shard, run by the reactor itself.
    pub(crate) shard_here: bool,
    /// Where chat rooms are kept.
    pub(crate) store: Option<Store>,
    pub(crate) metrics: Metrics,
    /// The subprotocols of each endpoint, for what is said of them in callbacks.
    pub(crate) subprotocols: Vec<Vec<String>>,
    /// The path of each endpoint.
    pub(crate) paths: Vec<String>,
    /// Whether `SIGTERM` and `SIGINT` shut the server down.
    pub(crate) signals: bool,
}

/// The reactor. [`Reactor::run`] is the server.
pub(crate) struct Reactor<S> {
    poll: Poll,
    inbox: Inbox,
    signals: Option<signal_hook_mio::v1_0::Signals>,
    /// When the first of them came.
    signalled_at: Option<Tick>,
    acceptor: Acceptor,
    /// Where each listener really listens.
    places: Vec<Listen>,
    /// Shown to whoever connects from now on.
    certificate: Option<Certificate>,
    proxy_protocol: bool,
    slots: Slots,
    turn: Turn,
    service: S,
    buffer: Box<[u8]>,
    life: Life,
    /// While shutting down: connections whose requests are still answered.
    finishing: Vec<Key>,
    /// A timer is on its way that lets accepting go on.
    retry_armed: bool,
    /// Letters wait that nothing will wake the reactor up for.
    letters_wait: bool,
    /// The place of the next connection whose deadlines are looked at anew, after the limits have changed.
    review_from: Option<usize>,
    /// Last, so that the lanes and the inbox are gone when it waits for the threads.
    workers: Workers,
}

impl Report for Mailbox {
    fn effect(&self, effect: SessionEffect) {
        self.post(Letter::Effect(effect));
    }

    fn wake(&self) {
        Mailbox::ring(self);
    }
}

impl<S: Service> Reactor<S> {
    /// Opens the sockets and starts the shards.
    ///
    /// # Errors
    /// The address that could not be bound, with the system's reason; or what else the system refused.
    pub(crate) fn start(
        setup: Setup,
        service: impl FnOnce(&Mailbox, &Gauge) -> S,
    ) -> Result<Reactor<S>, StartFailure> {
        let poll = Poll::new()?;
        let gauge = Gauge::default();
        let waker = Waker::new(poll.registry(), WAKER)?;
        let (mailbox, inbox) = Mailbox::new(waker, setup.metrics.clone());
        let certificate = setup.tls.as_ref().map(Certificate::load).transpose()?;
        let (mut doors, mut places) = (Vec::new(), Vec::new());
        for listen in setup.listen {
            let door = Door::open(&listen.place, setup.unix_mode);
            doors.push((door.map_err(|error| StartFailure::Listen(listen.clone(), error))?, listen.tls));
        }
        for (number, (socket, tls)) in setup.sockets.into_iter().enumerate() {
            let door = Door::take_over(socket).map_err(|error| StartFailure::Passed(number, error))?;
            doors.push((door, tls));
        }
        for (door, tls) in &doors {
            if *tls && certificate.is_none() {
                return Err(StartFailure::NoCertificate);
            }
            places.push(Listen { place: door.place()?, tls: *tls });
        }
        let acceptor = Acceptor::new(doors, poll.registry(), setup.metrics.clone())?;
        let signals = if setup.signals { Some(register_signals(&poll)?) } else { None };
        let (workers, lanes) = workers::start(
            &setup.rooms,
            &setup.shard_seeds,
            setup.shard_here,
            setup.store.as_ref(),
            &mailbox,
        )?;
        Ok(Reactor {
            poll,
            inbox,
            signals,
            signalled_at: None,
            acceptor,
            places,
            certificate,
            proxy_protocol: setup.proxy_protocol,
            service: service(&mailbox, &gauge),
            slots: Slots::new(gauge),
            turn: Turn::new(
                Arc::new(setup.limits),
                lanes,
                mailbox,
                setup.metrics,
                setup.subprotocols,
                setup.paths,
            ),
            buffer: vec![0; READ_BYTES].into_boxed_slice(),
            life: Life::Serving,
            finishing: Vec::new(),
            retry_armed: false,
            letters_wait: false,
            review_from: None,
            workers,
        })
    }

    /// The places really bound, in the order asked for.
    pub(crate) fn places(&self) -> &[Listen] {
        &self.places
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
        self.workers.deadline.set_in(self.time_left());
        outcome
    }

    /// Until when the shards, and whoever else has something to store, may wait for the store: known when
    /// [`Reactor::run`] returns.
    pub(crate) fn deadline(&self) -> Deadline {
        self.workers.deadline.clone()
    }

    fn serve(&mut self) -> Result<(), RunFailure> {
        self.inbox.settle_here();
        let mut events = Events::with_capacity(EVENTS_PER_TURN);
        let mut due = Vec::new();
        while !self.is_over() {
            let timeout = self.timeout();
            match self.poll.poll(&mut events, timeout) {
                Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
                polled => polled.map_err(RunFailure::Poll)?,
            }
            self.turn.tick(timeout);
            self.take_turn(&events, &mut due)?;
        }
        Ok(())
    }

    /// Everything that is to be done now. `due` is empty before and after.
    fn take_turn(&mut self, events: &Events, due: &mut Vec<Key>) -> Result<(), ShardGone> {
        self.inflate();
        for event in events {
            self.on_event(event);
            self.shed();
        }
        if self.letters_wait {
            self.read_letters();
        }
        self.review();
        self.read_ready();
        self.accept();
        self.turn.advance_background();
        self.turn.timers.advance(self.turn.now, due);
        for key in due.drain(..) {
            self.on_timer(key);
        }
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
    pub(crate) fn settle(&mut self, elapsed: Duration) -> Result<(), RunFailure> {
        self.inbox.settle_here();
        self.turn.set_time(elapsed);
        let mut events = Events::with_capacity(16);
        loop {
            self.poll.poll(&mut events, Some(Duration::ZERO)).map_err(RunFailure::Poll)?;
            self.take_turn(&events, &mut Vec::new())?;
            let waits = !self.turn.held.is_empty()
                || self.turn.has_work()
                || self.acceptor.is_ready()
                || self.letters_wait
                || self.review_from.is_some();
            if events.is_empty() && !waits {
                return Ok(());
            }
        }
    }

    /// Connections that are open, and the bytes that wait in memory for all of them.
    #[cfg(any(test, feature = "fuzzing"))]
    pub(crate) fn burden(&self) -> (usize, usize) {
        (self.slots.len(), self.turn.waiting.bytes())
    }

    /// Hands the commands of this turn to their shards, and does what those say that are run here.
    fn dispatch(&mut self) -> Result<(), ShardGone> {
        let mut effects = std::mem::take(&mut self.turn.effects);
        let dispatched = self.turn.lanes.iter_mut().try_for_each(|lane| lane.dispatch(&mut effects));
        effects.drain(..).for_each(|effect| self.carry_out(effect));
        self.turn.effects = effects;
        dispatched
    }

    fn timeout(&self) -> Option<Duration> {
        let waits_for_turn = self.acceptor.is_ready()
            || self.letters_wait
            || self.review_from.is_some()
            || matches!(self.life, Life::Reading(..) | Life::Flushing(0, _));
        if waits_for_turn { Some(Duration::ZERO) } else { self.turn.timeout() }
    }

    fn on_event(&mut self, event: &mio::event::Event) {
        match event.token() {
            WAKER => self.letters_wait = true,
            SIGNALS => self.read_signals(),
            token if self.acceptor.note(token) => {}
            token => {
                let key = Key::of(token);
                if event.is_writable() {
                    self.on_writable(key);
                }
                let broken = event.is_error();
                let ending = event.is_read_closed() || broken;
                let urgent = event.is_priority();
                if event.is_readable() || ending || urgent {
                    self.read(key, ReadHint { ending, broken, urgent });
                }
            }
        }
    }
}

/// Why a reactor could not be started.
#[derive(Debug)]
pub(crate) enum StartFailure {
    /// The place cannot be listened on.
    Listen(Listen, io::Error),
    /// The socket of this number, of those that were passed, cannot be used.
    Passed(usize, io::Error),
    /// TLS is to be spoken without a certificate.
    NoCertificate,
    /// Certificate or key cannot be used.
    Certificate(CertificateError),
    /// The system refused something else.
    System(io::Error),
}

impl From<io::Error> for StartFailure {
    fn from(error: io::Error) -> Self {
        StartFailure::System(error)
    }
}

impl From<CertificateError> for StartFailure {
    fn from(error: CertificateError) -> Self {
        StartFailure::Certificate(error)
    }
}

/// Why a reactor could not go on.
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
