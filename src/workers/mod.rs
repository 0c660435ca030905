//! The threads of the shards, and the handles by which the reactor reaches them.
//!
//! As a rule each shard has a thread; with one processor there is nothing to gain by that, and a single shard is run by
//! the reactor itself at the end of each turn: no hand-over, no second wake-up for each message.
//!
//! | file | subject |
//! |---|---|
//! | `shard_handle` | the handle by which the reactor reaches one shard |
//! | `batch` | what travels from the reactor to one shard |
//! | `report` | what travels from a shard to the reactor |
//! | `shard_runner` | a shard at work, on any thread |
//! | `worker` | the thread of one shard |
//! | `fanout_pool` | all workers together, for huge rooms |
//! | `store_client` | a shard's way to the store |
//! | `stepped` | in a simulation: a worker that does one round when it is told to |
//! | `deadline` | until when the store is waited for at the end |

mod batch;
mod deadline;
mod fanout_pool;
mod report;
mod shard_handle;
mod shard_runner;
#[cfg(feature = "simulation")]
mod stepped;
mod store_client;
mod worker;

use std::io;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::thread::JoinHandle;

pub(crate) use self::deadline::Deadline;
use self::fanout_pool::WorkerPool;
pub(crate) use self::report::Report;
pub(crate) use self::shard_handle::{ShardGone, ShardHandle};
use self::shard_runner::ShardRunner;
#[cfg(feature = "simulation")]
pub(crate) use self::stepped::SteppedWorker;
use self::store_client::StoreClient;
use self::worker::Worker;
use crate::rooms::{FanoutPool, RoomLimits, Sequential, Shard};
use crate::store::Store;

/// Maximum number of batches that wait for a shard, besides the one that the reactor is filling.
// The reactor hands over one batch a turn: 16 let a shard that is busy for a moment catch up, and what does not fit
// gathers in the next batch.
const BATCHES_MAX: usize = 16;

/// The running workers. Dropping it waits for them, until the deadline if that is set, so the handles have to go first.
#[cfg_attr(not(feature = "simulation"), derive(Debug))]
pub(crate) struct Workers {
    threads: Vec<JoinHandle<()>>,
    /// In a simulation these take their place.
    #[cfg(feature = "simulation")]
    pub(crate) stepped: Vec<Box<dyn SteppedWorker>>,
    /// Until when what was published is waited for.
    pub(crate) deadline: Deadline,
}

impl Drop for Workers {
    fn drop(&mut self) {
        for thread in self.threads.drain(..) {
            let _panic_was_printed = thread.join();
        }
    }
}

/// Starts a worker for each of the seeds, with a shard of its own; with `here`, a single shard without a thread, of the
/// first seed.
///
/// # Errors
/// If a thread cannot be started.
pub(crate) fn start(
    limits: &RoomLimits,
    seeds: &[u64],
    here: bool,
    store: Option<&Store>,
    report: &impl Report,
) -> io::Result<(Workers, Vec<ShardHandle>)> {
    let (mut threads, mut handles) = (Vec::new(), Vec::new());
    #[cfg(feature = "simulation")]
    let mut stepped: Vec<Box<dyn SteppedWorker>> = Vec::new();
    let (pool, deadline) = (WorkerPool::new(seeds.len()), Deadline::default());
    for (number, &seed) in seeds.iter().enumerate() {
        let (fanout_pool, tasks): (Box<dyn FanoutPool<_>>, _) = if seeds.len() > 1 {
            (Box::new(pool.clone()), pool.tasks().clone())
        } else {
            (Box::new(Sequential), crossbeam_channel::never())
        };
        let shard = Shard::new(limits.clone(), number, seed, fanout_pool);
        if here {
            let report = report.clone();
            let store_client =
                store.map(|store| StoreClient::new(store.clone(), Some(Arc::new(move || report.wake()))));
            handles.push(ShardHandle::to_here(ShardRunner::new(shard, store_client, deadline.clone())));
            break;
        }
        let (batches, incoming) = crossbeam_channel::bounded(BATCHES_MAX);
        let (used, spare) = crossbeam_channel::bounded(BATCHES_MAX);
        let full = Arc::new(AtomicBool::new(false));
        let store_client = store.map(|store| StoreClient::new(store.clone(), None));
        let runner = ShardRunner::new(shard, store_client, deadline.clone());
        let worker = Worker { runner, tasks, incoming, used, full: full.clone(), report: report.clone() };
        #[cfg(feature = "simulation")]
        if crate::system::world::current().is_some() {
            stepped.push(Box::new(stepped::Stepped::new(worker)));
            handles.push(ShardHandle::to_thread(batches, spare, full));
            continue;
        }
        threads
            .push(std::thread::Builder::new().name(format!("shard-{number}")).spawn(move || worker.run())?);
        handles.push(ShardHandle::to_thread(batches, spare, full));
    }
    let workers = Workers {
        threads,
        #[cfg(feature = "simulation")]
        stepped,
        deadline,
    };
    Ok((workers, handles))
}
