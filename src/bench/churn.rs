//! Connections that come, say one thing, hear it back and go.

use super::clock::Nanos;
use super::drive::Work;
use super::error::{BenchError, Lost};
use super::fleet::{Fleet, Traffic};
use super::ledger::Faults;
use super::meter::Meter;
use super::plan::Plan;
use super::stamp::{Mark, Stamp, Template};
use crate::ws::OpCode;

const KEY: [u8; 4] = [0x71, 0x0c, 0xbb, 0x2e];

/// How far one connection has got.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Stage {
    /// Not open yet.
    Opening,
    /// The message is on its way.
    Asked,
    /// The answer has come, the closing handshake has begun.
    Closing,
    /// The run is over, and so is the connection.
    Done,
}

#[derive(Clone, Copy, Debug)]
struct Cycle {
    began: Nanos,
    stage: Stage,
    /// Counts the messages of this place, so that an answer to another one is noticed.
    number: u32,
}

/// What a place asks for after a turn.
#[derive(Clone, Copy, Debug)]
enum Step {
    Ask(usize),
    Close(usize),
    Reconnect(usize),
}

/// So many connections at a time, each replaced by a new one when it is over.
pub(super) struct Churn {
    template: Template,
    cycles: Vec<Cycle>,
    steps: Vec<Step>,
    faults: Faults,
    /// No connection is replaced any more.
    finishing: bool,
    meter: Meter,
    scratch: Vec<u8>,
}

impl Churn {
    pub(super) fn new(plan: &Plan, connections: usize, opcode: OpCode) -> Churn {
        let cycle = Cycle { began: 0, stage: Stage::Opening, number: 0 };
        Churn {
            template: Template::new(plan.protocol.layout(), opcode, plan.size, KEY),
            cycles: vec![cycle; connections],
            steps: Vec::new(),
            faults: Faults::default(),
            finishing: false,
            meter: Meter::new(),
            scratch: Vec::new(),
        }
    }

    /// What has gone wrong, if nothing comes any more.
    pub(super) fn faults(&self) -> Faults {
        Faults {
            missing: self.faults.missing + if self.finishing { self.outstanding() } else { 0 },
            ..self.faults
        }
    }

    fn take_step(&mut self, step: Step, fleet: &mut Fleet) -> Result<(), BenchError> {
        let failed = |connection, error| BenchError::Lost { connection, how: Lost::Failed(error) };
        match step {
            Step::Ask(link) => {
                let publisher = u32::try_from(link).unwrap_or(u32::MAX);
                self.scratch.clear();
                self.template.append(
                    &mut self.scratch,
                    0,
                    Stamp { publisher, number: self.cycles[link].number },
                );
                fleet.link(link).send(&self.scratch).map_err(|error| failed(link, error))
            }
            Step::Close(link) => fleet.link(link).close().map_err(|error| failed(link, error)),
            Step::Reconnect(link) if self.finishing => {
                self.cycles[link].stage = Stage::Done;
                Ok(())
            }
            Step::Reconnect(link) => {
                let now = fleet.clock.now();
                let cycle = &mut self.cycles[link];
                *cycle = Cycle { began: now, stage: Stage::Opening, number: cycle.number.wrapping_add(1) };
                self.meter.sent(now, now);
                fleet.reconnect(link, 0, link)
            }
        }
    }
}

impl Traffic for Churn {
    fn message(&mut self, link: usize, mark: Option<Mark>, _now: Nanos) {
        let Some(Mark::Stamp(stamp)) = mark else { return };
        let cycle = &mut self.cycles[link];
        // In a room, other members' messages are heard, too.
        if stamp.publisher as usize != link {
            return;
        }
        if stamp.number != cycle.number {
            self.faults.stray += 1;
        } else if cycle.stage == Stage::Asked {
            cycle.stage = Stage::Closing;
            self.steps.push(Step::Close(link));
        } else {
            self.faults.duplicate += 1;
        }
    }

    fn opened(&mut self, link: usize) {
        self.cycles[link].stage = Stage::Asked;
        self.steps.push(Step::Ask(link));
    }

    fn lost(&mut self, link: usize, how: Lost) -> Result<(), BenchError> {
        match (self.cycles[link].stage, how) {
            // Some servers reset a connection that they have closed.
            (Stage::Closing, Lost::Closed | Lost::Ended | Lost::Failed(_)) => {
                self.steps.push(Step::Reconnect(link));
                Ok(())
            }
            // What the system still says of a connection that is over.
            (Stage::Done, _) => Ok(()),
            (Stage::Opening, Lost::Refused(error)) => Err(BenchError::Handshake(error)),
            (Stage::Opening | Stage::Asked | Stage::Closing, how) => {
                Err(BenchError::Lost { connection: link, how })
            }
        }
    }
}

impl Work for Churn {
    fn pump(&mut self, fleet: &mut Fleet) -> Result<Option<Nanos>, BenchError> {
        let mut steps = std::mem::take(&mut self.steps);
        for step in steps.drain(..) {
            if let Step::Reconnect(link) = step {
                let (began, now) = (self.cycles[link].began, fleet.clock.now());
                self.meter.delivered(began, now);
            }
            self.take_step(step, fleet)?;
        }
        self.steps = steps;
        Ok(None)
    }

    fn outstanding(&self) -> u64 {
        self.cycles.iter().filter(|cycle| cycle.stage != Stage::Done).count() as u64
    }

    fn finish(&mut self, fleet: &mut Fleet) -> Result<(), BenchError> {
        self.finishing = true;
        self.pump(fleet).map(|_| ())
    }

    fn meter(&mut self) -> &mut Meter {
        &mut self.meter
    }
}
