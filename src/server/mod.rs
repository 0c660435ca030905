//! The public API: a server, its router, the handlers of its endpoints.
//!
//! ```no_run
//! use foghorn::http::Head;
//! use foghorn::server::{Context, Endpoint, Handler, Router, Server};
//! use foghorn::ws::Message;
//!
//! struct Shout;
//!
//! impl Handler for Shout {
//!     type State = ();
//!
//!     fn open(&self, _cx: &mut Context<'_>, _head: &Head<'_>) {}
//!
//!     fn message(&self, cx: &mut Context<'_>, _state: &mut (), message: Message<'_>) {
//!         if let Message::Text(text) = message {
//!             cx.send_text(&text.to_uppercase());
//!         }
//!     }
//! }
//!
//! let router = Router::new().endpoint("/shout", Endpoint::new(Shout));
//! let server = Server::builder().listen("127.0.0.1:0".parse()?).router(router).start()?;
//! println!("listening on {}", server.addresses()[0]);
//! server.run()?;
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

mod api;
mod dispatch;
mod handler;
mod history;
mod interceptor;
mod rooms;
mod router;
mod rules;

use std::fmt;
use std::hash::{BuildHasher, RandomState};
use std::net::SocketAddr;
use std::num::NonZeroUsize;
use std::os::fd::OwnedFd;
use std::sync::Arc;
use std::time::Duration;

use self::dispatch::Dispatch;
use self::rules::{CurrentRules, Rules};
use crate::config::{self, Config, ConfigError, Listen, Place};
use crate::http::HeadLimits;
use crate::metrics::Metrics;
use crate::reactor::{Gauge, Letter, Mailbox, Reactor, ReactorLimits, RunFailure, Setup, StartFailure};
use crate::rooms::journal::{Durability, Retention};
use crate::rooms::log::Window;
use crate::rooms::{Bounds, Notices, OnLag, RoomLimits};
use crate::store::{self, Store};
use crate::transport::{Certificate, CertificateFiles};
use crate::ws::deflate::{Deflate, Level, WindowBits};

pub use crate::reactor::{
    Arrival, Attributes, Context, Disconnect, Handshake, JoinRequest, Membership, Post, Relayed, RoomError,
    Session, Timer,
};
#[doc(inline)]
pub use crate::rooms::{
    Chat, Encoding, Entry, History, Joined, Kind, Notice, Online, OnlineSession, Position, PostError, Posted,
    ShardStats, Start, Timestamp, Why,
};
pub use crate::transport::{CertificateError, SendError};
pub use api::{Answer, Api, Follow, Otherwise, Request, Responder};
pub use handler::{Credentials, Handler};
pub use history::HistoryRequest;
pub use interceptor::Interceptor;
pub use rooms::{Busy, Rooms};
pub use router::{Endpoint, Router};
pub use rules::{KeysError, check_keys, hmac_algorithm};

/// A server that is being put together. Made by [`Server::builder`].
#[derive(Debug)]
pub struct Builder {
    config: Config,
    listen: Vec<Listen>,
    sockets: Vec<(OwnedFd, bool)>,
    router: Router,
    signals: bool,
    store: Option<Store>,
}

impl Builder {
    /// Limits, heartbeats and the like. Its `listen` counts only if no place and no socket is named; its `data`, `memory`
    /// and `log` are for the program to heed, see [`Builder::store`].
    #[must_use]
    pub fn config(mut self, config: Config) -> Builder {
        self.config = config;
        self
    }

    /// Changes single values of the configuration.
    ///
    /// ```
    /// use std::time::Duration;
    /// use foghorn::server::Server;
    ///
    /// let builder = Server::builder().configure(|config| {
    ///     config.limits.message_bytes = 1 << 20;
    ///     config.heartbeat.ping_interval = Duration::from_secs(10);
    ///     config.deflate.enabled = false;
    /// });
    /// ```
    #[must_use]
    pub fn configure(mut self, change: impl FnOnce(&mut Config)) -> Builder {
        change(&mut self.config);
        self
    }

    /// Listens on this address, in addition to those named before. Port 0 takes a free one.
    #[must_use]
    pub fn listen(mut self, addr: SocketAddr) -> Builder {
        self.listen.push(addr.into());
        self
    }

    /// As [`Builder::listen`], for any kind of place.
    #[must_use]
    pub fn listen_on(mut self, place: Listen) -> Builder {
        self.listen.push(place);
        self
    }

    /// Serves on a socket that listens already, TCP or Unix; with `tls`, by TLS.
    #[must_use]
    pub fn socket(mut self, socket: OwnedFd, tls: bool) -> Builder {
        self.sockets.push((socket, tls));
        self
    }

    /// What is served.
    #[must_use]
    pub fn router(mut self, router: Router) -> Builder {
        self.router = router;
        self
    }

