//! In a simulation: what is kept when a process ends, and the hand on it.

use std::collections::VecDeque;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use super::Store;
use super::answer::later::Deliver;
use super::error::{OpenError, StoreError};
pub use super::fates::{Ended, Fate};
use super::memory::simulated::ImageDisk;
use super::options::Options;
#[cfg(feature = "store")]
use super::sqlite::stepped::Stepped;
use crate::rooms::Timestamp;
use crate::rooms::store_api::{Page, PageRequest, ReadFrom, Stored};

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

/// All of a room: far more than a simulation comes to.
const EVERYTHING: PageRequest = PageRequest {
    from: ReadFrom::Seq(0),
    messages_max: 1 << 20,
    bytes_max: 1 << 30,
    newest_first: false,
    before: None,
    now: Timestamp::from_micros(0),
};

/// Readers, each of which looks one question up at a time.
const READERS: usize = 4;

/// What is kept when a process ends, and the hand on it.
#[derive(Clone)]
pub struct Disk {
    medium: Medium,
    ready: Arc<Mutex<Ready>>,
}

#[derive(Clone)]
enum Medium {
    /// What a database does, in memory: it can lose what was not synced, and fail in any way.
    Image(ImageDisk),
    /// A database. It fails only by refusing.
    #[cfg(feature = "store")]
    Database(Arc<Mutex<Database>>),
}

/// The answers that are not given yet.
#[derive(Default)]
struct Ready {
    /// What each reader has found.
    found: Vec<Deliver>,
    /// What the writer answers, in this order.
    written: VecDeque<Deliver>,
}

