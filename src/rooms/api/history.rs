//! A part of a room's log as JSON, from memory or from the store.

use serde_json::value::RawValue;

use super::store::{Page, PageRequest, ReadFrom};
use crate::rooms::message::chat::{Chat, push_stored};
use crate::rooms::message::notice::Notice;
use crate::rooms::timestamp::Timestamp;
use crate::rooms::values::{Position, Start};

/// A part of a room's log, the oldest message first.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct History {
    /// As a JSON array of what the members of the room were sent, behind a GAP if something is [gone](Self::gap).
    pub json: Vec<u8>,
    /// Where it ends: a reader that goes on after this misses nothing and gets nothing twice.
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
pub(in crate::rooms) struct Array(Vec<u8>);

impl Array {
    /// An array that begins with a GAP, if there is one.
    pub(in crate::rooms) fn begin(room: &str, epoch: u64, gap: Option<(u64, u64)>, at: Timestamp) -> Array {
        let mut array = Array(b"[".to_vec());
        if let Some((from, to)) = gap {
            Notice::Gap { room, epoch, from, to, at }.encode_json(&mut array.0);
        }
        array
    }

    pub(in crate::rooms) fn push(&mut self, write: impl FnOnce(&mut Vec<u8>)) {
        if self.0.len() > 1 {
            self.0.push(b',');
        }
        write(&mut self.0);
    }

    pub(in crate::rooms) fn end(mut self) -> Vec<u8> {
        self.0.push(b']');
        self.0
    }
}

/// A part of a room's log that only the store has, for a reader that goes on in memory behind it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Backlog {
    /// What the reader has.
    pub(in crate::rooms) after: ReadFrom,
    /// The room's epoch, and that of what is stored.
    pub(in crate::rooms) epoch: u64,
    pub(in crate::rooms) stored_epoch: u64,
    /// As far as the room knows, everything up to here is gone.
    pub(in crate::rooms) kept_after: u64,
    /// The oldest message in memory.
    pub(in crate::rooms) tail: u64,
    /// The newest message that may be shown.
    pub(in crate::rooms) visible: u64,
    pub(in crate::rooms) now: Timestamp,
}

impl Backlog {
    /// What to ask of the store.
    #[must_use]
    pub fn request(&self, messages_max: usize, bytes_max: usize) -> PageRequest {
        let from = match self.after {
            ReadFrom::Seq(seq) => ReadFrom::Seq(seq.max(self.kept_after)),
            ReadFrom::Time(_) | ReadFrom::Last(_) => self.after,
        };
        let (before, newest_first) = (self.visible.checked_add(1), false);
        PageRequest { from, messages_max, bytes_max, newest_first, before, now: self.now }
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::rooms::message::kind::Kind;
    use crate::rooms::message::stored::Stored;

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
