//! Several runs that only say something together, and the table made of them.

use serde::{Deserialize, Serialize};

use super::inside::{Inside, Spread, Way};
use super::plot::number;
use super::progress::Verdict;
use super::report::Report;
use super::sqlite_baseline::SqliteBaseline;

/// One of several runs.
#[derive(Clone, Debug, PartialEq, Deserialize, Serialize)]
pub struct Run {
    /// In what it differs from the others.
    pub name: String,
    /// What it has shown.
    pub report: Report,
    /// What SQLite did by itself with the same rows.
    #[serde(rename = "ceiling")]
    pub sqlite_baseline: Option<SqliteBaseline>,
}

impl Run {
    /// Messages stored per second as a part of what SQLite does by itself.
    #[must_use]
    pub fn ratio(&self) -> Option<f64> {
        let baseline = self.sqlite_baseline?;
        self.report.stored_per_second().map(|stored| stored / baseline.rows_per_second)
    }
}

/// Several runs.
#[derive(Clone, Debug, PartialEq, Deserialize, Serialize)]
pub struct Series {
    /// What they are about.
    pub mode: String,
    /// The runs.
    pub runs: Vec<Run>,
}

/// Stands for what is not known, or is no result.
const NOTHING: &str = "–";

impl Series {
    /// The first verdict that is no result; otherwise one that is.
    #[must_use]
    pub fn verdict(&self) -> Verdict {
        let mut verdicts = self.runs.iter().map(|run| run.report.verdict);
        verdicts.find(|verdict| !verdict.is_result()).unwrap_or(Verdict::Result)
    }

    /// The figures: a row with the names of the columns, then one for each run. What is no result is left out.
    #[must_use]
    pub fn table(&self) -> Vec<Vec<String>> {
        let stored = self.runs.iter().any(|run| run.report.stored.is_some());
        let mut head = vec![&*self.mode, "messages/s", "p50 ms", "p99 ms", "p99.9 ms", "server µs/delivery"];
        if stored {
            head.extend(["server µs/message", "stored/s", "per commit", "plain loop/s", "µs/row", "of it"]);
        }
        let mut table = vec![head.into_iter().map(str::to_owned).collect()];
        table.extend(self.runs.iter().map(|run| run.cells(stored)));
        table
    }

    /// The way inside, as [`Series::table`] has the rest; empty if of no run anything is known.
    #[must_use]
    pub fn inside_table(&self) -> Vec<Vec<String>> {
        let known = |run: &Run| matches!(run.report.inside, Some(Inside::Known(_)));
        if !self.runs.iter().any(known) {
            return Vec::new();
        }
        let head = [
            "inside, p50 / p99",
            "read to shard ms",
            "shard to commit ms",
            "commit to send ms",
            "commit ms",
            "messages/commit",
            "turn ms",
        ];
        let head = head.map(str::to_owned).to_vec();
        std::iter::once(head).chain(self.runs.iter().map(Run::inside_cells)).collect()
    }

    /// What has to be said besides, one line for each run that has no full result.
    #[must_use]
    pub fn remarks(&self) -> Vec<String> {
        let unclear = self.runs.iter().filter(|run| !run.report.verdict.has_speed());
        let unclear = unclear.map(|run| format!("{}: {}", run.name, run.report.verdict));
        let inside = self.runs.iter().filter_map(|run| match &run.report.inside {
            Some(Inside::Unknown { why }) => Some(format!("{}: inside not known: {why}", run.name)),
            Some(Inside::Known(_)) | None => None,
        });
        unclear.chain(inside).collect()
    }
}

impl Run {
    fn inside_cells(&self) -> Vec<String> {
        let spread = |spread: Option<Spread>| {
            spread.map_or_else(
                || NOTHING.to_owned(),
                |spread| format!("{} / {}", spread.shown(spread.p50), spread.shown(spread.p99)),
            )
        };
        let unknown = Way::default();
        let way = match &self.report.inside {
            Some(Inside::Known(way)) => way,
            Some(Inside::Unknown { .. }) | None => &unknown,
        };
        let steps = way.steps().map(|(_, step)| step);
        let others = [way.commit, way.commit_messages, way.turn];
        let name = std::iter::once(self.name.clone());
        name.chain(steps.into_iter().chain(others).map(spread)).collect()
    }

    fn cells(&self, stored: bool) -> Vec<String> {
        let report = &self.report;
        let speed = |value: Option<f64>| shown(value.filter(|_| report.verdict.has_speed()));
        let cost = |value: Option<f64>| shown(value.filter(|_| report.verdict.is_result()));
        let latency = report.latency_to_last.as_ref();
        let mut cells = vec![
            self.name.clone(),
            speed(Some(report.messages_per_second())),
            speed(latency.map(|latency| latency.p50)),
            speed(latency.map(|latency| latency.p99)),
            speed(latency.map(|latency| latency.p999)),
            cost(report.server.as_ref().map(|server| server.cpu_micros)),
        ];
        if stored {
            let per_message = report.deliveries as f64 / latency.map_or(1.0, |latency| latency.count as f64);
            cells.extend([
                cost(report.server.as_ref().map(|server| server.cpu_micros * per_message)),
                speed(report.stored_per_second()),
                cost(report.stored.filter(|stored| stored.commits > 0).map(|stored| stored.batch())),
                cost(self.sqlite_baseline.map(|baseline| baseline.rows_per_second)),
                cost(self.sqlite_baseline.map(|baseline| baseline.cpu_micros)),
                self.ratio()
                    .filter(|_| report.verdict.has_speed())
                    .map_or_else(|| NOTHING.to_owned(), |ratio| format!("{:.0} %", ratio * 100.0)),
            ]);
        }
        cells
    }
}

fn shown(value: Option<f64>) -> String {
    value.map_or_else(|| NOTHING.to_owned(), number)
}
