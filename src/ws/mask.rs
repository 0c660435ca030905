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

    /// Masks or unmasks `piece` in place and turns the key for the piece that follows.
    ///
    /// Words of eight bytes are what the compiler makes vector instructions of; the last seven bytes go as one
    /// word of four and single bytes, since most messages are short and their tails count.
    #[inline]
    pub fn apply(&mut self, piece: &mut [u8]) {
        let key = u64::from(self.key);
        let key = key << 32 | key;
        let (words, tail) = piece.as_chunks_mut::<8>();
        for word in words {
            *word = (u64::from_le_bytes(*word) ^ key).to_le_bytes();
        }
        let (words, tail) = tail.as_chunks_mut::<4>();
        for word in words {
            *word = (u32::from_le_bytes(*word) ^ self.key).to_le_bytes();
        }
        for (byte, key) in tail.iter_mut().zip(self.key.to_le_bytes()) {
            *byte ^= key;
        }
        self.key = match piece.len() % 4 {
            1 => self.key.rotate_right(8),
            2 => self.key.rotate_right(16),
            3 => self.key.rotate_right(24),
            _ => self.key,
        };
    }
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
