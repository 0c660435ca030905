//! Why a token is not believed.

use std::fmt;

/// A longer token is refused before anything of it is decoded.
// As much as common proxies take of one header field: a longer one would not arrive in a request anyway.
pub const TOKEN_BYTES_MAX: usize = 8 * 1024;

/// Why a token is not believed. The texts say nothing of its content.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum TokenError {
    /// No token at all.
    Missing,
    /// Tokens in two places, or two in one.
    SeveralSources,
    /// A cookie, and nothing that proves that a page of ours sent it.
    CookieOrigin,
    /// A field that holds no token where one was announced.
    NoToken,
    /// More than [`TOKEN_BYTES_MAX`] bytes.
    TooLong,
    /// Not three parts of base64url, or no JSON objects in them.
    Malformed,
    /// An extension that must be understood.
    Critical,
    /// No key of that id.
    UnknownKey,
    /// Another algorithm than the key's.
    Algorithm,
    /// The signature is not the key's.
    Signature,
    /// The claims are not one JSON object.
    Claims,
    /// A claim that is missing, of the wrong type, or there twice.
    Claim(Claim),
    /// `sub` cannot be a user's name.
    Subject,
    /// Its time has passed.
    Expired,
    /// Its time has not come.
    NotYet,
    /// It is for another audience.
    Audience,
    /// Another issuer made it.
    Issuer,
}

/// A claim that is read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Claim {
    /// `sub`, the user's name.
    Sub,
    /// `exp`, when the token ends.
    Exp,
    /// `nbf`, when it begins.
    Nbf,
    /// `aud`, for whom it is.
    Aud,
    /// `iss`, who made it.
    Iss,
    /// `rooms`, a list of names.
    Rooms,
    /// `admin`, true or false.
    Admin,
}

impl Claim {
    const fn message(self) -> &'static str {
        match self {
            Claim::Sub => "the token's claim sub is missing, repeated or no string",
            Claim::Exp => "the token's claim exp is missing, repeated or no number",
            Claim::Nbf => "the token's claim nbf is repeated or no number",
            Claim::Aud => "the token's claim aud is repeated or no string or list of strings",
            Claim::Iss => "the token's claim iss is repeated or no string",
            Claim::Rooms => "the token's claim rooms is repeated or no list of strings",
            Claim::Admin => "the token's claim admin is repeated or neither true nor false",
        }
    }
}

impl TokenError {
    /// The reason, for a Close frame, a response, the log.
    pub fn message(self) -> &'static str {
        match self {
            TokenError::Missing => "a token is needed",
            TokenError::SeveralSources => "tokens from more than one source",
            TokenError::CookieOrigin => "the cookie counts only with an allowed origin",
            TokenError::NoToken => "the token is missing where one was announced",
            TokenError::TooLong => "the token is too long",
            TokenError::Malformed => "the token is not a JSON Web Token",
            TokenError::Critical => "the token has a critical extension",
            TokenError::UnknownKey => "the token names an unknown key",
            TokenError::Algorithm => "the token has another algorithm than the key",
            TokenError::Signature => "the token's signature is wrong",
            TokenError::Claims => "the token's claims are not one JSON object",
            TokenError::Claim(claim) => claim.message(),
            TokenError::Subject => "the token's sub cannot be a user name",
            TokenError::Expired => "the token has expired",
            TokenError::NotYet => "the token is not valid yet (nbf)",
            TokenError::Audience => "the token is for another audience",
            TokenError::Issuer => "the token has another issuer",
        }
    }

    /// The error code of RFC 6750 §3.1; none if there was no attempt.
    pub fn code(self) -> Option<&'static str> {
        match self {
            TokenError::Missing => None,
            TokenError::SeveralSources | TokenError::NoToken => Some("invalid_request"),
            TokenError::CookieOrigin
            | TokenError::TooLong
            | TokenError::Malformed
            | TokenError::Critical
            | TokenError::UnknownKey
            | TokenError::Algorithm
            | TokenError::Signature
            | TokenError::Claims
            | TokenError::Claim(_)
            | TokenError::Subject
            | TokenError::Expired
            | TokenError::NotYet
            | TokenError::Audience
            | TokenError::Issuer => Some("invalid_token"),
        }
    }

    /// The value of `WWW-Authenticate` that goes with the refusal (RFC 6750 §3).
    pub fn challenge(self) -> String {
        match self.code() {
            None => "Bearer realm=\"foghorn\"".to_owned(),
            Some(code) => {
                format!(
                    "Bearer realm=\"foghorn\", error=\"{code}\", error_description=\"{}\"",
                    self.message()
                )
            }
        }
    }
}

impl fmt::Display for TokenError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.message())
    }
}

impl std::error::Error for TokenError {}
