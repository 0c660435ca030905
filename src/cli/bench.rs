//! `foghorn bench`: the load engine, with a progress bar in front and reports behind.

use std::fs;
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::time::Duration;

use indicatif::{ProgressBar, ProgressStyle};

use crate::bench::{
    self, BenchError, Pace, Plan, Progress, Protocol, Report, Rooms, Spawned, Target, Wait, Workload,
};

const ECHO_PATH: &str = "/echo";
const RELAY_PATH: &str = "/ws/raw?roomId={room}";
const CHAT_PATH: &str = "/ws/chat?roomId={room}&username={member}";

/// Arguments of `foghorn bench`.
#[derive(Debug, clap::Args)]
#[group(id = "bench")]
pub(super) struct BenchArgs {
    #[command(subcommand)]
    mode: Mode,
}

#[derive(Debug, clap::Subcommand)]
enum Mode {
    /// Publishers to rooms full of members
    Fanout {
        /// Rooms
        #[arg(long, default_value_t = 1)]
        rooms: usize,
        /// Members of each room
        #[arg(long, default_value_t = 100)]
        members: usize,
        /// Members of each room that publish
        #[arg(long, default_value_t = 1)]
        publishers: usize,
        /// Members of each room that do not read
        #[arg(long, default_value_t = 0)]
        stalled: usize,
        /// Messages of each publisher that not every member has yet
        #[arg(long, value_name = "N", default_value_t = 1, conflicts_with = "rate")]
        window: u32,
        /// Messages per second in all, sent on schedule whatever the server does
        #[arg(long, value_name = "N")]
        rate: Option<f64>,
        /// Bytes of each message
        #[arg(long, value_name = "BYTES", default_value_t = 128)]
        size: usize,
        /// Send chat messages (JSON) instead of plain text
        #[arg(long, conflicts_with = "binary")]
        chat: bool,
        /// Send binary messages instead of text
        #[arg(long)]
        binary: bool,
        #[command(flatten)]
        common: Common,
    },
    /// Connections that hear back what they say
    Echo {
        /// Connections
        #[arg(long, default_value_t = 64)]
        connections: usize,
        /// Messages of each connection that have not come back yet
        #[arg(long, value_name = "N", default_value_t = 1, conflicts_with = "rate")]
        in_flight: u32,
        /// Messages per second in all, sent on schedule whatever the server does
        #[arg(long, value_name = "N")]
        rate: Option<f64>,
        /// Bytes of each message
        #[arg(long, value_name = "BYTES", default_value_t = 128)]
        size: usize,
        /// Send binary messages instead of text
        #[arg(long)]
        binary: bool,
        #[command(flatten)]
        common: Common,
    },
    /// Connections that say nothing: what each costs in memory
    Idle {
        /// Connections
        #[arg(long, default_value_t = 1000)]
        connections: usize,
        /// Let them be members of so many rooms of the chat, instead of connections to /echo
        #[arg(long, value_name = "N")]
        rooms: Option<usize>,
        #[command(flatten)]
        common: Common,
    },
    /// Connections that come, say one thing, hear it back and go
    Churn {
        /// Connections at one time
        #[arg(long, default_value_t = 64)]
        connections: usize,
        #[command(flatten)]
        common: Common,
    },
}

/// What all modes understand.
#[derive(Debug, clap::Args)]
struct Common {
    /// The server, as ws://HOST:PORT[/PATH]; in the path {room} and {member} stand for names. Without it a server is
    /// started on a processor of its own
    url: Option<String>,
    /// How long to measure
    #[arg(long, value_name = "SECONDS", default_value_t = 5.0, value_parser = seconds)]
    seconds: f64,
    /// How long to run before that
    #[arg(long, value_name = "SECONDS", default_value_t = 1.0, value_parser = seconds)]
    warmup: f64,
    /// The server's process, to measure what it uses
    #[arg(long, requires = "url")]
    pid: Option<u32>,
    /// Write the report as JSON
    #[arg(long, value_name = "FILE")]
    json: Option<PathBuf>,
    /// Write the report as a page with plots
    #[arg(long, value_name = "FILE")]
    html: Option<PathBuf>,
    /// The server to start [default: this program, in memory]; it has to print `listening on http://ADDR:PORT`
    #[arg(last = true, conflicts_with = "url")]
    command: Vec<String>,
}

