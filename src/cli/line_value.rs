//! Values in the lines of an export: names and times.

use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;

use crate::rooms::Timestamp;

/// A name in a log, perhaps one that could not be taken any more.
pub(super) fn check_name(name: &str, bytes_max: usize) -> Result<(), String> {
    if (1..=bytes_max).contains(&name.len()) && !name.chars().any(char::is_control) {
        return Ok(());
    }
    Err(format!("must have 1 to {bytes_max} bytes and no control characters"))
}

/// What the room would not give back exactly is refused.
pub(super) fn parse_time(text: &str) -> Option<Timestamp> {
    let nanos = u64::try_from(OffsetDateTime::parse(text, &Rfc3339).ok()?.unix_timestamp_nanos()).ok()?;
    nanos.is_multiple_of(1000).then(|| Timestamp::from_micros(nanos / 1000))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_time_that_the_room_would_not_give_back_is_refused() {
        let cases = [
            ("2026-01-31T12:00:00.123456Z", Some(1_769_860_800_123_456)),
            ("2026-01-31T13:00:00+01:00", Some(1_769_860_800_000_000)),
            ("2026-01-31T12:00:00.1234567Z", None),
            ("1969-12-31T23:59:59Z", None),
            ("2026-01-31", None),
        ];
        for (text, expected) in cases {
            assert_eq!(parse_time(text).map(Timestamp::micros), expected, "{text}");
        }
    }

    #[test]
    fn names_have_a_length_and_no_control_characters() {
        for (name, fine) in [("Jörg K", true), ("", false), ("a\nb", false), ("123456789", false)] {
            assert_eq!(check_name(name, 8).is_ok(), fine, "{name:?}");
        }
    }
}
