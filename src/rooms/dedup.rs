//! Client message ids seen lately, so that a repeated publish is recognised.

use std::collections::{HashSet, VecDeque};
use std::sync::Arc;
use std::time::Duration;

use super::Timestamp;

/// Ids remembered at most per room; beyond it the oldest is forgotten before its time.
const IDS_MAX: usize = 65_536;

/// The ids published in one room within the deduplication window.
#[derive(Debug, Default)]
pub(super) struct Dedup {
    seen: HashSet<Arc<str>>,
    /// Oldest first. Invariant: the same ids as in `seen`.
    order: VecDeque<(Timestamp, Arc<str>)>,
}

impl Dedup {
    /// Notes `id`; false if it was seen within `window` before `now`.
    pub(super) fn first(&mut self, id: &str, now: Timestamp, window: Duration) -> bool {
        let window = u64::try_from(window.as_micros()).unwrap_or(u64::MAX);
        while let Some((at, oldest)) = self.order.front() {
            if at.micros().saturating_add(window) > now.micros() && self.order.len() < IDS_MAX {
                break;
            }
            self.seen.remove(oldest);
            self.order.pop_front();
        }
        if self.seen.contains(id) {
            return false;
        }
        let id: Arc<str> = id.into();
        self.seen.insert(id.clone());
        self.order.push_back((now, id));
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const WINDOW: Duration = Duration::from_micros(100);

    #[test]
    fn an_id_counts_once_within_the_window_and_again_after_it() {
        let mut dedup = Dedup::default();
        let times = [(0, true), (50, false), (99, false), (100, true), (150, false)];
        for (at, first) in times {
            assert_eq!(dedup.first("a", Timestamp::from_micros(at), WINDOW), first, "at {at}");
        }
    }

    #[test]
    fn memory_for_ids_is_bounded() {
        let mut dedup = Dedup::default();
        for id in 0..2 * IDS_MAX {
            assert!(dedup.first(&id.to_string(), Timestamp::from_micros(1), WINDOW));
        }
        assert!(dedup.seen.len() <= IDS_MAX && dedup.order.len() <= IDS_MAX);
    }
}
