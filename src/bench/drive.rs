//! One run from its first message to its last: warm up, measure, drain.

use std::time::Duration;

use super::clock::{Nanos, nanos};
use super::database::Stock;
use super::error::BenchError;
use super::fleet::{Fleet, Share, Traffic};
use super::meter::Meter;
use super::plan::Plan;
use super::process::{self, Usage};
use super::report::Progress;

/// How long the loop sleeps at most, if it sleeps.
const TURN_MAX: Duration = Duration::from_millis(20);
/// Nothing was heard for this long although messages are outstanding: they will not come any more.
pub(super) const PATIENCE: Duration = Duration::from_secs(3);
pub(super) const PROGRESS_EVERY: Duration = Duration::from_millis(100);

/// Traffic that makes itself.
pub(super) trait Work: Traffic {
    /// Does what is to be done now; returns when there will be more to do, if that is known.
    fn pump(&mut self, fleet: &mut Fleet) -> Result<Option<Nanos>, BenchError>;

    /// Messages that have not reached everybody.
    fn outstanding(&self) -> u64;

    /// Lets what is under way come to its end, and begins nothing new.
    fn finish(&mut self, _fleet: &mut Fleet) -> Result<(), BenchError> {
        Ok(())
    }

    /// Whether the server is too far behind to go on.
    fn is_hopeless(&self) -> bool {
        false
    }

    /// Deliveries up to now that the server made besides those which are measured.
    fn besides(&self) -> u64 {
        0
    }

    /// Where it is counted.
    fn meter(&mut self) -> &mut Meter;
}

/// What both sides have used up to a moment.
#[derive(Debug)]
pub(super) struct Reading {
    server: Option<Usage>,
    own: Duration,
    share: Share,
    besides: u64,
    stock: Option<Stock>,
}

impl Reading {
    pub(super) fn take(plan: &Plan, fleet: &Fleet, besides: u64) -> Reading {
        Reading {
            stock: plan.database.as_deref().and_then(Stock::of),
            server: plan.server.and_then(Usage::of),
            own: process::own_thread_time().unwrap_or_default(),
            share: fleet.share(),
            besides,
        }
    }

    /// What was used since `earlier`.
    pub(super) fn since(self, earlier: &Reading) -> Used {
        Used {
            server: earlier.server.as_ref().zip(self.server).map(|(before, after)| after.since(before)),
            own: self.own.saturating_sub(earlier.own),
            busy: self.share.busy_since(earlier.share),
            besides: self.besides - earlier.besides,
            stored: earlier.stock.zip(self.stock).map(|(before, after)| after.since(before)),
            stuck: false,
        }
    }
}

/// What both sides used while the run was measured.
#[derive(Debug)]
pub(super) struct Used {
    pub(super) server: Option<Usage>,
    /// Processor time of the load generator.
    pub(super) own: Duration,
    /// The part of the time in which the load generator had something to do.
    pub(super) busy: f64,
    /// Deliveries that the server made besides those which were measured.
    pub(super) besides: u64,
    /// What the server's database took in.
    pub(super) stored: Option<Stock>,
    /// Messages stopped coming, or the server fell hopelessly behind.
    pub(super) stuck: bool,
}

/// Runs `work` through all its stages.
pub(super) fn drive<W: Work>(
    plan: &Plan,
    fleet: &mut Fleet,
    work: &mut W,
    progress: &mut dyn FnMut(Progress),
) -> Result<Used, BenchError> {
    let began = fleet.clock.now();
    let measured_from = began + nanos(plan.warmup);
    let mut stuck = run_until(measured_from, fleet, work, &mut |_| ())?;

    let before = Reading::take(plan, fleet, work.besides());
    let now = fleet.clock.now();
    work.meter().begin(now);
    let mut report = |now: Nanos| {
        let elapsed = Duration::from_nanos(now.saturating_sub(measured_from));
        progress(Progress::Measuring { elapsed, of: plan.measure });
    };
    stuck |= run_until(now + nanos(plan.measure), fleet, work, &mut report)?;
    let now = fleet.clock.now();
    work.meter().end(now);
    let used = Reading::take(plan, fleet, work.besides()).since(&before);

    progress(Progress::Draining);
    drain(fleet, work)?;
    Ok(Used { stuck, ..used })
}

/// True if it gave up before the time.
fn run_until<W: Work>(
    until: Nanos,
    fleet: &mut Fleet,
    work: &mut W,
    progress: &mut dyn FnMut(Nanos),
) -> Result<bool, BenchError> {
    let mut now = fleet.clock.now();
    let (mut heard, mut heard_at, mut progress_at) = (work.meter().heard, now, now);
    while now < until {
        let next = work.pump(fleet)?;
        let wait = next.unwrap_or(Nanos::MAX).min(until).saturating_sub(now);
        fleet.turn(Duration::from_nanos(wait).min(TURN_MAX), work)?;
        now = fleet.clock.now();
        work.meter().tick(now);
        if work.meter().heard != heard || work.outstanding() == 0 {
            (heard, heard_at) = (work.meter().heard, now);
        }
        if work.is_hopeless() || now - heard_at > nanos(PATIENCE) {
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
fn drain<W: Work>(fleet: &mut Fleet, work: &mut W) -> Result<(), BenchError> {
    let mut heard_at = fleet.clock.now();
    while work.outstanding() > 0 && fleet.clock.now() - heard_at < nanos(PATIENCE) {
        let heard = work.meter().heard;
        work.finish(fleet)?;
        fleet.turn(TURN_MAX, work)?;
        if work.meter().heard != heard {
            heard_at = fleet.clock.now();
        }
    }
    Ok(())
}
