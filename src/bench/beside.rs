//! Small rooms beside a crowded one: does a crowd hold them up?

use super::clock::Nanos;
use super::drive::Work;
use super::error::BenchError;
use super::fleet::{Fleet, Traffic};
use super::flow::{Flow, Joining};
use super::ledger::Faults;
use super::meter::Meter;
use super::plan::{Pace, Plan, Rooms};
use super::stamp::Mark;
use crate::ws::OpCode;

/// The rooms that are measured, and the crowd.
pub(super) struct Beside {
    small: Flow,
    crowd: Flow,
    /// Whether anything is said in the crowd.
    loud: bool,
}

impl Beside {
    pub(super) fn new(plan: &Plan, rooms: Rooms, crowd: usize, rate: Option<f64>, opcode: OpCode) -> Beside {
        let small = Flow::new(plan, rooms, opcode);
        // A rate that is never looked at if there is silence.
        let pace = Pace::Rate(rate.unwrap_or(1.0));
        let crowd = Rooms { rooms: 1, members: crowd, publishers: 1, stalled: 0, pace };
        let crowd = Flow::new(plan, crowd, opcode).behind(&small);
        Beside { small, crowd, loud: rate.is_some() }
    }

    pub(super) fn faults(&self) -> Faults {
        self.small.faults().and(self.crowd.faults())
    }

    pub(super) fn counted(&self) -> &Meter {
        self.small.counted()
    }

    fn half(&mut self, link: usize) -> &mut Flow {
        if link < self.crowd.first_link() { &mut self.small } else { &mut self.crowd }
    }
}

impl Traffic for Beside {
    #[inline]
    fn message(&mut self, link: usize, mark: Option<Mark>, now: Nanos) {
        self.half(link).message(link, mark, now);
    }
}

impl Joining for Beside {
    fn probe(&mut self, fleet: &mut Fleet) -> Result<bool, BenchError> {
        Ok(self.small.probe(fleet)? | self.crowd.probe(fleet)?)
    }

    fn heard(&self) -> u64 {
        self.small.heard() + self.crowd.heard()
    }
}

impl Work for Beside {
    fn pump(&mut self, fleet: &mut Fleet) -> Result<Option<Nanos>, BenchError> {
        let next = self.small.pump(fleet)?;
        if !self.loud {
            return Ok(next);
        }
        let crowd = self.crowd.pump(fleet)?;
        Ok(next.into_iter().chain(crowd).min())
    }

    fn outstanding(&self) -> u64 {
        self.small.outstanding() + self.crowd.outstanding()
    }

    fn is_hopeless(&self) -> bool {
        self.small.is_hopeless() || self.crowd.is_hopeless()
    }

    fn besides(&self) -> u64 {
        self.crowd.heard()
    }

    fn meter(&mut self) -> &mut Meter {
        self.small.meter()
    }
}
