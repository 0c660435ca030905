//! A room on its way from the store: what happens to it meanwhile waits in order.

use super::command::{Command, Effect, Fault, Format, MemberKey, RoomKey, Span, Why};
use super::guests::write_notice;
use super::journal::{Durability, Opened};
use super::message::Notice;
use super::peer::Peer;
use super::room::Room;
use super::shard::{Entry, Shard};
use super::timestamp::Timestamp;

/// Publishes that wait for one room at most; beyond it publishers are told that the room is busy.
const PUBLISHES_MAX: usize = 4096;
/// Bytes of such publishes at most.
const BYTES_MAX: usize = 4 << 20;

/// A room that is being opened.
#[derive(Debug)]
pub(super) struct Opening<P> {
    pub(super) key: RoomKey,
    pub(super) name: Box<str>,
    pub(super) waiting: Vec<Command<P>>,
    /// The arena of the waiting commands.
    pub(super) bytes: Vec<u8>,
    publishes: usize,
    creation: Creation,
}

/// What is allowed for a room that may not be there yet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Creation {
    /// It is created, which was paid for; if it is there, that is given back.
    Paid,
    /// It is not created, for too many are at the moment.
    Refused,
    /// It is not to be created.
    Unwanted,
}

impl<P> Opening<P> {
    fn new(key: RoomKey, name: Box<str>, creation: Creation) -> Opening<P> {
        Opening { key, name, waiting: Vec::new(), bytes: Vec::new(), publishes: 0, creation }
    }

    /// Keeps a publish for later; false if too many wait already.
    pub(super) fn hold_publish(
        &mut self,
        member: MemberKey,
        content: &[u8],
        tag: Option<&[u8]>,
        text: bool,
    ) -> bool {
        if self.publishes >= PUBLISHES_MAX || self.bytes.len() >= BYTES_MAX {
            return false;
        }
        let Some(content) = Span::store(&mut self.bytes, content) else { return false };
        let tag = tag.and_then(|tag| Span::store(&mut self.bytes, tag));
        self.publishes += 1;
        self.waiting.push(Command::Publish { member, content, tag, text });
        true
    }

    /// Tells a member that waits for this room what went wrong.
    pub(super) fn tell(&self, member: MemberKey, fault: &Fault)
    where
        P: Peer,
    {
        let joins = self.waiting.iter().filter_map(|command| match command {
            Command::Join(join) if join.member == member => Some(join),
            Command::Join(_)
            | Command::Publish { .. }
            | Command::Leave(_)
            | Command::Tell(..)
            | Command::Resume(_)
            | Command::Ask(_)
            | Command::After(..)
            | Command::Barrier => None,
        });
        for join in joins {
            let Fault { code, content, client_id } = fault;
            let (client_id, at) = (client_id.as_deref(), join.start.at());
            let notice = Notice::Error { code, content, at, client_id };
            let mut frame = Vec::new();
            write_notice(join.encoding.as_deref(), &notice, &mut frame);
            join.peer.reply(&frame);
        }
    }

    /// The member has left, and its key may be given to somebody else: what it did goes on under another one.
    pub(super) fn rename(&mut self, from: MemberKey, to: MemberKey) {
        for command in &mut self.waiting {
            match command {
                Command::Join(join) if join.member == from => join.member = to,
                Command::Publish { member, .. } | Command::Leave(member) | Command::After(member, _)
                    if *member == from =>
                {
                    *member = to;
                }
                Command::Join(_)
                | Command::Publish { .. }
                | Command::Leave(_)
                | Command::Tell(..)
                | Command::Resume(_)
                | Command::Ask(_)
                | Command::After(..)
                | Command::Barrier => {}
            }
        }
        self.waiting.push(Command::Leave(to));
    }
}

