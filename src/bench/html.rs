//! A report as one HTML page that needs nothing else.

use super::inside::{Inside, WaySlice};
use super::meter::Slice;
use super::plan::Workload;
use super::plot::{Axis, Line, number, push_plot};
use super::progress::Verdict;
use super::report::Report;
use super::series::Series;

const STYLE: &str = "body{font:15px/1.5 system-ui,sans-serif;max-width:800px;margin:2rem auto;padding:0 1rem;\
color:#1c1c1c;background:#fff}table{border-collapse:collapse}td{padding:.15rem .8rem .15rem 0;vertical-align:top}\
td:first-child{color:#555}svg{width:100%;height:auto;font-size:12px}.grid{stroke:#ddd}.line{fill:none;\
stroke-width:2}.y{text-anchor:end}.x{text-anchor:middle}.verdict{font-weight:600}.bad{color:#b91c1c}\
@media(prefers-color-scheme:dark){body{color:#eee;background:#18181b}td:first-child{color:#aaa}text{fill:#ccc}\
.grid{stroke:#3f3f46}}.runs{font-size:13px}.runs th,.runs td{text-align:right;font-weight:400;padding:.15rem .5rem}\
.runs th:first-child,.runs td:first-child{text-align:left}";

/// The page of one run.
#[must_use]
pub fn page(report: &Report) -> String {
    let mut out = begin(report.verdict);
    out.push_str("<table>\n");
    for (name, value) in report.lines() {
        out.push_str(&format!("<tr><td>{}<td>{}\n", escaped(&name), escaped(&value)));
    }
    out.push_str("</table>\n");
    if report.verdict.has_speed() {
        push_plots(&mut out, report);
    }
    out.push_str("</html>\n");
    out
}

/// The page of several runs.
#[must_use]
pub fn series_page(series: &Series) -> String {
    let mut out = begin(series.verdict());
    push_table(&mut out, &series.table());
    push_table(&mut out, &series.inside_table());
    for remark in series.remarks() {
        out.push_str(&format!("<p>{}</p>\n", escaped(&remark)));
    }
    let clear = || series.runs.iter().filter(|run| run.report.verdict.has_speed());
    let lines = |points: fn(&Report) -> Vec<(f64, f64)>| -> Vec<Line<'_>> {
        clear().map(|run| Line { name: &run.name, points: points(&run.report) }).collect()
    };
    let curves = lines(|report| report.latency_to_last.as_ref().map_or_else(Vec::new, |l| l.curve.clone()));
    push_plot(&mut out, "Latency to the last member by percentile", "ms", Axis::Percentile, &curves);
    let rates = lines(|report| over_time(report, |slice| slice.deliveries_per_second));
    push_plot(&mut out, "Deliveries per second", "/s", Axis::Time, &rates);
    let tails = lines(|report| over_time(report, |slice| slice.p99));
    push_plot(&mut out, "Latency (p99) over time", "ms", Axis::Time, &tails);
    out.push_str("</html>\n");
    out
}

fn push_table(out: &mut String, table: &[Vec<String>]) {
    if table.is_empty() {
        return;
    }
    out.push_str("<table class=\"runs\">\n");
    for (number, row) in table.iter().enumerate() {
        let cell = if number == 0 { "<th>" } else { "<td>" };
        let cells: Vec<String> = row.iter().map(|text| escaped(text)).collect();
        out.push_str(&format!("<tr>{cell}{}\n", cells.join(cell)));
    }
    out.push_str("</table>\n");
}

fn begin(verdict: Verdict) -> String {
    let class = if verdict.is_result() { "verdict" } else { "verdict bad" };
    format!(
        "<!doctype html>\n<html lang=\"en\">\n<meta charset=\"utf-8\">\n\
         <meta name=\"viewport\" content=\"width=device-width\">\n<title>foghorn bench</title>\n\
         <style>{STYLE}</style>\n<h1>foghorn bench</h1>\n<p class=\"{class}\">{}</p>\n",
        escaped(&verdict.to_string()),
    )
}

