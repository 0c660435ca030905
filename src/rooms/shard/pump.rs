//! The rooms with something new are pumped, one after the other.

use super::state::{RoomSlot, Shard};
use crate::rooms::api::effect::SessionEffect;
use crate::rooms::api::peer::Peer;

impl<P: Peer> Shard<P> {
    /// Sends what members still need, room by room in slices, to at most `budget` members. True if there is
    /// more to do.
    pub fn pump(&mut self, budget: usize) -> bool {
        let mut left = budget;
        while let Some(index) = self.queue.pop_front() {
            let Some(RoomSlot::Open(room)) = self.rooms.get_mut(index) else { continue };
            if !room.queued {
                continue;
            }
            // A block before another room of the shard gets its turn; of a huge room, one for each thread of the pool.
            let parallelism = if room.is_huge(&self.limits) { self.fanout_pool.parallelism() } else { 1 };
            let slice = self.limits.block_size.members().min(left);
            let before = self.out.delivered;
            let is_done = room.pump(slice * parallelism, &self.limits, &*self.fanout_pool, &mut self.out);
            self.stopwatch.sent(room.due_since, self.out.delivered.messages - before.messages);
            if is_done {
                room.queued = false;
            } else {
                room.note_round_end(self.stopwatch.now);
                self.queue.push_back(index);
            }
            room.record_sent(self.clock, before, self.out.delivered);
            left -= slice.min(room.member_count());
            if left == 0 {
                break;
            }
        }
        self.read_on();
        if self.barriers > 0 && self.queue.is_empty() && self.commits.is_empty() && self.openings == 0 {
            self.out
                .session_effects
                .extend((0..std::mem::take(&mut self.barriers)).map(|_| SessionEffect::Passed));
        }
        !self.queue.is_empty()
    }

    /// Puts a room with something new into the queue, or pumps it at once if it may not grow any further.
    pub(super) fn touch(&mut self, index: usize) {
        let RoomSlot::Open(room) = &mut self.rooms[index] else { return };
        if room.must_pump(&self.limits) {
            let before = self.out.delivered;
            let since = if room.queued { room.due_since } else { self.stopwatch.now };
            room.pump_all(&self.limits, &*self.fanout_pool, &mut self.out);
            self.stopwatch.sent(since, self.out.delivered.messages - before.messages);
            room.record_sent(self.clock, before, self.out.delivered);
        } else if !room.queued && room.is_due() {
            room.queued = true;
            (room.due_since, room.round_since) = (self.stopwatch.now, self.stopwatch.now);
            self.queue.push_back(index);
        }
    }
}

#[cfg(test)]
mod tests {
    use crate::rooms::api::effect::SessionEffect;
    use crate::rooms::ids::SessionKey;
    use crate::rooms::reasons::RejectReason;
    use crate::rooms::room::limits::OnLag;
    use crate::rooms::shard::tests::kit::Kit;

    /// Who has been closed as too slow after this many messages that one of two members does not take.
    fn closed_after(messages: usize, on_lag: OnLag) -> Vec<SessionKey> {
        let mut kit = Kit::new();
        kit.shard.limits.on_lag = on_lag;
        kit.shard.limits.window.messages = 16;
        let (ann, _) = kit.join("r", "ann");
        kit.open();
        kit.commit();
        let (_, deaf) = kit.join("r", "deaf");
        kit.commit();
        deaf.fill(true);
        for number in 0..messages {
            kit.say(ann, &number.to_string(), None);
            kit.commit();
        }
        let closed = kit.effects.iter().filter_map(|effect| match effect {
            SessionEffect::Close(session, RejectReason::TooSlow) => Some(*session),
            SessionEffect::Close(..) | SessionEffect::Passed => None,
        });
        closed.collect()
    }

    #[test]
    fn a_member_that_takes_nothing_is_closed_once_it_is_behind_the_window() {
        assert_eq!(closed_after(16, OnLag::Close), []);
        assert_eq!(closed_after(50, OnLag::Close), [SessionKey(2)], "once");
        for on_lag in [OnLag::CatchUp, OnLag::Gap] {
            assert_eq!(closed_after(50, on_lag), []);
        }
    }
}
