//! How often something may happen: buckets that fill with time and empty with use.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

/// So much may happen in a second; what was not used is saved up to a limit.
///
/// Counted in whole fractions of a token, so that nothing is lost to rounding however slow the clock: a token is worth as
/// many as the clock has ticks in a second, and every tick brings as many as there are tokens in a second.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Rate {
    token: i64,
    per_tick: i64,
    saved_max: i64,
}

impl Rate {
    /// `per_second` tokens, of which up to `saved`'s worth can be saved; `None` if nothing is to be limited (0).
    pub(crate) fn new(per_second: usize, saved: Duration, ticks_per_second: u32) -> Option<Rate> {
        let (per_tick, token) = (i64::try_from(per_second).unwrap_or(i64::MAX), i64::from(ticks_per_second));
        let millis = i128::try_from(saved.as_millis()).unwrap_or(i128::MAX);
        let saved = (i128::from(per_tick) * i128::from(token)).saturating_mul(millis) / 1000;
        // One token must always fit.
        let saved_max = i64::try_from(saved).unwrap_or(i64::MAX).max(token);
        (per_second > 0).then_some(Rate { token, per_tick, saved_max })
    }
}

/// What is left of a [`Rate`]. May be in debt: a caller that takes several tokens at once is held back after it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Bucket {
    level: i64,
    at: u64,
}

impl Bucket {
    /// One without anything in it, for a rate that is not limited.
    pub(crate) const EMPTY: Bucket = Bucket { level: 0, at: 0 };

    /// A full one.
    pub(crate) fn full(rate: &Rate, now: u64) -> Bucket {
        Bucket { level: rate.saved_max, at: now }
    }

    /// Takes `count` tokens out, though it may not have them. False if it is in debt now.
    #[inline]
    pub(crate) fn take(&mut self, rate: &Rate, count: u32, now: u64) -> bool {
        if now != self.at {
            self.refill(rate, now);
        }
        self.level = self.level.saturating_sub(rate.token.saturating_mul(i64::from(count)));
        self.level >= 0
    }

    /// When it will be out of debt; `None` if it is not in debt.
    pub(crate) fn solvent_at(&self, rate: &Rate) -> Option<u64> {
        let ticks =
            (self.level < 0).then(|| self.level.unsigned_abs().div_ceil(rate.per_tick.unsigned_abs()))?;
        Some(self.at.saturating_add(ticks))
    }

    fn refill(&mut self, rate: &Rate, now: u64) {
        let ticks = i64::try_from(now.saturating_sub(self.at)).unwrap_or(i64::MAX);
        self.level = self.level.saturating_add(ticks.saturating_mul(rate.per_tick)).min(rate.saved_max);
        self.at = now;
    }
}

/// A rate that several threads use together, each with the microseconds of one clock that only runs on.
///
/// It remembers one moment: when all that was taken would have come in one by one (the generic cell rate algorithm).
#[derive(Debug)]
pub struct SharedRate {
    /// 0 without limit.
    interval_micros: AtomicU64,
    saved_micros: AtomicU64,
    /// The moment up to which everything is taken.
    taken_until: AtomicU64,
}

impl SharedRate {
    /// `per_second` of them, of which up to `saved`'s worth can be saved; 0 is no limit.
    #[must_use]
    pub fn new(per_second: usize, saved: Duration) -> SharedRate {
        let zero = || AtomicU64::new(0);
        let rate = SharedRate { interval_micros: zero(), saved_micros: zero(), taken_until: zero() };
        rate.set(per_second, saved);
        rate
    }

    /// Changes the rate.
    pub fn set(&self, per_second: usize, saved: Duration) {
        let per_second = u64::try_from(per_second).unwrap_or(u64::MAX);
        let interval_micros = 1_000_000_u64.checked_div(per_second).map_or(0, |interval| interval.max(1));
        let saved_micros = u64::try_from(saved.as_micros()).unwrap_or(u64::MAX).max(interval_micros);
        self.saved_micros.store(saved_micros, Ordering::Relaxed);
        self.interval_micros.store(interval_micros, Ordering::Relaxed);
    }

