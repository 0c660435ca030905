//! A token is checked: its shape, its algorithm, its signature, its claims, in this order.

use std::time::Duration;

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use jsonwebtoken::Algorithm;
use serde::Deserialize;

use super::error::{Claim, TOKEN_BYTES_MAX, TokenError};
use super::json::{self, Seconds};
use super::keys::Keys;
use super::signature::is_genuine;
use super::{Identity, is_user_name};

/// What tokens are checked against.
#[derive(Clone, Debug)]
pub struct Authority {
    keys: Keys,
    audience: Option<String>,
    issuer: Option<String>,
    leeway: Duration,
}

/// What counts of a header (RFC 7515 §4). Other fields, `jku`, `x5u` and `jwk` among them, are not read.
#[derive(Deserialize)]
struct Header {
    alg: String,
    #[serde(default, deserialize_with = "json::some")]
    kid: Option<String>,
    #[serde(default, deserialize_with = "json::present")]
    crit: bool,
}

/// What counts of the claims (RFC 7519 §4).
#[derive(Deserialize)]
struct Claims {
    sub: String,
    exp: Seconds,
    #[serde(default, deserialize_with = "json::some")]
    nbf: Option<Seconds>,
    #[serde(default, deserialize_with = "json::some")]
    aud: Option<Audience>,
    #[serde(default, deserialize_with = "json::some")]
    iss: Option<String>,
    #[serde(default, deserialize_with = "json::some")]
    rooms: Option<Vec<String>>,
    #[serde(default)]
    admin: bool,
}

#[derive(Deserialize)]
#[serde(untagged)]
enum Audience {
    One(String),
    Several(Vec<String>),
}

impl Audience {
    fn names(&self, audience: &str) -> bool {
        match self {
            Audience::One(name) => name == audience,
            Audience::Several(names) => names.iter().any(|name| name == audience),
        }
    }
}

impl Authority {
    /// Believes what these keys have signed.
    #[must_use]
    pub fn new(keys: Keys) -> Authority {
        Authority { keys, audience: None, issuer: None, leeway: Duration::ZERO }
    }

    /// Believes only tokens whose `aud` names this. Without it, only tokens without an `aud` (RFC 7519 §4.1.3).
    #[must_use]
    pub fn audience(mut self, audience: Option<String>) -> Authority {
        self.audience = audience;
        self
    }

    /// Believes only tokens with this `iss`.
    #[must_use]
    pub fn issuer(mut self, issuer: Option<String>) -> Authority {
        self.issuer = issuer;
        self
    }

    /// How far the clocks of those who sign may be off.
    #[must_use]
    pub fn leeway(mut self, leeway: Duration) -> Authority {
        self.leeway = leeway;
        self
    }

    /// Checks a token; `now` counts from 1970 (UTC). The identity expires with the token, leeway included.
    ///
    /// # Errors
    /// [`TokenError`].
    pub fn verify(&self, token: &str, now: Duration) -> Result<Identity, TokenError> {
        if token.len() > TOKEN_BYTES_MAX {
            return Err(TokenError::TooLong);
        }
        let (message, signature) = token.rsplit_once('.').ok_or(TokenError::Malformed)?;
        let (header, claims) = message.split_once('.').ok_or(TokenError::Malformed)?;
        let header: Header = part(header).ok_or(TokenError::Malformed)?;
        // RFC 7515 §4.1.11: an extension that must be understood, and none is.
        if header.crit {
            return Err(TokenError::Critical);
        }
        let key = self.keys.find(header.kid.as_deref()).ok_or(TokenError::UnknownKey)?;
        // The key decides, not the token: otherwise a public key could pass as an HMAC secret.
        if header.alg != name(key.algorithm) {
            return Err(TokenError::Algorithm);
        }
        let signature = URL_SAFE_NO_PAD.decode(signature).map_err(|_| TokenError::Signature)?;
        if !is_genuine(key.algorithm, key.key.kind(), message.as_bytes(), &signature) {
            return Err(TokenError::Signature);
        }
        // Not before the signature: what is wrong with the claims is told only to those who have a key's word.
        let claims: Claims = part(claims).ok_or_else(|| wrong_claim(claims))?;
        self.judge(claims, now)
    }

