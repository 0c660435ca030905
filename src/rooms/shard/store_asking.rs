//! The store is asked about rooms, few at a time.

use super::state::{RoomSlot, Shard, open_room};
use super::store_requests::REQUESTS_MAX;
use crate::rooms::api::effect::StoreRequest;
use crate::rooms::api::peer::Peer;
use crate::rooms::clock::{Moment, Now};
use crate::rooms::ids::RoomKey;
use crate::rooms::room::store_link::StoreLink;

impl<P: Peer> Shard<P> {
    /// Asks the store about a room, as soon as there are few enough requests under way.
    pub(super) fn request_room(&mut self, room: RoomKey, now: Now) {
        self.requests.since.push_back((room, now.steady));
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
            let request = match self.rooms.get(key.index) {
                Some(RoomSlot::Opening(opening)) if opening.key == key => {
                    let Some(create) = opening.is_asked() else { continue };
                    StoreRequest::Open { room: key, name: opening.name.clone(), create }
                }
                Some(RoomSlot::Open(room)) if room.key == key && room.link == StoreLink::Resetting => {
                    let Some(id) = room.stored_as else { continue };
                    StoreRequest::ResetEpoch { room: key, name: room.name.clone(), id }
                }
                Some(RoomSlot::Opening(_) | RoomSlot::Open(_)) | None => continue,
            };
            let is_first = self.requests.under_way.insert(key);
            debug_assert!(is_first, "a room has one request at a time");
            self.out.store_requests.push(request);
        }
    }

    /// Since when the room has waited that has waited longest for the store.
    pub(super) fn waiting_since(&mut self) -> Option<Moment> {
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
