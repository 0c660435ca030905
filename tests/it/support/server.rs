//! A server in this process, on a free port of 127.0.0.1, through the public API.

use std::net::SocketAddr;
use std::path::Path;
use std::time::Duration;

use foghorn::config::Config;
use foghorn::server::{Builder, Router, ServerHandle, store_options};
use foghorn::store::{Location, Store, StoreThreads};
use foghorn::{chat, demo, signaling, stomp, testing};

use super::{IDLE_TIMEOUT, PING_INTERVAL};

/// A running server; dropping it shuts it down and waits for its end.
pub(crate) struct TestServer {
    server: testing::Server,
    /// Dropped after the server has ended.
    _store: Option<StoreThreads>,
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

    /// As [`TestServer::stored`], in this database.
    #[cfg(feature = "mongodb")]
    pub(crate) fn stored_at(
        database: foghorn::store::MongoDb,
        change: impl FnOnce(&mut Config),
    ) -> TestServer {
        TestServer::run(change, |router| router, Some(Location::MongoDb(database)))
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
        config.heartbeat.ping_interval = PING_INTERVAL;
        config.heartbeat.text_interval = PING_INTERVAL;
        config.heartbeat.idle_timeout = IDLE_TIMEOUT;
        // The same tests pass whoever runs the rooms.
        config.workers =
            std::env::var("FOGHORN_TEST_WORKERS").ok().map(|count| count.parse().expect("a number"));
        change(&mut config);
        let router = chat::routes(demo::routes(Router::new()), &config);
        let router = signaling::routes(router, &config);
        let mut router = routes(stomp::routes(router, &config));
        let store = location.map(|location| Store::open(location, store_options(&config)).expect("a store"));
        if let Some((store, _)) = &store {
            router = chat::rest::routes(router, &config, store);
            router = foghorn::feed::routes(router, &config);
        }
        let (store, threads) = store.unzip();
        let server = testing::Server::with(|mut builder| {
            if config.tls.certificate.is_some() {
                builder = builder.listen_on("tls:127.0.0.1:0".parse().expect("a place"));
            }
            let builder = store.into_iter().fold(builder, Builder::store);
            builder.config(config).router(router)
        });
        TestServer { server: server.expect("a server on a free port"), _store: threads }
    }

    pub(crate) fn address(&self) -> SocketAddr {
        self.server.address()
    }

    /// Where it speaks TLS, given a certificate.
    pub(crate) fn tls_address(&self) -> SocketAddr {
        *self.server.addresses().get(1).expect("a certificate is configured")
    }

    pub(crate) fn handle(&self) -> &ServerHandle {
        self.server.handle()
    }

    /// Begins an orderly shutdown without waiting for its end.
    pub(crate) fn begin_shutdown(&self) {
        self.server.handle().shutdown();
    }

    /// Waits for the end of a shutdown.
    pub(crate) fn join(self) {
        self.server.wait().expect("a good end");
    }
}
