//! Masking of client payloads (RFC 6455 §5.3): each byte is combined with a key of four bytes by exclusive or.

/// A masking key, turned so that its first byte belongs to the next byte of the payload.
///
/// Masking and unmasking are the same operation.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Mask {
    /// Little-endian on every machine: the lowest byte comes first.
    key: u32,
}

impl Mask {
    /// The key as it stands in a frame's header, for the start of its payload.
    #[inline]
    pub const fn new(key: [u8; 4]) -> Self {
        Self { key: u32::from_le_bytes(key) }
    }

    /// Masks or unmasks `piece` in place and turns the key for the piece that follows. Returns whether the result is
    /// ASCII, which costs nothing while it passes through a register and a second pass afterwards.
    ///
    /// Words of eight bytes are what the compiler makes vector instructions of. The last word overlaps the one before
    /// it: its bytes were read first, so that both write the same, and no loop over single bytes remains.
    #[inline]
    pub fn apply(&mut self, piece: &mut [u8]) -> bool {
        let key = self.key;
        self.key = key.rotate_right([0, 8, 16, 24][piece.len() % 4]);

        if let Some(&last) = piece.last_chunk() {
            let mut seen = u64::from_le_bytes(last) ^ twice(self.key);
            let last = seen.to_le_bytes();
            for word in piece.as_chunks_mut().0 {
                let masked = u64::from_le_bytes(*word) ^ twice(key);
                seen |= masked;
                *word = masked.to_le_bytes();
            }
            if let Some(place) = piece.last_chunk_mut() {
                *place = last;
            }
            return seen & 0x8080_8080_8080_8080 == 0;
        }

        let mut seen = 0;
        let (words, tail) = piece.as_chunks_mut();
        for word in words {
            let masked = u32::from_le_bytes(*word) ^ key;
            seen |= masked;
            *word = masked.to_le_bytes();
        }
        for (byte, key) in tail.iter_mut().zip(key.to_le_bytes()) {
            *byte ^= key;
            seen |= u32::from(*byte);
        }
        seen & 0x8080_8080 == 0
    }
}

/// The key of four bytes for a word of eight.
#[inline]
const fn twice(key: u32) -> u64 {
    let key = key as u64;
    key << 32 | key
}

#[cfg(test)]
mod tests {
    use super::Mask;
    use crate::every_split::every_split;

    /// RFC 6455 §5.3, to the letter.
    fn byte_by_byte(payload: &mut [u8], key: [u8; 4]) {
        for (i, byte) in payload.iter_mut().enumerate() {
            *byte ^= key[i % 4];
        }
    }

    #[test]
    fn every_length_up_to_70_is_masked_as_the_rfc_says() {
        let key = [0x37, 0xfa, 0x21, 0x3d];
        for len in 0..=70_u8 {
            let plain: Vec<u8> = (0..len).collect();
            let mut expected = plain.clone();
            byte_by_byte(&mut expected, key);
            let masked = every_split(&plain, |pieces| {
                let mut mask = Mask::new(key);
                let mut out = Vec::new();
                for piece in pieces {
                    let start = out.len();
                    out.extend_from_slice(piece);
                    mask.apply(&mut out[start..]);
                }
                out
            });
            assert_eq!(masked, expected);
        }
    }

    #[test]
    fn a_single_byte_that_is_not_ascii_is_seen_at_every_place_of_every_length() {
        let key = [0x81, 0x02, 0xff, 0x40];
        for len in 0..=40 {
            let plain = vec![b'a'; len];
            for place in 0..=len {
                let mut bytes = plain.clone();
                if let Some(byte) = bytes.get_mut(place) {
                    *byte = 0x80;
                }
                byte_by_byte(&mut bytes, key);
                assert_eq!(Mask::new(key).apply(&mut bytes), place == len, "0x80 at {place} of {len}");
            }
        }
    }

    #[test]
    fn masking_twice_gives_the_plain_bytes_back() {
        let mut bytes = *b"Hello, masked world";
        Mask::new([1, 2, 3, 4]).apply(&mut bytes);
        assert_ne!(&bytes, b"Hello, masked world");
        Mask::new([1, 2, 3, 4]).apply(&mut bytes);
        assert_eq!(&bytes, b"Hello, masked world");
    }

    #[test]
    fn a_piece_of_a_whole_number_of_keys_leaves_the_key_as_it_was() {
        let mut mask = Mask::new([1, 2, 3, 4]);
        mask.apply(&mut [0; 12]);
        assert_eq!(mask, Mask::new([1, 2, 3, 4]));
        mask.apply(&mut [0; 5]);
        assert_eq!(mask, Mask::new([2, 3, 4, 1]));
    }
}
