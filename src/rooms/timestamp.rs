//! Points in time as the log sees them: microseconds since 1970-01-01T00:00:00Z.

use std::time::Duration;

use crate::calendar;

const MICROS_PER_SECOND: u64 = 1_000_000;
const SECONDS_PER_DAY: u64 = 86_400;

/// Microseconds since the Unix epoch, UTC.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Timestamp(u64);

impl Timestamp {
    /// The length of [`Timestamp::encode`]'s text.
    pub const TEXT_BYTES: usize = 27;

    /// From microseconds since the Unix epoch.
    #[must_use]
    pub const fn from_micros(micros: u64) -> Timestamp {
        Timestamp(micros)
    }

    /// From the time since the Unix epoch, as a clock says it.
    #[must_use]
    pub fn from_unix(since_epoch: Duration) -> Timestamp {
        // A clock that is that far ahead is wrong, and half of the range leaves room for sums.
        Timestamp(u64::try_from(since_epoch.as_micros()).unwrap_or(u64::MAX / 2))
    }

    /// Microseconds since the Unix epoch.
    #[must_use]
    pub const fn micros(self) -> u64 {
        self.0
    }

    /// The later of `self` and the first moment after `before`: timestamps in a room never repeat.
    #[must_use]
    pub fn after(self, before: Timestamp) -> Timestamp {
        Timestamp(self.0.max(before.0 + 1))
    }

    /// This long before; the beginning of 1970 at the earliest.
    #[must_use]
    pub fn earlier_by(self, time: Duration) -> Timestamp {
        Timestamp(self.0.saturating_sub(u64::try_from(time.as_micros()).unwrap_or(u64::MAX)))
    }

    /// This long after.
    #[must_use]
    pub fn later_by(self, time: Duration) -> Timestamp {
        Timestamp(self.0.saturating_add(u64::try_from(time.as_micros()).unwrap_or(u64::MAX)))
    }

    /// Appends the RFC 3339 form with microseconds, `2026-01-31T12:00:00.123456Z`.
    ///
    /// Written by hand because it stands in every message of every room.
    pub fn encode(self, out: &mut Vec<u8>) {
        let seconds = self.0 / MICROS_PER_SECOND;
        let (year, month, day) = calendar::date(seconds / SECONDS_PER_DAY);
        let of_day = seconds % SECONDS_PER_DAY;
        let mut text = *b"0000-00-00T00:00:00.000000Z";
        digits(&mut text[0..4], year);
        digits(&mut text[5..7], month);
        digits(&mut text[8..10], day);
        digits(&mut text[11..13], of_day / 3600);
        digits(&mut text[14..16], of_day / 60 % 60);
        digits(&mut text[17..19], of_day % 60);
        digits(&mut text[20..26], self.0 % MICROS_PER_SECOND);
        out.extend_from_slice(&text);
    }
}

/// Writes `value` in decimal, right-aligned; the digits that do not fit are dropped at the left.
fn digits(out: &mut [u8], mut value: u64) {
    for digit in out.iter_mut().rev() {
        *digit = b'0' + u8::try_from(value % 10).unwrap_or(0);
        value /= 10;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn text(micros: u64) -> String {
        let mut out = Vec::new();
        Timestamp::from_micros(micros).encode(&mut out);
        assert_eq!(out.len(), Timestamp::TEXT_BYTES);
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn timestamps_are_written_as_rfc_3339_with_microseconds() {
        let cases = [
            (0, "1970-01-01T00:00:00.000000Z"),
            (951_782_400_000_001, "2000-02-29T00:00:00.000001Z"),
            (1_769_860_800_123_456, "2026-01-31T12:00:00.123456Z"),
            (4_107_542_399_999_999, "2100-02-28T23:59:59.999999Z"),
            (4_107_542_400_000_000, "2100-03-01T00:00:00.000000Z"),
        ];
        for (micros, expected) in cases {
            assert_eq!(text(micros), expected);
        }
    }

    #[test]
    fn a_timestamp_never_repeats_or_goes_back() {
        let earlier = Timestamp::from_micros(5);
        assert_eq!(Timestamp::from_micros(5).after(earlier), Timestamp::from_micros(6));
        assert_eq!(Timestamp::from_micros(1).after(earlier), Timestamp::from_micros(6));
        assert_eq!(Timestamp::from_micros(9).after(earlier), Timestamp::from_micros(9));
    }
}
