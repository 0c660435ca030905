//! The public API: a server, its router, the handlers of its endpoints.
//!
//! | to | there is |
//! |---|---|
//! | put a server together, run it, stop it | [`Builder`], [`Server`], [`ServerHandle`] |
//! | say what is served at which path | [`Router`], [`Endpoint`] |
//! | answer the sessions of an endpoint | [`Handler`], with a [`Context`] in each callback |
//! | reach a session from other threads | [`Session`] |
//! | enter rooms and publish there | [`Context::join`] with a [`JoinRequest`], [`Context::publish_text`] |
//! | reach rooms from other threads | [`Rooms`] |
//! | look at requests before the handlers do | [`Interceptor`] |
//! | answer plain HTTP beside the WebSockets | [`Api`], [`Router::page`] |
//! | speak another language than JSON to a room's members | [`Encoding`] |
//!
//! | file | subject |
//! |---|---|
//! | this one | a server, and the handle that reaches it from any thread |
//! | `builder`, `settings` | a server is put together; what its parts need of the configuration |
//! | `router`, `endpoint` | which path leads where; the rules of an endpoint |
//! | `handler`, `interceptor`, `api` | what an application answers: sessions, all requests, plain HTTP |
//! | `auth` | authentication: which requests need a token, how a session proves its user |
//! | `dispatch`, `contained` | from the reactor's calls to the application's, where a panic ends |
//! | `rules` | what can change while the server runs |
//! | `rooms`, `history` | rooms from outside of any session; parts of their logs |
//! | `bans`, `nodes` | bans over restarts; what the nodes of a cluster tell each other |
//! | `figures` | how the server is, as JSON |
//! | `busy` | too much waits already |
//! | `error` | why a server does not start, does not go on, keeps its old configuration |
//!
//! The [guide](crate::guide) tells how these work together; here is the least that is a server:
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
mod auth;
mod bans;
mod builder;
mod busy;
mod contained;
mod dispatch;
mod endpoint;
mod error;
#[cfg(feature = "chat")]
mod figures;
mod handler;
mod history;
mod interceptor;
mod nodes;
mod rooms;
mod router;
mod rules;
mod settings;

use std::fmt;
use std::net::SocketAddr;
#[cfg(any(test, feature = "fuzzing", feature = "simulation"))]
use std::time::Duration;

use self::dispatch::Dispatch;
use self::rules::{CurrentRules, Rules};
use self::settings::{certificate_files, reactor_limits, set_bounds};
use crate::config::{Config, Listen, Place};
use crate::reactor::{Reactor, ReactorMessage};
use crate::transport::Certificate;

pub use crate::reactor::{
    Attributes, Context, Disconnect, Handshake, JoinRequest, Membership, PeerInfo, RoomError, Session, Timer,
};
#[doc(inline)]
pub use crate::rooms::{
    Ban, BanPlace, Bans, Chat, Encoding, Entry, History, Joined, Kind, MessageSteps, Notice, Online,
    OnlineSession, Position, Post, PostError, Posted, RejectReason, Relayed, ShardStats, Start, Timestamp,
    TooManyBans,
};
pub use crate::transport::{CertificateError, SendError};
pub use api::{Answer, Api, Fallback, Request, Responder, StreamResponse};
#[cfg(feature = "auth")]
#[doc(hidden)]
pub use auth::keys::hmac_algorithm;
pub use auth::keys::{KeysError, check_keys};
pub use builder::Builder;
pub use busy::Busy;
pub use endpoint::Endpoint;
pub use error::{ReloadError, RunError, StartError};
#[cfg(feature = "chat")]
pub(crate) use figures::Figures;
pub use handler::{Credentials, Handler, Names};
pub use history::HistoryRequest;
pub use interceptor::Interceptor;
pub(crate) use nodes::NodeOrder;
pub use rooms::Rooms;
pub use router::{Audience, Router};
pub use settings::{RESTART_FREE_KEYS, store_location, store_options};

/// A server that listens.
pub struct Server {
    reactor: Reactor<Dispatch>,
    rules: CurrentRules,
    /// Only where rooms are kept.
    bans: Option<bans::Keeper>,
}

impl Server {
    /// The addresses listened on, with their real ports, in the order they were named; without Unix sockets.
    #[must_use]
    pub fn addresses(&self) -> Vec<SocketAddr> {
        let address = |listen: &Listen| match &listen.place {
            Place::Tcp(address) => Some(*address),
            // None is left once a name was looked up.
            Place::Name { .. } | Place::Unix(_) => None,
        };
        self.listeners().iter().filter_map(address).collect()
    }

    /// What is listened on, TCP and Unix sockets, with their real ports, in the order they were named.
    #[must_use]
    pub fn listeners(&self) -> &[Listen] {
        self.reactor.addresses()
    }

