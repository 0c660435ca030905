//! The body of a request: as many bytes as announced, or chunks (RFC 9112 §6 and §7).

use super::chunk_extension::Extension;
use super::error::BodyError;
use super::fields::is_token_byte;
use super::framing::BodyFraming;

/// As many hexadecimal digits as 64 bits have.
const CHUNK_SIZE_DIGITS_MAX: u8 = 16;

/// Extensions carry nothing for us, yet each chunk could bring some: the sum over a body is bounded.
// Room for dozens of chunks that storage clients sign (some 80 bytes each); others send no extensions.
const EXTENSION_BYTES_MAX: u16 = 4 * 1024;

/// A trailer section is read over, so that the next request is found.
// Trailers in use are a checksum or a signature: well below this.
const TRAILER_BYTES_MAX: u16 = 4 * 1024;

/// Takes a request's body out of the connection's input, whatever pieces it comes in.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BodyDecoder {
    state: State,
    /// How many more bytes the body may grow by.
    allowance: u64,
    extension_allowance: u16,
    trailer_allowance: u16,
}

/// What the next byte belongs to.
///
/// ```text
/// new ─┬─► Sized ────────────────────────────────────────────────────────► Complete
///      └─► Framing ─┬─ SizeEnd ──► ChunkData ──► Framing (DataCr)            ▲
///                   └─ LastLf ───────────────────────────────────────────────┘
/// any ──► Failed
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    /// `left` bytes, at least one, of a body of known length.
    Sized { left: u64 },
    /// `left` bytes, at least one, of a chunk.
    ChunkData { left: u64 },
    /// What stands between chunks and behind the last.
    Framing(Framing),
    /// The body has ended.
    Complete,
    /// The body was refused; nothing more is read.
    Failed(BodyError),
}

/// The place of the next byte in chunked framing.
///
/// ```text
/// Size ─► Extension ─► SizeEnd ─► (data) ─► DataCr ─► DataLf ─► Size
///                            └─► TrailerStart ─► LastLf ─► (end)
///                                  ▲    └─► TrailerName ─► TrailerValue ─► TrailerLf ─┐
///                                  └──────────────────────────────────────────────────┘
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Framing {
    /// A digit of a chunk's size, or what ends the digits.
    Size { digits: u8, size: u64 },
    /// Between a size and the end of its line.
    Extension { size: u64, place: Extension },
    /// The line feed of a size line.
    SizeEnd { size: u64 },
    /// The carriage return behind a chunk's data.
    DataCr,
    /// The line feed behind a chunk's data.
    DataLf,
    /// The first byte of a trailer field or of the last, empty line.
    TrailerStart,
    /// The name of a trailer field, its first byte seen.
    TrailerName,
    /// The value of a trailer field.
    TrailerValue,
    /// The line feed of a trailer field.
    TrailerLf,
    /// The line feed of the last line.
    LastLf,
}

/// What became of a piece of input.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BodyProgress {
    /// How many bytes of the input belonged to the body and its framing; the rest is the next request's.
    pub consumed: usize,
    /// Whether the body has ended.
    pub complete: bool,
}

impl BodyDecoder {
    /// A decoder for one body of at most `body_bytes_max` bytes. A length over the limit is refused by the first
    /// [`receive`](Self::receive), even of no input, so ask before `100 Continue` is sent.
    pub fn new(framing: BodyFraming, body_bytes_max: usize) -> BodyDecoder {
        let allowance = u64::try_from(body_bytes_max).unwrap_or(u64::MAX);
        let state = match framing {
            BodyFraming::None => State::Complete,
            BodyFraming::Length(length) if length > allowance => State::Failed(BodyError::TooLarge),
            BodyFraming::Length(0) => State::Complete,
            BodyFraming::Length(length) => State::Sized { left: length },
            BodyFraming::Chunked => State::Framing(Framing::Size { digits: 0, size: 0 }),
        };
        BodyDecoder {
            state,
            allowance,
            extension_allowance: EXTENSION_BYTES_MAX,
            trailer_allowance: TRAILER_BYTES_MAX,
        }
    }

