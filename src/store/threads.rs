//! The store's threads, whichever store it is.

use std::any::Any;
use std::sync::Arc;
use std::thread::Builder;
use std::time::Duration;

use crossbeam_channel::bounded;

use super::backend::Backend;
use super::error::OpenError;
use super::memory;
#[cfg(feature = "mongodb")]
use super::mongo;
use super::options::{Location, Options};
#[cfg(feature = "store")]
use super::sqlite;

/// The running threads. Dropping it finishes what is queued, closes the database and waits for that; requests made
/// later are answered with [`StoreError::Stopped`](super::StoreError::Stopped).
pub struct StoreThreads {
    _threads: Box<dyn Any + Send + Sync>,
}

impl StoreThreads {
    /// Threads that dropping `threads` ends.
    #[cfg(feature = "redis")]
    pub(crate) fn of(threads: Box<dyn Any + Send + Sync>) -> StoreThreads {
        StoreThreads { _threads: threads }
    }

    /// As dropping them, but a store that does not answer is waited for no longer than `patience`; false if it was not
    /// done then. Its threads are left alone in that case, and may still come to their end.
    #[must_use]
    pub fn finish_within(self, patience: Duration) -> bool {
        let (done, is_done) = bounded(1);
        let finish = move || {
            drop(self);
            let _nobody_waits_any_more = done.send(());
        };
        let started = Builder::new().name("store-end".into()).spawn(finish);
        started.is_ok() && is_done.recv_timeout(patience).is_ok()
    }
}

/// Starts the store that is at `location`.
pub(super) fn start(
    location: Location,
    options: &Options,
) -> Result<(Arc<dyn Backend>, StoreThreads), OpenError> {
    match location {
        #[cfg(not(feature = "store"))]
        Location::Directory(_) => Err(OpenError::Absent),
        #[cfg(feature = "store")]
        Location::Directory(dir) => {
            let (sqlite, threads) = sqlite::start(&dir, options)?;
            Ok((Arc::new(sqlite), StoreThreads { _threads: Box::new(threads) }))
        }
        #[cfg(not(feature = "mongodb"))]
        Location::MongoDb(_) => Err(OpenError::WithoutMongoDb),
        #[cfg(feature = "mongodb")]
        Location::MongoDb(location) => {
            let (mongo, threads) = mongo::start(&location, options)?;
            Ok((Arc::new(mongo), StoreThreads { _threads: Box::new(threads) }))
        }
        Location::Memory => {
            let (memory, thread) = memory::start(options)?;
            Ok((Arc::new(memory), StoreThreads { _threads: thread }))
        }
    }
}
