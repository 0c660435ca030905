//! A shard, its members and a store under virtual time, in which the input decides what happens next: whatever happens in whatever order, every member gets every
//! message that was committed from its start on, once, in order.

use std::cell::RefCell;
use std::collections::{HashMap, VecDeque};
use std::net::SocketAddr;
use std::rc::Rc;
use std::time::Duration;

use serde_json::Value;

use crate::rooms::journal::{
    Durability, From, Opened, Page, PageRequest, RecordBatch, Retention, RoomId, Stored,
};
use crate::rooms::log::{Slice, Window};
use crate::rooms::{
    Answer, Command, Effect, Format, Join, MemberKey, Notices, OnLag, Peer, Reader, RoomKey, RoomLimits,
    Sent, SessionKey, Shard, Span, Start, Timestamp, Why,
};

/// Decisions, taken from the input; without end they would all be the first choice.
struct Dice<'d>(&'d [u8]);

impl Dice<'_> {
    fn below(&mut self, n: u64) -> u64 {
        let Some((bytes, rest)) = self.0.split_first_chunk::<2>() else {
            self.0 = &[];
            return 0;
        };
        self.0 = rest;
        u64::from(u16::from_le_bytes(*bytes)) % n
    }
}

#[derive(Debug, Default)]
struct Inbox {
    bytes: Vec<u8>,
    /// Bytes taken before it blocks.
    budget: usize,
    blocked: bool,
}

#[derive(Clone, Debug, Default)]
struct Socket(Rc<RefCell<Inbox>>);

impl Peer for Socket {
    fn send(&self, slice: &Slice<'_>) -> Sent {
        let mut inbox = self.0.borrow_mut();
        assert!(!inbox.blocked, "sent to although it is blocked");
        let written = inbox.budget.min(slice.bytes().len());
        inbox.budget -= written;
        if written == slice.bytes().len() {
            inbox.bytes.extend_from_slice(slice.bytes());
            return Sent::All;
        }
        let (frames, end) = slice.cut(written);
        inbox.bytes.extend_from_slice(&slice.bytes()[..end]);
        inbox.blocked = true;
        Sent::Blocked { frames }
    }

    fn reply(&self, frames: &[u8]) {
        self.0.borrow_mut().bytes.extend_from_slice(frames);
    }

    fn address(&self) -> Option<SocketAddr> {
        None
    }
}

impl Socket {
    /// The JSON objects received.
    fn messages(&self) -> Vec<Value> {
        let inbox = self.0.borrow();
        let (mut rest, mut messages) = (&inbox.bytes[..], Vec::new());
        while !rest.is_empty() {
            assert_eq!(rest[0], 0x81);
            let (header, len) = match rest[1] {
                126 => (4, usize::from(u16::from_be_bytes([rest[2], rest[3]]))),
                len => (2, usize::from(len)),
            };
            messages.push(
                serde_json::from_slice(&rest[header..header + len]).expect("a simulation that is sound"),
            );
            rest = &rest[header + len..];
        }
        messages
    }
}

#[derive(Default)]
struct Store {
    rooms: HashMap<Box<str>, (RoomId, u64)>,
    logs: HashMap<RoomId, Vec<Stored>>,
    batches: VecDeque<RecordBatch>,
    openings: VecDeque<(RoomKey, Box<str>)>,
    reads: VecDeque<(Reader, PageRequest)>,
    refused_term: Option<u32>,
}

impl Store {
    fn commit(&mut self, fails: bool) -> Option<Answer> {
        let batch = self.batches.pop_front()?;
        if self.refused_term.is_some_and(|term| batch.term <= term) {
            return Some(Answer::Refused);
        }
        if fails {
            self.refused_term = Some(batch.term);
            return Some(Answer::Refused);
        }
        let text = |span: Span| -> Box<str> {
            std::str::from_utf8(span.of(&batch.bytes)).expect("a simulation that is sound").into()
        };
        for record in &batch.records {
            let log = self.logs.get_mut(&record.room).expect("a simulation that is sound");
            assert_eq!(record.seq, log.len() as u64 + 1, "a hole in the log");
            assert!(log.last().is_none_or(|last| last.at < record.at));
            log.push(Stored {
                seq: record.seq,
                at: record.at,
                kind: record.kind,
                sender: text(record.sender),
                content: text(record.content),
                client_id: record.client_id.map(text),
            });
        }
        Some(Answer::Committed)
    }