    /// Appends what `input` holds of the body to `body`, which grows with bytes that came, never with bytes that
    /// were announced. All input is consumed unless the body ends within it. An error is final.
    pub fn receive(&mut self, input: &[u8], body: &mut Vec<u8>) -> Result<BodyProgress, BodyError> {
        let mut rest = input;
        while let Some((&byte, behind)) = rest.split_first() {
            match self.state {
                State::Sized { left } => {
                    let left = take(left, &mut rest, body);
                    self.state = if left == 0 { State::Complete } else { State::Sized { left } };
                }
                State::ChunkData { left } => {
                    let left = take(left, &mut rest, body);
                    self.state =
                        if left == 0 { State::Framing(Framing::DataCr) } else { State::ChunkData { left } };
                }
                State::Framing(place) => {
                    rest = behind;
                    self.state = self.after(place, byte).unwrap_or_else(State::Failed);
                }
                State::Complete | State::Failed(_) => break,
            }
        }
        if let State::Failed(error) = self.state {
            return Err(error);
        }
        Ok(BodyProgress { consumed: input.len() - rest.len(), complete: self.state == State::Complete })
    }

    /// The state after a byte of the framing.
    fn after(&mut self, place: Framing, byte: u8) -> Result<State, BodyError> {
        let place = match (place, byte) {
            (Framing::Size { digits, size }, _) => self.after_size(digits, size, byte)?,
            (Framing::Extension { size, place }, b'\r') if place.may_end() => Framing::SizeEnd { size },
            (Framing::Extension { .. }, b'\r') => return Err(BodyError::Extension),
            (Framing::Extension { size, place }, _) => {
                spend(&mut self.extension_allowance, byte, BodyError::ExtensionsTooLong)?;
                Framing::Extension { size, place: place.after(byte).ok_or(BodyError::Extension)? }
            }
            (Framing::SizeEnd { size: 0 }, b'\n') => Framing::TrailerStart,
            (Framing::SizeEnd { size }, b'\n') => {
                self.allowance = self.allowance.checked_sub(size).ok_or(BodyError::TooLarge)?;
                return Ok(State::ChunkData { left: size });
            }
            (Framing::DataCr, b'\r') => Framing::DataLf,
            (Framing::DataLf, b'\n') => Framing::Size { digits: 0, size: 0 },
            (Framing::DataCr | Framing::DataLf, _) => return Err(BodyError::ChunkEnd),
            (Framing::TrailerStart, b'\r') => Framing::LastLf,
            (Framing::TrailerName, b':') => Framing::TrailerValue,
            (Framing::TrailerStart | Framing::TrailerName, _) => {
                spend(&mut self.trailer_allowance, byte, BodyError::TrailersTooLong)?;
                if !is_token_byte(byte) {
                    return Err(BodyError::Trailer);
                }
                Framing::TrailerName
            }
            (Framing::TrailerValue, b'\r') => Framing::TrailerLf,
            (Framing::TrailerValue, _) => {
                spend(&mut self.trailer_allowance, byte, BodyError::TrailersTooLong)?;
                place
            }
            (Framing::TrailerLf, b'\n') => Framing::TrailerStart,
            (Framing::LastLf, b'\n') => return Ok(State::Complete),
            (Framing::SizeEnd { .. } | Framing::TrailerLf | Framing::LastLf, _) => {
                return Err(BodyError::Line);
            }
        };
        Ok(State::Framing(place))
    }

    /// The place after a byte where a digit of a chunk's size may stand.
    fn after_size(&self, digits: u8, size: u64, byte: u8) -> Result<Framing, BodyError> {
        if let Some(digit) = char::from(byte).to_digit(16) {
            if digits == CHUNK_SIZE_DIGITS_MAX {
                return Err(BodyError::ChunkSize);
            }
            return Ok(Framing::Size { digits: digits + 1, size: size << 4 | u64::from(digit) });
        }
        match byte {
            b'\r' | b';' if digits == 0 => Err(BodyError::ChunkSize),
            // Refused before its extensions are read.
            b'\r' | b';' if size > self.allowance => Err(BodyError::TooLarge),
            b'\r' => Ok(Framing::SizeEnd { size }),
            b';' => Ok(Framing::Extension { size, place: Extension::BEGIN }),
            _ => Err(BodyError::ChunkSize),
        }
    }
}

