//! How the store is, as its threads find out and everybody may ask.

use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};

use super::epoch;
use super::error::{Health, StoreError};

/// The one state that the threads share.
#[derive(Debug)]
pub(super) struct Monitor {
    health: Mutex<Health>,
    /// Whether messages were refused in this run: those of `async` rooms had been shown by then.
    lost: AtomicBool,
    /// Where a failure is noted for the next start; `None` if nothing outlives the process anyway.
    dir: Option<PathBuf>,
}

impl Monitor {
    pub(super) fn new(dir: Option<PathBuf>) -> Monitor {
        Monitor { health: Mutex::default(), lost: AtomicBool::new(false), dir }
    }

    pub(super) fn health(&self) -> Health {
        self.lock().clone()
    }

    /// Why nothing may be written any more, if so.
    pub(super) fn failure(&self) -> Option<StoreError> {
        match &*self.lock() {
            Health::Failed(reason) => Some(StoreError::Failed(reason.clone())),
            Health::Healthy | Health::Unavailable(_) => None,
        }
    }

    /// Messages were refused.
    pub(super) fn lost(&self) {
        self.lost.store(true, Ordering::Relaxed);
    }

    /// Whether messages were ever refused.
    pub(super) fn has_lost(&self) -> bool {
        self.lost.load(Ordering::Relaxed)
    }

    /// Something was written.
    pub(super) fn succeeded(&self) {
        let mut health = self.lock();
        if let Health::Unavailable(_) = *health {
            tracing::info!("the store is available again");
            *health = Health::Healthy;
        }
    }

    /// Something could not be written. Whatever changes is said once in the log.
    pub(super) fn failed(&self, error: &StoreError) {
        let mut health = self.lock();
        match (&*health, error) {
            (Health::Failed(_), _) => {}
            (_, StoreError::Failed(reason) | StoreError::Damaged(reason)) => {
                tracing::error!(%error, "the store has failed: nothing is accepted until a restart");
                *health = Health::Failed(reason.clone());
                if let StoreError::Failed(_) = error
                    && let Some(dir) = &self.dir
                    && let Err(error) = epoch::note_failure(dir)
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
