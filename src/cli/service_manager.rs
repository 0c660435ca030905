//! What the service manager is told (`NOTIFY_SOCKET`, `WATCHDOG_USEC`, as systemd does it): that the server is ready, that it
//! is alive, that it reads its configuration anew, that it stops.

use std::ffi::{OsStr, OsString};
use std::io;
use std::os::linux::net::SocketAddrExt;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::net::{SocketAddr, UnixDatagram};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::Duration;

use crossbeam_channel::{RecvTimeoutError, after, bounded};

use super::failure::Failure;
use crate::server::ServerHandle;
use crate::system::monotonic_micros;

/// The way to the service manager, if there is one that wants to be told; cheap to clone.
#[derive(Clone, Debug, Default)]
pub(super) struct ServiceManager {
    channel: Option<Arc<(UnixDatagram, SocketAddr)>>,
    /// It takes the process for dead that has said nothing for so long.
    silence_max: Option<Duration>,
    stops: Arc<AtomicBool>,
}

impl ServiceManager {
    /// The one that has started this process.
    ///
    /// # Errors
    /// If what the environment says makes no sense.
    pub(super) fn find() -> Result<ServiceManager, Failure> {
        let Some(place) = std::env::var_os("NOTIFY_SOCKET").filter(|place| !place.is_empty()) else {
            return Ok(ServiceManager::default());
        };
        let channel = UnixDatagram::unbound().and_then(|socket| Ok((socket, address(&place)?)));
        let channel = channel.map_err(|error| {
            Failure::usage(format!(
                "environment variable NOTIFY_SOCKET: {} cannot be used: {error}",
                place.display()
            ))
        })?;
        let silence_max = silence_max(|name| std::env::var_os(name), std::process::id())?;
        Ok(ServiceManager { channel: Some(Arc::new(channel)), silence_max, stops: Arc::default() })
    }

    /// The server listens. From now on it is asked again and again whether all of its threads are alive, if the service
    /// manager wants to know.
    pub(super) fn tell_ready(&self, server: &ServerHandle) -> io::Result<()> {
        self.tell("READY=1");
        let Some(silence_max) = self.silence_max.filter(|_| self.channel.is_some()) else { return Ok(()) };
        let (manager, server) = (self.clone(), server.clone());
        // Twice in the time at least, as systemd advises.
        let watch = move || manager.watch(&server, silence_max / 2);
        thread::Builder::new().name("watchdog".to_owned()).spawn(watch).map(drop)
    }

    /// The configuration is about to be read anew. When, by the clock of both, since another reload may follow.
    pub(super) fn tell_reloading(&self) {
        self.tell(&format!("RELOADING=1\nMONOTONIC_USEC={}", monotonic_micros()));
    }

    /// It was read anew, or cannot be used; either way the server goes on.
    pub(super) fn tell_reloaded(&self) {
        if !self.stops.load(Ordering::Relaxed) {
            self.tell("READY=1");
        }
    }

    /// The server has begun to shut down.
    pub(super) fn tell_stopping(&self) {
        self.stops.store(true, Ordering::Relaxed);
        self.tell("STOPPING=1");
    }

    fn tell(&self, state: &str) {
        if let Some((socket, address)) = self.channel.as_deref()
            && let Err(error) = socket.send_to_addr(state.as_bytes(), address)
        {
            tracing::warn!(%error, state, "the service manager could not be told");
        }
    }

    /// For ever: what hangs is not told.
    fn watch(&self, server: &ServerHandle, every: Duration) {
        loop {
            // A server that stops is given its time by `shutdown.grace`.
            if self.stops.load(Ordering::Relaxed) || is_alive(server, every / 2) {
                self.tell("WATCHDOG=1");
            }
            let _time_is_up = after(every / 2).recv();
        }
    }
}

/// Whether the reactor and every shard answer within this time.
fn is_alive(server: &ServerHandle, within: Duration) -> bool {
    let (answered, answer) = bounded(1);
    let asked = server.rooms().ping(move || {
        let _too_late = answered.try_send(());
    });
    let is_late = match asked {
        Ok(()) => answer.recv_timeout(within) == Err(RecvTimeoutError::Timeout),
        Err(_busy) => true,
    };
    if is_late {
        tracing::warn!(
            "a thread of the server does not answer; the service manager is not told that it is alive"
        );
    }
    !is_late
}

/// The address of a socket: a path, or after `@` a name that is in no directory.
fn address(place: &OsStr) -> io::Result<SocketAddr> {
    match place.as_bytes().strip_prefix(b"@") {
        Some(name) => SocketAddr::from_abstract_name(name),
        None => SocketAddr::from_pathname(place),
    }
}

/// How long the process may say nothing, if that is meant for it.
fn silence_max(
    variable: impl Fn(&str) -> Option<OsString>,
    process: u32,
) -> Result<Option<Duration>, Failure> {
    let number = |name: &str| -> Result<Option<u64>, Failure> {
        let Some(value) = variable(name).filter(|value| !value.is_empty()) else { return Ok(None) };
        let number = value.to_str().and_then(|text| text.parse().ok()).filter(|&number| number > 0);
        let wrong =
            || Failure::usage(format!("environment variable {name}: {} is not a number", value.display()));
        number.ok_or_else(wrong).map(Some)
    };
    // Without a process it is meant for whoever reads it.
    match variable("WATCHDOG_PID").and_then(|pid| pid.to_str()?.parse::<u32>().ok()) {
        Some(other) if other != process => Ok(None),
        Some(_) | None => Ok(number("WATCHDOG_USEC")?.map(Duration::from_micros)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_watchdog_is_that_of_this_very_process() {
        let told = |pid: &str, micros: &str| {
            let variable = |name: &str| {
                let value = if name == "WATCHDOG_PID" { pid } else { micros };
                (!value.is_empty()).then(|| value.into())
            };
            silence_max(variable, 7).map_err(|failure| failure.text)
        };
        assert_eq!(told("", ""), Ok(None));
        assert_eq!(told("8", "1000"), Ok(None));
        assert_eq!(told("7", "1000"), Ok(Some(Duration::from_millis(1))));
        assert_eq!(told("", "2000000"), Ok(Some(Duration::from_secs(2))));
        for wrong in ["0", "-1", "soon"] {
            assert!(told("7", wrong).is_err_and(|text| text.contains("WATCHDOG_USEC")), "{wrong}");
        }
    }
}