    fn judge(&self, claims: Claims, now: Duration) -> Result<Identity, TokenError> {
        let expires_at = Duration::from_secs(claims.exp.0).saturating_add(self.leeway);
        // "On or after" (RFC 7519 §4.1.4).
        if now >= expires_at {
            return Err(TokenError::Expired);
        }
        if claims.nbf.is_some_and(|nbf| now.saturating_add(self.leeway) < Duration::from_secs(nbf.0)) {
            return Err(TokenError::NotYet);
        }
        let for_us = match (&claims.aud, &self.audience) {
            (Some(given), Some(own)) => given.names(own),
            (None, None) => true,
            (Some(_), None) | (None, Some(_)) => false,
        };
        if !for_us {
            return Err(TokenError::Audience);
        }
        if self.issuer.is_some() && claims.iss != self.issuer {
            return Err(TokenError::Issuer);
        }
        if !is_user_name(&claims.sub) {
            return Err(TokenError::Subject);
        }
        let identity = Identity::new(&claims.sub).admin(claims.admin).expires_at(expires_at);
        Ok(match claims.rooms {
            Some(rooms) => identity.rooms(rooms),
            None => identity,
        })
    }
}

/// What is wrong with claims that cannot be read: the first claim that cannot be read alone.
#[cold]
fn wrong_claim(text: &str) -> TokenError {
    /// Whether a claim can be read, whatever the others are.
    macro_rules! reads {
        ($name:ident: $kind:ty $(, $attribute:meta)?) => {{
            #[derive(Deserialize)]
            #[expect(dead_code, reason = "only whether it can be read counts")]
            struct Alone {
                $(#[$attribute])?
                $name: $kind,
            }
            part::<Alone>(text).is_some()
        }};
    }
    #[derive(Deserialize)]
    struct Nothing {}
    if part::<Nothing>(text).is_none() {
        return TokenError::Claims;
    }
    let claims = [
        (Claim::Sub, reads!(sub: String)),
        (Claim::Exp, reads!(exp: Seconds)),
        (Claim::Nbf, reads!(nbf: Option<Seconds>, serde(default, deserialize_with = "json::some"))),
        (Claim::Aud, reads!(aud: Option<Audience>, serde(default, deserialize_with = "json::some"))),
        (Claim::Iss, reads!(iss: Option<String>, serde(default, deserialize_with = "json::some"))),
        (Claim::Rooms, reads!(rooms: Option<Vec<String>>, serde(default, deserialize_with = "json::some"))),
        (Claim::Admin, reads!(admin: bool, serde(default))),
    ];
    claims.iter().find(|(_, reads)| !reads).map_or(TokenError::Claims, |(claim, _)| TokenError::Claim(*claim))
}

/// Decodes one part of a token.
fn part<T: serde::de::DeserializeOwned>(text: &str) -> Option<T> {
    json::object(&URL_SAFE_NO_PAD.decode(text).ok()?)
}

/// The algorithm's name (RFC 7518 §3.1). Those that no key is ever bound to have none, so that no header can name them.
#[expect(
    clippy::wildcard_enum_match_arm,
    reason = "the algorithms of another crate, half of which are not ours"
)]
pub(super) fn name(algorithm: Algorithm) -> &'static str {
    match algorithm {
        Algorithm::HS256 => "HS256",
        Algorithm::HS384 => "HS384",
        Algorithm::HS512 => "HS512",
        Algorithm::RS256 => "RS256",
        Algorithm::ES256 => "ES256",
        Algorithm::EdDSA => "EdDSA",
        _ => "\0",
    }
}
