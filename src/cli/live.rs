//! Commands that go on until they are told to end: by a signal, or by a reader of their output that has gone.

use std::io::{self, ErrorKind};
use std::thread;
use std::time::Duration;

use crossbeam_channel::{Receiver, SendTimeoutError, bounded};
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use signal_hook::consts::{SIGHUP, SIGINT, SIGTERM};
use signal_hook::iterator::Signals;

use super::failure::{Failure, cannot_print};

/// How long a command has to see a signal: it may be writing to a reader that does not read.
const SEEN_WITHIN: Duration = Duration::from_secs(1);

/// The signals that end such a command, and those of `besides`. If it does not see one in time, `give_up` is called and the
/// process ends, with the status of a command that was told to end.
pub(super) fn signals(besides: &[i32], give_up: impl Fn() + Send + 'static) -> io::Result<Receiver<i32>> {
    let ends = [SIGINT, SIGTERM, SIGHUP];
    let mut signals = Signals::new(ends.iter().chain(besides))?;
    // No place in between: what was sent was seen.
    let (tell, told) = bounded(0);
    thread::Builder::new().name("signals".to_owned()).spawn(move || {
        for signal in signals.forever() {
            let sent = tell.send_timeout(signal, SEEN_WITHIN);
            if matches!(sent, Err(SendTimeoutError::Timeout(_))) && ends.contains(&signal) {
                give_up();
                std::process::exit(0);
            }
        }
    })?;
    Ok(told)
}

/// Whether the reader of standard output has gone: `foghorn tail … | head -1`, and nothing more to write for a while.
pub(super) fn reader_has_gone() -> bool {
    let stdout = io::stdout();
    let mut fds = [PollFd::new(&stdout, PollFlags::empty())];
    let polled = poll(&mut fds, Some(&Timespec { tv_sec: 0, tv_nsec: 0 }));
    polled.is_ok() && fds[0].revents().contains(PollFlags::ERR)
}

/// What a write to standard output came to: true if its reader has gone, which ends the command in good order.
pub(super) fn has_gone(written: io::Result<()>) -> Result<bool, Failure> {
    match written {
        Ok(()) => Ok(false),
        Err(error) if error.kind() == ErrorKind::BrokenPipe => Ok(true),
        Err(error) => Err(cannot_print(error)),
    }
}
