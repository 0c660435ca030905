//! The proof that the server read the handshake (RFC 6455 §4.2.2, step 5.4).

use base64::Engine;
use base64::alphabet;
use base64::engine::general_purpose::{GeneralPurpose, PAD, STANDARD};

/// The GUID every server appends to the client's key.
const GUID: &[u8] = b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11";

/// Bytes of the nonce in a `Sec-WebSocket-Key`.
pub(super) const NONCE_BYTES: usize = 16;

/// Bytes of the key as it is written: base64 of the nonce.
pub(super) const KEY_BYTES: usize = 24;

/// Sixteen bytes leave four bits of the last character over. The RFC's own example of a key has ones there
/// (`AQIDBAUGBwgJCgsMDQ4PEC==`, §4.1), and clients that copied it are many.
const KEYS: GeneralPurpose =
    GeneralPurpose::new(&alphabet::STANDARD, PAD.with_decode_allow_trailing_bits(true));

/// The value of `Sec-WebSocket-Accept`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct AcceptKey {
    /// Invariant: base64 of the 20 bytes of a SHA-1, hence ASCII.
    text: [u8; 28],
}

impl AcceptKey {
    /// The answer to a `Sec-WebSocket-Key`; `None` if that is not the base64 of exactly 16 bytes.
    pub fn answer(key: &str) -> Option<AcceptKey> {
        // A longer key would not fit; a shorter one decodes to fewer bytes.
        let mut nonce = [0; KEY_BYTES / 4 * 3];
        if key.len() != KEY_BYTES || KEYS.decode_slice(key, &mut nonce) != Ok(NONCE_BYTES) {
            return None;
        }
        let mut sha1 = sha1_smol::Sha1::new();
        sha1.update(key.as_bytes());
        sha1.update(GUID);
        let mut text = [0; 28];
        let len = STANDARD.encode_slice(sha1.digest().bytes(), &mut text).ok()?;
        debug_assert_eq!(len, text.len());
        Some(AcceptKey { text })
    }

    /// The value as it is written.
    pub fn as_bytes(&self) -> &[u8] {
        &self.text
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_example_of_the_rfc_is_answered_as_there() {
        let answer = AcceptKey::answer("dGhlIHNhbXBsZSBub25jZQ==").unwrap();
        assert_eq!(answer.as_bytes(), b"s3pPLMBiTxaQ9kYGzzhZRbK+xOo=");
    }

    #[test]
    fn a_key_is_answered_as_it_was_written() {
        // Of `printf %s KEY258EAFA5-E914-47DA-95CA-C5AB0DC85B11 | openssl sha1 -binary | base64`.
        let answer = AcceptKey::answer("AQIDBAUGBwgJCgsMDQ4PEC==").unwrap();
        assert_eq!(answer.as_bytes(), b"OfS0wDaT5NoxF2gqm7Zj2YtetzM=");
    }

    #[test]
    fn a_key_is_the_base64_of_sixteen_bytes() {
        let cases = [
            ("", false),
            ("AAAAAAAAAAAAAAAAAAAAAA==", true),
            ("AAAAAAAAAAAAAAAAAAAAAA", false),
            ("AAAAAAAAAAAAAAAAAAAAA===", false),
            ("AAAAAAAAAAAAAAAAAAAAAAA=", false),
            ("AAAAAAAAAAAAAAAAAAAAAAAA", false),
            ("AAAAAAAAAAAAAAAAAAAA", false),
            ("AAAAAAAAAAAAAAAAAAAAAAAAAA==", false),
            ("AAAAAAAAAAA AAAAAAAAAAA==", false),
            ("AAAAAAAAAA-_AAAAAAAAAA==", false),
            ("AAAAAAAAAAAAAAAAAAAAAB==", true),
            ("AAAAAAAAAAAAAAAAAAAAA/==", true),
            ("AQIDBAUGBwgJCgsMDQ4PEC==", true),
            ("AQIDBAUGBwgJCgsMDQ4PEA==", true),
            ("AQIDBAUGBwgJCgsMDQ4PE===", false),
            ("AQIDBAUGBwgJCgsMDQ4PEC=A", false),
            ("=QIDBAUGBwgJCgsMDQ4PEC==", false),
        ];
        for (key, expected) in cases {
            assert_eq!(AcceptKey::answer(key).is_some(), expected, "{key:?}");
        }
    }
}
