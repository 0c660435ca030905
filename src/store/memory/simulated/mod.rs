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
use crate::rooms::Timestamp;
use crate::rooms::store_api::{Durability, PageRequest, ReadFrom, Stored};
use crate::store::entropy::now;
use crate::store::error::StoreError;
use crate::store::health::Monitor;
use crate::store::options::Options;
use crate::store::terms::FailedTerms;

/// How a transaction ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fate {
    /// It is committed.
    Stored,
    /// Nothing is stored, for now: the disk is full, or away.
    Unavailable,
    /// The disk did not confirm: nothing is stored until a restart.
    Failed,
}

/// How a process ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ended {
    /// In good order.
    Well,
    /// By `kill -9`.
    Killed,
    /// With the machine.
    WithoutPower,
}

/// What is kept under a number.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Kept {
    /// The room is gone, or its log is another one, or that part of it is kept no longer.
    Elsewhere,
    /// The log has not come so far.
    Nothing,
    /// This message.
    Message(Stored),
}

const EVERYTHING: PageRequest = PageRequest {
    from: ReadFrom::Seq(0),
    messages_max: usize::MAX,
    bytes_max: usize::MAX,
    newest_first: false,
    before: None,
    now: Timestamp::from_micros(0),
};

/// Readers, each of which looks one question up at a time.
const READERS: usize = 4;

/// What is kept when a process ends, and the hand on it.
#[derive(Clone)]
pub struct Disk {
    state: Arc<Mutex<DiskState>>,
    monitor: Arc<Monitor>,
    jobs_max: usize,
    queue_bytes_max: usize,
}

impl std::fmt::Debug for Disk {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Disk")
    }
}

impl Disk {
    /// An empty one, whose store takes this number of jobs at a time.
    #[must_use]
    pub fn new(options: &Options, jobs_max: usize) -> Disk {
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
        Disk { state, monitor, jobs_max, queue_bytes_max: options.queue_bytes_max }
    }

    fn lock(&self) -> MutexGuard<'_, DiskState> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Jobs that wait to be stored: none as long as the writer still answers those before.
    #[must_use]
    pub fn jobs(&self) -> usize {
        let state = self.lock();
        if state.answers.is_empty() { state.jobs.len() } else { 0 }
    }

    /// Questions that wait for a reader: none as long as all readers have something to answer.
    #[must_use]
    pub fn reads(&self) -> usize {
        let state = self.lock();
        if state.found.len() < READERS { state.reads.len() } else { 0 }
    }

    /// Answers that were found and are not given yet: one of the writer, one of each reader.
    #[must_use]
    pub fn answers(&self) -> usize {
        let state = self.lock();
        state.found.len() + usize::from(!state.answers.is_empty())
    }

    /// Whether nothing is stored until a restart.
    #[must_use]
    pub fn has_failed(&self) -> bool {
        self.lock().has_failed
    }

    /// Carries out the first `count` jobs in one transaction that ends like this; the answers are given later.
    pub fn commit(&self, count: usize, fate: Fate) {
        let mut state = self.lock();
        let state = &mut *state;
        let count = count.min(state.jobs.len());
        let round: Vec<DiskJob> = state.jobs.drain(..count).collect();
        let outcome = match fate {
            _ if state.has_failed => Err(StoreError::Failed("the disk has failed".into())),
            Fate::Stored => Ok(()),
            Fate::Unavailable => Err(StoreError::Unavailable("the disk is full".into())),
            Fate::Failed => Err(StoreError::Failed("the disk did not confirm".into())),
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
    pub fn read(&self, index: usize, fails: bool) {
        let mut state = self.lock();
        let state = &mut *state;
        let Some(read) = state.reads.remove(index) else { return };
        let fault = fails.then(|| StoreError::Unavailable("the disk cannot be read".into()));
        let found = read(&mut state.image, fault);
        state.found.push(found);
    }

    /// Gives one answer, of those that were found; much may have happened since.
    pub fn answer(&self, index: usize) {
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

    /// What is kept under this number, in the room of this name, under this epoch.
    #[must_use]
    pub fn message(&self, room: &str, epoch: u64, seq: u64) -> Kept {
        let request =
            PageRequest { from: ReadFrom::Seq(seq.saturating_sub(1)), messages_max: 1, ..EVERYTHING };
        let Ok(page) = self.lock().image.rooms.read_by_name(room, &request) else { return Kept::Elsewhere };
        if epoch != page.epoch || seq < page.tail {
            return Kept::Elsewhere;
        }
        page.messages.into_iter().next().map_or(Kept::Nothing, Kept::Message)
    }

    /// The epoch of a room, and what is kept of its log.
    #[must_use]
    pub fn log(&self, room: &str) -> Option<(u64, Vec<Stored>)> {
        let page = self.lock().image.rooms.read_by_name(room, &EVERYTHING).ok()?;
        Some((page.epoch, page.messages))
    }

    /// Has everything that is committed survive the loss of power.
    pub fn sync(&self) {
        let mut state = self.lock();
        state.synced = state.image.clone();
    }

    /// Deletes what is kept no longer.
    pub fn sweep(&self) {
        self.lock().image.rooms.sweep(now());
    }

    /// The process has ended; the first `committed` of the jobs were committed, and nobody was told.
    pub fn end(&self, ended: Ended, committed: usize) {
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

    /// As [`Disk::end`], once everybody who could be answered is gone: the disk of the next process.
    #[must_use]
    pub fn next(&self) -> Disk {
        let unheard = {
            let mut state = self.lock();
            let state = &mut *state;
            let waiting = (std::mem::take(&mut state.jobs), std::mem::take(&mut state.reads));
            (waiting, std::mem::take(&mut state.found), std::mem::take(&mut state.answers))
        };
        // Each of them hears that the store has stopped.
        drop(unheard);
        Disk { monitor: Arc::default(), ..self.clone() }
    }
}