    /// Where operators are served (`admin.listen`), with the real ports, in the order they were named.
    #[must_use]
    pub fn admin_listeners(&self) -> &[Listen] {
        self.reactor.admin_addresses()
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

    /// Serves on this thread until it is told to shut down; then every session has been closed. A store that does not
    /// answer is waited for as long as `shutdown.grace` has not passed.
    ///
    /// # Errors
    /// [`RunError`], if the server cannot go on.
    pub fn run(self) -> Result<(), RunError> {
        let Server { reactor, bans, .. } = self;
        let deadline = reactor.deadline();
        let outcome = reactor.run().map_err(RunError);
        if let Some(bans) = bans {
            bans.finish(&deadline);
        }
        outcome
    }

    /// See [`Reactor::run_until_idle`].
    ///
    /// # Errors
    /// As [`Server::run`].
    #[cfg(any(test, feature = "fuzzing"))]
    pub(crate) fn run_until_idle(&mut self, elapsed: Duration) -> Result<(), RunError> {
        self.reactor.run_until_idle(elapsed).map_err(RunError)
    }

    /// In a simulation: see [`Reactor::begin`].
    #[cfg(feature = "simulation")]
    pub(crate) fn begin(&self) {
        self.reactor.begin();
    }

    /// In a simulation: see [`Reactor::turn`].
    ///
    /// # Errors
    /// As [`Server::run`].
    #[cfg(feature = "simulation")]
    pub(crate) fn turn(
        &mut self,
        events: &[crate::system::kernel::Event],
    ) -> Result<Option<Option<Duration>>, RunError> {
        self.reactor.turn(events).map_err(RunError)
    }

    /// In a simulation: the workers.
    #[cfg(feature = "simulation")]
    pub(crate) fn workers(&mut self) -> &mut Vec<Box<dyn crate::workers::SteppedWorker>> {
        self.reactor.workers()
    }

    /// In a simulation: nothing is waited for any more.
    #[cfg(feature = "simulation")]
    pub(crate) fn crash(&mut self) {
        self.reactor.crash();
    }

    /// In a simulation: the reactor lets go of its shards, which come to their end.
    #[cfg(feature = "simulation")]
    pub(crate) fn abandon_workers(&mut self) {
        self.reactor.abandon_workers();
    }

    /// In a simulation: writes down what is left of the bans; how long it is until this is to be done again.
    #[cfg(feature = "simulation")]
    pub(crate) fn note_bans(&self) -> Duration {
        self.bans.iter().for_each(bans::Keeper::note);
        bans::NOTE_EVERY
    }

    /// See [`Reactor::burden`].
    #[cfg(any(test, feature = "fuzzing", feature = "simulation"))]
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

    /// Shuts the server down in good order: it accepts no connection, finishes what it has received, and closes every
    /// session with 1001. [`Server::run`] returns after that, within `shutdown.grace`. Must not be called in a callback.
    pub fn shutdown(&self) {
        self.rooms.inbox().post(ReactorMessage::Shutdown);
    }

    /// Takes over from a configuration what can change while the server runs: `[limits]`, `[heartbeat]`, `[origins]`,
    /// `[auth]`, `[tls]`, `[signaling]`, `[stomp]`, `[metrics]`, `admin.connections` and `proxy.trusted`, with the keys and the certificate in their files as they are now. What is
    /// open stays, with the rates and lengths of messages it began with; deadlines and counts hold for it, too. Reads
    /// files: not for a callback.
    ///
    /// # Errors
    /// [`ReloadError`]; then nothing has changed.
    pub fn reload(&self, config: &Config) -> Result<(), ReloadError> {
        config.check().map_err(ReloadError::Config)?;
        if self.rules.now().token_policy.is_some() != config.auth.is_on() {
            return Err(ReloadError::Switched);
        }
        let rules = Rules::load(config).map_err(ReloadError::Keys)?;
        let certificate = certificate_files(config).map(|files| Certificate::load(&files));
        let certificate = certificate.transpose().map_err(ReloadError::Certificate)?;
        let used = self.rules.now().certificate.clone();
        if let Some(certificate) = &certificate {
            // One that is in use already is no reason to keep everything else from changing.
            if let Err(error) = certificate.check_dates() {
                if !used.as_ref().is_some_and(|used| used.is_same_as(certificate)) {
                    return Err(ReloadError::Certificate(error));
                }
                tracing::warn!(%error, "the certificate in use cannot be relied on");
            }
            self.rooms.inbox().post(ReactorMessage::Certificate(certificate.clone()));
        }
        self.rooms.inbox().post(ReactorMessage::Limits(Box::new(reactor_limits(config))));
        self.rooms.inbox().post(ReactorMessage::Config(Box::new(config.clone())));
        set_bounds(self.rooms.bounds(), &config.limits);
        if let Some(store) = self.rooms.store() {
            store.set_rooms_max(config.limits.rooms);
        }
        self.rules.replace(rules.with_certificate(certificate.or(used)));
        Ok(())
    }
}
