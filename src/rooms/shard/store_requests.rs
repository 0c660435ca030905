//! What a shard asks of the store about rooms: to open one, or to begin its log anew. Few at a time.

use std::collections::{HashSet, VecDeque};

use super::epoch_reset::StoreLink;
use super::state::{RoomSlot, Shard, open_room};
use crate::rooms::api::command::{Effect, RoomKey};
use crate::rooms::api::peer::Peer;
use crate::rooms::timestamp::Timestamp;

/// Requests of one shard at the store at most. The answers of all of them have to fit into the way back
/// (`workers::journal`), and those of all shards into the store's queue beside everything else.
pub(crate) const REQUESTS_MAX: usize = 256;

/// The requests of a shard that are not answered.
#[derive(Debug, Default)]
pub(super) struct StoreRequests {
    /// Not made yet.
    queued: VecDeque<RoomKey>,
    /// Invariant: every effect Open and Renew gets exactly one answer, which takes its room away here. A room has one
    /// request at a time.
    under_way: HashSet<RoomKey>,
    /// Since when rooms have waited, oldest first; those that wait no more are dropped when they come to the front.
    since: VecDeque<(RoomKey, Timestamp)>,
}

impl StoreRequests {
    /// Whether an answer about this room is going to come.
    #[cfg(any(test, feature = "fuzzing", debug_assertions))]
    pub(super) fn will_answer(&self, room: RoomKey) -> bool {
        self.under_way.contains(&room) || self.queued.contains(&room)
    }
}

impl<P: Peer> Shard<P> {
    /// Asks the store about a room, as soon as there are few enough requests under way.
    pub(super) fn request_room(&mut self, room: RoomKey, now: Timestamp) {
        self.requests.since.push_back((room, now));
        self.requests.queued.push_back(room);
        self.make_requests();
    }

    /// An answer has come; false if it is one to no request.
    pub(super) fn take_request(&mut self, room: RoomKey) -> bool {
        let is_asked_for = self.requests.under_way.remove(&room);
        debug_assert!(is_asked_for, "each request is answered once");
        is_asked_for
    }

    pub(super) fn make_requests(&mut self) {
        while self.requests.under_way.len() < REQUESTS_MAX
            && let Some(key) = self.requests.queued.pop_front()
        {
            let effect = match self.rooms.get(key.index) {
                Some(RoomSlot::Opening(opening)) if opening.key == key => {
                    let Some(create) = opening.is_asked() else { continue };
                    Effect::Open { room: key, name: opening.name.clone(), create }
                }
                Some(RoomSlot::Open(room)) if room.key == key && room.link == StoreLink::Resetting => {
                    let Some(id) = room.stored_as else { continue };
                    Effect::Renew { room: key, name: room.name.clone(), id }
                }
                Some(RoomSlot::Opening(_) | RoomSlot::Open(_)) | None => continue,
            };
            let is_first = self.requests.under_way.insert(key);
            debug_assert!(is_first, "a room has one request at a time");
            self.out.effects.push(effect);
        }
    }

    /// Since when the room has waited that has waited longest for the store.
    pub(super) fn waiting_since(&mut self) -> Option<Timestamp> {
        while let Some(&(key, since)) = self.requests.since.front() {
            let waits = match self.rooms.get(key.index) {
                Some(RoomSlot::Opening(opening)) => opening.key == key && opening.is_asked().is_some(),
                Some(RoomSlot::Open(_)) => {
                    open_room(&mut self.rooms, key).is_some_and(|room| room.link == StoreLink::Resetting)
                }
                None => false,
            };
            if waits {
                return Some(since);
            }
            self.requests.since.pop_front();
        }
        None
    }
}
