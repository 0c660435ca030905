//! Client message ids seen lately, so that a repeated publish is recognised.

use crate::rooms::clock::Moment;
use std::collections::hash_map::Entry;
use std::collections::{HashMap, VecDeque};
use std::hash::BuildHasher;
use std::time::Duration;

use crate::rooms::message::identity::Identified;
use crate::rooms::timestamp::Timestamp;
use crate::system::RandomState;

/// Maximum number of ids remembered for a room; beyond it the oldest is forgotten before its time.
// An id takes about 80 bytes, so 10 MiB. With the default window of 120 s it is reached at 1,000 messages with id a
// second.
const IDS_MAX: usize = 131_072;

/// The message that was first published with an id.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::rooms) struct Earlier {
    pub(in crate::rooms) seq: u64,
    pub(in crate::rooms) at: Timestamp,
    digest: u64,
}

impl Earlier {
    /// A message that the store has found, which has compared the contents.
    pub(in crate::rooms) fn at(seq: u64, at: Timestamp) -> Earlier {
        Earlier { seq, at, digest: 0 }
    }

    /// Whether it has the same content.
    pub(in crate::rooms) fn is_same(&self, digest: u64) -> bool {
        self.digest == digest
    }
}

/// A sender and its id, as 128 bits that no client can aim at: two ids meet by accident once in a universe, and texts of
/// strangers need no memory.
type IdKey = u128;

/// The ids published in one room within the deduplication window, and their messages.
#[derive(Debug, Default)]
pub(in crate::rooms) struct Dedup {
    earlier: HashMap<IdKey, Earlier>,
    /// Oldest first. Invariant: the same ids as in `earlier`.
    order: VecDeque<(Moment, IdKey)>,
    hashers: [RandomState; 2],
}

impl Dedup {
    /// The message that was published with this id within `window` before `now`.
    pub(in crate::rooms) fn find(
        &mut self,
        message: Identified<'_>,
        now: Moment,
        window: Duration,
    ) -> Option<Earlier> {
        while let Some((_, oldest)) = self.order.pop_front_if(|(noted, _)| noted.later_by(window) <= now) {
            self.earlier.remove(&oldest);
        }
        debug_assert_eq!(self.earlier.len(), self.order.len(), "an id is remembered once");
        self.earlier.get(&self.key(message)).copied()
    }

    /// Notes that a message was published now as `seq`, and stamped `at`. Of two with one id the first counts.
    pub(in crate::rooms) fn note(&mut self, message: Identified<'_>, now: Moment, at: Timestamp, seq: u64) {
        let key = self.key(message);
        let Entry::Vacant(new) = self.earlier.entry(key) else { return };
        new.insert(Earlier { seq, at, digest: message.digest });
        self.order.push_back((now, key));
        if self.order.len() > IDS_MAX
            && let Some((_, oldest)) = self.order.pop_front()
        {
            self.earlier.remove(&oldest);
        }
    }

    /// Forgets the ids of messages after `last`, which were taken back.
    pub(in crate::rooms) fn truncate(&mut self, last: u64) {
        while let Some((_, newest)) = self.order.back()
            && self.earlier.get(newest).is_some_and(|earlier| earlier.seq > last)
        {
            self.earlier.remove(newest);
            self.order.pop_back();
        }
    }

    fn key(&self, message: Identified<'_>) -> IdKey {
        let [high, low] =
            [&self.hashers[0], &self.hashers[1]].map(|hasher| hasher.hash_one((message.owner, message.id)));
        u128::from(high) << 64 | u128::from(low)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::rooms::message::identity::{IdOwner, content_digest};

    const WINDOW: Duration = Duration::from_micros(100);

    fn at(micros: u64) -> Timestamp {
        Timestamp::from_micros(micros)
    }

    fn when(micros: u64) -> Moment {
        Moment::after_start(Duration::from_micros(micros))
    }

    fn of<'a>(owner: IdOwner<'a>, id: &'a str) -> Identified<'a> {
        Identified { owner, id, digest: content_digest("content") }
    }

    fn anns(id: &str) -> Identified<'_> {
        of(IdOwner::User("ann"), id)
    }

    #[test]
    fn an_id_is_known_within_the_window_and_forgotten_after_it() {
        let mut dedup = Dedup::default();
        dedup.note(anns("a"), when(0), at(0), 7);
        for (now, found) in [(0, Some(7)), (99, Some(7)), (100, None), (150, None)] {
            assert_eq!(dedup.find(anns("a"), when(now), WINDOW).map(|first| first.seq), found, "at {now}");
        }
    }

    #[test]
    fn an_id_belongs_to_its_sender() {
        let mut dedup = Dedup::default();
        let senders =
            [IdOwner::User("ann"), IdOwner::User("bob"), IdOwner::User("annx"), IdOwner::Session(1)];
        for (seq, sender) in (1..).zip(senders) {
            assert_eq!(dedup.find(of(sender, "x1"), when(0), WINDOW), None, "{sender:?}");
            dedup.note(of(sender, "x1"), when(0), at(0), seq);
        }
        assert_eq!(
            dedup.find(of(IdOwner::User("ann"), "1"), when(0), WINDOW),
            None,
            "names and ids are not run together"
        );
        let found =
            senders.map(|sender| dedup.find(of(sender, "x1"), when(1), WINDOW).map(|first| first.seq));
        assert_eq!(found, [Some(1), Some(2), Some(3), Some(4)]);
    }

    #[test]
    fn of_two_messages_with_one_id_the_first_counts() {
        let mut dedup = Dedup::default();
        dedup.note(anns("a"), when(1), at(1), 1);
        dedup.note(anns("a"), when(2), at(2), 2);
        let first = dedup.find(anns("a"), when(2), WINDOW).unwrap();
        assert_eq!((first.seq, first.at), (1, at(1)));
        assert!(first.is_same(content_digest("content")) && !first.is_same(content_digest("other")));
    }

    #[test]
    fn the_ids_of_messages_taken_back_are_free_again() {
        let mut dedup = Dedup::default();
        for (id, seq) in [("a", 1), ("b", 2), ("c", 3)] {
            dedup.note(anns(id), when(seq), at(seq), seq);
        }
        dedup.truncate(1);
        let found = ["a", "b", "c"].map(|id| dedup.find(anns(id), when(5), WINDOW).map(|first| first.seq));
        assert_eq!(found, [Some(1), None, None]);
    }

    #[test]
    fn memory_for_ids_is_bounded() {
        let mut dedup = Dedup::default();
        for id in 0..2 * IDS_MAX as u64 {
            dedup.note(anns(&id.to_string()), when(1), at(1), id);
        }
        assert!(dedup.earlier.len() <= IDS_MAX && dedup.order.len() <= IDS_MAX);
    }
}
