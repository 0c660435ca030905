//! Rooms without members are forgotten; what is due by itself.

use std::time::Duration;

use super::state::{RoomSlot, Shard};
use crate::rooms::api::effect::StoreRequest;
use crate::rooms::api::peer::Peer;
use crate::rooms::clock::Now;
use crate::rooms::values::Format;

/// How long a room without members stays in memory.
// A client that lost its connection is back within 30 s, and recovers from the window without a read of the store.
const LINGER: Duration = Duration::from_secs(30);
/// Maximum number of rooms without members that stay in memory.
// A window may have a megabyte: a thousand of them is what a server can spare for clients that may come back.
const LINGERING_MAX: usize = 1024;
/// Maximum number of rooms that one command looks at.
// A crowd of rooms that cannot be forgotten yet must cost each command little; each LEAVE adds one room and removes up
// to 64.
const LOOKS_MAX: usize = 64;
/// How long the rooms are not looked through again after none could be forgotten.
// A commit takes some milliseconds: after 50 ms some of them are stored. At the limit each join would look at all of
// them.
const FRUITLESS_PAUSE: Duration = Duration::from_millis(50);

/// How often all invariants are looked at, in builds with assertions: that takes a look at every room and member.
// Each tick would make tests with thousands of rooms slow; a broken invariant is found within a second all the same.
#[cfg(debug_assertions)]
const CHECK_INTERVAL: Duration = Duration::from_secs(1);

impl<P: Peer> Shard<P> {
    /// Does what is due by now without a command.
    pub fn tick(&mut self, now: Now) {
        self.clock = self.clock.max(now.wall);
        self.stopwatch.now = now.steady;
        self.retry_notices(now);
        self.retry_resets(now);
        self.forget_idle(now);
        #[cfg(debug_assertions)]
        if now.steady >= self.checked_at.later_by(CHECK_INTERVAL) {
            self.checked_at = now.steady;
            self.check();
        }
    }

    /// Whether [`Shard::tick`] has to be called now and then.
    #[must_use]
    pub fn wants_tick(&self) -> bool {
        !self.idle.rooms.is_empty() || !self.delayed.is_empty() || !self.resets_due.is_empty()
    }

    /// Forgets the rooms that have been without members for long, or are too many.
    pub(super) fn forget_idle(&mut self, now: Now) {
        for _ in 0..LOOKS_MAX {
            let Some(&(_, since)) = self.idle.rooms.front() else { return };
            let is_due = now.steady >= since.later_by(LINGER);
            if !is_due && self.idle.rooms.len() <= LINGERING_MAX {
                return;
            }
            self.forget_oldest(now);
        }
    }

    /// Forgets rooms without members until there may be one more; false if there may not.
    pub(super) fn make_room(&mut self, now: Now) -> bool {
        let has_room = |shard: &Shard<P>| shard.rooms.len() - shard.absent < shard.limits.bounds.rooms();
        if has_room(self) {
            return true;
        }
        if self.idle.fruitless_at.is_some_and(|at| now.steady < at.later_by(FRUITLESS_PAUSE)) {
            return false;
        }
        for _ in 0..self.idle.rooms.len() {
            self.forget_oldest(now);
            if has_room(self) {
                return true;
            }
        }
        self.idle.fruitless_at = Some(now.steady);
        false
    }

    /// Forgets the room that has been without members longest, or puts it back behind the others if it cannot be
    /// forgotten yet: it must not stand in their way.
    fn forget_oldest(&mut self, now: Now) {
        let Some((key, since)) = self.idle.rooms.pop_front() else { return };
        match self.rooms.get_mut(key.index) {
            Some(RoomSlot::Open(room)) if room.key == key => {
                if !room.members.is_empty() || room.idle_since != since {
                    return;
                }
                room.forget_polls(now.steady);
                if room.is_idle() {
                    return self.remove_room(key.index);
                }
                // Its last messages are still on their way to the store, or its log has to begin anew there.
                room.idle_since = now.steady;
                self.idle.rooms.push_back((key, now.steady));
                self.retry_reset(key.index, now);
            }
            Some(RoomSlot::Opening(opening)) if opening.key == key => {
                if opening.idle_since() != Some(since) {
                    return;
                }
                opening.forget_polls(now.steady, &self.limits.bounds);
                if opening.is_unwanted() {
                    return self.remove_room(key.index);
                }
                opening.set_idle_since(now.steady);
                self.idle.rooms.push_back((key, now.steady));
            }
            Some(RoomSlot::Open(_) | RoomSlot::Opening(_)) | None => {}
        }
    }

    /// The room is no longer in memory, and its name leads nowhere unless it leads to another one.
    pub(super) fn remove_room(&mut self, index: usize) {
        let (name, format) = match self.rooms.remove(index) {
            RoomSlot::Open(room) => {
                debug_assert!(room.members.is_empty() && room.polls.is_empty());
                if let Some(id) = room.stored_as.filter(|_| room.submissions.is_some()) {
                    self.followed.remove(&id);
                    self.out.store_requests.push(StoreRequest::Unfollow(id));
                }
                (room.name, room.format)
            }
            RoomSlot::Opening(opening) => {
                self.absent -= usize::from(opening.is_absent());
                debug_assert!(opening.is_unwanted(), "commands wait for the room");
                (opening.name, Format::Chat)
            }
        };
        let names = &mut self.names[format as usize];
        if names.get(&name) == Some(&index) {
            names.remove(&name);
        }
    }
}
