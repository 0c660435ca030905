//! A shard: the rooms that one worker owns, who sits where in them, and whose turn it is to be pumped.

use std::collections::{HashMap, HashSet, VecDeque};

use slab::Slab;

use super::catch_up::CatchUp;
use super::commits::{CommitOutcome, PendingCommits, StoredUpTo};
use super::epoch_reset::Refused;
use super::idle::Idle;
use super::member_index::{MemberIndex, MemberSlot};
use super::notices::{DelayedRooms, PresenceNotice};
use super::opening::Opening;
use super::polls::Polls;
use super::store_requests::StoreRequests;
use crate::metrics::Limit;
use crate::rooms::api::command::{
    Command, Effect, Fault, Format, Join, MemberKey, PostError, Reader, RejectReason, Reply, RoomKey,
    ShardStats, Span, StoreAnswer,
};
use crate::rooms::api::peer::Peer;
use crate::rooms::api::store::{RecordBatch, RoomId};
use crate::rooms::message::chat::Kind;
use crate::rooms::room::fanout::Outcome;
use crate::rooms::room::member::{MemberState, Profile};
use crate::rooms::room::members::BLOCK;
use crate::rooms::room::parallel::FanoutPool;
use crate::rooms::room::repeats::Publisher;
use crate::rooms::room::state::{Draft, Newcomer, Room, RoomLimits};
use crate::rooms::timestamp::Timestamp;

/// A room, or the wait for it.
#[derive(Debug)]
pub(super) enum RoomSlot<P> {
    Opening(Box<Opening<P>>),
    Open(Box<Room<P>>),
}

/// The rooms of one worker.
#[derive(Debug)]
pub struct Shard<P> {
    pub(super) limits: RoomLimits,
    pub(super) fanout_pool: Box<dyn FanoutPool<P>>,
    pub(super) rooms: Slab<RoomSlot<P>>,
    /// Room by name, for each format its own names.
    pub(super) names: [HashMap<Box<str>, usize>; 3],
    pub(super) member_index: MemberIndex,
    /// Rooms with members behind what is visible. Invariant: holds a room once at most ([`Room::queued`]).
    pub(super) queue: VecDeque<usize>,
    pub(super) idle: Idle,
    pub(super) requests: StoreRequests,
    pub(super) catch_up: CatchUp,
    pub(super) commits: PendingCommits,
    /// Rooms whose notices wait for the store.
    pub(super) delayed: DelayedRooms,
    pub(super) barriers: usize,
    /// Rooms that the store was asked for, or will be. Invariant: entries that are asked.
    pub(super) openings: usize,
    /// The latest `now` so far: what grew too old stays so, whatever the wall clock does.
    pub(super) clock: Timestamp,
    /// Names that readers wait at although there is no such room. Invariant: entries that are absent.
    pub(super) absent: usize,
    /// Makes this shard's epochs differ from those of any other shard and process.
    pub(super) epoch_seed: u64,
    pub(super) rooms_opened: u64,
    /// Stays that were announced so far.
    pub(super) stays: u64,
    pub(super) members: usize,
    pub(super) messages: u64,
    /// Logs that have begun a new epoch while their rooms were open.
    pub(super) resets: u64,
    /// When all invariants were looked at last.
    #[cfg(debug_assertions)]
    pub(super) checked_at: Timestamp,
    /// Rooms of which the store has said that they are damaged.
    pub(super) damaged: HashSet<RoomId>,
    pub(super) polls: Polls,
    pub(super) out: Outcome,
}

