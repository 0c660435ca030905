//! What this node has seen of each partition: its generation, and the number of changes in it. Redis that knows less has
//! forgotten something.

use std::sync::{Mutex, PoisonError};

use super::partition::{PARTITIONS, Partition};

/// What was seen of a partition; empty and 0 before anything was.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Seen {
    pub(super) generation: Box<str>,
    pub(super) changes: u64,
}

/// Digits of the number in a generation at most.
const NUMBER_DIGITS_MAX: usize = 15;

/// The number of a generation, `number-16 hex digits`; `None` if it is no such text.
pub(super) fn generation_number(generation: &str) -> Option<u64> {
    let (number, chance) = generation.split_once('-')?;
    let is_known = chance.len() == 16
        && chance.bytes().all(|digit| digit.is_ascii_hexdigit())
        && number.len() <= NUMBER_DIGITS_MAX
        && number.bytes().all(|digit| digit.is_ascii_digit());
    number.parse().ok().filter(|_| is_known)
}

impl Seen {
    /// Takes what is newer.
    fn note(&mut self, generation: &str, changes: u64) {
        if *self.generation == *generation {
            self.changes = self.changes.max(changes);
        } else if generation_number(generation) > generation_number(&self.generation) {
            *self = Seen { generation: generation.into(), changes };
        }
    }
}

/// What was seen of all partitions.
#[derive(Debug)]
pub(super) struct Generations(Mutex<Box<[Seen]>>);

impl Default for Generations {
    fn default() -> Generations {
        Generations(Mutex::new(vec![Seen::default(); PARTITIONS].into()))
    }
}

impl Generations {
    pub(super) fn of(&self, partition: Partition) -> Seen {
        let all = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        all.get(partition.index()).cloned().unwrap_or_default()
    }

    pub(super) fn note(&self, partition: Partition, generation: &str, changes: u64) {
        let mut all = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(seen) = all.get_mut(partition.index()) {
            seen.note(generation, changes);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_newer_is_kept() {
        let mut seen = Seen::default();
        let (first, second, other) = ("1-00000000000000aa", "2-00000000000000bb", "2-00000000000000cc");
        for (generation, changes, expected) in [
            (first, 5, (first, 5)),
            (first, 4, (first, 5)),
            (second, 1, (second, 1)),
            (first, 9, (second, 1)),
            (other, 9, (second, 1)),
            ("3-x", 9, (second, 1)),
        ] {
            seen.note(generation, changes);
            assert_eq!((&*seen.generation, seen.changes), expected);
        }
    }

    #[test]
    fn a_generation_is_a_number_and_chance() {
        assert_eq!(generation_number("12-0123456789abcdef"), Some(12));
        for text in [
            "",
            "-",
            "1",
            "1-",
            "x-0123456789abcdef",
            "1-0123456789abcde",
            "-0123456789abcdef",
            "1-0123456789abcdeg",
            "1000000000000000-0123456789abcdef",
            "+1-0123456789abcdef",
        ] {
            assert_eq!(generation_number(text), None, "{text}");
        }
    }
}