impl<P: Peer> Shard<P> {
    /// The room of this name, opened if need be; `create`: also if nobody created it.
    ///
    /// # Errors
    /// If there are too many rooms, or too many new ones.
    pub(super) fn find_room(
        &mut self,
        name: &str,
        format: Format,
        create: bool,
        now: Timestamp,
    ) -> Result<usize, Why> {
        if let Some(&index) = self.names[format as usize].get(name) {
            return Ok(index);
        }
        if self.rooms.len() >= self.limits.bounds.rooms() {
            self.forget_idle_but(0, now);
            if self.rooms.len() >= self.limits.bounds.rooms() {
                return Err(Why::TooManyRooms);
            }
        }
        let is_stored = self.limits.store.is_some() && format == Format::Chat;
        let creation = if is_stored && !create {
            Creation::Unwanted
        } else if self.limits.bounds.creations.take(now.micros()) {
            Creation::Paid
        } else {
            Creation::Refused
        };
        if creation == Creation::Refused && !is_stored {
            return Err(Why::TooManyNewRooms);
        }
        self.rooms_opened += 1;
        let key = RoomKey { index: self.rooms.vacant_key(), number: self.rooms_opened };
        let name: Box<str> = name.into();
        self.names[format as usize].insert(name.clone(), key.index);
        if is_stored {
            self.openings += 1;
            let create = creation == Creation::Paid;
            self.out.effects.push(Effect::Open { room: key, name: name.clone(), create });
            return Ok(self.rooms.insert(Entry::Opening(Box::new(Opening::new(key, name, creation)))));
        }
        let mut room = Room::new(key, name, format, epoch(self.epoch_seed, self.rooms_opened));
        room.idle_since = now;
        self.idle.push_back((key, now));
        Ok(self.rooms.insert(Entry::Open(Box::new(room))))
    }

    pub(super) fn opened(&mut self, key: RoomKey, opened: &Opened, now: Timestamp) {
        let Some(entry) = self.rooms.get_mut(key.index) else { return };
        let opening = match entry {
            Entry::Open(_) => return self.renewed(key, opened),
            Entry::Opening(opening) if opening.key == key => opening,
            Entry::Opening(_) => return,
        };
        self.openings -= 1;
        let name = opening.name.clone();
        // A room in which somebody has ever been is not a new one.
        if opening.creation == Creation::Paid && opened.head > 0 {
            self.limits.bounds.creations.give_back();
        }
        let mut room = Box::new(Room::restored(key, name, opened));
        if room.durability == Durability::Off {
            // What it will be asked to number lives no longer than its stay in memory.
            room.epoch = epoch(self.epoch_seed, key.number);
        }
        room.idle_since = now;
        self.idle.push_back((key, now));
        let Entry::Opening(opening) = std::mem::replace(entry, Entry::Open(room)) else { return };
        let Opening { waiting, bytes, .. } = *opening;
        for command in waiting {
            self.apply(command, &bytes, now);
        }
    }

    pub(super) fn not_opened(&mut self, key: RoomKey, why: Why, now: Timestamp) {
        self.not_renewed(key, now);
        if !matches!(self.rooms.get(key.index), Some(Entry::Opening(opening)) if opening.key == key) {
            return;
        }
        self.openings -= 1;
        let Entry::Opening(opening) = self.rooms.remove(key.index) else { return };
        self.names[Format::Chat as usize].remove(&opening.name);
        let why = match (why, opening.creation) {
            (Why::NoSuchRoom, Creation::Refused) => Why::TooManyNewRooms,
            (why, Creation::Paid | Creation::Refused | Creation::Unwanted) => why,
        };
        for command in opening.waiting {
            match command {
                Command::Join(join) => {
                    self.seats.take(join.member);
                    self.turn_away(*join, why);
                }
                Command::Ask(ask) => ask.refuse(why),
                Command::After(_, reply) => reply.send(()),
                Command::Publish { .. }
                | Command::Leave(_)
                | Command::Tell(..)
                | Command::Resume(_)
                | Command::Barrier => {}
            }
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
