//! Publishers and members: the traffic of fan-out and echo.

use std::collections::VecDeque;
use std::time::Duration;

use super::clock::{Nanos, nanos};
use super::connections::{Connections, SILENCE_MAX, Traffic};
use super::delivery_checker::{DeliveryChecker, Faults};
use super::error::BenchError;
use super::meter::Meter;
use super::payload::{Mark, Template};
use super::payload_id::PROBE;
use super::payload_id::PayloadId;
use super::plan::{Pace, Plan, Rooms};
use super::work::Work;
use crate::ws::OpCode;

/// How often a room is probed until every member has answered.
const PROBE_EVERY: Duration = Duration::from_millis(100);
/// Messages under way in an open loop at most; a server that is so far behind will not catch up.
const OUTSTANDING_MAX: u64 = 1_000_000;
const KEY: [u8; 4] = [0x12, 0x9d, 0xe3, 0x47];

/// A message that not every member has yet.
#[derive(Clone, Copy, Debug)]
struct Flight {
    intended: Nanos,
    /// Members that do not have it.
    left: u32,
}

/// The messages of one publisher.
#[derive(Debug, Default)]
struct Publisher {
    /// The number of the first flight.
    first: u32,
    /// The number of the next message.
    next: u32,
    flights: VecDeque<Flight>,
    /// Messages that may be sent at once (closed loop).
    free: u32,
}

/// Everybody in every room.
pub(super) struct Flow {
    rooms: Rooms,
    /// The first of its connections, and what its publishers are counted from, if it is not alone.
    first_link: usize,
    first_publisher: u32,
    /// Members of a room that get messages.
    reading: u32,
    template: Template,
    room_of: Vec<u32>,
    publishers: Vec<Publisher>,
    checker: DeliveryChecker,
    meter: Meter,
    /// Publishers that may send something, each once.
    due: Vec<u32>,
    outstanding: u64,
    /// The number of the next message of an open loop, over all publishers, and when the loop began.
    scheduled: u64,
    began: Option<Nanos>,
    /// Members that have not heard a probe.
    unprobed: Vec<bool>,
    scratch: Vec<u8>,
}

impl Flow {
    pub(super) fn new(plan: &Plan, rooms: Rooms, opcode: OpCode) -> Flow {
        let members = rooms.rooms * rooms.members;
        let publishers = rooms.rooms * rooms.publishers;
        let window = match rooms.pace {
            Pace::Window(window) => window,
            Pace::Rate(_) => 0,
        };
        let publisher = || Publisher { free: window, ..Publisher::default() };
        let number = |n: usize| u32::try_from(n).unwrap_or(u32::MAX);
        Flow {
            rooms,
            first_link: 0,
            first_publisher: 0,
            reading: number(rooms.members - rooms.stalled),
            template: Template::new(plan.protocol.layout(), opcode, plan.size, KEY),
            room_of: (0..members).map(|member| number(member / rooms.members)).collect(),
            publishers: (0..publishers).map(|_| publisher()).collect(),
            checker: DeliveryChecker::new(members, rooms.publishers),
            meter: Meter::new(),
            due: if window > 0 { (0..number(publishers)).collect() } else { Vec::new() },
            outstanding: 0,
            scheduled: 0,
            began: None,
            unprobed: vec![true; members],
            scratch: Vec::new(),
        }
    }

    /// The same beside another one, whose connections come first.
    pub(super) fn behind(self, other: &Flow) -> Flow {
        let first_publisher = u32::try_from(other.publishers.len()).unwrap_or(PROBE);
        Flow { first_link: other.room_of.len(), first_publisher, ..self }
    }

    /// The first of its connections.
    pub(super) fn first_link(&self) -> usize {
        self.first_link
    }

    /// Messages sent from the first one on, measured or not.
    pub(super) fn published(&self) -> u64 {
        self.publishers.iter().map(|publisher| u64::from(publisher.next)).sum()
    }

