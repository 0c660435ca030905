//! What a run has shown.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::about::About;
use super::database::DbSnapshot;
use super::delivery_checker::Faults;
use super::inside::Inside;
use super::meter::{Meter, Slice, Summary};
use super::plan::{Plan, Workload};
use super::process::{self, ThreadTime};
use super::progress::Verdict;
use super::scraper::PendingInside;
use super::usage::Used;

/// From this share of its time on, a load generator is taken to be what limits the run.
const BUSY_MAX: f64 = 0.9;
/// Milliseconds by which one message in a hundred may be sent too late in an open loop.
const LATENESS_MAX: f64 = 2.0;

/// What the server used.
#[derive(Clone, Debug, PartialEq, Deserialize, Serialize)]
pub struct ServerCost {
    /// Processor time per delivery, in microseconds. One cycle is the delivery of churn, a member that has everything
    /// again that of recovery.
    pub cpu_micros: f64,
    /// Its part in user mode.
    pub user_micros: f64,
    /// Processors that the server kept busy.
    pub cpu_share: f64,
    /// Each thread.
    pub threads: Vec<ThreadTime>,
}

/// The server's memory.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, Serialize)]
pub struct Memory {
    /// Resident bytes before the first connection.
    pub before: u64,
    /// Resident bytes with all connections open, before the load began.
    pub open: u64,
    /// Resident bytes when the load had ended.
    pub after: u64,
    /// Connections.
    pub connections: u64,
}

impl Memory {
    /// Resident bytes per connection, before the load.
    #[must_use]
    pub fn per_connection(&self) -> u64 {
        self.open.saturating_sub(self.before) / self.connections.max(1)
    }
}

/// What a run has shown.
#[derive(Clone, Debug, PartialEq, Deserialize, Serialize)]
pub struct Report {
    /// What was done.
    pub plan: Plan,
    /// To whom.
    pub url: String,
    /// Where and when.
    #[serde(default)]
    pub about: About,
    /// What it is good for.
    #[serde(flatten)]
    pub verdict: Verdict,
    /// Connections that were opened before the load began.
    pub connections: u64,
    /// How many of them a second.
    pub connections_per_second: f64,
    /// Seconds measured.
    pub seconds: f64,
    /// Messages sent in that time; connections opened again.
    pub sent: u64,
    /// Messages sent over the whole run, if they are stored ones.
    pub published: u64,
    /// Messages that reached everybody in that time.
    pub completed: u64,
    /// Messages delivered in that time, counted at each member; cycles of churn; members that have everything again.
    pub deliveries: u64,
    /// What was wrong, over the whole run.
    pub faults: Faults,
    /// From the intended time of sending to each delivery of what was sent in that time, whenever it arrived; of a cycle,
    /// from beginning to end.
    pub latency: Option<Summary>,
    /// From the intended time of sending to the last member.
    pub latency_to_last: Option<Summary>,
    /// What the server used, if it runs on this machine.
    pub server: Option<ServerCost>,
    /// The server's memory, if it runs on this machine.
    pub memory: Option<Memory>,
    /// What the server stored in that time, if its database is known.
    pub stored: Option<DbSnapshot>,
    /// What the server said of its inside meanwhile, if it was asked.
    #[serde(default)]
    pub inside: Option<Inside>,
    /// Part of the time in which the load generator had something to do.
    pub generator_busy: f64,
    /// Processor time of the load generator per delivery, in microseconds.
    pub generator_cpu_micros: f64,
    /// Milliseconds by which 99 in 100 messages were late at most.
    pub generator_lateness: f64,
    /// The run in quarters of a second.
    pub slices: Vec<Slice>,
}

/// What a report is made of, besides what was counted.
#[derive(Debug)]
pub(super) struct Setting {
    pub(super) plan: Plan,
    pub(super) url: String,
    pub(super) connections: u64,
    pub(super) connecting: Duration,
    pub(super) memory: Option<Memory>,
}

pub(super) fn ratio(part: u64, whole: f64) -> f64 {
    part as f64 / whole.max(f64::MIN_POSITIVE)
}

