//! `foghorn serve`: configuration, log, server, and what a signal does to it.

use std::io::{self, Write};
use std::os::fd::OwnedFd;
use std::path::PathBuf;
use std::time::Duration;

use super::failure::{Failure, cannot_print};
#[cfg(feature = "redis")]
use super::joining::{self, Joining};
use super::service_manager::ServiceManager;
use super::signals::{Grace, Running};
use super::{config, log, signals, socket_activation, start};
#[cfg(feature = "admin")]
use crate::admin;
#[cfg(feature = "redis")]
use crate::cluster::{ClusterOptions, ClusterTls};
use crate::config::{Config, ConfigError, Flag};
#[cfg(feature = "metrics")]
use crate::metrics;
use crate::server::{RESTART_FREE_KEYS, Router, Server, ServerHandle, store_location, store_options};
#[cfg(feature = "stomp")]
use crate::stomp;
use crate::store::{Store, StoreThreads};
use crate::{chat, demo, feed, signaling, web};

/// As long as the hash of HS256 (RFC 7518 §3.2).
const SECRET_BYTES_ADVISED: usize = 32;

/// A store that does not answer is waited for this much longer than `shutdown.grace`: after a signal, the thread that
/// watches the grace ends the process before, with a line that says so.
const WATCHDOG_FIRST: Duration = Duration::from_secs(1);

#[derive(Clone, Debug, clap::Args)]
#[group(id = "serve")]
pub(super) struct ServeArgs {
    /// Listen here, as ADDR:PORT or NAME:PORT; may be repeated; port 0 picks a free one; unix:/PATH is a Unix socket, and
    /// tls:… speaks TLS [default: 127.0.0.1:8080]
    #[arg(long, value_name = "PLACE")]
    listen: Vec<String>,
    /// The certificate for TLS, followed by those that vouch for it (PEM); read again on SIGHUP
    #[arg(long, value_name = "FILE")]
    tls_certificate: Option<String>,
    /// The private key of that certificate (PEM)
    #[arg(long, value_name = "FILE")]
    tls_key: Option<String>,
    /// Threads that run rooms; 0: none of their own [default: one for each core, 0 if there is one core]
    #[arg(long, value_name = "N")]
    workers: Option<String>,
    /// Keep the chat rooms in this directory [default: ./foghorn-data]
    #[arg(long, value_name = "DIR", conflicts_with = "memory")]
    data: Option<String>,
    /// Keep the chat rooms in memory only
    #[arg(long)]
    memory: bool,
    /// Keep the chat rooms in this MongoDB: mongodb://[USER:PASSWORD@]HOST[:PORT][/DATABASE]
    #[arg(long, value_name = "URL", conflicts_with = "memory")]
    store: Option<String>,
    /// Act as one with all servers that keep their chat rooms in this Redis: redis://[USER:PASSWORD@]HOST[:PORT]
    #[arg(long, value_name = "URL")]
    cluster: Option<String>,
    /// What to log: a level, or a filter such as "info,foghorn::reactor=debug" [default: info]
    #[arg(long, value_name = "FILTER")]
    log: Option<String>,
    /// How lines of the log look: text or json [default: text]
    #[arg(long, value_name = "FORMAT")]
    log_format: Option<String>,
    /// Read the configuration from this TOML file
    #[arg(long, value_name = "FILE")]
    config: Option<PathBuf>,
}

impl ServeArgs {
    fn flags(&self) -> Vec<Flag<'static>> {
        let listen = (!self.listen.is_empty()).then(|| self.listen.join(","));
        let given = [
            ("--listen", "listen", listen),
            ("--tls-certificate", "tls.certificate", self.tls_certificate.clone()),
            ("--tls-key", "tls.key", self.tls_key.clone()),
            ("--workers", "workers", self.workers.clone()),
            ("--data", "data", self.data.clone()),
            ("--data", "memory", self.data.as_ref().map(|_| "false".to_owned())),
            ("--memory", "memory", self.memory.then(|| "true".to_owned())),
            ("--store", "store.url", self.store.clone()),
            ("--store", "memory", self.store.as_ref().map(|_| "false".to_owned())),
            ("--cluster", "cluster.url", self.cluster.clone()),
            ("--log", "log", self.log.clone()),
            ("--log-format", "log_format", self.log_format.clone()),
        ];
        given.into_iter().filter_map(|(name, key, value)| Some(Flag { name, key, value: value? })).collect()
    }

    fn load(&self) -> Result<Config, ConfigError> {
        config::load(self.config.as_deref(), &self.flags())
    }
}

/// Opens the store and serves; the store has come to its end when this returns, or has not answered in time.
pub(super) fn run(arguments: &ServeArgs) -> Result<(), Failure> {
    // Before anything else is opened.
    let sockets = socket_activation::take()?;
    let service_manager = ServiceManager::find()?;
    let config = arguments.load()?;
    log::begin(&config)?;
    warn_of_short_secret(&config);
    let (store, store_threads, joining) = open_store(&config)?;
    let grace = Grace::new(config.shutdown.grace);
    let served = serve(arguments, &config, sockets, (store, &joining), &grace, &service_manager);
    // Whatever the rooms have handed over is stored before the process ends, also if the server could not start.
    let is_stored = store_threads.finish_within(grace.now() + WATCHDOG_FIRST);
    let _running = served?;
    if let Some(failure) = joining.failure() {
        return Err(failure);
    }
    if is_stored {
        Ok(())
    } else {
        Err(Failure::new("the store did not come to its end within shutdown.grace"))
    }
}

