//! The store opens a room, or says why not.

use crate::rooms::api::command::Command;
use crate::rooms::api::peer::Peer;
use crate::rooms::api::settings::Durability;
use crate::rooms::api::store::{OpenStay, Opened};
use crate::rooms::clock::{Moment, Now};
use crate::rooms::ids::{Arena, RoomKey};
use crate::rooms::reasons::RejectReason;
use crate::rooms::room::recorder::Recorder;
use crate::rooms::room::state::Room;
use crate::rooms::shard::room_opening::{Held, Opening, Phase};
use crate::rooms::shard::state::{RoomSlot, Shard};
use crate::rooms::values::Format;

/// Maximum number of times that the store is asked for one room, which is deleted again and again while it is being
/// opened.
// Each attempt needs one more deletion by REST: a client that deletes in a loop must not hold a request for ever.
const ATTEMPTS_MAX: u32 = 64;

impl<P: Peer> Shard<P> {
    /// Asks the store for a room, whether or not that was done before.
    pub(in crate::rooms::shard) fn ask_store(&mut self, index: usize, now: Now) {
        let Some(RoomSlot::Opening(opening)) = self.rooms.get_mut(index) else { return };
        let wanted = opening.wants_creation(self.limits.open_rooms);
        // Who cannot pay finds the room all the same, if it is there.
        opening.creation_charged |= wanted && self.limits.bounds.creations.take(now.steady.micros());
        opening.phase = Phase::Asked { create: wanted && opening.creation_charged };
        let key = opening.key;
        self.request_room(key, now);
    }

    /// A room that is not stored is there once a command creates it.
    pub(in crate::rooms::shard) fn open_unstored(&mut self, index: usize, now: Now) {
        let Some(RoomSlot::Opening(opening)) = self.rooms.get_mut(index) else { return };
        if !opening.wants_creation(true) {
            return self.wait_for_creation(index, now);
        }
        if !self.limits.bounds.creations.take(now.steady.micros()) {
            return self.refuse_creators(index, now);
        }
        let (key, name) = (opening.key, opening.name.clone());
        let mut room =
            Box::new(Room::new(key, name, Format::Chat, self.new_epoch(key), self.limits.block_size));
        room.recorder = Recorder::new(&self.limits.bounds);
        self.open(index, room, &[], now);
    }

    /// The store has opened a room, or begun its log anew.
    pub(in crate::rooms::shard) fn opened(&mut self, key: RoomKey, opened: &Opened, now: Now) {
        if self.damaged.contains(&opened.id) {
            self.unfollow(opened);
            return self.not_opened(key, RejectReason::Unavailable, now);
        }
        let opening = match self.rooms.get_mut(key.index) {
            Some(RoomSlot::Open(room)) if room.key == key => return self.epoch_was_reset(key, opened, now),
            Some(RoomSlot::Opening(opening)) if opening.key == key => opening,
            Some(RoomSlot::Open(_) | RoomSlot::Opening(_)) | None => return self.unfollow(opened),
        };
        if opening.deleted.contains(&opened.id) {
            self.unfollow(opened);
            // It was deleted after the store had looked: what waits is for the next room of that name.
            return self.ask_again(key.index, now);
        }
        // A room that has ever had a message is not a new one.
        if opening.creation_charged && opened.head > 0 {
            self.limits.bounds.creations.give_back();
        }
        let mut room =
            Box::new(Room::restored(key, opening.name.clone(), opened, self.limits.block_size, now));
        room.recorder = Recorder::new(&self.limits.bounds);
        if room.durability == Durability::Off {
            // What it will be asked to number lives no longer than its stay in memory.
            room.epoch = self.new_epoch(key);
        }
        self.end_opening();
        self.follow(key, opened);
        self.open(key.index, room, &opened.open_stays, now);
    }

    /// The room has come: what waits takes effect.
    fn open(&mut self, index: usize, mut room: Box<Room<P>>, stays: &[OpenStay], now: Now) {
        debug_assert_eq!(
            self.names[Format::Chat as usize].get(&room.name),
            Some(&index),
            "the name of a room that comes leads to it"
        );
        room.idle_since = now.steady;
        self.idle.push(room.key, now.steady);
        let Some(entry) = self.rooms.get_mut(index) else { return };
        let RoomSlot::Opening(opening) = std::mem::replace(entry, RoomSlot::Open(room)) else { return };
        let Opening { held, arena, charged, .. } = *opening;
        self.limits.bounds.discharge(charged);
        // Before the commands that wait: the members that join then count without them.
        self.end_stays(index, stays, now);
        for Held { command, since, .. } in held {
            self.replay(command, since, &arena, now);
        }
    }

    /// A command that has waited since then takes effect.
    fn replay(&mut self, mut command: Command<P>, since: Moment, arena: &Arena, now: Now) {
        if command.is_stale_poll(since, now.steady) {
            return;
        }
        command.shorten_wait(since, now.steady);
        if let Command::After(_, reply) = command {
            // Its member may be elsewhere by now; what it said before has had its effect.
            return reply.send(());
        }
        self.apply(command, arena, now);
    }

    /// The store has not opened a room.
    pub(in crate::rooms::shard) fn not_opened(&mut self, key: RoomKey, reason: RejectReason, now: Now) {
        self.epoch_reset_failed(key, now);
        let opening = match self.rooms.get_mut(key.index) {
            Some(RoomSlot::Opening(opening)) if opening.key == key => opening,
            Some(RoomSlot::Open(_) | RoomSlot::Opening(_)) | None => return,
        };
        let creation = (opening.wants_creation(self.limits.open_rooms), opening.creation_charged);
        match (reason, creation) {
            // It was created, and deleted before the store looked; or those who may create it came later.
            (RejectReason::NoSuchRoom, (true, true)) => self.ask_again(key.index, now),
            (RejectReason::NoSuchRoom, (true, false))
                if self.limits.bounds.creations.take(now.steady.micros()) =>
            {
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
    fn ask_again(&mut self, index: usize, now: Now) {
        let Some(RoomSlot::Opening(opening)) = self.rooms.get_mut(index) else { return };
        opening.attempts += 1;
        if opening.attempts > ATTEMPTS_MAX {
            self.end_opening();
            return self.refuse_all(index, RejectReason::Unavailable);
        }
        self.ask_store(index, now);
    }

    fn end_opening(&mut self) {
        debug_assert!(self.openings > 0, "an opening ends that has not begun");
        self.openings -= 1;
        self.limits.bounds.end_opening();
    }
}
