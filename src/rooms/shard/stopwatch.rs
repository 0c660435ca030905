//! How long messages take in a shard, for each step of their way.

use std::time::Duration;

use crate::rooms::clock::Moment;
use crate::rooms::steps::MessageSteps;

/// Number of messages after which the batch that brought them is timed.
// A batch that is timed costs some seventy instructions more.
const MESSAGES_PER_TIMED: u64 = 64;
/// Number of deliveries after which a pump is timed.
// The clock is read for it, which costs as much as a short delivery: a part of that in a thousand is not felt.
const DELIVERIES_PER_TIMED: u64 = 1024;
/// After so long without, the next one is timed, however little it has to do.
// Where little happens, this is what makes each message count for itself, ten times a second at most.
const PAUSE: Duration = Duration::from_millis(100);

/// Maximum number of different moments at which something that a pump sends may have become visible. Beyond it what came
/// later counts with the last one.
// What became visible together has one moment; a pump seldom has more than two or three.
const MOMENTS_MAX: usize = 32;

/// What a shard knows of the times of its messages.
#[derive(Debug, Default)]
pub(super) struct Stopwatch {
    pub(super) steps: MessageSteps,
    /// When the last commands or answers came.
    pub(super) now: Moment,
    taken: Lot<MESSAGES_PER_TIMED>,
    sent: Lot<DELIVERIES_PER_TIMED>,
    /// How many deliveries were made of what became visible when, in the pump that is under way.
    parts: Vec<(Moment, u64)>,
}

/// What has come together since something was timed last: it counts with what is timed next.
#[derive(Debug, Default)]
struct Lot<const PER_TIMED: u64> {
    count: u64,
    timed_at: Moment,
}

impl<const PER_TIMED: u64> Lot<PER_TIMED> {
    /// Whether enough has come together, or long ago.
    #[inline]
    fn is_due(&self, now: Moment) -> bool {
        self.count >= PER_TIMED || (self.count > 0 && now >= self.timed_at.later_by(PAUSE))
    }

    fn take(&mut self, now: Moment) -> u64 {
        self.timed_at = now;
        std::mem::take(&mut self.count)
    }
}

impl Stopwatch {
    /// A batch has brought this number of messages. Those of a turn that began at `read_at`, which is asked for if this one is
    /// timed.
    #[inline]
    pub(super) fn taken(&mut self, messages: u64, read_at: impl FnOnce() -> Moment) {
        self.taken.count += messages;
        if self.taken.is_due(self.now) {
            let messages = self.taken.take(self.now);
            self.steps.read_to_shard.note_many(micros(read_at(), self.now), messages);
        }
    }

    /// This number of deliveries were made of what nobody has seen before `since`.
    #[inline]
    pub(super) fn sent(&mut self, since: Moment, deliveries: u64) {
        if deliveries == 0 {
            return;
        }
        self.sent.count += deliveries;
        let is_full = self.parts.len() == MOMENTS_MAX;
        match self.parts.last_mut() {
            Some((last, count)) if *last == since || is_full => *count += deliveries,
            Some(_) | None => self.parts.push((since, deliveries)),
        }
    }

    /// A pump has ended; true if it is to be timed.
    #[inline]
    pub(super) fn wants_time(&mut self) -> bool {
        let is_due = !self.parts.is_empty() && self.sent.is_due(self.now);
        if !is_due {
            self.parts.clear();
        }
        is_due
    }

    /// The pump that has just ended did so at this time.
    pub(super) fn time(&mut self, now: Moment) {
        let in_this_pump: u64 = self.parts.iter().map(|(_, deliveries)| deliveries).sum();
        let mut left_out = self.sent.take(now) - in_this_pump;
        for (since, deliveries) in self.parts.drain(..) {
            let deliveries = deliveries + std::mem::take(&mut left_out);
            self.steps.commit_to_send.note_many(micros(since, now), deliveries);
        }
    }
}

pub(super) fn micros(since: Moment, now: Moment) -> u64 {
    now.micros().saturating_sub(since.micros())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(micros: u64) -> Moment {
        Moment::after_start(Duration::from_micros(micros))
    }

    #[test]
    fn small_pumps_count_with_the_next_one_that_is_timed() {
        let mut stopwatch = Stopwatch { now: at(0), ..Stopwatch::default() };
        stopwatch.sent(at(0), 1);
        assert!(stopwatch.wants_time(), "the first one is");
        stopwatch.time(at(7));
        for number in 1..DELIVERIES_PER_TIMED / 2 {
            stopwatch.now = at(number);
            stopwatch.sent(at(number), 2);
            assert!(!stopwatch.wants_time(), "after {} deliveries", 2 * number);
        }
        stopwatch.sent(at(1_000), 1);
        stopwatch.sent(at(1_000), 1);
        assert!(stopwatch.wants_time());
        stopwatch.time(at(1_040));
        let sends = stopwatch.steps.commit_to_send;
        assert_eq!((sends.count(), sends.sum()), (1 + DELIVERIES_PER_TIMED, 7 + DELIVERIES_PER_TIMED * 40));
        assert!(!stopwatch.wants_time(), "nothing was sent");
    }

    #[test]
    fn small_batches_count_with_the_next_one_that_is_timed() {
        let mut stopwatch = Stopwatch { now: at(0), ..Stopwatch::default() };
        stopwatch.taken(1, || at(0));
        stopwatch.now = at(60);
        (1..MESSAGES_PER_TIMED).for_each(|_| stopwatch.taken(1, || panic!("nobody wants to know")));
        stopwatch.taken(1, || at(50));
        let reads = stopwatch.steps.read_to_shard;
        assert_eq!((reads.count(), reads.sum()), (1 + MESSAGES_PER_TIMED, MESSAGES_PER_TIMED * 10));
    }

    #[test]
    fn after_a_pause_the_next_one_is_timed() {
        let mut stopwatch = Stopwatch { now: at(0), ..Stopwatch::default() };
        for second in 0..5 {
            stopwatch.now = at(second * 1_000_000);
            stopwatch.taken(1, || at(second * 1_000_000 - second));
            stopwatch.sent(stopwatch.now, 1);
            assert!(stopwatch.wants_time());
            stopwatch.time(stopwatch.now.later_by(Duration::from_micros(second)));
        }
        let MessageSteps { read_to_shard, commit_to_send, .. } = stopwatch.steps;
        assert_eq!((read_to_shard.count(), read_to_shard.sum()), (5, 10));
        assert_eq!((commit_to_send.count(), commit_to_send.sum()), (5, 10));
    }

    #[test]
    fn each_delivery_counts_from_when_it_could_be_made() {
        let mut stopwatch = Stopwatch { now: at(300), ..Stopwatch::default() };
        stopwatch.sent(at(100), 20);
        stopwatch.sent(at(300), 30);
        assert!(stopwatch.wants_time());
        stopwatch.time(at(400));
        let sends = stopwatch.steps.commit_to_send;
        assert_eq!((sends.count(), sends.sum()), (50, 20 * 300 + 30 * 100));
    }

    #[test]
    fn many_moments_take_no_more_memory_and_lose_no_delivery() {
        let mut stopwatch = Stopwatch { now: at(0), ..Stopwatch::default() };
        (0..1_000).for_each(|number| stopwatch.sent(at(number), 1));
        assert_eq!(stopwatch.parts.len(), MOMENTS_MAX);
        assert!(stopwatch.wants_time());
        stopwatch.time(at(2_000));
        assert_eq!(stopwatch.steps.commit_to_send.count(), 1_000);
    }
}
