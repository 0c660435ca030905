//! Members that are cut off all at one moment, miss something, and come back all at one moment.
//!
//! Each room has a keeper, a connection that stays: it publishes, and what it hears tells how long the log is. A
//! member has recovered once it has every message up to the one that was the newest when the storm began.

use super::clock::{Nanos, nanos};
use super::connections::{Connections, SILENCE_MAX, Traffic};
use super::delivery_checker::{DeliveryChecker, Faults};
use super::entry::Entry;
use super::error::BenchError;
use super::meter::Meter;
use super::payload::{Mark, Template};
use super::payload_id::PayloadId;
use super::phases::{PATIENCE, PROGRESS_EVERY};
use super::plan::{Plan, Returning};
use super::progress::Progress;
use super::report::{Report, Setting};
use super::scraper::Scraper;
use super::setup::Setup;
use super::usage::Reading;
use super::usage::Used;
use crate::ws::OpCode;

/// Asks for a greeting, which tells the position.
const HELLO: &str = "&hello=1";
const KEY: [u8; 4] = [0x3e, 0x51, 0xc8, 0x96];
/// Messages that a keeper publishes at one time.
const BURST: u32 = 64;
/// Messages of each room that its members have got before they are cut off, at least.
const BEFORE: u32 = 8;

/// What is known of a room.
#[derive(Clone, Copy, Debug, Default)]
struct Log {
    epoch: u64,
    /// The number of the newest message that the keeper has heard.
    head: u64,
    /// What the newest message was when the keeper was greeted.
    joined_after: Option<u64>,
    /// Messages published by the keeper.
    published: u32,
}

/// Everybody in every room: the keepers first, then the members, room by room.
pub(super) struct Recovery {
    returning: Returning,
    template: Template,
    logs: Vec<Log>,
    /// What each member waits for. A member that was not greeted yet waits for nothing.
    checker: DeliveryChecker,
    greeted: Vec<bool>,
    faults: Faults,
    /// In the storm: what was the newest message of each room when it began.
    goals: Vec<u64>,
    back: Vec<bool>,
    back_count: usize,
    began: Nanos,
    meter: Meter,
}

impl Recovery {
    fn new(plan: &Plan, returning: Returning) -> Recovery {
        let members = returning.rooms * returning.members;
        Recovery {
            returning,
            template: Template::new(plan.layout(), OpCode::Text, plan.size, KEY),
            logs: vec![Log::default(); returning.rooms],
            checker: DeliveryChecker::new(members, 1),
            greeted: vec![false; members],
            faults: Faults::default(),
            goals: Vec::new(),
            back: vec![false; members],
            back_count: 0,
            began: 0,
            meter: Meter::new(),
        }
    }

    fn room_of(&self, member: usize) -> usize {
        member / self.returning.members
    }

    /// A keeper hears a message; the next one that it hears must follow.
    fn keep(&mut self, room: usize, seq: u64, id: Option<PayloadId>) {
        let log = &mut self.logs[room];
        match seq.checked_sub(log.head + 1) {
            Some(0) => {}
            Some(missing) => self.faults.missing += missing,
            None => return self.faults.duplicate += 1,
        }
        log.head = seq;
        self.faults.stray += u64::from(is_stray(room, id));
    }

    /// A member hears a message.
    fn note(&mut self, member: usize, seq: u64, id: Option<PayloadId>, now: Nanos) {
        let room = self.room_of(member);
        if is_stray(room, id) {
            return self.faults.stray += 1;
        }
        self.checker.note(member, 0, PayloadId { publisher: 0, number: number(seq) });
        let goal = self.goals.get(room).copied().unwrap_or(u64::MAX);
        if !self.back[member] && u64::from(self.checker.expected(member)) > goal {
            self.back[member] = true;
            self.back_count += 1;
            self.meter.delivered(self.began, now);
        }
    }

    /// Whether all keepers are in their rooms.
    fn is_greeted(&self) -> bool {
        self.logs.iter().all(|log| log.joined_after.is_some())
    }

