//! A room on its way from the store: what happens to it meanwhile waits in order.
//!
//! ```text
//!          a command by name                     the store has it
//!  Found ────────────────────► Asked { create } ──────────────────► RoomSlot::Open, and what waits takes effect
//!    ▲                            │      ▲
//!    │ everybody has gone         │      │ a command by name
//!    │                            ▼      │
//!  (no entry) ◄──────────────── Absent ──┘
//!            nobody waits      the store has no such room, and only readers wait: they make none
//! ```
//!
//! A deletion that meets a room on its way is noted: if it was that room which the store has opened, the store is asked
//! once more, and what waits is in the next room of that name.

mod leaving;
mod refusing;

use super::member_index::MemberSlot;
use super::state::{RoomSlot, Shard};
use crate::metrics::Limit;
use crate::rooms::api::command::{Command, Fault, Format, MemberKey, RejectReason, RoomKey, Span};
use crate::rooms::api::peer::Peer;
use crate::rooms::api::store::{Durability, OpenStay, Opened, RoomId};
use crate::rooms::limits::bounds::Bounds;
use crate::rooms::log::encoded::write_notice;
use crate::rooms::message::chat::Notice;
use crate::rooms::room::state::Room;
use crate::rooms::timestamp::Timestamp;

/// Bytes that wait for one room at most, so that one room that does not come leaves the others their part.
const ROOM_BYTES_MAX: usize = 4 << 20;
/// How often the store is asked for a room that is deleted again and again while it is being opened.
const ATTEMPTS_MAX: u32 = 64;
/// While one room holds all it may, polls that have ended are looked for this often at most: it takes a look at each.
const SWEEP_INTERVAL_MICROS: u64 = 1_000_000;

/// A room that is being opened.
#[derive(Debug)]
pub(super) struct Opening<P> {
    pub(super) key: RoomKey,
    pub(super) name: Box<str>,
    phase: Phase,
    held: Vec<Held<P>>,
    /// The arena of the commands that wait.
    arena: Vec<u8>,
    /// Bytes that [`Bounds::charge`] was asked for. Invariant: the sum of what the commands that wait cost.
    charged: usize,
    /// Whether its creation was taken from the rate of creations.
    creation_charged: bool,
    attempts: u32,
    /// Rooms of this name that were deleted since it was found.
    deleted: Vec<RoomId>,
    /// When polls that have ended were looked for last, because too much waited.
    swept_at: Timestamp,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Phase {
    /// Nobody has asked the store yet.
    Found,
    /// The store was asked for it, and whether to create it.
    Asked { create: bool },
    /// The store has no such room, and nobody who waits may make one; since when.
    Absent { since: Timestamp },
}

/// A command that waits.
#[derive(Debug)]
pub(super) struct Held<P> {
    command: Command<P>,
    since: Timestamp,
    bytes: usize,
    /// It is a reader that was greeted as at an empty room, and goes on waiting. Invariant: those stand before all others.
    is_greeted: bool,
}

impl<P> Held<P> {
    fn new(command: Command<P>, since: Timestamp, bytes: usize) -> Held<P> {
        Held { command, since, bytes, is_greeted: false }
    }
}

impl<P> Opening<P> {
    pub(super) fn new(key: RoomKey, name: Box<str>) -> Opening<P> {
        Opening {
            key,
            name,
            phase: Phase::Found,
            held: Vec::new(),
            arena: Vec::new(),
            charged: 0,
            creation_charged: false,
            attempts: 0,
            deleted: Vec::new(),
            swept_at: Timestamp::default(),
        }
    }

    /// Whether to create it, if the store is asked for it at the moment.
    pub(super) fn is_asked(&self) -> Option<bool> {
        match self.phase {
            Phase::Asked { create } => Some(create),
            Phase::Found | Phase::Absent { .. } => None,
        }
    }

    pub(super) fn is_absent(&self) -> bool {
        matches!(self.phase, Phase::Absent { .. })
    }

    /// Since when only readers wait, for a room that is not there.
    pub(super) fn idle_since(&self) -> Option<Timestamp> {
        match self.phase {
            Phase::Absent { since } => Some(since),
            Phase::Found | Phase::Asked { .. } => None,
        }
    }