    /// What it has counted.
    pub(super) fn counted(&self) -> &Meter {
        &self.meter
    }

    /// Stalls the members that are to be stalled.
    pub(super) fn stall(&mut self, connections: &mut Connections) -> Result<(), BenchError> {
        for member in 0..self.room_of.len() {
            if member % self.rooms.members >= self.reading as usize {
                let connection = connections.connection(self.first_link + member);
                connection.stall().map_err(|error| BenchError::System("stall a member", error))?;
            }
        }
        Ok(())
    }

    /// What has gone wrong, if nothing comes any more.
    pub(super) fn faults(&self) -> Faults {
        self.checker.faults(|member, publisher| {
            let reads = member % self.rooms.members < self.reading as usize;
            let room = self.room_of[member] as usize;
            reads.then(|| self.publishers[room * self.rooms.publishers + publisher].next)
        })
    }

    /// The connection that a publisher is.
    fn link_of(&self, publisher: usize) -> usize {
        let (room, publisher) = (publisher / self.rooms.publishers, publisher % self.rooms.publishers);
        self.first_link + room * self.rooms.members + publisher
    }

    /// Prepares the publisher's next message.
    fn id(&mut self, number: usize, intended: Nanos) -> PayloadId {
        let publisher = &mut self.publishers[number];
        publisher.flights.push_back(Flight { intended, left: self.reading });
        let of_all = u32::try_from(number).map_or(PROBE, |number| self.first_publisher + number);
        let id = PayloadId { publisher: of_all, number: publisher.next };
        publisher.next += 1;
        self.outstanding += 1;
        id
    }

    /// Sends what the windows allow; all messages of one publisher leave in one write.
    fn fill_windows(&mut self, connections: &mut Connections) -> Result<(), BenchError> {
        for number in std::mem::take(&mut self.due) {
            let number = number as usize;
            let now = connections.clock.now();
            self.scratch.clear();
            for _ in 0..std::mem::take(&mut self.publishers[number].free) {
                let id = self.id(number, now);
                let room = number / self.rooms.publishers;
                self.template.append(&mut self.scratch, room, id);
                self.meter.sent(now, now);
            }
            let connection = self.link_of(number);
            send(connections, connection, &self.scratch)?;
        }
        Ok(())
    }

    /// Sends what the schedule says; the time of the next message.
    fn keep_schedule(&mut self, rate: f64, connections: &mut Connections) -> Result<Nanos, BenchError> {
        let now = connections.clock.now();
        let began = *self.began.get_or_insert(now);
        loop {
            let intended = began + scheduled_at(self.scheduled, rate);
            let now = connections.clock.now();
            if intended > now || self.outstanding >= OUTSTANDING_MAX {
                return Ok(intended);
            }
            let publishers = self.publishers.len() as u64;
            let number = usize::try_from(self.scheduled % publishers).unwrap_or(0);
            self.scheduled += 1;
            let id = self.id(number, intended);
            self.scratch.clear();
            self.template.append(&mut self.scratch, number / self.rooms.publishers, id);
            self.meter.sent(intended, now);
            let connection = self.link_of(number);
            send(connections, connection, &self.scratch)?;
        }
    }
}

/// Traffic whose members have to join before it can begin.
pub(super) trait Joining: Traffic {
    /// Publishes once in each room in which a member has heard nothing yet. False if there is none.
    fn probe(&mut self, connections: &mut Connections) -> Result<bool, BenchError>;

    /// Grows with everything that comes.
    fn received(&self) -> u64;
}

/// Publishes in each room until every member has heard it, so that nobody misses the first message for having joined
/// too late.
pub(super) fn settle<J: Joining>(joining: &mut J, connections: &mut Connections) -> Result<(), BenchError> {
    let mut received_at = connections.clock.now();
    while joining.probe(connections)? {
        let mut until = connections.clock.now() + nanos(PROBE_EVERY);
        while connections.clock.now() < until {
            let received = joining.received();
            connections.turn(PROBE_EVERY, joining)?;
            if joining.received() > received {
                received_at = connections.clock.now();
                until = received_at + nanos(PROBE_EVERY);
            }
        }
        if connections.clock.now() - received_at > nanos(SILENCE_MAX) {
            return Err(BenchError::Silent("waiting for the members to join"));
        }
    }
    Ok(())
}