    fn open(&mut self, window: Window) -> Option<Answer> {
        let (room, name) = self.openings.pop_front()?;
        let next = self.rooms.len() as i64 + 1;
        let (id, epoch) = *self.rooms.entry(name).or_insert((RoomId(next), 1000 + next as u64));
        let log = self.logs.entry(id).or_default();
        let recent: Vec<_> = log[log.len().saturating_sub(window.messages)..].to_vec();
        let recent_ids = log
            .iter()
            .filter_map(|stored| Some((stored.at, stored.client_id.clone()?, stored.seq)))
            .collect();
        let opened = Opened {
            id,
            epoch,
            head: log.len() as u64,
            tail: 1,
            last_at: log.last().map_or(Timestamp::default(), |last| last.at),
            recent,
            recent_ids,
            durability: Durability::Commit,
            retention: Retention::default(),
        };
        Some(Answer::Opened { room, opened: Ok(Box::new(opened)) })
    }

    fn read(&mut self) -> Option<Answer> {
        let (reader, request) = self.reads.pop_front()?;
        let log = &self.logs[&request.room];
        let start = match request.from {
            From::Seq(seq) => seq,
            From::Time(at) => log.iter().take_while(|stored| stored.at <= at).count() as u64,
            From::Last(count) => log.len() as u64 - count,
        };
        let messages = log.iter().skip(start as usize).take(request.messages_max.min(3)).cloned().collect();
        Some(Answer::Page {
            reader,
            page: Some(Page { messages, tail: 1, head: log.len() as u64, epoch: 0, start }),
        })
    }
}

struct Member {
    socket: Socket,
    room: usize,
    start: Start,
    here: bool,
    closed: Option<Why>,
}

struct World<'d> {
    dice: Dice<'d>,
    now: u64,
    shard: Shard<Socket>,
    store: Store,
    limits: RoomLimits,
    members: Vec<Member>,
    keys: Vec<Option<usize>>,
    published: u64,
}

const ROOMS: usize = 3;
/// Decisions beyond these change nothing.
const STEPS_MAX: usize = 4000;

fn room_name(room: usize) -> Box<str> {
    format!("room-{room}").into()
}

