//! Tokens of every kind, and the ways in which a client brings one along.

use std::time::{Duration, SystemTime};

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use jsonwebtoken::{Algorithm, EncodingKey, Header, crypto};
use serde_json::{Value, json};

use super::frame;

/// What the servers of the tests and those who sign for them have in common.
pub(crate) const SECRET: &str = "a secret of the tests, long enough for SHA-256";

#[expect(clippy::disallowed_methods, reason = "tokens are valid for a time")]
pub(crate) fn unix_time() -> Duration {
    SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).expect("a time after 1970")
}

/// So many seconds from now, as `exp` has it.
pub(crate) fn in_seconds(seconds: u64) -> u64 {
    unix_time().as_secs() + seconds
}

/// A token of these claims, valid for an hour unless they say otherwise.
pub(crate) fn token_of(claims: &Value) -> String {
    signed(claims, Algorithm::HS256, None, &secret_key())
}

pub(crate) fn signed(claims: &Value, algorithm: Algorithm, kid: Option<&str>, key: &EncodingKey) -> String {
    let mut all = json!({ "exp": in_seconds(3600) });
    all.as_object_mut().expect("an object").extend(claims.as_object().expect("an object").clone());
    let header = Header { kid: kid.map(str::to_owned), ..Header::new(algorithm) };
    jsonwebtoken::encode(&header, &all, key).expect("a key for this algorithm")
}

/// A token of exactly these texts.
pub(crate) fn written(header: &str, claims: &str, algorithm: Algorithm, key: &EncodingKey) -> String {
    let message = format!("{}.{}", URL_SAFE_NO_PAD.encode(header), URL_SAFE_NO_PAD.encode(claims));
    let signature = crypto::sign(message.as_bytes(), key, algorithm).expect("a key for this algorithm");
    format!("{message}.{signature}")
}

/// The key that [`SECRET`] is.
pub(crate) fn secret_key() -> EncodingKey {
    EncodingKey::from_secret(SECRET.as_bytes())
}

/// A token of this user.
pub(crate) fn token(user: &str) -> String {
    token_of(&json!({ "sub": user }))
}

pub(crate) fn admin_token() -> String {
    token_of(&json!({ "sub": "root", "admin": true }))
}

pub(crate) fn bearer(token: &str) -> String {
    format!("Authorization: Bearer {token}\r\n")
}

pub(crate) fn auth_message(token: &str) -> Vec<u8> {
    frame::masked(frame::TEXT, json!({ "type": "AUTH", "token": token }).to_string().as_bytes())
}
