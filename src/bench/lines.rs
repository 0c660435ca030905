//! The figures of a report, as people read them.

use super::about::About;
use super::inside::Inside;
use super::plan::Workload;
use super::plot::number;
use super::report::Report;

impl Report {
    /// What is counted as a delivery.
    pub(super) fn unit(&self) -> &'static str {
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
        let About { date, host, system, .. } = &self.about;
        let mut lines = vec![
            ("mode".to_owned(), self.plan.mode().to_owned()),
            ("parameters".to_owned(), self.plan.parameters()),
            ("date".to_owned(), date.clone()),
            ("version".to_owned(), self.version()),
            ("host".to_owned(), format!("{host} ({system})")),
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

    /// The versions of the load generator and, as far as it says, of the server.
    pub(super) fn version(&self) -> String {
        let server = match &self.inside {
            Some(Inside::Known(way)) => {
                way.version.as_ref().map(|version| format!(", server {version}")).unwrap_or_default()
            }
            Some(Inside::Unknown { .. }) | None => String::new(),
        };
        format!("foghorn bench {}{server}", self.about.version)
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
