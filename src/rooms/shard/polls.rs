//! Readers that come for the next messages, wait for them if there are none, and go: long polling.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Weak};
use std::time::Duration;

use serde_json::value::RawValue;

use super::state::{RoomSlot, Shard};
use crate::rooms::api::command::{Joined, RejectReason, Reply, Start, VisibleHead};
use crate::rooms::api::peer::Peer;
use crate::rooms::api::store::{Page, PageRequest, ReadFrom, RoomId};
use crate::rooms::message::chat::{Chat, Notice, payload_of, push_stored};
use crate::rooms::room::state::{Beginning, Room};
use crate::rooms::timestamp::Timestamp;

/// Polls that wait in one shard at most.
const WAITING_MAX: usize = 16_384;
/// While so many wait, those that have ended are looked for this often at most: it takes a look at every room.
const SWEEP_INTERVAL_MICROS: u64 = 1_000_000;

/// What a reader wants who comes for the next messages.
#[derive(Debug)]
pub struct Poll {
    /// Where to begin.
    pub start: Start,
    /// Messages at most.
    pub limit: usize,
    /// How long to wait for the first.
    pub wait: Duration,
    /// Lives as long as anybody waits, if that is known.
    pub waiter: Option<Weak<()>>,
    /// Is told the position from which is waited, if there is nothing yet.
    pub waits: Reply<Position>,
    /// The answer. Without one after `wait`, there was nothing.
    pub reply: Reply<Result<PollResult, RejectReason>>,
}

/// A place in the log of a room. `0:0` is before the first message of any.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Position {
    /// The log's epoch.
    pub epoch: u64,
    /// The last message before it.
    pub seq: u64,
}

impl std::fmt::Display for Position {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        if *self == (Position { epoch: 0, seq: 0 }) {
            return f.write_str("0:0");
        }
        write!(f, "{:016x}:{}", self.epoch, self.seq)
    }
}

/// A part of a room's log, the oldest message first.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct History {
    /// As a JSON array of what the members of the room were sent, behind a GAP if something is [gone](Self::gap).
    pub json: Vec<u8>,
    /// Where it ends: who goes on after this misses nothing and gets nothing twice.
    pub position: Position,
    /// The first and the last of the messages that were asked for and are not kept any more.
    pub gap: Option<(u64, u64)>,
}

impl History {
    /// The messages, read back from their JSON.
    #[must_use]
    pub fn messages(&self) -> Vec<Chat<'_>> {
        let objects: Vec<&RawValue> = serde_json::from_slice(&self.json).unwrap_or_default();
        // A GAP is none.
        objects.into_iter().filter_map(|object| Chat::parse(object.get().as_bytes())).collect()
    }
}

/// A JSON array that is being written.
struct Array(Vec<u8>);

impl Array {
    /// An array that begins with a GAP, if there is one.
    fn begin(room: &str, epoch: u64, gap: Option<(u64, u64)>, at: Timestamp) -> Array {
        let mut array = Array(b"[".to_vec());
        if let Some((from, to)) = gap {
            Notice::Gap { room, epoch, from, to, at }.encode_json(&mut array.0);
        }
        array
    }

    fn push(&mut self, write: impl FnOnce(&mut Vec<u8>)) {
        if self.0.len() > 1 {
            self.0.push(b',');
        }
        write(&mut self.0);
    }

    fn end(mut self) -> Vec<u8> {
        self.0.push(b']');
        self.0
    }
}

/// What there is for a reader.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum PollResult {
    /// Messages, perhaps none.
    Messages(History),
    /// Messages that have left memory: they are to be read from the store.
    Stored(Backlog),
}

/// A part of a room's log that only the store has, for a reader who goes on in memory behind it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Backlog {
    /// What the reader has.
    after: ReadFrom,
    /// The room's epoch, and that of what is stored.
    epoch: u64,
    stored_epoch: u64,
    /// As far as the room knows, everything up to here is gone.
    kept_after: u64,
    /// The oldest message in memory.
    tail: u64,
    /// The newest message that may be shown.
    visible: u64,
    now: Timestamp,
}

impl Backlog {
    /// What to ask of the store.
    #[must_use]
    pub fn request(&self, messages_max: usize, bytes_max: usize) -> PageRequest {
        let from = match self.after {
            ReadFrom::Seq(seq) => ReadFrom::Seq(seq.max(self.kept_after)),
            ReadFrom::Time(_) | ReadFrom::Last(_) => self.after,
        };
        let (room, before, newest_first) = (RoomId(0), self.visible.checked_add(1), false);
        PageRequest { room, from, messages_max, bytes_max, newest_first, before, now: self.now }
    }

