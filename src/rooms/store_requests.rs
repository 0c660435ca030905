//! What a shard asks of the store about rooms: to open one, or to begin its log anew. Few at a time.

use std::collections::VecDeque;

use super::command::{Effect, RoomKey};
use super::peer::Peer;
use super::renewal::Tie;
use super::shard::{Entry, Shard, open_room};
use super::timestamp::Timestamp;

/// Requests of one shard at the store at most. The answers of all of them have to fit into the way back
/// (`workers::journal`), and those of all shards into the store's queue beside everything else.
pub(crate) const REQUESTS_MAX: usize = 256;

/// The requests of a shard that are not answered.
#[derive(Debug, Default)]
pub(super) struct StoreRequests {
    /// Not made yet.
    queued: VecDeque<RoomKey>,
    /// Invariant: every effect Open and Renew gets exactly one answer, which takes one away here.
    under_way: usize,
    /// Since when rooms have waited, oldest first; those that wait no more are dropped when they come to the front.
    since: VecDeque<(RoomKey, Timestamp)>,
}

impl<P: Peer> Shard<P> {
    /// Asks the store about a room, as soon as there are few enough requests under way.
    pub(super) fn request_room(&mut self, room: RoomKey, now: Timestamp) {
        self.requests.since.push_back((room, now));
        self.requests.queued.push_back(room);
        self.make_requests();
    }

    /// One of the requests was answered.
    pub(super) fn request_answered(&mut self) {
        debug_assert!(self.requests.under_way > 0, "an answer to no request");
        self.requests.under_way = self.requests.under_way.saturating_sub(1);
        self.make_requests();
    }

    fn make_requests(&mut self) {
        while self.requests.under_way < REQUESTS_MAX
            && let Some(key) = self.requests.queued.pop_front()
        {
            let effect = match self.rooms.get(key.index) {
                Some(Entry::Opening(opening)) if opening.key == key => {
                    let Some(create) = opening.is_asked() else { continue };
                    Effect::Open { room: key, name: opening.name.clone(), create }
                }
                Some(Entry::Open(room)) if room.key == key && room.tie == Tie::Renewing => {
                    let Some(id) = room.stored_as else { continue };
                    Effect::Renew { room: key, name: room.name.clone(), id }
                }
                Some(Entry::Opening(_) | Entry::Open(_)) | None => continue,
            };
            self.requests.under_way += 1;
            self.out.effects.push(effect);
        }
    }

    /// Since when the room has waited that has waited longest for the store.
    pub(super) fn waiting_since(&mut self) -> Option<Timestamp> {
        while let Some(&(key, since)) = self.requests.since.front() {
            let waits = match self.rooms.get(key.index) {
                Some(Entry::Opening(opening)) => opening.key == key && opening.is_asked().is_some(),
                Some(Entry::Open(_)) => {
                    open_room(&mut self.rooms, key).is_some_and(|room| room.tie == Tie::Renewing)
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