impl Joining for Flow {
    fn probe(&mut self, connections: &mut Connections) -> Result<bool, BenchError> {
        let mut any = false;
        for room in 0..self.rooms.rooms {
            let members = room * self.rooms.members..(room + 1) * self.rooms.members;
            if self.unprobed[members.clone()].contains(&true) {
                any = true;
                self.scratch.clear();
                self.template.append(&mut self.scratch, room, PayloadId { publisher: PROBE, number: 0 });
                send(connections, self.first_link + members.start, &self.scratch)?;
            }
        }
        Ok(any)
    }

    fn received(&self) -> u64 {
        self.meter.received
    }
}

/// When the n-th message of an open loop is due, in nanoseconds since the loop began.
#[expect(clippy::cast_possible_truncation, reason = "exact to the nanosecond for a hundred days")]
fn scheduled_at(number: u64, rate: f64) -> Nanos {
    (number as f64 * 1e9 / rate) as Nanos
}

fn send(connections: &mut Connections, connection: usize, frames: &[u8]) -> Result<(), BenchError> {
    let sent = connections.connection(connection).send(frames);
    sent.map_err(|error| BenchError::Lost { connection, how: super::error::Lost::Failed(error) })
}

impl Traffic for Flow {
    #[inline]
    fn message(&mut self, connection: usize, mark: Option<Mark>, now: Nanos) {
        let connection = connection - self.first_link;
        let Some(Mark::PayloadId(id)) = mark else {
            // A notice, or a greeting.
            self.meter.received += 1;
            return;
        };
        if id.publisher == PROBE {
            self.unprobed[connection] = false;
            self.meter.received += 1;
            return;
        }
        let id = PayloadId { publisher: id.publisher.wrapping_sub(self.first_publisher), ..id };
        let first_publisher = self.room_of[connection] as usize * self.rooms.publishers;
        if !self.checker.note(connection, first_publisher, id) {
            return;
        }
        let publisher = &mut self.publishers[id.publisher as usize];
        let Some(flight) = id
            .number
            .checked_sub(publisher.first)
            .and_then(|behind| publisher.flights.get_mut(behind as usize))
        else {
            return;
        };
        self.meter.delivered(flight.intended, now);
        flight.left -= 1;
        if flight.left > 0 {
            return;
        }
        self.meter.completed(flight.intended, now);
        self.outstanding -= 1;
        while publisher.flights.pop_front_if(|flight| flight.left == 0).is_some() {
            publisher.first += 1;
        }
        if let Pace::Window(_) = self.rooms.pace {
            if publisher.free == 0 {
                self.due.push(id.publisher);
            }
            publisher.free += 1;
        }
    }
}

impl Work for Flow {
    fn pump(&mut self, connections: &mut Connections) -> Result<Option<Nanos>, BenchError> {
        match self.rooms.pace {
            Pace::Window(_) => self.fill_windows(connections).map(|()| None),
            Pace::Rate(rate) => self.keep_schedule(rate, connections).map(Some),
        }
    }

    fn outstanding(&self) -> u64 {
        self.outstanding
    }

    fn is_hopeless(&self) -> bool {
        self.outstanding >= OUTSTANDING_MAX
    }

