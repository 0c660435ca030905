//! What Redis answers, checked: others may have written to it.

use std::fmt;

use redis::Value;

use crate::cluster::error::one_line;
use crate::store::StoreError;

/// Bytes of a text at most. Far more than a name or a description may have anywhere.
const TEXT_BYTES_MAX: usize = 64 << 10;

/// Redis does not do what it was asked to.
pub(super) fn unavailable(error: &dyn fmt::Display) -> StoreError {
    StoreError::Unavailable(one_line(&error.to_string()).into())
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
    fn what_redis_says_of_a_failure_is_shown_in_one_short_line() {
        let said = "no\r\nERROR ".repeat(100);
        let error = redis::RedisError::from((ErrorKind::Io, "it said", said));
        let StoreError::Unavailable(reason) = unavailable(&error) else { panic!("another error") };
        assert!(
            reason.len() == crate::cluster::error::REASON_BYTES_MAX && !reason.contains(char::is_control),
            "{reason}"
        );
    }
}
