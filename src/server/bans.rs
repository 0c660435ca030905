//! Bans over restarts: they are read when the server starts, and what is left of them is written down from time to time,
//! since a clock that does not jump ends with the process.

use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::Duration;

use crossbeam_channel::{RecvTimeoutError, Sender, bounded};

use crate::rooms::Bounds;
use crate::store::Store;
use crate::workers::Deadline;

/// What a crash may add to a ban at most. Each time costs a transaction, where anybody is banned.
const NOTE_EVERY: Duration = Duration::from_secs(5);
/// How long the last note may take at least. The shards may have waited for the same store all the time there was.
const LAST_NOTE: Duration = Duration::from_millis(50);
/// How long an answer of the store is waited for.
const PATIENCE: Duration = Duration::from_secs(30);

/// Bans users as the store says.
pub(super) fn restore(store: &Store, bounds: &Bounds) {
    let (answer, answered) = bounded(1);
    let done = Box::new(move |bans| drop(answer.send(bans)));
    let asked = store.bans(done).map_err(|_| "the store is busy".to_owned());
    let read = asked.and_then(|()| answered.recv_timeout(PATIENCE).map_err(|error| error.to_string()));
    match read.and_then(|bans| bans.map_err(|error| error.to_string())) {
        Ok(bans) => {
            for ban in bans {
                let _as_many_as_before = bounds.bans.add(&ban.room, &ban.user, ban.left);
            }
        }
        Err(error) => tracing::error!(%error, "the bans could not be read; nobody is banned"),
    }
}

/// The thread that writes down what is left of the bans. Dropping it does so once more.
#[derive(Debug)]
pub(super) struct Keeper {
    /// How long the last answer of the store is waited for.
    patience: Deadline,
    stop: Option<Sender<()>>,
    thread: Option<JoinHandle<()>>,
}

impl Keeper {
    /// # Errors
    /// If there can be no more threads.
    pub(super) fn start(store: Store, bounds: Arc<Bounds>) -> std::io::Result<Keeper> {
        let (stop, stopped) = bounded::<()>(0);
        let patience = Deadline::default();
        let until = patience.clone();
        let run = move || {
            loop {
                let is_over = stopped.recv_timeout(NOTE_EVERY) != Err(RecvTimeoutError::Timeout);
                let (ended, bans) = (bounds.bans.sweep(), bounds.bans.all());
                if !(bans.is_empty() && ended.is_empty()) {
                    let (answer, answered) = bounded(1);
                    let noted = store.note_bans(bans, ended, Box::new(move |noted| drop(answer.send(noted))));
                    if noted.is_ok() && is_over {
                        let _noted_or_not = answered.recv_timeout(until.left().unwrap_or(PATIENCE));
                    }
                }
                if is_over {
                    return;
                }
            }
        };
        let thread = std::thread::Builder::new().name("bans".into()).spawn(run)?;
        Ok(Keeper { patience, stop: Some(stop), thread: Some(thread) })
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
