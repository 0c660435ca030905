//! A checksum over a message, so that a bit that flips on the disk is noticed instead of shown.
//!
//! SQLite checks the structure of its pages but not the texts in them. This is no defence against forgery.

/// CRC-32C (RFC 3720 §12.1) over numbers and texts in their order, as it stands in the database: below zero, which tells
/// it from a [`LegacyChecksum`].
///
/// One processor instruction for eight bytes, and every error in up to 32 successive bits changes it. The lengths go in as
/// well, so that bytes cannot wander from one text to the next unnoticed, nor a text become none.
pub(super) fn checksum<const N: usize, const T: usize>(numbers: [u64; N], texts: [Option<&[u8]>; T]) -> i64 {
    const { assert!(N + T <= WORDS) };
    // All numbers at once: a call costs more than the few bytes of one.
    let mut words = [0; WORDS];
    words[..N].copy_from_slice(&numbers);
    for (word, text) in words[N..].iter_mut().zip(texts) {
        *word = text.map_or(0, |text| 1 + text.len() as u64);
    }
    let sum = crc32c::crc32c(words.map(u64::to_le_bytes).as_flattened());
    let texts = texts.into_iter().flatten().filter(|text| !text.is_empty());
    !i64::from(texts.fold(sum, crc32c::crc32c_append))
}

/// How many numbers and lengths there may be.
const WORDS: usize = 9;

/// Odd, with its bits spread: multiplying by it is reversible and stirs the higher half.
const STIR: u64 = 0x9e37_79b9_7f4a_7c15;

/// The checksum of messages that were stored before schema 5, from 0 to 2³² - 1. They keep it for as long as they are
/// kept: rewriting all of a large database would make its first start take minutes.
#[derive(Clone, Copy, Debug)]
pub(super) struct LegacyChecksum(u64);

impl LegacyChecksum {
    pub(super) const fn new() -> LegacyChecksum {
        LegacyChecksum(STIR)
    }

    #[must_use]
    pub(super) const fn number(self, value: u64) -> LegacyChecksum {
        let stirred = (self.0 ^ value).wrapping_mul(STIR);
        LegacyChecksum(stirred ^ (stirred >> 32))
    }

    #[must_use]
    pub(super) fn text(self, bytes: &[u8]) -> LegacyChecksum {
        let (words, tail) = bytes.as_chunks::<8>();
        let mut last = [0; 8];
        last[..tail.len()].copy_from_slice(tail);
        let sum = words
            .iter()
            .fold(self.number(bytes.len() as u64), |sum, word| sum.number(u64::from_le_bytes(*word)));
        sum.number(u64::from_le_bytes(last))
    }

    pub(super) const fn value(self) -> i64 {
        (self.number(0).0 & 0xffff_ffff).cast_signed()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sum(texts: &[&[u8]]) -> i64 {
        let text = |at: usize| texts.get(at).copied();
        checksum([7], [text(0), text(1), text(2)])
    }

    #[test]
    fn every_flipped_bit_changes_the_sum() {
        for len in 0..40usize {
            let text: Vec<u8> = (0..len).map(|at| u8::try_from(at).unwrap()).collect();
            for bit in 0..len * 8 {
                let mut flipped = text.clone();
                flipped[bit / 8] ^= 1 << (bit % 8);
                assert_ne!(sum(&[&text]), sum(&[&flipped]), "length {len}, bit {bit}");
            }
        }
    }

    #[test]
    fn where_a_text_ends_counts() {
        assert_ne!(sum(&[b"ab", b"c"]), sum(&[b"a", b"bc"]));
        assert_ne!(sum(&[b"a"]), sum(&[b"a\0"]));
        assert_ne!(sum(&[b""]), sum(&[]));
    }

    #[test]
    fn the_two_checksums_are_never_taken_for_each_other() {
        for text in [&b""[..], b"a", b"message 1"] {
            assert!((-1 << 32..0).contains(&sum(&[text])));
        }
        for text in [&b""[..], b"a", b"message 1"] {
            assert!((0..1 << 32).contains(&LegacyChecksum::new().text(text).value()));
        }
    }
}
