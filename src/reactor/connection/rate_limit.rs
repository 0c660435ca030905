//! How fast one session may send: its messages and bytes, and its control frames.

use std::time::Duration;

use crate::metrics::Limit;
use crate::rate::{Bucket, Rate};
use crate::reactor::clock::wheel::{TICK_MILLIS, Tick, ticks};

/// Bytes read at once from a session whose messages are rationed: what it can send beyond its rates before it is held
/// back. Nothing that was read is kept for later.
pub(crate) const RATIONED_READ_BYTES: usize = 4 * 1024;

const TICKS_PER_SECOND: u32 = 1000 / 20;
const _: () = assert!(TICK_MILLIS == 20);

/// What the sessions of an endpoint may send.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Ration {
    messages: Option<Rate>,
    bytes: Option<Rate>,
}

impl Ration {
    /// So many messages and bytes a second, 0 without limit; what was not used is saved for `burst`.
    pub(crate) fn new(messages_per_second: usize, bytes_per_second: usize, burst: Duration) -> Ration {
        let rate = |per_second| Rate::new(per_second, burst, TICKS_PER_SECOND);
        Ration { messages: rate(messages_per_second), bytes: rate(bytes_per_second) }
    }
}

/// What a session has left of its ration.
#[derive(Debug)]
pub(crate) struct Meter {
    ration: Ration,
    messages: Bucket,
    bytes: Bucket,
    /// Nothing is read before; 0 while it may send.
    slowed_until: Tick,
}

impl Meter {
    /// `None` if nothing is rationed: then nothing has to be measured.
    pub(crate) fn new(ration: Ration, now: Tick) -> Option<Box<Meter>> {
        let full = |rate: Option<Rate>| rate.map_or(Bucket::EMPTY, |rate| Bucket::full(&rate, now));
        let (messages, bytes) = (full(ration.messages), full(ration.bytes));
        let is_needed = ration.messages.is_some() || ration.bytes.is_some();
        is_needed.then(|| Box::new(Meter { ration, messages, bytes, slowed_until: 0 }))
    }

    /// Counts a message. False if it is one too many.
    #[inline]
    pub(crate) fn take_message(&mut self, now: Tick) -> bool {
        self.ration.messages.is_none_or(|rate| self.messages.take(&rate, 1, now))
    }

    /// Counts what was read. False if it is too much.
    pub(crate) fn take_bytes(&mut self, count: usize, now: Tick) -> bool {
        let count = u32::try_from(count).unwrap_or(u32::MAX);
        self.ration.bytes.is_none_or(|rate| self.bytes.take(&rate, count, now))
    }

    /// Holds the session back until it is out of debt. Returns for how much longer than before, and because of which
    /// limit.
    pub(crate) fn slow_down(&mut self, now: Tick) -> Option<(Tick, Limit)> {
        let at = |rate: Option<Rate>, bucket: &Bucket| rate.and_then(|rate| bucket.solvent_at(&rate));
        let (messages, bytes) =
            (at(self.ration.messages, &self.messages), at(self.ration.bytes, &self.bytes));
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
        assert!(Meter::new(Ration::new(0, 0, SECOND), 0).is_none());
        assert!(Meter::new(Ration::default(), 0).is_none());
    }

    #[test]
    fn whichever_debt_lasts_longer_decides() {
        let mut meter = Meter::new(Ration::new(10, 1000, SECOND), 0).unwrap();
        assert!((0..10).all(|_| meter.take_message(0)) && meter.take_bytes(1000, 0));
        assert_eq!(meter.slow_down(0), None);
        assert!(!meter.take_message(0) && !meter.take_bytes(3000, 0));
        // A message too many is a tenth of a second, 3,000 bytes are three seconds.
        assert_eq!((meter.slow_down(0), meter.slowed_until()), (Some((150, Limit::Bytes)), 150));
        assert_eq!(meter.slow_down(1), None, "it is being held back already");
        assert!((0..100).any(|_| !meter.take_message(150)));
        assert_eq!(meter.slow_down(150).map(|(_, limit)| limit), Some(Limit::Messages));
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