    pub(super) fn set_idle_since(&mut self, now: Timestamp) {
        if let Phase::Absent { since } = &mut self.phase {
            *since = now;
        }
    }

    /// Whether nobody waits for it, the store included.
    pub(super) fn is_unwanted(&self) -> bool {
        self.held.is_empty() && self.is_asked().is_none()
    }

    /// The room of this id was deleted.
    pub(super) fn note_deletion(&mut self, id: RoomId) {
        if self.is_asked().is_some() && !self.deleted.contains(&id) {
            self.deleted.push(id);
        }
    }

    /// Whether a command waits that may bring the room into being.
    fn wants_creation(&self, open_rooms: bool) -> bool {
        open_rooms && self.held.iter().any(|held| held.command.creates())
    }

    /// Keeps a command for later.
    ///
    /// # Errors
    /// The command, if too much waits already.
    fn hold(&mut self, command: Command<P>, now: Timestamp, bounds: &Bounds) -> Result<(), Command<P>> {
        let bytes = command.held_bytes();
        self.make_place(bytes, now, bounds);
        if !self.charge(bytes, bounds) {
            return Err(command);
        }
        self.held.push(Held::new(command, now, bytes));
        Ok(())
    }

    /// Forgets polls that nobody waits for any longer whenever twice as much waits, so that each command costs the same
    /// whatever their number; and before one is refused, but not often.
    fn make_place(&mut self, bytes: usize, now: Timestamp, bounds: &Bounds) {
        let is_full = self.charged.saturating_add(bytes) > ROOM_BYTES_MAX;
        let next_sweep = self.swept_at.micros().saturating_add(SWEEP_INTERVAL_MICROS);
        if self.held.len().is_power_of_two() {
            self.forget_polls(now, bounds);
        } else if is_full && now.micros() >= next_sweep {
            self.swept_at = now;
            self.forget_polls(now, bounds);
        }
    }

    fn charge(&mut self, bytes: usize, bounds: &Bounds) -> bool {
        if self.charged.saturating_add(bytes) > ROOM_BYTES_MAX && self.charged > 0 {
            bounds.hit(Limit::OpeningBytes);
            return false;
        }
        let fits = bounds.charge(bytes);
        self.charged += if fits { bytes } else { 0 };
        fits
    }

    /// Keeps a publish for later; false if too much waits already.
    pub(super) fn hold_publish(
        &mut self,
        publish: (MemberKey, &[u8], Option<&[u8]>, bool),
        now: Timestamp,
        bounds: &Bounds,
    ) -> bool {
        let (member, content, tag, text) = publish;
        let own = Command::<P>::Leave(member).held_bytes();
        let bytes = own + content.len() + tag.map_or(0, <[u8]>::len);
        if !self.charge(bytes, bounds) {
            return false;
        }
        let content = Span::store(&mut self.arena, content);
        let tag = tag.and_then(|tag| Span::store(&mut self.arena, tag));
        // The limit is far below what a span can name.
        let Some(content) = content else { return false };
        let command = Command::Publish { member, content, tag, text };
        self.held.push(Held::new(command, now, bytes));
        true
    }

    /// Tells a member that waits for this room what went wrong.
    pub(super) fn tell(&self, member: MemberKey, fault: &Fault)
    where
        P: Peer,
    {
        for join in self.held.iter().filter_map(|held| held.command.join_of(member)) {
            let Fault { code, content, client_id } = fault;
            let (client_id, at) = (client_id.as_deref(), join.start.at());
            let notice = Notice::Error { code, content, at, client_id };
            let mut frame = Vec::new();
            write_notice(join.encoding.as_ref(), &notice, &mut frame);
            join.peer.reply(&frame);
        }
    }

    /// Takes out the commands that `is_meant`, in order.
    pub(super) fn take(
        &mut self,
        bounds: &Bounds,
        mut is_meant: impl FnMut(&Command<P>, Timestamp) -> bool,
    ) -> Vec<Command<P>> {
        let taken = self.held.extract_if(.., |held| is_meant(&held.command, held.since));
        let (commands, bytes): (Vec<_>, Vec<_>) = taken.map(|held| (held.command, held.bytes)).unzip();
        let bytes: usize = bytes.into_iter().sum();
        self.charged -= bytes;
        bounds.discharge(bytes);
        commands
    }

