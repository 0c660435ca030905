//! In a simulation: what a store with a disk does, step by step, as it is told to.
//!
//! The rooms are those of the store in memory. Around them is what makes a disk of it: whatever waits is carried out in
//! one transaction and answered after its commit; a transaction that fails leaves nothing; readers see what is committed,
//! at some later time; what was committed survives the process, and the machine only if it was synced; after each end the
//! epochs change as [`crate::store`] promises.
//!
//! | file | subject |
//! |---|---|
//! | this one | the disk, and what happens to it |
//! | `image` | what is on it |
//! | `jobs` | what waits for it: transactions, and questions to readers |
//! | `backend` | a store over it, as a server has it |

mod backend;
mod image;
mod jobs;

use std::collections::{BTreeMap, VecDeque};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use self::image::Image;
use self::jobs::{DiskJob, DiskState};
use super::rooms::Rooms;
use crate::rooms::store_api::{Durability, Page, PageRequest};
use crate::store::answer::later::Deliver;
use crate::store::entropy::now;
use crate::store::error::StoreError;
use crate::store::fates::{Ended, Fate};
use crate::store::health::Monitor;
use crate::store::options::Options;
use crate::store::terms::FailedTerms;

/// What is kept when a process ends, and the hand on it.
#[derive(Clone)]
pub(in crate::store) struct ImageDisk {
    state: Arc<Mutex<DiskState>>,
    monitor: Arc<Monitor>,
    jobs_max: usize,
    queue_bytes_max: usize,
}

impl ImageDisk {
    /// An empty one, whose store takes this number of jobs at a time.
    pub(in crate::store) fn new(options: &Options, jobs_max: usize) -> ImageDisk {
        let rooms = Rooms::new(options, Arc::new(usize::MAX.into()));
        let image = Image { rooms, stays: BTreeMap::new(), bans: BTreeMap::new() };
        let state = DiskState {
            synced: image.clone(),
            image,
            jobs: VecDeque::new(),
            reads: VecDeque::new(),
            failed_terms: FailedTerms::default(),
            has_failed: false,
        };
        let (state, monitor) = (Arc::new(Mutex::new(state)), Arc::default());
        ImageDisk { state, monitor, jobs_max, queue_bytes_max: options.queue_bytes_max }
    }

    fn lock(&self) -> MutexGuard<'_, DiskState> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(in crate::store) fn jobs(&self) -> usize {
        self.lock().jobs.len()
    }

    pub(in crate::store) fn reads(&self) -> usize {
        self.lock().reads.len()
    }

    /// Whether nothing is stored until a restart.
    pub(in crate::store) fn has_failed(&self) -> bool {
        self.lock().has_failed
    }

    /// Carries out the first `count` jobs in one transaction that ends like this; hands out the answers.
    pub(in crate::store) fn commit(&self, count: usize, fate: Fate) -> Vec<Deliver> {
        let mut answers = Vec::new();
        let mut state = self.lock();
        let state = &mut *state;
        let count = count.min(state.jobs.len());
        let round: Vec<DiskJob> = state.jobs.drain(..count).collect();
        let outcome = match fate.fault() {
            _ if state.has_failed => Err(StoreError::Failed("the disk has failed".into())),
            Some(fault) => Err(fault),
            None => Ok(()),
        };
        state.has_failed |= fate == Fate::Failed;
        match &outcome {
            Ok(()) => self.monitor.succeeded(),
            Err(error) => self.monitor.failed(error),
        }
        state.round(round, &outcome, &self.monitor, &mut answers);
        answers
    }

    /// A reader looks one question up, of those that wait; hands out the answer. `fails`: nothing can be read at the
    /// moment.
    pub(in crate::store) fn read(&self, index: usize, fails: bool) -> Option<Deliver> {
        let mut state = self.lock();
        let state = &mut *state;
        let read = state.reads.remove(index)?;
        let fault = fails.then(|| StoreError::Unavailable("the disk cannot be read".into()));
        Some(read(&mut state.image, fault))
    }

    /// A part of what is kept of a room.
    pub(in crate::store) fn page(&self, room: &str, request: &PageRequest) -> Result<Page, StoreError> {
        self.lock().image.rooms.read_by_name(room, request)
    }

    /// Has everything that is committed survive the loss of power.
    pub(in crate::store) fn sync(&self) {
        let mut state = self.lock();
        state.synced = state.image.clone();
    }

    /// Deletes what is kept no longer.
    pub(in crate::store) fn sweep(&self) {
        self.lock().image.rooms.sweep(now());
    }

    /// The process has ended; the first `committed` of the jobs were committed, and nobody was told: hands out what they
    /// would have been.
    pub(in crate::store) fn end(&self, ended: Ended, committed: usize) -> Vec<Deliver> {
        let mut unheard = Vec::new();
        let mut state = self.lock();
        let state = &mut *state;
        if !state.has_failed {
            let count = committed.min(state.jobs.len());
            let round: Vec<DiskJob> = state.jobs.drain(..count).collect();
            state.round(round, &Ok(()), &self.monitor, &mut unheard);
        }
        let (has_failed, has_lost) = (state.has_failed, self.monitor.has_lost());
        if ended == Ended::WithoutPower {
            state.image = state.synced.clone();
        }
        state.image.rooms.begin_epochs(|durability| {
            has_failed
                || match durability {
                    Durability::Off => true,
                    Durability::Async => ended != Ended::Well || has_lost,
                    Durability::Commit => ended == Ended::WithoutPower,
                    Durability::Fsync => false,
                }
        });
        state.synced = state.image.clone();
        (state.has_failed, state.failed_terms) = (false, FailedTerms::default());
        unheard
    }

    /// As [`ImageDisk::end`], once everybody who could be answered is gone: the disk of the next process.
    pub(in crate::store) fn next(&self) -> ImageDisk {
        let unheard = {
            let mut state = self.lock();
            (std::mem::take(&mut state.jobs), std::mem::take(&mut state.reads))
        };
        // Each of them hears that the store has stopped.
        drop(unheard);
        ImageDisk { monitor: Arc::default(), ..self.clone() }
    }
}
