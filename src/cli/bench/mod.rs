//! `foghorn bench`: the load engine, with a progress bar in front and reports behind.
//!
//! | file | subject |
//! |---|---|
//! | this one | a run: its bar, its report, the files that it writes |
//! | `compare` | two reports side by side |
//! | `metrics` | how the server's metrics are read |
//! | `output` | the files that reports are written to |
//! | `modes` | the modes and their arguments, and what each of them means |
//! | `show` | what is on the terminal while a run goes on, and at its end |

mod compare;
mod metrics;
mod modes;
mod output;
mod show;

use std::io;
use std::path::PathBuf;
use std::time::Duration;

use serde::Serialize;

use self::compare::CompareArgs;
use self::modes::{Common, MEMBER_NAME, Mode, Processors, Task, Work};
use self::output::write;
use self::show::Bar;
use crate::bench::{
    self, BenchError, Durable, Plan, Report, Series, Spawned, StoringServer, Target, Verdict, Wait, Workload,
};
use crate::config::Secret;
use crate::rooms::store_api::Durability;

/// Arguments of `foghorn bench`.
#[derive(Debug, clap::Args)]
#[group(id = "bench")]
pub(super) struct BenchArgs {
    #[command(subcommand)]
    command: BenchCommand,
}

#[derive(Debug, clap::Subcommand)]
#[expect(clippy::large_enum_variant, reason = "there is one, for the time of the program")]
enum BenchCommand {
    #[command(flatten)]
    Run(Mode),
    /// Two reports side by side: their figures, and their plots in one
    Compare(CompareArgs),
}

/// What comes out.
#[derive(Serialize)]
#[serde(untagged)]
enum Outcome {
    One(Box<Report>),
    Several(Series),
}

/// Runs the load and prints the report.
///
/// # Errors
/// [`BenchError`] if there is no report, or one that says nothing about the server.
pub(super) fn run(args: BenchArgs) -> Result<(), BenchError> {
    let task = match args.command {
        BenchCommand::Run(mode) => mode.task(),
        BenchCommand::Compare(args) => return compare::run(&args),
    };
    let bar = Bar::new();
    let outcome = carry_out(&task, &bar);
    bar.finish();
    let outcome = outcome?;
    outcome.print().map_err(|error| BenchError::System("print the report", error))?;
    if let Some(path) = &task.common.json {
        let text = serde_json::to_string_pretty(&outcome).map_err(io::Error::from);
        write(path, text.map(String::into_bytes))?;
    }
    if let Some(path) = &task.common.html {
        write(path, Ok(outcome.page().into_bytes()))?;
    }
    let verdict = outcome.verdict();
    if verdict.is_result() { Ok(()) } else { Err(BenchError::NoResult(verdict)) }
}

impl Outcome {
    fn print(&self) -> io::Result<()> {
        match self {
            Outcome::One(report) => show::print(report),
            Outcome::Several(series) => show::print_series(series),
        }
    }

    fn page(&self) -> String {
        match self {
            Outcome::One(report) => bench::page(report),
            Outcome::Several(series) => bench::series_page(series),
        }
    }

    fn verdict(&self) -> Verdict {
        match self {
            Outcome::One(report) => report.verdict,
            Outcome::Several(series) => series.verdict(),
        }
    }
}

fn carry_out(task: &Task, bar: &Bar) -> Result<Outcome, BenchError> {
    let common = &task.common;
    let mut progress = |progress| bar.show(progress);
    match task.work {
        Work::One(workload) => {
            let server = start(common, &[])?;
            let report = bench::run(
                &task.plan(workload, server.as_ref()),
                &task.target(server.as_ref())?,
                &mut progress,
            );
            report.map(|report| Outcome::One(Box::new(report)))
        }
        Work::Recovery(returning) => {
            let own = common.url.is_none() && common.command.is_empty();
            let stored = own.then(|| {
                StoringServer::start(
                    &this_program()?,
                    &disk(common),
                    Durability::Commit,
                    common.pins(Processors::Own),
                )
            });
            let stored = stored.transpose()?;
            let started = if own { None } else { start(common, &[])? };
            let server = stored.as_ref().map(StoringServer::server).or(started.as_ref());
            let database = stored.as_ref().map(|stored| stored.data().to_owned());
            let plan = Plan { database, ..task.plan(Workload::Recovery(returning), server) };
            let report = bench::run(&plan, &task.target(server)?, &mut progress);
            report.map(|report| Outcome::One(Box::new(report)))
        }
        Work::Latency { rooms } => {
            let server = start(common, &[])?;
            let plan = task.plan(Workload::Fanout(rooms), server.as_ref());
            bench::latency(&plan, rooms, &task.target(server.as_ref())?, &mut progress).map(Outcome::Several)
        }
        Work::Fairness { rooms, crowd, rate } => {
            // With one worker all rooms are on one shard.
            let server = start(common, &["--workers", "1"])?;
            let plan = task.plan(Workload::Fanout(rooms), server.as_ref());
            let target = task.target(server.as_ref())?;
            bench::fairness(&plan, rooms, crowd, rate, &target, &mut progress).map(Outcome::Several)
        }
        Work::Durable { rooms, rounds } => {
            let plan = task.plan(Workload::Fanout(rooms), None);
            let (program, parent) = (this_program()?, disk(common));
            let (path, pin, metrics) = (task.path, common.pins(Processors::All), metrics::source(common));
            let how = Durable { program, parent, path, pin, metrics, rounds };
            bench::durable(&plan, &how, &mut progress).map(Outcome::Several)
        }
    }
}

impl Task {
    fn plan(&self, workload: Workload, server: Option<&Spawned>) -> Plan {
        Plan {
            workload,
            protocol: self.protocol,
            size: self.size,
            warmup: Duration::from_secs_f64(self.common.warmup),
            measure: Duration::from_secs_f64(self.common.seconds),
            // A server that was started here has been pinned to another processor, if there are two.
            wait: if server.is_some_and(Spawned::is_pinned) { Wait::Spin } else { Wait::Sleep },
            server: server.map(Spawned::id).or(self.common.pid),
            database: None,
        }
    }

    fn target(&self, server: Option<&Spawned>) -> Result<Target, BenchError> {
        let url = server.map(Spawned::url).or(self.common.url.as_deref());
        let token = self.common.token.as_deref().map(Secret::new);
        // Who has a token has its name, and no other.
        let path = if token.is_some() { self.path.replace(MEMBER_NAME, "") } else { self.path.to_owned() };
        let target = Target::parse_trusting(url.unwrap_or_default(), &path, &self.common.believed())?;
        Ok(target.with_token(token).with_metrics(metrics::source(&self.common)))
    }
}

/// Starts a server, unless there is one already.
fn start(common: &Common, options: &[&str]) -> Result<Option<Spawned>, BenchError> {
    if common.url.is_some() {
        return Ok(None);
    }
    let pin = common.pins(Processors::Own);
    if !common.command.is_empty() {
        return Spawned::start(&common.command, pin).map(Some);
    }
    let program = this_program()?.to_string_lossy().into_owned();
    let own = ["serve", "--listen", "127.0.0.1:0", "--memory", "--log", "error"];
    let words = own.iter().chain(options).map(|&word| word.to_owned());
    Spawned::start(&std::iter::once(program).chain(words).collect::<Vec<_>>(), pin).map(Some)
}

fn this_program() -> Result<PathBuf, BenchError> {
    std::env::current_exe().map_err(|error| BenchError::System("find this program", error))
}

/// Where data is kept for the time of a run.
fn disk(common: &Common) -> PathBuf {
    common.disk.clone().unwrap_or_else(std::env::temp_dir)
}
