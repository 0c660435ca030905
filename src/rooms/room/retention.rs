//! What a room keeps no longer, in memory as on disk: by age, by count, by bytes.
//!
//! The store deletes on disk, a little at a time, and reads nothing of what it has not deleted yet. The room does the
//! same to its window, so that every reader gets the same GAP wherever the messages were. Members that are sent
//! messages as they come are no such readers: what they have not had their turn for stays until then.

use std::collections::VecDeque;

use crate::rooms::api::settings::Retention;
use crate::rooms::api::store::Opened;
use crate::rooms::log::frames::Log;
use crate::rooms::timestamp::Timestamp;

/// A room's retention, and what has to be known for it.
#[derive(Debug, Default)]
pub(in crate::rooms) struct Retained {
    pub(in crate::rooms) retention: Retention,
    /// The bytes of the texts of the messages in the window, with their numbers; empty unless bytes are limited.
    sizes: VecDeque<(u64, u64)>,
    /// How many of them, from the front, are visible, and their bytes together.
    counted: (usize, u64),
}

impl Retained {
    /// Of a log that comes from the store.
    pub(in crate::rooms) fn of(opened: &Opened) -> Retained {
        let mut kept = Retained { retention: opened.retention, ..Retained::default() };
        opened.recent.iter().for_each(|stored| kept.note(stored.seq, &stored.sender, &stored.content));
        kept
    }

    /// A message was appended.
    pub(in crate::rooms) fn note(&mut self, seq: u64, sender: &str, content: &str) {
        if self.retention.bytes_max.is_some() {
            self.sizes.push_back((seq, sender.len() as u64 + content.len() as u64));
        }
    }

    /// The messages after `seq`, which were never visible, were taken back.
    pub(in crate::rooms) fn truncate(&mut self, seq: u64) {
        while self.sizes.back().is_some_and(|(last, _)| *last > seq) {
            self.sizes.pop_back();
        }
        debug_assert!(self.counted.0 <= self.sizes.len(), "a visible message was taken back");
    }

    /// The newest message that is kept no longer at this time, as far as the window tells: 0 if all of it is kept.
    pub(in crate::rooms) fn last_gone(&mut self, log: &Log, visible: u64, now: Timestamp) -> u64 {
        let Retention { messages_max, bytes_max, age_max } = self.retention;
        let by_count = messages_max.map_or(0, |max| visible.saturating_sub(max));
        let too_old = |age| log.cursor_before(now.earlier_by(age)).min(visible);
        // How old the messages are that have left the window is not known here.
        let by_age = age_max.map(too_old).filter(|gone| *gone >= log.tail()).unwrap_or(0);
        let by_bytes = bytes_max.map_or(0, |max| self.last_beyond(max, log.tail(), visible));
        by_count.max(by_age).max(by_bytes)
    }

    /// The newest message beyond the limit of bytes, 0 if none of the window is. The newest is never too much.
    fn last_beyond(&mut self, bytes_max: u64, tail: u64, visible: u64) -> u64 {
        let (mut count, mut bytes) = self.counted;
        while let Some((_, size)) = self.sizes.get(count).filter(|(seq, _)| *seq <= visible) {
            (count, bytes) = (count + 1, bytes + size);
        }
        let mut gone = 0;
        while let Some(&(seq, size)) = self.sizes.front()
            && count > 1
            && (bytes > bytes_max || seq < tail)
        {
            // What has left the window otherwise is the store's business.
            if bytes > bytes_max {
                gone = seq;
            }
            self.sizes.pop_front();
            (count, bytes) = (count - 1, bytes - size);
        }
        self.counted = (count, bytes);
        gone
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn kept(bytes_max: u64) -> Retained {
        let retention = Retention { bytes_max: Some(bytes_max), ..Retention::default() };
        Retained { retention, ..Retained::default() }
    }

    #[test]
    fn bytes_are_counted_back_from_the_newest_visible_message_which_always_stays() {
        let mut kept = kept(10);
        (1..=5).for_each(|seq| kept.note(seq, "abc", "d"));
        assert_eq!(kept.last_beyond(10, 1, 2), 0);
        assert_eq!(kept.last_beyond(10, 1, 3), 1);
        assert_eq!(kept.last_beyond(10, 1, 3), 0, "what is gone is told once");
        kept.truncate(3);
        kept.note(4, "", "a message of more bytes than are kept");
        assert_eq!(kept.last_beyond(10, 1, 4), 3);
        kept.note(5, "", "y");
        assert_eq!(kept.last_beyond(10, 1, 5), 4);
    }

    #[test]
    fn what_has_left_the_window_is_not_known_to_be_too_old() {
        let retention =
            Retention { age_max: Some(std::time::Duration::from_micros(50)), ..Retention::default() };
        let mut kept = Retained { retention, ..Retained::default() };
        let at = Timestamp::from_micros;
        let mut log = Log::after(148);
        assert_eq!(kept.last_gone(&log, 148, at(1000)), 0, "a window without messages");
        (149..=151).for_each(|seq| log.append(at(seq), |out| out.push(0)));
        assert_eq!(kept.last_gone(&log, 151, at(199)), 0, "none of it is too old");
        assert_eq!(kept.last_gone(&log, 151, at(200)), 149);
        assert_eq!(kept.last_gone(&log, 149, at(1000)), 149, "what is not visible yet is not gone");
    }

    #[test]
    fn what_has_left_the_window_is_not_counted() {
        let mut kept = kept(10);
        (1..=4).for_each(|seq| kept.note(seq, "ab", ""));
        assert_eq!(kept.last_beyond(10, 1, 4), 0);
        kept.note(5, "ab", "");
        assert_eq!((kept.last_beyond(10, 4, 5), kept.sizes.len()), (0, 2));
    }
}
