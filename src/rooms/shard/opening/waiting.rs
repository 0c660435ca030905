//! Commands wait for a room that is being opened, or that is not there.

use crate::limit_hits::Limit;
use crate::rooms::api::command::Command;
use crate::rooms::api::peer::Peer;
use crate::rooms::clock::Now;
use crate::rooms::ids::{Arena, RoomKey};
use crate::rooms::reasons::RejectReason;
use crate::rooms::room::recorder::Recorder;
use crate::rooms::room::state::Room;
use crate::rooms::shard::member_index::MemberSlot;
use crate::rooms::shard::room_opening::{Held, Opening, Phase};
use crate::rooms::shard::state::{RoomSlot, Shard};
use crate::rooms::values::Format;

impl<P: Peer> Shard<P> {
    /// The room of this name. One that is not in memory is to be opened, or if there is no store, made if `create`.
    ///
    /// # Errors
    /// If there are too many rooms, or too many new ones.
    pub(in crate::rooms::shard) fn find_room(
        &mut self,
        name: &str,
        format: Format,
        create: bool,
        now: Now,
    ) -> Result<usize, RejectReason> {
        if let Some(&index) = self.names[format as usize].get(name) {
            return Ok(index);
        }
        if !self.make_room(now) {
            self.limits.bounds.hit(Limit::Rooms);
            return Err(RejectReason::TooManyRooms);
        }
        let is_there = self.limits.store.is_none() || format != Format::Chat;
        if is_there && create && !self.limits.bounds.creations.take(now.steady.micros()) {
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
        let mut room = Room::new(key, name, format, self.new_epoch(key), self.limits.block_size);
        room.recorder = Recorder::new(&self.limits.bounds);
        room.idle_since = now.steady;
        self.idle.push(key, now.steady);
        Ok(self.rooms.insert(RoomSlot::Open(Box::new(room))))
    }

    /// Has a command wait for the room at `index`, which is being opened, and sees to it that it comes.
    pub(in crate::rooms::shard) fn hold(&mut self, index: usize, command: Command<P>, now: Now) {
        let Some(RoomSlot::Opening(opening)) = self.rooms.get_mut(index) else { return };
        let (key, joiner) = (opening.key, command.joiner());
        match opening.hold(command, now.steady, &self.limits.bounds) {
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
    pub(in crate::rooms::shard) fn advance(&mut self, index: usize, now: Now) {
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

    /// Readers wait at a room that is not there as at an empty one, all others are told that it is not.
    pub(in crate::rooms::shard) fn wait_for_creation(&mut self, index: usize, now: Now) {
        let Some(RoomSlot::Opening(opening)) = self.rooms.get_mut(index) else { return };
        opening.phase = Phase::Found;
        let was_deleted = !std::mem::take(&mut opening.deleted).is_empty();
        let (mut kept, name) = (std::mem::take(&mut opening.held), opening.name.clone());
        // Members greeted before wait already: each newcomer costs the same, at any number of them.
        let greeted = kept.iter().rposition(|held| held.is_greeted).map_or(0, |last| last + 1);
        let mut gone_bytes = 0;
        for Held { command, since, bytes, .. } in kept.split_off(greeted) {
            if let Command::Leave(member) = command {
                let is_it = |held: &mut Held<P>| held.command.joiner() == Some(member);
                gone_bytes += kept.extract_if(.., is_it).map(|held| held.bytes).sum::<usize>();
                self.member_index.take(member);
            } else if !command.is_stale_poll(since, now.steady)
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
        opening.check_held();
        self.wait_on(index, now);
    }

    /// Only readers wait for the room from now on, if any does.
    pub(in crate::rooms::shard) fn wait_on(&mut self, index: usize, now: Now) {
        let Some(RoomSlot::Opening(opening)) = self.rooms.get_mut(index) else { return };
        debug_assert!(
            opening.held.iter().all(|held| held.is_greeted),
            "only readers wait for a room that is not there"
        );
        (opening.phase, opening.arena) = (Phase::Found, Arena::default());
        if opening.held.is_empty() {
            return self.remove_room(index);
        }
        opening.phase = Phase::Absent { since: now.steady };
        self.absent += 1;
        let key = opening.key;
        self.idle.push(key, now.steady);
    }

    pub(in crate::rooms::shard) fn remove_if_unwanted(&mut self, index: usize) {
        if let Some(RoomSlot::Opening(opening)) = self.rooms.get(index)
            && opening.is_unwanted()
        {
            self.remove_room(index);
        }
    }
}
