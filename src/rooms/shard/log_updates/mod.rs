//! Rooms whose messages the store numbers: what has become of what was said here, and what comes from all nodes.

use super::state::{RoomSlot, Shard, open_room};
use super::stopwatch::micros;
use crate::rooms::api::effect::{LogUpdate, StoreRequest};
use crate::rooms::api::peer::Peer;
use crate::rooms::api::store::{Numbering, Opened, Placed};
use crate::rooms::clock::Now;
use crate::rooms::ids::{RoomId, RoomKey};

impl<P: Peer> Shard<P> {
    /// The store has opened a room, and tells of it from now on, if it numbers its messages.
    pub(super) fn follow(&mut self, key: RoomKey, opened: &Opened) {
        if matches!(opened.numbering, Numbering::Store { .. }) {
            self.followed.insert(opened.id, key);
        }
    }

    /// Nothing more is to be heard of a room that was opened.
    pub(super) fn unfollow(&mut self, opened: &Opened) {
        if matches!(opened.numbering, Numbering::Store { .. }) {
            self.out.store_requests.push(StoreRequest::Unfollow(opened.id));
        }
    }

    /// The store says what has become of the messages of its oldest batch.
    pub(super) fn placed(&mut self, placed: Vec<Placed>, now: Now) {
        let mut last = None;
        let steps = &mut self.stopwatch.steps;
        let placed = self.commits.placed(placed, |submitted_at, messages| {
            steps.shard_to_commit.note_many(micros(submitted_at, now.steady), messages as u64);
        });
        for (key, placed) in placed {
            let Some(room) = open_room(&mut self.rooms, key) else { continue };
            let member_index = &self.member_index;
            let notice = room.place(placed, |member| member_index.place_in(key.index, member));
            room.delayed.extend(notice);
            // Once for those of a room that follow each other.
            if let Some(before) = last.replace(key).filter(|before| *before != key) {
                self.after_placing(before, now);
            }
        }
        last.into_iter().for_each(|key| self.after_placing(key, now));
    }

    /// Something was decided in a room: notices that wait are put off, and it may be one that nothing holds any more.
    fn after_placing(&mut self, key: RoomKey, now: Now) {
        self.put_off_notices(key, now);
        self.forget_if_deleted(key.index);
    }

    /// Something has happened in the log of a room that the store numbers.
    pub(super) fn log_update(&mut self, id: RoomId, update: LogUpdate, now: Now) {
        let Some(&key) = self.followed.get(&id) else { return };
        let Some(room) = open_room(&mut self.rooms, key) else { return };
        match update {
            LogUpdate::Messages(messages) => {
                let member_index = &self.member_index;
                room.take_messages(&messages, &self.limits, |member| {
                    member_index.place_in(key.index, member)
                });
                self.touch(key.index);
                self.notices_after_commit(key, now);
            }
            LogUpdate::Epoch(opened) => self.epoch_has_begun(key, &opened, now),
            LogUpdate::Deleted => {
                let name = room.name.clone();
                self.close_deleted(&name, Some(id));
            }
        }
    }

    /// The store has lost something of the log of this room, which goes on under another epoch.
    fn epoch_has_begun(&mut self, key: RoomKey, opened: &Opened, now: Now) {
        let Some(RoomSlot::Open(room)) = self.rooms.get_mut(key.index) else { return };
        self.resets += 1;
        let (name, shown, stored) = (&*room.name, room.positions.visible(), opened.head);
        tracing::warn!(room = name, shown, stored, "a room's log has lost something, it begins a new epoch");
        for member in room.members.iter() {
            self.catch_up.forget(member.key);
        }
        let member_index = &self.member_index;
        room.placed_are_lost(opened, |member| member_index.place_in(key.index, member));
        room.reset_epoch(opened, now, &self.limits, &*self.fanout_pool, &mut self.out);
        self.append_delayed(key, now);
        self.touch(key.index);
    }
}

#[cfg(test)]
mod tests;
