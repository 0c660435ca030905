//! How long a message takes to the last member while the server has little, much and nearly too much to do.

use super::error::BenchError;
use super::plan::{Pace, Plan, Rooms, Workload};
use super::progress::Progress;
use super::series::{Run, Series};
use super::target::Target;
use super::{Report, run};

/// The loads that are looked at: their names, and their parts of what saturates the server.
pub const SHARES: [(&str, f64); 3] = [("10 %", 0.1), ("50 %", 0.5), ("90 %", 0.9)];
/// Messages of each publisher under way while saturation is looked for.
const WINDOW: u32 = 16;

/// Finds out how many messages a second go through `rooms` if there is always another one waiting. Its verdict tells
/// whether it was the server that took no more, or the load generator.
///
/// # Errors
/// [`BenchError`].
pub fn saturation(
    plan: &Plan,
    rooms: Rooms,
    target: &Target,
    progress: &mut dyn FnMut(Progress),
) -> Result<Report, BenchError> {
    let workload = Workload::Fanout(Rooms { pace: Pace::Window(WINDOW), ..rooms });
    run(&Plan { workload, ..plan.clone() }, target, progress)
}

/// Measures `rooms` at [`SHARES`] of the rate that saturates the server, on schedule. Their pace is looked for first.
///
/// # Errors
/// [`BenchError`].
pub fn latency(
    plan: &Plan,
    rooms: Rooms,
    target: &Target,
    progress: &mut dyn FnMut(Progress),
) -> Result<Series, BenchError> {
    let of = SHARES.len() + 1;
    progress(Progress::Part { name: "saturation", number: 1, of });
    let saturated = saturation(plan, rooms, target, progress)?;
    let most = saturated.messages_per_second();
    let mut runs = vec![Run { name: "saturation".to_owned(), report: saturated, sqlite_baseline: None }];
    for (number, (name, share)) in (2..).zip(SHARES) {
        progress(Progress::Part { name, number, of });
        let workload = Workload::Fanout(Rooms { pace: Pace::Rate(most * share), ..rooms });
        let report = run(&Plan { workload, ..plan.clone() }, target, progress)?;
        runs.push(Run { name: name.to_owned(), report, sqlite_baseline: None });
    }
    Ok(Series { mode: "latency".to_owned(), runs })
}
