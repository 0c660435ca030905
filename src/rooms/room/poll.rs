//! What a room answers a poll, now or later.

use super::beginning::Beginning;
use super::state::Room;
use crate::rooms::api::history::{Array, Backlog, History};
use crate::rooms::api::peer::Peer;
use crate::rooms::api::poll::{Poll, PollResult};
use crate::rooms::api::store::ReadFrom;
use crate::rooms::clock::Moment;
use crate::rooms::message::frame::payload_of;
use crate::rooms::message::notice::Notice;
use crate::rooms::reasons::RejectReason;
use crate::rooms::timestamp::Timestamp;
use crate::rooms::values::{Joined, Position, Start, VisibleHead};

impl<P: Peer> Room<P> {
    pub(in crate::rooms) fn forget_polls(&mut self, now: Moment) {
        self.polls.retain(|poll| poll.until > now && !poll.has_gone());
    }

    /// How the room is.
    pub(in crate::rooms) fn position(&self) -> Joined {
        Joined { epoch: self.epoch, seq: self.positions.visible(), members: self.member_count() }
    }

    /// How much of its log may be seen.
    pub(in crate::rooms) fn visible_head(&self) -> VisibleHead {
        VisibleHead { epoch: self.epoch, stored_epoch: self.stored_epoch, seq: self.positions.visible() }
    }

    /// Answers the polls for which something has come.
    pub(in crate::rooms) fn answer_polls(&mut self) {
        for poll in std::mem::take(&mut self.polls) {
            if poll.has_gone() {
                // Its request was answered otherwise, or has died: nothing is to be read or sent for it.
                continue;
            }
            if poll.cursor < self.positions.visible() {
                // What came since is too new to be gone by the room's clock.
                let result = self.result(poll.cursor, poll.limit, None, self.last_at);
                poll.reply.send(Ok(result));
            } else {
                self.polls.push(poll);
            }
        }
    }

    /// A user was thrown out.
    pub(in crate::rooms) fn end_polls_of(&mut self, user: &str, reason: RejectReason) {
        for poll in self.polls.extract_if(.., |poll| *poll.user == *user).collect::<Vec<_>>() {
            poll.reply.send(Err(reason));
        }
    }

    /// The room is no more.
    pub(in crate::rooms) fn end_polls(&mut self, reason: RejectReason) {
        for poll in std::mem::take(&mut self.polls) {
            poll.reply.send(Err(reason));
        }
    }

    /// The log has begun anew: the positions of those who wait are worth nothing any more.
    pub(in crate::rooms) fn end_polls_at_reset(&mut self) {
        for poll in std::mem::take(&mut self.polls) {
            let start = Start::After { seq: poll.cursor, epoch: None };
            let beginning =
                Beginning { gap: Some(Notice::whole_log(self.positions.visible())), ..self.beginning(start) };
            let result = self.told(self.positions.visible(), self.positions.visible(), &beginning);
            poll.reply.send(Ok(result));
        }
    }

    /// What there is for a poll, or the message after which it has to wait.
    pub(in crate::rooms) fn begin_poll(&self, poll: &Poll, now: Timestamp) -> Result<PollResult, u64> {
        let beginning = self.beginning(poll.start);
        let Beginning { cursor, since, gap, .. } = beginning;
        if let Some(since) = since {
            return Ok(self.stored(ReadFrom::Time(since), now));
        }
        if cursor >= self.positions.visible() && gap.is_none() {
            return Err(cursor);
        }
        Ok(self.result(cursor, poll.limit, Some(&beginning), now))
    }

    pub(in crate::rooms) fn nothing_after(&self, cursor: u64) -> PollResult {
        self.told(cursor, cursor, &Beginning { cursor, since: None, gap: None, at: Timestamp::default() })
    }

    /// What there is after `cursor`, behind what is gone before it.
    fn result(&self, cursor: u64, limit: usize, beginning: Option<&Beginning>, now: Timestamp) -> PollResult {
        let last = self.positions.visible().min(cursor.saturating_add(limit as u64));
        if cursor < last && cursor + 1 < self.log.tail() {
            // The reader's own position: it has to be told of all that is gone since, which the store knows.
            let after = beginning.and_then(|beginning| beginning.gap).map_or(cursor, |(from, _)| from - 1);
            return self.stored(ReadFrom::Seq(after), now);
        }
        let none = Beginning { cursor, since: None, gap: None, at: Timestamp::default() };
        self.told(cursor, last, beginning.unwrap_or(&none))
    }

    fn stored(&self, after: ReadFrom, now: Timestamp) -> PollResult {
        let (epoch, stored_epoch, kept_after) = (self.epoch, self.stored_epoch, self.positions.oldest() - 1);
        let (tail, visible) = (self.log.tail().min(self.positions.visible() + 1), self.positions.visible());
        PollResult::Stored(Backlog { after, epoch, stored_epoch, kept_after, tail, visible, now })
    }

    /// The messages after `cursor` up to `last`, which are in memory.
    fn told(&self, cursor: u64, last: u64, beginning: &Beginning) -> PollResult {
        let &Beginning { gap, at, .. } = beginning;
        let mut array = Array::begin(&self.name, self.epoch, gap, at);
        for seq in cursor + 1..=last {
            let frame = self.log.frame(seq);
            debug_assert!(frame.is_some(), "a poll is told nothing of message {seq}");
            if let Some(frame) = frame {
                array.push(|json| json.extend_from_slice(payload_of(frame)));
            }
        }
        let position = Position { epoch: self.epoch, seq: last.max(cursor) };
        debug_assert!(
            position.seq <= self.positions.visible(),
            "a poll is told a position that nobody has seen"
        );
        PollResult::Messages(History { json: array.end(), position, gap })
    }
}
