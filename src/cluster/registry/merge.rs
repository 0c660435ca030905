//! Public ids of all partitions in one order.

use std::cmp::Reverse;
use std::collections::{BinaryHeap, VecDeque};

use redis::Value;

use super::answer::{array, malformed, text};
use super::call::run_all;
use crate::cluster::partition::{PARTITIONS, Partition};
use crate::cluster::question::{Ask, Question};
use crate::store::StoreError;

/// Ids of one partition that are asked for at once, at most.
const PAGE_MAX: usize = 1_024;

/// One partition's ids: those that were read and are not taken.
struct Source {
    partition: Partition,
    key: String,
    /// What all ids have before them there.
    prefix: String,
    /// The last one that was read.
    read: String,
    ids: VecDeque<Box<str>>,
    /// Ids to ask for next.
    page: usize,
    is_ended: bool,
}

impl Source {
    fn question(&self) -> Question {
        let Source { partition, key, prefix, read, page, .. } = self;
        let min = if prefix.is_empty() && read.is_empty() { "-".into() } else { format!("({prefix}{read}") };
        // No text has a byte like that.
        let max = if prefix.is_empty() { b"+".to_vec() } else { [b"(", prefix.as_bytes(), b"\xff"].concat() };
        let range = Question::new(*partition, "ZRANGEBYLEX").arg(key).arg(min).arg(max);
        range.arg("LIMIT").arg(0).arg(*page)
    }

    fn receive(&mut self, answer: Value) -> Result<(), StoreError> {
        let found = array(answer, self.page)?;
        self.is_ended = found.len() < self.page;
        for id in found {
            let id = text(id)?;
            let id = id.strip_prefix(&*self.prefix).ok_or_else(|| malformed("an id out of its place"))?;
            // Whatever it says, it is not asked the same for ever.
            if *id <= *self.read {
                return Err(malformed("ids that are not in their order"));
            }
            self.read.replace_range(.., id);
            self.ids.push_back(id.into());
        }
        // All of a page may come from one partition: after some rounds it is read in long pages.
        self.page = (2 * self.page).min(PAGE_MAX);
        Ok(())
    }
}

/// The ids of all rooms, or of those that a user takes part in.
pub(super) struct Merge {
    sources: Vec<Source>,
    /// The first id of each source that has one.
    first: BinaryHeap<Reverse<(Box<str>, usize)>>,
    /// Sources that have none, and may not have ended.
    empty: Vec<usize>,
}

impl Merge {
    /// The ids behind `after`, of which about `wanted` will be taken.
    pub(super) fn new(participant: Option<&str>, after: &str, wanted: usize) -> Merge {
        let prefix = participant.map_or(String::new(), |user| format!("{}:{user}", user.len()));
        let sources = Partition::all().map(|partition| Source {
            partition,
            key: if participant.is_some() { partition.rooms_by_participant() } else { partition.rooms() },
            prefix: prefix.clone(),
            read: after.to_owned(),
            ids: VecDeque::new(),
            // Twice the share of each, so that one round is mostly enough.
            page: (2 * wanted / PARTITIONS + 4).min(PAGE_MAX),
            is_ended: false,
        });
        Merge { sources: sources.collect(), first: BinaryHeap::new(), empty: (0..PARTITIONS).collect() }
    }

    /// The next ids, at most this many; none if there are no more.
    pub(super) fn take(&mut self, conn: &mut dyn Ask, count: usize) -> Result<Vec<Box<str>>, StoreError> {
        let mut taken = Vec::new();
        while taken.len() < count {
            self.fill(conn)?;
            let Some(Reverse((id, source))) = self.first.pop() else { break };
            taken.push(id);
            match self.sources[source].ids.pop_front() {
                Some(next) => self.first.push(Reverse((next, source))),
                None => self.empty.push(source),
            }
        }
        Ok(taken)
    }

    /// Sees to it that each source that has not ended has an id, in one round.
    fn fill(&mut self, conn: &mut dyn Ask) -> Result<(), StoreError> {
        self.empty.retain(|source| !self.sources[*source].is_ended);
        if self.empty.is_empty() {
            return Ok(());
        }
        let questions: Vec<Question> =
            self.empty.iter().map(|source| self.sources[*source].question()).collect();
        for (source, answer) in self.empty.drain(..).zip(run_all(conn, &questions)?) {
            self.sources[source].receive(answer)?;
            if let Some(id) = self.sources[source].ids.pop_front() {
                self.first.push(Reverse((id, source)));
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn source(page: usize) -> Source {
        let (partition, key, prefix, read) = (Partition::of(""), "k".into(), "3:ann".into(), "b".into());
        Source { partition, key, prefix, read, ids: VecDeque::new(), page, is_ended: false }
    }

    fn ids(ids: &[&[u8]]) -> Value {
        Value::Array(ids.iter().map(|id| Value::BulkString(id.to_vec())).collect())
    }

    #[test]
    fn a_page_that_is_not_full_is_the_last() {
        let mut source = source(2);
        source.receive(ids(&[b"3:annc", b"3:annd"])).unwrap();
        assert!(!source.is_ended && source.page == 4 && source.read == "d");
        source.receive(ids(&[b"3:anne"])).unwrap();
        assert!(source.is_ended);
        assert_eq!(source.ids, ["c", "d", "e"].map(Box::<str>::from));
    }

    #[test]
    fn ids_that_do_not_go_on_are_an_error() {
        let bad: [&[&[u8]]; 6] = [
            &[b"3:annb"],
            &[b"3:annd", b"3:annc"],
            &[b"3:annc", b"3:annc"],
            &[b"3:bobc"],
            &[b"3:ann\xff"],
            &[b"3:annc", b"3:annd", b"3:anne"],
        ];
        for bad in bad {
            assert!(source(2).receive(ids(bad)).is_err(), "{bad:?}");
        }
        assert!(source(2).receive(Value::Int(1)).is_err());
    }
}