fn push_plots(out: &mut String, report: &Report) {
    let name = if matches!(report.plan.workload, Workload::Recovery(_)) {
        "until recovered"
    } else {
        "each delivery"
    };
    let mut curves = Vec::new();
    if let Some(latency) = &report.latency {
        curves.push(Line { name, points: latency.curve.clone() });
    }
    if let Some(latency) = &report.latency_to_last {
        curves.push(Line { name: "last member", points: latency.curve.clone() });
    }
    push_plot(out, "Latency by percentile", "ms", Axis::Percentile, &curves);
    let rate = over_time(report, |slice| slice.deliveries_per_second);
    let rate = Line { name: report.unit(), points: rate };
    push_plot(out, "Throughput", "/s", Axis::Time, &[rate]);
    let latencies = [
        Line { name: "p50", points: over_time(report, |slice| slice.p50) },
        Line { name: "p99", points: over_time(report, |slice| slice.p99) },
    ];
    push_plot(out, "Latency over time", "ms", Axis::Time, &latencies);
    push_way(out, report);
}

/// The steps inside, if they were looked at several times.
fn push_way(out: &mut String, report: &Report) {
    let Some(Inside::Known(way)) = &report.inside else { return };
    let points = |step: fn(&WaySlice) -> Option<f64>| -> Vec<(f64, f64)> {
        way.over_time.iter().filter_map(|slice| Some((slice.at, step(slice)?))).collect()
    };
    let lines = [
        Line { name: "read to shard", points: points(|slice| slice.read_to_shard) },
        Line { name: "shard to commit", points: points(|slice| slice.shard_to_commit) },
        Line { name: "commit to send", points: points(|slice| slice.commit_to_send) },
    ];
    push_plot(out, "The way inside (p99) over time", "ms", Axis::Time, &lines);
}

fn over_time(report: &Report, value: impl Fn(&Slice) -> f64) -> Vec<(f64, f64)> {
    report.slices.iter().map(|slice| (slice.at, value(slice))).collect()
}

fn escaped(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;")
}

