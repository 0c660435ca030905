//! Messages stored and broadcast, with every durability, next to what SQLite can do by itself.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::time::Duration;

use super::clock::{Clock, nanos};
use super::database::{self, DbSnapshot};
use super::error::BenchError;
use super::phases::PATIENCE;
use super::plan::Wait;
use super::plan::{Plan, Workload};
use super::progress::Progress;
use super::progress::Verdict;
use super::report::Report;
use super::scraper::MetricsSource;
use super::series::{Run, Series};
use super::spawn::Spawned;
use super::sqlite_baseline::{self, Rows};
use super::target::Target;
use super::{SqliteBaseline, run};
use crate::rooms::store_api::Durability;

/// How the servers of such a series are started.
#[derive(Clone, Debug)]
pub struct Durable {
    /// This program: it is started with `serve` and the options for address, data and configuration.
    pub program: PathBuf,
    /// Where directories for their data are made, on the disk that is to be measured.
    pub parent: PathBuf,
    /// The path that members connect to.
    pub path: &'static str,
    /// Whether each server gets a processor to itself.
    pub pin: bool,
    /// How the servers' metrics are read, if they are.
    pub metrics: Option<MetricsSource>,
    /// How often all durabilities are gone through. Of each the run with the median throughput is kept.
    pub rounds: usize,
}

/// Carries out a plan of [`Workload::Fanout`] with every durability.
///
/// Each one gets a fresh server with a database on the disk. At the end it is killed with SIGKILL, and what it has
/// shown must be there. Then a plain loop inserts the same rows in batches as large as the server's own were on
/// average, for as long, on the same disk.
///
/// # Errors
/// [`BenchError`].
pub fn durable(plan: &Plan, how: &Durable, progress: &mut dyn FnMut(Progress)) -> Result<Series, BenchError> {
    let mut runs: [Vec<Run>; Durability::ALL.len()] = std::array::from_fn(|_| Vec::new());
    let (mut number, of) = (0, Durability::ALL.len() * how.rounds);
    for _ in 0..how.rounds {
        for (runs, durability) in runs.iter_mut().zip(Durability::ALL) {
            number += 1;
            progress(Progress::Part { name: durability.name(), number, of });
            runs.push(one(plan, how, durability, progress)?);
        }
    }
    Ok(Series { mode: "durable".to_owned(), runs: runs.into_iter().filter_map(median).collect() })
}

/// The run with the median throughput.
fn median(mut runs: Vec<Run>) -> Option<Run> {
    runs.sort_by(|a, b| a.report.messages_per_second().total_cmp(&b.report.messages_per_second()));
    let middle = runs.len() / 2;
    runs.into_iter().nth(middle)
}

fn one(
    plan: &Plan,
    how: &Durable,
    durability: Durability,
    progress: &mut dyn FnMut(Progress),
) -> Result<Run, BenchError> {
    let stored = StoringServer::start(&how.program, &how.parent, durability, how.pin)?;
    let target = Target::parse(stored.server.url(), how.path)?.with_metrics(how.metrics.clone());
    let plan = Plan {
        wait: if stored.server.is_pinned() { Wait::Spin } else { Wait::Sleep },
        server: Some(stored.server.id()),
        database: Some(stored.data().to_owned()),
        ..plan.clone()
    };
    let mut report = run(&plan, &target, progress)?;
    if durability == Durability::Async {
        await_quiet(stored.data());
    }
    let scratch = stored.kill();
    if durability > Durability::Off {
        check(&mut report, scratch.path())?;
    }
    progress(Progress::SqliteBaseline);
    let baseline = baseline(&plan, &report, scratch.path(), durability)?;
    Ok(Run { name: durability.name().to_owned(), report, sqlite_baseline: baseline })
}

/// What has been shown and is not there is lost.
fn check(report: &mut Report, data: &Path) -> Result<(), BenchError> {
    let failed = |error: rusqlite::Error| BenchError::System("read the database", io::Error::other(error));
    let kept = database::kept(data).map_err(failed)?;
    report.faults.lost = report.published.saturating_sub(kept);
    if report.faults.lost > 0 {
        report.verdict = Verdict::Incorrect;
    }
    Ok(())
}

