//! A server in the process of a test.

use std::net::{Ipv4Addr, SocketAddr};
use std::panic;
use std::sync::mpsc::{Receiver, RecvTimeoutError, sync_channel};
use std::sync::{Mutex, PoisonError};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use super::PATIENCE;
use crate::server::{self, Builder, Rooms, Router, RunError, ServerHandle, StartError};

/// Tests end with connections open; a test does not wait for clients that do not answer.
const CLOSE_TIMEOUT: Duration = Duration::from_millis(500);
const SHUTDOWN_GRACE: Duration = Duration::from_secs(2);

/// A server on a free port of 127.0.0.1, on a thread of its own, in the process of the test; see the
/// [example](crate::testing).
///
/// Dropping it shuts it down in good order and waits for its end, within `shutdown.grace`. If it does not end, or had to
/// stop for another reason, that panics, unless the test is panicking already: the test has failed.
#[derive(Debug)]
pub struct Server {
    addresses: Vec<SocketAddr>,
    handle: ServerHandle,
    /// In a lock, so that threads of a test can share the server.
    ended: Mutex<Receiver<Result<(), RunError>>>,
    thread: Option<JoinHandle<()>>,
}

impl Server {
    /// A server with the default configuration, apart from shorter waits at its end.
    ///
    /// # Errors
    /// [`StartError`].
    pub fn start(router: Router) -> Result<Server, StartError> {
        Server::with(|builder| builder.router(router))
    }

    /// A server that is built further: with a configuration, a store (whose threads have to be dropped after the server),
    /// more places to listen on.
    ///
    /// ```
    /// use foghorn::server::Router;
    /// use foghorn::testing::Server;
    ///
    /// let server = Server::with(|builder| {
    ///     builder.configure(|config| config.limits.message_bytes = 1000).router(Router::new())
    /// })?;
    /// assert!(server.address().ip().is_loopback());
    /// # Ok::<(), foghorn::server::StartError>(())
    /// ```
    ///
    /// # Errors
    /// [`StartError`].
    pub fn with(build: impl FnOnce(Builder) -> Builder) -> Result<Server, StartError> {
        let builder = server::Server::builder().listen((Ipv4Addr::LOCALHOST, 0).into());
        let builder = builder.configure(|config| {
            config.limits.close_timeout = CLOSE_TIMEOUT;
            config.shutdown.grace = SHUTDOWN_GRACE;
        });
        let server = build(builder).start()?;
        let (addresses, handle) = (server.addresses(), server.handle());
        let (end, ended) = sync_channel(1);
        let thread = thread::spawn(move || {
            let _nobody_waits_if_the_test_fails = end.send(server.run());
        });
        Ok(Server { addresses, handle, ended: Mutex::new(ended), thread: Some(thread) })
    }

    /// Where it listens.
    #[must_use]
    pub fn address(&self) -> SocketAddr {
        self.addresses.first().copied().unwrap_or_else(|| (Ipv4Addr::LOCALHOST, 0).into())
    }

    /// This and all other addresses that it listens on, in the order they were named.
    #[must_use]
    pub fn addresses(&self) -> &[SocketAddr] {
        &self.addresses
    }

    /// Reaches the server from other threads.
    #[must_use]
    pub fn handle(&self) -> &ServerHandle {
        &self.handle
    }

    /// Its chat rooms.
    #[must_use]
    pub fn rooms(&self) -> &Rooms {
        self.handle.rooms()
    }

    /// Shuts the server down, waits for its end, and says how it went.
    ///
    /// # Errors
    /// [`RunError`] if it could not go on.
    ///
    /// # Panics
    /// If the server itself has, or does not end.
    pub fn stop(mut self) -> Result<(), RunError> {
        self.handle.shutdown();
        self.join()
    }

    /// Waits for the end of a server that was told to shut down, and says how it went.
    ///
    /// # Errors
    /// As [`Server::stop`].
    ///
    /// # Panics
    /// As [`Server::stop`].
    pub fn wait(mut self) -> Result<(), RunError> {
        self.join()
    }

    fn join(&mut self) -> Result<(), RunError> {
        let Some(thread) = self.thread.take() else { return Ok(()) };
        let ended = self.ended.get_mut().unwrap_or_else(PoisonError::into_inner).recv_timeout(PATIENCE);
        #[expect(clippy::panic, reason = "what a test has in hand has failed, so the test has")]
        if let Err(RecvTimeoutError::Timeout) = ended {
            panic!("the server does not end");
        }
        match (ended, thread.join()) {
            (_, Err(panicked)) => panic::resume_unwind(panicked),
            (ended, Ok(())) => ended.unwrap_or(Ok(())),
        }
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.handle.shutdown();
        if thread::panicking() {
            return;
        }
        #[expect(clippy::panic, reason = "what a test has in hand has failed, so the test has")]
        if let Err(error) = self.join() {
            panic!("the server had to stop: {error}");
        }
    }
}
