//! A report as one HTML page that needs nothing else.

use super::plot::{Axis, Line, number, push_plot};
use super::report::Report;

const STYLE: &str = "body{font:15px/1.5 system-ui,sans-serif;max-width:800px;margin:2rem auto;padding:0 1rem;\
color:#1c1c1c;background:#fff}table{border-collapse:collapse}td{padding:.15rem .8rem .15rem 0;vertical-align:top}\
td:first-child{color:#555}svg{width:100%;height:auto;font-size:12px}.grid{stroke:#ddd}.line{fill:none;\
stroke-width:2}.y{text-anchor:end}.x{text-anchor:middle}.verdict{font-weight:600}.bad{color:#b91c1c}\
@media(prefers-color-scheme:dark){body{color:#eee;background:#18181b}td:first-child{color:#aaa}text{fill:#ccc}\
.grid{stroke:#3f3f46}}";

/// The page.
#[must_use]
pub fn page(report: &Report) -> String {
    let class = if report.verdict.is_result() { "verdict" } else { "verdict bad" };
    let mut out = format!(
        "<!doctype html>\n<html lang=\"en\">\n<meta charset=\"utf-8\">\n\
         <meta name=\"viewport\" content=\"width=device-width\">\n<title>foghorn bench</title>\n\
         <style>{STYLE}</style>\n<h1>foghorn bench</h1>\n<p class=\"{class}\">{}</p>\n<table>\n",
        escaped(&report.verdict.to_string()),
    );
    for (name, value) in report.lines() {
        out.push_str(&format!("<tr><td>{}<td>{}\n", escaped(&name), escaped(&value)));
    }
    out.push_str("</table>\n");
    let mut curves = Vec::new();
    if let Some(latency) = &report.latency {
        curves.push(Line { name: "each delivery", points: latency.curve.clone() });
    }
    if let Some(latency) = &report.latency_to_last {
        curves.push(Line { name: "last member", points: latency.curve.clone() });
    }
    push_plot(&mut out, "Latency by percentile", "ms", Axis::Percentile, &curves);
    let over_time = |name, value: fn(&super::Slice) -> f64| Line {
        name,
        points: report.slices.iter().map(|slice| (slice.at, value(slice))).collect(),
    };
    let rate = over_time("deliveries per second", |slice| slice.deliveries_per_second);
    push_plot(&mut out, "Throughput", "/s", Axis::Time, &[rate]);
    let latencies = [over_time("p50", |slice| slice.p50), over_time("p99", |slice| slice.p99)];
    push_plot(&mut out, "Latency over time", "ms", Axis::Time, &latencies);
    out.push_str("</html>\n");
    out
}

fn escaped(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;")
}

impl Report {
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
        if !self.faults.is_none() {
            let faults = self.faults;
            lines.push((
                "wrong".to_owned(),
                format!(
                    "{} missing, {} repeated, {} out of order, {} from another room",
                    faults.missing, faults.duplicate, faults.out_of_order, faults.stray
                ),
            ));
        }
        if self.verdict.is_result() && self.deliveries > 0 {
            self.push_speed(&mut lines);
        }
        self.push_costs(&mut lines);
        lines
    }

    fn push_speed(&self, lines: &mut Vec<(String, String)>) {
        let (sent, deliveries) = (self.sent, self.deliveries);
        let rate = number(self.deliveries_per_second());
        lines.push((
            "throughput".to_owned(),
            format!("{rate} deliveries per second ({sent} messages, {deliveries} deliveries)"),
        ));
        for (name, summary) in [("latency", &self.latency), ("to the last member", &self.latency_to_last)] {
            if let Some(s) = summary {
                let [p50, p90, p99, p999, max] = [s.p50, s.p90, s.p99, s.p999, s.max].map(number);
                let text = format!("p50 {p50} ms, p90 {p90} ms, p99 {p99} ms, p99.9 {p999} ms, max {max} ms");
                lines.push((name.to_owned(), text));
            }
        }
    }

    fn push_costs(&self, lines: &mut Vec<(String, String)>) {
        if let Some(server) = self.server.as_ref().filter(|_| self.verdict.is_result()) {
            let [cpu, user] = [server.cpu_micros, server.user_micros].map(number);
            let share = server.cpu_share * 100.0;
            lines.push((
                "server".to_owned(),
                format!("{cpu} µs of processor time per delivery, {user} µs in user mode; {share:.0} % busy"),
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
        let (busy, cpu) = (self.generator_busy * 100.0, number(self.generator_cpu_micros));
        lines.push(("load generator".to_owned(), format!("{busy:.0} % busy, {cpu} µs per delivery")));
        if self.plan.is_open_loop() {
            let lateness = number(self.generator_lateness);
            lines.push(("schedule".to_owned(), format!("kept to {lateness} ms (p99)")));
        }
    }
}