/// What is stored after it was shown needs a moment more.
#[expect(clippy::disallowed_methods, reason = "another process tells nobody when it is done")]
fn await_quiet(data: &Path) {
    let clock = Clock::new();
    let mut last = DbSnapshot::of(data);
    while clock.now() < nanos(PATIENCE) {
        std::thread::sleep(Duration::from_millis(200));
        let stock = DbSnapshot::of(data);
        if stock == last {
            return;
        }
        last = stock;
    }
}

fn baseline(
    plan: &Plan,
    report: &Report,
    directory: &Path,
    durability: Durability,
) -> Result<Option<SqliteBaseline>, BenchError> {
    let Workload::Fanout(rooms) = plan.workload else { return Ok(None) };
    let Some(stored) = report.stored.filter(|stored| stored.commits > 0 && durability > Durability::Off)
    else {
        return Ok(None);
    };
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "a count")]
    let batch = (stored.batch().round() as usize).max(1);
    let run = match rooms.pace {
        super::Pace::Window(window) => window as usize,
        super::Pace::Rate(_) => 1,
    };
    let rows = Rows { rooms: rooms.rooms, run, size: plan.size, batch, durability };
    let measured = sqlite_baseline::measure(directory, rows, plan.measure);
    let failed = |error| BenchError::System("measure SQLite", io::Error::other(error));
    measured.map(Some).map_err(failed)
}

/// A server with its data in a directory that is gone with it.
#[derive(Debug)]
pub struct StoringServer {
    // In this order: the server first, then what it writes to.
    server: Spawned,
    scratch: Scratch,
}

impl StoringServer {
    /// Starts `program`, which is this one, with a fresh directory in `parent`. As [`Spawned::start`] otherwise.
    ///
    /// # Errors
    /// [`BenchError::Spawn`], [`BenchError::Write`].
    pub fn start(
        program: &Path,
        parent: &Path,
        durability: Durability,
        pin: bool,
    ) -> Result<StoringServer, BenchError> {
        let scratch = Scratch::new(parent)?;
        let config = scratch.path.join("foghorn.toml");
        let text = format!("[history]\ndurability = \"{}\"\n", durability.name());
        fs::write(&config, text).map_err(|error| BenchError::Write(config.clone(), error))?;
        let [program, data, config] =
            [program, &scratch.path, &config].map(|path| path.to_string_lossy().into_owned());
        let own =
            ["serve", "--listen", "127.0.0.1:0", "--log", "error", "--data", &data, "--config", &config];
        let command = [vec![program], own.map(str::to_owned).to_vec()].concat();
        Ok(StoringServer { server: Spawned::start(&command, pin)?, scratch })
    }

    /// The server.
    #[must_use]
    pub fn server(&self) -> &Spawned {
        &self.server
    }

    /// Its data directory.
    #[must_use]
    pub fn data(&self) -> &Path {
        &self.scratch.path
    }

    /// Ends the server with SIGKILL; its data stay a little longer.
    fn kill(self) -> Scratch {
        drop(self.server);
        self.scratch
    }
}

/// A directory that is gone when this is dropped.
#[derive(Debug)]
struct Scratch {
    path: PathBuf,
}

impl Scratch {
    fn new(parent: &Path) -> Result<Scratch, BenchError> {
        let mut number = 0;
        loop {
            let path = parent.join(format!("foghorn-bench-{}-{number}", std::process::id()));
            match fs::create_dir(&path) {
                Ok(()) => return Ok(Scratch { path }),
                Err(error) if error.kind() == io::ErrorKind::AlreadyExists && number < 1000 => number += 1,
                Err(error) => return Err(BenchError::Write(path, error)),
            }
        }
    }

    fn path(&self) -> &Path {
        &self.path
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        let _what_stays_is_in_the_directory_for_temporary_files = fs::remove_dir_all(&self.path);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_scratch_directory_is_its_own_and_goes_with_all_that_is_in_it() {
        let parent = tempfile::tempdir().unwrap();
        let (one, other) = (Scratch::new(parent.path()).unwrap(), Scratch::new(parent.path()).unwrap());
        assert_ne!(one.path(), other.path());
        fs::write(one.path().join("file"), "x").unwrap();
        drop((one, other));
        assert_eq!(fs::read_dir(parent.path()).unwrap().count(), 0);
        assert!(Scratch::new(Path::new("/nowhere/at/all")).is_err());
    }
}
