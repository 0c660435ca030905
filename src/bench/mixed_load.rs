//! Small rooms beside a crowded one: does a crowd hold them up?

use super::clock::Nanos;
use super::connections::{Connections, Traffic};
use super::delivery_checker::Faults;
use super::error::BenchError;
use super::flow::{Flow, Joining};
use super::meter::Meter;
use super::payload::Mark;
use super::plan::{Pace, Plan, Rooms};
use super::work::Work;
use crate::ws::OpCode;

/// The rooms that are measured, and the crowd.
pub(super) struct MixedLoad {
    small: Flow,
    crowd: Flow,
    /// Whether anything is said in the crowd.
    loud: bool,
}

impl MixedLoad {
    pub(super) fn new(
        plan: &Plan,
        rooms: Rooms,
        crowd: usize,
        rate: Option<f64>,
        opcode: OpCode,
    ) -> MixedLoad {
        let small = Flow::new(plan, rooms, opcode);
        // A rate that is never looked at if there is silence.
        let pace = Pace::Rate(rate.unwrap_or(1.0));
        let crowd = Rooms { rooms: 1, members: crowd, publishers: 1, stalled: 0, pace };
        let crowd = Flow::new(plan, crowd, opcode).behind(&small);
        MixedLoad { small, crowd, loud: rate.is_some() }
    }

    pub(super) fn faults(&self) -> Faults {
        self.small.faults().and(self.crowd.faults())
    }

    pub(super) fn counted(&self) -> &Meter {
        self.small.counted()
    }

    fn half(&mut self, connection: usize) -> &mut Flow {
        if connection < self.crowd.first_link() { &mut self.small } else { &mut self.crowd }
    }
}

impl Traffic for MixedLoad {
    #[inline]
    fn message(&mut self, connection: usize, mark: Option<Mark>, now: Nanos) {
        self.half(connection).message(connection, mark, now);
    }
}

impl Joining for MixedLoad {
    fn probe(&mut self, connections: &mut Connections) -> Result<bool, BenchError> {
        Ok(self.small.probe(connections)? | self.crowd.probe(connections)?)
    }

    fn received(&self) -> u64 {
        self.small.received() + self.crowd.received()
    }
}

impl Work for MixedLoad {
    fn pump(&mut self, connections: &mut Connections) -> Result<Option<Nanos>, BenchError> {
        let next = self.small.pump(connections)?;
        if !self.loud {
            return Ok(next);
        }
        let crowd = self.crowd.pump(connections)?;
        Ok(next.into_iter().chain(crowd).min())
    }

    fn outstanding(&self) -> u64 {
        self.small.outstanding() + self.crowd.outstanding()
    }

    fn is_hopeless(&self) -> bool {
        self.small.is_hopeless() || self.crowd.is_hopeless()
    }

    fn unmetered(&self) -> u64 {
        self.crowd.received()
    }

    fn meter(&mut self) -> &mut Meter {
        self.small.meter()
    }
}
