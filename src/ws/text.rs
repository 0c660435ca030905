//! Whole payloads: unmasked, and read as text.
#![expect(
    unsafe_code,
    reason = "short ASCII messages are decoded in half the time: `cargo bench --bench ws text`"
)]

use super::mask::Mask;
use super::utf8::InvalidUtf8;

/// The whole payload of a frame or message, unmasked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Payload<'a> {
    /// What unmasking has seen to be ASCII, as most chat is.
    Ascii(&'a str),
    /// Everything else, and what was never masked.
    Bytes(&'a [u8]),
}

impl<'a> Payload<'a> {
    /// Unmasks `bytes` in place, and finds ASCII in the same pass.
    ///
    /// A second pass over a short payload costs more than the first: `simdutf8` leaves less than 64 bytes to the
    /// standard library, which goes byte by byte up to an aligned address, where a payload seldom begins; and to read
    /// back what has just been written in words of another size stalls the processor.
    #[inline]
    pub fn unmask(bytes: &'a mut [u8], mut mask: Mask) -> Self {
        if mask.apply(bytes) {
            // SAFETY: every byte is ASCII, and each is a whole character of UTF-8.
            return Payload::Ascii(unsafe { str::from_utf8_unchecked(bytes) });
        }
        Payload::Bytes(bytes)
    }

    /// The payload as text.
    ///
    /// # Errors
    /// If it is not UTF-8.
    #[inline]
    pub fn text(self) -> Result<&'a str, InvalidUtf8> {
        match self {
            Payload::Ascii(text) => Ok(text),
            Payload::Bytes(bytes) => simdutf8::basic::from_utf8(bytes).map_err(|_| InvalidUtf8),
        }
    }

    /// The payload as bytes.
    #[inline]
    pub const fn bytes(self) -> &'a [u8] {
        match self {
            Payload::Ascii(text) => text.as_bytes(),
            Payload::Bytes(bytes) => bytes,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::Payload;
    use crate::ws::mask::Mask;

    const KEY: [u8; 4] = [0x37, 0xfa, 0x21, 0x3d];

    /// Masks `plain` and lets it be unmasked; the safe twin is `str::from_utf8` of what went in.
    fn check(plain: &[u8]) {
        let mut bytes = plain.to_vec();
        Mask::new(KEY).apply(&mut bytes);
        let payload = Payload::unmask(&mut bytes, Mask::new(KEY));
        assert_eq!(payload.bytes(), plain);
        assert_eq!(payload.text().ok(), str::from_utf8(plain).ok(), "{plain:02x?}");
        assert_eq!(matches!(payload, Payload::Ascii(_)), plain.is_ascii());
    }

    #[test]
    fn bytes_at_every_place_are_judged_as_by_std() {
        for len in 0..=130 {
            for at in 0..len {
                for byte in [0, 0x7f, 0x80, 0xbf, 0xc3, 0xff] {
                    let mut bytes = vec![b'a'; len];
                    bytes[at] = byte;
                    check(&bytes);
                }
            }
        }
    }

    #[test]
    fn characters_of_every_length_are_judged_as_by_std_at_every_place() {
        for text in ["é", "€", "🎺"] {
            for before in 0..80 {
                let bytes = [&vec![b'a'; before], text.as_bytes(), b"behind"].concat();
                check(&bytes);
                check(&bytes[..=before]);
            }
        }
    }
}