    /// Takes one, if there is one.
    #[must_use]
    pub fn take(&self, now_micros: u64) -> bool {
        let interval = self.interval_micros.load(Ordering::Relaxed);
        if interval == 0 {
            return true;
        }
        let latest = now_micros.saturating_add(self.saved_micros.load(Ordering::Relaxed));
        let next = |until: u64| {
            // Further ahead than anybody can have taken: the rate was changed.
            let from = if until > latest { now_micros } else { until.max(now_micros) };
            let until = from.saturating_add(interval);
            (until <= latest).then_some(until)
        };
        self.taken_until.fetch_update(Ordering::Relaxed, Ordering::Relaxed, next).is_ok()
    }

    /// Gives one back that was not needed.
    pub fn give_back(&self) {
        let interval = self.interval_micros.load(Ordering::Relaxed);
        let earlier = |until: u64| Some(until.saturating_sub(interval));
        let _always_some = self.taken_until.fetch_update(Ordering::Relaxed, Ordering::Relaxed, earlier);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    #[test]
    fn no_rate_is_no_limit() {
        assert_eq!(Rate::new(0, SECOND, 50), None);
        let rate = SharedRate::new(0, SECOND);
        assert!((0..1000).all(|_| rate.take(0)));
    }

    #[test]
    fn what_was_saved_can_be_used_at_once_and_then_as_fast_as_it_comes_in() {
        for (per_second, seconds) in [(1, 1), (3, 10), (100, 2), (12_345, 1)] {
            let rate = Rate::new(per_second, SECOND * seconds, 50).unwrap();
            let mut bucket = Bucket::full(&rate, 7);
            let saved = u32::try_from(per_second).unwrap() * seconds;
            assert!((0..saved).all(|_| bucket.take(&rate, 1, 7)), "{per_second}");
            assert!(!bucket.take(&rate, 1, 7), "{per_second}");
            // Each second brings as many as the rate says, whatever the ticks it is asked in.
            let brought = (8..57 + 500).filter(|&now| bucket.solvent_at(&rate).is_none_or(|at| at <= now));
            let mut taken = 0;
            for now in brought.collect::<Vec<_>>() {
                while bucket.take(&rate, 1, now) {
                    taken += 1;
                }
            }
            assert!(taken <= 11 * per_second, "{taken} at {per_second}");
        }
    }

    #[test]
    fn a_debt_is_paid_off_when_it_says_so() {
        let rate = Rate::new(20, SECOND, 50).unwrap();
        let mut bucket = Bucket::full(&rate, 0);
        assert!(bucket.solvent_at(&rate).is_none());
        assert!(!bucket.take(&rate, 60, 0));
        // 40 too many at 20 a second: two seconds of 50 ticks.
        assert_eq!(bucket.solvent_at(&rate), Some(100));
        assert!(!bucket.take(&rate, 0, 99));
        assert!(bucket.take(&rate, 0, 100));
        assert!(bucket.take(&rate, 20, 100_000), "no more is saved than may be");
        assert!(!bucket.take(&rate, 1, 100_000));
    }

    #[test]
    fn the_largest_figures_do_not_overflow() {
        let rate = Rate::new(usize::MAX, Duration::MAX, 50).unwrap();
        let mut bucket = Bucket::full(&rate, 0);
        assert!(bucket.take(&rate, u32::MAX, u64::MAX));
        assert!(SharedRate::new(usize::MAX, Duration::MAX).take(u64::MAX - 1));
    }

    #[test]
    fn a_shared_rate_lets_through_what_it_saved_and_then_one_for_each_interval() {
        let rate = SharedRate::new(10, SECOND);
        let taken = |from: u64, to: u64| (from..to).step_by(1000).filter(|&now| rate.take(now)).count();
        assert_eq!(taken(5_000_000, 5_001_000), 1);
        assert_eq!(taken(5_001_000, 5_050_000), 9);
        assert_eq!(taken(5_050_000, 8_050_000), 30);
        rate.give_back();
        assert!(rate.take(8_050_000) && !rate.take(8_050_000));
        rate.set(1000, SECOND);
        assert!(rate.take(8_050_000));
        rate.set(0, SECOND);
        assert!((0..10_000).all(|_| rate.take(8_050_000)));
    }

    #[test]
    fn a_clock_that_is_set_back_does_not_stop_everything() {
        let rate = SharedRate::new(10, SECOND);
        assert!(rate.take(1_000_000_000));
        assert!(rate.take(5_000_000));
    }
}
