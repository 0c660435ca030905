//! A shard: the rooms that one worker owns, who sits where in them, and whose turn it is to be pumped.

use std::collections::{HashMap, VecDeque};

use slab::Slab;

use super::bans::Bans;
use super::command::{
    Answer, Ask, Command, Effect, Format, Join, MemberKey, Online, OnlineSession, PostError, Reader, RoomKey,
    ShardStats, Span, Why,
};
use super::journal::{From, Opened, Page, PageRequest, RecordBatch};
use super::ledger::Ledger;
use super::member::{Member, Profile, State};
use super::message::{self, Kind};
use super::opening::Opening;
use super::peer::Peer;
use super::pump::Outcome;
use super::room::{Draft, Newcomer, Publisher, Room, RoomLimits};
use super::seats::{Seat, Seats};
use super::timestamp::Timestamp;

/// Members pumped before another room of the shard gets its turn.
const SLICE_MEMBERS: usize = 256;
/// Pages under way at a time; other members that read wait for one of these.
const PAGES_MAX: usize = 16;
const PAGE_MESSAGES: usize = 256;
const PAGE_BYTES: usize = 256 * 1024;
/// How long a room without members stays in memory, so that whoever lost the connection finds the window when he
/// comes back, in microseconds.
const LINGER_MICROS: u64 = 30_000_000;
/// Rooms without members that stay in memory at most.
const LINGERING_MAX: usize = 1024;

/// A room, or the wait for it.
#[derive(Debug)]
enum Entry<P> {
    Opening(Box<Opening<P>>),
    Open(Box<Room<P>>),
}

/// Members that read from the store.
#[derive(Debug, Default)]
struct Readers {
    waiting: VecDeque<Reader>,
    under_way: usize,
    /// Those whose position is still a time.
    since: HashMap<MemberKey, Timestamp>,
}

/// The rooms of one worker.
#[derive(Debug)]
pub struct Shard<P> {
    limits: RoomLimits,
    rooms: Slab<Entry<P>>,
    /// Room by name, for each format its own names.
    names: [HashMap<Box<str>, usize>; 2],
    seats: Seats,
    /// Rooms with members behind what is visible. Invariant: holds a room once at most ([`Room::queued`]).
    queue: VecDeque<usize>,
    /// Rooms that lost their last member, and when.
    idle: VecDeque<(RoomKey, Timestamp)>,
    readers: Readers,
    ledger: Ledger,
    bans: Bans,
    barriers: usize,
    openings: usize,
    /// Makes this shard's epochs differ from those of any other shard and process.
    epoch_seed: u64,
    rooms_opened: u64,
    members: usize,
    messages: u64,
    out: Outcome,
}

impl<P: Peer> Shard<P> {
    /// An empty shard, the `number`th. `epoch_seed` must be random: it is what makes an epoch unique.
    #[must_use]
    pub fn new(limits: RoomLimits, number: usize, epoch_seed: u64) -> Shard<P> {
        Shard {
            limits,
            rooms: Slab::new(),
            names: [HashMap::new(), HashMap::new()],
            seats: Seats::default(),
            queue: VecDeque::new(),
            idle: VecDeque::new(),
            readers: Readers::default(),
            ledger: Ledger::new(number),
            bans: Bans::default(),
            barriers: 0,
            openings: 0,
            epoch_seed,
            rooms_opened: 0,
            members: 0,
            messages: 0,
            out: Outcome::default(),
        }
    }

    /// What the shard holds.
    #[must_use]
    pub fn stats(&self) -> ShardStats {
        let (members, messages, unstored) = (self.members, self.messages, self.ledger.unstored());
        ShardStats { rooms: self.rooms.len(), members, messages, unstored }
    }

    /// Carries out one command whose spans lie in `arena`. Messages it appends wait for [`Shard::pump`], or for the
    /// store.
    pub fn apply(&mut self, command: Command<P>, arena: &[u8], now: Timestamp) {
        match command {
            Command::Join(join) => self.join(*join, now),
            Command::Leave(member) => self.leave(member, now),
            Command::Publish { member, content, client_id, text } => {
                self.publish(member, content, client_id, text, arena, now);
            }
            Command::Resume(member) => {
                if let Some((index, position)) = self.seats.place(member)
                    && let Entry::Open(room) = &mut self.rooms[index]
                {
                    room.resume(position, &self.limits, &mut self.out);
                }
            }
            Command::Ask(ask) => self.ask(*ask, now),
            Command::Barrier => self.barriers += 1,
        }
    }

