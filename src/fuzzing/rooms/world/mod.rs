//! A shard with scripted peers and a scripted store, against what each room's log should be.
//!
//! | file | subject |
//! |---|---|
//! | this one | the world, and what its members do |
//! | `events` | what happens to rooms as a whole, and what comes without a member |

mod events;

use std::collections::VecDeque;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use super::Numbers;
use super::encoding::Detour;
use super::member::{ExpectedNotice, Member, Position};
use super::peer::ScriptedPeer;
use super::poller::Poller;
use super::room::{Draft, Room};
use super::store::{ScriptedStore, Verdict};
use crate::rooms::log::Window;
use crate::rooms::store_api::Durability;
use crate::rooms::{
    Arena, BlockSize, Bounds, Command, Encoding, FanoutJob, FanoutPool, Format, Join, Joined, MemberKey,
    Notices, OnLag, Publication, RejectReason, Reply, RoomLimits, SessionEffect, SessionKey, Shard, Start,
    StoreAnswer, StoreRequest, TextSpan, Timestamp, Variant,
};
use crate::ws::deflate::{Deflate, Level, WindowBits};

/// Enough members for slices and swaps, few enough for short inputs to reach all.
const MEMBERS_MAX: usize = 24;
const ROOMS: [(&str, Format); 4] =
    [("a", Format::Chat), ("b", Format::Chat), ("a", Format::Conflated), ("a", Format::Relay)];

/// Three pairs of hands that do everything in another order.
#[derive(Debug)]
struct Backwards;

impl FanoutPool<ScriptedPeer> for Backwards {
    fn parallelism(&self) -> usize {
        3
    }

    fn run(&self, mut jobs: Vec<FanoutJob<ScriptedPeer>>) -> Vec<FanoutJob<ScriptedPeer>> {
        jobs.reverse();
        jobs.iter_mut().for_each(FanoutJob::run);
        jobs
    }
}

struct World {
    shard: Shard<ScriptedPeer>,
    limits: RoomLimits,
    store: ScriptedStore,
    rooms: Vec<Room>,
    members: Vec<Member>,
    /// One for each chat room.
    pollers: [Poller; 2],
    /// Keys of members that have left, and their sessions: both may be used again.
    free_keys: Vec<(MemberKey, SessionKey)>,
    keys: u32,
    sessions: u64,
    contents: u64,
    now: Timestamp,
    /// Something may have been lost from the store.
    lossy: bool,
    passed: usize,
    /// Messages that were posted without a member, and how many of them were answered.
    posts: usize,
    posts_answered: Arc<AtomicUsize>,
    /// What the shard wants done and was not done yet.
    effects: VecDeque<SessionEffect>,
}

/// Joins, publishes, leaves, slow peers, a store that is slow and fails; whatever happens, every member gets every
/// message from where it began, in order and once, or is told exactly which ones it does not get.
pub fn shard(input: &[u8]) {
    let mut numbers = Numbers(input);
    let mut world = World::new(numbers.next());
    while !numbers.is_empty() {
        world.step(&mut numbers);
        world.settle();
    }
    world.end();
}

impl World {
    fn new(options: u8) -> World {
        let window = if options & 4 == 0 {
            Window { messages: 3, bytes: 1 << 20 }
        } else {
            Window { messages: 100, bytes: 900 }
        };
        let limits = RoomLimits {
            window,
            on_lag: [OnLag::CatchUp, OnLag::CatchUp, OnLag::Gap, OnLag::Close][usize::from(options >> 6)],
            bounds: Arc::new(Bounds::new(1)),
            // A few members fill several blocks.
            block_size: BlockSize::new(4),
            parallel_members: if options & 32 == 0 { usize::MAX } else { 6 },
            open_rooms: true,
            dedup_window: Duration::from_secs(1_000_000),
            notices: Notices::default(),
            store: (options & 1 == 0).then_some(if options & 8 == 0 {
                Durability::Commit
            } else {
                Durability::Async
            }),
            deflate: Deflate { level: Level::FASTEST, threshold_bytes: 200, window: WindowBits::MAX },
        };
        World {
            shard: Shard::new(limits.clone(), 0, 7, Box::new(Backwards)),
            store: ScriptedStore::new(limits.store.unwrap_or_default()),
            limits,
            rooms: ROOMS.into_iter().map(|(name, format)| Room::new(name, format)).collect(),
            members: Vec::new(),
            pollers: Default::default(),
            free_keys: Vec::new(),
            keys: 0,
            sessions: 0,
            contents: 0,
            now: Timestamp::from_micros(1_000_000),
            lossy: false,
            passed: 0,
            posts: 0,
            posts_answered: Arc::default(),
            effects: VecDeque::new(),
        }
    }

