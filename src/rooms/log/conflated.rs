//! Conflation: a room in which only the latest message of each key counts.
//!
//! Games and telemetry publish states: a member that lags wants the newest state of each thing, not the way to it. Such
//! a room keeps the messages that no later one has replaced instead of a window of its log; it skips the numbers of the
//! others.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use super::encoding::{Encoding, Entry, LogId, write_entry};
use super::frames::{Log, Window};
use crate::rooms::timestamp::Timestamp;

/// Maximum number of messages that a room keeps, with key or without.
// Keys are chosen by clients: without this, each new one would take memory for good. 65,536 things are more than a game
// or a dashboard shows.
const VALUES_MAX: usize = 65_536;

/// A message that no later one has replaced.
#[derive(Debug)]
struct Value {
    at: Timestamp,
    key: Option<Box<[u8]>>,
    /// Its plain form: a whole frame.
    frame: Box<[u8]>,
}

/// What counts of a room's messages.
#[derive(Debug, Default)]
pub(in crate::rooms) struct Conflated {
    values: BTreeMap<u64, Value>,
    /// Invariant: leads for each key to the one value that has it.
    keys: HashMap<Box<[u8]>, u64>,
    bytes: usize,
    /// The newest message that was let go of although no later one had replaced it.
    lost: u64,
    sent: Scratch,
}

/// Frames as they were sent last, for the next member that needs the same.
#[derive(Debug, Default)]
struct Scratch {
    family: Option<u32>,
    cursor: u64,
    log: Log,
}

impl Conflated {
    /// Keeps a message, in place of the one with the same key; what is too much for `window` is let go of, oldest first.
    pub(in crate::rooms) fn put(
        &mut self,
        seq: u64,
        at: Timestamp,
        key: Option<&[u8]>,
        frame: Vec<u8>,
        window: Window,
    ) {
        if let Some(key) = key
            && let Some(replaced) = self.keys.insert(key.into(), seq)
        {
            self.remove(replaced);
        }
        self.bytes += frame.len();
        self.values.insert(seq, Value { at, key: key.map(Into::into), frame: frame.into() });
        let unkeyed_max = self.keys.len() + window.messages;
        while self.values.len() > 1
            && (self.values.len() > unkeyed_max.min(VALUES_MAX) || self.bytes > window.bytes)
        {
            let Some((&oldest, _)) = self.values.first_key_value() else { return };
            if let Some(Value { key: Some(key), .. }) = self.remove(oldest) {
                self.keys.remove(&key);
            }
            self.lost = oldest;
        }
        debug_assert!(self.keys.len() <= self.values.len(), "a key leads to one value of its own");
    }

    fn remove(&mut self, seq: u64) -> Option<Value> {
        let value = self.values.remove(&seq)?;
        self.bytes -= value.frame.len();
        Some(value)
    }

    /// The newest message that is gone for members that have not been sent it.
    pub(in crate::rooms) fn lost(&self) -> u64 {
        self.lost
    }

    /// The cursor from which every message later than `at` follows.
    pub(in crate::rooms) fn cursor_at(&self, at: Timestamp) -> u64 {
        let earlier = self.values.iter().take_while(|(_, value)| value.at <= at);
        earlier.last().map_or(0, |(seq, _)| *seq)
    }

    /// What was written last is not to be sent again: its form has panicked.
    pub(in crate::rooms) fn forget_sent(&mut self) {
        self.sent = Scratch::default();
    }

