//! Long polling: polls are answered, or wait in their rooms.

use std::time::Duration;

use super::state::{RoomSlot, Shard};
use crate::rooms::api::peer::Peer;
use crate::rooms::api::poll::Poll;
use crate::rooms::clock::Now;
use crate::rooms::reasons::RejectReason;
use crate::rooms::room::waiting_poll::WaitingPoll;
use crate::rooms::values::Position;

/// Maximum number of polls that wait in one shard.
// Each takes memory and a connection until its time has passed; a further one is refused at once.
const WAITING_MAX: usize = 16_384;
/// Minimum interval between two searches for polls that have ended, while `WAITING_MAX` wait.
// A search looks at every room: once a second bounds that.
const SWEEP_INTERVAL: Duration = Duration::from_secs(1);

impl<P: Peer> Shard<P> {
    /// Answers a poll, or has it wait. The room is at `index`, and open.
    pub(in crate::rooms) fn poll(&mut self, index: usize, user: Box<str>, poll: Poll, now: Now) {
        let clock = self.clock;
        let Some(RoomSlot::Open(room)) = self.rooms.get_mut(index) else { return };
        room.expire(clock);
        let cursor = match room.begin_poll(&poll, clock) {
            Ok(result) => return poll.reply.send(Ok(result)),
            Err(cursor) if poll.wait.is_zero() => {
                return poll.reply.send(Ok(room.nothing_after(cursor)));
            }
            Err(cursor) => cursor,
        };
        debug_assert!(cursor <= room.positions.visible(), "a poll that waits beyond what is visible");
        // Before it is counted: one that has waited for this room already is counted until then.
        poll.waits.send(Position { epoch: room.epoch, seq: cursor });
        if !self.has_place_for_poll(now) {
            return poll.reply.send(Err(RejectReason::Unavailable));
        }
        let Some(RoomSlot::Open(room)) = self.rooms.get_mut(index) else { return };
        // Whenever there are twice as many, so that each costs the same at any number of them.
        if room.polls.len().is_power_of_two() {
            room.forget_polls(now.steady);
        }
        let until = now.steady.later_by(poll.wait);
        let Poll { limit, waiter, reply, .. } = poll;
        room.polls.push(WaitingPoll {
            user,
            cursor,
            limit,
            until,
            waiter,
            reply,
            _counted: self.polls.enter(),
        });
    }

    /// Whether one more poll may wait. Looks through all rooms for polls that have ended, but not often.
    pub(in crate::rooms) fn has_place_for_poll(&mut self, now: Now) -> bool {
        if self.polls.count() >= WAITING_MAX && now.steady >= self.polls.swept_at.later_by(SWEEP_INTERVAL) {
            self.polls.swept_at = now.steady;
            for (_, entry) in &mut self.rooms {
                match entry {
                    RoomSlot::Open(room) => room.forget_polls(now.steady),
                    RoomSlot::Opening(opening) => opening.forget_polls(now.steady, &self.limits.bounds),
                }
            }
        }
        self.polls.count() < WAITING_MAX
    }
}