impl<'d> World<'d> {
    fn new(decisions: &'d [u8], on_lag: OnLag) -> World<'d> {
        let limits = RoomLimits {
            window: Window { messages: 5, bytes: 1 << 20 },
            on_lag,
            members: usize::MAX,
            rooms: 100,
            open_rooms: true,
            dedup_window: Duration::from_secs(1),
            notices: Notices::default(),
            store: Some(Durability::Commit),
        };
        World {
            dice: Dice(decisions),
            now: 1_000_000,
            shard: Shard::new(limits.clone(), 0, 1),
            store: Store::default(),
            limits,
            members: Vec::new(),
            keys: Vec::new(),
            published: 0,
        }
    }

    fn now(&mut self) -> Timestamp {
        self.now += self.dice.below(3);
        Timestamp::from_micros(self.now)
    }

    fn apply(&mut self, command: Command<Socket>, arena: &[u8]) {
        let now = self.now();
        self.shard.apply(command, arena, now);
    }

    fn step(&mut self) {
        match self.dice.below(100) {
            0..12 => self.join(),
            12..17 => self.leave(),
            17..50 => self.publish(),
            50..65 => self.resume(),
            65..80 => {
                let fails = self.dice.below(12) == 0;
                let answer = self.store.commit(fails);
                self.answer(answer);
            }
            80..86 => {
                let answer = self.store.open(self.limits.window);
                self.answer(answer);
            }
            86..93 => {
                let answer = self.store.read();
                self.answer(answer);
            }
            _ => self.shard_turn(),
        }
        if self.dice.below(3) == 0 {
            self.shard_turn();
        }
    }

    fn answer(&mut self, answer: Option<Answer>) {
        let now = self.now();
        if let Some(answer) = answer {
            self.shard.answer(answer, now);
        }
    }

    fn shard_turn(&mut self) {
        self.shard.pump(2);
        if let Some(batch) = self.shard.take_batch() {
            self.store.batches.push_back(batch);
        }
        let effects: Vec<_> = self.shard.take_effects().collect();
        for effect in effects {
            match effect {
                Effect::Open { room, name, .. } => self.store.openings.push_back((room, name)),
                Effect::Read { reader, request } => self.store.reads.push_back((reader, request)),
                Effect::Close(session, why) => {
                    let member = session.0 as usize;
                    self.members[member].closed = Some(why);
                    self.leave_member(member);
                }
                Effect::Passed => {}
            }
        }
    }

    fn join(&mut self) {
        let room = self.dice.below(ROOMS as u64) as usize;
        let head = self.committed(room).len() as u64;
        let start = match self.dice.below(4) {
            0 => Start::Live,
            1 => Start::Last(self.dice.below(20)),
            2 => Start::Since(Timestamp::from_micros(self.now - self.dice.below(400).min(self.now))),
            _ => Start::After { seq: self.dice.below(head + 1), epoch: None },
        };
        let socket = Socket::default();
        socket.0.borrow_mut().budget = self.dice.below(5000) as usize;
        let index = self.members.len();
        let key = self.keys.iter().position(Option::is_none).unwrap_or(self.keys.len());
        if key == self.keys.len() {
            self.keys.push(None);
        }
        self.keys[key] = Some(index);
        self.members.push(Member { socket: socket.clone(), room, start, here: true, closed: None });
        let join = Join {
            member: MemberKey(key as u32),
            session: SessionKey(index as u64),
            session_id: index as u128,
            room: room_name(room),
            format: Format::Chat,
            user: format!("user-{}", index % 7).into(),
            peer: socket,
            start,
            hello: self.dice.below(2) == 0,
        };
        self.apply(Command::Join(Box::new(join)), &[]);
    }

    fn any_key(&mut self) -> Option<usize> {
        let taken: Vec<_> = (0..self.keys.len()).filter(|key| self.keys[*key].is_some()).collect();
        (!taken.is_empty()).then(|| taken[self.dice.below(taken.len() as u64) as usize])
    }

    fn leave(&mut self) {
        if let Some(key) = self.any_key() {
            self.leave_member(self.keys[key].expect("a simulation that is sound"));
        }
    }

    fn leave_member(&mut self, member: usize) {
        let Some(key) = self.keys.iter().position(|holder| *holder == Some(member)) else { return };
        self.keys[key] = None;
        self.members[member].here = false;
        self.apply(Command::Leave(MemberKey(key as u32)), &[]);
    }

    fn publish(&mut self) {
        let Some(key) = self.any_key() else { return };
        self.published += 1;
        let mut arena = Vec::new();
        let content = Span::store(&mut arena, format!("text {}", self.published).as_bytes())
            .expect("a simulation that is sound");
        let id = self.dice.below(self.published + 3);
        let client_id = id.is_multiple_of(3).then(|| {
            Span::store(&mut arena, format!("id-{id}").as_bytes()).expect("a simulation that is sound")
        });
        let publish = Command::Publish { member: MemberKey(key as u32), content, client_id, text: true };
        self.apply(publish, &arena);
    }

    fn resume(&mut self) {
        if let Some(key) = self.any_key() {
            let budget = self.dice.below(3000) as usize;
            self.resume_key(key, budget);
        }
    }

    fn resume_key(&mut self, key: usize, budget: usize) {
        let member = &self.members[self.keys[key].expect("a simulation that is sound")];
        let was_blocked = {
            let mut inbox = member.socket.0.borrow_mut();
            inbox.budget = budget;
            std::mem::take(&mut inbox.blocked)
        };
        if was_blocked {
            self.apply(Command::Resume(MemberKey(key as u32)), &[]);
        }
    }

    /// Lets everything end that is under way.
    fn settle(&mut self) {
        for _ in 0..10_000 {
            self.shard_turn();
            while let Some(answer) = self.store.open(self.limits.window) {
                self.answer(Some(answer));
            }
            while let Some(answer) = self.store.commit(false) {
                self.answer(Some(answer));
            }
            while let Some(answer) = self.store.read() {
                self.answer(Some(answer));
            }
            for key in 0..self.keys.len() {
                if self.keys[key].is_some() {
                    self.resume_key(key, usize::MAX);
                }
            }
            let store_rests = self.store.batches.is_empty() && self.store.reads.is_empty();
            if !self.shard.pump(usize::MAX) && store_rests && self.shard.stats().unstored == 0 {
                self.shard_turn();
                if self.store.batches.is_empty() && self.store.reads.is_empty() {
                    return;
                }
            }
        }
        assert!(self.store.batches.is_empty(), "never comes to rest");
        unreachable!("never comes to rest");
    }

    fn committed(&self, room: usize) -> &[Stored] {
        let id = self.store.rooms.get(&room_name(room)).map(|(id, _)| *id);
        id.and_then(|id| self.store.logs.get(&id)).map_or(&[], Vec::as_slice)
    }

    /// Every message that `member` was shown is the committed one, and none is missing that it has not been told of.
    fn check(&self, member: &Member, gaps_allowed: bool) {
        let log = self.committed(member.room);
        let mut next = match member.start {
            Start::After { seq, .. } => Some(seq + 1),
            Start::Live | Start::Last(_) | Start::Since(_) => None,
        };
        for message in member.socket.messages() {
            match message["type"].as_str().expect("a simulation that is sound") {
                "WELCOME" | "ERROR" => continue,
                "GAP" => {
                    assert!(gaps_allowed, "a gap for {:?}: {message}", member.start);
                    let from = message["from"].as_u64().expect("a simulation that is sound");
                    assert_eq!(*next.get_or_insert(from), from, "{message}");
                    next = Some(message["to"].as_u64().expect("a simulation that is sound") + 1);
                }
                _ => {
                    let seq = message["seq"].as_u64().expect("a simulation that is sound");
                    if let (Start::Since(at), None) = (member.start, next) {
                        // Messages that were numbered before that time and committed after the join are live.
                        let first = log.iter().find(|stored| stored.at > at).map(|stored| stored.seq);
                        assert!(
                            first.is_none_or(|first| seq <= first),
                            "{message} is not the first one after {at:?}"
                        );
                    }
                    assert_eq!(*next.get_or_insert(seq), seq, "{:?}: {message}", member.start);
                    next = Some(seq + 1);
                    let stored = &log[seq as usize - 1];
                    assert_eq!(message["content"], *stored.content);
                    assert_eq!(message["sender"], *stored.sender);
                }
            }
        }
        if member.here && member.closed.is_none() {
            assert_eq!(
                next.unwrap_or(log.len() as u64 + 1),
                log.len() as u64 + 1,
                "{:?} ends early",
                member.start
            );
        }
    }
}

fn run(decisions: &[u8], on_lag: OnLag) -> World<'_> {
    let mut world = World::new(decisions, on_lag);
    for _ in 0..STEPS_MAX {
        if world.dice.0.is_empty() {
            break;
        }
        world.step();
    }
    world.settle();
    for member in &world.members {
        world.check(member, on_lag != OnLag::CatchUp);
    }
    world
}

