//! A server that is being put together.

use std::net::SocketAddr;
use std::num::NonZeroUsize;
use std::os::fd::OwnedFd;
use std::sync::Arc;

use super::Server;
use super::bans::{self, Keeper};
use super::dispatch::Dispatch;
use super::error::{Cause, StartError};
use super::nodes;
use super::rooms::Rooms;
use super::router::Router;
use super::rules::{CurrentRules, Rules};
use super::settings::{certificate_files, reactor_limits, room_limits, set_bounds};
use crate::config::{Config, Listen};
use crate::limit_hits::LimitHits;
use crate::reactor::{Gauge, InboxSender, Reactor, Setup};
use crate::rooms::Bounds;
use crate::store::Store;
use crate::system::{random, steady};
use crate::transport::Certificate;

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

impl Server {
    /// A server with the default configuration and nothing to serve.
    #[must_use]
    pub fn builder() -> Builder {
        Builder::new()
    }
}

impl Builder {
    fn new() -> Builder {
        Builder {
            config: Config::default(),
            listen: Vec::new(),
            sockets: Vec::new(),
            router: Router::new(),
            signals: false,
            store: None,
        }
    }

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
    #[cfg(feature = "signals")]
    #[must_use]
    pub fn handle_signals(mut self) -> Builder {
        self.signals = true;
        self
    }

    /// Keeps the chat rooms in this store, so that they survive the server. Without one they live in memory, as long as
    /// they have members and for a while afterwards. The threads of the store have to be there until [`Server::run`] has returned: a
    /// server waits for what it has handed over, as long as `shutdown.grace` has not passed. Dropping those threads waits
    /// for the store without end; [`StoreThreads::finish_within`](crate::store::StoreThreads::finish_within) does not.
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
        let rules = Rules::load(&config).map_err(|error| StartError(Cause::Keys(error)))?;
        // If it cannot be had, the reactor says so when it is to speak TLS.
        let certificate = certificate_files(&config).and_then(|files| Certificate::load(&files).ok());
        if let Some(Err(error)) = certificate.as_ref().map(Certificate::check_dates) {
            tracing::warn!(%error, "the certificate cannot be relied on");
        }
        let rules = CurrentRules::new(rules.with_certificate(certificate));
        let listen = if listen.is_empty() && sockets.is_empty() { config.listen.clone() } else { listen };
        let cores = std::thread::available_parallelism().map_or(1, NonZeroUsize::get);
        // With one processor a thread for the rooms is nothing but a detour.
        let workers = config.workers.unwrap_or(if cores == 1 { 0 } else { cores });
        let shards = workers.max(1);
        let (limit_hits, kept_in) = (LimitHits::default(), store.clone());
        let bounds = Bounds::new(shards).counted_by(limit_hits.clone()).clock(steady);
        let bounds = Arc::new(bounds.recorders(config.admin.recorder_bytes, config.admin.recorder_memory));
        set_bounds(&bounds, &config.limits);
        let setup = Setup {
            listen,
            sockets,
            admin: config.admin.listen.clone(),
            unix_mode: config.unix_mode,
            proxy_protocol: config.proxy.protocol,
            tls: certificate_files(&config),
            limits: reactor_limits(&config),
            rooms: room_limits(&config, bounds.clone(), store.is_some()),
            shard_here: workers == 0,
            // By chance: epochs are made of them, and a room of the next process must not have one of this process.
            shard_seeds: (0..shards).map(|_| random()).collect(),
            signals,
            store,
            subprotocols: router.subprotocols(),
            paths: router.endpoint_paths(),
            limit_hits: limit_hits.clone(),
        };
        let bans = match &kept_in {
            Some(store) => {
                let here = bounds.clone();
                let restored = store.when_there(Box::new(move |store| bans::restore(store, &here)));
                if let Some(Err(error)) = restored {
                    let lost = "store: the bans could not be read; no user is banned until a new ban";
                    tracing::error!(error, "{lost}");
                }
                Some(
                    Keeper::start(store.clone(), bounds.clone())
                        .map_err(|error| StartError(Cause::Thread(error)))?,
                )
            }
            None => None,
        };
        let dispatch = |inbox: &InboxSender, gauge: &Gauge| {
            let rooms = Rooms::new(inbox.clone(), gauge.clone(), limit_hits, bounds, shards, kept_in);
            nodes::listen(&rooms);
            Dispatch::new(router, &config, rules.clone(), inbox, rooms)
        };
        let reactor =
            Reactor::start(setup, dispatch).map_err(|failure| StartError(Cause::Reactor(failure)))?;
        Ok(Server { reactor, rules, bans })
    }
}
