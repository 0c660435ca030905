//! What the threads of the store have in common.

use std::collections::HashMap;
use std::sync::atomic::AtomicBool;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use super::documents::Position;
use super::heads::{Head, Heads};
use super::lease::Lease;
use super::link::Link;
use super::logs::RoomLog;
use super::schema::EpochSalts;
use crate::rooms::store_api::{Durability, RoomId};
use crate::store::entropy::clock;
use crate::store::error::StoreError;
use crate::store::health::Monitor;
use crate::store::options::Options;
use crate::store::quarantine::Quarantine;

/// How long a database that went away is left alone before it is asked again.
const PAUSE: Duration = Duration::from_millis(50);

/// Something that threads wait for once.
#[derive(Debug, Default)]
pub(super) struct Latch {
    is_open: Mutex<bool>,
    opened: Condvar,
}

impl Latch {
    /// Lets everybody pass from now on.
    pub(super) fn open(&self) {
        *self.is_open.lock().unwrap_or_else(PoisonError::into_inner) = true;
        self.opened.notify_all();
    }

    /// Waits until it is open.
    pub(super) fn pass(&self) {
        let mut is_open = self.is_open.lock().unwrap_or_else(PoisonError::into_inner);
        while !*is_open {
            is_open = self.opened.wait(is_open).unwrap_or_else(PoisonError::into_inner);
        }
    }
}

/// What the threads of the store have in common.
pub(super) struct Shared {
    pub(super) link: Link,
    pub(super) lease: Lease,
    pub(super) heads: Heads,
    pub(super) quarantine: Quarantine,
    pub(super) monitor: Arc<Monitor>,
    pub(super) salts: EpochSalts,
    pub(super) options: Options,
    /// Whether there may be messages of deleted rooms. Stands by itself, so it is read and written relaxed.
    pub(super) has_condemned: AtomicBool,
    /// Whether the indexes are there, or it was given up to wait for them.
    pub(super) indexes: Latch,
    /// Rooms that a thread is opening, or deleting what is left of: one at a time.
    busy: Mutex<HashMap<Box<str>, Arc<Mutex<()>>>>,
}

impl Shared {
    pub(super) fn new(link: Link, lease: Lease, salts: EpochSalts, options: Options) -> Shared {
        Shared {
            link,
            lease,
            heads: Heads::default(),
            quarantine: Quarantine::default(),
            monitor: Arc::new(Monitor::default()),
            salts,
            options,
            has_condemned: AtomicBool::new(true),
            indexes: Latch::default(),
            busy: Mutex::default(),
        }
    }

    /// Before something is written: whether this process may.
    pub(super) fn may_write(&self) -> Result<(), StoreError> {
        if let Some(failure) = self.monitor.failure() {
            return Err(failure);
        }
        self.lease.check(self.link.timeout)
    }

    /// Tries again what a database that went away has not done, until it has, or the deadline has come. To be done twice must
    /// be the same as to be done once.
    pub(super) fn persistently<T>(
        &self,
        deadline: Instant,
        mut attempt: impl FnMut() -> Result<T, StoreError>,
    ) -> Result<T, StoreError> {
        loop {
            match attempt() {
                Err(StoreError::Unavailable(_)) if self.link.is_away() && self.is_back(deadline) => {}
                outcome => return outcome,
            }
        }
    }

    /// Waits until the database answers again; false if it does not before the deadline, or nothing may be written any more.
    pub(super) fn is_back(&self, deadline: Instant) -> bool {
        loop {
            if clock() >= deadline || self.may_write().is_err() {
                return false;
            }
            if self.link.probe().is_ok() {
                return true;
            }
            std::thread::park_timeout(PAUSE);
        }
    }

    /// What became of something that was written, if the lease held until the answer came.
    pub(super) fn answered_in_time<T>(&self, answer: T) -> Result<T, StoreError> {
        if self.lease.remaining().is_zero() {
            return Err(StoreError::Unavailable("the answer came after the lease had ended".into()));
        }
        Ok(answer)
    }

    pub(super) fn durability(&self, row: &RoomLog) -> Durability {
        row.settings.durability.unwrap_or(self.options.durability)
    }

    pub(super) fn epoch(&self, row: &RoomLog) -> u64 {
        self.salts.epoch(row.epoch, self.durability(row))
    }

    /// Where the log of a room stands; looked up if that is not known. What has no number stays without one.
    pub(super) fn head(&self, room: RoomId) -> Result<Head, StoreError> {
        if let Some(head) = self.heads.of(room) {
            return Ok(head);
        }
        let row = RoomLog::by_id(&self.link, room)?.ok_or(StoreError::NoSuchRoom)?;
        let newest = row.newest(&self.link)?;
        let head = self.head_of(&row, newest.unwrap_or(row.floor));
        self.heads.put(room, head.clone());
        Ok(head)
    }

    /// The head of a log whose newest message is at `newest`.
    pub(super) fn head_of(&self, row: &RoomLog, newest: Position) -> Head {
        Head {
            name: row.name.as_ref().into(),
            head: newest,
            floor: row.floor,
            epoch: self.epoch(row),
            settings: row.settings,
            noted: row.head,
            is_unsettled: false,
            is_overfull: false,
        }
    }

    /// Does something with a room that no other thread does at the same time.
    pub(super) fn alone<T>(&self, name: &str, work: impl FnOnce() -> T) -> T {
        let lock = self.lock().entry(name.into()).or_default().clone();
        let done = {
            let _alone = lock.lock().unwrap_or_else(PoisonError::into_inner);
            work()
        };
        let mut busy = self.lock();
        drop(lock);
        // Nobody else waits for it.
        if busy.get(name).is_some_and(|lock| Arc::strong_count(lock) == 1) {
            busy.remove(name);
        }
        done
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<Box<str>, Arc<Mutex<()>>>> {
        self.busy.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