impl std::fmt::Debug for Disk {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Disk")
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Disk {
    /// An empty one, whose store takes this number of jobs at a time.
    #[must_use]
    pub fn new(options: &Options, jobs_max: usize) -> Disk {
        Disk { medium: Medium::Image(ImageDisk::new(options, jobs_max)), ready: Arc::default() }
    }

    /// A directory with a database, whose store takes this number of jobs at a time.
    ///
    /// # Errors
    /// If it cannot be opened.
    #[cfg(feature = "store")]
    pub fn database(directory: PathBuf, options: &Options, jobs_max: usize) -> Result<Disk, OpenError> {
        let stepped = Some(Stepped::start(&directory, options, jobs_max)?);
        let database = Database { directory, options: options.clone(), jobs_max, stepped };
        Ok(Disk { medium: Medium::Database(Arc::new(Mutex::new(database))), ready: Arc::default() })
    }

    /// Opens the store of a new process.
    #[must_use]
    pub fn open(&self) -> Store {
        match &self.medium {
            Medium::Image(image) => Store::on(image.backend()),
            #[cfg(feature = "store")]
            Medium::Database(database) => Store::on(lock(database).stepped().serve()),
        }
    }

    /// Jobs that wait to be stored: none as long as the writer still answers those before.
    #[must_use]
    pub fn jobs(&self) -> usize {
        if !lock(&self.ready).written.is_empty() {
            return 0;
        }
        match &self.medium {
            Medium::Image(image) => image.jobs(),
            #[cfg(feature = "store")]
            Medium::Database(database) => lock(database).stepped().jobs(),
        }
    }

    /// Questions that wait for a reader: none as long as all readers have something to answer.
    #[must_use]
    pub fn reads(&self) -> usize {
        if lock(&self.ready).found.len() >= READERS {
            return 0;
        }
        match &self.medium {
            Medium::Image(image) => image.reads(),
            #[cfg(feature = "store")]
            Medium::Database(database) => lock(database).stepped().reads(),
        }
    }

    /// Answers that are not given yet and may come next: one of the writer, one of each reader.
    #[must_use]
    pub fn answers(&self) -> usize {
        let ready = lock(&self.ready);
        ready.found.len() + usize::from(!ready.written.is_empty())
    }

    /// Whether nothing is stored until a restart.
    #[must_use]
    pub fn has_failed(&self) -> bool {
        match &self.medium {
            Medium::Image(image) => image.has_failed(),
            #[cfg(feature = "store")]
            Medium::Database(database) => lock(database).stepped().has_failed(),
        }
    }

    /// Carries out the first `count` jobs in one transaction that ends like this; the answers are given later.
    pub fn commit(&self, count: usize, fate: Fate) {
        let answers = match &self.medium {
            Medium::Image(image) => image.commit(count, fate),
            #[cfg(feature = "store")]
            Medium::Database(database) => lock(database).stepped().commit(count, fate.fault()),
        };
        lock(&self.ready).written.extend(answers);
    }

    /// A reader looks one question up, of those that wait, and answers it later; `fails`: nothing can be read at the
    /// moment. Of a database the first question is looked up, and that does not fail.
    pub fn read(&self, index: usize, fails: bool) {
        match &self.medium {
            Medium::Image(image) => lock(&self.ready).found.extend(image.read(index, fails)),
            #[cfg(feature = "store")]
            Medium::Database(database) => lock(&self.ready).found.extend(lock(database).stepped().read()),
        }
    }

    /// Gives one answer; much may have happened since it was found.
    pub fn answer(&self, index: usize) {
        let answer = {
            let mut ready = lock(&self.ready);
            if index < ready.found.len() {
                Some(ready.found.swap_remove(index))
            } else {
                ready.written.pop_front()
            }
        };
        answer.into_iter().for_each(|answer| answer());
    }

    fn page(&self, room: &str, request: &PageRequest) -> Result<Page, StoreError> {
        match &self.medium {
            Medium::Image(image) => image.page(room, request),
            #[cfg(feature = "store")]
            Medium::Database(database) => lock(database).stepped().page(room, request),
        }
    }

    /// What is kept under this number, in the room of this name, under this epoch.
    #[must_use]
    pub fn message(&self, room: &str, epoch: u64, seq: u64) -> Kept {
        let request =
            PageRequest { from: ReadFrom::Seq(seq.saturating_sub(1)), messages_max: 1, ..EVERYTHING };
        let Ok(page) = self.page(room, &request) else { return Kept::Elsewhere };
        if epoch != page.epoch || seq < page.tail {
            return Kept::Elsewhere;
        }
        page.messages.into_iter().next().map_or(Kept::Nothing, Kept::Message)
    }

    /// The epoch of a room, and what is kept of its log.
    #[must_use]
    pub fn log(&self, room: &str) -> Option<(u64, Vec<Stored>)> {
        let page = self.page(room, &EVERYTHING).ok()?;
        Some((page.epoch, page.messages))
    }

    /// Has everything that is committed survive the loss of power.
    pub fn sync(&self) {
        match &self.medium {
            Medium::Image(image) => image.sync(),
            #[cfg(feature = "store")]
            Medium::Database(_) => {}
        }
    }

    /// Deletes what is kept no longer.
    pub fn sweep(&self) {
        match &self.medium {
            Medium::Image(image) => image.sweep(),
            #[cfg(feature = "store")]
            Medium::Database(database) => lock(database).stepped().sweep(),
        }
    }

    /// The process has ended; the first `committed` of the jobs were committed, and nobody was told.
    pub fn end(&self, ended: Ended, committed: usize) {
        let unheard = match &self.medium {
            Medium::Image(image) => image.end(ended, committed),
            #[cfg(feature = "store")]
            Medium::Database(database) => lock(database).end(ended, committed),
        };
        lock(&self.ready).written.extend(unheard);
    }

    /// As [`Disk::end`], once everybody who could be answered is gone: the disk of the next process.
    ///
    /// # Panics
    /// If it cannot be opened again.
    #[must_use]
    pub fn next(&self) -> Disk {
        // Nobody is there any more to whom they could be given.
        drop(std::mem::take(&mut *lock(&self.ready)));
        match &self.medium {
            Medium::Image(image) => Disk { medium: Medium::Image(image.next()), ready: Arc::default() },
            #[cfg(feature = "store")]
            Medium::Database(database) => {
                let Database { directory, options, jobs_max, .. } = &*lock(database);
                Disk::database(directory.clone(), options, *jobs_max).expect("a database that opens again")
            }
        }
    }
}

/// A directory with a database, and the store of the process that has it open.
#[cfg(feature = "store")]
struct Database {
    directory: PathBuf,
    options: Options,
    jobs_max: usize,
    /// `None` once the process has ended.
    stepped: Option<Stepped>,
}

#[cfg(feature = "store")]
impl Database {
    fn stepped(&mut self) -> &mut Stepped {
        self.stepped.as_mut().expect("a process that has not ended")
    }

    fn end(&mut self, ended: Ended, committed: usize) -> Vec<Deliver> {
        let Some(mut stepped) = self.stepped.take() else { return Vec::new() };
        let unheard = if stepped.has_failed() { Vec::new() } else { stepped.commit(committed, None) };
        if ended == Ended::Well {
            // One that has failed does not end in good order, and its next start copes with that.
            let _failure = stepped.finish();
        }
        unheard
    }
}
