//! A node joins its cluster: Redis is looked at, the threads are started, and ended in good order.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use crossbeam_channel::{Sender, bounded};

use super::address::Address;
use super::appender::{Appender, Input};
use super::backend::{APPENDS_MAX, Cluster, READS_MAX};
use super::checks::check;
use super::error::{ClusterError, reason};
use super::instance::Instance;
use super::keeper::Keeper;
use super::listener::{Hearing, Listener};
use super::options::{ClusterOptions, Joined};
use super::shared::{Shared, nonce};
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
}

impl Drop for ClusterThreads {
    fn drop(&mut self) {
        let _appender_is_gone = send(&self.inputs, Input::Stop);
        let _panic_was_printed = self.appender.take().map(JoinHandle::join);
        self.shared.is_ending.store(true, Ordering::Relaxed);
        self.shared.tasks.end();
        for thread in self.others.drain(..) {
            thread.thread().unpark();
            let _panic_was_printed = thread.join();
        }
        // Who hears them has the way to the cluster, which has them: neither would ever go.
        self.shared.orders.end();
    }
}

/// How long Redis is waited for at the start, and how often it is tried.
const START_PATIENCE: Duration = Duration::from_secs(30);
const START_PAUSE: Duration = Duration::from_millis(250);

/// Joins a cluster: its rooms are this node's store.
///
/// # Errors
/// [`ClusterError`].
pub fn start(options: ClusterOptions) -> Result<Joined, ClusterError> {
    let ClusterOptions { url, timeout, lease, leave_notice, store } = options;
    let address = Arc::new(Address::parse(&url)?);
    let (timeout, lease) = (timeout.max(TIMEOUT_MIN), lease.max(LEASE_MIN));
    let warnings = wait_for(&address, timeout)?;
    let instance = Instance::first(&address, timeout).map_err(|error| unreachable(&address, &error))?;
    let queue_bytes_max = store.queue_bytes_max;
    let shared = Arc::new(Shared {
        node: nonce(),
        address,
        timeout,
        lease,
        options: store,
        monitor: Arc::new(Monitor::default()),
        rooms: super::rooms::Rooms::default(),
        generations: super::generation::Generations::default(),
        subscriptions: super::subscriptions::Subscriptions::default(),
        tasks: super::tasks::Tasks::default(),
        behind: super::behind::Behind::default(),
        stays: super::stays::Stays::default(),
        orders: super::orders::Orders::default(),
        leave_notice,
        contact: super::contact::Contact::default(),
        counters: super::counters::Counters::default(),
        histories: super::histories::Histories::default(),
        is_refusing: AtomicBool::new(false),
        is_ending: AtomicBool::new(false),
    });
    let (inputs, received) = bounded(2 * APPENDS_MAX);
    let mut threads =
        ClusterThreads { shared: shared.clone(), inputs: inputs.clone(), appender: None, others: Vec::new() };
    let appender = Appender::new(shared.clone(), received, inputs.clone(), instance);
    threads.appender = Some(spawn("cluster-append".into(), move || appender.run())?);
    for number in 0..READERS {
        let shared = shared.clone();
        threads.others.push(spawn(format!("cluster-read-{number}"), move || read(&shared))?);
    }
    let hearing = Arc::new(Hearing::default());
    let listener = Listener::new(shared.clone(), hearing.clone());
    threads.others.push(spawn("cluster-news".into(), move || listener.run())?);
    let keeper = Keeper::new(shared.clone(), hearing, inputs.clone());
    threads.others.push(spawn("cluster-keeper".into(), move || keeper.run())?);
    let cluster = Cluster {
        shared,
        inputs,
        append_limit: AdmissionLimit::new(APPENDS_MAX, queue_bytes_max),
        read_limit: AdmissionLimit::new(READS_MAX, usize::MAX),
    };
    let (store, threads) = (Store::on(Arc::new(cluster)), StoreThreads::of(Box::new(threads)));
    Ok(Joined { store, threads, warnings })
}

/// Waits for Redis as long as it is worth it: it may be started by the same hand.
fn wait_for(address: &Address, timeout: Duration) -> Result<Vec<String>, ClusterError> {
    let until = instant() + START_PATIENCE;
    let mut is_told = false;
    loop {
        match check(address, timeout) {
            Err(error @ ClusterError::Unreachable { .. }) if instant() < until => {
                if !std::mem::replace(&mut is_told, true) {
                    tracing::warn!(%error, "cluster: Redis is waited for");
                }
                park_timeout(START_PAUSE);
            }
            checked => return checked,
        }
    }
}

fn unreachable(address: &Address, error: &redis::RedisError) -> ClusterError {
    ClusterError::Unreachable { address: address.to_string(), reason: reason(error) }
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
