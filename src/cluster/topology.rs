//! Which servers there are at the moment, as all threads see it.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use super::layout::{Layout, Master};
use super::partition::Partition;
use crate::store::{Monitor, StoreError};
use crate::system::instant;
use crate::system::threads::Condvar;

#[derive(Debug)]
struct TopologyState {
    layout: Arc<Layout>,
    /// Whether somebody has found that it is no longer so.
    is_suspect: bool,
    is_ending: bool,
}

/// Which servers there are, and how they are.
pub(super) struct Topology {
    state: Mutex<TopologyState>,
    changed: Condvar,
    /// Raised by each change, so that it is quickly seen that there was none.
    version: AtomicU64,
    monitor: Arc<Monitor>,
}

impl Topology {
    pub(super) fn new(layout: Layout, monitor: Arc<Monitor>) -> Topology {
        let state = TopologyState { layout: Arc::new(layout), is_suspect: false, is_ending: false };
        Topology {
            state: Mutex::new(state),
            changed: Condvar::default(),
            version: AtomicU64::new(0),
            monitor,
        }
    }

    fn lock(&self) -> MutexGuard<'_, TopologyState> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn layout(&self) -> Arc<Layout> {
        self.lock().layout.clone()
    }

    pub(super) fn version(&self) -> u64 {
        self.version.load(Ordering::Acquire)
    }

    /// Whether a partition is with this master now.
    pub(super) fn is_home(&self, partition: Partition, master: &Arc<Master>) -> bool {
        self.lock().layout.is_home(partition, master)
    }

    /// It is so from now on; says whether that is another way than before.
    pub(super) fn replace(&self, layout: Layout) -> bool {
        let mut state = self.lock();
        let is_other = !state.layout.is_same(&layout);
        if is_other {
            state.layout = Arc::new(layout);
            self.version.fetch_add(1, Ordering::Release);
        }
        is_other
    }

    /// It may be otherwise by now: whoever looks after that does it at once.
    pub(super) fn suspect(&self) {
        self.lock().is_suspect = true;
        self.changed.notify_all();
    }

    /// Waits until it may be otherwise, for so long at most; false at the end.
    pub(super) fn wait(&self, time: Duration) -> bool {
        let until = instant() + time;
        let mut state = self.lock();
        while !state.is_suspect && !state.is_ending {
            let left = until.saturating_duration_since(instant());
            if left.is_zero() {
                break;
            }
            state = self.changed.wait_timeout(&self.state, state, left);
        }
        state.is_suspect = false;
        !state.is_ending
    }

    /// Nobody waits any more.
    pub(super) fn end(&self) {
        self.lock().is_ending = true;
        self.changed.notify_all();
    }

    /// For how long all masters have answered without a break; `None` if one does not.
    pub(super) fn contact(&self) -> Option<Duration> {
        let layout = self.layout();
        let lasts: Option<Vec<Duration>> =
            layout.masters().iter().map(|master| master.contact.lasts()).collect();
        lasts.filter(|_| layout.is_whole())?.into_iter().min()
    }

    /// A master does what it is asked to.
    pub(super) fn answered(&self, master: &Master) {
        if master.is_refusing.load(Ordering::Relaxed) {
            return;
        }
        master.is_away.store(false, Ordering::Relaxed);
        let layout = self.layout();
        let is_away = |master: &Arc<Master>| master.is_away.load(Ordering::Relaxed);
        if layout.is_whole() && !layout.masters().iter().any(is_away) {
            self.monitor.succeeded();
        }
    }

    /// A master does not do what it is asked to.
    pub(super) fn failed(&self, master: &Master, error: &StoreError) {
        master.is_away.store(true, Ordering::Relaxed);
        self.suspect();
        self.monitor.failed(error);
    }
}
