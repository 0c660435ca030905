//! `foghorn serve`: configuration, log, server.

use std::io::{self, IsTerminal, Write};
use std::path::PathBuf;
use std::thread;

use signal_hook::consts::SIGHUP;
use signal_hook::iterator::Signals;
use tracing_subscriber::EnvFilter;

use super::{Failure, passed};
use crate::config::{Config, ConfigError, Flag};
use crate::server::{Router, Server, ServerHandle, store_options};
use crate::store::{Location, Store};
use crate::{chat, demo, feed, signaling, stomp, web};

/// As long as the hash of HS256 (RFC 7518 §3.2).
const SECRET_BYTES_ADVISED: usize = 32;

#[derive(Clone, Debug, clap::Args)]
#[group(id = "serve")]
pub(super) struct Arguments {
    /// Listen here; may be repeated; port 0 picks a free one; unix:/PATH is a Unix socket, and
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
    /// What to log: a level, or a filter such as "info,foghorn::reactor=debug" [default: info]
    #[arg(long, value_name = "FILTER")]
    log: Option<String>,
    /// Read the configuration from this TOML file
    #[arg(long, value_name = "FILE")]
    config: Option<PathBuf>,
}

impl Arguments {
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
            ("--log", "log", self.log.clone()),
        ];
        given.into_iter().filter_map(|(name, key, value)| Some(Flag { name, key, value: value? })).collect()
    }

    fn load(&self) -> Result<Config, ConfigError> {
        Config::load(self.config.as_deref(), std::env::vars(), &self.flags())
    }
}

/// Serves until a signal ends it.
pub(super) fn run(arguments: &Arguments) -> Result<(), Failure> {
    // Before anything else is opened.
    let sockets = passed::take()?;
    let config = arguments.load()?;
    log_to_stderr(&config.log)?;
    warn_of_short_secret(&config);
    let location = if config.memory { Location::Memory } else { Location::Directory(config.data.clone()) };
    let (store, store_threads) = Store::open(location, store_options(&config))?;
    let router = web::routes(chat::routes(demo::routes(Router::new()), &config));
    let router = stomp::routes(router, &config);
    let router = chat::rest::routes(router, &config, &store);
    let router = feed::routes(router, &config);
    let router = signaling::routes(router, &config);
    let builder = Server::builder().config(config).router(router).store(store).handle_signals();
    let server =
        sockets.into_iter().fold(builder, |builder, (socket, tls)| builder.socket(socket, tls)).start()?;
    reload_on_hangup(arguments.clone(), server.handle())?;
    announce(&server)?;
    server.run()?;
    // Whatever the rooms have handed over is stored before the process ends.
    drop(store_threads);
    Ok(())
}

/// Takes over from the configuration what can change, with each `SIGHUP`. On a thread of its own: files are read.
fn reload_on_hangup(arguments: Arguments, server: ServerHandle) -> io::Result<()> {
    let mut signals = Signals::new([SIGHUP])?;
    let reload = move || {
        let config = arguments.load().map_err(|error| error.to_string())?;
        server.reload(&config).map_err(|error| error.to_string())?;
        warn_of_short_secret(&config);
        Ok::<_, String>(())
    };
    thread::Builder::new().name("reload".to_owned()).spawn(move || {
        for _ in signals.forever() {
            match reload() {
                Ok(()) => tracing::info!("limits, origins, certificate, and who may connect, were read anew"),
                Err(problem) => tracing::error!(problem, "nothing was read anew"),
            }
        }
    })?;
    Ok(())
}

/// Whoever has one token can try out secrets as fast as they can compute.
fn warn_of_short_secret(config: &Config) {
    let bytes = config.auth.jwt_secret.as_ref().map(|secret| secret.reveal().len());
    if bytes.is_some_and(|bytes| bytes < SECRET_BYTES_ADVISED) {
        tracing::warn!("auth.jwt_secret has less than {SECRET_BYTES_ADVISED} bytes: it can be guessed");
    }
}

/// One line for each address: where to click, and what scripts wait for.
fn announce(server: &Server) -> io::Result<()> {
    let mut stdout = io::stdout().lock();
    for place in server.places() {
        writeln!(stdout, "listening on {}", place.url())?;
    }
    stdout.flush()
}

fn log_to_stderr(filter: &str) -> Result<(), Failure> {
    let filter = EnvFilter::try_new(filter)?;
    let log = tracing_subscriber::fmt().with_env_filter(filter).with_writer(io::stderr);
    // A library in the same process may have set up its own log before.
    let _kept = log.with_ansi(io::stderr().is_terminal()).try_init();
    Ok(())
}
