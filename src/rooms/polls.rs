//! Readers that come for the next messages, wait for them if there are none, and go: long polling.

use std::sync::Weak;
use std::time::Duration;

use serde_json::value::RawValue;

use super::command::{Joined, Reply, Start, Why};
use super::journal::{From, Page};
use super::message::{self, Chat, Notice};
use super::peer::Peer;
use super::room::{Beginning, Room};
use super::shard::{Entry, Shard};
use super::timestamp::Timestamp;

/// Polls that wait in one shard at most.
const WAITING_MAX: usize = 16_384;

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
    pub asker: Option<Weak<()>>,
    /// Is told the position from which is waited, if there is nothing yet.
    pub waits: Reply<Position>,
    /// The answer. Without one after `wait`, there was nothing.
    pub reply: Reply<Result<News, Why>>,
}

/// A place in the log of a room.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Position {
    /// The log's epoch.
    pub epoch: u64,
    /// The last message before it.
    pub seq: u64,
}

impl std::fmt::Display for Position {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
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
    /// Part of a log from the store, for a reader who has everything up to `after`.
    #[must_use]
    pub fn from_page(room: &str, after: u64, page: &Page) -> History {
        let gap = (after + 1 < page.tail).then(|| (after + 1, page.tail - 1));
        let mut array = Array::begin(room, page.epoch, gap);
        for stored in &page.messages {
            array.push(|json| message::push_stored(json, room, page.epoch, stored));
        }
        let seq = page.messages.last().map_or(after.max(page.tail.saturating_sub(1)), |last| last.seq);
        History { json: array.end(), position: Position { epoch: page.epoch, seq }, gap }
    }

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
    fn begin(room: &str, epoch: u64, gap: Option<(u64, u64)>) -> Array {
        let mut array = Array(b"[".to_vec());
        if let Some((from, to)) = gap {
            Notice::Gap { room, epoch, from, to }.encode_json(&mut array.0);
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
pub enum News {
    /// Messages, perhaps none.
    Messages(History),
    /// Messages that have left memory: they are to be read from the store, from here on.
    Stored(From),
}

/// A poll that waits.
#[derive(Debug)]
pub(super) struct Waiting {
    cursor: u64,
    limit: usize,
    /// Nobody waits for the answer any longer.
    until: Timestamp,
    /// As [`Poll::asker`].
    asker: Option<Weak<()>>,
    reply: Reply<Result<News, Why>>,
}

impl<P: Peer> Shard<P> {
    /// Answers a poll, or has it wait. The room is at `index`, and open.
    pub(super) fn poll(&mut self, index: usize, poll: Poll, now: Timestamp) {
        let Some(Entry::Open(room)) = self.rooms.get_mut(index) else { return };
        let news = match room.begin_poll(&poll) {
            Ok(news) => return poll.reply.send(Ok(news)),
            Err(cursor) if poll.wait.is_zero() => return poll.reply.send(Ok(room.nothing_after(cursor))),
            Err(cursor) => cursor,
        };
        if self.polls >= WAITING_MAX {
            self.polls = self.rooms.iter_mut().map(|(_, entry)| entry.forget_polls(now)).sum();
        }
        let Some(Entry::Open(room)) = self.rooms.get_mut(index) else { return };
        if self.polls >= WAITING_MAX {
            return poll.reply.send(Err(Why::Unavailable));
        }
        self.polls += 1;
        poll.waits.send(Position { epoch: room.epoch, seq: news });
        room.forget_polls(now);
        let micros = u64::try_from(poll.wait.as_micros()).unwrap_or(u64::MAX);
        let until = Timestamp::from_micros(now.micros().saturating_add(micros));
        let Poll { limit, asker, reply, .. } = poll;
        room.polls.push(Waiting { cursor: news, limit, until, asker, reply });
    }
}

impl<P> Entry<P> {
    /// Forgets polls that nobody waits for any longer; returns how many are left.
    fn forget_polls(&mut self, now: Timestamp) -> usize
    where
        P: Peer,
    {
        match self {
            Entry::Open(room) => {
                room.forget_polls(now);
                room.polls.len()
            }
            Entry::Opening(_) => 0,
        }
    }
}

impl<P: Peer> Room<P> {
    pub(super) fn forget_polls(&mut self, now: Timestamp) {
        let has_gone = |asker: &Weak<()>| asker.strong_count() == 0;
        self.polls.retain(|poll| poll.until > now && !poll.asker.as_ref().is_some_and(has_gone));
    }

    /// How the room is.
    pub(super) fn position(&self) -> Joined {
        Joined { epoch: self.epoch, seq: self.visible, members: self.member_count() }
    }

    /// Answers the polls for which something has come.
    pub(super) fn answer_polls(&mut self) {
        for poll in std::mem::take(&mut self.polls) {
            if poll.cursor < self.visible {
                let news = self.news(poll.cursor, poll.limit, None);
                poll.reply.send(Ok(news));
            } else {
                self.polls.push(poll);
            }
        }
    }

    /// The room is no more.
    pub(super) fn end_polls(&mut self, why: Why) {
        for poll in std::mem::take(&mut self.polls) {
            poll.reply.send(Err(why));
        }
    }

    /// What there is for a poll, or the message after which it has to wait.
    fn begin_poll(&self, poll: &Poll) -> Result<News, u64> {
        let Beginning { cursor, since, gap } = self.beginning(poll.start);
        if let Some(since) = since {
            return Ok(News::Stored(From::Time(since)));
        }
        if cursor >= self.visible && gap.is_none() {
            return Err(cursor);
        }
        Ok(self.news(cursor, poll.limit, gap))
    }

    fn nothing_after(&self, cursor: u64) -> News {
        self.news(cursor, 0, None)
    }

    fn news(&self, cursor: u64, limit: usize, gap: Option<(u64, u64)>) -> News {
        let last = self.visible.min(cursor.saturating_add(limit as u64));
        if cursor < last && cursor + 1 < self.log.tail() {
            return News::Stored(From::Seq(cursor));
        }
        let mut array = Array::begin(&self.name, self.epoch, gap);
        for frame in (cursor + 1..=last).filter_map(|seq| self.log.frame(seq)) {
            array.push(|json| json.extend_from_slice(message::payload_of(frame)));
        }
        let position = Position { epoch: self.epoch, seq: last.max(cursor) };
        News::Messages(History { json: array.end(), position, gap })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::rooms::Kind;
    use crate::rooms::journal::Stored;

    fn page(seqs: impl IntoIterator<Item = u64>, tail: u64) -> Page {
        let message = |seq| Stored {
            seq,
            at: Timestamp::from_micros(1_769_860_800_000_000 + seq),
            kind: Kind::Message,
            sender: "s\"".into(),
            content: format!("c\n{seq}").into(),
            client_id: None,
        };
        Page { messages: seqs.into_iter().map(message).collect(), tail, head: 9, epoch: 7, start: 0 }
    }

    #[test]
    fn messages_read_back_as_they_were_written() {
        let history = History::from_page("r", 2, &page([3, 4], 1));
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
        let history = History::from_page("r", 2, &page([5], 5));
        assert_eq!(history.gap, Some((3, 4)));
        assert!(history.json.starts_with(br#"[{"type":"GAP","roomId":"r","from":3,"to":4,"#));
        assert_eq!(history.messages().len(), 1);
        let all_gone = History::from_page("r", 2, &page([], 5));
        assert_eq!((all_gone.gap, all_gone.position.seq), (Some((3, 4)), 4));
        assert!(all_gone.messages().is_empty() && all_gone.json.ends_with(b"}]"));
        let nothing_new = History::from_page("r", 9, &page([], 1));
        assert_eq!((nothing_new.gap, nothing_new.position.seq, &*nothing_new.json), (None, 9, &b"[]"[..]));
    }
}
