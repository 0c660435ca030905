//! The keys that a configuration names.

use std::fmt;
#[cfg(feature = "auth")]
use std::path::Path;
use std::path::PathBuf;

use super::policy::TokenPolicy;
#[cfg(feature = "auth")]
use crate::auth::{Authority, HmacAlgorithm, KeyError, Keys};
use crate::config::{self, Config};

/// Why the keys of tokens cannot be had.
#[derive(Debug)]
pub struct KeysError {
    /// The file; none for a secret.
    path: Option<PathBuf>,
    problem: KeysProblem,
}

#[derive(Debug)]
enum KeysProblem {
    #[cfg(feature = "auth")]
    Read(std::io::Error),
    #[cfg(feature = "auth")]
    Key(KeyError),
    #[cfg(not(feature = "auth"))]
    Absent,
}

impl fmt::Display for KeysError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.path {
            Some(path) => write!(f, "{} ", path.display())?,
            None => f.write_str("auth.jwt_secret: ")?,
        }
        match &self.problem {
            #[cfg(feature = "auth")]
            KeysProblem::Read(error) => write!(f, "cannot be read: {error}"),
            #[cfg(feature = "auth")]
            KeysProblem::Key(error) => error.fmt(f),
            #[cfg(not(feature = "auth"))]
            KeysProblem::Absent => f.write_str("this program was built without the feature `auth`"),
        }
    }
}

impl std::error::Error for KeysError {}

/// Whether the keys that a configuration names can be used.
///
/// # Errors
/// [`KeysError`].
pub fn check_keys(config: &Config) -> Result<(), KeysError> {
    token_policy(&config.auth).map(|_| ())
}

#[cfg(feature = "auth")]
pub(in crate::server) fn token_policy(config: &config::Auth) -> Result<Option<TokenPolicy>, KeysError> {
    let Some(keys) = keys(config)? else { return Ok(None) };
    let authority = Authority::new(keys)
        .audience(config.audience.clone())
        .issuer(config.issuer.clone())
        .leeway(config.leeway);
    Ok(Some(TokenPolicy { authority, timeout: config.timeout, awaited_max: config.pending_connections }))
}

#[cfg(not(feature = "auth"))]
pub(in crate::server) fn token_policy(config: &config::Auth) -> Result<Option<TokenPolicy>, KeysError> {
    // `Config::check` has said so before; a policy that is left out would let every client in.
    if config.is_on() { Err(KeysError { path: None, problem: KeysProblem::Absent }) } else { Ok(None) }
}

#[cfg(feature = "auth")]
/// The keys of the one source that is configured.
fn keys(config: &config::Auth) -> Result<Option<Keys>, KeysError> {
    if let Some(secret) = &config.jwt_secret {
        let keys = Keys::secret(secret.reveal().as_bytes(), hmac_algorithm(config.jwt_algorithm));
        return keys.map(Some).map_err(|error| KeysError { path: None, problem: KeysProblem::Key(error) });
    }
    let from_file = |path: &Path, parse: fn(&[u8]) -> Result<Keys, KeyError>| {
        let failed = |problem| KeysError { path: Some(path.to_owned()), problem };
        let text = std::fs::read(path).map_err(|error| failed(KeysProblem::Read(error)))?;
        parse(&text).map(Some).map_err(|error| failed(KeysProblem::Key(error)))
    };
    match (&config.jwt_public_key_file, &config.jwks_file) {
        (Some(path), _) => from_file(path, Keys::pem),
        (None, Some(path)) => from_file(path, Keys::jwks),
        (None, None) => Ok(None),
    }
}

#[cfg(feature = "auth")]
/// The algorithm as the tokens name it.
#[must_use]
pub fn hmac_algorithm(algorithm: config::HmacAlgorithm) -> HmacAlgorithm {
    match algorithm {
        config::HmacAlgorithm::Hs256 => HmacAlgorithm::Hs256,
        config::HmacAlgorithm::Hs384 => HmacAlgorithm::Hs384,
        config::HmacAlgorithm::Hs512 => HmacAlgorithm::Hs512,
    }
}

#[cfg(test)]
#[cfg(feature = "auth")]
mod tests {
    use super::*;

    #[test]
    fn a_file_without_a_key_is_named_with_the_reason() {
        let problem = |path: &str| {
            let auth = config::Auth { jwks_file: Some(path.into()), ..config::Auth::default() };
            check_keys(&Config { auth, ..Config::default() }).unwrap_err().to_string()
        };
        assert!(problem("no/such.json").starts_with("no/such.json cannot be read: "));
        assert!(problem("Cargo.toml").starts_with("Cargo.toml is not a JSON Web Key Set"));
    }
}
