//! The load engine behind `foghorn bench` and `cargo bench --bench server`.
//!
//! One thread holds all connections. Messages are masked frames prepared beforehand, of which only the number changes
//! (`payload`); what comes back is walked over header by header (`frame_scanner`), checked against what must come
//! (`delivery_checker`) and timed against the moment at which it *should* have been sent (`meter`), so that a server that
//! holds up the load does not look faster for it. Meanwhile `/proc` tells what the server uses (`process`).
//!
//! | file | subject |
//! |---|---|
//! | this one | a run, from the plan to the report |
//! | `plan`, `target` | what is to be done, to whom |
//! | `connections`, `connection` | the loop, one connection |
//! | `payload`, `payload_id`, `body`, `entry`, `frame_scanner`, `delivery_checker` | what is sent, found and expected |
//! | `flow`, `mixed_load`, `churn`, `recovery` | the traffic of each workload |
//! | `setup`, `phases`, `work` | opening connections; warming up, measuring, draining; what a workload does |
//! | `meter`, `clock`, `usage` | what is counted, by which clock, and what it cost |
//! | `process`, `spawn`, `database` | the server's process and what it stores |
//! | `scraper`, `exposition`, `inside` | the server's metrics: looked at meanwhile, read, and what they say |
//! | `durable`, `sqlite_baseline`, `latency`, `fairness`, `series` | runs that only say something together |
//! | `progress`, `report`, `about`, `error` | how far a run is, what comes out, when and where; why nothing does |
//! | `lines`, `html`, `plot`, `compare` | a report as text and as a page with plots; two side by side |
//!
//! Any server can be measured that sends back what it gets, to the sender or to a room.

mod about;
mod body;
mod churn;
mod clock;
mod compare;
mod connection;
mod connections;
mod database;
mod delivery_checker;
mod durable;
mod entry;
mod error;
mod exposition;
mod fairness;
mod flow;
mod frame_scanner;
mod html;
mod inside;
mod latency;
mod lines;
mod meter;
mod mixed_load;
mod payload;
mod payload_id;
mod phases;
mod plan;
mod plot;
mod process;
mod progress;
mod recovery;
mod report;
mod scraper;
mod series;
mod setup;
mod spawn;
mod sqlite_baseline;
mod target;
mod usage;
mod work;

use std::time::Duration;

use self::churn::Churn;
use self::clock::Nanos;
use self::connections::{Connections, Traffic};
use self::flow::Flow;
use self::meter::Meter;
use self::mixed_load::MixedLoad;
use self::payload::Mark;
use self::setup::Setup;
use self::work::Work;
use crate::ws::OpCode;

pub use self::about::About;
pub use self::compare::{Comparison, Side};
pub use self::database::DbSnapshot;
pub use self::delivery_checker::Faults;
pub use self::durable::{Durable, StoringServer, durable};
pub use self::error::{BenchError, Lost};
pub use self::fairness::fairness;
pub use self::html::{comparison_page, page, series_page};
pub use self::inside::{Inside, Spread, Way, WaySlice};
pub use self::latency::{SHARES, latency, saturation};
pub use self::meter::{Slice, Summary};
pub use self::plan::{Pace, Plan, Protocol, Returning, Rooms, Wait, Workload};
pub use self::process::ThreadTime;
pub use self::progress::{Progress, Verdict};
pub use self::report::{Memory, Report, ServerCost};
pub use self::scraper::MetricsSource;
pub use self::series::{Run, Series};
pub use self::spawn::Spawned;
pub use self::sqlite_baseline::SqliteBaseline;
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
    let mut connections = Connections::new(target.clone(), plan.layout(), plan.size, plan.wait)?;
    let opcode = match plan.protocol {
        Protocol::Text | Protocol::Chat | Protocol::Stomp => OpCode::Text,
        Protocol::Binary => OpCode::Binary,
    };
    let mut setup = Setup::begin(plan, target, &connections);
    let report = match plan.workload {
        Workload::Fanout(rooms) => {
            let mut flow = Flow::new(plan, rooms, opcode);
            let place = in_rooms(rooms.members);
            setup.open(&mut connections, rooms.rooms * rooms.members, place, "", &mut flow, progress)?;
            progress(Progress::WarmingUp);
            flow::settle(&mut flow, &mut connections)?;
            flow.stall(&mut connections)?;
            let setting = setup.finish(&connections);
            let used = phases::run(plan, &mut connections, &mut flow, progress)?;
            let report = Report::new(setting, flow.counted(), flow.faults().and(connections.faults()), used);
            Report { published: flow.published(), ..report }
        }
        Workload::MixedLoad { rooms, crowd, crowd_rate } => {
            let mut mixed = MixedLoad::new(plan, rooms, crowd, crowd_rate, opcode);
            let small = rooms.rooms * rooms.members;
            let place = |connection| {
                if connection < small {
                    in_rooms(rooms.members)(connection)
                } else {
                    (rooms.rooms, connection - small)
                }
            };
            setup.open(&mut connections, small + crowd, place, "", &mut mixed, progress)?;
            progress(Progress::WarmingUp);
            flow::settle(&mut mixed, &mut connections)?;
            let setting = setup.finish(&connections);
            let used = phases::run(plan, &mut connections, &mut mixed, progress)?;
            Report::new(setting, mixed.counted(), mixed.faults().and(connections.faults()), used)
        }
        Workload::Recovery(returning) => recovery::run(plan, returning, setup, &mut connections, progress)?,
        Workload::Churn { connections: size } => {
            let mut churn = Churn::new(plan, size, opcode);
            setup.open(&mut connections, size, in_rooms(size), "", &mut churn, progress)?;
            progress(Progress::WarmingUp);
            let setting = setup.finish(&connections);
            let used = phases::run(plan, &mut connections, &mut churn, progress)?;
            let faults = churn.faults().and(connections.faults());
            Report::new(setting, churn.meter(), faults, used)
        }
        Workload::Idle { rooms, members } => {
            let mut silence = Silence { meter: Meter::new() };
            setup.open(&mut connections, rooms * members, in_rooms(members), "", &mut silence, progress)?;
            progress(Progress::WarmingUp);
            listen(&mut connections, &mut silence)?;
            let setting = setup.finish(&connections);
            let used = phases::run(plan, &mut connections, &mut silence, progress)?;
            Report::new(setting, &silence.meter, Faults::default(), used)
        }
    };
    connections.clear();
    Ok(report)
}

/// Room after room, each with this number of members.
fn in_rooms(members: usize) -> impl Fn(usize) -> (usize, usize) {
    move |connection| (connection / members, connection % members)
}

/// The traffic of connections that do nothing.
struct Silence {
    meter: Meter,
}

impl Traffic for Silence {
    fn message(&mut self, _link: usize, _mark: Option<Mark>, _now: Nanos) {
        self.meter.received += 1;
    }
}

impl Work for Silence {
    fn pump(&mut self, _fleet: &mut Connections) -> Result<Option<Nanos>, BenchError> {
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
fn listen(connections: &mut Connections, silence: &mut Silence) -> Result<(), BenchError> {
    let mut until = connections.clock.now() + clock::nanos(SETTLE);
    while connections.clock.now() < until {
        let received = silence.meter.received;
        connections.turn(SETTLE / 10, silence)?;
        if silence.meter.received != received {
            until = connections.clock.now() + clock::nanos(SETTLE);
        }
    }
    Ok(())
}