/// Where the chat rooms are: in a directory, in memory, in a database, or in what a cluster shares.
fn open_store(config: &Config) -> Result<(Store, StoreThreads, Joining), Failure> {
    if let Some(url) = &config.cluster.url {
        if config.store.url.is_some() {
            let text = "store.url: the servers of a cluster keep their chat rooms in Redis and have no archive yet (leave out --store or --cluster)";
            return Err(Failure::new(text));
        }
        return join_cluster(config, url.reveal());
    }
    let (store, threads) = Store::open(store_location(config), store_options(config))?;
    Ok((store, threads, Joining::default()))
}

#[cfg(feature = "redis")]
fn join_cluster(config: &Config, url: &str) -> Result<(Store, StoreThreads, Joining), Failure> {
    let identity = match (&config.cluster.certificate, &config.cluster.key) {
        (Some(certificate), Some(key)) => Some((certificate.clone(), key.clone())),
        (None, None) => None,
        // What is read of the configuration has both or neither.
        (Some(_), None) | (None, Some(_)) => None,
    };
    joining::join(ClusterOptions {
        url: url.to_owned(),
        tls: ClusterTls { ca: config.cluster.ca.clone(), identity },
        timeout: config.cluster.timeout,
        lease: config.cluster.lease,
        leave_notice: config.chat.leave_notice.clone(),
        store: store_options(config),
    })
}

#[cfg(not(feature = "redis"))]
fn join_cluster(_config: &Config, _url: &str) -> Result<(Store, StoreThreads, Joining), Failure> {
    Err(Failure::new("cluster: this program was built without it: cargo build --release --features redis"))
}

#[cfg(not(feature = "redis"))]
use self::NoCluster as Joining;

/// There is nothing to join.
#[cfg(not(feature = "redis"))]
#[derive(Default)]
struct NoCluster;

#[cfg(not(feature = "redis"))]
impl NoCluster {
    fn ends(&self, _server: ServerHandle) {}

    fn failure(&self) -> Option<Failure> {
        None
    }
}

/// Serves until a signal ends it. What is returned ends the process if its end takes too long.
fn serve(
    arguments: &ServeArgs,
    config: &Config,
    sockets: Vec<(OwnedFd, bool)>,
    (store, joining): (Store, &Joining),
    grace: &Grace,
    service_manager: &ServiceManager,
) -> Result<Running, Failure> {
    let router = web::routes(chat::routes(demo::routes(Router::new()), config));
    #[cfg(feature = "stomp")]
    let router = stomp::routes(router, config);
    let router = chat::rest::routes(router, config, &store);
    #[cfg(feature = "metrics")]
    let router = metrics::routes(router, config, &store);
    #[cfg(feature = "admin")]
    let router = admin::routes(router, config);
    let router = feed::routes(router, config);
    let router = signaling::routes(router, config);
    let builder = Server::builder().config(config.clone()).router(router).store(store);
    let server =
        sockets.into_iter().fold(builder, |builder, (socket, tls)| builder.socket(socket, tls)).start()?;
    let (arguments, handle, running) = (arguments.clone(), server.handle(), config.clone());
    let reload = {
        let (grace, service_manager) = (grace.clone(), service_manager.clone());
        move || {
            service_manager.tell_reloading();
            reload(&arguments, &running, &handle, &grace);
            service_manager.tell_reloaded();
        }
    };
    let running = signals::heed(&server.handle(), grace, service_manager, reload)?;
    joining.ends(server.handle());
    start::report(config, server.listeners(), server.admin_listeners());
    announce(&server).map_err(cannot_print)?;
    service_manager.tell_ready(&server.handle())?;
    server.run()?;
    Ok(running)
}

/// Takes over from the configuration what can change while the server runs, and names what cannot.
fn reload(arguments: &ServeArgs, running: &Config, server: &ServerHandle, grace: &Grace) {
    let reloaded = arguments.load().map_err(|error| error.to_string()).and_then(|config| {
        server.reload(&config).map_err(|error| error.to_string())?;
        Ok(config)
    });
    let config = match reloaded {
        Ok(config) => config,
        Err(problem) => return tracing::error!(problem, "nothing was read anew"),
    };
    grace.set(config.shutdown.grace);
    warn_of_short_secret(&config);
    tracing::info!("limits, origins, certificate, and who may connect, were read anew");
    let is_free = |key: &String| RESTART_FREE_KEYS.iter().any(|free| key.starts_with(free));
    let needs_restart: Vec<_> =
        running.changed_keys(&config).into_iter().filter(|key| !is_free(key)).collect();
    if !needs_restart.is_empty() {
        let keys = needs_restart.join(", ");
        tracing::warn!(keys, "what changed here needs a restart; until then it is as it was");
    }
}

/// A client with one token can try out secrets offline, as fast as it can compute.
fn warn_of_short_secret(config: &Config) {
    let bytes = config.auth.jwt_secret.as_ref().map(|secret| secret.reveal().len());
    if bytes.is_some_and(|bytes| bytes < SECRET_BYTES_ADVISED) {
        tracing::warn!("auth.jwt_secret has less than {SECRET_BYTES_ADVISED} bytes: it can be guessed");
    }
}

/// One line for each address: where to click, and what scripts wait for.
fn announce(server: &Server) -> io::Result<()> {
    let mut stdout = io::stdout().lock();
    for listener in server.listeners() {
        writeln!(stdout, "listening on {}", listener.url())?;
    }
    for listener in server.admin_listeners() {
        writeln!(stdout, "admin on {}", listener.url())?;
    }
    stdout.flush()
}
