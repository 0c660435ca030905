//! A node joins its cluster: Redis is looked at, the threads are started, and ended in good order.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use crossbeam_channel::{Sender, bounded};

use super::address::Place;
use super::appender::{Appender, Input};
use super::backend::{APPENDS_MAX, Cluster, READS_MAX};
use super::checks::check;
use super::connection::{Connection, connect_timeout};
use super::error::{ClusterError, may_pass, reason};
use super::instance::{Instance, SETTLING};
use super::keeper::Keeper;
use super::layout::{Layout, Master};
use super::listener::Listeners;
use super::options::{ClusterOptions, Joined};
use super::scout::{PlaceKind, Scout};
use super::shared::{Shared, nonce};
use super::topology::Topology;
use crate::store::{AdmissionLimit, Monitor, Store, StoreThreads, Watch};
use crate::system::instant;
use crate::system::threads::{Builder, JoinHandle, park_timeout, send};

/// A reader that waits for Redis must not hold up all others.
const READERS: usize = 2;

/// The shortest lease: its holder has to come to renew it.
const LEASE_MIN: Duration = Duration::from_millis(600);

/// The shortest time in which Redis is believed to be able to answer.
const TIMEOUT_MIN: Duration = Duration::from_millis(100);

/// The threads. Dropping it has them finish what they have begun, and waits for that.
struct ClusterThreads {
    shared: Arc<Shared>,
    inputs: Sender<Input>,
    appender: Option<JoinHandle<()>>,
    others: Vec<JoinHandle<()>>,
    listeners: Arc<Listeners>,
}

impl Drop for ClusterThreads {
    fn drop(&mut self) {
        let _appender_is_gone = send(&self.inputs, Input::Stop);
        let _panic_was_printed = self.appender.take().map(JoinHandle::join);
        self.shared.is_ending.store(true, Ordering::Relaxed);
        self.shared.tasks.end();
        self.shared.topology.end();
        for thread in self.others.drain(..) {
            thread.thread().unpark();
            let _panic_was_printed = thread.join();
        }
        // Nobody starts others any more.
        self.listeners.end();
        // Who hears them has the way to the cluster, which has them: neither would ever go.
        self.shared.orders.end();
    }
}

/// How long Redis is waited for at the start, and how often it is tried.
const START_PATIENCE: Duration = Duration::from_secs(30);
const START_PAUSE: Duration = Duration::from_millis(250);

/// How often it is looked which servers there are, and how long after that at least.
const LOOK_INTERVAL: Duration = Duration::from_secs(2);
const LOOK_PAUSE: Duration = Duration::from_millis(50);

/// Joins a cluster: its rooms are this node's store.
///
/// # Errors
/// [`ClusterError`].
pub fn start(options: ClusterOptions) -> Result<Joined, ClusterError> {
    let ClusterOptions { url, tls, timeout, lease, leave_notice, store } = options;
    let place = Place::parse(&url, &tls)?;
    let (timeout, lease) = (timeout.max(TIMEOUT_MIN), lease.max(LEASE_MIN));
    let monitor = Arc::new(Monitor::default());
    let FoundMasters { mut scout, kind, layout, instances, warnings } = wait_for(&place, timeout)?;
    let topology = Arc::new(Topology::new(layout, monitor.clone()));
    let queue_bytes_max = store.queue_bytes_max;
    let shared = Arc::new(Shared {
        node: nonce(),
        topology: topology.clone(),
        timeout,
        lease,
        options: store,
        monitor,
        rooms: super::rooms::Rooms::default(),
        generations: super::generation::Generations::default(),
        subscriptions: super::subscriptions::Subscriptions::new(topology),
        tasks: super::tasks::Tasks::default(),
        behind: super::behind::Behind::default(),
        stays: super::stays::Stays::default(),
        orders: super::orders::Orders::default(),
        leave_notice,
        counters: super::counters::Counters::default(),
        is_ending: AtomicBool::new(false),
    });
    let (inputs, received) = bounded(2 * APPENDS_MAX);
    let listeners = Arc::new(Listeners::default());
    let mut threads = ClusterThreads {
        shared: shared.clone(),
        inputs: inputs.clone(),
        appender: None,
        others: Vec::new(),
        listeners: listeners.clone(),
    };
    let appender = Appender::new(shared.clone(), received, inputs.clone(), instances);
    threads.appender = Some(spawn("cluster-append".into(), move || appender.run())?);
    for number in 0..READERS {
        let shared = shared.clone();
        threads.others.push(spawn(format!("cluster-read-{number}"), move || read(&shared))?);
    }
    listeners.follow(&shared);
    let keeper = Keeper::new(shared.clone(), inputs.clone());
    threads.others.push(spawn("cluster-keeper".into(), move || keeper.run())?);
    let looking = shared.clone();
    threads.others.push(spawn("cluster-scout".into(), move || look(&looking, &listeners, &mut scout, kind))?);
    let cluster = Cluster {
        shared,
        inputs,
        append_limit: AdmissionLimit::new(APPENDS_MAX, queue_bytes_max),
        read_limit: AdmissionLimit::new(READS_MAX, usize::MAX),
    };
    let (store, threads) = (Store::on(Arc::new(cluster)), StoreThreads::of(Box::new(threads)));
    Ok(Joined { store, threads, warnings })
}

