//! How fast one session may send: its messages and bytes, and its control frames.

use std::time::Duration;

use crate::limit_hits::Limit;
use crate::rate::{Bucket, Rate};
use crate::reactor::clock::wheel::{Tick, ticks};
use crate::reactor::limits::RateLimits;

/// What a session may still send.
#[derive(Debug)]
pub(crate) struct RateLimiter {
    rate_limits: RateLimits,
    messages: Bucket,
    bytes: Bucket,
    /// Nothing is read before; 0 while it may send.
    slowed_until: Tick,
}

impl RateLimiter {
    /// `None` if nothing is limited: then nothing has to be counted.
    pub(crate) fn new(rate_limits: RateLimits, now: Tick) -> Option<Box<RateLimiter>> {
        let full = |rate: Option<Rate>| rate.map_or(Bucket::EMPTY, |rate| Bucket::full(&rate, now));
        let (messages, bytes) = (full(rate_limits.messages), full(rate_limits.bytes));
        let is_needed = rate_limits.messages.is_some() || rate_limits.bytes.is_some();
        is_needed.then(|| Box::new(RateLimiter { rate_limits, messages, bytes, slowed_until: 0 }))
    }

    /// Counts a message. False if it is one too many.
    #[inline]
    pub(crate) fn take_message(&mut self, now: Tick) -> bool {
        self.rate_limits.messages.is_none_or(|rate| self.messages.take(&rate, 1, now))
    }

    /// Counts what was read. False if it is too much.
    pub(crate) fn take_bytes(&mut self, count: usize, now: Tick) -> bool {
        let count = u32::try_from(count).unwrap_or(u32::MAX);
        self.rate_limits.bytes.is_none_or(|rate| self.bytes.take(&rate, count, now))
    }

    /// Holds the session back until it is out of debt. Returns for how much longer than before, and because of which
    /// limit.
    pub(crate) fn slow_down(&mut self, now: Tick) -> Option<(Tick, Limit)> {
        let at = |rate: Option<Rate>, bucket: &Bucket| rate.and_then(|rate| bucket.solvent_at(&rate));
        let (messages, bytes) =
            (at(self.rate_limits.messages, &self.messages), at(self.rate_limits.bytes, &self.bytes));
        let until = messages.max(bytes)?;
        let before = self.slowed_until.max(now);
        self.slowed_until = until.max(before);
        let limit = if messages >= bytes { Limit::Messages } else { Limit::Bytes };
        (self.slowed_until > before).then_some((self.slowed_until - before, limit))
    }

    /// Nothing is read before this moment; 0 or past while it may send.
    pub(crate) fn slowed_until(&self) -> Tick {
        self.slowed_until
    }
}

/// Counts a session's control frames, in stretches of time.
#[derive(Clone, Copy, Debug)]
pub(crate) struct ControlFrames {
    since: Tick,
    count: u32,
}

impl ControlFrames {
    pub(crate) fn new(now: Tick) -> ControlFrames {
        ControlFrames { since: now, count: 0 }
    }

    /// Counts one more. False if that makes more than `max` in this stretch of `burst`.
    pub(crate) fn take(&mut self, max: u32, burst: Duration, now: Tick) -> bool {
        if now.saturating_sub(self.since) >= ticks(burst) {
            *self = ControlFrames::new(now);
        }
        self.count = self.count.saturating_add(1);
        self.count <= max
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    #[test]
    fn who_is_not_rationed_is_not_measured() {
        assert!(RateLimiter::new(RateLimits::new(0, 0, SECOND), 0).is_none());
        assert!(RateLimiter::new(RateLimits::default(), 0).is_none());
    }

    #[test]
    fn whichever_debt_lasts_longer_decides() {
        let mut limiter = RateLimiter::new(RateLimits::new(10, 1000, SECOND), 0).unwrap();
        assert!((0..10).all(|_| limiter.take_message(0)) && limiter.take_bytes(1000, 0));
        assert_eq!(limiter.slow_down(0), None);
        assert!(!limiter.take_message(0) && !limiter.take_bytes(3000, 0));
        // A message too many is a tenth of a second, 3,000 bytes are three seconds.
        assert_eq!((limiter.slow_down(0), limiter.slowed_until()), (Some((150, Limit::Bytes)), 150));
        assert_eq!(limiter.slow_down(1), None, "it is being held back already");
        assert!((0..100).any(|_| !limiter.take_message(150)));
        assert_eq!(limiter.slow_down(150).map(|(_, limit)| limit), Some(Limit::Messages));
    }

    #[test]
    fn control_frames_are_counted_afresh_in_every_stretch() {
        let mut frames = ControlFrames::new(5);
        assert!((0..7).all(|_| frames.take(7, SECOND, 54)));
        assert!(!frames.take(7, SECOND, 54));
        assert!((0..7).all(|_| frames.take(7, SECOND, 55)));
        assert!(!frames.take(7, SECOND, 55));
    }
}
