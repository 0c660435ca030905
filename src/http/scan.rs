//! Finds the end of a request head before anything is parsed, and refuses what can never become one.
//!
//! `httparse` starts over with every byte that arrives; this search goes on where it stopped. It judges the bytes
//! strictly in order, so a head gets the same verdict however it was cut on its way here.

use std::ops::Range;

use super::error::HeadError;
use super::limits::HeadLimits;
use super::request_line::fault;

/// What every TLS connection begins with: the type of a record that holds a handshake message (RFC 8446 §5.1).
const TLS_HANDSHAKE: u8 = 0x16;

/// Where in `bytes` the first head lies, from its method to its empty line; `None` while that has not come.
/// The first `searched` bytes were searched before, in vain, and are not searched again.
pub(super) fn head_range(
    bytes: &[u8],
    searched: usize,
    limits: &HeadLimits,
) -> Result<Option<Range<usize>>, HeadError> {
    // One empty line before a request is forgiven (RFC 9112 §2.2).
    let start = if bytes.starts_with(b"\r\n") { 2 } else { 0 };
    if bytes.first() == Some(&TLS_HANDSHAKE) {
        return Err(HeadError::Tls);
    }
    let fault = fault(bytes, start, searched, limits).filter(|(at, _)| *at < limits.head_bytes);
    let visible = fault.map_or(limits.head_bytes, |(at, _)| at).min(bytes.len());
    let mut fields = None;
    let mut at = searched;
    while at < visible {
        let after_cr = at > 0 && bytes[at - 1] == b'\r';
        if !after_cr {
            at += ordinary_len(&bytes[at..visible]);
        }
        if at == visible {
            break;
        }
        if ends_line(bytes[at], after_cr)? && at >= start {
            if at == start + 1 {
                return Err(HeadError::RequestLine);
            }
            if bytes[at - 2] == b'\n' {
                return Ok(Some(start..at + 1));
            }
            // Counted anew by the first line of each call, so by at most as many calls as a head may have lines.
            let count = fields.map_or_else(|| count_lines(&bytes[start..at]), |count| count + 1);
            if count > limits.headers {
                return Err(HeadError::TooManyFields);
            }
            fields = Some(count);
        }
        at += 1;
    }
    match fault {
        Some((_, error)) => Err(error),
        None if bytes.len() >= limits.head_bytes => Err(HeadError::TooLong),
        None => Ok(None),
    }
}

/// How many bytes from the first on are no control bytes, and so need no look at their neighbours. Most bytes of a
/// head are such: several at once are checked without a branch for each.
fn ordinary_len(bytes: &[u8]) -> usize {
    // As wide as the registers that every x86-64 and ARM has; wider ones would need a check of the processor.
    const STRIDE: usize = 16;
    let strides = bytes.chunks_exact(STRIDE);
    let clean =
        strides.take_while(|stride| !stride.iter().fold(false, |any, byte| any | byte.is_ascii_control()));
    let len = clean.count() * STRIDE;
    len + bytes[len..].iter().take_while(|byte| !byte.is_ascii_control()).count()
}

/// Whether the byte completes a line; an error if it must not stand where it does.
fn ends_line(byte: u8, after_cr: bool) -> Result<bool, HeadError> {
    match byte {
        b'\n' if after_cr => Ok(true),
        b'\n' => Err(HeadError::BareLf),
        _ if after_cr => Err(HeadError::BareCr),
        b'\t' | b'\r' | b' '..=b'~' | 0x80.. => Ok(false),
        0..=0x1f | 0x7f => Err(HeadError::ControlByte),
    }
}