impl<P: Peer> Shard<P> {
    /// An empty shard, the `number`th, whose huge rooms `fanout_pool` helps to pump. `epoch_seed` must be random: it is what
    /// makes an epoch unique.
    #[must_use]
    pub fn new(
        limits: RoomLimits,
        number: usize,
        epoch_seed: u64,
        fanout_pool: Box<dyn FanoutPool<P>>,
    ) -> Shard<P> {
        Shard {
            limits,
            fanout_pool,
            rooms: Slab::new(),
            names: Default::default(),
            member_index: MemberIndex::default(),
            queue: VecDeque::new(),
            idle: Idle::default(),
            requests: StoreRequests::default(),
            catch_up: CatchUp::default(),
            commits: PendingCommits::new(number),
            delayed: DelayedRooms::default(),
            barriers: 0,
            openings: 0,
            clock: Timestamp::default(),
            absent: 0,
            epoch_seed,
            rooms_opened: 0,
            stays: 0,
            members: 0,
            messages: 0,
            resets: 0,
            #[cfg(debug_assertions)]
            checked_at: Timestamp::default(),
            damaged: HashSet::new(),
            polls: Polls::default(),
            out: Outcome::default(),
        }
    }

    /// What the shard holds. Looks at every member.
    #[must_use]
    pub fn stats(&self) -> ShardStats {
        let (members, messages, unstored) = (self.members, self.messages, self.commits.unstored());
        let (mut lag, mut lag_max) = (0_u64, 0);
        for (_, entry) in &self.rooms {
            let RoomSlot::Open(room) = entry else { continue };
            for behind in room.members.iter().map(|member| room.lag(member)) {
                lag = lag.saturating_add(behind);
                lag_max = behind.max(lag_max);
            }
        }
        let (rooms, openings) = (self.rooms.len() - self.absent, self.openings);
        ShardStats { rooms, openings, members, messages, unstored, lag, lag_max, resets: self.resets }
    }

    /// Messages that wait for the store.
    #[must_use]
    pub fn unstored(&self) -> usize {
        self.commits.unstored()
    }

    /// Carries out one command whose spans lie in `arena`. Messages it appends wait for [`Shard::pump`], or for the
    /// store.
    pub fn apply(&mut self, command: Command<P>, arena: &[u8], now: Timestamp) {
        self.clock = self.clock.max(now);
        match command {
            Command::Join(join) => self.join(*join, now),
            Command::Leave(member) => self.leave(member, now),
            Command::Publish { member, content, tag, text } => {
                self.publish(member, content, tag, text, arena, now);
            }
            Command::Resume(member) => {
                if let Some((index, position)) = self.member_index.place(member)
                    && let RoomSlot::Open(room) = &mut self.rooms[index]
                {
                    room.expire(self.clock);
                    room.resume(position, &self.limits, &mut self.out);
                }
            }
            Command::Tell(member, fault) => self.tell(member, &fault),
            Command::Request(ask) => self.ask(*ask, now),
            Command::After(member, reply) => self.answer_after(member, reply, now),
            Command::Barrier => self.barriers += 1,
        }
    }

    /// Answers once what the member has said before is done: at once, unless its room is still being opened.
    fn answer_after(&mut self, member: MemberKey, reply: Reply<()>, now: Timestamp) {
        if let Some(MemberSlot::Waiting { room } | MemberSlot::Left { room }) = self.member_index.get(member)
            && let Some(RoomSlot::Opening(opening)) = self.rooms.get(room.index)
            && opening.key == *room
            && opening.is_asked().is_some()
        {
            let index = room.index;
            return self.hold(index, Command::After(member, reply), now);
        }
        reply.send(());
    }

    /// Tells a member what is wrong with what it said. Between the messages, for what it is told has its time.
    fn tell(&self, member: MemberKey, fault: &Fault) {
        match self.member_index.get(member) {
            Some(MemberSlot::Waiting { room }) => {
                if let Some(RoomSlot::Opening(opening)) = self.rooms.get(room.index) {
                    opening.tell(member, fault);
                }
            }
            Some(MemberSlot::Joined { room, position, .. }) => {
                if let Some(RoomSlot::Open(room)) = self.rooms.get(*room)
                    && let Some(member) = room.members.get(*position)
                {
                    room.tell_error(member, fault);
                }
            }
            Some(MemberSlot::Left { .. }) | None => {}
        }
    }