    /// Whether the keepers have heard as much as `heads` says for each room.
    fn is_kept(&self, heads: &[u64]) -> bool {
        self.logs.iter().zip(heads).all(|(log, &head)| log.head >= head)
    }

    /// Whether they have, and all members have everything that their keepers have.
    fn is_level(&self, heads: &[u64]) -> bool {
        self.is_kept(heads)
            && (0..self.greeted.len()).all(|member| {
                let head = self.logs[self.room_of(member)].head;
                self.greeted[member] && u64::from(self.checker.expected(member)) == head + 1
            })
    }

    fn heads(&self, more: u64) -> Vec<u64> {
        self.logs.iter().map(|log| log.head + more).collect()
    }

    /// Publishes in every room.
    fn publish(&mut self, connections: &mut Connections, count: u32) -> Result<(), BenchError> {
        let mut frames = Vec::new();
        for (room, log) in self.logs.iter_mut().enumerate() {
            frames.clear();
            for _ in 0..count {
                self.template.append(
                    &mut frames,
                    room,
                    PayloadId { publisher: number(room as u64), number: log.published },
                );
                log.published += 1;
            }
            let lost = |error| BenchError::Lost { connection: room, how: super::error::Lost::Failed(error) };
            connections.connection(room).send(&frames).map_err(lost)?;
        }
        Ok(())
    }

    /// What each member asks for when it comes back.
    fn positions(&self) -> Vec<u64> {
        let behind = u64::from(self.returning.behind);
        let last = (0..self.greeted.len()).map(|member| u64::from(self.checker.expected(member)) - 1);
        last.map(|last| last.saturating_sub(behind)).collect()
    }
}

/// Whether a message comes from another room than the one it is heard in.
fn is_stray(room: usize, id: Option<PayloadId>) -> bool {
    id.is_some_and(|id| id.publisher as usize != room)
}

/// No run has as many messages or rooms as would not fit.
fn number(value: u64) -> u32 {
    u32::try_from(value).unwrap_or(u32::MAX)
}

impl Traffic for Recovery {
    fn message(&mut self, connection: usize, mark: Option<Mark>, now: Nanos) {
        self.meter.received += 1;
        let Some(Mark::Entry(entry)) = mark else { return };
        match (entry, connection.checked_sub(self.returning.rooms)) {
            (Entry::Gap, _) => self.faults.gap += 1,
            (Entry::Welcome { epoch, seq }, None) => {
                self.logs[connection] = Log { epoch, head: seq, joined_after: Some(seq), published: 0 };
            }
            (Entry::Welcome { seq, .. }, Some(member)) => {
                self.greeted[member] = true;
                self.checker.expect(member, number(seq + 1));
            }
            (Entry::Message { seq, id }, None) => self.keep(connection, seq, id),
            (Entry::Message { seq, id }, Some(member)) => self.note(member, seq, id, now),
        }
    }
}

/// The whole run.
pub(super) fn run(
    plan: &Plan,
    returning: Returning,
    mut opening: Setup,
    connections: &mut Connections,
    progress: &mut dyn FnMut(Progress),
) -> Result<Report, BenchError> {
    let mut recovery = Recovery::new(plan, returning);
    let Returning { rooms, members, missed, behind } = returning;
    // A keeper's name differs from those of the members.
    connections.open(rooms, |target, room| target.path(room, members) + HELLO, &mut recovery, |_| ())?;
    wait(connections, &mut recovery, "waiting for a greeting", Recovery::is_greeted)?;
    // Everybody's coming is a message, the keeper's own among them.
    let after = recovery.logs.iter().map(|log| log.joined_after.unwrap_or(0));
    let joined: Vec<u64> = after.map(|seq| seq + 1 + members as u64).collect();
    let place = |connection: usize| ((connection - rooms) / members, (connection - rooms) % members);
    opening.open(connections, rooms * members, place, HELLO, &mut recovery, progress)?;
    progress(Progress::WarmingUp);
    wait(connections, &mut recovery, "waiting for the members to join", |recovery| {
        recovery.is_level(&joined)
    })?;
    publish(connections, &mut recovery, behind.max(BEFORE), Recovery::is_level)?;
    let setting = opening.finish(connections);

    let positions = recovery.positions();
    connections.cut(rooms)?;
    let left = recovery.heads(members as u64);
    wait(connections, &mut recovery, "waiting for the members to leave", |recovery| recovery.is_kept(&left))?;
    publish(connections, &mut recovery, missed, Recovery::is_kept)?;
    let used = storm(plan, &mut recovery, &positions, connections, progress)?;
    progress(Progress::Draining);
    let joined = recovery.goals.iter().map(|goal| goal + members as u64).collect::<Vec<_>>();
    // If it does not come to that, the faults tell.
    let _level = wait(connections, &mut recovery, "", |recovery| recovery.is_level(&joined));
    Ok(recovery.report(setting, connections.faults(), used))
}

