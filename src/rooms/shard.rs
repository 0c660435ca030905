//! A shard: the rooms that one worker owns, who sits where in them, and whose turn it is to be pumped.

use std::collections::{HashMap, VecDeque};
use std::sync::Arc;

use slab::Slab;

use super::command::{Command, Effect, Format, Join, MemberKey, Span};
use super::message::Kind;
use super::peer::Peer;
use super::room::{Newcomer, Room, RoomLimits};
use super::timestamp::Timestamp;

/// Members pumped before another room of the shard gets its turn.
const SLICE_MEMBERS: usize = 256;

/// Where a member is to be found.
#[derive(Debug)]
struct Seat {
    room: usize,
    position: usize,
    user: Arc<str>,
}

/// What a shard holds at the moment.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ShardStats {
    /// Rooms with at least one member.
    pub rooms: usize,
    /// Members of all rooms.
    pub members: usize,
    /// Messages appended so far, notices included.
    pub messages: u64,
}

/// The rooms of one worker.
#[derive(Debug)]
pub struct Shard<P> {
    limits: RoomLimits,
    rooms: Slab<Room<P>>,
    /// Room by name, for each format its own names.
    names: [HashMap<Box<str>, usize>; 2],
    /// Indexed by [`MemberKey`].
    seats: Vec<Option<Seat>>,
    /// Rooms with members behind the head. Invariant: holds a room once at most ([`Room::queued`]).
    queue: VecDeque<usize>,
    /// Makes this shard's epochs differ from those of any other shard and process.
    epoch_seed: u64,
    rooms_opened: u64,
    stats: ShardStats,
}

impl<P: Peer> Shard<P> {
    /// An empty shard. `epoch_seed` must be random: it is what makes an epoch unique.
    #[must_use]
    pub fn new(limits: RoomLimits, epoch_seed: u64) -> Shard<P> {
        Shard {
            limits,
            rooms: Slab::new(),
            names: [HashMap::new(), HashMap::new()],
            seats: Vec::new(),
            queue: VecDeque::new(),
            epoch_seed,
            rooms_opened: 0,
            stats: ShardStats::default(),
        }
    }

    /// What the shard holds.
    #[must_use]
    pub fn stats(&self) -> ShardStats {
        ShardStats { rooms: self.rooms.len(), ..self.stats }
    }

    /// Carries out one command whose spans lie in `arena`. Messages it appends wait for [`Shard::pump`].
    pub fn apply(&mut self, command: Command<P>, arena: &[u8], now: Timestamp, effects: &mut Vec<Effect>) {
        match command {
            Command::Join(join) => self.join(*join, now, effects),
            Command::Leave(member) => self.leave(member, now, effects),
            Command::Publish { member, content, client_id, text } => {
                let client_id = client_id.and_then(|id| simdutf8::basic::from_utf8(id.of(arena)).ok());
                self.publish(member, content, client_id, text, arena, now, effects);
            }
            Command::Resume(member) => {
                if let Some((room, position)) = self.place(member) {
                    self.rooms[room].resume(position, &self.limits, effects);
                }
            }
            Command::Barrier(id) => {
                while self.pump(usize::MAX, effects) {}
                effects.push(Effect::Passed(id));
            }
        }
    }

    /// Sends what members still need, room by room in slices, to at most about `budget` members. True if there is
    /// more to do.
    pub fn pump(&mut self, budget: usize, effects: &mut Vec<Effect>) -> bool {
        let mut left = budget;
        while let Some(index) = self.queue.pop_front() {
            let Some(room) = self.rooms.get_mut(index).filter(|room| room.queued) else { continue };
            if !room.pump(SLICE_MEMBERS, &self.limits, effects) {
                self.queue.push_back(index);
            } else {
                room.queued = false;
            }
            left = left.saturating_sub(SLICE_MEMBERS.min(room.member_count()));
            if left == 0 {
                break;
            }
        }
        !self.queue.is_empty()
    }