    /// Takes an answer of the store.
    pub fn answer(&mut self, answer: StoreAnswer, now: Timestamp) {
        self.clock = self.clock.max(now);
        match answer {
            StoreAnswer::Opened { room, opened } if self.take_request(room) => {
                match opened {
                    Ok(opened) => self.opened(room, &opened, now),
                    Err(reason) => self.not_opened(room, reason, now),
                }
                self.make_requests();
            }
            StoreAnswer::Opened { .. } => {}
            StoreAnswer::Committed { refused } => {
                let CommitOutcome { stored, lost, refused_along } = self.commits.committed(&refused);
                for StoredUpTo { room: key, seq, .. } in stored {
                    if let Some(room) = open_room(&mut self.rooms, key) {
                        let member_index = &self.member_index;
                        room.commit(seq, &self.limits, |member| member_index.place_in(key.index, member));
                        self.touch(key.index);
                        self.notices_after_commit(key, now);
                    }
                }
                self.roll_back(lost, Refused::Sequential, now);
                self.roll_back(refused_along, Refused::Together, now);
            }
            StoreAnswer::Refused => {
                let lost = self.commits.refused();
                self.roll_back(lost, Refused::Together, now);
            }
            StoreAnswer::Page { reader, page } => self.page(reader, page, now),
            StoreAnswer::Damaged(id) => self.damaged(id),
        }
    }

    /// The messages to be stored next, if there are any and the store has not too many of them already. Answered by
    /// [`StoreAnswer::Committed`] or [`StoreAnswer::Refused`], in order.
    pub fn take_batch(&mut self) -> Option<RecordBatch> {
        self.commits.take_batch()
    }

    /// The batch that [`Shard::take_batch`] has just handed out comes back, for the store has no room for it now. Nothing
    /// may happen to the shard in between.
    pub fn put_back(&mut self, batch: RecordBatch) {
        self.commits.put_back(batch);
    }

    /// Whether so much waits for the store that no more should be published.
    #[must_use]
    pub fn is_behind(&self) -> bool {
        self.commits.is_full()
    }