impl Report {
    pub(super) fn new(setting: Setting, meter: &Meter, faults: Faults, used: Used) -> Report {
        let Setting { plan, url, connections, connecting, memory } = setting;
        let memory = memory.map(|memory| Memory {
            after: plan.server.and_then(process::resident_bytes).unwrap_or(memory.open),
            ..memory
        });
        let all = meter.deliveries + used.unmetered;
        let per_delivery = |time: Duration| 1e6 / ratio(all, time.as_secs_f64());
        let server = used.server.filter(|_| meter.deliveries > 0).map(|usage| ServerCost {
            cpu_micros: per_delivery(usage.total()),
            user_micros: per_delivery(usage.total()) * usage.user_share(),
            cpu_share: usage.total().as_secs_f64() / meter.seconds().max(f64::MIN_POSITIVE),
            threads: usage.threads,
        });
        let lateness = meter.lateness.at(99.0);
        let verdict = verdict(&plan, faults, used.stuck, used.busy, lateness);
        Report {
            about: About::now(),
            verdict,
            connections,
            connections_per_second: ratio(connections, connecting.as_secs_f64()),
            seconds: meter.seconds(),
            sent: meter.sent,
            completed: meter.completed,
            published: meter.sent,
            deliveries: meter.deliveries,
            faults,
            latency: meter.each.summary(),
            latency_to_last: meter.last.summary(),
            server,
            memory,
            stored: used.stored,
            inside: used.inside.as_ref().map(PendingInside::wait),
            generator_busy: used.busy,
            generator_cpu_micros: if meter.deliveries > 0 { per_delivery(used.own) } else { 0.0 },
            generator_lateness: lateness,
            slices: meter.slices.clone(),
            plan,
            url,
        }
    }

    /// Deliveries per second.
    #[must_use]
    pub fn deliveries_per_second(&self) -> f64 {
        ratio(self.deliveries, self.seconds)
    }

    /// Messages per second that reached everybody.
    #[must_use]
    pub fn messages_per_second(&self) -> f64 {
        ratio(self.completed, self.seconds)
    }

    /// Messages per second that were stored.
    #[must_use]
    pub fn stored_per_second(&self) -> Option<f64> {
        self.stored.map(|stored| ratio(stored.messages, self.seconds))
    }
}

fn verdict(plan: &Plan, faults: Faults, stuck: bool, busy: f64, lateness: f64) -> Verdict {
    let open_loop = plan.is_open_loop();
    let idle = matches!(plan.workload, Workload::Idle { .. });
    if stuck {
        Verdict::Overloaded
    } else if !faults.is_none() {
        Verdict::Incorrect
    } else if open_loop && lateness > LATENESS_MAX {
        Verdict::GeneratorLate
    } else if !open_loop && !idle && busy > BUSY_MAX {
        Verdict::GeneratorBusy
    } else {
        Verdict::Result
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::bench::plan::Wait;
    use crate::bench::plan::{Pace, Protocol, Rooms};

    fn plan(pace: Pace) -> Plan {
        Plan {
            workload: Workload::Fanout(Rooms { rooms: 1, members: 1, publishers: 1, stalled: 0, pace }),
            protocol: Protocol::Text,
            size: 16,
            warmup: Duration::ZERO,
            measure: Duration::ZERO,
            wait: Wait::Sleep,
            server: None,
            database: None,
        }
    }

    #[test]
    fn figures_that_are_not_the_servers_are_not_called_a_result() {
        let (closed, open) = (plan(Pace::Window(1)), plan(Pace::Rate(1.0)));
        let (none, lost) = (Faults::default(), Faults { missing: 1, ..Faults::default() });
        assert_eq!(verdict(&closed, none, false, 0.5, 0.0), Verdict::Result);
        assert_eq!(verdict(&closed, none, false, 0.95, 0.0), Verdict::GeneratorBusy);
        assert_eq!(verdict(&open, none, false, 0.95, 1.0), Verdict::Result);
        assert_eq!(verdict(&open, none, false, 0.2, 3.0), Verdict::GeneratorLate);
        assert_eq!(verdict(&closed, lost, false, 0.95, 0.0), Verdict::Incorrect);
        assert_eq!(verdict(&open, lost, true, 0.2, 3.0), Verdict::Overloaded);
        assert!(Verdict::GeneratorBusy.is_result() && !Verdict::Incorrect.is_result());
        assert!(Verdict::Result.has_speed() && !Verdict::GeneratorBusy.has_speed());
    }
}
