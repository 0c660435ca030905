//! Where a request's body ends (RFC 9112 §6): the rules that two parsers must never read differently.

use super::error::HeadError;
use super::fields::{FieldError, Fields, is_token};
use super::method::Version;

/// How the body that follows a head is delimited.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum BodyFraming {
    /// No body: neither field was there, or `Content-Length: 0`.
    None,
    /// As many bytes, at least one.
    Length(u64),
    /// Chunks, up to the last one and its trailer section.
    Chunked,
}

impl BodyFraming {
    /// Reads the framing from the header fields, refusing every contradiction.
    pub(super) fn of(fields: Fields<'_>, version: Version) -> Result<BodyFraming, HeadError> {
        let length = fields.only("content-length").map_err(|error| match error {
            FieldError::Repeated => HeadError::LengthRepeated,
            FieldError::NotText => HeadError::ContentLength,
        });
        if !fields.contains("transfer-encoding") {
            let length = length?;
            return match length {
                None => Ok(BodyFraming::None),
                Some(digits) => content_length(digits),
            };
        }
        if length != Ok(None) {
            return Err(HeadError::LengthAndCoding);
        }
        // HTTP/1.0 has no transfer codings: a proxy that forwarded this has read the body's end elsewhere.
        if version == Version::Http10 {
            return Err(HeadError::CodingInHttp10);
        }
        chunked(fields)
    }
}

/// `1*DIGIT`; a sign, a list, a hexadecimal number and an overflow are all refused.
fn content_length(digits: &str) -> Result<BodyFraming, HeadError> {
    // `str::parse` alone would let a leading plus sign through.
    if !digits.bytes().all(|byte| byte.is_ascii_digit()) {
        return Err(HeadError::ContentLength);
    }
    match digits.parse() {
        Ok(0) => Ok(BodyFraming::None),
        Ok(length) => Ok(BodyFraming::Length(length)),
        Err(_) => Err(HeadError::ContentLength),
    }
}

/// Exactly one field with exactly `chunked`. A well-formed list with another coding in it is not ours to decode.
fn chunked(fields: Fields<'_>) -> Result<BodyFraming, HeadError> {
    if let Ok(Some(value)) = fields.only("transfer-encoding")
        && value.eq_ignore_ascii_case("chunked")
    {
        return Ok(BodyFraming::Chunked);
    }
    let unknown = |coding: &str| is_token(coding) && !coding.eq_ignore_ascii_case("chunked");
    if fields.list("transfer-encoding").any(unknown) {
        return Err(HeadError::UnknownCoding);
    }
    Err(HeadError::TransferEncoding)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn framing_is_read_from_exactly_one_unambiguous_field() {
        use BodyFraming::{Chunked, Length, None};
        use HeadError::{ContentLength, LengthAndCoding, LengthRepeated, TransferEncoding, UnknownCoding};
        let cases: &[(&str, Result<BodyFraming, HeadError>)] = &[
            ("", Ok(None)),
            ("Content-Length: 0\r\n", Ok(None)),
            ("Content-Length: 5\r\n", Ok(Length(5))),
            ("content-length:\t007 \r\n", Ok(Length(7))),
            ("Content-Length: 18446744073709551615\r\n", Ok(Length(u64::MAX))),
            ("Content-Length: 18446744073709551616\r\n", Err(ContentLength)),
            ("Content-Length:\r\n", Err(ContentLength)),
            ("Content-Length: +5\r\n", Err(ContentLength)),
            ("Content-Length: -5\r\n", Err(ContentLength)),
            ("Content-Length: 0x5\r\n", Err(ContentLength)),
            ("Content-Length: 5 5\r\n", Err(ContentLength)),
            ("Content-Length: 5, 5\r\n", Err(ContentLength)),
            ("Content-Length: ٥\r\n", Err(ContentLength)),
            ("Content-Length: 5\r\nContent-Length: 5\r\n", Err(LengthRepeated)),
            ("Content-Length: 5\r\ncontent-length: 6\r\n", Err(LengthRepeated)),
            (
                "Content-Length: 5\r\nContent-Length: 5\r\nTransfer-Encoding: chunked\r\n",
                Err(LengthAndCoding),
            ),
            ("Transfer-Encoding: chunked\r\n", Ok(Chunked)),
            ("transfer-encoding: CHUNKED\r\n", Ok(Chunked)),
            ("Transfer-Encoding: chunked\r\nContent-Length: 5\r\n", Err(LengthAndCoding)),
            ("Content-Length: 0\r\nTransfer-Encoding: gzip\r\n", Err(LengthAndCoding)),
            ("Transfer-Encoding: chunked, chunked\r\n", Err(TransferEncoding)),
            ("Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n", Err(TransferEncoding)),
            ("Transfer-Encoding: chunked,\r\n", Err(TransferEncoding)),
            ("Transfer-Encoding:\r\n", Err(TransferEncoding)),
            ("Transfer-Encoding: \"chunked\"\r\n", Err(TransferEncoding)),
            ("Transfer-Encoding: chunked;q=1\r\n", Err(TransferEncoding)),
            ("Transfer-Encoding: chunked\r\nTransfer-Encoding: identity\r\n", Err(UnknownCoding)),
            ("Transfer-Encoding: gzip, chunked\r\n", Err(UnknownCoding)),
            ("Transfer-Encoding: xchunked\r\n", Err(UnknownCoding)),
        ];
        for &(lines, expected) in cases {
            assert_eq!(BodyFraming::of(Fields::new(lines), Version::Http11), expected, "{lines:?}");
        }
    }

    #[test]
    fn http_1_0_has_no_transfer_codings() {
        let chunked = Fields::new("Transfer-Encoding: chunked\r\n");
        assert_eq!(BodyFraming::of(chunked, Version::Http10), Err(HeadError::CodingInHttp10));
        let sized = Fields::new("Content-Length: 3\r\n");
        assert_eq!(BodyFraming::of(sized, Version::Http10), Ok(BodyFraming::Length(3)));
    }
}
