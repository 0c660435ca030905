//! The load engine behind `foghorn bench` and `cargo bench --bench server`.
//!
//! One thread holds all connections. Messages are masked frames prepared beforehand, of which only the number changes
//! (`stamp`); what comes back is walked over header by header (`walk`), checked against what must come
//! (`ledger`) and timed against the moment at which it *should* have been sent (`meter`), so that a server that
//! holds up the load does not look faster for it. Meanwhile `/proc` tells what the server uses (`process`).
//!
//! | file | subject |
//! |---|---|
//! | this one | a run, from the plan to the report |
//! | `plan`, `target` | what is to be done, to whom |
//! | `fleet`, `link` | the loop, one connection |
//! | `stamp`, `walk`, `ledger` | what is sent, found and expected |
//! | `flow`, `churn` | the traffic of each workload |
//! | `drive`, `meter`, `clock` | warming up, measuring, draining |
//! | `process`, `spawn` | the server's process |
//! | `report`, `html`, `plot` | what comes out |
//!
//! Any server can be measured that sends back what it gets, to the sender or to a room.

mod churn;
mod clock;
mod drive;
mod error;
mod fleet;
mod flow;
mod html;
mod ledger;
mod link;
mod meter;
mod plan;
mod plot;
mod process;
mod report;
mod spawn;
mod stamp;
mod target;
mod walk;

use std::time::Duration;

use self::churn::Churn;
use self::clock::Nanos;
use self::drive::Work;
use self::fleet::{Fleet, Traffic};
use self::flow::Flow;
use self::meter::Meter;
use self::report::Setting;
use self::stamp::Stamp;
use crate::ws::OpCode;

pub use self::error::{BenchError, Lost};
pub use self::fleet::Wait;
pub use self::html::page;
pub use self::ledger::Faults;
pub use self::meter::{Slice, Summary};
pub use self::plan::{Pace, Plan, Protocol, Rooms, Workload};
pub use self::process::ThreadTime;
pub use self::report::{Memory, Progress, Report, ServerCost, Verdict};
pub use self::spawn::Spawned;
pub use self::target::Target;

/// How long idle connections settle before memory is read.
const SETTLE: Duration = Duration::from_millis(500);

/// Carries out a plan. `progress` is called now and then, on this thread.
///
/// # Errors
/// [`BenchError`], if the run came to no end at all. A run that did end but says nothing about the server has a
/// [`Verdict`] that tells why.
pub fn run(plan: &Plan, target: &Target, progress: &mut dyn FnMut(Progress)) -> Result<Report, BenchError> {
    plan.check()?;
    let mut fleet = Fleet::new(target.clone(), plan.protocol.layout(), plan.wait)?;
    let opcode = match plan.protocol {
        Protocol::Text | Protocol::Chat => OpCode::Text,
        Protocol::Binary => OpCode::Binary,
    };
    let mut opening = Opening::begin(plan, target, &fleet);
    let report = match plan.workload {
        Workload::Fanout(rooms) => {
            let mut flow = Flow::new(plan, rooms, opcode);
            opening.open(&mut fleet, rooms.members, rooms.rooms * rooms.members, &mut flow, progress)?;
            flow.settle(&mut fleet)?;
            progress(Progress::WarmingUp);
            let setting = opening.finish(&fleet);
            let used = drive::drive(plan, &mut fleet, &mut flow, progress)?;
            let faults = flow.faults();
            Report::new(setting, flow.meter(), faults, used)
        }
        Workload::Churn { connections } => {
            let mut churn = Churn::new(plan, connections, opcode);
            opening.open(&mut fleet, connections, connections, &mut churn, progress)?;
            progress(Progress::WarmingUp);
            let setting = opening.finish(&fleet);
            let used = drive::drive(plan, &mut fleet, &mut churn, progress)?;
            let faults = churn.faults();
            Report::new(setting, churn.meter(), faults, used)
        }
        Workload::Idle { rooms, members } => {
            let mut silence = Silence { meter: Meter::new() };
            opening.open(&mut fleet, members, rooms * members, &mut silence, progress)?;
            progress(Progress::WarmingUp);
            listen(&mut fleet, &mut silence)?;
            let setting = opening.finish(&fleet);
            let used = drive::drive(plan, &mut fleet, &mut silence, progress)?;
            Report::new(setting, &silence.meter, Faults::default(), used)
        }
    };
    fleet.clear();
    Ok(report)
}

/// The stage in which connections are opened, timed and weighed.
struct Opening {
    plan: Plan,
    url: String,
    memory_before: Option<u64>,
    began: Nanos,
    took: Duration,
}

impl Opening {
    fn begin(plan: &Plan, target: &Target, fleet: &Fleet) -> Opening {
        Opening {
            plan: plan.clone(),
            url: target.url(),
            memory_before: plan.server.and_then(process::resident_bytes),
            began: fleet.clock.now(),
            took: Duration::ZERO,
        }
    }

    /// Opens `of` connections, room after room of `members` each.
    fn open<T: Traffic>(
        &mut self,
        fleet: &mut Fleet,
        members: usize,
        of: usize,
        traffic: &mut T,
        progress: &mut dyn FnMut(Progress),
    ) -> Result<(), BenchError> {
        let place = |number: usize| (number / members, number % members);
        fleet.open(of, place, traffic, |opened| progress(Progress::Connecting { opened, of }))?;
        self.took = Duration::from_nanos(fleet.clock.now() - self.began);
        Ok(())
    }

    /// Everything is open; the load may begin.
    fn finish(self, fleet: &Fleet) -> Setting {
        let connections = fleet.len() as u64;
        let open = self.plan.server.and_then(process::resident_bytes);
        let memory = self.memory_before.zip(open);
        let memory = memory.map(|(before, open)| Memory { before, open, after: open, connections });
        Setting { plan: self.plan, url: self.url, connections, connecting: self.took, memory }
    }
}

/// The traffic of connections that do nothing.
struct Silence {
    meter: Meter,
}

impl Traffic for Silence {
    fn message(&mut self, _link: usize, _stamp: Option<Stamp>, _now: Nanos) {
        self.meter.heard += 1;
    }
}

impl Work for Silence {
    fn pump(&mut self, _fleet: &mut Fleet) -> Result<Option<Nanos>, BenchError> {
        Ok(None)
    }

    fn outstanding(&self) -> u64 {
        0
    }

    fn meter(&mut self) -> &mut Meter {
        &mut self.meter
    }
}

/// Lets greetings and notices come in until there are no more.
fn listen(fleet: &mut Fleet, silence: &mut Silence) -> Result<(), BenchError> {
    let mut until = fleet.clock.now() + clock::nanos(SETTLE);
    while fleet.clock.now() < until {
        let heard = silence.meter.heard;
        fleet.turn(SETTLE / 10, silence)?;
        if silence.meter.heard != heard {
            until = fleet.clock.now() + clock::nanos(SETTLE);
        }
    }
    Ok(())
}