    /// Shuts down on `SIGTERM` and `SIGINT`, for a server that is the whole process. Off by default.
    #[must_use]
    pub fn handle_signals(mut self) -> Builder {
        self.signals = true;
        self
    }

    /// Keeps the chat rooms in this store, so that they survive the server. Without one they live in memory, as long as
    /// somebody is in them or was lately.
    ///
    /// ```no_run
    /// use foghorn::server::{Server, store_options};
    /// use foghorn::store::{Location, Store};
    ///
    /// let builder = Server::builder();
    /// let location = Location::Directory("./rooms".into());
    /// let (store, store_threads) = Store::open(location, store_options(builder.configuration()))?;
    /// builder.store(store).start()?.run()?;
    /// // Whatever the rooms have handed over is stored before the program ends.
    /// drop(store_threads);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    #[must_use]
    pub fn store(mut self, store: Store) -> Builder {
        self.store = Some(store);
        self
    }

    /// The configuration as it is so far.
    #[must_use]
    pub fn configuration(&self) -> &Config {
        &self.config
    }

    /// Opens the sockets and starts the threads of the rooms. Clients can connect from now on; they are answered once
    /// [`Server::run`] is called.
    ///
    /// # Errors
    /// [`StartError`].
    pub fn start(self) -> Result<Server, StartError> {
        let Builder { config, listen, sockets, router, signals, store } = self;
        config.check().map_err(|error| StartError(Cause::Config(error)))?;
        let rules = CurrentRules::new(Rules::load(&config).map_err(|error| StartError(Cause::Keys(error)))?);
        let listen = if listen.is_empty() && sockets.is_empty() { config.listen.clone() } else { listen };
        let cores = std::thread::available_parallelism().map_or(1, NonZeroUsize::get);
        // With one processor a thread for the rooms is nothing but a detour.
        let workers = config.workers.unwrap_or(if cores == 1 { 0 } else { cores });
        let shards = workers.max(1);
        let (metrics, kept_in) = (Metrics::default(), store.clone());
        let bounds = Arc::new(Bounds::new(shards));
        set_bounds(&bounds, &config.limits);
        let setup = Setup {
            listen,
            sockets,
            unix_mode: config.unix_mode,
            proxy_protocol: config.proxy.protocol,
            tls: certificate_files(&config),
            limits: reactor_limits(&config),
            rooms: room_limits(&config, bounds.clone(), store.is_some()),
            shard_here: workers == 0,
            shard_seeds: (0..shards).map(|shard| RandomState::new().hash_one(shard)).collect(),
            signals,
            store,
            subprotocols: router.subprotocols(),
            metrics: metrics.clone(),
        };
        let dispatch = |mailbox: &Mailbox, gauge: &Gauge| {
            let rooms = Rooms::new(mailbox.clone(), gauge.clone(), metrics, bounds, shards, kept_in);
            Dispatch::new(router, &config, rules.clone(), mailbox, rooms)
        };
        let reactor =
            Reactor::start(setup, dispatch).map_err(|failure| StartError(Cause::Reactor(failure)))?;
        Ok(Server { reactor, rules })
    }
}

/// A server that listens.
pub struct Server {
    reactor: Reactor<Dispatch>,
    rules: CurrentRules,
}

impl Server {
    /// A server with the default configuration and nothing to serve.
    #[must_use]
    pub fn builder() -> Builder {
        Builder {
            config: Config::default(),
            listen: Vec::new(),
            sockets: Vec::new(),
            router: Router::new(),
            signals: false,
            store: None,
        }
    }

    /// The addresses listened on, with their real ports, in the order they were named; without Unix sockets.
    #[must_use]
    pub fn addresses(&self) -> Vec<SocketAddr> {
        let address = |listen: &Listen| match listen.place {
            Place::Tcp(address) => Some(address),
            Place::Unix(_) => None,
        };
        self.places().iter().filter_map(address).collect()
    }

    /// The places listened on, with their real ports, in the order they were named.
    #[must_use]
    pub fn places(&self) -> &[Listen] {
        self.reactor.places()
    }

    /// A handle for other threads: to stop the server, to reach its rooms, to change its limits.
    #[must_use]
    pub fn handle(&self) -> ServerHandle {
        ServerHandle { rooms: self.rooms().clone(), rules: self.rules.clone() }
    }

    /// The chat rooms, for the program's own threads. What is asked before [`Server::run`] is answered after it.
    #[must_use]
    pub fn rooms(&self) -> &Rooms {
        self.reactor.service().rooms()
    }

    /// Serves on this thread until it is told to shut down; then every session has been closed.
    ///
    /// # Errors
    /// [`RunError`], if the server cannot go on.
    pub fn run(self) -> Result<(), RunError> {
        self.reactor.run().map_err(RunError)
    }

