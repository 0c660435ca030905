//! Percent-decoding of queries and path segments.
//!
//! Everything is decoded exactly once, here: what was routed and what was checked is the same text.

use std::borrow::Cow;
use std::fmt;

/// Why text cannot be decoded.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum DecodeError {
    /// A percent sign without two hexadecimal digits behind it.
    Percent,
    /// The decoded bytes are not UTF-8.
    Utf8,
}

impl fmt::Display for DecodeError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            DecodeError::Percent => "percent sign without two hexadecimal digits",
            DecodeError::Utf8 => "percent-encoded bytes are not UTF-8",
        })
    }
}

impl std::error::Error for DecodeError {}

/// The pairs of a query in order, each decoded or refused by itself. A pair without an equals sign has an empty
/// value; an empty pair is skipped.
pub fn pairs(query: &str) -> impl Iterator<Item = Result<(Cow<'_, str>, Cow<'_, str>), DecodeError>> {
    raw_pairs(query).map(|(name, value)| Ok((decode_form(name)?, decode_form(value)?)))
}

/// The value of the last pair of that name: who appends a parameter to a query that has it already means the new value.
/// What is wrong with other pairs is not this caller's business.
pub fn get<'q>(query: &'q str, name: &str) -> Result<Option<Cow<'q, str>>, DecodeError> {
    values(query, name).last().map(decode_form).transpose()
}

/// The values of all pairs of that name, in order, each decoded or refused by itself.
pub fn all<'q, 'n>(
    query: &'q str,
    name: &'n str,
) -> impl Iterator<Item = Result<Cow<'q, str>, DecodeError>> + use<'q, 'n> {
    values(query, name).map(decode_form)
}

/// The values of that name, not decoded.
fn values<'q, 'n>(query: &'q str, name: &'n str) -> impl Iterator<Item = &'q str> + use<'q, 'n> {
    let has_name = move |given: &str| decode_form(given).is_ok_and(|given| given == name);
    raw_pairs(query).filter(move |(given, _)| has_name(given)).map(|(_, value)| value)
}

/// Decodes one segment of a path, where a plus sign is a plus sign. A decoded slash is part of the segment, so split
/// the path before decoding.
pub fn decode_path_segment(segment: &str) -> Result<Cow<'_, str>, DecodeError> {
    decode(segment, false)
}

fn raw_pairs(query: &str) -> impl Iterator<Item = (&str, &str)> {
    query.split('&').filter(|pair| !pair.is_empty()).map(|pair| pair.split_once('=').unwrap_or((pair, "")))
}

fn decode_form(text: &str) -> Result<Cow<'_, str>, DecodeError> {
    decode(text, true)
}

/// Borrows the text if nothing in it is encoded.
fn decode(text: &str, plus_is_space: bool) -> Result<Cow<'_, str>, DecodeError> {
    if !text.bytes().any(|byte| byte == b'%' || (plus_is_space && byte == b'+')) {
        return Ok(Cow::Borrowed(text));
    }
    let mut decoded = Vec::with_capacity(text.len());
    let mut bytes = text.bytes();
    while let Some(byte) = bytes.next() {
        decoded.push(match byte {
            b'%' => {
                let high = hex_digit(bytes.next())?;
                high << 4 | hex_digit(bytes.next())?
            }
            b'+' if plus_is_space => b' ',
            other => other,
        });
    }
    String::from_utf8(decoded).map(Cow::Owned).map_err(|_| DecodeError::Utf8)
}

fn hex_digit(byte: Option<u8>) -> Result<u8, DecodeError> {
    match byte {
        Some(digit @ b'0'..=b'9') => Ok(digit - b'0'),
        Some(digit @ b'a'..=b'f') => Ok(digit - b'a' + 10),
        Some(digit @ b'A'..=b'F') => Ok(digit - b'A' + 10),
        Some(_) | None => Err(DecodeError::Percent),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_are_decoded_once() {
        let cases = [
            ("", "a", Ok(None)),
            ("a", "a", Ok(Some(""))),
            ("a=", "a", Ok(Some(""))),
            ("=x", "", Ok(Some("x"))),
            ("b=1&a=2", "a", Ok(Some("2"))),
            ("a=1&a=2", "a", Ok(Some("2"))),
            ("a=1&%61=2&b=3", "a", Ok(Some("2"))),
            ("a=1&a", "a", Ok(Some(""))),
            ("a=%&a=2", "a", Ok(Some("2"))),
            ("a=1&a=%", "a", Err(DecodeError::Percent)),
            ("&&a=1=2&", "a", Ok(Some("1=2"))),
            ("a=1+2%2B3", "a", Ok(Some("1 2+3"))),
            ("%61=%C3%A4%e2%82%ac", "a", Ok(Some("ä€"))),
            ("a=%2541", "a", Ok(Some("%41"))),
            ("a=%26%3D%00", "a", Ok(Some("&=\0"))),
            ("A=1", "a", Ok(None)),
            ("a=%", "a", Err(DecodeError::Percent)),
            ("a=%4", "a", Err(DecodeError::Percent)),
            ("a=%4g", "a", Err(DecodeError::Percent)),
            ("a=%+1", "a", Err(DecodeError::Percent)),
            ("a=%ff", "a", Err(DecodeError::Utf8)),
            ("a=%ed%a0%80", "a", Err(DecodeError::Utf8)),
            ("%zz=1&b=%zz&a=2", "a", Ok(Some("2"))),
        ];
        for (query, name, expected) in cases {
            assert_eq!(
                get(query, name).as_ref().map(Option::as_deref),
                expected.as_ref().copied(),
                "{query:?}"
            );
        }
    }

    #[test]
    fn pairs_come_in_order_and_fail_one_by_one() {
        let decoded: Vec<_> = pairs("a=1&b=%&+c").collect();
        let pair = |name, value| Ok((Cow::Borrowed(name), Cow::Borrowed(value)));
        assert_eq!(decoded, [pair("a", "1"), Err(DecodeError::Percent), pair(" c", "")]);
    }

    #[test]
    fn text_without_escapes_is_borrowed() {
        assert!(matches!(get("a=plain", "a"), Ok(Some(Cow::Borrowed("plain")))));
        assert!(matches!(decode_path_segment("a+b"), Ok(Cow::Borrowed("a+b"))));
    }

    #[test]
    fn a_path_segment_keeps_its_plus_signs() {
        assert_eq!(decode_path_segment("a+b%2Fc%20").as_deref(), Ok("a+b/c "));
        assert_eq!(decode_path_segment("%2"), Err(DecodeError::Percent));
    }
}
