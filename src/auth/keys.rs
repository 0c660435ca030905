//! Keys, each bound to one algorithm when it is loaded; what a token says of its algorithm only has to agree.

use std::fmt;

use jsonwebtoken::jwk::{AlgorithmParameters, EllipticCurve, Jwk, KeyAlgorithm, KeyOperations, PublicKeyUse};
use jsonwebtoken::{Algorithm, DecodingKey, DecodingKeyKind};

/// The shortest modulus that RSA signatures are believed with, in bytes (RFC 7518 §3.3).
const RSA_BYTES_MIN: usize = 2048 / 8;
/// An uncompressed point on P-256: a mark and two coordinates.
const P256_BYTES: usize = 1 + 2 * 32;
const ED25519_BYTES: usize = 32;
/// Keys of one set at most.
// They are searched one by one, for every token.
const SET_KEYS_MAX: usize = 256;

/// An algorithm with one secret for both sides.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum HmacAlgorithm {
    /// HMAC with SHA-256.
    Hs256,
    /// HMAC with SHA-384.
    Hs384,
    /// HMAC with SHA-512.
    Hs512,
}

impl HmacAlgorithm {
    pub(super) fn algorithm(self) -> Algorithm {
        match self {
            HmacAlgorithm::Hs256 => Algorithm::HS256,
            HmacAlgorithm::Hs384 => Algorithm::HS384,
            HmacAlgorithm::Hs512 => Algorithm::HS512,
        }
    }
}

/// Why there are no keys to be had from a file or a secret.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum KeyError {
    /// A secret without a byte.
    EmptySecret,
    /// No public key in PEM.
    NotPem,
    /// A private key where a public one belongs.
    Private,
    /// A kind of key, or a curve, that no algorithm here goes with.
    Unsupported,
    /// RSA with fewer than 2048 bits.
    ShortRsa,
    /// Not a JSON object with a list of keys (RFC 7517 §5).
    NotASet,
    /// A set without a key that could verify a signature.
    NothingUsable,
    /// Two keys of the same id, or several without one.
    Ambiguous,
}

impl fmt::Display for KeyError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            KeyError::EmptySecret => "the secret is empty",
            KeyError::NotPem => "is not a public key in PEM (-----BEGIN PUBLIC KEY-----)",
            KeyError::Private => "is a private key; only the public key belongs here (openssl pkey -pubout)",
            KeyError::Unsupported => "is neither an RSA nor a P-256 nor an Ed25519 key",
            KeyError::ShortRsa => "is an RSA key of less than 2048 bits",
            KeyError::NotASet => "is not a JSON Web Key Set ({\"keys\":[…]}) of at most 256 keys",
            KeyError::NothingUsable => "has no key for HS256, HS384, HS512, RS256, ES256 or EdDSA signatures",
            KeyError::Ambiguous => "has several keys with the same kid, or several without one",
        })
    }
}

impl std::error::Error for KeyError {}

/// A key and the only algorithm that it is used with.
#[derive(Clone, Debug)]
pub(super) struct BoundKey {
    pub(super) key: DecodingKey,
    pub(super) algorithm: Algorithm,
}

/// What signatures are verified with.
#[derive(Clone, Debug)]
pub struct Keys(Kind);

#[derive(Clone, Debug)]
enum Kind {
    One(BoundKey),
    /// Keys with their ids. Invariant: not empty, no id twice.
    Set(Vec<(Option<String>, BoundKey)>),
}

impl Keys {
    /// A secret that those who sign have, too.
    ///
    /// # Errors
    /// [`KeyError::EmptySecret`].
    pub fn secret(secret: &[u8], algorithm: HmacAlgorithm) -> Result<Keys, KeyError> {
        if secret.is_empty() {
            return Err(KeyError::EmptySecret);
        }
        let algorithm = algorithm.algorithm();
        Ok(Keys(Kind::One(BoundKey { key: DecodingKey::from_secret(secret), algorithm })))
    }

    /// A public key in PEM: RSA for RS256, P-256 for ES256, Ed25519 for EdDSA.
    ///
    /// # Errors
    /// [`KeyError`].
    pub fn pem(text: &[u8]) -> Result<Keys, KeyError> {
        if contains(text, b"PRIVATE KEY-----") {
            return Err(KeyError::Private);
        }
        if !contains(text, b"PUBLIC KEY-----") {
            return Err(KeyError::NotPem);
        }
        let read = [
            (DecodingKey::from_rsa_pem as fn(&[u8]) -> _, Algorithm::RS256),
            (DecodingKey::from_ec_pem, Algorithm::ES256),
            (DecodingKey::from_ed_pem, Algorithm::EdDSA),
        ];
        let found = read.into_iter().find_map(|(read, algorithm)| Some((read(text).ok()?, algorithm)));
        let (key, algorithm) = found.ok_or(KeyError::Unsupported)?;
        Ok(Keys(Kind::One(BoundKey::new(key, algorithm)?)))
    }

