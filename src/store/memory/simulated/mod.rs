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
use crate::store::entropy::now;
use crate::store::error::StoreError;
use crate::store::fates::{Ended, Fate, READERS};
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
            found: Vec::new(),
            answers: VecDeque::new(),
            failed_terms: FailedTerms::default(),
            has_failed: false,
        };
        let (state, monitor) = (Arc::new(Mutex::new(state)), Arc::default());
        ImageDisk { state, monitor, jobs_max, queue_bytes_max: options.queue_bytes_max }
    }

    fn lock(&self) -> MutexGuard<'_, DiskState> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Jobs that wait to be stored: none as long as the writer still answers those before.
    pub(in crate::store) fn jobs(&self) -> usize {
        let state = self.lock();
        if state.answers.is_empty() { state.jobs.len() } else { 0 }
    }

    /// Questions that wait for a reader: none as long as all readers have something to answer.
    pub(in crate::store) fn reads(&self) -> usize {
        let state = self.lock();
        if state.found.len() < READERS { state.reads.len() } else { 0 }
    }

    /// Answers that were found and are not given yet: one of the writer, one of each reader.
    pub(in crate::store) fn answers(&self) -> usize {
        let state = self.lock();
        state.found.len() + usize::from(!state.answers.is_empty())
    }

    /// Whether nothing is stored until a restart.
    pub(in crate::store) fn has_failed(&self) -> bool {
        self.lock().has_failed
    }

    /// Carries out the first `count` jobs in one transaction that ends like this; the answers are given later.
    pub(in crate::store) fn commit(&self, count: usize, fate: Fate) {
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
        state.round(round, &outcome, &self.monitor);
    }

    /// A reader looks one question up, of those that wait, and answers it later; `fails`: nothing can be read at the
    /// moment.
    pub(in crate::store) fn read(&self, index: usize, fails: bool) {
        let mut state = self.lock();
        let state = &mut *state;
        let Some(read) = state.reads.remove(index) else { return };
        let fault = fails.then(|| StoreError::Unavailable("the disk cannot be read".into()));
        let found = read(&mut state.image, fault);
        state.found.push(found);
    }

    /// Gives one answer, of those that were found; much may have happened since.
    pub(in crate::store) fn answer(&self, index: usize) {
        let answer = {
            let mut state = self.lock();
            if index < state.found.len() {
                Some(state.found.swap_remove(index))
            } else {
                state.answers.pop_front()
            }
        };
        if let Some(answer) = answer {
            answer();
        }
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

    /// The process has ended; the first `committed` of the jobs were committed, and nobody was told.
    pub(in crate::store) fn end(&self, ended: Ended, committed: usize) {
        let mut state = self.lock();
        let state = &mut *state;
        if !state.has_failed {
            let count = committed.min(state.jobs.len());
            let round: Vec<DiskJob> = state.jobs.drain(..count).collect();
            state.round(round, &Ok(()), &self.monitor);
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
    }

    /// As [`ImageDisk::end`], once everybody who could be answered is gone: the disk of the next process.
    pub(in crate::store) fn next(&self) -> ImageDisk {
        let unheard = {
            let mut state = self.lock();
            let state = &mut *state;
            let waiting = (std::mem::take(&mut state.jobs), std::mem::take(&mut state.reads));
            (waiting, std::mem::take(&mut state.found), std::mem::take(&mut state.answers))
        };
        // Each of them hears that the store has stopped.
        drop(unheard);
        ImageDisk { monitor: Arc::default(), ..self.clone() }
    }
}
