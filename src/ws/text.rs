//! Whole payloads as text.
#![expect(
    unsafe_code,
    reason = "short ASCII messages are decoded in half the time: `cargo bench --bench ws text`"
)]

use super::utf8::InvalidUtf8;

/// Where `simdutf8` begins to use vector instructions.
const SIMD_BYTES_MIN: usize = 64;

/// The same as [`str::from_utf8`], faster for what chat is made of.
///
/// From 64 bytes on `simdutf8` is fastest; below, it leaves the work to the standard library, which goes byte by
/// byte up to an aligned address, where a payload behind its header seldom lies. For those, a look at the top bits
/// finds ASCII without either.
///
/// # Errors
/// If the bytes are not UTF-8.
#[inline]
pub fn from_utf8(bytes: &[u8]) -> Result<&str, InvalidUtf8> {
    if bytes.len() < SIMD_BYTES_MIN && bytes.is_ascii() {
        // SAFETY: every ASCII byte is a whole character of UTF-8.
        return Ok(unsafe { str::from_utf8_unchecked(bytes) });
    }
    simdutf8::basic::from_utf8(bytes).map_err(|_| InvalidUtf8)
}

#[cfg(test)]
mod tests {
    use super::from_utf8;

    #[test]
    fn bytes_at_every_place_are_judged_as_by_std() {
        for len in 0..=130 {
            for at in 0..len {
                for byte in [0, b'z', 0x7f, 0x80, 0xbf, 0xc3, 0xe2, 0xf0, 0xff] {
                    let mut bytes = vec![b'a'; len];
                    bytes[at] = byte;
                    assert_eq!(
                        from_utf8(&bytes).ok(),
                        str::from_utf8(&bytes).ok(),
                        "{byte:02x} at {at} of {len}"
                    );
                }
            }
        }
    }

    #[test]
    fn characters_of_every_length_are_judged_as_by_std_at_every_place() {
        for text in ["é", "€", "🎺"] {
            for before in 0..80 {
                let bytes = [&vec![b'a'; before], text.as_bytes(), b"behind"].concat();
                assert_eq!(from_utf8(&bytes).ok(), str::from_utf8(&bytes).ok());
                let cut = &bytes[..=before];
                assert_eq!(from_utf8(cut).ok(), str::from_utf8(cut).ok());
            }
        }
    }
}
