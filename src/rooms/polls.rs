//! Readers that come for the next messages, wait for them if there are none, and go: long polling.

use std::time::Duration;

use super::command::{Joined, Reply, Start, Why};
use super::journal::From;
use super::message::{self, Notice};
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

/// What there is for a reader.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum News {
    /// Messages, perhaps behind a GAP; perhaps none.
    Messages {
        /// As a JSON array.
        json: Vec<u8>,
        /// Where they end.
        position: Position,
    },
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
        room.polls.push(Waiting { cursor: news, limit: poll.limit, until, reply: poll.reply });
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
        self.polls.retain(|poll| poll.until > now);
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
        let (room, epoch) = (&*self.name, self.epoch);
        let gap = gap.map(|(from, to)| Notice::Gap { room, epoch, from, to });
        Ok(self.news(cursor, poll.limit, gap))
    }

    fn nothing_after(&self, cursor: u64) -> News {
        self.news(cursor, 0, None)
    }

    fn news(&self, cursor: u64, limit: usize, gap: Option<Notice<'_>>) -> News {
        let last = self.visible.min(cursor.saturating_add(limit as u64));
        if cursor < last && cursor + 1 < self.log.tail() {
            return News::Stored(From::Seq(cursor));
        }
        let mut json = b"[".to_vec();
        if let Some(gap) = gap {
            gap.encode_json(&mut json);
        }
        for frame in (cursor + 1..=last).filter_map(|seq| self.log.frame(seq)) {
            if json.len() > 1 {
                json.push(b',');
            }
            json.extend_from_slice(message::payload_of(frame));
        }
        json.push(b']');
        News::Messages { json, position: Position { epoch: self.epoch, seq: last.max(cursor) } }
    }
}
