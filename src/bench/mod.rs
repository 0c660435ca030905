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
//! | `stamp`, `body`, `entry`, `walk`, `ledger` | what is sent, found and expected |
//! | `flow`, `beside`, `churn`, `recovery` | the traffic of each workload |
//! | `drive`, `meter`, `clock` | warming up, measuring, draining |
//! | `process`, `spawn`, `database` | the server's process and what it stores |
//! | `durable`, `ceiling`, `latency`, `fairness`, `series` | runs that only say something together |
//! | `report`, `html`, `plot` | what comes out |
//!
//! Any server can be measured that sends back what it gets, to the sender or to a room.

mod beside;
mod body;
mod ceiling;
mod churn;
mod clock;
mod database;
mod drive;
mod durable;
mod entry;
mod error;
mod fairness;
mod fleet;
mod flow;
mod html;
mod latency;
mod ledger;
mod link;
mod meter;
mod plan;
mod plot;
mod process;
mod recovery;
mod report;
mod series;
mod spawn;
mod stamp;
mod target;
mod walk;

use std::time::Duration;

use self::beside::Beside;
use self::churn::Churn;
use self::clock::Nanos;
use self::drive::Work;
use self::fleet::{Fleet, Traffic};
use self::flow::Flow;
use self::meter::Meter;
use self::report::Setting;
use self::stamp::Mark;
use crate::ws::OpCode;

pub use self::ceiling::Ceiling;
pub use self::database::Stock;
pub use self::durable::{Durable, Stored, durable};
pub use self::error::{BenchError, Lost};
pub use self::fairness::fairness;
pub use self::fleet::Wait;
pub use self::html::{page, series_page};
pub use self::latency::{SHARES, latency, saturation};
pub use self::ledger::Faults;
pub use self::meter::{Slice, Summary};
pub use self::plan::{Pace, Plan, Protocol, Returning, Rooms, Workload};
pub use self::process::ThreadTime;
pub use self::report::{Memory, Progress, Report, ServerCost, Verdict};
pub use self::series::{Run, Series};
pub use self::spawn::Spawned;
pub use self::target::{Believed, Target};

/// How long idle connections settle before memory is read.
const SETTLE: Duration = Duration::from_millis(500);

/// Carries out a plan. `progress` is called now and then, on this thread.
///
/// # Errors
/// [`BenchError`], if the run came to no end at all. A run that did end but says nothing about the server has a
/// [`Verdict`] that tells why.
pub fn run(plan: &Plan, target: &Target, progress: &mut dyn FnMut(Progress)) -> Result<Report, BenchError> {
    plan.check()?;
    let mut fleet = Fleet::new(target.clone(), plan.layout(), plan.size, plan.wait)?;
    let opcode = match plan.protocol {
        Protocol::Text | Protocol::Chat | Protocol::Stomp => OpCode::Text,
        Protocol::Binary => OpCode::Binary,
    };
    let mut opening = Opening::begin(plan, target, &fleet);
    let report = match plan.workload {
        Workload::Fanout(rooms) => {
            let mut flow = Flow::new(plan, rooms, opcode);
            let place = in_rooms(rooms.members);
            opening.open(&mut fleet, rooms.rooms * rooms.members, place, "", &mut flow, progress)?;
            progress(Progress::WarmingUp);
            flow::settle(&mut flow, &mut fleet)?;
            flow.stall(&mut fleet)?;
            let setting = opening.finish(&fleet);
            let used = drive::drive(plan, &mut fleet, &mut flow, progress)?;
            let report = Report::new(setting, flow.counted(), flow.faults().and(fleet.faults()), used);
            Report { published: flow.published(), ..report }
        }
        Workload::Beside { rooms, crowd, crowd_rate } => {
            let mut beside = Beside::new(plan, rooms, crowd, crowd_rate, opcode);
            let small = rooms.rooms * rooms.members;
            let place =
                |link| if link < small { in_rooms(rooms.members)(link) } else { (rooms.rooms, link - small) };
            opening.open(&mut fleet, small + crowd, place, "", &mut beside, progress)?;
            progress(Progress::WarmingUp);
            flow::settle(&mut beside, &mut fleet)?;
            let setting = opening.finish(&fleet);
            let used = drive::drive(plan, &mut fleet, &mut beside, progress)?;
            Report::new(setting, beside.counted(), beside.faults().and(fleet.faults()), used)
        }
        Workload::Recovery(returning) => recovery::run(plan, returning, opening, &mut fleet, progress)?,
        Workload::Churn { connections } => {
            let mut churn = Churn::new(plan, connections, opcode);
            opening.open(&mut fleet, connections, in_rooms(connections), "", &mut churn, progress)?;
            progress(Progress::WarmingUp);
            let setting = opening.finish(&fleet);
            let used = drive::drive(plan, &mut fleet, &mut churn, progress)?;
            let faults = churn.faults().and(fleet.faults());
            Report::new(setting, churn.meter(), faults, used)
        }
        Workload::Idle { rooms, members } => {
            let mut silence = Silence { meter: Meter::new() };
            opening.open(&mut fleet, rooms * members, in_rooms(members), "", &mut silence, progress)?;
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

/// Room after room of so many members.
fn in_rooms(members: usize) -> impl Fn(usize) -> (usize, usize) {
    move |link| (link / members, link % members)
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

    /// Opens `of` connections. `place` says for each its room and its number in it; `query` is added to the path.
    fn open<T: Traffic>(
        &mut self,
        fleet: &mut Fleet,
        of: usize,
        place: impl Fn(usize) -> (usize, usize),
        query: &str,
        traffic: &mut T,
        progress: &mut dyn FnMut(Progress),
    ) -> Result<(), BenchError> {
        let path = |target: &Target, link| {
            let (room, member) = place(link);
            target.path(room, member) + query
        };
        fleet.open(of, path, traffic, |opened| progress(Progress::Connecting { opened, of }))?;
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
    fn message(&mut self, _link: usize, _mark: Option<Mark>, _now: Nanos) {
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