    /// Forgets polls that nobody waits for any longer.
    pub(super) fn forget_polls(&mut self, now: Timestamp, bounds: &Bounds) {
        drop(self.take(bounds, |command, since| command.is_stale_poll(since, now)));
    }

    /// Whether it holds this member's JOIN.
    #[cfg(any(test, feature = "fuzzing", debug_assertions))]
    pub(super) fn holds_join_of(&self, member: MemberKey) -> bool {
        self.held.iter().filter_map(|held| held.command.join_of(member)).count() == 1
    }

    #[cfg(any(test, feature = "fuzzing", debug_assertions))]
    pub(super) fn joins(&self) -> usize {
        self.held.iter().filter(|held| matches!(held.command, Command::Join(_))).count()
    }
}

impl<P: Peer> Shard<P> {
    /// The room of this name. One that is not in memory is to be opened, or if there is no store, made if `create`.
    ///
    /// # Errors
    /// If there are too many rooms, or too many new ones.
    pub(super) fn find_room(
        &mut self,
        name: &str,
        format: Format,
        create: bool,
        now: Timestamp,
    ) -> Result<usize, RejectReason> {
        if let Some(&index) = self.names[format as usize].get(name) {
            return Ok(index);
        }
        if !self.make_room(now) {
            self.limits.bounds.hit(Limit::Rooms);
            return Err(RejectReason::TooManyRooms);
        }
        let is_there = self.limits.store.is_none() || format != Format::Chat;
        if is_there && create && !self.limits.bounds.creations.take(now.micros()) {
            self.limits.bounds.hit(Limit::RoomCreations);
            return Err(RejectReason::TooManyNewRooms);
        }
        self.rooms_opened += 1;
        let key = RoomKey { index: self.rooms.vacant_key(), number: self.rooms_opened };
        let name: Box<str> = name.into();
        self.names[format as usize].insert(name.clone(), key.index);
        if !is_there || !create {
            return Ok(self.rooms.insert(RoomSlot::Opening(Box::new(Opening::new(key, name)))));
        }
        let mut room = Room::new(key, name, format, self.new_epoch(key));
        room.idle_since = now;
        self.idle.push(key, now);
        Ok(self.rooms.insert(RoomSlot::Open(Box::new(room))))
    }

    /// Has a command wait for the room at `index`, which is being opened, and sees to it that it comes.
    pub(super) fn hold(&mut self, index: usize, command: Command<P>, now: Timestamp) {
        let Some(RoomSlot::Opening(opening)) = self.rooms.get_mut(index) else { return };
        let (key, joiner) = (opening.key, command.joiner());
        match opening.hold(command, now, &self.limits.bounds) {
            Ok(()) => {
                if let Some(member) = joiner {
                    self.member_index.set(member, MemberSlot::Waiting { room: key });
                }
                self.advance(index, now);
            }
            Err(command) => {
                self.refuse(command, RejectReason::TooManyOpenings);
                self.remove_if_unwanted(index);
            }
        }
    }

    /// Asks the store for the room at `index`, unless that was done.
    pub(super) fn advance(&mut self, index: usize, now: Timestamp) {
        let Some(RoomSlot::Opening(opening)) = self.rooms.get_mut(index) else { return };
        match opening.phase {
            Phase::Asked { .. } => return,
            Phase::Found => {}
            Phase::Absent { .. } => self.absent -= 1,
        }
        opening.phase = Phase::Found;
        if self.limits.store.is_none() {
            return self.open_unstored(index, now);
        }
        if !self.limits.bounds.begin_opening() {
            return self.refuse_newcomers(index, RejectReason::TooManyOpenings, now);
        }
        self.openings += 1;
        self.ask_store(index, now);
    }

    /// Asks the store for a room, whether or not that was done before.
    fn ask_store(&mut self, index: usize, now: Timestamp) {
        let Some(RoomSlot::Opening(opening)) = self.rooms.get_mut(index) else { return };
        let wanted = opening.wants_creation(self.limits.open_rooms);
        // Who cannot pay finds the room all the same, if it is there.
        opening.creation_charged |= wanted && self.limits.bounds.creations.take(now.micros());
        opening.phase = Phase::Asked { create: wanted && opening.creation_charged };
        let key = opening.key;
        self.request_room(key, now);
    }

