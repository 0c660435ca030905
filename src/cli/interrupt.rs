//! What a signal does to a command that has something to take back.

use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::Duration;

use crossbeam_channel::{RecvTimeoutError, Sender, bounded};
use signal_hook::consts::{SIGHUP, SIGINT, SIGTERM};
use signal_hook::iterator::Signals;

/// The exit status of a command that has not seen the note in time, as shells say it: 128, and 2 for `SIGINT`.
const INTERRUPTED: i32 = 130;
/// How long the command has, after a signal, to take back what it has done.
// It waits for the next line of its input or the next answer of a server that may never come.
const UNDO_TIME: Duration = Duration::from_secs(2);

/// Tells of a signal. When it is dropped, signals do nothing any more: the command is about to end.
pub(super) struct Interrupt {
    noted: Arc<AtomicBool>,
    _ends_the_watch: Sender<()>,
}

impl Interrupt {
    /// Notes a signal from now on. If the command does not see the note, since it waits for something, `give_up` is called
    /// and the process ends.
    pub(super) fn watch(give_up: impl FnOnce() + Send + 'static) -> io::Result<Interrupt> {
        let mut signals = Signals::new([SIGINT, SIGTERM, SIGHUP])?;
        let (done, ended) = bounded::<()>(1);
        let noted = Arc::new(AtomicBool::new(false));
        let note = noted.clone();
        thread::Builder::new().name("signals".into()).spawn(move || {
            if signals.forever().next().is_some() {
                // Relaxed: nothing else is handed over with it.
                note.store(true, Ordering::Relaxed);
                if ended.recv_timeout(UNDO_TIME) == Err(RecvTimeoutError::Timeout) {
                    give_up();
                    std::process::exit(INTERRUPTED);
                }
            }
        })?;
        Ok(Interrupt { noted, _ends_the_watch: done })
    }

    /// Whether a signal has come.
    pub(super) fn has_come(&self) -> bool {
        self.noted.load(Ordering::Relaxed)
    }
}
