//! `foghorn tail`: follows a room, through lost connections and restarts of the server.
//!
//! It reads by long polls: a poll is a cursor, so nothing is lost or shown twice, and nobody in the room sees a reader.
//!
//! | file | subject |
//! |---|---|
//! | this one | the command: what comes is printed, until it is told to end |
//! | `follow` | the polls, and coming back |
//! | `entry` | how an entry looks on a line |

mod entry;
mod follow;

use std::io::{self, IsTerminal, Write};
use std::time::Duration;

use crossbeam_channel::{bounded, select, tick};

use self::entry::Look;
use self::follow::{Follower, LogUpdate};
use super::failure::Failure;
use super::live;
use super::log;
use super::remote::AccessArgs;

/// How often a reader that has gone is looked for while there is nothing to write.
const LOOK_EVERY: Duration = Duration::from_secs(1);

/// Arguments of `foghorn tail`.
#[derive(Debug, clap::Args)]
pub(super) struct TailArgs {
    /// The server: http(s)://HOST:PORT, ws(s)://HOST:PORT, or unix:/PATH
    #[arg(value_name = "URL")]
    url: String,
    /// The room
    #[arg(value_name = "ROOM", value_parser = clap::builder::NonEmptyStringValueParser::new())]
    room: String,
    /// Begin with the last K entries
    #[arg(long, value_name = "K", default_value_t = 0)]
    history: u64,
    /// Print each entry as the JSON that came
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    access: AccessArgs,
}

/// Prints what is said in the room until a signal comes.
pub(super) fn run(arguments: TailArgs) -> Result<(), Failure> {
    let TailArgs { url, room, history, json, access } = arguments;
    let look = if json { Look::Json } else { Look::Text { colour: is_colourful() } };
    let signals = live::signals(&[], || {})?;
    // One page is printed while the next one is fetched: a reader that is slow is not overtaken.
    let (tell, news) = bounded(1);
    Follower::new(url, access, &room, history).start(tell)?;
    let looks = tick(LOOK_EVERY);
    loop {
        select! {
            recv(signals) -> _ => return Ok(()),
            recv(looks) -> _ => if live::reader_has_gone() {
                return Ok(());
            },
            recv(news) -> told => match told {
                Ok(LogUpdate::Entries(body)) => {
                    let lines = entry::lines(&body, look)?;
                    let mut stdout = io::stdout().lock();
                    let written = stdout.write_all(lines.as_bytes()).and_then(|()| stdout.flush());
                    if live::has_gone(written)? {
                        return Ok(());
                    }
                }
                Ok(LogUpdate::Lost { why, wait }) => {
                    log::say(&format_args!("foghorn: {why}; trying again in {:.1} s", wait.as_secs_f64()));
                }
                Ok(LogUpdate::Back) => log::say(&"foghorn: connected again"),
                Ok(LogUpdate::End(failure)) => return Err(failure),
                Err(_) => return Err(Failure::new("the thread that follows the room has ended")),
            },
        }
    }
}

/// Whether colours mean something to the reader of standard output, and are wanted (<https://no-color.org>).
fn is_colourful() -> bool {
    let is_set = |name: &str| std::env::var_os(name).is_some_and(|value| !value.is_empty());
    let is_dumb = std::env::var_os("TERM").is_some_and(|term| term == "dumb");
    io::stdout().is_terminal() && !is_set("NO_COLOR") && !is_dumb
}