    /// A room that is not stored is there once somebody makes it.
    fn open_unstored(&mut self, index: usize, now: Timestamp) {
        let Some(RoomSlot::Opening(opening)) = self.rooms.get_mut(index) else { return };
        if !opening.wants_creation(true) {
            return self.wait_for_creation(index, now);
        }
        if !self.limits.bounds.creations.take(now.micros()) {
            return self.refuse_creators(index, now);
        }
        let (key, name) = (opening.key, opening.name.clone());
        let room = Box::new(Room::new(key, name, Format::Chat, self.new_epoch(key)));
        self.open(index, room, &[], now);
    }

    /// The store has opened a room, or begun its log anew.
    pub(super) fn opened(&mut self, key: RoomKey, opened: &Opened, now: Timestamp) {
        if self.damaged.contains(&opened.id) {
            return self.not_opened(key, RejectReason::Unavailable, now);
        }
        let opening = match self.rooms.get_mut(key.index) {
            Some(RoomSlot::Open(room)) if room.key == key => return self.epoch_was_reset(key, opened, now),
            Some(RoomSlot::Opening(opening)) if opening.key == key => opening,
            Some(RoomSlot::Open(_) | RoomSlot::Opening(_)) | None => return,
        };
        if opening.deleted.contains(&opened.id) {
            // It was deleted after the store had looked: what waits is for the next room of that name.
            return self.ask_again(key.index, now);
        }
        // A room in which somebody has ever been is not a new one.
        if opening.creation_charged && opened.head > 0 {
            self.limits.bounds.creations.give_back();
        }
        let mut room = Box::new(Room::restored(key, opening.name.clone(), opened));
        if room.durability == Durability::Off {
            // What it will be asked to number lives no longer than its stay in memory.
            room.epoch = self.new_epoch(key);
        }
        self.end_opening();
        self.open(key.index, room, &opened.open_stays, now);
    }

    /// The room has come: what waits takes effect.
    fn open(&mut self, index: usize, mut room: Box<Room<P>>, stays: &[OpenStay], now: Timestamp) {
        debug_assert_eq!(
            self.names[Format::Chat as usize].get(&room.name),
            Some(&index),
            "the name of a room that comes leads to it"
        );
        room.idle_since = now;
        self.idle.push(room.key, now);
        let Some(entry) = self.rooms.get_mut(index) else { return };
        let RoomSlot::Opening(opening) = std::mem::replace(entry, RoomSlot::Open(room)) else { return };
        let Opening { held, arena, charged, .. } = *opening;
        self.limits.bounds.discharge(charged);
        // Before anybody comes: whoever is there hears it, and those who come count without them.
        self.end_stays(index, stays, now);
        for Held { command, since, .. } in held {
            self.replay(command, since, &arena, now);
        }
    }

    /// A command that has waited since then takes effect.
    fn replay(&mut self, mut command: Command<P>, since: Timestamp, arena: &[u8], now: Timestamp) {
        if command.is_stale_poll(since, now) {
            return;
        }
        command.shorten_wait(since, now);
        if let Command::After(_, reply) = command {
            // Its member may have another seat by now; what it said before has had its effect.
            return reply.send(());
        }
        self.apply(command, arena, now);
    }

    /// The store has not opened a room.
    pub(super) fn not_opened(&mut self, key: RoomKey, reason: RejectReason, now: Timestamp) {
        self.epoch_reset_failed(key, now);
        let opening = match self.rooms.get_mut(key.index) {
            Some(RoomSlot::Opening(opening)) if opening.key == key => opening,
            Some(RoomSlot::Open(_) | RoomSlot::Opening(_)) | None => return,
        };
        let creation = (opening.wants_creation(self.limits.open_rooms), opening.creation_charged);
        match (reason, creation) {
            // It was created, and deleted before the store looked; or those who may create it came later.
            (RejectReason::NoSuchRoom, (true, true)) => self.ask_again(key.index, now),
            (RejectReason::NoSuchRoom, (true, false)) if self.limits.bounds.creations.take(now.micros()) => {
                opening.creation_charged = true;
                self.ask_again(key.index, now);
            }
            (RejectReason::NoSuchRoom, (true, false)) => {
                self.end_opening();
                self.refuse_creators(key.index, now);
            }
            (RejectReason::NoSuchRoom, (false, _)) => {
                self.end_opening();
                self.wait_for_creation(key.index, now);
            }
            (reason, _) => {
                self.end_opening();
                self.refuse_all(key.index, reason);
            }
        }
    }

