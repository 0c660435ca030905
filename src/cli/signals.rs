//! Signals: the first one ends the server in good order, a second one ends the process at once, `SIGHUP` reloads.
//!
//! On threads of their own: neither a reactor nor a store that hangs keeps a signal from its effect.

use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use crossbeam_channel::{Receiver, RecvTimeoutError, Sender, bounded};
use signal_hook::consts::{SIGHUP, SIGINT, SIGTERM};
use signal_hook::iterator::Signals;
use signal_hook::low_level;

use super::failure::FAILURE;
use super::log;
use super::service_manager::ServiceManager;
use crate::server::ServerHandle;
use crate::system::instant;

/// Two signals within this time are one: a terminal and a service manager both tell a group of processes.
const ONE_SIGNAL: Duration = Duration::from_millis(200);
/// How long the last lines of the log may take when the process ends at once: no person notices this.
const LAST_WORDS: Duration = Duration::from_millis(100);
/// The reactor keeps to the grace by itself; what is given besides is for its last turn.
const GRACE_BESIDES: Duration = Duration::from_millis(250);

/// `shutdown.grace` as it is now; a reload can change it.
#[derive(Clone)]
pub(super) struct Grace(Arc<AtomicU64>);

impl Grace {
    pub(super) fn new(grace: Duration) -> Grace {
        let kept = Grace(Arc::default());
        kept.set(grace);
        kept
    }

    pub(super) fn set(&self, grace: Duration) {
        // Relaxed: nothing else is handed over with it.
        self.0.store(u64::try_from(grace.as_millis()).unwrap_or(u64::MAX), Ordering::Relaxed);
    }

    pub(super) fn now(&self) -> Duration {
        Duration::from_millis(self.0.load(Ordering::Relaxed))
    }
}

/// Kept while the server runs; dropped when it has come to its end in good order.
pub(super) struct Running {
    _ended: Sender<()>,
}

/// From now on `SIGTERM` and `SIGINT` end the server within `grace`, and `SIGHUP` calls `reload`.
pub(super) fn heed(
    server: &ServerHandle,
    grace: &Grace,
    service_manager: &ServiceManager,
    reload: impl Fn() + Send + 'static,
) -> io::Result<Running> {
    // Nothing is ever sent: that it is disconnected is the message.
    let (ended, end) = bounded(0);
    let mut signals = Signals::new([SIGTERM, SIGINT])?;
    let (server, grace, service_manager) = (server.clone(), grace.clone(), service_manager.clone());
    spawn("signals", move || {
        let mut ending = ServerEnd { server, grace, service_manager, end, since: None };
        signals.forever().for_each(|signal| ending.note(signal));
    })?;
    // Reloading reads files, which may take its time.
    let mut hangups = Signals::new([SIGHUP])?;
    spawn("reload", move || hangups.forever().for_each(|_| reload()))?;
    Ok(Running { _ended: ended })
}

fn spawn(name: &str, run: impl FnOnce() + Send + 'static) -> io::Result<()> {
    thread::Builder::new().name(name.to_owned()).spawn(run).map(drop)
}

/// The end of the server, as far as signals have brought it.
struct ServerEnd {
    server: ServerHandle,
    grace: Grace,
    service_manager: ServiceManager,
    /// Disconnected when the server has ended.
    end: Receiver<()>,
    /// When the first signal came.
    since: Option<Instant>,
}

impl ServerEnd {
    fn note(&mut self, signal: i32) {
        let now = instant();
        let Some(since) = self.since else {
            self.since = Some(now);
            tracing::info!(signal, "shutting down");
            self.service_manager.tell_stopping();
            return self.begin();
        };
        if now.duration_since(since) < ONE_SIGNAL {
            return;
        }
        tracing::warn!(signal, "second signal, leaving at once");
        leave();
    }

    /// Tells the server, on another thread: its inbox may be full.
    fn begin(&self) {
        let (server, grace, end) = (self.server.clone(), self.grace.now(), self.end.clone());
        let begun = spawn("shutdown", move || {
            server.shutdown();
            if end.recv_timeout(grace + GRACE_BESIDES) == Err(RecvTimeoutError::Timeout) {
                tracing::error!("the server has not ended within shutdown.grace, leaving at once");
                leave();
            }
        });
        if let Err(error) = begun {
            tracing::error!(%error, "there is no thread to shut down with, leaving at once");
            leave();
        }
    }
}

/// Ends the process without waiting for any of its threads.
fn leave() -> ! {
    log::finish(LAST_WORDS);
    low_level::exit(i32::from(FAILURE))
}
