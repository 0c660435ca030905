//! `foghorn top`: what a running server does, live.
//!
//! | file | subject |
//! |---|---|
//! | this one | the command: a screen on a terminal, lines elsewhere |
//! | `fetch` | asking the server once a second |
//! | `figures` | what it answers, and what has happened between two answers |
//! | `view` | the lines of the screen |
//! | `screen` | the terminal: taken, drawn on, given back |

mod fetch;
mod figures;
mod screen;
mod view;

use std::io::{self, IsTerminal, Write};
use std::time::{Duration, Instant};

use crossbeam_channel::{Receiver, bounded, select, tick};
use signal_hook::consts::SIGWINCH;

use self::fetch::{Fetched, Fetcher};
use self::figures::History;
use self::screen::Screen;
use super::failure::Failure;
use super::live;
use super::log;
use super::remote::AccessArgs;
use crate::system::instant;

const REDRAW_EVERY: Duration = Duration::from_secs(1);

/// Arguments of `foghorn top`.
#[derive(Debug, clap::Args)]
pub(super) struct TopArgs {
    /// The server: http(s)://HOST:PORT, ws(s)://HOST:PORT, or unix:/PATH
    #[arg(value_name = "URL")]
    url: String,
    #[command(flatten)]
    access: AccessArgs,
}

/// What is known of the server.
struct Known {
    url: String,
    history: History,
    /// When it answered last, and why it does not answer any more.
    answered_at: Option<Instant>,
    trouble: Option<String>,
}

/// Shows the figures until `q` or a signal comes.
pub(super) fn run(arguments: TopArgs) -> Result<(), Failure> {
    let TopArgs { url, access } = arguments;
    let (tell, fetched) = bounded(1);
    Fetcher::new(url.clone(), access).start(tell)?;
    let known = Known { url, history: History::default(), answered_at: None, trouble: None };
    if io::stdout().is_terminal() { on_terminal(known, &fetched) } else { as_lines(known, &fetched) }
}

impl Known {
    /// Takes in what was fetched; true if it is news.
    fn take(&mut self, fetched: Fetched) -> Result<bool, Failure> {
        match fetched {
            Fetched::Figures(figures) => {
                self.history.push(*figures);
                self.answered_at = Some(instant());
                self.trouble = None;
                Ok(true)
            }
            Fetched::Away(why) => Ok(self.trouble.replace(why).is_none()),
            Fetched::Refused(failure) => Err(failure),
        }
    }
}

fn on_terminal(mut known: Known, fetched: &Receiver<Fetched>) -> Result<(), Failure> {
    let signals = live::signals(&[SIGWINCH], screen::give_back)?;
    let screen = Screen::take()?;
    let (keys, redraws) = (screen::keys()?, tick(REDRAW_EVERY));
    loop {
        let silent = known.answered_at.map(|at| instant().saturating_duration_since(at));
        let (columns, rows) = screen.size();
        // A full last column would make some terminals begin another line.
        let columns = columns.saturating_sub(1);
        let lines = view::lines(&known.url, &known.history, silent, known.trouble.as_deref(), columns);
        if live::has_gone(screen.draw(&lines, rows))? {
            return Ok(());
        }
        select! {
            recv(signals) -> signal => if signal != Ok(SIGWINCH) {
                return Ok(());
            },
            recv(keys) -> key => if matches!(key, Ok(b'q' | b'Q')) {
                return Ok(());
            },
            recv(fetched) -> fetched => {
                known.take(fetched.map_err(|_| ended())?)?;
            }
            recv(redraws) -> _ => {}
        }
    }
}

/// A line for each answer.
fn as_lines(mut known: Known, fetched: &Receiver<Fetched>) -> Result<(), Failure> {
    let (signals, looks) = (live::signals(&[], || {})?, tick(REDRAW_EVERY));
    loop {
        select! {
            recv(signals) -> _ => return Ok(()),
            recv(looks) -> _ => if live::reader_has_gone() {
                return Ok(());
            },
            recv(fetched) -> fetched => {
                let is_news = known.take(fetched.map_err(|_| ended())?)?;
                match &known.trouble {
                    Some(why) if is_news => log::say(&format_args!("foghorn: {why}; trying again each second")),
                    Some(_) => {}
                    None => {
                        let mut stdout = io::stdout().lock();
                        let written = writeln!(stdout, "{}", view::plain(&known.history));
                        if live::has_gone(written.and_then(|()| stdout.flush()))? {
                            return Ok(());
                        }
                    }
                }
            }
        }
    }
}

fn ended() -> Failure {
    Failure::new("the thread that asks the server has ended")
}