/// What was found at the start.
struct FoundMasters {
    scout: Scout,
    kind: PlaceKind,
    layout: Layout,
    /// The Redis at each master.
    instances: Vec<(Arc<Master>, Instance)>,
    warnings: Vec<String>,
}

/// Waits for Redis as long as it is worth it: it may be started by the same hand.
fn wait_for(place: &Place, timeout: Duration) -> Result<FoundMasters, ClusterError> {
    let until = instant() + START_PATIENCE;
    let mut is_told = false;
    loop {
        match find(place, timeout) {
            Err(error @ ClusterError::Unreachable { .. }) if instant() < until => {
                if !std::mem::replace(&mut is_told, true) {
                    tracing::warn!(%error, "cluster: Redis is waited for");
                }
                park_timeout(START_PAUSE);
            }
            found => return found,
        }
    }
}

/// Finds the masters, and looks at each.
fn find(place: &Place, timeout: Duration) -> Result<FoundMasters, ClusterError> {
    let address = place.to_string();
    let unfit = |reason: String| ClusterError::Unfit { address: address.clone(), reason };
    let fault = |error: redis::RedisError| {
        let reason = reason(&error);
        if may_pass(&error) {
            ClusterError::Unreachable { address: address.clone(), reason }
        } else {
            unfit(reason)
        }
    };
    let mut scout = Scout::new(place.clone(), connect_timeout(timeout));
    let kind = scout.kind().map_err(fault)?.map_err(unfit)?;
    let layout = scout.look(kind, &Layout::empty()).map_err(fault)?;
    if !layout.is_whole() {
        let reason = "some slots of the cluster have no master".to_owned();
        return Err(ClusterError::Unreachable { address, reason });
    }
    let (mut instances, mut warnings) = (Vec::new(), Vec::<String>::new());
    for master in layout.masters() {
        let checked = match check(&master.address, kind == PlaceKind::Server, timeout) {
            // Others are there: their rooms need not wait for it.
            Err(error @ ClusterError::Unreachable { .. }) if layout.masters().len() > 1 => {
                tracing::warn!(%error, "cluster: one of several masters is away");
                continue;
            }
            checked => checked?,
        };
        for warning in checked {
            if !warnings.contains(&warning) {
                warnings.push(warning);
            }
        }
        let instance = Connection::open(&master.address, timeout)
            .and_then(|mut connection| Instance::ask(&mut connection))
            .map_err(fault)?;
        instances.push((master.clone(), instance));
    }
    if instances.is_empty() {
        let reason = "none of its masters answers".to_owned();
        return Err(ClusterError::Unreachable { address, reason });
    }
    if instances.iter().any(|(_, instance)| instance.is_unsettled()) {
        park_timeout(SETTLING);
    }
    Ok(FoundMasters { scout, kind, layout, instances, warnings })
}

/// Looks from time to time, and when something is suspect, which servers there are.
fn look(shared: &Arc<Shared>, listeners: &Listeners, scout: &mut Scout, kind: PlaceKind) {
    let _watch = Watch(shared.monitor.clone());
    while shared.topology.wait(LOOK_INTERVAL) {
        if kind != PlaceKind::Server {
            match scout.look(kind, &shared.topology.layout()) {
                Ok(layout) => {
                    let masters: Vec<String> =
                        layout.masters().iter().map(|master| master.address.to_string()).collect();
                    let is_whole = layout.is_whole();
                    if shared.topology.replace(layout) {
                        tracing::info!(masters = masters.join(","), is_whole, "cluster: Redis is elsewhere");
                    }
                }
                Err(error) => tracing::debug!(%error, "it is not known where Redis is"),
            }
        }
        listeners.follow(shared);
        park_timeout(LOOK_PAUSE);
    }
}

fn spawn(name: String, run: impl FnOnce() + Send + 'static) -> Result<JoinHandle<()>, ClusterError> {
    Builder::new().name(name).spawn(run).map_err(ClusterError::Threads)
}

/// Asks what is to be asked until the end.
fn read(shared: &Arc<Shared>) {
    let _watch = Watch(shared.monitor.clone());
    let mut asker = shared.asker(&shared.counters.reads);
    while let Some(task) = shared.tasks.next() {
        task(&mut asker);
    }
}