fn seconds(text: &str) -> Result<f64, String> {
    match text.parse() {
        Ok(seconds) if (0.0..=86_400.0).contains(&seconds) => Ok(seconds),
        Ok(_) | Err(_) => Err("expected seconds, up to a day".to_owned()),
    }
}

/// What a mode means: the workload, the messages, and the path if the URL has none.
struct Task {
    workload: Workload,
    protocol: Protocol,
    size: usize,
    path: &'static str,
    common: Common,
}

impl Mode {
    fn task(self) -> Task {
        let pace = |window, rate: Option<f64>| rate.map_or(Pace::Window(window), Pace::Rate);
        let plain = |binary| if binary { Protocol::Binary } else { Protocol::Text };
        match self {
            Mode::Fanout {
                rooms,
                members,
                publishers,
                stalled,
                window,
                rate,
                size,
                chat,
                binary,
                common,
            } => {
                let pace = pace(window, rate);
                let workload = Workload::Fanout(Rooms { rooms, members, publishers, stalled, pace });
                let (protocol, path) =
                    if chat { (Protocol::Chat, CHAT_PATH) } else { (plain(binary), RELAY_PATH) };
                Task { workload, protocol, size, path, common }
            }
            Mode::Echo { connections, in_flight, rate, size, binary, common } => {
                let pace = pace(in_flight, rate);
                let rooms = Rooms { rooms: connections, members: 1, publishers: 1, stalled: 0, pace };
                let workload = Workload::Fanout(rooms);
                Task { workload, protocol: plain(binary), size, path: ECHO_PATH, common }
            }
            Mode::Idle { connections, rooms, common } => {
                let path = if rooms.is_some() { CHAT_PATH } else { ECHO_PATH };
                let rooms = rooms.unwrap_or(1).max(1);
                let workload = Workload::Idle { rooms, members: connections.div_ceil(rooms) };
                Task { workload, protocol: Protocol::Text, size: 16, path, common }
            }
            Mode::Churn { connections, common } => {
                let workload = Workload::Churn { connections };
                Task { workload, protocol: Protocol::Text, size: 16, path: ECHO_PATH, common }
            }
        }
    }
}

/// Runs the load and prints the report.
///
/// # Errors
/// [`BenchError`] if there is no report, or one that says nothing about the server.
pub(super) fn run(args: BenchArgs) -> Result<(), BenchError> {
    let Task { workload, protocol, size, path, common } = args.mode.task();
    let server = if common.url.is_none() { Some(start(&common.command)?) } else { None };
    let url = server.as_ref().map_or(common.url.as_deref().unwrap_or_default(), Spawned::url);
    let target = Target::parse(url, path)?;
    let plan = Plan {
        workload,
        protocol,
        size,
        warmup: Duration::from_secs_f64(common.warmup),
        measure: Duration::from_secs_f64(common.seconds),
        // A server that was started here has been pinned to another processor, if there are two.
        wait: if server.as_ref().is_some_and(Spawned::is_pinned) { Wait::Spin } else { Wait::Sleep },
        server: server.as_ref().map(Spawned::id).or(common.pid),
    };
    let bar = ProgressBar::new(1);
    let report = bench::run(&plan, &target, &mut |progress| show(&bar, progress));
    bar.finish_and_clear();
    let report = report?;
    print(&report).map_err(|error| BenchError::System("print the report", error))?;
    if let Some(path) = &common.json {
        let text = serde_json::to_string_pretty(&report).map_err(io::Error::from);
        write(path, text.map(String::into_bytes))?;
    }
    if let Some(path) = &common.html {
        write(path, Ok(bench::page(&report).into_bytes()))?;
    }
    if report.verdict.is_result() { Ok(()) } else { Err(BenchError::NoResult(report.verdict)) }
}

