//! Does a crowded room hold up small ones that the same thread serves?

use super::error::BenchError;
use super::plan::{Plan, Rooms, Workload};
use super::progress::Progress;
use super::run;
use super::series::{Run, Series};
use super::target::Target;

/// Measures `rooms` twice: beside a room with a crowd in it in which nothing is said, and while `rate` messages a second
/// are.
///
/// # Errors
/// [`BenchError`].
pub fn fairness(
    plan: &Plan,
    rooms: Rooms,
    crowd: usize,
    rate: f64,
    target: &Target,
    progress: &mut dyn FnMut(Progress),
) -> Result<Series, BenchError> {
    let mut runs = Vec::new();
    for (number, (name, crowd_rate)) in (1..).zip([("silent crowd", None), ("loud crowd", Some(rate))]) {
        progress(Progress::Part { name, number, of: 2 });
        let workload = Workload::MixedLoad { rooms, crowd, crowd_rate };
        let report = run(&Plan { workload, ..plan.clone() }, target, progress)?;
        runs.push(Run { name: name.to_owned(), report, sqlite_baseline: None });
    }
    Ok(Series { mode: "fairness".to_owned(), runs })
}
