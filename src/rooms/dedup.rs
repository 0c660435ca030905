//! Client message ids seen lately, so that a repeated publish is recognised.

use std::collections::{HashMap, VecDeque};
use std::sync::Arc;
use std::time::Duration;

use super::Timestamp;

/// Ids remembered at most per room; beyond it the oldest is forgotten before its time.
const IDS_MAX: usize = 65_536;

/// The ids published in one room within the deduplication window, and the numbers of their messages.
#[derive(Debug, Default)]
pub(super) struct Dedup {
    seqs: HashMap<Arc<str>, u64>,
    /// Oldest first. Invariant: the same ids as in `seqs`.
    order: VecDeque<(Timestamp, Arc<str>)>,
}

impl Dedup {
    /// The number of the message that was published with `id` within `window` before `now`.
    pub(super) fn find(&mut self, id: &str, now: Timestamp, window: Duration) -> Option<u64> {
        let window = u64::try_from(window.as_micros()).unwrap_or(u64::MAX);
        while let Some((at, oldest)) = self.order.front() {
            if at.micros().saturating_add(window) > now.micros() {
                break;
            }
            self.seqs.remove(oldest);
            self.order.pop_front();
        }
        self.seqs.get(id).copied()
    }

    /// Notes that `id` was published now as message `seq`.
    pub(super) fn note(&mut self, id: &str, at: Timestamp, seq: u64) {
        if self.order.len() >= IDS_MAX
            && let Some((_, oldest)) = self.order.pop_front()
        {
            self.seqs.remove(&oldest);
        }
        let id: Arc<str> = id.into();
        self.seqs.insert(id.clone(), seq);
        self.order.push_back((at, id));
    }

    /// Forgets the ids of messages after `last`, which were taken back.
    pub(super) fn truncate(&mut self, last: u64) {
        while let Some((_, newest)) = self.order.back()
            && self.seqs.get(newest).is_some_and(|&seq| seq > last)
        {
            self.seqs.remove(newest);
            self.order.pop_back();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const WINDOW: Duration = Duration::from_micros(100);

    fn at(micros: u64) -> Timestamp {
        Timestamp::from_micros(micros)
    }

    #[test]
    fn an_id_is_known_within_the_window_and_forgotten_after_it() {
        let mut dedup = Dedup::default();
        dedup.note("a", at(0), 7);
        for (now, found) in [(0, Some(7)), (99, Some(7)), (100, None), (150, None)] {
            assert_eq!(dedup.find("a", at(now), WINDOW), found, "at {now}");
        }
    }

    #[test]
    fn the_ids_of_messages_taken_back_are_free_again() {
        let mut dedup = Dedup::default();
        for (id, seq) in [("a", 1), ("b", 2), ("c", 3)] {
            dedup.note(id, at(seq), seq);
        }
        dedup.truncate(1);
        let found = ["a", "b", "c"].map(|id| dedup.find(id, at(5), WINDOW));
        assert_eq!(found, [Some(1), None, None]);
    }

    #[test]
    fn memory_for_ids_is_bounded() {
        let mut dedup = Dedup::default();
        for id in 0..2 * IDS_MAX as u64 {
            dedup.note(&id.to_string(), at(1), id);
        }
        assert!(dedup.seqs.len() <= IDS_MAX && dedup.order.len() <= IDS_MAX);
    }
}