    fn meter(&mut self) -> &mut Meter {
        &mut self.meter
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::bench::plan::Wait;
    use crate::bench::plan::{Protocol, Workload};

    fn flow(rooms: Rooms) -> Flow {
        let plan = Plan {
            workload: Workload::Fanout(rooms),
            protocol: Protocol::Text,
            size: 16,
            warmup: Duration::ZERO,
            measure: Duration::ZERO,
            wait: Wait::Sleep,
            server: None,
            database: None,
        };
        Flow::new(&plan, rooms, OpCode::Text)
    }

    #[test]
    fn a_message_is_outstanding_until_every_reading_member_has_it() {
        let pace = Pace::Window(1);
        let mut flow = flow(Rooms { rooms: 2, members: 4, publishers: 2, stalled: 1, pace });
        assert_eq!(std::mem::take(&mut flow.due), [0, 1, 2, 3]);
        assert_eq!([0, 1, 2, 3].map(|publisher| flow.link_of(publisher)), [0, 1, 4, 5]);
        flow.publishers[3].free = 0;
        let id = flow.id(3, 0);
        for member in [6, 4] {
            flow.message(member, Some(Mark::PayloadId(id)), 10);
            assert_eq!((flow.outstanding, flow.due.len()), (1, 0));
        }
        flow.message(4, Some(Mark::PayloadId(id)), 10);
        assert_eq!(flow.outstanding, 1, "a repetition completes nothing");
        flow.message(5, Some(Mark::PayloadId(id)), 10);
        assert_eq!((flow.outstanding, &flow.due[..], flow.publishers[3].free), (0, &[3][..], 1));
        flow.message(0, Some(Mark::PayloadId(id)), 10);
        assert_eq!(flow.faults(), Faults { duplicate: 1, stray: 1, ..Faults::default() });
    }

    #[test]
    fn messages_that_overtake_each_other_keep_their_flights() {
        let mut flow = flow(Rooms { rooms: 1, members: 1, publishers: 1, stalled: 0, pace: Pace::Rate(1.0) });
        let stamps = [flow.id(0, 0), flow.id(0, 0), flow.id(0, 0)];
        flow.message(0, Some(Mark::PayloadId(stamps[1])), 1);
        assert_eq!((flow.outstanding, flow.publishers[0].first), (2, 0));
        assert_eq!(flow.faults(), Faults { missing: 2, ..Faults::default() });
        flow.message(0, Some(Mark::PayloadId(stamps[0])), 1);
        flow.message(0, Some(Mark::PayloadId(stamps[2])), 1);
        assert_eq!((flow.outstanding, flow.publishers[0].first), (0, 3));
        assert_eq!(flow.faults(), Faults { out_of_order: 1, ..Faults::default() });
    }

    #[test]
    fn probes_are_recognised_by_how_they_begin() {
        let letters = |publisher| PayloadId { publisher, number: 0 }.letters();
        assert!(letters(PROBE).starts_with(crate::bench::payload_id::PROBE_LETTERS.as_bytes()));
        assert!(!letters(PROBE - 1).starts_with(crate::bench::payload_id::PROBE_LETTERS.as_bytes()));
    }

    #[test]
    fn two_flows_share_a_fleet_and_notice_each_others_messages() {
        let first = flow(Rooms { rooms: 2, members: 3, publishers: 1, stalled: 0, pace: Pace::Window(1) });
        let rooms = Rooms { rooms: 1, members: 2, publishers: 1, stalled: 0, pace: Pace::Rate(1.0) };
        let mut second = flow(rooms).behind(&first);
        assert_eq!((second.first_link(), second.link_of(0)), (6, 6));
        let id = second.id(0, 0);
        assert_eq!(id.publisher, 2);
        second.message(6, Some(Mark::PayloadId(id)), 1);
        second.message(7, Some(Mark::PayloadId(PayloadId { publisher: 1, number: 0 })), 1);
        assert_eq!(second.faults(), Faults { stray: 1, missing: 1, ..Faults::default() });
    }

    #[test]
    fn the_schedule_does_not_drift() {
        assert_eq!(scheduled_at(3, 1.0), 3_000_000_000);
        assert_eq!(scheduled_at(1_000_000, 3.0), 333_333_333_333_333);
    }
}
