//! Two reports side by side: what they have in common, in what they differ, and by how much.

use serde::Deserialize;

use super::inside::{Inside, Spread};
use super::plot::number;
use super::report::Report;
use super::series::Series;

/// Stands for what is not known, or is no result.
const NOTHING: &str = "–";

/// A report that was written as JSON, with the runs that it has.
#[derive(Clone, Debug, PartialEq)]
pub struct Side {
    name: String,
    /// By their names; a single run has none.
    runs: Vec<(String, Report)>,
}

#[derive(Deserialize)]
#[serde(untagged)]
enum Written {
    Several(Series),
    One(Box<Report>),
}

impl Side {
    /// Reads what `foghorn bench --json` has written; `name` is what it is called here.
    ///
    /// # Errors
    /// Why it is no such report.
    pub fn parse(name: &str, json: &[u8]) -> Result<Side, String> {
        let written = serde_json::from_slice(json)
            .map_err(|_| "it is no report of `foghorn bench --json`, or one of another version".to_owned())?;
        let runs = match written {
            Written::One(report) => vec![(String::new(), *report)],
            Written::Several(series) => series.runs.into_iter().map(|run| (run.name, run.report)).collect(),
        };
        Ok(Side { name: name.to_owned(), runs })
    }
}

/// Two reports, run by run.
#[derive(Clone, Debug, PartialEq)]
pub struct Comparison {
    /// What the reports are called.
    pub names: [String; 2],
    /// The runs that both have.
    pub(super) pairs: Vec<Pair>,
    /// Names of runs that only one of them has.
    unpaired: Vec<String>,
}

/// The same run in both reports.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Pair {
    pub(super) name: String,
    pub(super) reports: [Report; 2],
}

impl Comparison {
    /// Pairs the runs of both by their names.
    ///
    /// # Errors
    /// If they have none in common.
    pub fn of(first: Side, second: Side) -> Result<Comparison, String> {
        let names = [first.name, second.name];
        let (mut pairs, mut unpaired, mut others) = (Vec::new(), Vec::new(), second.runs);
        for (name, report) in first.runs {
            match others.iter().position(|(other, _)| *other == name) {
                Some(at) => pairs.push(Pair { name, reports: [report, others.remove(at).1] }),
                None => unpaired.push(name),
            }
        }
        unpaired.extend(others.into_iter().map(|(name, _)| name));
        if pairs.is_empty() {
            return Err("the two reports have no run in common".to_owned());
        }
        Ok(Comparison { names, pairs, unpaired })
    }

    /// For each run its name (empty if there is only one), and its figures: a row with the names of the columns, then one for
    /// each figure.
    #[must_use]
    pub fn tables(&self) -> Vec<(String, Vec<Vec<String>>)> {
        let head = ["", &*self.names[0], &*self.names[1], "change"].map(str::to_owned).to_vec();
        let table = |pair: &Pair| std::iter::once(head.clone()).chain(pair.figures()).collect();
        self.pairs.iter().map(|pair| (pair.name.clone(), table(pair))).collect()
    }

    /// For each run the name of a fact about it, and what it is in both reports.
    #[must_use]
    pub fn facts(&self) -> Vec<Vec<(&'static str, [String; 2])>> {
        self.pairs.iter().map(Pair::facts).collect()
    }

    /// What has to be said besides.
    #[must_use]
    pub fn remarks(&self) -> Vec<String> {
        let mut remarks = Vec::new();
        if self.pairs.iter().any(|pair| pair.reports[0].plan != pair.reports[1].plan) {
            remarks.push("The parameters differ: the figures are not those of the same load.".to_owned());
        }
        if self.pairs.iter().any(|pair| pair.reports[0].about.host != pair.reports[1].about.host) {
            remarks.push("The machines differ.".to_owned());
        }
        remarks.extend(self.unpaired.iter().map(|name| format!("Only one of the reports has “{name}”.")));
        remarks
    }
}

impl Pair {
    fn facts(&self) -> Vec<(&'static str, [String; 2])> {
        type Fact = fn(&Report) -> String;
        let facts: [(&'static str, Fact); 6] = [
            ("verdict", |report| report.verdict.to_string()),
            ("mode", |report| report.plan.mode().to_owned()),
            ("parameters", |report| report.plan.parameters()),
            ("date", |report| report.about.date.clone()),
            ("version", |report| report.version()),
            ("host", |report| format!("{} ({})", report.about.host, report.about.system)),
        ];
        facts.into_iter().map(|(name, fact)| (name, self.reports.each_ref().map(fact))).collect()
    }

    /// Each figure that one of them has, and by how much it has changed.
    fn figures(&self) -> Vec<Vec<String>> {
        let [first, second] = self.reports.each_ref().map(figures);
        let rows = first.into_iter().zip(second).filter(|((_, a), (_, b))| a.is_some() || b.is_some());
        let shown = |value: Option<f64>| value.map_or_else(|| NOTHING.to_owned(), number);
        rows.map(|((name, a), (_, b))| {
            let change = a.zip(b).filter(|(a, _)| *a > 0.0);
            let change = change.map(|(a, b)| format!("{:+.1} %", (b / a - 1.0) * 100.0));
            vec![name.to_owned(), shown(a), shown(b), change.unwrap_or_else(|| NOTHING.to_owned())]
        })
        .collect()
    }
}

/// The figures of a report, always the same ones; what is no result is absent.
fn figures(report: &Report) -> Vec<(&'static str, Option<f64>)> {
    let speed = |value: Option<f64>| value.filter(|_| report.verdict.has_speed() && report.deliveries > 0);
    let cost = |value: Option<f64>| value.filter(|_| report.verdict.is_result());
    let (each, last) = (report.latency.as_ref(), report.latency_to_last.as_ref());
    let inside = match &report.inside {
        Some(Inside::Known(way)) => Some(&**way),
        Some(Inside::Unknown { .. }) | None => None,
    };
    let p50 = |spread: Option<Spread>| spread.and_then(|spread| spread.p50);
    let p99 = |spread: Option<Spread>| spread.and_then(|spread| spread.p99);
    let step = |number: usize| inside.and_then(|way| way.steps()[number].1);
    vec![
        ("messages per second", speed(Some(report.messages_per_second()))),
        ("deliveries per second", speed(Some(report.deliveries_per_second()))),
        ("latency p50, ms", speed(each.map(|latency| latency.p50))),
        ("latency p99, ms", speed(each.map(|latency| latency.p99))),
        ("latency p99.9, ms", speed(each.map(|latency| latency.p999))),
        ("to the last member p50, ms", speed(last.map(|latency| latency.p50))),
        ("to the last member p99, ms", speed(last.map(|latency| latency.p99))),
        ("read to shard p50, ms", p50(step(0))),
        ("read to shard p99, ms", p99(step(0))),
        ("shard to commit p50, ms", p50(step(1))),
        ("shard to commit p99, ms", p99(step(1))),
        ("commit to send p50, ms", p50(step(2))),
        ("commit to send p99, ms", p99(step(2))),
        ("commit p99, ms", p99(inside.and_then(|way| way.commit))),
        ("messages in a commit, mean", inside.and_then(|way| way.commit_messages).map(|spread| spread.mean)),
        ("turn p99, ms", p99(inside.and_then(|way| way.turn))),
        ("server µs per delivery", cost(report.server.as_ref().map(|server| server.cpu_micros))),
        ("bytes per connection", report.memory.map(|memory| memory.per_connection() as f64)),
        ("stored per second", speed(report.stored_per_second())),
    ]
}
