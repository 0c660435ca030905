//! The rows of the table: what is measured, and in which unit.

use std::time::Duration;

use foghorn::bench::{Pace, Plan, Protocol, Report, Rooms, Wait, Workload};

/// What a run has come to, and what explains it.
pub(crate) type Figure = (f64, Vec<f64>);

/// Which figure of a run goes into the table.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Unit {
    /// Processor time of the server per delivery (or cycle), in microseconds, and its part in user mode.
    Micros,
    /// Resident bytes of the server per connection.
    Bytes,
    /// From the intended time of sending to the last member, the 99th percentile, in milliseconds.
    Millis,
}

impl Unit {
    /// The figure, and others that explain it.
    pub(crate) fn of(self, report: &Report) -> Option<Figure> {
        match self {
            Unit::Micros => {
                report.server.as_ref().map(|server| (server.cpu_micros, vec![server.user_micros]))
            }
            Unit::Bytes => {
                let bytes = report.memory.map(|memory| memory.per_connection() as f64);
                bytes.map(|bytes| (bytes, vec![report.connections_per_second]))
            }
            Unit::Millis => {
                let latency = report.latency_to_last.as_ref();
                latency.map(|l| (l.p99, vec![l.p50, l.p999, report.sent as f64 / report.seconds]))
            }
        }
    }

    /// Whether the run has a figure of this kind: a latency, only if it is the server's own.
    pub(crate) fn is_shown(self, report: &Report) -> bool {
        match self {
            Unit::Micros | Unit::Bytes => report.verdict.is_result(),
            Unit::Millis => report.verdict.has_speed(),
        }
    }

    pub(crate) fn name(self) -> &'static str {
        match self {
            Unit::Micros => "µs",
            Unit::Bytes => "bytes",
            Unit::Millis => "ms p99",
        }
    }
}

/// One row.
#[derive(Clone, Debug)]
pub(crate) struct Row {
    pub(crate) name: &'static str,
    pub(crate) unit: Unit,
    /// Whether members share rooms; otherwise every connection talks to itself.
    pub(crate) rooms: bool,
    pub(crate) size: usize,
    pub(crate) protocol: Protocol,
    pub(crate) workload: Workload,
    /// The rate of the workload is this part of what saturates the server, which is found out first.
    pub(crate) share: Option<f64>,
    /// Whether the metrics are read each second meanwhile.
    pub(crate) scraped: bool,
}

impl Row {
    /// The same while the metrics are read each second.
    fn scraped(self, name: &'static str) -> Row {
        Row { name, scraped: true, ..self }
    }
}

fn fanout(name: &'static str, rooms: usize, members: usize, pace: Pace) -> Row {
    let workload = Workload::Fanout(Rooms { rooms, members, publishers: 1, stalled: 0, pace });
    let (unit, protocol) = (Unit::Micros, Protocol::Text);
    Row { name, unit, rooms: true, size: 128, protocol, workload, share: None, scraped: false }
}

fn echo(name: &'static str, connections: usize, size: usize, window: u32) -> Row {
    let pace = Pace::Window(window);
    let workload =
        Workload::Fanout(Rooms { rooms: connections, members: 1, publishers: 1, stalled: 0, pace });
    let (unit, protocol) = (Unit::Micros, Protocol::Binary);
    Row { name, unit, rooms: false, size, protocol, workload, share: None, scraped: false }
}

fn latency(name: &'static str, members: usize, stalled: usize, size: usize, rate: f64) -> Row {
    let pace = Pace::Rate(rate);
    let workload = Workload::Fanout(Rooms { rooms: 1, members, publishers: 1, stalled, pace });
    let (unit, protocol) = (Unit::Millis, Protocol::Text);
    Row { name, unit, rooms: true, size, protocol, workload, share: None, scraped: false }
}

/// A thousand members, at a part of the peer's own saturation.
fn loaded(name: &'static str, share: f64) -> Row {
    Row { share: Some(share), ..latency(name, 1000, 0, 128, 1.0) }
}

/// All rows, in order.
pub(crate) fn all() -> Vec<Row> {
    let idle = |name, rooms| Row {
        name,
        unit: Unit::Bytes,
        rooms,
        size: 16,
        protocol: Protocol::Text,
        workload: Workload::Idle { rooms: 15, members: 1000 },
        share: None,
        scraped: false,
    };
    let churn = Workload::Churn { connections: 64 };
    vec![
        fanout("fan-out 1×1000, 128 B, 1 outstanding", 1, 1000, Pace::Window(1)),
        fanout("fan-out 1×1000, 128 B, 16 outstanding", 1, 1000, Pace::Window(16)),
        fanout("fan-out 1×1000, 128 B, 16 outstanding", 1, 1000, Pace::Window(16))
            .scraped("fan-out 1×1000, 128 B, 16 outstanding, a scrape each second"),
        fanout("fan-out 100×10, 128 B, 1 outstanding", 100, 10, Pace::Window(1)),
        fanout("fan-out 100×10, 128 B, 1 outstanding", 100, 10, Pace::Window(1))
            .scraped("fan-out 100×10, 128 B, 1 outstanding, a scrape each second"),
        echo("echo 16 B, 1 in flight", 64, 16, 1),
        echo("echo 16 B, 16 in flight", 64, 16, 16),
        echo("echo 16 KiB", 16, 16 * 1024, 1),
        echo("echo 256 KiB", 4, 256 * 1024, 1),
        Row { workload: churn, ..echo("connect, upgrade, message, close", 64, 16, 1) },
        idle("idle, 15,000 connections", false),
        idle("idle, 15,000 members of 15 rooms", true),
        latency("1×1000, 128 B, 20/s", 1000, 0, 128, 20.0),
        latency("1×1000, 128 B, 80/s", 1000, 0, 128, 80.0),
        latency("1×1000, 128 B, 80/s", 1000, 0, 128, 80.0)
            .scraped("1×1000, 128 B, 80/s, a scrape each second"),
        loaded("1×1000, 128 B, 10 % of saturation", 0.1),
        loaded("1×1000, 128 B, 50 % of saturation", 0.5),
        loaded("1×1000, 128 B, 90 % of saturation", 0.9),
        latency("1×100, 16 KiB, 200/s", 100, 0, 16 * 1024, 200.0),
        latency("1×100, 16 KiB, 200/s, 10 stalled", 100, 10, 16 * 1024, 200.0),
    ]
}

impl Row {
    pub(crate) fn plan(&self, seconds: f64, server: u32) -> Plan {
        let idle = matches!(self.workload, Workload::Idle { .. });
        let (warmup, measure) = if idle { (0.0, 0.1) } else { (seconds / 4.0, seconds) };
        Plan {
            workload: self.workload,
            protocol: self.protocol,
            size: self.size,
            warmup: Duration::from_secs_f64(warmup),
            measure: Duration::from_secs_f64(measure),
            wait: Wait::Spin,
            server: Some(server),
            database: None,
        }
    }
}
