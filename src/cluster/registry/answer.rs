//! What Redis answers, checked: others may have written to it.

use std::fmt;

use redis::Value;

use crate::store::StoreError;

/// Bytes of a text at most. Far more than a name or a description may have anywhere.
const TEXT_BYTES_MAX: usize = 64 << 10;
/// Characters of what Redis says about a failure that are passed on.
const REASON_CHARS_MAX: usize = 200;

/// Redis does not do what it was asked to.
pub(super) fn unavailable(error: &dyn fmt::Display) -> StoreError {
    // It goes to logs, and may be anything.
    let text = error.to_string();
    let shown = text.chars().map(|char| if char.is_control() { ' ' } else { char });
    StoreError::Unavailable(shown.take(REASON_CHARS_MAX).collect::<String>().into())
}

/// What stands in Redis was not written by a node.
pub(super) fn malformed(what: &str) -> StoreError {
    StoreError::Unavailable(format!("Redis has something that is not Foghorn's: {what}").into())
}

/// A list of this number of values at most.
pub(super) fn array(value: Value, max: usize) -> Result<Vec<Value>, StoreError> {
    match value {
        Value::Array(values) if values.len() <= max => Ok(values),
        Value::Array(_) => Err(malformed("a list that is too long")),
        _ => Err(malformed("no list where one was expected")),
    }
}

pub(super) fn text(value: Value) -> Result<Box<str>, StoreError> {
    let bytes = match value {
        Value::BulkString(bytes) => bytes,
        Value::SimpleString(text) => text.into_bytes(),
        _ => return Err(malformed("no text where one was expected")),
    };
    if bytes.len() > TEXT_BYTES_MAX {
        return Err(malformed("a text that is too long"));
    }
    match String::from_utf8(bytes) {
        Ok(text) => Ok(text.into()),
        Err(_) => Err(malformed("a text that is not UTF-8")),
    }
}

pub(super) fn optional_text(value: Value) -> Result<Option<Box<str>>, StoreError> {
    if matches!(value, Value::Nil) {
        return Ok(None);
    }
    text(value).map(Some)
}

/// A whole number that is not negative, as one or in decimal digits.
pub(super) fn number(value: Value) -> Result<u64, StoreError> {
    let number = match value {
        Value::Int(number) => u64::try_from(number).ok(),
        Value::BulkString(digits) => std::str::from_utf8(&digits).ok().and_then(parse_number),
        _ => None,
    };
    number.ok_or_else(|| malformed("no number where one was expected"))
}

/// `parse` alone takes a sign.
pub(super) fn parse_number(digits: &str) -> Option<u64> {
    digits.parse().ok().filter(|_| !digits.starts_with('+'))
}

/// 16 hex digits, as `uid` and epochs are.
pub(super) fn hex(text: &str) -> Option<u64> {
    let is_hex = text.len() == 16 && text.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'));
    u64::from_str_radix(text, 16).ok().filter(|_| is_hex)
}

#[cfg(test)]
mod tests {
    use redis::ErrorKind;

    use super::*;

    fn bulk(bytes: &[u8]) -> Value {
        Value::BulkString(bytes.to_vec())
    }

    #[test]
    fn numbers_are_digits_and_nothing_else() {
        let cases: [(&[u8], Option<u64>); 8] = [
            (b"0", Some(0)),
            (b"18446744073709551615", Some(u64::MAX)),
            (b"18446744073709551616", None),
            (b"", None),
            (b"+1", None),
            (b"-1", None),
            (b"1e3", None),
            (b"\xff", None),
        ];
        for (digits, expected) in cases {
            assert_eq!(number(bulk(digits)).ok(), expected, "{digits:?}");
        }
        assert_eq!((number(Value::Int(7)), number(Value::Int(-7)).is_err()), (Ok(7), true));
        assert!(number(Value::Double(1.0)).is_err() && number(Value::Nil).is_err());
    }

    #[test]
    fn texts_are_utf_8_of_a_limited_length() {
        assert_eq!(text(bulk("r\u{1f32b}".as_bytes())).as_deref(), Ok("r\u{1f32b}"));
        let bad = [bulk(b"\xff"), bulk(&[b'a'; TEXT_BYTES_MAX + 1]), Value::Int(1), Value::Nil];
        for value in bad {
            assert!(matches!(text(value), Err(StoreError::Unavailable(_))));
        }
        assert_eq!(optional_text(Value::Nil), Ok(None));
    }

    #[test]
    fn epochs_are_sixteen_lower_case_hex_digits() {
        assert_eq!(hex("00000000000000ff"), Some(255));
        for text in ["", "ff", "00000000000000FF", "+0000000000000ff", "000000000000000ff"] {
            assert_eq!(hex(text), None, "{text}");
        }
    }

    #[test]
    fn what_redis_says_of_a_failure_is_shown_in_one_short_line() {
        let said = "no\r\nERROR ".repeat(100);
        let error = redis::RedisError::from((ErrorKind::Io, "it said", said));
        let StoreError::Unavailable(reason) = unavailable(&error) else { panic!("another error") };
        assert!(reason.chars().count() == REASON_CHARS_MAX && !reason.contains(char::is_control), "{reason}");
    }
}
