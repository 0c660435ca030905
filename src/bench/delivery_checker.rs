//! Who got what: each member must get each message of each publisher in its room once, in order.

use std::collections::HashSet;
use std::fmt;

use serde::{Deserialize, Serialize};

use super::payload_id::PayloadId;

/// Holes that are remembered, to tell a late message from a repeated one. A server that loses more has failed anyway.
const HOLES_MAX: usize = 1 << 20;

/// What was wrong with the deliveries.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, Serialize)]
pub struct Faults {
    /// Messages that a member never got.
    pub missing: u64,
    /// Messages that a member got again.
    pub duplicate: u64,
    /// Messages that a member got after a later one of the same publisher.
    pub out_of_order: u64,
    /// Messages that a member got from another room.
    pub stray: u64,
    /// Messages that were cut off or garbled behind their stamp.
    pub garbled: u64,
    /// Times that the server told a member of a gap in what it asked for.
    pub gap: u64,
    /// Messages that everybody had been shown, and that were not stored when the server had been killed.
    pub lost: u64,
}

impl Faults {
    /// Whether everything was right.
    #[must_use]
    pub fn is_none(&self) -> bool {
        *self == Faults::default()
    }

    /// What was wrong in either of two places.
    #[must_use]
    pub(super) fn and(self, other: Faults) -> Faults {
        Faults {
            missing: self.missing + other.missing,
            duplicate: self.duplicate + other.duplicate,
            out_of_order: self.out_of_order + other.out_of_order,
            stray: self.stray + other.stray,
            garbled: self.garbled + other.garbled,
            gap: self.gap + other.gap,
            lost: self.lost + other.lost,
        }
    }
}

impl fmt::Display for Faults {
    /// Always the first four: that none was found is a result, too.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Faults { missing, duplicate, out_of_order, stray, garbled, gap, lost } = self;
        write!(f, "{missing} missing, {duplicate} repeated, {out_of_order} out of order, {garbled} garbled")?;
        for (count, what) in [(stray, "from another room"), (gap, "gaps"), (lost, "lost")] {
            if *count > 0 {
                write!(f, ", {count} {what}")?;
            }
        }
        Ok(())
    }
}

/// The next number that each member waits for, from each publisher of its room.
#[derive(Debug)]
pub(super) struct DeliveryChecker {
    /// Publishers of one room.
    publishers: usize,
    next: Vec<u32>,
    /// Numbers that were jumped over, by place in `next`.
    holes: HashSet<(usize, u32)>,
    faults: Faults,
}

impl DeliveryChecker {
    pub(super) fn new(members: usize, publishers: usize) -> DeliveryChecker {
        DeliveryChecker {
            publishers,
            next: vec![0; members * publishers],
            holes: HashSet::new(),
            faults: Faults::default(),
        }
    }

    /// Notes a delivery to a member of a room whose publishers are `first_publisher` and those after it. True if it
    /// was new to the member.
    #[inline]
    pub(super) fn note(&mut self, member: usize, first_publisher: usize, id: PayloadId) -> bool {
        let publisher = (id.publisher as usize).wrapping_sub(first_publisher);
        if publisher >= self.publishers {
            self.faults.stray += 1;
            return false;
        }
        let place = member * self.publishers + publisher;
        let expected = self.next[place];
        if id.number == expected {
            self.next[place] = expected + 1;
            return true;
        }
        self.note_unexpected(place, expected, id.number)
    }

    #[cold]
    fn note_unexpected(&mut self, place: usize, expected: u32, number: u32) -> bool {
        if number > expected {
            let room = HOLES_MAX.saturating_sub(self.holes.len());
            self.holes.extend((expected..number).take(room).map(|hole| (place, hole)));
            self.faults.missing += u64::from(number - expected);
            self.next[place] = number + 1;
            return true;
        }
        if self.holes.remove(&(place, number)) {
            self.faults.missing -= 1;
            self.faults.out_of_order += 1;
            return true;
        }
        self.faults.duplicate += 1;
        false
    }

    /// From now on a member of a room with one publisher waits for number `next`.
    pub(super) fn expect(&mut self, member: usize, next: u32) {
        self.next[member * self.publishers] = next;
    }

    /// The number that a member of a room with one publisher waits for.
    pub(super) fn expected(&self, member: usize) -> u32 {
        self.next[member * self.publishers]
    }

    /// What is wrong if nothing comes any more. `sent` tells how many messages the n-th publisher of the member's room
    /// sent; `None` for a member that does not count.
    pub(super) fn faults(&self, sent: impl Fn(usize, usize) -> Option<u32>) -> Faults {
        let mut faults = self.faults;
        for (place, &next) in self.next.iter().enumerate() {
            if let Some(sent) = sent(place / self.publishers, place % self.publishers) {
                faults.missing += u64::from(sent.saturating_sub(next));
            }
        }
        faults
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn faults_of(numbers: &[u32], sent: u32) -> Faults {
        let mut checker = DeliveryChecker::new(2, 1);
        for &number in numbers {
            checker.note(1, 5, PayloadId { publisher: 5, number });
        }
        checker.faults(|member, _| (member == 1).then_some(sent))
    }

    #[test]
    fn each_kind_of_fault_is_counted_as_what_it_is() {
        let none = Faults::default();
        assert!(faults_of(&[0, 1, 2], 3).is_none());
        assert_eq!(faults_of(&[0, 1], 3), Faults { missing: 1, ..none });
        assert_eq!(faults_of(&[0, 3], 4), Faults { missing: 2, ..none });
        assert_eq!(faults_of(&[0, 0, 1, 0], 2), Faults { duplicate: 2, ..none });
        assert_eq!(faults_of(&[0, 2, 1, 3], 4), Faults { out_of_order: 1, ..none });
        assert_eq!(faults_of(&[0, 2, 1, 1], 3), Faults { out_of_order: 1, duplicate: 1, ..none });
    }

    #[test]
    fn a_message_of_another_room_is_stray() {
        let mut checker = DeliveryChecker::new(4, 2);
        for (publisher, new) in [(1, false), (2, true), (3, true), (4, false)] {
            assert_eq!(checker.note(3, 2, PayloadId { publisher, number: 0 }), new);
        }
        assert_eq!(checker.faults(|_, _| None), Faults { stray: 2, ..Faults::default() });
    }
}