    /// See [`Reactor::settle`].
    ///
    /// # Errors
    /// As [`Server::run`].
    #[cfg(any(test, feature = "fuzzing"))]
    pub(crate) fn settle(&mut self, elapsed: Duration) -> Result<(), RunError> {
        self.reactor.settle(elapsed).map_err(RunError)
    }

    /// See [`Reactor::burden`].
    #[cfg(any(test, feature = "fuzzing"))]
    pub(crate) fn burden(&self) -> (usize, usize) {
        self.reactor.burden()
    }
}

impl fmt::Debug for Server {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Server").field("addresses", &self.addresses()).finish_non_exhaustive()
    }
}

/// Reaches a running server from any thread.
#[derive(Clone, Debug)]
pub struct ServerHandle {
    rooms: Rooms,
    rules: CurrentRules,
}

impl ServerHandle {
    /// The chat rooms.
    #[must_use]
    pub fn rooms(&self) -> &Rooms {
        &self.rooms
    }

    /// Shuts the server down in good order: nobody new is accepted, what was received is finished, every session is
    /// closed with 1001. [`Server::run`] returns after that, within `shutdown.grace`. Must not be called in a callback.
    pub fn shutdown(&self) {
        self.rooms.mailbox().post(Letter::Shutdown);
    }

    /// Takes over from a configuration what can change while the server runs: `[limits]`, `[heartbeat]`, `[origins]`,
    /// `[auth]`, `[tls]` and `proxy.trusted`, with the keys and the certificate in their files as they are now. What is
    /// open stays, with the rates and lengths of messages it began with; deadlines and counts hold for it, too. Reads
    /// files: not for a callback.
    ///
    /// # Errors
    /// [`ReloadError`]; then nothing has changed.
    pub fn reload(&self, config: &Config) -> Result<(), ReloadError> {
        config.check().map_err(ReloadError::Config)?;
        if self.rules.now().gate.is_some() != config.auth.is_on() {
            return Err(ReloadError::Switched);
        }
        let rules = Rules::load(config).map_err(ReloadError::Keys)?;
        let certificate = certificate_files(config).map(|files| Certificate::load(&files));
        if let Some(certificate) = certificate.transpose().map_err(ReloadError::Certificate)? {
            self.rooms.mailbox().post(Letter::Certificate(certificate));
        }
        self.rooms.mailbox().post(Letter::Limits(Box::new(reactor_limits(config))));
        set_bounds(self.rooms.bounds(), &config.limits);
        self.rules.replace(rules);
        Ok(())
    }
}

/// Why a running server keeps its old configuration.
#[derive(Debug)]
#[non_exhaustive]
pub enum ReloadError {
    /// A value is out of its range.
    Config(ConfigError),
    /// The keys of tokens cannot be had.
    Keys(KeysError),
    /// Certificate or key cannot be used.
    Certificate(CertificateError),
    /// Tokens are asked for and were not, or the reverse: a slip must not open a server to everybody.
    Switched,
}

impl fmt::Display for ReloadError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            ReloadError::Config(error) => error.fmt(f),
            ReloadError::Keys(error) => error.fmt(f),
            ReloadError::Certificate(error) => error.fmt(f),
            ReloadError::Switched => f.write_str("authentication is turned on or off by a restart only"),
        }
    }
}

impl std::error::Error for ReloadError {}

/// Why a server could not be started.
#[derive(Debug)]
pub struct StartError(Cause);

#[derive(Debug)]
enum Cause {
    Reactor(StartFailure),
    Keys(KeysError),
    Config(ConfigError),
}

impl fmt::Display for StartError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.0 {
            Cause::Reactor(StartFailure::Listen(addr, error)) => {
                write!(f, "cannot listen on {addr}: {error} (name another address with --listen)")
            }
            Cause::Reactor(StartFailure::Passed(number, error)) => {
                write!(f, "cannot listen on socket {number} of those that were passed: {error}")
            }
            Cause::Reactor(StartFailure::NoCertificate) => {
                f.write_str("cannot speak TLS: tls.certificate and tls.key are not set")
            }
            Cause::Reactor(StartFailure::Certificate(error)) => write!(f, "cannot speak TLS: {error}"),
            Cause::Reactor(StartFailure::System(error)) => write!(f, "cannot start: {error}"),
            Cause::Keys(error) => write!(f, "cannot start: {error}"),
            Cause::Config(error) => write!(f, "cannot start: {error}"),
        }
    }
}

impl std::error::Error for StartError {}

/// Why a running server had to stop.
#[derive(Debug)]
pub struct RunError(RunFailure);

impl fmt::Display for RunError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.0 {
            RunFailure::Poll(error) => write!(f, "cannot wait for events: {error}"),
            RunFailure::ShardGone => f.write_str("a shard's thread has died; its panic was reported before"),
        }
    }
}