/// The number of line ends.
fn count_lines(bytes: &[u8]) -> usize {
    bytes.iter().filter(|&&byte| byte == b'\n').count()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::every_split::every_split;

    const LIMITS: HeadLimits = HeadLimits { head_bytes: 128, headers: 3, target_bytes: 20 };

    /// The verdict on bytes, the same for every way of cutting them.
    fn verdict(bytes: &[u8]) -> Result<Option<Range<usize>>, HeadError> {
        every_split(bytes, |pieces| {
            let mut arrived = Vec::new();
            for piece in pieces {
                let searched = arrived.len();
                arrived.extend_from_slice(piece);
                let verdict = head_range(&arrived, searched, &LIMITS);
                if verdict != Ok(None) {
                    return verdict;
                }
            }
            Ok(None)
        })
    }

    #[test]
    fn the_end_is_found_wherever_the_bytes_were_cut() {
        let cases: &[(&[u8], Option<Range<usize>>)] = &[
            (b"", None),
            (b"\r", None),
            (b"\r\n", None),
            (b"GET / HTTP/1.1\r\n", None),
            (b"GET / HTTP/1.1\r\n\r", None),
            (b"GET / HTTP/1.1\r\n\r\n", Some(0..18)),
            (b"GET / HTTP/1.1\r\n\r\nGET /", Some(0..18)),
            (b"\r\nGET / HTTP/1.1\r\nA: b\r\n\r\n\0", Some(2..26)),
        ];
        for (bytes, expected) in cases {
            assert_eq!(verdict(bytes), Ok(expected.clone()), "{}", bytes.escape_ascii());
        }
    }

    #[test]
    fn bytes_that_no_head_can_hold_are_refused_before_its_end() {
        let cases: &[(&[u8], HeadError)] = &[
            (b"\n", HeadError::BareLf),
            (b"\r\n\r\n", HeadError::RequestLine),
            (b"GET / HTTP/1.1\n", HeadError::BareLf),
            (b"GET / HTTP/1.1\r\nA: b\n\r\n", HeadError::BareLf),
            (b"GET / HTTP/1.1\rA", HeadError::BareCr),
            (b"GET / HTTP/1.1\r\r\n", HeadError::BareCr),
            (b"GET /\0", HeadError::ControlByte),
            (b"GET / HTTP/1.1\r\nA: \x7f", HeadError::ControlByte),
            (b"\x16\x03\x01\x02\x00", HeadError::Tls),
            (&[b'A'; 33], HeadError::RequestLine),
        ];
        for &(bytes, expected) in cases {
            assert_eq!(verdict(bytes), Err(expected), "{}", bytes.escape_ascii());
        }
    }

    #[test]
    fn an_endless_target_is_too_long_as_soon_as_its_limit_is_passed() {
        let longest = format!("GET /{} HTTP/1.1\r\n\r\n", "a".repeat(19));
        assert_eq!(verdict(longest.as_bytes()), Ok(Some(0..longest.len())));
        let endless = format!("GET /{}", "a".repeat(20));
        assert_eq!(verdict(endless.as_bytes()), Err(HeadError::TargetTooLong));
        assert_eq!(verdict(&endless.as_bytes()[..endless.len() - 1]), Ok(None));
    }

    #[test]
    fn a_target_that_fills_the_head_is_too_long_as_a_target() {
        let limits = HeadLimits { head_bytes: 64, headers: 3, target_bytes: 1000 };
        let endless = format!("GET /{}", "a".repeat(100));
        assert_eq!(head_range(endless.as_bytes(), 0, &limits), Err(HeadError::TargetTooLong));
    }

    #[test]
    fn a_head_over_its_bytes_is_refused_without_its_end() {
        let mut head = format!("GET / HTTP/1.1\r\nA: {}", "a".repeat(105)).into_bytes();
        head.extend_from_slice(b"\r\n\r\n");
        assert_eq!(head.len(), LIMITS.head_bytes);
        assert_eq!(verdict(&head), Ok(Some(0..LIMITS.head_bytes)));
        head.insert(20, b'a');
        assert_eq!(verdict(&head), Err(HeadError::TooLong));
        assert_eq!(verdict(&head[..LIMITS.head_bytes - 1]), Ok(None));
    }

    #[test]
    fn a_field_over_the_count_is_refused_without_the_heads_end() {
        assert_eq!(verdict(b"G / HTTP/1.1\r\na:\r\nb:\r\nc:\r\n\r\n"), Ok(Some(0..28)));
        assert_eq!(verdict(b"G / HTTP/1.1\r\na:\r\nb:\r\nc:\r\nd:\r\n"), Err(HeadError::TooManyFields));
    }

    #[test]
    fn what_was_searched_is_not_searched_again() {
        // A line feed that only a repeated search would find.
        assert_eq!(head_range(b"GET / HTTP/1.1\r\nA:\n b\r\n", 19, &LIMITS), Ok(None));
    }

    #[test]
    fn the_first_fault_is_named_and_not_a_later_one() {
        let cases: &[(&[u8], HeadError)] = &[
            (b"GET /a#\0", HeadError::Fragment),
            (b"GET /a\0#", HeadError::ControlByte),
            (b"GET /\rx HTTP/2.0\r\n", HeadError::BareCr),
            (b"GET /\n", HeadError::BareLf),
            (b"GET\t/ HTTP/1.1\r\n", HeadError::RequestLine),
            (b"GET /\t HTTP/1.1\r\n", HeadError::RequestLine),
            (b"GET / HTTP/1.1\t\r\n", HeadError::RequestLine),
            (b"GET /aaaaaaaaaaaaaaaaaaa\xff", HeadError::TargetTooLong),
            (b"GET /aaaaaaaaaaaaaaaaaa\xff", HeadError::TargetBytes),
            (b"\r\nGET / X", HeadError::RequestLine),
        ];
        for &(bytes, expected) in cases {
            assert_eq!(verdict(bytes), Err(expected), "{}", bytes.escape_ascii());
        }
    }
}