    fn step(&mut self, numbers: &mut Numbers<'_>) {
        let (operation, choice) = (numbers.next() % 24, numbers.next());
        let member = usize::from(choice).checked_rem(self.members.len());
        match (operation, member) {
            (0..=2, _) if self.members.len() < MEMBERS_MAX => self.join(choice, numbers),
            (3, Some(member)) => self.leave(member),
            (4..=8, Some(member)) => self.publish(member, numbers),
            (9, Some(member)) => self.drain(member, usize::from(numbers.next()) * 40),
            (10, Some(member)) => self.drain(member, usize::MAX / 2),
            (11..=12, _) => drop(self.shard.pump(usize::from(choice % 16))),
            (13, _) => {
                let micros = if choice >= 245 { 40_000_000 } else { u64::from(choice) };
                self.pass_time(Duration::from_micros(micros));
            }
            (14..=15, _) => drop(self.answer_opening()),
            (16..=17, _) => drop(self.answer_batch()),
            (18, _) => drop(self.answer_read()),
            (19, _) if choice < 64 => self.store.failing = true,
            (19, _) if choice < 80 && self.limits.store.is_some() => {
                let index = usize::from(choice % 2);
                let stored = self.store.room(ROOMS[index].0);
                stored.tail = stored.tail.max(stored.head().saturating_sub(2));
                self.rooms[index].kept_from = stored.tail;
                self.lossy = true;
            }
            (19, _) if choice < 96 => self.refuse_opening(),
            (19, _) if choice < 112 => self.overtake_opening(),
            (19, _) if choice < 160 => self.delete_while_opening(choice.is_multiple_of(2)),
            (19, _) if choice < 224 => self.look(choice),
            (22, _) => self.post(choice, numbers),
            (23, Some(member)) if choice < 128 => self.kick(member),
            (23, _) if choice < 160 => self.delete(usize::from(choice % 2)),
            (20, _) => self.poll(choice),
            (21, _) => self.take_polls(true),
            _ => {}
        }
    }

    /// Polls a room that is open and stays so: what a reader makes of others, other tests see.
    fn poll(&mut self, choice: u8) {
        let index = usize::from(choice % 2);
        let is_open = self.rooms[index].waiting.is_none();
        if is_open
            && self.members.iter().any(|member| member.room == index)
            && let Some(ask) = self.pollers[index].ask(self.rooms[index].name, choice)
        {
            self.apply(Command::Request(Box::new(ask)), &Arena::default());
        }
    }

    fn take_polls(&mut self, reads: bool) {
        for (poller, room) in self.pollers.iter_mut().zip(&self.rooms) {
            poller.take(room, &self.store, reads);
            assert!(self.limits.store.is_none() || self.lossy || poller.gaps == 0);
        }
    }

    fn join(&mut self, choice: u8, numbers: &mut Numbers<'_>) {
        let index = usize::from(choice % 4);
        let (name, format) = ROOMS[index];
        self.sessions += 1;
        let new_session = SessionKey(self.sessions);
        let (key, old_session) = self.free_keys.pop().unwrap_or_else(|| {
            self.keys += 1;
            (MemberKey(self.keys - 1), new_session)
        });
        let session = if self.sessions.is_multiple_of(2) { new_session } else { old_session };
        let room = &self.rooms[index];
        let start = self.start(index, choice >> 2, numbers);
        let position = match format {
            Format::Chat => Position::Outside,
            Format::Relay | Format::Conflated => Position::At(room.log.len() as u64 + 1),
        };
        let member = Member {
            room: index,
            key,
            session,
            user: format!("u{}", self.sessions),
            peer: ScriptedPeer::default(),
            start,
            position,
            newest_at: Timestamp::default(),
            generation: 0,
            gaps: 0,
            lost: 0,
            joined_at: Arc::default(),
            head_then: room.log.len() as u64,
        };
        member.peer.drain(usize::from(numbers.next()) * 100);
        let encoding = |label| Some(Arc::new(Detour { label }) as Arc<dyn Encoding>);
        let (variant, encoding) = match self.sessions % 6 {
            0 | 1 => (Variant::Plain, None),
            2 | 3 => (Variant::Deflated, None),
            4 => (Variant::Encoded, encoding(b"")),
            _ if self.sessions.is_multiple_of(5) => (Variant::Encoded, encoding(b"five")),
            _ => (Variant::Encoded, encoding(b"other")),
        };
        if variant == Variant::Deflated {
            member.peer.inflate();
        }
        let join = Join {
            member: key,
            session: member.session,
            session_id: self.sessions.into(),
            room: name.into(),
            format,
            user: member.user.as_str().into(),
            peer: member.peer.clone(),
            start,
            welcome: format == Format::Chat,
            variant,
            announced: true,
            creates: true,
            encoding,
            reply: (format != Format::Chat).then(|| {
                let joined_at = member.joined_at.clone();
                Reply::new(move |joined: Result<Joined, RejectReason>| {
                    joined_at.set(joined.expect("relays take everybody").seq).expect("one answer");
                })
            }),
        };
        let notice = ExpectedNotice::Join(member.user.clone());
        self.members.push(member);
        self.apply(Command::Join(Box::new(join)), &Arena::default());
        if self.limits.store.is_none() && format == Format::Chat {
            self.note_epoch(index);
        }
        self.notice(index, notice);
    }

