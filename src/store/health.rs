//! How the store is: its threads find out, and any thread may ask.

use std::io;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use super::commits::Commits;
use super::error::{Health, StoreError};

/// Notes in the directory of a store that it has failed.
pub(crate) type NoteFailure = fn(&Path) -> io::Result<PathBuf>;

/// The one state that the threads share.
#[derive(Debug, Default)]
pub(crate) struct Monitor {
    health: Mutex<Health>,
    /// Whether messages were refused in this run: those of `async` rooms had been shown by then.
    // The flags and counters here stand by themselves, so they are read and written relaxed.
    lost: AtomicBool,
    /// Whether the last attempt to move the write-ahead log came to nothing; so that it is said once.
    checkpoints_fail: AtomicBool,
    /// How often something was refused because the write-ahead log was as long as it may be.
    log_limit_hits: AtomicU64,
    pub(crate) commits: Commits,
    /// Where a failure is noted for the next start; `None` if nothing outlives the process anyway.
    dir: Option<(PathBuf, NoteFailure)>,
}

impl Monitor {
    /// Of a store that notes a failure in `dir`.
    pub(crate) fn noting(dir: &Path, note: NoteFailure) -> Monitor {
        Monitor { dir: Some((dir.to_owned(), note)), ..Monitor::default() }
    }

    pub(crate) fn health(&self) -> Health {
        self.lock().clone()
    }

    /// Why nothing may be written any more, if so.
    pub(crate) fn failure(&self) -> Option<StoreError> {
        match &*self.lock() {
            Health::Failed(reason) => Some(StoreError::Failed(reason.clone())),
            Health::Healthy | Health::Unavailable(_) => None,
        }
    }

    /// Messages were refused.
    pub(crate) fn lost(&self) {
        self.lost.store(true, Ordering::Relaxed);
    }

    /// Whether messages were ever refused.
    pub(crate) fn has_lost(&self) -> bool {
        self.lost.load(Ordering::Relaxed)
    }

    /// The write-ahead log could not be moved into the database. Nothing is lost by that, and what was committed stays
    /// committed: unless the disk did not confirm what it was given, it is tried again with the next commits.
    pub(crate) fn checkpoint_failed(&self, error: &StoreError) {
        match error {
            StoreError::Failed(_) | StoreError::Damaged(_) => self.failed(error),
            StoreError::Unavailable(_)
            | StoreError::NoSuchRoom
            | StoreError::RoomExists
            | StoreError::TooManyParticipants
            | StoreError::OutOfOrder { .. }
            | StoreError::RoomDamaged { .. }
            | StoreError::Malformed
            | StoreError::Stopped => {
                if !self.checkpoints_fail.swap(true, Ordering::Relaxed) {
                    tracing::warn!(%error, "the write-ahead log cannot be moved into the database, and grows meanwhile");
                }
            }
        }
    }

    /// The write-ahead log could be moved.
    pub(crate) fn checkpoint_succeeded(&self) {
        if self.checkpoints_fail.swap(false, Ordering::Relaxed) {
            tracing::info!("the write-ahead log can be moved into the database again");
        }
    }

    /// Something is refused because the write-ahead log is as long as it may be.
    pub(crate) fn log_limit_hit(&self) {
        self.log_limit_hits.fetch_add(1, Ordering::Relaxed);
    }

    /// How often that was so.
    pub(crate) fn log_limit_hits(&self) -> u64 {
        self.log_limit_hits.load(Ordering::Relaxed)
    }

    /// Something was written.
    pub(crate) fn succeeded(&self) {
        let mut health = self.lock();
        if let Health::Unavailable(_) = *health {
            tracing::info!("the store is available again");
            *health = Health::Healthy;
        }
    }

    /// Something could not be written. A change is said once in the log.
    pub(crate) fn failed(&self, error: &StoreError) {
        let mut health = self.lock();
        match (&*health, error) {
            (Health::Failed(_), _) => {}
            (_, StoreError::Failed(reason) | StoreError::Damaged(reason)) => {
                tracing::error!(%error, "the store has failed: nothing is accepted until a restart");
                *health = Health::Failed(reason.clone());
                if let StoreError::Failed(_) = error
                    && let Some((dir, note)) = &self.dir
                    && let Err(error) = note(dir)
                {
                    tracing::error!(%error, "the failure could not be noted for the next start");
                }
            }
            (Health::Healthy, StoreError::Unavailable(reason)) => {
                tracing::error!(%error, "nothing can be stored at the moment");
                *health = Health::Unavailable(reason.clone());
            }
            (Health::Healthy | Health::Unavailable(_), _) => {}
        }
    }

    fn lock(&self) -> MutexGuard<'_, Health> {
        self.health.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Marks the store as failed if the thread that holds it dies.
pub(crate) struct Watch(pub(crate) Arc<Monitor>);

impl Drop for Watch {
    fn drop(&mut self) {
        if std::thread::panicking() {
            self.0.failed(&StoreError::Failed("the thread that writes has panicked".into()));
        }
    }
}