    /// Takes an answer of the store.
    pub fn answer(&mut self, answer: Answer, now: Timestamp) {
        match answer {
            Answer::Opened { room, opened: Ok(opened) } => self.opened(room, &opened, now),
            Answer::Opened { room, opened: Err(why) } => self.not_opened(room, why),
            Answer::Committed => {
                for (key, seq) in self.ledger.committed() {
                    if let Some(room) = open_room(&mut self.rooms, key) {
                        room.commit(seq, &self.limits);
                        self.touch(key.index);
                    }
                }
            }
            Answer::Refused => self.roll_back(),
            Answer::Page { reader, page } => self.page(reader, page),
        }
    }

    /// The messages to be stored next, if there are any and the store has not too many of them already. Answered by
    /// [`Answer::Committed`] or [`Answer::Refused`], in order.
    pub fn take_batch(&mut self) -> Option<RecordBatch> {
        self.ledger.take_batch()
    }

    /// Whether so much waits for the store that no more should be published.
    #[must_use]
    pub fn is_behind(&self) -> bool {
        self.ledger.is_full()
    }

    /// What is to be done elsewhere since the last call.
    pub fn take_effects(&mut self) -> std::vec::Drain<'_, Effect> {
        self.out.effects.drain(..)
    }

    /// Sends what members still need, room by room in slices, to at most about `budget` members. True if there is
    /// more to do.
    pub fn pump(&mut self, budget: usize) -> bool {
        let mut left = budget;
        while let Some(index) = self.queue.pop_front() {
            let Some(Entry::Open(room)) = self.rooms.get_mut(index) else { continue };
            if !room.queued {
                continue;
            }
            if room.pump(SLICE_MEMBERS, &self.limits, &mut self.out) {
                room.queued = false;
            } else {
                self.queue.push_back(index);
            }
            left = left.saturating_sub(SLICE_MEMBERS.min(room.member_count()));
            if left == 0 {
                break;
            }
        }
        self.read_on();
        if self.barriers > 0 && self.queue.is_empty() && self.ledger.is_empty() && self.openings == 0 {
            self.out.effects.extend((0..std::mem::take(&mut self.barriers)).map(|_| Effect::Passed));
        }
        !self.queue.is_empty()
    }

    fn join(&mut self, join: Join<P>, now: Timestamp) {
        if self.bans.holds(&join.room, &join.user, now) {
            return self.out.effects.push(Effect::Close(join.session, Why::Kicked));
        }
        let Some(index) = self.find_room(&join.room, join.format, self.limits.open_rooms, now) else {
            return self.out.effects.push(Effect::Close(join.session, Why::TooManyRooms));
        };
        let room = match &mut self.rooms[index] {
            Entry::Open(room) => room,
            Entry::Opening(opening) => {
                self.seats.set(join.member, Seat::Waiting { room: index });
                return opening.waiting.push(Command::Join(Box::new(join)));
            }
        };
        let Join { member, session, session_id, user, peer, start, hello, .. } = join;
        if room.member_count() >= self.limits.members {
            self.seats.take(member);
            return self.out.effects.push(Effect::Close(session, Why::RoomFull));
        }
        let name = room.presence.enter(&user);
        let profile = Profile { user: name.clone(), session_id, joined_at: now };
        let newcomer = Newcomer { key: member, session, session_id, user: &user, peer, start, hello };
        let (position, since) = room.join(newcomer);
        if let Some(since) = since {
            self.readers.since.insert(member, since);
        }
        if room.members.get(position).is_some_and(|member| member.state == State::Reading) {
            self.readers.waiting.push_back(Reader { member, session });
        }
        self.members += 1;
        self.seats.set(member, Seat::Taken { room: index, position, profile });
        self.notify(index, Kind::Join, &name, now);
    }

    fn leave(&mut self, member: MemberKey, now: Timestamp) {
        let (index, position, profile) = match self.seats.take(member) {
            None => return,
            Some(Seat::Taken { room, position, profile }) => (room, position, profile),
            Some(Seat::Waiting { room }) => {
                let ghost = self.seats.new_ghost(Seat::Waiting { room });
                if let Entry::Opening(opening) = &mut self.rooms[room] {
                    opening.rename(member, ghost);
                }
                return;
            }
        };
        self.readers.since.remove(&member);
        let Entry::Open(room) = &mut self.rooms[index] else { return };
        self.members -= 1;
        if let Some(moved) = room.remove(position, &self.limits, &mut self.out) {
            self.seats.move_to(moved, position);
        }
        room.presence.exit(&profile.user);
        if room.member_count() == 0 {
            room.idle_since = now;
            self.idle.push_back((room.key, now));
        }
        self.notify(index, Kind::Leave, &profile.user, now);
        self.forget_idle(now);
    }

    fn publish(
        &mut self,
        member: MemberKey,
        content: Span,
        client_id: Option<Span>,
        text: bool,
        arena: &[u8],
        now: Timestamp,
    ) {
        let Some(seat) = self.seats.get(member) else { return };
        let index = seat.room();
        let content = content.of(arena);
        let room = match &mut self.rooms[index] {
            Entry::Open(room) => room,
            Entry::Opening(opening) => {
                let client_id = client_id.map(|id| id.of(arena));
                if !opening.hold_publish(member, content, client_id, text) {
                    opening.tell(member, "busy", "the room is being opened");
                }
                return;
            }
        };
        match room.format {
            Format::Relay => {
                room.append_relay(content, text, &self.limits, now);
                self.messages += 1;
                self.touch(index);
            }
            Format::Chat => {
                let Seat::Taken { profile, .. } = seat else { return };
                let Ok(content) = simdutf8::basic::from_utf8(content) else { return };
                let client_id = client_id.and_then(|id| simdutf8::basic::from_utf8(id.of(arena)).ok());
                if client_id.is_some_and(|id| room.published_as(id, &self.limits, now).is_some()) {
                    return;
                }
                let draft = Draft { kind: Kind::Message, sender: &profile.user, content, client_id };
                self.ledger.append(room, draft, Publisher::Member(member), &self.limits, now);
                self.messages += 1;
                self.touch(index);
            }
        }
    }

    fn ask(&mut self, ask: Ask, now: Timestamp) {
        match ask {
            Ask::Post { room, sender, content, client_id, reply } => {
                let Some(index) = self.find_room(&room, Format::Chat, false, now) else {
                    return reply.send(Err(PostError::Busy));
                };
                match &mut self.rooms[index] {
                    Entry::Opening(opening) => {
                        let ask = Ask::Post { room, sender, content, client_id, reply };
                        opening.waiting.push(Command::Ask(Box::new(ask)));
                    }
                    Entry::Open(room) => {
                        if let Some(id) = client_id.as_deref()
                            && let Some(seq) = room.published_as(id, &self.limits, now)
                        {
                            return room.answer_repeat(seq, reply);
                        }
                        let (kind, client_id) = (Kind::Message, client_id.as_deref());
                        let draft = Draft { kind, sender: &sender, content: &content, client_id };
                        self.ledger.append(room, draft, Publisher::Asker(reply), &self.limits, now);
                        self.messages += 1;
                        self.touch(index);
                    }
                }
            }
            Ask::Online { room, reply } => reply.send(self.online(&room)),
            Ask::Kick { room, user, ban, reply } => {
                if let Some(ban) = ban {
                    self.bans.add(&room, &user, now, ban);
                }
                reply.send(self.close_members(&room, Some(&user), Why::Kicked));
            }
            Ask::Close { room, reply } => {
                reply.send(self.close_members(&room, None, Why::RoomDeleted));
                self.disown(&room);
            }
            Ask::Stats { reply } => reply.send(self.stats()),
        }
    }

    fn online(&self, name: &str) -> Online {
        let Some(room) = self.open_chat(name) else { return Online::default() };
        let sessions = room.members.iter().filter_map(|member| {
            let Some(Seat::Taken { profile, .. }) = self.seats.get(member.key) else { return None };
            Some(OnlineSession {
                id: profile.session_id,
                user: profile.user.clone(),
                address: member.peer.address(),
                joined_at: profile.joined_at,
                lag: room.visible.saturating_sub(member.cursor),
            })
        });
        Online { users: room.presence.names(), sessions: sessions.collect() }
    }

    /// Has the sessions of a room (of one user, if named) closed; returns how many.
    fn close_members(&mut self, name: &str, user: Option<&str>, why: Why) -> usize {
        let Some(room) = self.open_chat(name) else { return 0 };
        let is_meant = |key| match self.seats.get(key) {
            Some(Seat::Taken { profile, .. }) => user.is_none_or(|user| *profile.user == *user),
            Some(Seat::Waiting { .. }) | None => false,
        };
        let meant = room.members.iter().filter(|member| is_meant(member.key));
        let closed: Vec<_> = meant.map(|member| Effect::Close(member.session, why)).collect();
        let count = closed.len();
        self.out.effects.extend(closed);
        count
    }

    /// The room was deleted: whoever asks for this name from now on means another one.
    fn disown(&mut self, name: &str) {
        let Some(index) = self.names[Format::Chat as usize].remove(name) else { return };
        if let Entry::Open(room) = &mut self.rooms[index] {
            room.disowned = true;
            if room.is_idle() {
                self.rooms.remove(index);
            }
        }
    }

    fn opened(&mut self, key: RoomKey, opened: &Opened, now: Timestamp) {
        let Some(entry) = self.rooms.get_mut(key.index) else { return };
        let Entry::Opening(opening) = entry else { return };
        if opening.key != key {
            return;
        }
        self.openings -= 1;
        let name = opening.name.clone();
        let mut room = Box::new(Room::restored(key, name, opened));
        room.idle_since = now;
        self.idle.push_back((key, now));
        let Entry::Opening(opening) = std::mem::replace(entry, Entry::Open(room)) else { return };
        let Opening { waiting, bytes, .. } = *opening;
        for command in waiting {
            self.apply(command, &bytes, now);
        }
    }

    fn not_opened(&mut self, key: RoomKey, why: Why) {
        if !matches!(self.rooms.get(key.index), Some(Entry::Opening(opening)) if opening.key == key) {
            return;
        }
        self.openings -= 1;
        let Entry::Opening(opening) = self.rooms.remove(key.index) else { return };
        self.names[Format::Chat as usize].remove(&opening.name);
        for command in opening.waiting {
            match command {
                Command::Join(join) => {
                    self.seats.take(join.member);
                    self.out.effects.push(Effect::Close(join.session, why));
                }
                Command::Ask(ask) => {
                    if let Ask::Post { reply, .. } = *ask {
                        let error = if why == Why::NoSuchRoom {
                            PostError::NoSuchRoom
                        } else {
                            PostError::Unavailable
                        };
                        reply.send(Err(error));
                    }
                }
                Command::Publish { .. } | Command::Leave(_) | Command::Resume(_) | Command::Barrier => {}
            }
        }
    }

    /// The store has refused: everything that was not committed is taken back, in all rooms.
    fn roll_back(&mut self) {
        let seats = &self.seats;
        for key in self.ledger.refused() {
            if let Some(room) = open_room(&mut self.rooms, key) {
                room.roll_back(|member| seats.place(member).map(|(_, position)| position));
            }
        }
    }

    fn page(&mut self, reader: Reader, page: Option<Page>) {
        self.readers.under_way = self.readers.under_way.saturating_sub(1);
        let Some((index, position)) = self.seats.place(reader.member) else { return };
        let Entry::Open(room) = &mut self.rooms[index] else { return };
        let is_same = |member: &Member<P>| member.session == reader.session && member.state == State::Reading;
        if !room.members.get(position).is_some_and(is_same) {
            return;
        }
        let exact = self.readers.since.remove(&reader.member).is_none();
        match page {
            Some(page) => room.turn_page(position, &page, exact, &self.limits, &mut self.out),
            None => {
                room.members[position].state = State::Gone;
                self.out.effects.push(Effect::Close(reader.session, Why::Unavailable));
            }
        }
    }

    /// Asks for the pages that members wait for, as many as may be under way.
    fn read_on(&mut self) {
        self.readers.waiting.extend(self.out.readers.drain(..));
        while self.readers.under_way < PAGES_MAX {
            let Some(reader) = self.readers.waiting.pop_front() else { return };
            let Some((index, position)) = self.seats.place(reader.member) else { continue };
            let Entry::Open(room) = &self.rooms[index] else { continue };
            let (Some(id), Some(seated)) = (room.stored_as, room.members.get(position)) else { continue };
            if seated.state != State::Reading || seated.session != reader.session {
                continue;
            }
            let from =
                self.readers.since.get(&reader.member).map_or(From::Seq(seated.cursor), |at| From::Time(*at));
            let (messages_max, bytes_max) = (PAGE_MESSAGES, PAGE_BYTES);
            let request =
                PageRequest { room: id, from, messages_max, bytes_max, newest_first: false, before: None };
            self.readers.under_way += 1;
            self.out.effects.push(Effect::Read { reader, request });
        }
    }

    /// The room of this name, opened if need be; `create`: also if nobody created it. `None` if there are too many.
    fn find_room(&mut self, name: &str, format: Format, create: bool, now: Timestamp) -> Option<usize> {
        if let Some(&index) = self.names[format as usize].get(name) {
            return Some(index);
        }
        if self.rooms.len() >= self.limits.rooms {
            self.forget_idle_but(0, now);
            if self.rooms.len() >= self.limits.rooms {
                return None;
            }
        }
        self.rooms_opened += 1;
        let key = RoomKey { index: self.rooms.vacant_key(), number: self.rooms_opened };
        let name: Box<str> = name.into();
        self.names[format as usize].insert(name.clone(), key.index);
        if self.limits.store.is_some() && format == Format::Chat {
            self.openings += 1;
            self.out.effects.push(Effect::Open { room: key, name: name.clone(), create });
            return Some(self.rooms.insert(Entry::Opening(Box::new(Opening::new(key, name)))));
        }
        let mut room = Room::new(key, name, format, epoch(self.epoch_seed, self.rooms_opened));
        room.idle_since = now;
        self.idle.push_back((key, now));
        Some(self.rooms.insert(Entry::Open(Box::new(room))))
    }

    fn open_chat(&self, name: &str) -> Option<&Room<P>> {
        match self.rooms.get(*self.names[Format::Chat as usize].get(name)?)? {
            Entry::Open(room) => Some(room),
            Entry::Opening(_) => None,
        }
    }

    /// Appends a notice to a chat room.
    fn notify(&mut self, index: usize, kind: Kind, user: &str, now: Timestamp) {
        if let Entry::Open(room) = &mut self.rooms[index]
            && room.format == Format::Chat
            && !room.disowned
        {
            let content = self.limits.notices.text(kind, user);
            let draft = Draft { kind, sender: message::SYSTEM_SENDER, content: &content, client_id: None };
            self.ledger.append(room, draft, Publisher::Nobody, &self.limits, now);
            self.messages += 1;
        }
        self.touch(index);
    }

    /// Puts a room with something new into the queue, or pumps it at once if it may not grow any further.
    fn touch(&mut self, index: usize) {
        let Entry::Open(room) = &mut self.rooms[index] else { return };
        if room.must_pump(&self.limits) {
            room.pump_all(&self.limits, &mut self.out);
        } else if !room.queued && room.is_due() {
            room.queued = true;
            self.queue.push_back(index);
        }
    }

    /// Forgets the rooms that have been without members for long, or are too many.
    fn forget_idle(&mut self, now: Timestamp) {
        self.forget_idle_but(LINGERING_MAX, now);
    }

    fn forget_idle_but(&mut self, kept_max: usize, now: Timestamp) {
        while let Some(&(key, since)) = self.idle.front() {
            if self.idle.len() <= kept_max && now.micros() < since.micros().saturating_add(LINGER_MICROS) {
                return;
            }
            self.idle.pop_front();
            let Some(room) = open_room(&mut self.rooms, key) else { continue };
            if !room.members.is_empty() || room.idle_since != since {
                continue;
            }
            if !room.is_idle() {
                // Its last messages are still on their way to the store.
                room.idle_since = now;
                self.idle.push_back((key, now));
                return;
            }
            if !room.disowned {
                self.names[room.format as usize].remove(&room.name);
            }
            self.rooms.remove(key.index);
        }
    }
}

fn open_room<P>(rooms: &mut Slab<Entry<P>>, key: RoomKey) -> Option<&mut Room<P>> {
    match rooms.get_mut(key.index)? {
        Entry::Open(room) if room.key == key => Some(room),
        Entry::Open(_) | Entry::Opening(_) => None,
    }
}

/// A number that no other log has: SplitMix64's finaliser over a random seed and a counter.
const fn epoch(seed: u64, counter: u64) -> u64 {
    let mut mixed = seed.wrapping_add(counter.wrapping_mul(0x9e37_79b9_7f4a_7c15));
    mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    mixed ^ (mixed >> 31)
}
