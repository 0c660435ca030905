//! A room whose log is not the one that is stored.
//!
//! | durability | how it comes to that | until the log goes on |
//! |---|---|---|
//! | `async` | the store has refused messages that were shown before they were stored, so they cannot be taken back | the room goes on in memory, and nothing of it is stored |
//! | `commit`, `fsync` | the store has another log than it said (it was restored from a backup, or another process has written to it): it refuses this room alone, or has less than was acknowledged | nothing is published: no number may be given out that another message has |
//!
//! The store gives the log that it has another epoch, and the room goes on there, after the last message that is stored.
//! Its members are told that their positions are worth nothing any more.

use crate::rooms::clock::Now;
use std::time::Duration;

use super::state::{RoomSlot, Shard, open_room};
use crate::rooms::api::peer::Peer;
use crate::rooms::api::settings::Durability;
use crate::rooms::api::store::Opened;
use crate::rooms::ids::{RoomId, RoomKey};
use crate::rooms::reasons::RejectReason;
use crate::rooms::room::store_link::StoreLink;

/// How long a reset is not tried again after the store could not do it.
// A store that fails does so for a while: a shorter pause would be a loop of requests for each room.
const RESET_RETRY_PAUSE: Duration = Duration::from_secs(1);

/// How the store has refused messages.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::rooms) enum Refused {
    /// Of this room, and not those of others.
    Room,
    /// All of a batch: it has nothing against the room.
    Batch,
}

impl<P: Peer> Shard<P> {
    /// The store has refused messages of this room.
    pub(in crate::rooms) fn break_link(&mut self, key: RoomKey, refused: Refused, now: Now) {
        if let Some(room) = open_room(&mut self.rooms, key)
            // What was not shown is taken back, and the room is where the store is; unless the store is elsewhere.
            && (room.durability == Durability::Async || refused == Refused::Room)
            && room.stored_as.is_some()
            && room.durability > Durability::Off
            && room.link == StoreLink::Linked
        {
            room.link = StoreLink::Broken { retry_at: now.steady };
            self.retry_reset(key.index, now);
        }
    }

    /// Asks the store to begin the log of a room anew, if it has to and it is time.
    pub(in crate::rooms) fn retry_reset(&mut self, index: usize, now: Now) {
        if let Some(RoomSlot::Open(room)) = self.rooms.get_mut(index)
            && let StoreLink::Broken { retry_at } = room.link
            && retry_at <= now.steady
            && !room.deleted
            && !room.damaged
        {
            room.link = StoreLink::Resetting;
            let key = room.key;
            self.request_room(key, now);
        }
    }

    /// Asks again for what the store could not do, once it is time: nothing has to be said in the room for that.
    pub(in crate::rooms) fn retry_resets(&mut self, now: Now) {
        while let Some((key, _)) = self.resets_due.pop_front_if(|(_, retry_at)| *retry_at <= now.steady) {
            if open_room(&mut self.rooms, key).is_some() {
                self.retry_reset(key.index, now);
            }
        }
    }

    /// The store has begun the log of a room anew.
    pub(in crate::rooms) fn epoch_was_reset(&mut self, key: RoomKey, opened: &Opened, now: Now) {
        let Some(room) = open_room(&mut self.rooms, key) else { return };
        if room.stored_as != Some(opened.id) {
            // It was deleted, and there is another room of that name. Its members are about to be told.
            return self.epoch_reset_failed(key, now);
        }
        if room.link == StoreLink::Resetting && !room.damaged {
            self.resets += 1;
            if room.waits_for_store() {
                let (room, shown, stored) = (&*room.name, room.positions.visible(), opened.head);
                tracing::warn!(
                    room,
                    shown,
                    stored,
                    "a room was not as the store has it, its log begins a new epoch"
                );
            }
            for member in room.members.iter() {
                self.catch_up.forget(member.key);
            }
            room.reset_epoch(opened, now, &self.limits, &*self.fanout_pool, &mut self.out);
            // They left while the room was cut off, and the log that goes on does not say so.
            self.end_stays(key.index, &opened.open_stays, now);
            self.append_delayed(key, now);
        }
    }

    /// The store has found this room damaged: it takes no new members. Members stay, and are told when they publish.
    pub(in crate::rooms) fn damaged(&mut self, id: RoomId) {
        // It may be on its way here, opened before the damage was met.
        self.damaged.insert(id);
        for (_, entry) in &mut self.rooms {
            if let RoomSlot::Open(room) = entry
                && room.stored_as == Some(id)
            {
                room.damaged = true;
                room.end_polls(RejectReason::Unavailable);
            }
        }
    }

    /// The store could not.
    pub(in crate::rooms) fn epoch_reset_failed(&mut self, key: RoomKey, now: Now) {
        if let Some(room) = open_room(&mut self.rooms, key)
            && room.link == StoreLink::Resetting
        {
            let retry_at = now.steady.later_by(RESET_RETRY_PAUSE);
            room.link = StoreLink::Broken { retry_at };
            self.resets_due.push_back((key, retry_at));
        }
    }
}