/// All come back; ends when all are, or nothing comes any more.
fn storm(
    plan: &Plan,
    recovery: &mut Recovery,
    positions: &[u64],
    connections: &mut Connections,
    progress: &mut dyn FnMut(Progress),
) -> Result<Used, BenchError> {
    let (rooms, members, of) = (recovery.returning.rooms, recovery.returning.members, positions.len());
    recovery.goals = recovery.heads(0);
    for (member, &position) in positions.iter().enumerate() {
        recovery.checker.expect(member, number(position + 1));
    }
    let epochs: Vec<u64> = recovery.logs.iter().map(|log| log.epoch).collect();
    let before = Reading::take(plan, connections, 0);
    let scraper = connections.scraper();
    let began = connections.clock.now();
    recovery.began = began;
    recovery.meter.begin(began);
    positions.iter().for_each(|_| recovery.meter.sent(began, began));
    let path = |target: &super::target::Target, connection: usize| {
        let member = connection - rooms;
        let (room, position) = (member / members, positions[member]);
        let path = target.path(room, member % members);
        format!("{path}&sinceSeq={position}&epoch={:016x}", epochs[room])
    };
    connections.open(of, path, recovery, |opened| progress(Progress::Connecting { opened, of }))?;
    let (mut now, mut progress_at) = (connections.clock.now(), 0);
    let (mut received, mut received_at, mut stuck) = (recovery.meter.received, now, false);
    while recovery.back_count < of && !stuck {
        connections.turn(PROGRESS_EVERY, recovery)?;
        now = connections.clock.now();
        recovery.meter.tick(now);
        if recovery.meter.received != received {
            (received, received_at) = (recovery.meter.received, now);
        }
        stuck = now - received_at > nanos(PATIENCE);
        if now >= progress_at {
            progress(Progress::Recovering { back: recovery.back_count, of });
            progress_at = now + nanos(PROGRESS_EVERY);
        }
    }
    recovery.meter.end(now);
    let inside = scraper.map(Scraper::end);
    Ok(Used { stuck, inside, ..Reading::take(plan, connections, 0).since(&before) })
}

impl Recovery {
    fn report(&self, setting: Setting, garbled: Faults, used: Used) -> Report {
        let heads = |member: usize| number(self.logs[self.room_of(member)].head + 1);
        let faults = self.faults.and(garbled).and(self.checker.faults(|member, _| Some(heads(member))));
        Report::new(setting, &self.meter, faults, used)
    }
}

/// Lets the loop run until `done`.
fn wait(
    connections: &mut Connections,
    recovery: &mut Recovery,
    stage: &'static str,
    done: impl Fn(&Recovery) -> bool,
) -> Result<(), BenchError> {
    let (mut received, mut received_at) = (recovery.meter.received, connections.clock.now());
    while !done(recovery) {
        connections.turn(PROGRESS_EVERY, recovery)?;
        let now = connections.clock.now();
        if recovery.meter.received != received {
            (received, received_at) = (recovery.meter.received, now);
        }
        if now - received_at > nanos(SILENCE_MAX) {
            return Err(BenchError::Silent(stage));
        }
    }
    Ok(())
}