    /// Where a newcomer begins.
    fn start(&self, index: usize, choice: u8, numbers: &mut Numbers<'_>) -> Start {
        match (self.rooms[index].format, choice, u64::from(numbers.next())) {
            (Format::Relay | Format::Conflated, _, _) => Start::Live,
            (_, 0..=15, _) => Start::Live,
            (_, 16..=31, seq) => Start::After { seq, epoch: None },
            (_, 32..=39, seq) => Start::After { seq, epoch: Some(self.rooms[index].epoch) },
            (_, 40..=43, seq) => Start::After { seq, epoch: Some(1) },
            (_, 44..=55, back) => {
                Start::Since(Timestamp::from_micros(self.now.micros().saturating_sub(back)))
            }
            (_, _, count) => Start::Last(count % 16),
        }
    }

    /// A room in memory that was forgotten meanwhile begins anew. The newcomer's WELCOME tells.
    fn note_epoch(&mut self, index: usize) {
        let epoch = self.shard_epoch(index);
        if epoch != self.rooms[index].epoch {
            assert_eq!(self.members.iter().filter(|member| member.room == index).count(), 1);
            self.rooms[index].begin(epoch);
        }
    }

    fn shard_epoch(&self, index: usize) -> u64 {
        let peek = self.members.last().expect("the newcomer").peer.peek_frame();
        let welcome: serde_json::Value = serde_json::from_slice(&peek.expect("a WELCOME")).expect("JSON");
        assert_eq!(welcome["roomId"], self.rooms[index].name);
        let epoch = welcome["epoch"].as_str().expect("an epoch");
        u64::from_str_radix(epoch, 16).expect("a number")
    }

    fn leave(&mut self, index: usize) {
        let mut member = self.members.swap_remove(index);
        member.read(&self.rooms[member.room]);
        member.peer.close();
        self.free_keys.push((member.key, member.session));
        self.apply(Command::Leave(member.key), &Arena::default());
        self.notice(member.room, ExpectedNotice::Leave(member.user));
    }

    fn publish(&mut self, index: usize, numbers: &mut Numbers<'_>) {
        self.contents += 1;
        let (padding, id) = (numbers.next(), numbers.next());
        let content = format!("m{}{}", self.contents, ".".repeat(padding.into()));
        let client_id = (id < 100).then(|| format!("id{}", id % 16));
        let mut arena = Arena::default();
        let span = TextSpan::store(&mut arena.text, &content).expect("it fits");
        let id_span = client_id.as_ref().and_then(|id| TextSpan::store(&mut arena.text, id));
        let (key, room) = (self.members[index].key, self.members[index].room);
        let of = |format| client_id.clone().filter(|_| self.rooms[room].format == format);
        let (client_id, key_of_value) = (of(Format::Chat), of(Format::Conflated));
        let user = self.members[index].user.clone();
        let client_id = client_id.map(|id| (user.clone(), id));
        self.apply(
            Command::Publish { member: key, message: Publication::Text { content: span, id: id_span } },
            &arena,
        );
        self.rooms[room]
            .append(Draft { user, content, client_id, key: key_of_value, notice: None }, self.now);
    }

    fn notice(&mut self, index: usize, notice: ExpectedNotice) {
        if self.rooms[index].format == Format::Chat {
            self.rooms[index].append(notice.draft(), self.now);
        }
    }

    fn pass_time(&mut self, time: Duration) {
        self.now = self.now.later_by(time);
        let now = self.now;
        self.shard.tick(now);
        for room in self.rooms.iter_mut().filter(|room| room.again_at.is_some_and(|at| at <= now)) {
            room.append_delayed(now);
        }
    }

