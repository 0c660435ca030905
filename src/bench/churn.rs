//! Connections that come, say one thing, hear it back and go.

use super::clock::Nanos;
use super::connections::{Connections, Traffic};
use super::delivery_checker::Faults;
use super::error::{BenchError, Lost};
use super::meter::Meter;
use super::payload::{Mark, Template};
use super::payload_id::PayloadId;
use super::plan::Plan;
use super::work::Work;
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

/// Number of connections at a time, each replaced by a new one when it is over.
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

    fn take_step(&mut self, step: Step, connections: &mut Connections) -> Result<(), BenchError> {
        let failed = |connection, error| BenchError::Lost { connection, how: Lost::Failed(error) };
        match step {
            Step::Ask(connection) => {
                let publisher = u32::try_from(connection).unwrap_or(u32::MAX);
                self.scratch.clear();
                self.template.append(
                    &mut self.scratch,
                    0,
                    PayloadId { publisher, number: self.cycles[connection].number },
                );
                connections
                    .connection(connection)
                    .send(&self.scratch)
                    .map_err(|error| failed(connection, error))
            }
            Step::Close(connection) => {
                connections.connection(connection).close().map_err(|error| failed(connection, error))
            }
            Step::Reconnect(connection) if self.finishing => {
                self.cycles[connection].stage = Stage::Done;
                Ok(())
            }
            Step::Reconnect(connection) => {
                let now = connections.clock.now();
                let cycle = &mut self.cycles[connection];
                *cycle = Cycle { began: now, stage: Stage::Opening, number: cycle.number.wrapping_add(1) };
                self.meter.sent(now, now);
                connections.reconnect(connection, 0, connection)
            }
        }
    }
}

impl Traffic for Churn {
    fn message(&mut self, connection: usize, mark: Option<Mark>, _now: Nanos) {
        let Some(Mark::PayloadId(id)) = mark else { return };
        let cycle = &mut self.cycles[connection];
        // In a room, other members' messages are heard, too.
        if id.publisher as usize != connection {
            return;
        }
        if id.number != cycle.number {
            self.faults.stray += 1;
        } else if cycle.stage == Stage::Asked {
            cycle.stage = Stage::Closing;
            self.steps.push(Step::Close(connection));
        } else {
            self.faults.duplicate += 1;
        }
    }

    fn opened(&mut self, connection: usize) {
        self.cycles[connection].stage = Stage::Asked;
        self.steps.push(Step::Ask(connection));
    }

    fn lost(&mut self, connection: usize, how: Lost) -> Result<(), BenchError> {
        match (self.cycles[connection].stage, how) {
            // Some servers reset a connection that they have closed.
            (Stage::Closing, Lost::Closed | Lost::Ended | Lost::Failed(_)) => {
                self.steps.push(Step::Reconnect(connection));
                Ok(())
            }
            // What the system still says of a connection that is over.
            (Stage::Done, _) => Ok(()),
            (Stage::Opening, Lost::Refused(error)) => Err(BenchError::Handshake(error)),
            (Stage::Opening | Stage::Asked | Stage::Closing, how) => {
                Err(BenchError::Lost { connection, how })
            }
        }
    }
}

impl Work for Churn {
    fn pump(&mut self, connections: &mut Connections) -> Result<Option<Nanos>, BenchError> {
        let mut steps = std::mem::take(&mut self.steps);
        for step in steps.drain(..) {
            if let Step::Reconnect(connection) = step {
                let (began, now) = (self.cycles[connection].began, connections.clock.now());
                self.meter.delivered(began, now);
            }
            self.take_step(step, connections)?;
        }
        self.steps = steps;
        Ok(None)
    }

    fn outstanding(&self) -> u64 {
        self.cycles.iter().filter(|cycle| cycle.stage != Stage::Done).count() as u64
    }

    fn finish(&mut self, connections: &mut Connections) -> Result<(), BenchError> {
        self.finishing = true;
        self.pump(connections).map(|_| ())
    }

    fn meter(&mut self) -> &mut Meter {
        &mut self.meter
    }
}
