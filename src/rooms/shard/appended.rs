//! When the messages that wait for the store were appended.

use std::collections::VecDeque;

use crate::rooms::clock::Moment;

/// When messages were appended, and how many at that time; in order, so that the store's answers, which come in the order
/// of the batches, take them from the front. What is applied together has one time: this is short.
#[derive(Debug, Default)]
pub(super) struct Appended(VecDeque<(Moment, usize)>);

impl Appended {
    /// One more was appended.
    pub(super) fn push(&mut self, at: Moment) {
        match self.0.back_mut() {
            Some((last, count)) if *last == at => *count += 1,
            Some(_) | None => self.0.push_back((at, 1)),
        }
    }

    /// The first `messages` wait no more; `each` is told when how many of them were appended.
    pub(super) fn take(&mut self, mut messages: usize, mut each: impl FnMut(Moment, usize)) {
        while let Some((at, count)) = self.0.front_mut()
            && messages > 0
        {
            let taken = messages.min(*count);
            each(*at, taken);
            messages -= taken;
            *count -= taken;
            if *count == 0 {
                self.0.pop_front();
            }
        }
        debug_assert_eq!(messages, 0, "more messages than were appended");
    }

    /// This number of messages will not be stored. They count as the newest: which ones they are is not known here, and the
    /// others are late by no more than what has gathered for one batch.
    pub(super) fn drop_newest(&mut self, mut messages: usize) {
        while let Some((_, count)) = self.0.back_mut()
            && messages > 0
        {
            let dropped = messages.min(*count);
            messages -= dropped;
            *count -= dropped;
            if *count == 0 {
                self.0.pop_back();
            }
        }
    }

    /// None will be stored.
    pub(super) fn clear(&mut self) {
        self.0.clear();
    }

    /// How many wait.
    #[cfg(any(test, feature = "fuzzing", debug_assertions))]
    pub(super) fn len(&self) -> usize {
        self.0.iter().map(|(_, count)| count).sum()
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn what_was_appended_first_is_taken_first_and_what_came_last_is_dropped() {
        let at = |second| Moment::after_start(Duration::from_secs(second));
        let mut appended = Appended::default();
        [1, 1, 1, 2, 3, 3].into_iter().for_each(|second| appended.push(at(second)));
        appended.drop_newest(1);
        let mut taken = Vec::new();
        appended.take(2, |at, count| taken.push((at, count)));
        appended.take(2, |at, count| taken.push((at, count)));
        assert_eq!(taken, [(at(1), 2), (at(1), 1), (at(2), 1)]);
        assert_eq!(appended.len(), 1);
        appended.push(at(4));
        appended.drop_newest(9);
        assert_eq!(appended.len(), 0);
    }
}
