//! Durations and sizes as people write them: a whole number and a unit.

use std::time::Duration;

/// Units of time in milliseconds, the largest first.
const TIME_UNITS: [(&str, u64); 5] =
    [("d", 86_400_000), ("h", 3_600_000), ("min", 60_000), ("s", 1_000), ("ms", 1)];

/// Units of size in bytes, the largest first.
const SIZE_UNITS: [(&str, u64); 4] = [("GiB", 1 << 30), ("MiB", 1 << 20), ("KiB", 1 << 10), ("B", 1)];

/// Parses a duration such as `500ms`, `30s`, `2min`, `1h` or `7d`. `0` needs no unit.
/// The error says what a duration looks like.
pub fn parse_duration(text: &str) -> Result<Duration, String> {
    parse(text, &TIME_UNITS).map(Duration::from_millis).ok_or_else(|| {
        format!("{text:?} is not a duration like \"500ms\", \"30s\", \"2min\", \"1h\" or \"7d\"")
    })
}

/// Parses a size in bytes such as `512 B`, `64 KiB`, `1 MiB` or `2 GiB`. The error says what a size looks like.
pub fn parse_bytes(text: &str) -> Result<usize, String> {
    parse(text, &SIZE_UNITS)
        .and_then(|bytes| usize::try_from(bytes).ok())
        .ok_or_else(|| format!("{text:?} is not a size like \"512 B\", \"64 KiB\", \"1 MiB\" or \"2 GiB\""))
}

/// Writes a duration so that [`parse_duration`] reads it back, whole milliseconds at least.
pub(crate) fn write_duration(duration: Duration) -> String {
    let millis = u64::try_from(duration.as_millis()).unwrap_or(u64::MAX);
    let (unit, count) = largest(millis, &TIME_UNITS);
    format!("{count}{unit}")
}

/// Writes a size so that [`parse_bytes`] reads it back.
pub(super) fn write_bytes(bytes: usize) -> String {
    let (unit, count) = largest(u64::try_from(bytes).unwrap_or(u64::MAX), &SIZE_UNITS);
    format!("{count} {unit}")
}

/// Digits, at most one space, a unit.
fn parse(text: &str, units: &[(&str, u64)]) -> Option<u64> {
    let digits = text.bytes().take_while(u8::is_ascii_digit).count();
    let (number, unit) = text.split_at(digits);
    let number: u64 = number.parse().ok()?;
    if number == 0 && unit.is_empty() {
        return Some(0);
    }
    let unit = unit.strip_prefix(' ').unwrap_or(unit);
    let (_, factor) = units.iter().find(|(name, _)| *name == unit)?;
    number.checked_mul(*factor)
}

/// The largest unit that goes into the amount without a rest.
fn largest<'u>(amount: u64, units: &[(&'u str, u64)]) -> (&'u str, u64) {
    let fitting = units.iter().find(|(_, factor)| amount >= *factor && amount.is_multiple_of(*factor));
    let smallest = units.last().copied().unwrap_or(("", 1));
    let (unit, factor) = if amount == 0 { smallest } else { fitting.copied().unwrap_or(smallest) };
    (unit, amount / factor)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_duration_is_a_number_and_a_unit() {
        let cases = [
            ("500ms", Some(500)),
            ("30s", Some(30_000)),
            ("30 s", Some(30_000)),
            ("2min", Some(120_000)),
            ("1h", Some(3_600_000)),
            ("7d", Some(604_800_000)),
            ("0", Some(0)),
            ("0s", Some(0)),
            ("", None),
            ("s", None),
            ("30", None),
            ("-1s", None),
            ("+1s", None),
            ("1.5s", None),
            ("1e3s", None),
            ("30S", None),
            ("30  s", None),
            (" 30s", None),
            ("30s ", None),
            ("1h30min", None),
            ("99999999999999999999s", None),
            ("18446744073709551615s", None),
        ];
        for (text, millis) in cases {
            assert_eq!(parse_duration(text).ok(), millis.map(Duration::from_millis), "{text:?}");
        }
    }

    #[test]
    fn a_size_is_a_number_and_a_binary_unit() {
        let cases = [
            ("512 B", Some(512)),
            ("64KiB", Some(65_536)),
            ("1 MiB", Some(1_048_576)),
            ("2 GiB", Some(2_147_483_648)),
            ("64", None),
            ("64 KB", None),
            ("64 kib", None),
            ("1_000 B", None),
            ("1,5 MiB", None),
            ("99999999999 GiB", None),
        ];
        for (text, bytes) in cases {
            assert_eq!(parse_bytes(text).ok(), bytes, "{text:?}");
        }
    }

    #[test]
    fn what_is_written_reads_back_in_the_largest_unit() {
        for (millis, text) in [(0, "0ms"), (1, "1ms"), (1_500, "1500ms"), (75_000, "75s"), (120_000, "2min")]
        {
            assert_eq!(write_duration(Duration::from_millis(millis)), text);
            assert_eq!(parse_duration(text), Ok(Duration::from_millis(millis)));
        }
        for (bytes, text) in [(0, "0 B"), (1_000, "1000 B"), (65_536, "64 KiB"), (1 << 20, "1 MiB")] {
            assert_eq!(write_bytes(bytes), text);
            assert_eq!(parse_bytes(text), Ok(bytes));
        }
    }
}