    /// What is to be done elsewhere since the last call.
    pub fn take_effects(&mut self) -> std::vec::Drain<'_, Effect> {
        self.out.effects.drain(..)
    }

    /// Sends what members still need, room by room in slices, to at most `budget` members. True if there is
    /// more to do.
    pub fn pump(&mut self, budget: usize) -> bool {
        let mut left = budget;
        while let Some(index) = self.queue.pop_front() {
            let Some(RoomSlot::Open(room)) = self.rooms.get_mut(index) else { continue };
            if !room.queued {
                continue;
            }
            // A block before another room of the shard gets its turn; of a huge room, one for each pair of hands.
            let parallelism = if room.is_huge(&self.limits) { self.fanout_pool.parallelism() } else { 1 };
            let slice = BLOCK.min(left);
            if room.pump(slice * parallelism, &self.limits, &*self.fanout_pool, &mut self.out) {
                room.queued = false;
            } else {
                self.queue.push_back(index);
            }
            left -= slice.min(room.member_count());
            if left == 0 {
                break;
            }
        }
        self.read_on();
        if self.barriers > 0 && self.queue.is_empty() && self.commits.is_empty() && self.openings == 0 {
            self.out.effects.extend((0..std::mem::take(&mut self.barriers)).map(|_| Effect::Passed));
        }
        !self.queue.is_empty()
    }

    fn join(&mut self, join: Join<P>, now: Timestamp) {
        if self.limits.bounds.bans.holds(&join.room, &join.user) {
            return self.turn_away(join, RejectReason::Banned);
        }
        // A relay is in memory alone: one that is not there and an empty one are the same.
        let creates = join.creates || join.format != Format::Chat;
        let index = match self.find_room(&join.room, join.format, creates, now) {
            Ok(index) => index,
            Err(reason) => return self.turn_away(join, reason),
        };
        let stay = self.new_stay();
        let room = match &mut self.rooms[index] {
            RoomSlot::Open(room) => room,
            RoomSlot::Opening(_) => return self.hold(index, Command::Join(Box::new(join)), now),
        };
        if room.damaged {
            return self.turn_away(join, RejectReason::Unavailable);
        }
        if room.member_count() >= self.limits.bounds.members() {
            self.limits.bounds.hit(Limit::MembersPerRoom);
            return self.turn_away(join, RejectReason::RoomFull);
        }
        room.expire(self.clock);
        let Join { member: key, session, session_id, user, peer, start, welcome, variant, .. } = join;
        let Join { announced, encoding, reply, .. } = join;
        let name = if announced { room.presence.enter(&user) } else { user.as_ref().into() };
        let is_noticed = announced && room.member_count() < self.limits.notices.members_max;
        let stay = is_noticed.then_some(stay);
        let profile =
            Profile { user: name.clone(), session_id, joined_at: now, announced, stay, expelled: false };
        let newcomer =
            Newcomer { key, session, session_id, user: &user, peer, start, welcome, variant, encoding };
        let (position, since) = room.join(newcomer);
        if let Some(reply) = reply
            && !reply.deliver(Ok(room.position()))
        {
            self.out.effects.push(Effect::Close(session, RejectReason::HandlerFailed));
        }
        if room.encoded.has_failed(key) {
            room.fail(position, &mut self.out);
        }
        if let Some(since) = since {
            self.catch_up.begin_since(key, since);
        }
        if room.members.get(position).is_some_and(|member| member.state == MemberState::Reading) {
            let reader = Reader { room: room.key, member: key, session, number: 0 };
            self.catch_up.waiting.push_back(reader);
        }
        self.members += 1;
        self.member_index.set(key, MemberSlot::Joined { room: index, position, profile });
        if let Some(stay) = stay {
            self.notify(index, PresenceNotice { kind: Kind::Join, stay, username: name }, now);
        } else {
            self.touch(index);
        }
    }

    /// A newcomer has no place here, and waits for none any more.
    pub(super) fn turn_away(&mut self, join: Join<P>, reason: RejectReason) {
        self.member_index.take(join.member);
        let has_left = MemberIndex::is_orphan(join.member);
        let reason = match join.reply {
            Some(reply) => {
                if reply.deliver(Err(reason)) {
                    return;
                }
                RejectReason::HandlerFailed
            }
            // Its session has left this room long ago, and may be in others.
            None if has_left => return,
            None => reason,
        };
        self.out.effects.push(Effect::Close(join.session, reason));
    }

    fn leave(&mut self, member: MemberKey, now: Timestamp) {
        let (index, position, profile) = match self.member_index.take(member) {
            None | Some(MemberSlot::Left { .. }) => return,
            Some(MemberSlot::Joined { room, position, profile }) => (room, position, profile),
            Some(MemberSlot::Waiting { room }) => return self.leave_waiting(member, room, now),
        };
        self.catch_up.forget(member);
        let RoomSlot::Open(room) = &mut self.rooms[index] else { return };
        self.members -= 1;
        if let Some(moved) = room.remove(position, &self.limits, &mut self.out) {
            self.member_index.move_to(moved, position);
        }
        if profile.announced {
            room.presence.exit(&profile.user);
        }
        if room.member_count() == 0 {
            room.idle_since = now;
            self.idle.push(room.key, now);
        }
        if let Some(stay) = profile.stay {
            let notice = PresenceNotice { kind: Kind::Leave, stay, username: profile.user };
            self.notify(index, notice, now);
        }
        self.forget_if_deleted(index);
        self.forget_idle(now);
    }

    fn publish(
        &mut self,
        member: MemberKey,
        content: Span,
        tag: Option<Span>,
        text: bool,
        arena: &[u8],
        now: Timestamp,
    ) {
        let (index, slot) = match self.member_index.get(member) {
            Some(MemberSlot::Waiting { room }) => (room.index, None),
            Some(slot @ MemberSlot::Joined { room, .. }) => (*room, Some(slot)),
            Some(MemberSlot::Left { .. }) | None => return,
        };
        let content = content.of(arena);
        let room = match &mut self.rooms[index] {
            RoomSlot::Open(room) => room,
            RoomSlot::Opening(opening) => {
                let tag = tag.map(|tag| tag.of(arena));
                if !opening.hold_publish((member, content, tag, text), now, &self.limits.bounds) {
                    return opening.tell(member, &PostError::Busy.fault(tag));
                }
                // Of a reader that waits at a room that is not there: it brings the room into being.
                return self.advance(index, now);
            }
        };
        match room.format {
            Format::Relay | Format::Conflated => {
                let key = tag.map(|tag| tag.of(arena));
                room.append_relay(content, text, key, &self.limits, now);
                self.messages += 1;
                self.touch(index);
            }
            Format::Chat => {
                let Some(MemberSlot::Joined { profile, position, .. }) = slot else { return };
                // Its session is being closed, and what is said here is kept nowhere.
                if room.deleted {
                    return;
                }
                // One whose session merely ends has said what was read before; one who was thrown out has not.
                if profile.expelled {
                    return;
                }
                let Some(session) = room.members.get(*position).map(|seated| seated.session) else { return };
                let Ok(content) = simdutf8::basic::from_utf8(content) else { return };
                let client_id = tag.and_then(|id| simdutf8::basic::from_utf8(id.of(arena)).ok());
                let client_id = client_id.filter(|id| !id.is_empty());
                // A name that is none is shared by strangers, and so would be its ids.
                let id_session = profile.user.is_empty().then_some(profile.session_id);
                let (kind, sender) = (Kind::Message, &*profile.user);
                let draft = Draft { kind, sender, content, client_id, id_session, presence: None };
                let publisher = Publisher::Member { key: member, session };
                if let Some(first) = room.earlier(&draft, &self.limits, now) {
                    let place = |member| self.member_index.place_in(index, member);
                    return room.answer_repeat(first, &draft, publisher, place);
                }
                if room.is_closed() {
                    let place = |member| self.member_index.place_in(index, member);
                    room.answer_failed(publisher, PostError::Unavailable, client_id, place);
                    return self.retry_reset(index, now);
                }
                self.commits.append(room, draft, publisher, &self.limits, now);
                self.messages += 1;
                self.touch(index);
                self.retry_reset(index, now);
            }
        }
    }

    /// The store has refused these rooms: everything in them that was not committed is taken back. What was shown already,
    /// in `async` rooms, is lost to the store.
    fn roll_back(&mut self, lost: Vec<RoomKey>, refused: Refused, now: Timestamp) {
        for key in lost {
            let member_index = &self.member_index;
            if let Some(room) = open_room(&mut self.rooms, key) {
                room.roll_back(|member| member_index.place_in(key.index, member));
            }
            self.put_off_notices(key, now);
            self.break_link(key, refused, now);
        }
    }

    /// Puts a room with something new into the queue, or pumps it at once if it may not grow any further.
    pub(super) fn touch(&mut self, index: usize) {
        let RoomSlot::Open(room) = &mut self.rooms[index] else { return };
        if room.must_pump(&self.limits) {
            room.pump_all(&self.limits, &*self.fanout_pool, &mut self.out);
        } else if !room.queued && room.is_due() {
            room.queued = true;
            self.queue.push_back(index);
        }
    }
}

/// The room of this key, unless it was forgotten.
pub(super) fn open_room<P>(rooms: &mut Slab<RoomSlot<P>>, key: RoomKey) -> Option<&mut Room<P>> {
    match rooms.get_mut(key.index)? {
        RoomSlot::Open(room) if room.key == key => Some(room),
        RoomSlot::Open(_) | RoomSlot::Opening(_) => None,
    }
}
