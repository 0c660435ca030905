//! A checksum over a message, so that a bit that flips on the disk is noticed instead of shown.
//!
//! SQLite checks the structure of its pages but not the texts in them. This is no defence against forgery.

/// Odd, with its bits spread: multiplying by it is reversible and stirs the higher half.
const STIR: u64 = 0x9e37_79b9_7f4a_7c15;

/// A sum over numbers and texts in their order.
///
/// Every step maps the state one to one, so a change of one word always changes the 64 bits of the state.
#[derive(Clone, Copy, Debug)]
pub(super) struct Checksum(u64);

impl Checksum {
    pub(super) const fn new() -> Checksum {
        Checksum(STIR)
    }

    #[must_use]
    pub(super) const fn number(self, value: u64) -> Checksum {
        let stirred = (self.0 ^ value).wrapping_mul(STIR);
        Checksum(stirred ^ (stirred >> 32))
    }

    /// The length goes in as well, so that bytes cannot wander from one text to the next unnoticed.
    #[must_use]
    pub(super) fn text(self, bytes: &[u8]) -> Checksum {
        let (words, tail) = bytes.as_chunks::<8>();
        let mut last = [0; 8];
        last[..tail.len()].copy_from_slice(tail);
        let sum = words
            .iter()
            .fold(self.number(bytes.len() as u64), |sum, word| sum.number(u64::from_le_bytes(*word)));
        sum.number(u64::from_le_bytes(last))
    }

    /// Thirty-two bits of it: a change goes unnoticed once in four thousand million times.
    pub(super) const fn value(self) -> u32 {
        let folded = self.number(0).0;
        #[expect(clippy::cast_possible_truncation, reason = "the lower half is what is wanted")]
        let lower = folded as u32;
        lower
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sum(texts: &[&[u8]]) -> u32 {
        texts.iter().fold(Checksum::new().number(7), |sum, text| sum.text(text)).value()
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
}