/// Publishes `count` messages in every room; `done` says, given the numbers that they lead to, when the next ones may
/// follow.
fn publish(
    connections: &mut Connections,
    recovery: &mut Recovery,
    mut count: u32,
    done: impl Fn(&Recovery, &[u64]) -> bool,
) -> Result<(), BenchError> {
    while count > 0 {
        let burst = count.min(BURST);
        let heads = recovery.heads(u64::from(burst));
        recovery.publish(connections, burst)?;
        wait(connections, recovery, "waiting for messages", |recovery| done(recovery, &heads))?;
        count -= burst;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::bench::plan::Wait;
    use crate::bench::plan::{Protocol, Workload};

    /// One room, whose two members are in the storm: the keeper has heard up to 10, they had up to 4 and 5.
    fn storm() -> Recovery {
        let returning = Returning { rooms: 1, members: 2, missed: 3, behind: 0 };
        let plan = Plan {
            workload: Workload::Recovery(returning),
            protocol: Protocol::Chat,
            size: 16,
            warmup: Duration::ZERO,
            measure: Duration::ZERO,
            wait: Wait::Sleep,
            server: None,
            database: None,
        };
        let mut recovery = Recovery::new(&plan, returning);
        hear(&mut recovery, 0, Entry::Welcome { epoch: 7, seq: 0 });
        for (connection, seq) in [(1, 4), (2, 5)] {
            hear(&mut recovery, connection, Entry::Welcome { epoch: 7, seq });
        }
        (1..=10).for_each(|seq| hear(&mut recovery, 0, Entry::Message { seq, id: None }));
        recovery.goals = recovery.heads(0);
        recovery.meter.begin(0);
        recovery
    }

    fn hear(recovery: &mut Recovery, connection: usize, entry: Entry) {
        recovery.message(connection, Some(Mark::Entry(entry)), 1);
    }

    fn faults(recovery: &Recovery) -> Faults {
        let head = number(recovery.logs[0].head + 1);
        recovery.faults.and(recovery.checker.faults(|_, _| Some(head)))
    }

    #[test]
    fn a_member_is_back_once_it_has_everything_up_to_the_beginning_of_the_storm() {
        let mut recovery = storm();
        assert_eq!((recovery.positions(), &recovery.goals[..]), (vec![4, 5], &[10][..]));
        for seq in 5..=9 {
            hear(&mut recovery, 1, Entry::Message { seq, id: None });
        }
        assert_eq!((recovery.back_count, faults(&recovery).missing), (0, 6));
        for seq in 6..=10 {
            hear(&mut recovery, 2, Entry::Message { seq, id: None });
        }
        assert_eq!(recovery.back, [false, true]);
        assert!(!recovery.is_level(&[10]));
        hear(&mut recovery, 1, Entry::Message { seq: 10, id: None });
        assert!(recovery.is_level(&[10]) && !recovery.is_level(&[11]));
        assert!(recovery.back_count == 2 && faults(&recovery).is_none());
    }

    #[test]
    fn what_was_had_before_what_is_left_out_and_what_is_foreign_are_faults() {
        let mut recovery = storm();
        let foreign = Some(PayloadId { publisher: 1, number: 0 });
        hear(&mut recovery, 1, Entry::Message { seq: 4, id: None });
        hear(&mut recovery, 1, Entry::Message { seq: 5, id: foreign });
        hear(&mut recovery, 1, Entry::Message { seq: 6, id: None });
        (7..=10).for_each(|seq| hear(&mut recovery, 1, Entry::Message { seq, id: None }));
        hear(&mut recovery, 2, Entry::Gap);
        (6..=10).for_each(|seq| hear(&mut recovery, 2, Entry::Message { seq, id: None }));
        let expected = Faults { missing: 1, duplicate: 1, stray: 1, gap: 1, ..Faults::default() };
        assert_eq!(faults(&recovery), expected);
    }
}