    /// A JSON Web Key Set. Keys for other purposes or algorithms are left out, as RFC 7517 §5 asks.
    ///
    /// # Errors
    /// [`KeyError`].
    pub fn jwks(text: &[u8]) -> Result<Keys, KeyError> {
        #[derive(serde::Deserialize)]
        struct Set {
            keys: Vec<serde_json::Value>,
        }
        let set: Set = super::json::object(text).ok_or(KeyError::NotASet)?;
        if set.keys.len() > SET_KEYS_MAX {
            return Err(KeyError::NotASet);
        }
        let jwks = set.keys.into_iter().filter_map(|key| serde_json::from_value::<Jwk>(key).ok());
        let mut keys: Vec<(Option<String>, BoundKey)> = Vec::new();
        for jwk in jwks {
            let Some(bound) = BoundKey::of_jwk(&jwk) else { continue };
            if keys.iter().any(|(id, _)| *id == jwk.common.key_id) {
                return Err(KeyError::Ambiguous);
            }
            keys.push((jwk.common.key_id, bound?));
        }
        if keys.is_empty() { Err(KeyError::NothingUsable) } else { Ok(Keys(Kind::Set(keys))) }
    }

    /// The key for a token of that `kid`. A set of one key needs none; a single key is not asked for by name at all.
    pub(super) fn find(&self, kid: Option<&str>) -> Option<&BoundKey> {
        match &self.0 {
            Kind::One(key) => Some(key),
            Kind::Set(keys) => {
                debug_assert!(!keys.is_empty(), "a set without keys");
                match (kid, &keys[..]) {
                    (None, [(_, only)]) => Some(only),
                    // Trying one after the other would let a token choose its algorithm.
                    (None, _) => None,
                    (Some(kid), keys) => {
                        keys.iter().find(|(id, _)| id.as_deref() == Some(kid)).map(|(_, key)| key)
                    }
                }
            }
        }
    }
}

impl BoundKey {
    fn new(key: DecodingKey, algorithm: Algorithm) -> Result<BoundKey, KeyError> {
        let len = match key.kind() {
            DecodingKeyKind::SecretOrDer(bytes) => bytes.len(),
            DecodingKeyKind::RsaModulusExponent { n, .. } => n.len(),
        };
        // In DER the modulus has a few bytes around it; the next smaller size in use is half of it.
        if algorithm == Algorithm::RS256 && len < RSA_BYTES_MIN {
            return Err(KeyError::ShortRsa);
        }
        if algorithm == Algorithm::ES256 && len != P256_BYTES
            || algorithm == Algorithm::EdDSA && len != ED25519_BYTES
        {
            return Err(KeyError::Unsupported);
        }
        if len == 0 { Err(KeyError::EmptySecret) } else { Ok(BoundKey { key, algorithm }) }
    }

    /// `None` if the key is for something else.
    fn of_jwk(jwk: &Jwk) -> Option<Result<BoundKey, KeyError>> {
        let common = &jwk.common;
        let verifies = match (&common.public_key_use, &common.key_operations) {
            (Some(PublicKeyUse::Encryption | PublicKeyUse::Other(_)), _) => false,
            (_, Some(operations)) => operations.contains(&KeyOperations::Verify),
            (Some(PublicKeyUse::Signature) | None, None) => true,
        };
        let named = common.key_algorithm;
        let fits = |algorithm| named.is_none_or(|named| named == algorithm);
        let algorithm = match &jwk.algorithm {
            AlgorithmParameters::RSA(_) if fits(KeyAlgorithm::RS256) => Algorithm::RS256,
            AlgorithmParameters::EllipticCurve(key)
                if key.curve == EllipticCurve::P256 && fits(KeyAlgorithm::ES256) =>
            {
                Algorithm::ES256
            }
            AlgorithmParameters::OctetKeyPair(key)
                if key.curve == EllipticCurve::Ed25519 && fits(KeyAlgorithm::EdDSA) =>
            {
                Algorithm::EdDSA
            }
            // A secret goes with several: the set has to say with which.
            AlgorithmParameters::OctetKey(_) => hmac(named?)?,
            AlgorithmParameters::RSA(_)
            | AlgorithmParameters::EllipticCurve(_)
            | AlgorithmParameters::OctetKeyPair(_) => return None,
        };
        let read = |jwk| DecodingKey::from_jwk(jwk).map_err(|_| KeyError::NotASet);
        verifies.then(|| BoundKey::new(read(jwk)?, algorithm))
    }
}

#[expect(
    clippy::wildcard_enum_match_arm,
    reason = "the algorithms of another crate, most of which are not ours"
)]
fn hmac(named: KeyAlgorithm) -> Option<Algorithm> {
    match named {
        KeyAlgorithm::HS256 => Some(Algorithm::HS256),
        KeyAlgorithm::HS384 => Some(Algorithm::HS384),
        KeyAlgorithm::HS512 => Some(Algorithm::HS512),
        _ => None,
    }
}

fn contains(text: &[u8], part: &[u8]) -> bool {
    text.windows(part.len()).any(|window| window == part)
}