impl Report {
    /// What is counted as a delivery.
    fn unit(&self) -> &'static str {
        match self.plan.workload {
            Workload::Fanout(_) | Workload::Idle { .. } | Workload::MixedLoad { .. } => {
                "deliveries per second"
            }
            Workload::Churn { .. } => "cycles per second",
            Workload::Recovery(_) => "recoveries per second",
        }
    }

    fn unit_of_cost(&self) -> &'static str {
        match self.plan.workload {
            Workload::Fanout(_) | Workload::Idle { .. } | Workload::MixedLoad { .. } => "delivery",
            Workload::Churn { .. } => "cycle",
            Workload::Recovery(_) => "recovery",
        }
    }

    /// The figures by name, as people read them. What is not a result is left out.
    #[must_use]
    pub fn lines(&self) -> Vec<(String, String)> {
        let mut lines = vec![
            ("server".to_owned(), self.url.clone()),
            (
                "connections".to_owned(),
                format!("{}, opened at {} per second", self.connections, number(self.connections_per_second)),
            ),
        ];
        lines.push(("wrong".to_owned(), self.faults.to_string()));
        if self.verdict.has_speed() && self.deliveries > 0 {
            self.push_speed(&mut lines);
        }
        self.push_inside(&mut lines);
        self.push_costs(&mut lines);
        lines
    }

    fn push_speed(&self, lines: &mut Vec<(String, String)>) {
        let (sent, deliveries, unit) = (self.sent, self.deliveries, self.unit());
        let rate = number(self.deliveries_per_second());
        let (name, text, of_each) = match self.plan.workload {
            Workload::Fanout(_)
            | Workload::Idle { .. }
            | Workload::MixedLoad { .. }
            | Workload::Churn { .. } => {
                ("throughput", format!("{rate} {unit} ({sent} messages, {deliveries} deliveries)"), "latency")
            }
            Workload::Recovery(returning) => {
                let (missed, members) = (returning.missed, returning.members);
                let text = format!(
                    "{deliveries} of {sent} members after {:.3} s, {rate} {unit}; each had missed {missed} messages and \
                     that {members} members left, and asked for {} more again",
                    self.seconds, returning.behind
                );
                ("recovered", text, "until recovered")
            }
        };
        lines.push((name.to_owned(), text));
        for (name, summary) in [(of_each, &self.latency), ("to the last member", &self.latency_to_last)] {
            if let Some(s) = summary {
                let [p50, p90, p99, p999, max] = [s.p50, s.p90, s.p99, s.p999, s.max].map(number);
                let text = format!("p50 {p50} ms, p90 {p90} ms, p99 {p99} ms, p99.9 {p999} ms, max {max} ms");
                lines.push((name.to_owned(), text));
            }
        }
    }

    /// The way inside: also of a run that is no result, for it says where the time went.
    fn push_inside(&self, lines: &mut Vec<(String, String)>) {
        let way = match &self.inside {
            None => return,
            Some(Inside::Unknown { why }) => {
                return lines.push(("inside".to_owned(), format!("not known: {why}")));
            }
            Some(Inside::Known(way)) => way,
        };
        for (name, step) in way.steps() {
            if let Some(step) = step {
                lines.push((name.to_owned(), step.text("ms")));
            }
        }
        if let Some(commit) = way.commit {
            let messages = way.commit_messages.map(|messages| format!("; {}", messages.text("messages")));
            let text = format!("{} of {}{}", commit.text("ms"), commit.count, messages.unwrap_or_default());
            lines.push(("commits".to_owned(), text));
        }
        if let Some(turn) = way.turn {
            lines.push(("turns".to_owned(), format!("{} of {}", turn.text("ms"), way.turns)));
        }
    }

    fn push_costs(&self, lines: &mut Vec<(String, String)>) {
        if let Some(server) = self.server.as_ref().filter(|_| self.verdict.is_result()) {
            let [cpu, user] = [server.cpu_micros, server.user_micros].map(number);
            let share = server.cpu_share * 100.0;
            let what = match self.plan.workload {
                Workload::Recovery(_) => "recovery (handshake, joining, everything missed)",
                Workload::Fanout(_)
                | Workload::Idle { .. }
                | Workload::MixedLoad { .. }
                | Workload::Churn { .. } => self.unit_of_cost(),
            };
            lines.push((
                "server".to_owned(),
                format!("{cpu} µs of processor time per {what}, {user} µs in user mode; {share:.0} % busy"),
            ));
            for thread in server.threads.iter().filter(|thread| !thread.time.is_zero()) {
                let share = thread.time.as_secs_f64() / self.seconds.max(f64::MIN_POSITIVE) * 100.0;
                lines.push((format!("thread {}", thread.name), format!("{share:.0} % busy")));
            }
        }
        if let Some(memory) = self.memory {
            let (each, mib) = (memory.per_connection(), memory.after as f64 / f64::from(1 << 20));
            lines.push((
                "memory".to_owned(),
                format!("{each} bytes per connection before the load, {mib:.1} MiB in all after it"),
            ));
        }
        if let Some(stored) = self.stored.filter(|stored| stored.commits > 0) {
            let (messages, commits, batch) = (stored.messages, stored.commits, number(stored.batch()));
            let text = format!("{messages} messages stored in {commits} commits, {batch} in each");
            lines.push(("database".to_owned(), text));
        }
        let (busy, cpu) = (self.generator_busy * 100.0, number(self.generator_cpu_micros));
        lines.push((
            "load generator".to_owned(),
            format!("{busy:.0} % busy, {cpu} µs per {}", self.unit_of_cost()),
        ));
        if self.plan.is_open_loop() {
            let lateness = number(self.generator_lateness);
            lines.push(("schedule".to_owned(), format!("kept to {lateness} ms (p99)")));
        }
    }
}
