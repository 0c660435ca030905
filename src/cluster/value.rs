//! What Redis answers, taken apart. Nothing of it is believed.

use redis::Value;

use crate::rooms::store_api::SEQ_MAX;

/// Text.
pub(super) fn text(value: &Value) -> Option<&str> {
    match value {
        Value::BulkString(bytes) => std::str::from_utf8(bytes).ok(),
        Value::SimpleString(text) => Some(text),
        _ => None,
    }
}

/// A whole number that Lua keeps exactly, in decimal digits.
pub(super) fn whole(text: &str) -> Option<u64> {
    let is_plain = !text.is_empty() && text.bytes().all(|digit| digit.is_ascii_digit());
    text.parse().ok().filter(|number| is_plain && *number <= SEQ_MAX)
}

/// Sixteen hex digits, as uids and epochs are.
pub(super) fn hex(text: &str) -> Option<u64> {
    let is_plain = text.len() == 16 && text.bytes().all(|digit| matches!(digit, b'0'..=b'9' | b'a'..=b'f'));
    u64::from_str_radix(text, 16).ok().filter(|_| is_plain)
}

/// A list.
pub(super) fn list(value: &Value) -> Option<&[Value]> {
    match value {
        Value::Array(values) => Some(values),
        _ => None,
    }
}

/// A list of texts.
pub(super) fn texts(value: &Value) -> Option<Vec<&str>> {
    list(value)?.iter().map(text).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_digits_alone_and_exact_in_lua() {
        assert_eq!(whole("0"), Some(0));
        assert_eq!(whole("9007199254740991"), Some(SEQ_MAX));
        for text in ["", "-1", "+1", " 1", "1.0", "1e3", "9007199254740992", "99999999999999999999"] {
            assert_eq!(whole(text), None, "{text}");
        }
        assert_eq!(hex("00000000000000ff"), Some(255));
        for text in
            ["", "ff", "00000000000000FF", "+0000000000000ff", "00000000000000fg", "00000000000000fff"]
        {
            assert_eq!(hex(text), None, "{text}");
        }
    }

    #[test]
    fn what_is_no_text_or_list_is_neither() {
        assert_eq!(text(&Value::BulkString(vec![0xff])), None);
        assert_eq!(text(&Value::Int(1)), None);
        assert!(list(&Value::Nil).is_none());
        assert!(texts(&Value::Array(vec![Value::Nil])).is_none());
    }
}
