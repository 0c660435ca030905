//! Signatures of tokens, with `ring`: what a key verifies, and what a secret signs.

use jsonwebtoken::{Algorithm, DecodingKeyKind};
use ring::hmac::{self, HMAC_SHA256, HMAC_SHA384, HMAC_SHA512};
use ring::signature::{
    ECDSA_P256_SHA256_FIXED, ED25519, RSA_PKCS1_2048_8192_SHA256, RsaPublicKeyComponents, UnparsedPublicKey,
};

/// Whether this is the signature of `message` by the key; it is never, for an algorithm that no key is bound to.
pub(super) fn is_genuine(
    algorithm: Algorithm,
    key: &DecodingKeyKind,
    message: &[u8],
    signature: &[u8],
) -> bool {
    let verified = match (key, hmac_of(algorithm)) {
        (DecodingKeyKind::SecretOrDer(secret), Some(hmac)) => {
            hmac::verify(&hmac::Key::new(hmac, secret), message, signature)
        }
        (DecodingKeyKind::SecretOrDer(key), None) if algorithm == Algorithm::RS256 => {
            UnparsedPublicKey::new(&RSA_PKCS1_2048_8192_SHA256, key).verify(message, signature)
        }
        (DecodingKeyKind::SecretOrDer(key), None) if algorithm == Algorithm::ES256 => {
            UnparsedPublicKey::new(&ECDSA_P256_SHA256_FIXED, key).verify(message, signature)
        }
        (DecodingKeyKind::SecretOrDer(key), None) if algorithm == Algorithm::EdDSA => {
            UnparsedPublicKey::new(&ED25519, key).verify(message, signature)
        }
        (DecodingKeyKind::RsaModulusExponent { n, e }, None) if algorithm == Algorithm::RS256 => {
            let key = RsaPublicKeyComponents { n: without_zeros(n), e: without_zeros(e) };
            key.verify(&RSA_PKCS1_2048_8192_SHA256, message, signature)
        }
        (DecodingKeyKind::SecretOrDer(_) | DecodingKeyKind::RsaModulusExponent { .. }, _) => return false,
    };
    verified.is_ok()
}

/// The signature of `message`; `None` for an algorithm that takes no secret.
pub(super) fn signed(algorithm: Algorithm, secret: &[u8], message: &[u8]) -> Option<hmac::Tag> {
    Some(hmac::sign(&hmac::Key::new(hmac_of(algorithm)?, secret), message))
}

#[expect(
    clippy::wildcard_enum_match_arm,
    reason = "the algorithms of another crate, most of which take no secret"
)]
fn hmac_of(algorithm: Algorithm) -> Option<hmac::Algorithm> {
    match algorithm {
        Algorithm::HS256 => Some(HMAC_SHA256),
        Algorithm::HS384 => Some(HMAC_SHA384),
        Algorithm::HS512 => Some(HMAC_SHA512),
        _ => None,
    }
}

/// Some who write key sets put a zero before a number whose highest bit is set, as DER does; `ring` takes none.
fn without_zeros(number: &[u8]) -> &[u8] {
    let zeros = number.iter().take_while(|byte| **byte == 0).count();
    &number[zeros..]
}
