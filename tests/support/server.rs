//! A server in this process, on a free port of 127.0.0.1, through the public API.

use std::net::SocketAddr;
use std::path::Path;
use std::sync::Mutex;
use std::sync::mpsc::{Receiver, sync_channel};
use std::thread::JoinHandle;
use std::time::Duration;

use foghorn::config::Config;
use foghorn::server::{Router, Server, ServerHandle, store_options};
use foghorn::store::{Location, Store};
use foghorn::{chat, demo, signaling, stomp};

use super::PATIENCE;

/// A running server; dropping it shuts it down and waits for its end.
pub(crate) struct TestServer {
    address: SocketAddr,
    tls_address: Option<SocketAddr>,
    handle: ServerHandle,
    /// In a lock, so that threads of a test can share the server.
    ended: Mutex<Receiver<Result<(), String>>>,
    thread: Option<JoinHandle<()>>,
}

impl TestServer {
    /// The chat, signaling and the demonstration endpoints with the default configuration.
    pub(crate) fn start() -> TestServer {
        TestServer::with(|_| ())
    }

    /// As [`TestServer::start`], with a changed configuration.
    pub(crate) fn with(change: impl FnOnce(&mut Config)) -> TestServer {
        TestServer::with_routes(change, |router| router)
    }

    /// As [`TestServer::with`], with a store, which is in memory, and with REST, too.
    pub(crate) fn stored(change: impl FnOnce(&mut Config)) -> TestServer {
        TestServer::run(change, |router| router, Some(Location::Memory))
    }

    /// As [`TestServer::stored`], in this directory.
    pub(crate) fn stored_in(directory: &Path, change: impl FnOnce(&mut Config)) -> TestServer {
        TestServer::run(change, |router| router, Some(Location::Directory(directory.into())))
    }

    /// As [`TestServer::with`], with more to serve.
    pub(crate) fn with_routes(
        change: impl FnOnce(&mut Config),
        routes: impl FnOnce(Router) -> Router,
    ) -> TestServer {
        TestServer::run(change, routes, None)
    }

    /// As [`TestServer::stored`], with REST, and with more to serve.
    pub(crate) fn whole(
        change: impl FnOnce(&mut Config),
        routes: impl FnOnce(Router) -> Router,
    ) -> TestServer {
        TestServer::run(change, routes, Some(Location::Memory))
    }

    fn run(
        change: impl FnOnce(&mut Config),
        routes: impl FnOnce(Router) -> Router,
        location: Option<Location>,
    ) -> TestServer {
        let mut config = Config::default();
        // Tests end with connections open; nobody wants to wait for those that do not answer.
        config.limits.close_timeout = Duration::from_millis(500);
        config.shutdown.grace = Duration::from_secs(2);
        // The same tests pass whoever runs the rooms.
        config.workers =
            std::env::var("FOGHORN_TEST_WORKERS").ok().map(|count| count.parse().expect("a number"));
        change(&mut config);
        let router = chat::routes(demo::routes(Router::new()), &config);
        let router = signaling::routes(router, &config);
        let mut router = routes(stomp::routes(router, &config));
        let address = "127.0.0.1:0".parse().expect("an address");
        let mut builder = Server::builder().listen(address);
        if config.tls.certificate.is_some() {
            builder = builder.listen_on("tls:127.0.0.1:0".parse().expect("a place"));
        }
        let store = location.map(|location| Store::open(location, store_options(&config)).expect("a store"));
        if let Some((store, _)) = &store {
            router = chat::rest::routes(router, &config, store);
            router = foghorn::feed::routes(router, &config, store);
            builder = builder.store(store.clone());
        }
        let builder = builder.config(config).router(router);
        let server = builder.start().expect("a server on a free port");
        let (addresses, handle) = (server.addresses(), server.handle());
        let (end, ended) = sync_channel(1);
        let thread = std::thread::spawn(move || {
            let result = server.run().map_err(|error| error.to_string());
            drop(store);
            end.send(result).expect("the test waits for the end");
        });
        let (address, tls_address) = (addresses[0], addresses.get(1).copied());
        TestServer { address, tls_address, handle, ended: Mutex::new(ended), thread: Some(thread) }
    }

    pub(crate) fn address(&self) -> SocketAddr {
        self.address
    }

    /// Where it speaks TLS, given a certificate.
    pub(crate) fn tls_address(&self) -> SocketAddr {
        self.tls_address.expect("a certificate is configured")
    }

    pub(crate) fn handle(&self) -> &ServerHandle {
        &self.handle
    }

    /// Begins an orderly shutdown without waiting for its end.
    pub(crate) fn begin_shutdown(&self) {
        self.handle.shutdown();
    }

    /// Waits for the end of a shutdown.
    pub(crate) fn join(mut self) {
        self.wait();
    }

    fn wait(&mut self) {
        let Some(thread) = self.thread.take() else { return };
        let ended = self.ended.get_mut().expect("nobody panicked over it");
        let result = ended.recv_timeout(PATIENCE).expect("the server ends in time");
        thread.join().expect("the server's thread does not panic");
        assert_eq!(result, Ok(()));
    }
}

impl Drop for TestServer {
    fn drop(&mut self) {
        self.handle.shutdown();
        if std::thread::panicking() {
            return;
        }
        self.wait();
    }
}