impl std::error::Error for RunError {}

fn reactor_limits(config: &Config) -> ReactorLimits {
    let limits = &config.limits;
    ReactorLimits {
        head: HeadLimits { head_bytes: limits.request_head_bytes, ..HeadLimits::default() },
        body_bytes: limits.body_bytes,
        reply_bytes: limits.reply_bytes,
        connections: limits.connections,
        connections_per_ip: (limits.connections_per_ip > 0).then_some(limits.connections_per_ip),
        trusted: config.proxy.trusted.clone(),
        tls_timeout: limits.tls_timeout,
        sessions_per_user: (limits.sessions_per_user > 0).then_some(limits.sessions_per_user),
        rooms_per_session: limits.rooms_per_session,
        close_on_flood: limits.on_flood == config::OnFlood::Close,
        control_frames: control_frames(limits),
        burst: limits.burst,
        memory: (limits.memory > 0).then_some(limits.memory),
        handshake_timeout: limits.handshake_timeout,
        close_timeout: limits.close_timeout,
        message_timeout: limits.message_timeout,
        write_timeout: limits.write_timeout,
        ping_interval: unless_zero(config.heartbeat.ping_interval),
        idle_timeout: unless_zero(config.heartbeat.idle_timeout),
        shutdown_grace: config.shutdown.grace,
        deflate: deflate(&config.deflate),
    }
}

fn certificate_files(config: &Config) -> Option<CertificateFiles> {
    let (certificate, key) = config.tls.certificate.clone().zip(config.tls.key.clone())?;
    Some(CertificateFiles { certificate, key })
}

/// Control frames of one session in the time of a burst; `None` without limit.
fn control_frames(limits: &config::Limits) -> Option<u32> {
    let frames = (limits.control_frames_per_second as u128).saturating_mul(limits.burst.as_millis()) / 1000;
    (limits.control_frames_per_second > 0).then(|| u32::try_from(frames).unwrap_or(u32::MAX))
}

fn unlimited_if_zero(count: usize) -> usize {
    if count == 0 { usize::MAX } else { count }
}

fn set_bounds(bounds: &Bounds, limits: &config::Limits) {
    bounds.set(unlimited_if_zero(limits.members_per_room), limits.rooms);
    bounds.creations.set(limits.room_creations_per_second, limits.burst);
}

fn room_limits(config: &Config, bounds: Arc<Bounds>, stored: bool) -> RoomLimits {
    RoomLimits {
        window: window(config),
        on_lag: match config.rooms.on_lag {
            config::OnLag::CatchUp => OnLag::CatchUp,
            config::OnLag::Gap => OnLag::Gap,
            config::OnLag::Close => OnLag::Close,
        },
        open_rooms: config.chat.open_rooms,
        store: stored.then_some(durability(config.history.durability)),
        bounds,
        lane_members: unlimited_if_zero(config.rooms.lane_members),
        dedup_window: config.chat.dedup_window,
        deflate: deflate(&config.deflate),
        notices: Notices { join: config.chat.join_notice.clone(), leave: config.chat.leave_notice.clone() },
    }
}

fn durability(durability: config::Durability) -> Durability {
    match durability {
        config::Durability::Off => Durability::Off,
        config::Durability::Async => Durability::Async,
        config::Durability::Commit => Durability::Commit,
        config::Durability::Fsync => Durability::Fsync,
    }
}

/// What a store has to be told to suit a server of this configuration.
#[must_use]
pub fn store_options(config: &Config) -> store::Options {
    let limit = |value: usize| (value > 0).then_some(value as u64);
    let history = &config.history;
    store::Options {
        window: window(config),
        dedup_window: config.chat.dedup_window,
        durability: durability(history.durability),
        retention: Retention {
            messages_max: limit(history.messages_max),
            bytes_max: limit(history.mebibytes_max).map(|mebibytes| mebibytes << 20),
            age_max: unless_zero(history.age_max),
        },
        ..store::Options::default()
    }
}

fn window(config: &Config) -> Window {
    Window { messages: config.rooms.window_messages, bytes: config.rooms.window_bytes }
}

fn deflate(config: &config::Compression) -> Deflate {
    Deflate {
        level: u8::try_from(config.level).ok().and_then(Level::new).unwrap_or(Level::FASTEST),
        threshold_bytes: config.threshold,
        window: window_bits(config.server_window_bits),
    }
}

/// The configuration has checked the range.
fn window_bits(bits: usize) -> WindowBits {
    u8::try_from(bits).ok().and_then(WindowBits::new).unwrap_or(WindowBits::MAX)
}

fn unless_zero(duration: Duration) -> Option<Duration> {
    (!duration.is_zero()).then_some(duration)
}