    /// The store is asked once more, for what it said has been overtaken.
    fn ask_again(&mut self, index: usize, now: Timestamp) {
        let Some(RoomSlot::Opening(opening)) = self.rooms.get_mut(index) else { return };
        opening.attempts += 1;
        if opening.attempts > ATTEMPTS_MAX {
            self.end_opening();
            return self.refuse_all(index, RejectReason::Unavailable);
        }
        self.ask_store(index, now);
    }

    fn end_opening(&mut self) {
        self.openings -= 1;
        self.limits.bounds.end_opening();
    }

    pub(super) fn remove_if_unwanted(&mut self, index: usize) {
        if let Some(RoomSlot::Opening(opening)) = self.rooms.get(index)
            && opening.is_unwanted()
        {
            self.remove_room(index);
        }
    }

    /// An epoch that no other log has.
    pub(super) fn new_epoch(&self, room: RoomKey) -> u64 {
        mixed(self.epoch_seed, room.number)
    }

    /// Readers wait at a room that is not there as at an empty one, all others are told that it is not.
    fn wait_for_creation(&mut self, index: usize, now: Timestamp) {
        let Some(RoomSlot::Opening(opening)) = self.rooms.get_mut(index) else { return };
        opening.phase = Phase::Found;
        let was_deleted = !std::mem::take(&mut opening.deleted).is_empty();
        let (mut kept, name) = (std::mem::take(&mut opening.held), opening.name.clone());
        // Who was greeted before waits already: each newcomer costs the same, however many there are.
        let greeted = kept.iter().rposition(|held| held.is_greeted).map_or(0, |last| last + 1);
        let mut gone_bytes = 0;
        for Held { command, since, bytes, .. } in kept.split_off(greeted) {
            if let Command::Leave(member) = command {
                let is_it = |held: &mut Held<P>| held.command.joiner() == Some(member);
                gone_bytes += kept.extract_if(.., is_it).map(|held| held.bytes).sum::<usize>();
                self.member_index.take(member);
            } else if !command.is_stale_poll(since, now)
                && let Some(command) = self.answer_absent(&name, command, was_deleted, now)
            {
                kept.push(Held { command, since, bytes, is_greeted: true });
                continue;
            }
            gone_bytes += bytes;
        }
        let Some(RoomSlot::Opening(opening)) = self.rooms.get_mut(index) else { return };
        self.limits.bounds.discharge(gone_bytes);
        opening.charged -= gone_bytes;
        opening.held = kept;
        self.wait_on(index, now);
    }

    /// Readers alone wait for the room from now on, if anybody does.
    fn wait_on(&mut self, index: usize, now: Timestamp) {
        let Some(RoomSlot::Opening(opening)) = self.rooms.get_mut(index) else { return };
        debug_assert!(
            opening.held.iter().all(|held| held.is_greeted),
            "only readers wait for a room that is not there"
        );
        (opening.phase, opening.arena) = (Phase::Found, Vec::new());
        if opening.held.is_empty() {
            return self.remove_room(index);
        }
        opening.phase = Phase::Absent { since: now };
        self.absent += 1;
        let key = opening.key;
        self.idle.push(key, now);
    }
}

/// A number that no other counter of any shard and process comes to: SplitMix64's finaliser over a random seed and a counter.
pub(super) const fn mixed(seed: u64, counter: u64) -> u64 {
    let mut mixed = seed.wrapping_add(counter.wrapping_mul(0x9e37_79b9_7f4a_7c15));
    mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    mixed ^ (mixed >> 31)
}

#[cfg(test)]
mod tests;