    fn drain(&mut self, index: usize, room: usize) {
        if self.members[index].peer.drain(room) {
            let key = self.members[index].key;
            self.apply(Command::Resume(key), &Arena::default());
        }
    }

    fn apply(&mut self, command: Command<ScriptedPeer>, arena: &Arena) {
        self.shard.apply(command, arena, self.now);
        // A session that goes because of what was said goes after it.
        self.effects.extend(self.shard.take_session_effects());
        self.take_requests();
    }

    /// Does what the shard wants done, and looks at what everybody was sent.
    fn settle(&mut self) {
        self.shard.check();
        self.effects.extend(self.shard.take_session_effects());
        while let Some(effect) = self.effects.pop_front() {
            self.note(effect);
        }
        self.take_requests();
        while let Some(batch) = self.shard.take_batch() {
            assert!(self.limits.store.is_some() && !batch.records.is_empty());
            self.store.batches.push_back(batch);
        }
        self.take_polls(false);
        for member in &mut self.members {
            let room = &self.rooms[member.room];
            member.read(room);
            let spared = self.limits.store.is_some() && self.limits.on_lag == OnLag::CatchUp;
            assert!(!spared || self.lossy || room.format != Format::Chat || member.gaps == 0);
        }
    }

    /// Hands to the store what the shard asks of it.
    fn take_requests(&mut self) {
        for request in self.shard.take_store_requests().collect::<Vec<_>>() {
            match request {
                StoreRequest::Open { room, name, create } => {
                    // It may be asked for again: what it has waited for stays.
                    let opening = self.rooms.iter_mut().find(|room| room.name == &*name);
                    let waiting = opening.expect("a room of ours").waiting.get_or_insert_default();
                    assert!(create || waiting.is_empty(), "who says something there may create it");
                    self.store.openings.push_back((room, name, None));
                }
                StoreRequest::ResetEpoch { room, name, id } => {
                    assert_eq!(self.store.durability, Durability::Async);
                    self.store.openings.push_back((room, name, Some(id)));
                }
                StoreRequest::Read { reader, room, request } => {
                    self.store.reads.push_back((reader, room, request));
                }
            }
        }
    }

    fn note(&mut self, effect: SessionEffect) {
        match effect {
            // All that wait for a room are sent away, those of one session one by one; nobody hears of them.
            SessionEffect::Close(session, RejectReason::Unavailable) => self.part(|world, member| {
                let is_refused = world.rooms[member.room].waiting.is_none();
                member.session == session && member.position == Position::Outside && is_refused
            }),
            SessionEffect::Close(session, RejectReason::RoomDeleted) => {
                self.part(|world, member| {
                    let is_chat = world.rooms[member.room].format == Format::Chat;
                    member.session == session && is_chat
                });
            }
            SessionEffect::Close(session, RejectReason::Kicked) if self.is_waiting(session) => {
                self.part(|_, member| member.session == session);
            }
            SessionEffect::Close(session, _) => {
                let index = self.members.iter().position(|member| member.session == session);
                self.leave(index.expect("a member is closed once"));
            }
            SessionEffect::Passed => self.passed += 1,
        }
    }

    /// Whether this session waits for a room.
    fn is_waiting(&self, session: SessionKey) -> bool {
        let member = self.members.iter().find(|member| member.session == session);
        member.is_some_and(|member| self.rooms[member.room].waiting.is_some())
    }

    /// A member goes, and nobody hears of it.
    fn part(&mut self, is_meant: impl Fn(&World, &Member) -> bool) {
        let index = self.members.iter().position(|member| is_meant(self, member));
        let member = self.members.swap_remove(index.expect("a member is closed once"));
        self.free_keys.push((member.key, member.session));
        self.apply(Command::Leave(member.key), &Arena::default());
    }

