//! Members that read from the store, a few pages at a time.

use std::collections::{HashMap, VecDeque};

use crate::rooms::ids::{MemberKey, ReadingMember};
use crate::rooms::timestamp::Timestamp;

/// Maximum number of pages under way; other members that read wait for one of these.
// Times the size of a page, this bounds the memory of a shard for pages; more would only wait in the queue of the store.
pub(crate) const PAGES_MAX: usize = 16;

/// Members that read from the store.
#[derive(Debug, Default)]
pub(super) struct CatchUp {
    pub(super) waiting: VecDeque<ReadingMember>,
    /// Invariant: every effect Read gets exactly one answer, which takes its number away here.
    pub(super) under_way: Vec<u64>,
    /// Invariant: has only members.
    pub(super) reading: HashMap<MemberKey, Reading>,
    /// The requests made so far.
    pub(super) number: u64,
}

/// What is known of a member that reads.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Reading {
    /// Its position, if that is still a time.
    pub(super) since: Option<Timestamp>,
    /// The request that is under way: the only page that it takes.
    pub(super) request: Option<u64>,
    /// The newest message that was stored when it was made.
    pub(super) stored: u64,
    /// Pages that were not what it had asked for.
    pub(super) mismatches: u8,
}

impl CatchUp {
    /// The member's position is a time.
    pub(super) fn begin_since(&mut self, member: MemberKey, since: Timestamp) {
        self.reading.insert(member, Reading { since: Some(since), ..Reading::default() });
    }

    /// Whether a page for this member is under way, or going to be asked for.
    #[cfg(any(test, feature = "fuzzing", debug_assertions))]
    pub(super) fn reads_for(&self, reader: ReadingMember) -> bool {
        let is_under_way = self.reading.get(&reader.member).is_some_and(|reading| reading.request.is_some());
        is_under_way || self.waiting.contains(&reader)
    }

    /// The members for whom a page is under way.
    #[cfg(any(test, feature = "fuzzing", debug_assertions))]
    pub(super) fn members_with_request(&self) -> impl Iterator<Item = MemberKey> {
        self.reading.iter().filter(|(_, reading)| reading.request.is_some()).map(|(member, _)| *member)
    }

    /// The member has left, or its position is another one: what is under way for it is dropped.
    pub(super) fn forget(&mut self, member: MemberKey) {
        self.reading.remove(&member);
    }
}
