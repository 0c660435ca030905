//! The store's answers take effect.

use super::commits::{CommitOutcome, StoredUpTo};
use super::epoch_reset::Refused;
use super::state::{Shard, open_room};
use super::stopwatch::micros;
use crate::rooms::api::effect::StoreAnswer;
use crate::rooms::api::peer::Peer;
use crate::rooms::clock::Now;
use crate::rooms::ids::RoomKey;

impl<P: Peer> Shard<P> {
    /// Takes an answer of the store.
    pub fn answer(&mut self, answer: StoreAnswer, now: Now) {
        self.clock = self.clock.max(now.wall);
        self.stopwatch.now = now.steady;
        match answer {
            StoreAnswer::Opened { room, opened } if self.take_request(room) => {
                match opened {
                    Ok(opened) => self.opened(room, &opened, now),
                    Err(reason) => self.not_opened(room, reason, now),
                }
                self.make_requests();
            }
            StoreAnswer::Opened { .. } => {}
            StoreAnswer::Committed { placed, .. } if self.commits.is_submission() => self.placed(placed, now),
            StoreAnswer::Refused if self.commits.is_submission() => self.placed(Vec::new(), now),
            StoreAnswer::Committed { refused, .. } => {
                let CommitOutcome { stored, lost, refused_along } = {
                    let steps = &mut self.stopwatch.steps;
                    self.commits.committed(&refused, |appended_at, messages| {
                        steps.shard_to_commit.note_many(micros(appended_at, now.steady), messages as u64);
                    })
                };
                for StoredUpTo { room: key, seq, .. } in stored {
                    if let Some(room) = open_room(&mut self.rooms, key) {
                        let member_index = &self.member_index;
                        room.commit(seq, &self.limits, |member| member_index.place_in(key.index, member));
                        self.touch(key.index);
                        self.notices_after_commit(key, now);
                    }
                }
                self.roll_back(lost, Refused::Room, now);
                self.roll_back(refused_along, Refused::Batch, now);
            }
            StoreAnswer::Refused => {
                let lost = self.commits.refused();
                self.roll_back(lost, Refused::Batch, now);
            }
            StoreAnswer::Page { reader, page } => self.page(reader, page, now),
            StoreAnswer::Log { room, update } => self.log_update(room, update, now),
            StoreAnswer::Damaged(id) => self.damaged(id),
        }
    }

    /// The store has refused these rooms: everything in them that was not committed is taken back. What was shown
    /// already, in `async` rooms, is lost to the store.
    fn roll_back(&mut self, lost: Vec<RoomKey>, refused: Refused, now: Now) {
        for key in lost {
            let member_index = &self.member_index;
            if let Some(room) = open_room(&mut self.rooms, key) {
                room.roll_back(|member| member_index.place_in(key.index, member));
            }
            self.put_off_notices(key, now);
            self.break_link(key, refused, now);
        }
    }
}