    /// What counts of the messages after `cursor` up to `last`, the newest one, in the form of `encoding`, or plain.
    /// The others are there, too, without a byte.
    pub(in crate::rooms) fn log(
        &mut self,
        encoding: Option<&Arc<dyn Encoding>>,
        log_id: LogId<'_>,
        cursor: u64,
        last: u64,
    ) -> &Log {
        let family = encoding.map(|encoding| encoding.family());
        let Scratch { family: done, cursor: from, log } = &mut self.sent;
        let is_labelled = encoding.is_some_and(|encoding| !encoding.label().is_empty());
        if *done == family && *from == cursor && log.head() == last && !is_labelled {
            return &self.sent.log;
        }
        (*done, *from) = (family, cursor);
        log.restart(cursor);
        for (&seq, Value { at, key, frame }) in self.values.range(cursor + 1..=last) {
            log.skip_to(seq - 1);
            let LogId { room, epoch } = log_id;
            let entry = Entry { room, epoch, seq, at: *at, frame, key: key.as_deref() };
            log.append(*at, |out| match encoding {
                Some(encoding) => write_entry(&**encoding, &entry, out),
                None => out.extend_from_slice(frame),
            });
        }
        log.skip_to(last);
        &self.sent.log
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const WINDOW: Window = Window { messages: 3, bytes: 1000 };

    fn put(conflated: &mut Conflated, seq: u64, key: &str, text: &str) {
        let key = (!key.is_empty()).then_some(key.as_bytes());
        conflated.put(seq, Timestamp::from_micros(seq * 10), key, text.into(), WINDOW);
    }

    /// What is sent of the messages after `cursor`: where each whole frame ends, and all bytes.
    fn sent(conflated: &mut Conflated, cursor: u64, last: u64) -> (u64, String) {
        let log = conflated.log(None, LogId { room: "r", epoch: 1 }, cursor, last);
        let slice = log.slice(cursor, last).expect("all numbers are there");
        (slice.frames(), String::from_utf8(slice.bytes().to_vec()).expect("text"))
    }

    #[test]
    fn only_the_latest_of_each_key_is_sent_and_all_without_a_key() {
        let mut conflated = Conflated::default();
        for (seq, key, text) in
            [(1, "a", "A1"), (2, "b", "B2"), (3, "", "-3"), (4, "a", "A4"), (5, "b", "B5")]
        {
            put(&mut conflated, seq, key, text);
        }
        assert_eq!(sent(&mut conflated, 0, 5), (5, "-3A4B5".into()));
        assert_eq!(sent(&mut conflated, 3, 5), (2, "A4B5".into()));
        assert_eq!(sent(&mut conflated, 4, 5), (1, "B5".into()));
        put(&mut conflated, 6, "b", "B6");
        assert_eq!(sent(&mut conflated, 4, 6), (2, "B6".into()), "what was replaced is not sent any more");
    }

    #[test]
    fn a_cut_between_frames_goes_on_with_the_next_one_that_counts() {
        let mut conflated = Conflated::default();
        for (seq, key, text) in [(1, "a", "AA"), (2, "b", "BB"), (3, "b", "CC"), (4, "", "DD")] {
            put(&mut conflated, seq, key, text);
        }
        let log = conflated.log(None, LogId { room: "r", epoch: 1 }, 0, 4);
        let slice = log.slice(0, 4).expect("all numbers are there");
        assert_eq!(slice.bytes(), b"AACCDD");
        assert_eq!(
            [0, 1, 2, 3, 4, 5].map(|written| slice.cut(written)),
            [(0, 0), (1, 2), (1, 2), (3, 4), (3, 4), (4, 6)]
        );
        assert_eq!(sent(&mut conflated, 1, 4), (3, "CCDD".into()));
    }

    #[test]
    fn what_is_too_much_is_let_go_of_and_told() {
        let mut conflated = Conflated::default();
        (1..=5).for_each(|seq| put(&mut conflated, seq, "", "x"));
        assert_eq!((conflated.lost(), sent(&mut conflated, 0, 5)), (2, (5, "xxx".into())));
        (6..=30).for_each(|seq| put(&mut conflated, seq, &format!("k{seq}"), "y"));
        assert_eq!(conflated.lost(), 2, "each key has its own place");
        put(&mut conflated, 31, "k31", &"z".repeat(980));
        assert_eq!((conflated.lost(), conflated.keys.len()), (10, conflated.values.len()));
        assert!(conflated.bytes <= WINDOW.bytes);
        put(&mut conflated, 32, "k31", "z");
        put(&mut conflated, 33, "k8", "back");
        assert_eq!(sent(&mut conflated, 30, 33), (3, "zback".into()));
    }

    #[test]
    fn a_time_is_found() {
        let mut conflated = Conflated::default();
        (1..=3).for_each(|seq| put(&mut conflated, seq, "", "x"));
        let cursor = |micros| conflated.cursor_at(Timestamp::from_micros(micros));
        assert_eq!([5, 10, 29, 30, 99].map(cursor), [0, 1, 2, 3, 3]);
    }
}
