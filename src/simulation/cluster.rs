//! Nodes of a cluster: their threads, and what lies between them and the engine.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use super::World;
use crate::cluster::{self, ClusterError, ClusterOptions, Joined};
use crate::config::Config;
use crate::server::store_options;
use crate::store::StoreThreads;
use crate::system::fibers::{self, Fiber};
use crate::system::network::Pipe;
pub use crate::system::network::Reach;

/// A thread of a node.
#[derive(Clone, Debug)]
pub struct Thread(Arc<Fiber>);

impl Thread {
    /// The node that it belongs to.
    #[must_use]
    pub fn node(&self) -> usize {
        self.0.group()
    }

    /// What it is called.
    #[must_use]
    pub fn name(&self) -> &str {
        self.0.name()
    }

    /// Whether it has something to do now.
    #[must_use]
    pub fn is_ready(&self, world: &World) -> bool {
        self.0.is_ready(world.elapsed())
    }

    /// When it has something to do, if nothing else happens.
    #[must_use]
    pub fn wakes_at(&self) -> Option<Duration> {
        self.0.wakes_at()
    }

    /// Goes on until it waits for something.
    pub fn run(&self) {
        self.0.run();
    }
}

/// The engine's end of a connection.
#[derive(Clone, Debug)]
pub struct Peer(Arc<Pipe>);

impl Peer {
    /// The node at the other end.
    #[must_use]
    pub fn node(&self) -> usize {
        self.0.group
    }

    /// Whether something has come.
    #[must_use]
    pub fn has_come(&self) -> bool {
        self.0.has_come()
    }

    /// Takes what has come.
    #[must_use]
    pub fn take(&self) -> Vec<u8> {
        self.0.take()
    }

    /// Sends something, which is there at once.
    pub fn give(&self, bytes: &[u8]) {
        self.0.give(bytes);
    }

    /// Cuts the connection: what has not been read is lost.
    pub fn reset(&self) {
        self.0.reset();
    }

    /// Whether it has ended.
    #[must_use]
    pub fn is_over(&self) -> bool {
        self.0.is_over()
    }
}

/// A node that is about to join a cluster.
#[derive(Clone, Default)]
pub struct Joining(Arc<Mutex<Option<Result<Joined, ClusterError>>>>);

impl std::fmt::Debug for Joining {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Joining")
    }
}

impl Joining {
    /// What became of it, once.
    #[must_use]
    pub fn take(&self) -> Option<Result<Joined, ClusterError>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).take()
    }
}

impl World {
    /// The threads that have not ended, in the order in which they began.
    #[must_use]
    pub fn threads(&self) -> Vec<Thread> {
        self.world.fibers.all().into_iter().map(Thread).collect()
    }

    /// What a thread has panicked with, if one has.
    #[must_use]
    pub fn panic(&self) -> Option<String> {
        self.world.fibers.panic()
    }

    /// All threads of a node end where they are.
    pub fn kill(&self, node: usize) {
        self.world.fibers.kill(node);
    }

    /// Has `pump` be called again and again when something outside the threads of nodes waits for them.
    pub fn set_pump(&self, pump: Option<Box<dyn FnMut()>>) {
        fibers::set_pump(pump);
    }

    /// What becomes of a node's attempts to connect.
    pub fn set_reach(&self, node: usize, reach: Reach) {
        self.world.network.set_reach(node, reach);
    }

    /// The connections that nodes have made since this was asked last.
    #[must_use]
    pub fn connections(&self) -> Vec<Peer> {
        self.world.network.take_new().into_iter().map(Peer).collect()
    }

    /// Has a node join, on a thread of its own.
    ///
    /// # Panics
    /// If there can be no more threads.
    #[must_use]
    pub fn join(&self, node: usize, config: &Config) -> Joining {
        let options = ClusterOptions {
            tls: cluster::ClusterTls::default(),
            url: "redis://192.0.2.1:6379".into(),
            timeout: config.cluster.timeout,
            lease: config.cluster.lease,
            leave_notice: config.chat.leave_notice.clone(),
            store: store_options(config),
        };
        let joining = Joining::default();
        let joined = joining.clone();
        let join = move || {
            let outcome = cluster::start(options);
            *joined.0.lock().unwrap_or_else(PoisonError::into_inner) = Some(outcome);
        };
        self.spawn(node, "join", join);
        joining
    }

    /// Has a node leave in good order, on a thread of its own.
    ///
    /// # Panics
    /// If there can be no more threads.
    pub fn leave(&self, node: usize, threads: StoreThreads) {
        self.spawn(node, "leave", move || drop(threads));
    }

    fn spawn(&self, node: usize, name: &str, run: impl FnOnce() + Send + 'static) {
        let there = self.world.clone();
        self.world.fibers.spawn(node, name.into(), move || there.enter_too(), run).expect("a thread");
    }
}