fn start(command: &[String]) -> Result<Spawned, BenchError> {
    if !command.is_empty() {
        return Spawned::start(command, true);
    }
    let this = std::env::current_exe().map_err(|error| BenchError::System("find this program", error))?;
    let own = ["serve", "--listen", "127.0.0.1:0", "--memory", "--log", "error"].map(str::to_owned);
    Spawned::start(&[vec![this.to_string_lossy().into_owned()], own.to_vec()].concat(), true)
}

fn show(bar: &ProgressBar, progress: Progress) {
    let style = |template| {
        if let Ok(style) = ProgressStyle::with_template(template) {
            bar.set_style(style);
        }
    };
    let millis = |duration: Duration| u64::try_from(duration.as_millis()).unwrap_or(u64::MAX);
    match progress {
        Progress::Connecting { opened, of } => {
            style("{msg:11} {bar:40} {pos}/{len}");
            bar.set_message("connecting");
            bar.set_length(of as u64);
            bar.set_position(opened as u64);
        }
        Progress::WarmingUp => {
            style("{msg}");
            bar.set_message("warming up");
        }
        Progress::Measuring { elapsed, of } => {
            style("{msg:11} {bar:40} {elapsed}");
            bar.set_message("measuring");
            bar.set_length(millis(of));
            bar.set_position(millis(elapsed));
        }
        Progress::Draining => {
            style("{msg}");
            bar.set_message("waiting for the last messages");
        }
    }
}

fn print(report: &Report) -> io::Result<()> {
    let mut stdout = io::stdout().lock();
    for (name, value) in report.lines() {
        writeln!(stdout, "{name:>20}  {value}")?;
    }
    writeln!(stdout, "{:>20}  {}", "verdict", report.verdict)
}

fn write(path: &Path, bytes: io::Result<Vec<u8>>) -> Result<(), BenchError> {
    bytes.and_then(|bytes| fs::write(path, bytes)).map_err(|error| BenchError::Write(path.to_owned(), error))
}

#[cfg(test)]
mod tests {
    use clap::{CommandFactory, Parser};

    use super::*;

    #[derive(Debug, Parser)]
    struct Line {
        #[command(flatten)]
        bench: BenchArgs,
    }

    fn task(line: &str) -> Result<Task, clap::Error> {
        Line::try_parse_from(format!("bench {line}").split(' ')).map(|line| line.bench.mode.task())
    }

    #[test]
    fn the_arguments_are_consistent() {
        Line::command().debug_assert();
    }

    #[test]
    fn each_mode_becomes_its_workload() {
        let fanout = task("fanout ws://h:1 --rooms 3 --members 7 --stalled 2 --rate 50 --chat").unwrap();
        let rooms = Rooms { rooms: 3, members: 7, publishers: 1, stalled: 2, pace: Pace::Rate(50.0) };
        assert_eq!((fanout.workload, fanout.protocol), (Workload::Fanout(rooms), Protocol::Chat));
        assert_eq!((fanout.path, fanout.common.url.as_deref()), (CHAT_PATH, Some("ws://h:1")));
        let echo = task("echo --connections 5 --in-flight 4 --binary --size 99").unwrap();
        let rooms = Rooms { rooms: 5, members: 1, publishers: 1, stalled: 0, pace: Pace::Window(4) };
        assert_eq!(
            (echo.workload, echo.protocol, echo.size),
            (Workload::Fanout(rooms), Protocol::Binary, 99)
        );
        let idle = task("idle --connections 100 --rooms 8").unwrap();
        assert_eq!((idle.workload, idle.path), (Workload::Idle { rooms: 8, members: 13 }, CHAT_PATH));
        assert_eq!(task("churn").unwrap().workload, Workload::Churn { connections: 64 });
        assert_eq!(task("churn -- server --port 0").unwrap().common.command, ["server", "--port", "0"]);
    }

    #[test]
    fn contradictions_are_refused() {
        for line in
            ["", "fanout --window 2 --rate 3", "echo --pid 1", "idle --seconds x", "churn ws://h -- server"]
        {
            assert!(task(line).is_err(), "{line}");
        }
    }
}