    /// What the answer comes to.
    ///
    /// # Errors
    /// There is nothing for the reader here: it asks the room again, from there.
    pub fn history(&self, room: &str, page: &Page) -> Result<History, Start> {
        if page.epoch != self.stored_epoch {
            // The log has begun anew meanwhile: its numbers mean other messages now.
            return Err(match self.after {
                ReadFrom::Seq(seq) => Start::After { seq, epoch: Some(self.epoch) },
                ReadFrom::Time(time) => Start::Since(time),
                ReadFrom::Last(count) => Start::Last(count),
            });
        }
        let (epoch, last) = (self.epoch, self.visible);
        let gone = page.tail.saturating_sub(1).max(self.kept_after).min(last);
        let (after, at) = match self.after {
            ReadFrom::Seq(seq) => (seq, Timestamp::default()),
            ReadFrom::Time(time) => (page.start.min(last), time),
            ReadFrom::Last(_) => (page.start.min(last), Timestamp::default()),
        };
        let mut gap = match self.after {
            // How many of the messages that are gone were later cannot be told any more.
            ReadFrom::Time(time) if time < page.gone_at => Some((1, gone)),
            ReadFrom::Seq(_) | ReadFrom::Time(_) | ReadFrom::Last(_) => {
                (after < gone).then_some((after + 1, gone))
            }
        };
        let mut seq = after.max(gone);
        let messages = page.messages.iter().filter(|stored| stored.seq > seq && stored.seq <= last);
        let messages: Vec<_> = messages.collect();
        if page.messages.is_empty() && seq + 1 < self.tail {
            // What was shown and is neither in memory nor in the store is lost.
            gap = Some((gap.map_or(seq + 1, |(from, _)| from), self.tail - 1));
            seq = self.tail - 1;
        }
        if gap.is_none() && messages.is_empty() {
            return Err(Start::After { seq, epoch: Some(epoch) });
        }
        let mut array = Array::begin(room, epoch, gap, at);
        for stored in &messages {
            debug_assert_eq!(stored.seq, seq + 1, "a hole in a page");
            seq = stored.seq;
            array.push(|json| push_stored(json, room, epoch, stored));
        }
        Ok(History { json: array.end(), position: Position { epoch, seq }, gap })
    }
}

/// The polls that wait in one shard.
#[derive(Debug, Default)]
pub(in crate::rooms) struct Polls {
    count: Arc<AtomicUsize>,
    /// When those that nobody waits for any longer were looked for last, because there were too many.
    swept_at: Timestamp,
}

/// One of the polls that wait.
#[derive(Debug)]
pub(in crate::rooms) struct Counted(Arc<AtomicUsize>);

impl Polls {
    pub(in crate::rooms) fn count(&self) -> usize {
        self.count.load(Ordering::Relaxed)
    }

    pub(in crate::rooms) fn enter(&self) -> Counted {
        self.count.fetch_add(1, Ordering::Relaxed);
        Counted(self.count.clone())
    }
}

impl Drop for Counted {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}

/// A poll that waits.
#[derive(Debug)]
pub(in crate::rooms) struct WaitingPoll {
    /// Who asks; empty if nobody knows.
    user: Box<str>,
    cursor: u64,
    limit: usize,
    /// Nobody waits for the answer any longer.
    until: Timestamp,
    /// As [`Poll::waiter`].
    waiter: Option<Weak<()>>,
    reply: Reply<Result<PollResult, RejectReason>>,
    _counted: Counted,
}

impl PollResult {
    /// The news at a room that is not there, for a reader that may have been in another log.
    pub(in crate::rooms) fn nothing_there(room: &str, was_elsewhere: bool, position: Position) -> PollResult {
        let gap = was_elsewhere.then_some(Notice::whole_log(position.seq));
        let array = Array::begin(room, position.epoch, gap, Timestamp::default());
        PollResult::Messages(History { json: array.end(), position, gap })
    }
}

impl WaitingPoll {
    /// Whether it waits for what comes after something that was seen.
    #[cfg(any(test, feature = "fuzzing", debug_assertions))]
    pub(in crate::rooms) fn is_within(&self, visible: u64) -> bool {
        self.cursor <= visible
    }

    /// Whether nobody waits for the answer any longer, as far as the one who asked is known.
    pub(in crate::rooms) fn has_gone(&self) -> bool {
        self.waiter.as_ref().is_some_and(|waiter| waiter.strong_count() == 0)
    }
}

