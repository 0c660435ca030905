//! UTF-8 in pieces: validates as the bytes arrive and fails at the first byte that no valid text can have there.

use std::error::Error;
use std::fmt;

/// Validates text that arrives in pieces cut anywhere, also inside a character.
///
/// What is kept between pieces is what the next byte may be, never the bytes themselves.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Utf8Validator {
    /// Bytes that the unfinished character still lacks, 0 to 3.
    lacking: u8,
    /// Invariant: while `lacking > 0`, the next byte must be from `next_min` to `next_max`.
    next_min: u8,
    next_max: u8,
}

/// The bytes are not UTF-8, and nothing that follows can change that.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct InvalidUtf8;

impl fmt::Display for InvalidUtf8 {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("not valid utf-8")
    }
}

impl Error for InvalidUtf8 {}

const _: () = assert!(size_of::<Utf8Validator>() <= 8);

impl Utf8Validator {
    /// At the start of a text.
    #[inline]
    pub const fn new() -> Self {
        Self { lacking: 0, next_min: 0, next_max: 0 }
    }

    /// Takes the next piece.
    ///
    /// # Errors
    /// If the text so far cannot be the beginning of any valid one. The validator is of no use afterwards.
    pub fn push(&mut self, piece: &[u8]) -> Result<(), InvalidUtf8> {
        let mut rest = piece;
        while self.lacking > 0 {
            let Some((&byte, after)) = rest.split_first() else { return Ok(()) };
            self.push_byte(byte)?;
            rest = after;
        }
        let (whole, cut_off) = rest.split_at(rest.len() - cut_off_len(rest));
        simdutf8::basic::from_utf8(whole).map_err(|_| InvalidUtf8)?;
        cut_off.iter().try_for_each(|&byte| self.push_byte(byte))
    }

    /// Ends the text.
    ///
    /// # Errors
    /// If it ends inside a character.
    pub const fn finish(self) -> Result<(), InvalidUtf8> {
        if self.lacking == 0 { Ok(()) } else { Err(InvalidUtf8) }
    }

    /// One row of table 3-7 of the Unicode standard at a time ("Well-Formed UTF-8 Byte Sequences"): only the
    /// second byte of a character has a range of its own, which shuts out overlong forms, surrogates and
    /// everything above U+10FFFF.
    fn push_byte(&mut self, byte: u8) -> Result<(), InvalidUtf8> {
        if self.lacking > 0 {
            debug_assert!(
                self.lacking <= 3 && 0x80 <= self.next_min && self.next_max <= 0xbf,
                "a continuation"
            );
            if byte < self.next_min || byte > self.next_max {
                return Err(InvalidUtf8);
            }
            (self.lacking, self.next_min, self.next_max) = (self.lacking - 1, 0x80, 0xbf);
            return Ok(());
        }
        (self.lacking, self.next_min, self.next_max) = match byte {
            0x00..=0x7f => (0, 0, 0),
            0xc2..=0xdf => (1, 0x80, 0xbf),
            0xe0 => (2, 0xa0, 0xbf),
            0xed => (2, 0x80, 0x9f),
            0xe1..=0xef => (2, 0x80, 0xbf),
            0xf0 => (3, 0x90, 0xbf),
            0xf1..=0xf3 => (3, 0x80, 0xbf),
            0xf4 => (3, 0x80, 0x8f),
            0x80..=0xc1 | 0xf5..=0xff => return Err(InvalidUtf8),
        };
        Ok(())
    }
}

impl Default for Utf8Validator {
    fn default() -> Self {
        Self::new()
    }
}

/// How many bytes at the end of `bytes` begin a character that goes on behind it: 0 to 3.
///
/// Looks at leading bytes only; whether the few bytes are valid is for the caller to see.
fn cut_off_len(bytes: &[u8]) -> usize {
    for (back, &byte) in bytes.iter().rev().take(3).enumerate() {
        let character_len = match byte {
            0x80..=0xbf => continue,
            0x00..=0x7f => 1,
            0xc0..=0xdf => 2,
            0xe0..=0xef => 3,
            0xf0..=0xff => 4,
        };
        let held = back + 1;
        return if held < character_len { held } else { 0 };
    }
    0
}

#[cfg(test)]
mod tests {
    use super::{InvalidUtf8, Utf8Validator};
    use crate::every_split::every_split;

    fn validate(pieces: &[&[u8]]) -> Result<(), InvalidUtf8> {
        let mut validator = Utf8Validator::new();
        pieces.iter().try_for_each(|piece| validator.push(piece))?;
        validator.finish()
    }

    /// The index of the byte at which a validator fed byte by byte gives up.
    fn fails_at(bytes: &[u8]) -> Option<usize> {
        let mut validator = Utf8Validator::new();
        bytes.chunks(1).position(|byte| validator.push(byte).is_err())
    }

    #[test]
    fn valid_text_passes_over_every_split() {
        let long = "κόσμε 🎺 ".repeat(20);
        for text in ["", "a", "Grüße", "κόσμε", "\u{7ff}\u{800}\u{ffff}\u{10000}\u{10ffff}", "🎺", &long]
        {
            assert_eq!(every_split(text.as_bytes(), validate), Ok(()), "{text}");
        }
    }

    #[test]
    fn invalid_text_is_refused_at_the_first_impossible_byte() {
        let cases: &[(&[u8], usize)] = &[
            (b"\x80", 0),
            (b"a\xc0\x80", 1),
            (b"\xc1\xbf", 0),
            (b"\xc3\x28", 1),
            (b"\xe0\x9f\xbf", 1),
            (b"\xe2\x82\x28", 2),
            (b"\xed\xa0\x80", 1),
            (b"\xf0\x8f\xbf\xbf", 1),
            (b"\xf0\x9f\x8e\xc0", 3),
            (b"\xf4\x90\x80\x80", 1),
            (b"\xf5\x80", 0),
            (b"\xff", 0),
            (b"\xce\xba\xe1\xbd\xb9\xcf\x83\xce\xbc\xce\xb5\xf4\x90", 12),
        ];
        for &(bytes, at) in cases {
            assert_eq!(every_split(bytes, validate), Err(InvalidUtf8), "{bytes:02x?}");
            assert_eq!(fails_at(bytes), Some(at), "{bytes:02x?}");
            assert_eq!(
                Utf8Validator::new().push(&bytes[..=at]),
                Err(InvalidUtf8),
                "{bytes:02x?} in one piece"
            );
        }
    }

    #[test]
    fn a_text_that_ends_inside_a_character_is_refused_only_at_its_end() {
        for bytes in [&b"\xc3"[..], b"\xe2\x82", b"\xf0\x9f\x8e", b"all good until \xf0\x9f"] {
            assert_eq!(fails_at(bytes), None);
            assert_eq!(every_split(bytes, validate), Err(InvalidUtf8), "{bytes:02x?}");
        }
    }

    #[test]
    fn every_string_of_two_bytes_is_judged_as_by_std() {
        for pair in 0..=u16::MAX {
            let [a, b] = pair.to_be_bytes();
            assert_eq!(validate(&[&[a], &[b]]).is_ok(), str::from_utf8(&[a, b]).is_ok(), "{a:02x} {b:02x}");
        }
    }

    #[test]
    fn characters_from_every_part_of_unicode_pass_when_cut_in_half() {
        let mut buffer = [0; 4];
        for character in ('\0'..=char::MAX).step_by(17) {
            let bytes = character.encode_utf8(&mut buffer).as_bytes();
            let (head, tail) = bytes.split_at(bytes.len() / 2);
            assert_eq!(validate(&[head, tail]), Ok(()), "{character:?}");
        }
    }
}
