//! Rooms without members: kept for a while, then forgotten.

use crate::rooms::clock::Moment;
use std::collections::VecDeque;

use crate::rooms::ids::RoomKey;

/// Rooms that lost their last member, and when: the oldest first.
#[derive(Debug, Default)]
pub(super) struct Idle {
    pub(super) rooms: VecDeque<(RoomKey, Moment)>,
    /// All were looked through at this time, and none could be forgotten.
    pub(super) fruitless_at: Option<Moment>,
}

impl Idle {
    /// The room has no members any more. A room that is here as the last already only gets younger.
    pub(super) fn push(&mut self, room: RoomKey, now: Moment) {
        match self.rooms.back_mut() {
            Some((last, at)) if *last == room => *at = now,
            Some(_) | None => self.rooms.push_back((room, now)),
        }
    }
}