impl<P: Peer> Shard<P> {
    /// Answers a poll, or has it wait. The room is at `index`, and open.
    pub(in crate::rooms) fn poll(&mut self, index: usize, user: Box<str>, poll: Poll, now: Timestamp) {
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
        debug_assert!(cursor <= room.visible, "a poll that waits beyond what is visible");
        // Before it is counted: one that has waited for this room already is counted until then.
        poll.waits.send(Position { epoch: room.epoch, seq: cursor });
        if !self.has_place_for_poll(now) {
            return poll.reply.send(Err(RejectReason::Unavailable));
        }
        let Some(RoomSlot::Open(room)) = self.rooms.get_mut(index) else { return };
        // Whenever there are twice as many, so that each costs the same whatever their number.
        if room.polls.len().is_power_of_two() {
            room.forget_polls(now);
        }
        let micros = u64::try_from(poll.wait.as_micros()).unwrap_or(u64::MAX);
        let until = Timestamp::from_micros(now.micros().saturating_add(micros));
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
    pub(in crate::rooms) fn has_place_for_poll(&mut self, now: Timestamp) -> bool {
        let next_sweep = self.polls.swept_at.micros().saturating_add(SWEEP_INTERVAL_MICROS);
        if self.polls.count() >= WAITING_MAX && (self.clock.micros() >= next_sweep) {
            self.polls.swept_at = self.clock;
            for (_, entry) in &mut self.rooms {
                match entry {
                    RoomSlot::Open(room) => room.forget_polls(now),
                    RoomSlot::Opening(opening) => opening.forget_polls(now, &self.limits.bounds),
                }
            }
        }
        self.polls.count() < WAITING_MAX
    }
}

impl<P: Peer> Room<P> {
    pub(in crate::rooms) fn forget_polls(&mut self, now: Timestamp) {
        self.polls.retain(|poll| poll.until > now && !poll.has_gone());
    }

    /// How the room is.
    pub(in crate::rooms) fn position(&self) -> Joined {
        Joined { epoch: self.epoch, seq: self.visible, members: self.member_count() }
    }

    /// How much of its log may be seen.
    pub(in crate::rooms) fn visible_head(&self) -> VisibleHead {
        VisibleHead { epoch: self.epoch, stored_epoch: self.stored_epoch, seq: self.visible }
    }

