//! Bans over restarts: they are read when the server starts, and what is left of them is written down from time to time,
//! since a clock that does not jump ends with the process.

use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::Duration;

use crossbeam_channel::{Receiver, RecvTimeoutError, Sender, bounded};

use crate::rooms::Bounds;
use crate::store::{Backend, Store, StoreError};
use crate::system::threads::recv_timeout;
use crate::workers::Deadline;

/// What a crash may add to a ban at most. Each time costs a transaction, where there are bans.
pub(super) const NOTE_EVERY: Duration = Duration::from_secs(5);
/// How long the last note may take at least. The shards may have waited for the same store all the time there was.
const LAST_NOTE: Duration = Duration::from_millis(50);
/// How long an answer of the store is waited for.
const PATIENCE: Duration = Duration::from_secs(30);

/// Bans users as the store says.
///
/// # Errors
/// Why the store does not say it.
pub(super) fn restore(store: &dyn Backend, bounds: &Bounds) -> Result<(), String> {
    let (answer, answered) = bounded(1);
    let done = Box::new(move |bans| drop(answer.send(bans)));
    let asked = store.bans(done).map_err(|_| "the store is busy".to_owned());
    let read = asked.and_then(|()| recv_timeout(&answered, PATIENCE).map_err(|error| error.to_string()));
    for ban in read?.map_err(|error| error.to_string())? {
        let _as_many_as_before = bounds.bans.add(&ban.room, &ban.user, ban.left);
    }
    Ok(())
}

/// The thread that writes down what is left of the bans. Dropping it does so once more.
#[cfg_attr(not(feature = "simulation"), derive(Debug))]
pub(super) struct Keeper {
    /// How long the last answer of the store is waited for.
    patience: Deadline,
    stop: Option<Sender<()>>,
    thread: Option<JoinHandle<()>>,
    /// In a simulation this takes the place of the thread.
    #[cfg(feature = "simulation")]
    stepped: Option<(Store, Arc<Bounds>)>,
}

/// Writes down what is left of the bans that hold, and forgets bans that have ended; what is returned hears when that is
/// done.
fn note(store: &Store, bounds: &Bounds) -> Option<Receiver<Result<(), StoreError>>> {
    let (ended, bans) = (bounds.bans.sweep(), bounds.bans.all());
    if bans.is_empty() && ended.is_empty() {
        return None;
    }
    let (answer, answered) = bounded(1);
    let noted = store.note_bans(bans, ended, Box::new(move |noted| drop(answer.send(noted))));
    noted.is_ok().then_some(answered)
}

impl Keeper {
    /// # Errors
    /// If there can be no more threads.
    pub(super) fn start(store: Store, bounds: Arc<Bounds>) -> std::io::Result<Keeper> {
        let patience = Deadline::default();
        #[cfg(feature = "simulation")]
        if crate::system::world::current().is_some() {
            return Ok(Keeper { patience, stop: None, thread: None, stepped: Some((store, bounds)) });
        }
        let (stop, stopped) = bounded::<()>(0);
        let until = patience.clone();
        let run = move || {
            loop {
                let is_over = stopped.recv_timeout(NOTE_EVERY) != Err(RecvTimeoutError::Timeout);
                let noted = note(&store, &bounds);
                if let Some(answered) = noted.filter(|_| is_over) {
                    let _noted_or_not = answered.recv_timeout(until.left().unwrap_or(PATIENCE));
                }
                if is_over {
                    return;
                }
            }
        };
        let thread = std::thread::Builder::new().name("bans".into()).spawn(run)?;
        Ok(Keeper {
            patience,
            stop: Some(stop),
            thread: Some(thread),
            #[cfg(feature = "simulation")]
            stepped: None,
        })
    }

    /// In a simulation: what the thread does once in a while.
    #[cfg(feature = "simulation")]
    pub(super) fn note(&self) {
        if let Some((store, bounds)) = &self.stepped {
            let _noted_or_not = note(store, bounds);
        }
    }

    /// Writes them down once more, as far as the server has time for it.
    pub(super) fn finish(self, deadline: &Deadline) {
        self.patience.set_in(deadline.left().unwrap_or(PATIENCE).max(LAST_NOTE));
    }
}

impl Drop for Keeper {
    fn drop(&mut self) {
        drop(self.stop.take());
        if let Some(thread) = self.thread.take() {
            let _panic_was_printed = thread.join();
        }
    }
}