    fn answer_opening(&mut self) -> bool {
        let Some((name, answer)) = self.store.open(self.limits.window) else { return false };
        if matches!(answer, StoreAnswer::Opened { opened: Err(_), .. }) {
            // A log that could not begin anew.
            self.shard.answer(answer, self.now);
            return true;
        }
        let stored = self.store.room(&name);
        let room = self.rooms.iter_mut().find(|room| room.name == &*name).expect("a room of ours");
        let is_prefix = stored
            .messages
            .iter()
            .zip(&room.log)
            .all(|(stored, shown)| (&*stored.content, stored.at) == (&*shown.content, shown.at));
        assert!(is_prefix, "what is stored is not what was shown");
        if room.waiting.is_none() {
            if stored.epoch != room.epoch {
                room.renew(stored.epoch, stored.head());
                // Who left in the log that ended leaves in this one, too.
                for stay in &stored.stays {
                    let is_there = |member: &Member| member.user == *stay.username;
                    if !self.members.iter().any(is_there) {
                        room.append(ExpectedNotice::Leave(stay.username.as_ref().into()).draft(), self.now);
                    }
                }
            }
            self.shard.answer(answer, self.now);
            return true;
        }
        room.epoch = stored.epoch;
        assert!(stored.stays.is_empty(), "a room was forgotten before all LEAVEs were stored");
        assert_eq!(room.log.len(), stored.messages.len(), "a room was forgotten before it was stored");
        room.last_at = stored.messages.last().map_or(Timestamp::default(), |last| last.at);
        for draft in room.waiting.take().unwrap_or_default() {
            room.append(draft, self.now);
        }
        self.shard.answer(answer, self.now);
        true
    }

    fn answer_batch(&mut self) -> bool {
        let Some((verdict, taken, answer)) = self.store.commit() else { return false };
        if verdict == Verdict::Failed {
            for room in self.rooms.iter_mut().filter(|room| room.format == Format::Chat) {
                if self.store.durability == Durability::Commit {
                    let head = self.store.room(room.name).head();
                    room.roll_back(head, self.now);
                } else {
                    (room.torn, self.lossy) = (true, true);
                }
            }
        }
        for room in self.rooms.iter_mut().filter(|room| room.format == Format::Chat) {
            if taken.iter().any(|name| **name == *room.name) {
                room.pause = 0;
                room.append_delayed(self.now);
            }
        }
        self.shard.answer(answer, self.now);
        true
    }

    fn answer_read(&mut self) -> bool {
        let Some(answer) = self.store.read() else { return false };
        self.shard.answer(answer, self.now);
        true
    }

    /// Lets everything come to rest: nobody may wait for anything then.
    fn end(&mut self) {
        self.apply(Command::Barrier, &Arena::default());
        let mut quiet = 0;
        for _ in 0..100_000 {
            let mut busy = self.shard.pump(5);
            self.settle();
            busy |= self.answer_opening() | self.answer_batch() | self.answer_read();
            self.settle();
            for index in 0..self.members.len() {
                if let Some(member) = self.members.get(index)
                    && member.peer.drain(usize::MAX / 2)
                {
                    busy = true;
                    let key = member.key;
                    self.apply(Command::Resume(key), &Arena::default());
                }
            }
            self.settle();
            if !busy && self.rooms.iter().any(|room| !room.delayed.is_empty()) {
                busy = true;
                self.pass_time(Duration::from_secs(1));
                self.settle();
            }
            quiet = if busy { 0 } else { quiet + 1 };
            if quiet > 3 {
                break;
            }
        }
        assert!(quiet > 3, "the shard never comes to rest");
        assert_eq!(self.posts_answered.load(Ordering::Relaxed), self.posts, "every post is answered once");
        assert_eq!(self.passed, 1, "the barrier is passed once everything is done");
        for member in &self.members {
            let room = &self.rooms[member.room];
            let (_, log) = room.generation(member.generation);
            assert!(
                member.is_complete(log) && member.generation == room.past.len(),
                "{} is left at {:?} of {}",
                member.user,
                member.position,
                log.len()
            );
        }
        self.check_presence();
        let stats = self.shard.stats();
        assert_eq!((stats.members, stats.unstored, stats.lag), (self.members.len(), 0, 0));
    }

    /// Everybody who came and left has exactly one JOIN and one LEAVE; only what the store lost of an `async` room is not
    /// said twice.
    fn check_presence(&mut self) {
        if self.store.durability == Durability::Async {
            return;
        }
        for (index, room) in self.rooms.iter().enumerate().filter(|(_, room)| room.format == Format::Chat) {
            let members = self.members.iter().filter(|member| member.room == index);
            let mut there: Vec<&String> = members.map(|member| &member.user).collect();
            let mut present = room.present();
            there.sort();
            present.sort();
            assert_eq!(present, there, "JOIN and LEAVE do not tell who is there");
            if self.limits.store.is_some() {
                let stays = &self.store.room(room.name).stays;
                let mut stays: Vec<&str> = stays.iter().map(|stay| &*stay.username).collect();
                stays.sort_unstable();
                assert_eq!(stays, there, "the store does not know who is there");
            }
        }
    }
}
