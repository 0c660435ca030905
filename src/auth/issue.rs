//! A token is signed: for `foghorn token`, and for tests.

use std::fmt;
use std::time::Duration;

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde::Serialize;

use super::keys::HmacAlgorithm;
use super::signature::signed;
use super::token::name;
use super::{TOKEN_BYTES_MAX, USER_BYTES_MAX, is_user_name};

/// Signs tokens with a secret.
#[derive(Clone)]
pub struct Issuer {
    secret: Box<[u8]>,
    algorithm: HmacAlgorithm,
    audience: Option<String>,
    issuer: Option<String>,
}

/// Why a token is not signed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum IssueError {
    /// The name cannot be a user's.
    Name,
    /// The token would be longer than a server takes.
    TooLong,
    /// It could not be signed.
    Unsigned,
}

impl fmt::Display for IssueError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            IssueError::Name => {
                write!(f, "a user name has 1 to {USER_BYTES_MAX} bytes and no control character")
            }
            IssueError::TooLong => {
                write!(f, "the token has more than {TOKEN_BYTES_MAX} bytes: name fewer rooms")
            }
            IssueError::Unsigned => f.write_str("the token could not be signed"),
        }
    }
}

impl std::error::Error for IssueError {}

impl fmt::Debug for Issuer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Issuer").field("algorithm", &self.algorithm).finish_non_exhaustive()
    }
}

/// The claims of a token, in the order in which they are written.
#[derive(Serialize)]
struct ClaimsToSign<'c> {
    sub: &'c str,
    iat: u64,
    exp: u64,
    #[serde(skip_serializing_if = "Option::is_none")]
    aud: Option<&'c str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    iss: Option<&'c str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    rooms: Option<&'c [String]>,
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    admin: bool,
}

impl Issuer {
    /// Signs with this secret; `audience` and `issuer` are those of the server that is to believe it.
    #[must_use]
    pub fn new(
        secret: &[u8],
        algorithm: HmacAlgorithm,
        audience: Option<String>,
        issuer: Option<String>,
    ) -> Issuer {
        Issuer { secret: secret.into(), algorithm, audience, issuer }
    }

    /// A token for this user from `now` (since 1970) on. No list of rooms is all rooms.
    ///
    /// # Errors
    /// [`IssueError`].
    pub fn issue(
        &self,
        user: &str,
        rooms: Option<&[String]>,
        admin: bool,
        now: Duration,
        lifetime: Duration,
    ) -> Result<String, IssueError> {
        if !is_user_name(user) {
            return Err(IssueError::Name);
        }
        let claims = ClaimsToSign {
            sub: user,
            iat: now.as_secs(),
            exp: now.saturating_add(lifetime).as_secs(),
            aud: self.audience.as_deref(),
            iss: self.issuer.as_deref(),
            rooms,
            admin,
        };
        let algorithm = self.algorithm.algorithm();
        let header = format!(r#"{{"typ":"JWT","alg":"{}"}}"#, name(algorithm));
        let claims = serde_json::to_vec(&claims).map_err(|_| IssueError::Unsigned)?;
        let message = format!("{}.{}", URL_SAFE_NO_PAD.encode(header), URL_SAFE_NO_PAD.encode(claims));
        let signature = signed(algorithm, &self.secret, message.as_bytes()).ok_or(IssueError::Unsigned)?;
        let token = format!("{message}.{}", URL_SAFE_NO_PAD.encode(signature));
        if token.len() > TOKEN_BYTES_MAX { Err(IssueError::TooLong) } else { Ok(token) }
    }
}