    fn join(&mut self, join: Join<P>, now: Timestamp, effects: &mut Vec<Effect>) {
        let Join { member, session, session_id, room: name, format, user, peer, start, hello } = join;
        let Some(index) = self.open_room(name, format) else {
            return effects.push(Effect::TooManyRooms(session));
        };
        let room = &mut self.rooms[index];
        if room.member_count() >= self.limits.members {
            return effects.push(Effect::RoomFull(session));
        }
        let user = room.presence.enter(&user);
        let newcomer = Newcomer { key: member, session, session_id, user: user.clone(), peer, start, hello };
        let position = room.join(newcomer);
        if format == Format::Chat {
            room.notify(Kind::Join, &user, &self.limits, now);
            self.stats.messages += 1;
        }
        self.stats.members += 1;
        let seat = member.0 as usize;
        if self.seats.len() <= seat {
            self.seats.resize_with(seat + 1, || None);
        }
        self.seats[seat] = Some(Seat { room: index, position, user });
        self.touch(index, effects);
    }

    fn leave(&mut self, member: MemberKey, now: Timestamp, effects: &mut Vec<Effect>) {
        let Some(seat) = self.seats.get_mut(member.0 as usize).and_then(Option::take) else { return };
        self.stats.members -= 1;
        let room = &mut self.rooms[seat.room];
        if let Some(moved) = room.remove(seat.position, &self.limits, effects)
            && let Some(Some(moved)) = self.seats.get_mut(moved.0 as usize)
        {
            moved.position = seat.position;
        }
        if room.member_count() == 0 {
            let room = self.rooms.remove(seat.room);
            self.names[room.format as usize].remove(&room.name);
            return;
        }
        room.presence.exit(&seat.user);
        if room.format == Format::Chat {
            room.notify(Kind::Leave, &seat.user, &self.limits, now);
            self.stats.messages += 1;
        }
        self.touch(seat.room, effects);
    }

    #[expect(clippy::too_many_arguments, reason = "the fields of one command and what every command gets")]
    fn publish(
        &mut self,
        member: MemberKey,
        content: Span,
        client_id: Option<&str>,
        text: bool,
        arena: &[u8],
        now: Timestamp,
        effects: &mut Vec<Effect>,
    ) {
        let Some(Some(seat)) = self.seats.get(member.0 as usize) else { return };
        let room = &mut self.rooms[seat.room];
        match room.format {
            Format::Chat => {
                let Ok(content) = simdutf8::basic::from_utf8(content.of(arena)) else { return };
                if !room.publish_chat(&seat.user, content, client_id, &self.limits, now) {
                    return;
                }
            }
            Format::Relay => room.publish_relay(content.of(arena), text, &self.limits, now),
        }
        self.stats.messages += 1;
        let index = seat.room;
        self.touch(index, effects);
    }

    fn place(&self, member: MemberKey) -> Option<(usize, usize)> {
        self.seats.get(member.0 as usize)?.as_ref().map(|seat| (seat.room, seat.position))
    }

    fn open_room(&mut self, name: Box<str>, format: Format) -> Option<usize> {
        if let Some(&index) = self.names[format as usize].get(&name) {
            return Some(index);
        }
        if self.rooms.len() >= self.limits.rooms {
            return None;
        }
        self.rooms_opened += 1;
        let index =
            self.rooms.insert(Room::new(name.clone(), format, epoch(self.epoch_seed, self.rooms_opened)));
        self.names[format as usize].insert(name, index);
        Some(index)
    }

    /// Puts a room with something new into the queue, or pumps it at once if it may not grow any further.
    fn touch(&mut self, index: usize, effects: &mut Vec<Effect>) {
        let room = &mut self.rooms[index];
        if room.must_pump(&self.limits) {
            room.pump_all(&self.limits, effects);
        } else if !room.queued {
            room.queued = true;
            self.queue.push_back(index);
        }
    }
}

/// A number that no other log has: SplitMix64's finaliser over a random seed and a counter.
const fn epoch(seed: u64, counter: u64) -> u64 {
    let mut mixed = seed.wrapping_add(counter.wrapping_mul(0x9e37_79b9_7f4a_7c15));
    mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    mixed ^ (mixed >> 31)
}
