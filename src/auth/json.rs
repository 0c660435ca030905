//! JSON of strangers, read strictly: one object, no field twice that counts, every type as it must be.

use std::fmt;

use serde::Deserialize;
use serde::de::{DeserializeOwned, Deserializer, Error, IgnoredAny, Visitor};

/// Reads one JSON object. `None` for anything else: an array would otherwise be taken for the fields in their order, and
/// bytes that are no UTF-8 (RFC 8725 §3.7) would pass in fields that are not looked at.
pub(super) fn object<T: DeserializeOwned>(bytes: &[u8]) -> Option<T> {
    let text = std::str::from_utf8(bytes).ok()?;
    text.trim_ascii_start().starts_with('{').then(|| serde_json::from_str(text).ok())?
}

/// A field that may be missing, but not null.
pub(super) fn some<'de, D: Deserializer<'de>, T: Deserialize<'de>>(json: D) -> Result<Option<T>, D::Error> {
    T::deserialize(json).map(Some)
}

/// Whether a field is there, whatever it holds.
pub(super) fn present<'de, D: Deserializer<'de>>(json: D) -> Result<bool, D::Error> {
    IgnoredAny::deserialize(json).map(|IgnoredAny| true)
}

/// Whole seconds since 1970 (RFC 7519 §2, `NumericDate`); fractions are cut off, what lies before is 1970.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Seconds(pub(super) u64);

impl<'de> Deserialize<'de> for Seconds {
    fn deserialize<D: Deserializer<'de>>(json: D) -> Result<Seconds, D::Error> {
        json.deserialize_any(SecondsVisitor)
    }
}

struct SecondsVisitor;

impl Visitor<'_> for SecondsVisitor {
    type Value = Seconds;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a number of seconds")
    }

    fn visit_u64<E: Error>(self, seconds: u64) -> Result<Seconds, E> {
        Ok(Seconds(seconds))
    }

    fn visit_i64<E: Error>(self, seconds: i64) -> Result<Seconds, E> {
        Ok(Seconds(u64::try_from(seconds).unwrap_or(0)))
    }

    fn visit_f64<E: Error>(self, seconds: f64) -> Result<Seconds, E> {
        // Saturates, and a number in JSON is never NaN.
        let whole = std::time::Duration::try_from_secs_f64(seconds.max(0.0));
        Ok(Seconds(whole.map_or(u64::MAX, |whole| whole.as_secs())))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_time_is_a_number_and_nothing_else() {
        let cases = [
            ("0", Some(0)),
            ("1700000000", Some(1_700_000_000)),
            ("1700000000.9", Some(1_700_000_000)),
            ("1.7e9", Some(1_700_000_000)),
            ("-5", Some(0)),
            ("-5.5", Some(0)),
            ("18446744073709551615", Some(u64::MAX)),
            ("1e300", Some(u64::MAX)),
            ("1e999", None),
            ("\"1700000000\"", None),
            ("null", None),
            ("true", None),
            ("[1]", None),
            ("{}", None),
        ];
        for (json, expected) in cases {
            assert_eq!(serde_json::from_str::<Seconds>(json).ok().map(|at| at.0), expected, "{json}");
        }
    }

    #[test]
    fn bytes_that_are_no_utf8_are_refused_in_every_field() {
        #[derive(Deserialize)]
        struct Nothing {}
        for bytes in [&b"{\"other\":\"\xff\"}"[..], b"{\"\xff\":1}", b"{\"other\":[\"\xc3\"]}", b"{}\xff"] {
            assert!(object::<Nothing>(bytes).is_none(), "{}", bytes.escape_ascii());
        }
        assert!(object::<Nothing>("{\"other\":\"ä\"}".as_bytes()).is_some());
    }

    #[test]
    fn only_an_object_is_read() {
        #[derive(Deserialize)]
        struct Named {
            name: String,
        }
        let name = |json: &str| object::<Named>(json.as_bytes()).map(|named| named.name);
        assert_eq!(name(" {\"name\":\"a\",\"other\":[1]}").as_deref(), Some("a"));
        for json in [
            "[\"a\"]",
            "\"a\"",
            "",
            "{}",
            "{\"name\":\"a\",\"name\":\"a\"}",
            "{\"name\":\"a\"}x",
            "{\"name\":1}",
        ] {
            assert_eq!(name(json), None, "{json}");
        }
    }
}