/// Moves up to `left` bytes and returns how many are still to come.
fn take(left: u64, rest: &mut &[u8], body: &mut Vec<u8>) -> u64 {
    debug_assert!(left > 0 && !rest.is_empty(), "a state that waits for bytes has none to wait for");
    let len = usize::try_from(left).map_or(rest.len(), |left| left.min(rest.len()));
    let (taken, behind) = rest.split_at(len);
    body.extend_from_slice(taken);
    *rest = behind;
    // No machine has a `usize` wider than 64 bits.
    left - len as u64
}

/// Lets a byte pass that is read over: no control byte, and not one too many.
fn spend(allowance: &mut u16, byte: u8, exhausted: BodyError) -> Result<(), BodyError> {
    if byte != b'\t' && byte.is_ascii_control() {
        return Err(BodyError::Line);
    }
    *allowance = allowance.checked_sub(1).ok_or(exhausted)?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::every_split::every_split;

    const LIMIT: usize = 10;

    /// Body, bytes consumed and completeness, the same for every way of cutting the input.
    fn decode(framing: BodyFraming, input: &[u8]) -> Result<(Vec<u8>, usize, bool), BodyError> {
        every_split(input, |pieces| {
            let mut decoder = BodyDecoder::new(framing, LIMIT);
            let mut body = Vec::new();
            let mut last = decoder.receive(b"", &mut body)?;
            let mut consumed = 0;
            for piece in pieces {
                last = decoder.receive(piece, &mut body)?;
                consumed += last.consumed;
                assert!(last.complete || last.consumed == piece.len());
            }
            Ok((body, consumed, last.complete))
        })
    }

    #[test]
    fn a_body_ends_where_its_framing_says() {
        use BodyFraming::{Chunked, Length, None};
        type Case = (BodyFraming, &'static [u8], &'static [u8], usize, bool);
        let cases: &[Case] = &[
            (None, b"GET", b"", 0, true),
            (Length(0), b"GET", b"", 0, true),
            (Length(3), b"ab", b"ab", 2, false),
            (Length(3), b"abcGET", b"abc", 3, true),
            (Length(10), b"0123456789", b"0123456789", 10, true),
            (Chunked, b"0\r\n\r\nGET", b"", 5, true),
            (Chunked, b"3\r\nabc\r\n0\r\n\r\nGET", b"abc", 13, true),
            (Chunked, b"3\r\nabc\r\n0\r\n\r", b"abc", 12, false),
            (Chunked, b"3\r\nabc", b"abc", 6, false),
            (Chunked, b"A\r\n0123456789\r\n0\r\n\r\n", b"0123456789", 20, true),
            (Chunked, b"1\r\na\r\n2\r\nbc\r\n00\r\n\r\n", b"abc", 19, true),
            (Chunked, b"0000000000000001\r\na\r\n0\r\n\r\n", b"a", 26, true),
            (Chunked, b"1;a=\"b c\";d\r\na\r\n0;e\r\n\r\n", b"a", 23, true),
            (Chunked, b"1; a = b ;c=\"\\\"\xff;\" ;d\r\na\r\n0\r\n\r\n", b"a", 31, true),
            (Chunked, b"0\r\nX-Sum: 1\r\nY:\r\n\r\n", b"", 19, true),
        ];
        for &(framing, input, body, consumed, complete) in cases {
            let expected = Ok((body.to_vec(), consumed, complete));
            assert_eq!(decode(framing, input), expected, "{}", input.escape_ascii());
        }
    }

    #[test]
    fn odd_framing_is_refused() {
        let cases: &[(&[u8], BodyError)] = &[
            (b"\r\n", BodyError::ChunkSize),
            (b";a\r\n", BodyError::ChunkSize),
            (b" 1\r\n", BodyError::ChunkSize),
            (b"1 \r\n", BodyError::ChunkSize),
            (b"+1\r\n", BodyError::ChunkSize),
            (b"-1\r\n", BodyError::ChunkSize),
            (b"0x1\r\n", BodyError::ChunkSize),
            (b"1_0\r\n", BodyError::ChunkSize),
            (b"1\n", BodyError::ChunkSize),
            (b"g\r\n", BodyError::ChunkSize),
            (b"00000000000000001\r\n", BodyError::ChunkSize),
            (b"1\r\r", BodyError::Line),
            (b"1;\r\n", BodyError::Extension),
            (b"1;a;\r\n", BodyError::Extension),
            (b"1;a=\r\n", BodyError::Extension),
            (b"1;a \r\n", BodyError::Extension),
            (b"1;a=\"b\r\n", BodyError::Extension),
            (b"1;;a\r\n", BodyError::Extension),
            (b"1;=a\r\n", BodyError::Extension),
            (b"1;a b\r\n", BodyError::Extension),
            (b"1;a=b c\r\n", BodyError::Extension),
            (b"1;a=b=c\r\n", BodyError::Extension),
            (b"1;a=\"b\"c\r\n", BodyError::Extension),
            (b"1;a=\xff\r\n", BodyError::Extension),
            (b"1;a@b\r\n", BodyError::Extension),
            (b"1;\"a\"\r\n", BodyError::Extension),
            (b"1;a\n", BodyError::Line),
            (b"1;a\0", BodyError::Line),
            (b"1\r\nab", BodyError::ChunkEnd),
            (b"1\r\na\n", BodyError::ChunkEnd),
            (b"1\r\na\r0", BodyError::ChunkEnd),
            (b"B\r\n", BodyError::TooLarge),
            (b"ffffffffffffffff\r\n", BodyError::TooLarge),
            (b"5\r\n01234\r\n6\r\n", BodyError::TooLarge),
            (b"0\r\n\n", BodyError::Line),
            (b"0\r\n folded\r\n", BodyError::Trailer),
            (b"0\r\nno colon\r\n", BodyError::Trailer),
            (b"0\r\n: no name\r\n", BodyError::Trailer),
            (b"0\r\nname\r\n", BodyError::Line),
            (b"0\r\na: b\n", BodyError::Line),
            (b"0\r\na: b\rc", BodyError::Line),
            (b"0\r\n\r\r", BodyError::Line),
        ];
        for &(input, expected) in cases {
            assert_eq!(decode(BodyFraming::Chunked, input), Err(expected), "{}", input.escape_ascii());
        }
    }

    #[test]
    fn a_length_over_the_limit_is_refused_before_any_byte() {
        for length in [11, u64::MAX] {
            let mut decoder = BodyDecoder::new(BodyFraming::Length(length), LIMIT);
            assert_eq!(decoder.receive(b"", &mut Vec::new()), Err(BodyError::TooLarge));
        }
    }

    #[test]
    fn extensions_are_bounded_over_the_whole_body() {
        let chunk = format!("1;{}\r\na\r\n", "e".repeat(1000));
        let mut decoder = BodyDecoder::new(BodyFraming::Chunked, LIMIT);
        let mut body = Vec::new();
        for _ in 0..4 {
            assert!(decoder.receive(chunk.as_bytes(), &mut body).is_ok());
        }
        assert_eq!(decoder.receive(chunk.as_bytes(), &mut body), Err(BodyError::ExtensionsTooLong));
    }

    #[test]
    fn trailers_are_bounded() {
        let trailer = format!("0\r\nt: {}", "a".repeat(5000));
        let mut decoder = BodyDecoder::new(BodyFraming::Chunked, LIMIT);
        assert_eq!(decoder.receive(trailer.as_bytes(), &mut Vec::new()), Err(BodyError::TrailersTooLong));
    }

    #[test]
    fn an_error_is_final() {
        let mut decoder = BodyDecoder::new(BodyFraming::Chunked, LIMIT);
        let mut body = Vec::new();
        assert_eq!(decoder.receive(b"x", &mut body), Err(BodyError::ChunkSize));
        assert_eq!(decoder.receive(b"1\r\na\r\n0\r\n\r\n", &mut body), Err(BodyError::ChunkSize));
        assert!(body.is_empty());
    }

    #[test]
    fn announced_bytes_reserve_no_memory() {
        let mut decoder = BodyDecoder::new(BodyFraming::Length(1 << 40), usize::MAX);
        let mut body = Vec::new();
        assert!(decoder.receive(b"a", &mut body).is_ok());
        assert!(body.capacity() < 1024, "{}", body.capacity());
    }
}