/// A shard with members and a store does what the input says. Oracle: the log of a plain store.
pub fn shard(input: &[u8]) {
    let Some((&first, decisions)) = input.split_first() else { return };
    let on_lag = [OnLag::CatchUp, OnLag::Gap, OnLag::Close][usize::from(first % 3)];
    run(decisions, on_lag);
}

#[cfg(test)]
mod tests {
    use super::super::SplitMix;
    use super::*;

    fn decisions(seed: u64) -> Vec<u8> {
        let mut random = SplitMix(seed);
        (0..8000).map(|_| u8::try_from(random.up_to(255)).unwrap()).collect()
    }

    #[test]
    fn with_a_store_nobody_misses_anything_whatever_happens() {
        let mut messages = 0;
        for seed in 0..20 {
            let decisions = decisions(seed);
            let world = run(&decisions, OnLag::CatchUp);
            messages += world.store.logs.values().map(Vec::len).sum::<usize>();
            assert!(world.members.iter().all(|member| member.closed.is_none()));
        }
        assert!(messages > 1_000, "only {messages} messages: the simulation sleeps");
    }

    #[test]
    fn members_that_are_left_behind_are_told_exactly_what_they_lost() {
        for seed in 0..10 {
            run(&decisions(seed), OnLag::Gap);
        }
    }

    #[test]
    fn members_that_lag_are_closed_where_that_is_the_rule() {
        let too_slow = |member: &&Member| member.closed == Some(Why::TooSlow);
        let closed = |seed| run(&decisions(seed), OnLag::Close).members.iter().filter(too_slow).count();
        assert!((0..12).map(closed).sum::<usize>() > 3);
    }

    #[test]
    fn one_client_id_is_one_message() {
        for seed in 20..28 {
            let decisions = decisions(seed);
            for log in run(&decisions, OnLag::CatchUp).store.logs.values() {
                let mut ids: Vec<_> = log.iter().filter_map(|stored| stored.client_id.clone()).collect();
                let all = ids.len();
                ids.sort_unstable();
                ids.dedup();
                assert_eq!(ids.len(), all);
            }
        }
    }
}
