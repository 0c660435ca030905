//! One run from its first message to its last: warm up, measure, drain.

use std::time::Duration;

use super::clock::{Nanos, nanos};
use super::connections::Connections;
use super::error::BenchError;
use super::plan::Plan;
use super::progress::Progress;
use super::scraper::Scraper;
use super::usage::{Reading, Used};
use super::work::Work;

/// How long the loop sleeps at most, if it sleeps.
const TURN_MAX: Duration = Duration::from_millis(20);
/// Nothing was heard for this long although messages are outstanding: they will not come any more.
pub(super) const PATIENCE: Duration = Duration::from_secs(3);
pub(super) const PROGRESS_EVERY: Duration = Duration::from_millis(100);

/// Runs `work` through all its stages.
pub(super) fn run<W: Work>(
    plan: &Plan,
    connections: &mut Connections,
    work: &mut W,
    progress: &mut dyn FnMut(Progress),
) -> Result<Used, BenchError> {
    let began = connections.clock.now();
    let measured_from = began + nanos(plan.warmup);
    let mut stuck = run_until(measured_from, connections, work, &mut |_| ())?;

    let before = Reading::take(plan, connections, work.unmetered());
    let scraper = connections.scraper();
    let now = connections.clock.now();
    work.meter().begin(now);
    let mut report = |now: Nanos| {
        let elapsed = Duration::from_nanos(now.saturating_sub(measured_from));
        progress(Progress::Measuring { elapsed, of: plan.measure });
    };
    stuck |= run_until(now + nanos(plan.measure), connections, work, &mut report)?;
    let now = connections.clock.now();
    work.meter().end(now);
    let used = Reading::take(plan, connections, work.unmetered()).since(&before);
    let inside = scraper.map(Scraper::end);

    progress(Progress::Draining);
    drain(connections, work)?;
    Ok(Used { stuck, inside, ..used })
}

/// True if it gave up before the time.
fn run_until<W: Work>(
    until: Nanos,
    connections: &mut Connections,
    work: &mut W,
    progress: &mut dyn FnMut(Nanos),
) -> Result<bool, BenchError> {
    let mut now = connections.clock.now();
    let (mut received, mut received_at, mut progress_at) = (work.meter().received, now, now);
    while now < until {
        let next = work.pump(connections)?;
        let wait = next.unwrap_or(Nanos::MAX).min(until).saturating_sub(now);
        connections.turn(Duration::from_nanos(wait).min(TURN_MAX), work)?;
        now = connections.clock.now();
        work.meter().tick(now);
        if work.meter().received != received || work.outstanding() == 0 {
            (received, received_at) = (work.meter().received, now);
        }
        if work.is_hopeless() || now - received_at > nanos(PATIENCE) {
            return Ok(true);
        }
        if now >= progress_at {
            progress(now);
            progress_at = now + nanos(PROGRESS_EVERY);
        }
    }
    Ok(false)
}

/// Sends nothing more and waits for what is under way.
fn drain<W: Work>(connections: &mut Connections, work: &mut W) -> Result<(), BenchError> {
    let mut received_at = connections.clock.now();
    while work.outstanding() > 0 && connections.clock.now() - received_at < nanos(PATIENCE) {
        let received = work.meter().received;
        work.finish(connections)?;
        connections.turn(TURN_MAX, work)?;
        if work.meter().received != received {
            received_at = connections.clock.now();
        }
    }
    Ok(())
}
