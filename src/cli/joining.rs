//! A node joins its cluster. One whose Redis does not answer at once listens without it, and says that it is not ready.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::Builder;
use std::time::Duration;

use crossbeam_channel::{Receiver, RecvTimeoutError, bounded};

use super::failure::Failure;
use crate::cluster::{self, ClusterError, ClusterOptions, Joined};
use crate::server::ServerHandle;
use crate::store::{LateStore, Store, StoreThreads};

/// How long Redis is waited for before the server listens. What is wrong with one that answers ends the start.
const FIRST_PATIENCE: Duration = Duration::from_secs(3);

/// How long it takes to ask again for what has to be known before the first room is opened.
const PAUSE: Duration = Duration::from_millis(250);

/// What became of joining while the server runs.
#[derive(Clone, Default)]
pub(super) struct Joining(Arc<State>);

#[derive(Default)]
struct State {
    outcome: Mutex<JoinOutcome>,
    is_over: AtomicBool,
}

#[derive(Default)]
struct JoinOutcome {
    failure: Option<ClusterError>,
    server: Option<ServerHandle>,
    threads: Option<StoreThreads>,
}

impl Joining {
    /// Has the server end if joining fails, or has failed.
    pub(super) fn ends(&self, server: ServerHandle) {
        self.outcome(|outcome| {
            if outcome.failure.is_some() {
                server.shutdown();
            }
            outcome.server = Some(server);
        });
    }

    /// Why the node could not join.
    pub(super) fn failure(&self) -> Option<Failure> {
        self.outcome(|outcome| outcome.failure.take().map(|error| failure(&error)))
    }

    fn outcome<T>(&self, change: impl FnOnce(&mut JoinOutcome) -> T) -> T {
        change(&mut self.0.outcome.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// Waits for Redis beside the server.
    fn wait(&self, late: &LateStore, joined: &Receiver<Result<Joined, ClusterError>>) {
        match joined.recv() {
            Ok(Ok(joined)) => {
                let (store, threads) = tell(joined);
                let is_over = || self.0.is_over.load(Ordering::Relaxed);
                self.outcome(|outcome| outcome.threads = Some(threads));
                if late.arrive(&store, || std::thread::park_timeout(PAUSE), is_over) {
                    tracing::info!("cluster: Redis is there, the server is ready");
                }
            }
            Ok(Err(error)) => self.outcome(|outcome| {
                outcome.failure = Some(error);
                outcome.server.iter().for_each(ServerHandle::shutdown);
            }),
            // The thread has panicked, which was printed.
            Err(_) => self.outcome(|outcome| outcome.server.iter().for_each(ServerHandle::shutdown)),
        }
    }
}

/// Ends what is there of the threads, and waits no longer for what is not.
struct LateThreads(Joining);

impl Drop for LateThreads {
    fn drop(&mut self) {
        self.0.0.is_over.store(true, Ordering::Relaxed);
        drop(self.0.outcome(|outcome| outcome.threads.take()));
    }
}

/// Joins a cluster, now or, if Redis does not answer at once, beside the server.
pub(super) fn join(options: ClusterOptions) -> Result<(Store, StoreThreads, Joining), Failure> {
    let (tell_joined, joined) = bounded(1);
    let start = move || {
        // Nobody waits any more once the process ends.
        let _ended = tell_joined.send(cluster::start(options));
    };
    let threads = |error: std::io::Error| failure(&ClusterError::Threads(error));
    Builder::new().name("cluster-start".into()).spawn(start).map_err(threads)?;
    let joining = Joining::default();
    match joined.recv_timeout(FIRST_PATIENCE) {
        Ok(Ok(joined)) => {
            let (store, threads) = tell(joined);
            return Ok((store, threads, joining));
        }
        Ok(Err(error)) => return Err(failure(&error)),
        Err(RecvTimeoutError::Disconnected) => return Err(Failure::new("cluster: the start has panicked")),
        Err(RecvTimeoutError::Timeout) => {}
    }
    let late = LateStore::new("Redis has not answered since the start").map_err(threads)?;
    let (store, waiting) = (Store::on(late.clone()), joining.clone());
    let wait = move || waiting.wait(&late, &joined);
    Builder::new().name("cluster-join".into()).spawn(wait).map_err(threads)?;
    Ok((store, StoreThreads::of(Box::new(LateThreads(joining.clone()))), joining))
}

fn failure(error: &ClusterError) -> Failure {
    Failure::new(format!("cluster: {error}"))
}

fn tell(joined: Joined) -> (Store, StoreThreads) {
    for warning in joined.warnings {
        tracing::warn!(warning, "cluster");
    }
    (joined.store, joined.threads)
}