    /// Answers the polls for which something has come.
    pub(in crate::rooms) fn answer_polls(&mut self) {
        for poll in std::mem::take(&mut self.polls) {
            if poll.has_gone() {
                // Its request was answered otherwise, or has died: nothing is to be read or sent for it.
                continue;
            }
            if poll.cursor < self.visible {
                // Whatever came since is too new to be gone by the room's clock.
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
            let beginning = Beginning { gap: Some(Notice::whole_log(self.visible)), ..self.beginning(start) };
            let result = self.told(self.visible, self.visible, &beginning);
            poll.reply.send(Ok(result));
        }
    }

    /// What there is for a poll, or the message after which it has to wait.
    fn begin_poll(&self, poll: &Poll, now: Timestamp) -> Result<PollResult, u64> {
        let beginning = self.beginning(poll.start);
        let Beginning { cursor, since, gap, .. } = beginning;
        if let Some(since) = since {
            return Ok(self.stored(ReadFrom::Time(since), now));
        }
        if cursor >= self.visible && gap.is_none() {
            return Err(cursor);
        }
        Ok(self.result(cursor, poll.limit, Some(&beginning), now))
    }

    fn nothing_after(&self, cursor: u64) -> PollResult {
        self.told(cursor, cursor, &Beginning { cursor, since: None, gap: None, at: Timestamp::default() })
    }

    /// What there is after `cursor`, behind what is gone before it.
    fn result(&self, cursor: u64, limit: usize, beginning: Option<&Beginning>, now: Timestamp) -> PollResult {
        let last = self.visible.min(cursor.saturating_add(limit as u64));
        if cursor < last && cursor + 1 < self.log.tail() {
            // The reader's own position: it has to be told of all that is gone since, which the store knows.
            let after = beginning.and_then(|beginning| beginning.gap).map_or(cursor, |(from, _)| from - 1);
            return self.stored(ReadFrom::Seq(after), now);
        }
        let none = Beginning { cursor, since: None, gap: None, at: Timestamp::default() };
        self.told(cursor, last, beginning.unwrap_or(&none))
    }

    fn stored(&self, after: ReadFrom, now: Timestamp) -> PollResult {
        let (epoch, stored_epoch, kept_after) = (self.epoch, self.stored_epoch, self.oldest - 1);
        let (tail, visible) = (self.log.tail().min(self.visible + 1), self.visible);
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
        debug_assert!(position.seq <= self.visible, "a poll is told a position that nobody has seen");
        PollResult::Messages(History { json: array.end(), position, gap })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::rooms::api::store::Stored;
    use crate::rooms::message::chat::Kind;

    fn page(seqs: impl IntoIterator<Item = u64>, tail: u64) -> Page {
        let message = |seq| Stored {
            seq,
            at: Timestamp::from_micros(1_769_860_800_000_000 + seq),
            kind: Kind::Message,
            sender: "s\"".into(),
            content: format!("c\n{seq}").into(),
            client_id: None,
            presence: None,
        };
        let gone_at = Timestamp::from_micros(tail - 1);
        Page { messages: seqs.into_iter().map(message).collect(), tail, gone_at, head: 9, epoch: 7, start: 2 }
    }

    fn backlog(after: ReadFrom, tail: u64) -> Backlog {
        let (epoch, stored_epoch, visible) = (7, 7, 9);
        Backlog { after, epoch, stored_epoch, kept_after: 0, tail, visible, now: Timestamp::default() }
    }

    #[test]
    fn messages_read_back_as_they_were_written() {
        let history = backlog(ReadFrom::Seq(2), 9).history("r", &page([3, 4], 1)).unwrap();
        let messages = history.messages();
        let seen: Vec<_> = messages.iter().map(|m| (m.seq, &*m.sender, &*m.content, m.timestamp)).collect();
        let expected = [
            (3, "s\"", "c\n3", "2026-01-31T12:00:00.000003Z"),
            (4, "s\"", "c\n4", "2026-01-31T12:00:00.000004Z"),
        ];
        assert_eq!(seen, expected);
        assert_eq!((history.position.to_string(), history.gap), ("0000000000000007:4".to_owned(), None));
    }

    #[test]
    fn what_is_not_kept_any_more_is_told_first_and_is_no_message() {
        let history = backlog(ReadFrom::Seq(2), 9).history("r", &page([5], 5)).unwrap();
        assert_eq!(history.gap, Some((3, 4)));
        assert!(history.json.starts_with(br#"[{"type":"GAP","roomId":"r","from":3,"to":4,"#));
        assert_eq!(history.messages().len(), 1);
        let all_gone = backlog(ReadFrom::Seq(2), 5).history("r", &page([], 5)).unwrap();
        assert_eq!((all_gone.gap, all_gone.position.seq), (Some((3, 4)), 4));
        assert!(all_gone.messages().is_empty() && all_gone.json.ends_with(b"}]"));
        let time = ReadFrom::Time(Timestamp::from_micros(1));
        let since = backlog(time, 9).history("r", &page([5], 5)).unwrap();
        assert_eq!((since.gap, since.position.seq), (Some((1, 4)), 5));
    }

    #[test]
    fn what_neither_the_store_nor_memory_has_is_a_gap_up_to_the_window() {
        let lost = backlog(ReadFrom::Seq(2), 9).history("r", &page([], 1)).unwrap();
        assert_eq!((lost.gap, lost.position.seq), (Some((3, 8)), 8));
    }

    #[test]
    fn a_time_after_all_that_is_stored_goes_on_in_memory() {
        let time = ReadFrom::Time(Timestamp::from_micros(u64::MAX));
        let beyond = backlog(time, 3).history("r", &page([], 1));
        assert_eq!(beyond, Err(Start::After { seq: 2, epoch: Some(7) }));
    }

    #[test]
    fn a_page_of_another_epoch_is_nobodys() {
        let renewed = Page { epoch: 8, ..page([3, 4], 1) };
        let again = Start::After { seq: 2, epoch: Some(7) };
        assert_eq!(backlog(ReadFrom::Seq(2), 9).history("r", &renewed), Err(again));
        let of_a_room_that_is_not_stored = Backlog { stored_epoch: 8, ..backlog(ReadFrom::Seq(2), 9) };
        let history = of_a_room_that_is_not_stored.history("r", &renewed).unwrap();
        assert_eq!(history.position, Position { epoch: 7, seq: 4 });
    }

    #[test]
    fn what_a_room_knows_to_be_gone_is_not_asked_for() {
        let backlog = Backlog { kept_after: 6, ..backlog(ReadFrom::Seq(2), 9) };
        assert_eq!(backlog.request(10, 10).from, ReadFrom::Seq(6));
        let history = backlog.history("r", &page([7, 8], 5)).unwrap();
        assert_eq!((history.gap, history.position.seq), (Some((3, 6)), 8));
        // By the store's own word nothing that was later than the time is gone.
        let since = Backlog { after: ReadFrom::Time(Timestamp::from_micros(4)), ..backlog };
        let history = since.history("r", &page([5, 6, 7, 8], 3)).unwrap();
        assert_eq!((history.gap, history.position.seq), (Some((3, 6)), 8));
    }
}
