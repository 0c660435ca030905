//! What the store does: it takes what the shard asks of it, and answers when the script says so.

use super::World;
use crate::fuzzing::rooms::member::{ExpectedNotice, Member};
use crate::fuzzing::rooms::store::Verdict;
use crate::rooms::store_api::Durability;
use crate::rooms::{Format, StoreAnswer, StoreRequest, Timestamp};

impl World {
    /// Hands to the store what the shard asks of it.
    pub(super) fn take_requests(&mut self) {
        for request in self.shard.take_store_requests().collect::<Vec<_>>() {
            match request {
                StoreRequest::Open { room, name, create } => {
                    // It may be asked for again: what it has waited for stays.
                    let opening = self.rooms.iter_mut().find(|room| room.name == &*name);
                    let waiting = opening.expect("a room of ours").waiting.get_or_insert_default();
                    assert!(create || waiting.is_empty(), "who says something there may create it");
                    self.store.openings.push_back((room, name, None));
                }
                StoreRequest::ResetEpoch { room, name, id } => {
                    assert_eq!(self.store.durability, Durability::Async);
                    self.store.openings.push_back((room, name, Some(id)));
                }
                StoreRequest::Read { reader, room, request } => {
                    self.store.reads.push_back((reader, room, request));
                }
                StoreRequest::Unfollow(_) => unreachable!("this store numbers nothing"),
            }
        }
    }

    pub(super) fn answer_opening(&mut self) -> bool {
        let Some((name, answer)) = self.store.open(self.limits.window) else { return false };
        if matches!(answer, StoreAnswer::Opened { opened: Err(_), .. }) {
            // A log that could not begin anew.
            self.shard.answer(answer, self.now.into());
            return true;
        }
        let stored = self.store.room(&name);
        let room = self.rooms.iter_mut().find(|room| room.name == &*name).expect("a room of ours");
        let is_prefix = stored
            .messages
            .iter()
            .zip(&room.log)
            .all(|(stored, shown)| (&*stored.content, stored.at) == (&*shown.content, shown.at));
        assert!(is_prefix, "what is stored is not what was shown");
        if room.waiting.is_none() {
            if stored.epoch != room.epoch {
                room.renew(stored.epoch, stored.head());
                // Who left in the log that ended leaves in this one, too.
                for stay in &stored.stays {
                    let is_there = |member: &Member| member.user == *stay.username;
                    if !self.members.iter().any(is_there) {
                        room.append(ExpectedNotice::Leave(stay.username.as_ref().into()).draft(), self.now);
                    }
                }
            }
            self.shard.answer(answer, self.now.into());
            return true;
        }
        room.epoch = stored.epoch;
        assert!(stored.stays.is_empty(), "a room was forgotten before all LEAVEs were stored");
        assert_eq!(room.log.len(), stored.messages.len(), "a room was forgotten before it was stored");
        room.last_at = stored.messages.last().map_or(Timestamp::default(), |last| last.at);
        for draft in room.waiting.take().unwrap_or_default() {
            room.append(draft, self.now);
        }
        self.shard.answer(answer, self.now.into());
        true
    }

    pub(super) fn answer_batch(&mut self) -> bool {
        let Some((verdict, taken, answer)) = self.store.commit() else { return false };
        if verdict == Verdict::Failed {
            for room in self.rooms.iter_mut().filter(|room| room.format == Format::Chat) {
                if self.store.durability == Durability::Commit {
                    let head = self.store.room(room.name).head();
                    room.roll_back(head, self.now);
                } else {
                    (room.torn, self.lossy) = (true, true);
                }
            }
        }
        for room in self.rooms.iter_mut().filter(|room| room.format == Format::Chat) {
            if taken.iter().any(|name| **name == *room.name) {
                room.pause = 0;
                room.append_delayed(self.now);
            }
        }
        self.shard.answer(answer, self.now.into());
        true
    }

    pub(super) fn answer_read(&mut self) -> bool {
        let Some(answer) = self.store.read() else { return false };
        self.shard.answer(answer, self.now.into());
        true
    }
}
