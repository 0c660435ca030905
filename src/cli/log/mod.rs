//! The log: events of `tracing` as lines on standard error.
//!
//! No thread that serves ever waits for standard error, or fails with it: a line goes into a bounded queue (`queue`), and
//! one thread of its own writes it. A line that the queue or standard error does not take is dropped and counted.
//!
//! | file | subject |
//! |---|---|
//! | this one | the subscriber, the hook of panics, what a command says |
//! | `line` | one event as one line of text or JSON |
//! | `queue` | the bounded queue, and the thread that empties it |

mod line;
mod queue;

use std::backtrace::{Backtrace, BacktraceStatus};
use std::fmt::Display;
use std::io::{self, IsTerminal, Write};
use std::panic::{self, PanicHookInfo};
use std::sync::OnceLock;
use std::time::Duration;

use tracing::{Event, Subscriber};
use tracing_subscriber::filter::Targets;
use tracing_subscriber::layer::{Context, Layer, SubscriberExt};
use tracing_subscriber::util::SubscriberInitExt;

use self::line::Form;
use self::queue::LogQueue;
use crate::cli::failure::Failure;
use crate::config::{Config, LogFormat};

/// What a reader has to take the last lines at the end of the process. Without it a stuck reader would keep the process.
pub(super) const LAST_LINES: Duration = Duration::from_millis(500);

/// The queue of the process, once there is a log.
static QUEUE: OnceLock<LogQueue> = OnceLock::new();

/// Begins the log. From now on panics go there, too.
pub(super) fn begin(config: &Config) -> Result<(), Failure> {
    let filter = filter(&config.log)?;
    let form = match config.log_format {
        LogFormat::Json => Form::Json,
        LogFormat::Text => Form::Text { colour: io::stderr().is_terminal() },
    };
    let queue = LogQueue::start(io::stderr(), form)
        .map_err(|error| Failure::new(format!("cannot start the thread of the log: {error}")))?;
    let queue = QUEUE.get_or_init(|| queue);
    // A library in the same process may have set up its own log before.
    let _kept = tracing_subscriber::registry().with(filter).with(Lines { form, queue }).try_init();
    panic::set_hook(Box::new(report_panic));
    Ok(())
}

/// Levels, and parts of the program with a level, as the configuration has checked them.
fn filter(text: &str) -> Result<Targets, Failure> {
    let parts: Vec<_> = text.split(',').map(str::trim).collect();
    Ok(parts.join(",").parse()?)
}

/// Says something to the user of the command, through the log if there is one: it comes behind what was logged before.
pub(super) fn say(text: &dyn Display) {
    match QUEUE.get() {
        Some(queue) => queue.push(format!("{text}\n")),
        None => {
            let _nowhere_to_complain = writeln!(io::stderr(), "{text}");
        }
    }
}

/// Waits until what was logged is written, but no longer than `within`.
pub(super) fn finish(within: Duration) {
    if let Some(queue) = QUEUE.get() {
        queue.finish(within);
    }
}

/// Turns events into lines.
struct Lines {
    form: Form,
    queue: &'static LogQueue,
}

impl<S: Subscriber> Layer<S> for Lines {
    fn on_event(&self, event: &Event<'_>, _: Context<'_, S>) {
        self.queue.push(line::of_event(self.form, event));
    }
}

/// The hook of the standard library would write to standard error itself, and wait for it.
fn report_panic(info: &PanicHookInfo<'_>) {
    let payload = info.payload();
    let text = payload.downcast_ref::<&str>().copied();
    let text = text.or_else(|| payload.downcast_ref::<String>().map(String::as_str)).unwrap_or("no text");
    let place = info.location().map(ToString::to_string).unwrap_or_default();
    let thread = std::thread::current();
    let thread = thread.name().unwrap_or("unnamed");
    let backtrace = Backtrace::capture();
    if backtrace.status() == BacktraceStatus::Captured {
        tracing::error!(thread, place, panic = text, %backtrace, "a thread panicked");
    } else {
        tracing::error!(thread, place, panic = text, "a thread panicked");
    }
}

#[cfg(test)]
mod tests {
    use tracing::Level;

    use super::*;

    #[test]
    fn a_part_of_the_program_has_a_level_of_its_own() {
        let filter = filter("foghorn::reactor=debug, WARN").unwrap();
        for (target, level, logged) in [
            ("foghorn::reactor::events", Level::DEBUG, true),
            ("foghorn::reactor", Level::TRACE, false),
            ("foghorn::rooms", Level::WARN, true),
            ("foghorn::rooms", Level::INFO, false),
        ] {
            assert_eq!(filter.would_enable(target, &level), logged, "{target} {level}");
        }
    }
}
