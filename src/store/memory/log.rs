//! A room's log that is kept in memory only: the newest messages, as many as its limits allow.

use std::collections::VecDeque;

use crate::rooms::store_api::{RecentId, Record, RecordPresence, Retention, Stored, StoredPresence};
use crate::rooms::{Kind, Timestamp, content_digest};

/// What a message costs besides its texts: its entry, and what the allocator adds.
const ENTRY_BYTES: usize = 64;

/// One message; its texts lie in one piece of memory.
#[derive(Debug)]
#[cfg_attr(feature = "simulation", derive(Clone))]
struct LogEntry {
    at: Timestamp,
    kind: Kind,
    sender_len: usize,
    content_len: usize,
    has_client_id: bool,
    texts: Box<str>,
    /// What a JOIN or LEAVE says besides.
    presence: Option<Box<StoredPresence>>,
}

impl LogEntry {
    fn kept_bytes(&self) -> u64 {
        (self.sender_len + self.content_len) as u64
    }

    fn cost(&self) -> usize {
        let presence = self.presence.as_ref().map_or(0, |presence| presence.username.len() + ENTRY_BYTES);
        self.texts.len() + presence + ENTRY_BYTES
    }

    fn client_id(&self) -> Option<&str> {
        self.has_client_id.then(|| &self.texts[self.sender_len + self.content_len..])
    }

    fn stored(&self, seq: u64) -> Stored {
        let (sender, rest) = self.texts.split_at(self.sender_len);
        Stored {
            seq,
            at: self.at,
            kind: self.kind,
            sender: sender.into(),
            content: rest[..self.content_len].into(),
            client_id: self.client_id().map(Box::from),
            presence: self.presence.as_deref().cloned(),
        }
    }
}

/// The newest messages of a room, dense in number and growing in time.
#[derive(Debug, Default)]
#[cfg_attr(feature = "simulation", derive(Clone))]
pub(super) struct Log {
    entries: VecDeque<LogEntry>,
    /// The number of the message before the first that is kept.
    floor: u64,
    /// The time of that message.
    gone_at: Timestamp,
    /// The time of the newest message that ever was.
    last_at: Timestamp,
    /// Bytes of senders and contents that are kept, as retention counts them.
    kept_bytes: u64,
    /// What the entries cost.
    cost: usize,
}

impl Log {
    pub(super) fn head(&self) -> u64 {
        self.floor + self.entries.len() as u64
    }

    /// The number of the oldest message that is kept.
    pub(super) fn tail(&self) -> u64 {
        self.floor + 1
    }

    pub(super) fn last_at(&self) -> Timestamp {
        self.last_at
    }

    pub(super) fn cost(&self) -> usize {
        self.cost
    }

    /// When the oldest message that is kept was numbered.
    pub(super) fn oldest_at(&self) -> Option<Timestamp> {
        self.entries.front().map(|entry| entry.at)
    }

    /// Whether a message of this number and time comes next.
    pub(super) fn precedes(&self, seq: u64, at: Timestamp) -> bool {
        seq == self.head() + 1 && at > self.last_at
    }

    /// Lets an empty log begin with the message after `seq`.
    pub(super) fn begin_after(&mut self, seq: u64) {
        if self.entries.is_empty() {
            self.floor = seq;
        }
    }

    /// Appends a message, which follows.
    pub(super) fn append(&mut self, record: &Record, text: &str) {
        let (sender, content) = (record.sender.of(text), record.content.of(text));
        let id = record.client_id.map(|id| id.of(text));
        let parts = [sender, content, id.unwrap_or_default()];
        let mut texts = String::with_capacity(parts.iter().map(|part| part.len()).sum());
        parts.into_iter().for_each(|part| texts.push_str(part));
        let presence = record.presence.map(|RecordPresence { username, online, .. }| {
            Box::new(StoredPresence { username: username.of(text).into(), online })
        });
        let (sender_len, content_len, has_client_id) = (sender.len(), content.len(), id.is_some());
        let (at, kind, texts) = (record.at, record.kind, texts.into_boxed_str());
        let entry = LogEntry { at, kind, sender_len, content_len, has_client_id, texts, presence };
        self.kept_bytes += entry.kept_bytes();
        self.cost += entry.cost();
        self.last_at = at;
        self.entries.push_back(entry);
    }

    /// Removes the oldest message.
    pub(super) fn remove_oldest(&mut self) {
        if let Some(entry) = self.entries.pop_front() {
            self.floor += 1;
            self.gone_at = entry.at;
            self.kept_bytes -= entry.kept_bytes();
            self.cost -= entry.cost();
        }
    }

    /// Removes what `retention` does not keep, and what costs more than `cost_max`; says how many messages it was.
    pub(super) fn trim(&mut self, retention: Retention, cost_max: usize, now: Timestamp) -> u64 {
        // The room's clock never goes back, even if the wall clock does.
        let kept_from = retention.age_max.map(|age| now.max(self.last_at).earlier_by(age));
        let before = self.floor;
        while let Some(oldest) = self.oldest_at() {
            let count = self.entries.len() as u64;
            let exceeds = retention.messages_max.is_some_and(|max| count > max)
                // The newest message is kept, of any size.
                || count > 1 && (self.cost > cost_max || retention.bytes_max.is_some_and(|max| self.kept_bytes > max))
                || kept_from.is_some_and(|from| oldest < from);
            if !exceeds {
                break;
            }
            self.remove_oldest();
        }
        // A burst does not keep its memory for ever.
        if self.entries.capacity() > 4 * self.entries.len() + 64 {
            self.entries.shrink_to(2 * self.entries.len());
        }
        self.floor - before
    }

    /// The last position after which every message is later than `at`.
    pub(super) fn seq_at(&self, at: Timestamp) -> u64 {
        self.floor + self.entries.partition_point(|entry| entry.at <= at) as u64
    }

    /// The message of this number, if it is kept.
    pub(super) fn message(&self, seq: u64) -> Option<Stored> {
        Some(self.entry(seq)?.stored(seq))
    }

    /// The client id of the message of this number, if it has one.
    pub(super) fn recent_id(&self, seq: u64) -> Option<RecentId> {
        let entry = self.entry(seq)?;
        let id = entry.client_id()?.into();
        let (sender, rest) = entry.texts.split_at(entry.sender_len);
        let digest = content_digest(&rest[..entry.content_len]);
        Some(RecentId { at: entry.at, seq, sender: sender.into(), id, digest })
    }

    /// When the newest message that is kept no longer was numbered; 0 if all are kept.
    pub(super) fn gone_at(&self) -> Timestamp {
        self.gone_at
    }

    fn entry(&self, seq: u64) -> Option<&LogEntry> {
        self.entries.get(usize::try_from(seq.checked_sub(self.tail())?).ok()?)
    }
}
