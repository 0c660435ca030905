//! What can change while the server runs: who is let in, from which pages, with which keys, to bring how much.

use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use crate::auth::{Authority, HmacAlgorithm, Identity, KeyError, Keys, Presented, TokenError};
use crate::config::{self, Config};
use crate::handshake::Origins;
use crate::http::Head;
use crate::reactor::unix_time;
use crate::transport::Certificate;

/// The rules at one time.
#[derive(Debug)]
pub(super) struct Rules {
    /// What sessions and requests may bring from now on.
    pub(super) limits: config::Limits,
    origins: Origins,
    /// Longest path first.
    paths: Vec<(String, Origins)>,
    /// Set if tokens are asked for.
    pub(super) token_policy: Option<TokenPolicy>,
    /// What clients are shown, where TLS is spoken.
    pub(super) certificate: Option<Certificate>,
}

/// How tokens are asked for.
#[derive(Debug)]
pub(super) struct TokenPolicy {
    authority: Authority,
    /// How long a session may take to send one.
    pub(super) timeout: Duration,
    /// Sessions that may wait at a time.
    pub(super) pending_max: usize,
}

/// Why the keys of tokens cannot be had.
#[derive(Debug)]
pub struct KeysError {
    /// The file; none for a secret.
    path: Option<PathBuf>,
    problem: Problem,
}

#[derive(Debug)]
enum Problem {
    Read(std::io::Error),
    Key(KeyError),
}

impl fmt::Display for KeysError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.path {
            Some(path) => write!(f, "{} ", path.display())?,
            None => f.write_str("auth.jwt_secret: ")?,
        }
        match &self.problem {
            Problem::Read(error) => write!(f, "cannot be read: {error}"),
            Problem::Key(error) => error.fmt(f),
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

impl Rules {
    /// Reads the keys.
    pub(super) fn load(config: &Config) -> Result<Rules, KeysError> {
        let mut paths = config.origins.endpoints.clone();
        paths.sort_by_key(|(path, _)| std::cmp::Reverse(path.len()));
        let (limits, origins) = (config.limits.clone(), config.origins.allowed.clone());
        Ok(Rules { limits, origins, paths, token_policy: token_policy(&config.auth)?, certificate: None })
    }

    /// The same with the certificate that clients are shown.
    pub(super) fn with_certificate(self, certificate: Option<Certificate>) -> Rules {
        Rules { certificate, ..self }
    }

    /// The origins that are let in at a path. What is configured for it outranks `own`, what the program says, and that
    /// what is configured for all.
    pub(super) fn origins_of<'r>(&'r self, path: &str, own: Option<&'r Origins>) -> &'r Origins {
        let fits = |entry: &str| if entry.ends_with('/') { path.starts_with(entry) } else { path == entry };
        let configured = self.paths.iter().find(|(entry, _)| fits(entry)).map(|(_, origins)| origins);
        configured.or(own).unwrap_or(&self.origins)
    }
}

impl TokenPolicy {
    /// Who sent this request; nobody if it has no token.
    pub(super) fn identify(
        &self,
        head: &Head<'_>,
        origins: &Origins,
        secure: bool,
    ) -> Result<Option<Identity>, TokenError> {
        let presented = Presented::find(head, origins, secure)?;
        presented.token().map(|token| self.verify(token)).transpose()
    }

    pub(super) fn verify(&self, token: &str) -> Result<Identity, TokenError> {
        self.authority.verify(token, unix_time())
    }
}

fn token_policy(config: &config::Auth) -> Result<Option<TokenPolicy>, KeysError> {
    let Some(keys) = keys(config)? else { return Ok(None) };
    let authority = Authority::new(keys)
        .audience(config.audience.clone())
        .issuer(config.issuer.clone())
        .leeway(config.leeway);
    Ok(Some(TokenPolicy { authority, timeout: config.timeout, pending_max: config.pending_connections }))
}

/// The keys of the one source that is configured.
fn keys(config: &config::Auth) -> Result<Option<Keys>, KeysError> {
    if let Some(secret) = &config.jwt_secret {
        let keys = Keys::secret(secret.reveal().as_bytes(), hmac_algorithm(config.jwt_algorithm));
        return keys.map(Some).map_err(|error| KeysError { path: None, problem: Problem::Key(error) });
    }
    let from_file = |path: &Path, parse: fn(&[u8]) -> Result<Keys, KeyError>| {
        let failed = |problem| KeysError { path: Some(path.to_owned()), problem };
        let text = std::fs::read(path).map_err(|error| failed(Problem::Read(error)))?;
        parse(&text).map(Some).map_err(|error| failed(Problem::Key(error)))
    };
    match (&config.jwt_public_key_file, &config.jwks_file) {
        (Some(path), _) => from_file(path, Keys::pem),
        (None, Some(path)) => from_file(path, Keys::jwks),
        (None, None) => Ok(None),
    }
}

/// The algorithm as the tokens name it.
#[must_use]
pub fn hmac_algorithm(algorithm: config::HmacAlgorithm) -> HmacAlgorithm {
    match algorithm {
        config::HmacAlgorithm::Hs256 => HmacAlgorithm::Hs256,
        config::HmacAlgorithm::Hs384 => HmacAlgorithm::Hs384,
        config::HmacAlgorithm::Hs512 => HmacAlgorithm::Hs512,
    }
}

/// The rules that hold now. One lock, taken for each request and each token, and never for a message.
#[derive(Clone, Debug)]
pub(super) struct CurrentRules(Arc<Mutex<Arc<Rules>>>);

impl CurrentRules {
    pub(super) fn new(rules: Rules) -> CurrentRules {
        CurrentRules(Arc::new(Mutex::new(Arc::new(rules))))
    }

    pub(super) fn now(&self) -> Arc<Rules> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    pub(super) fn replace(&self, rules: Rules) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = Arc::new(rules);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_longest_path_that_fits_has_its_own_origins() {
        let mut config = Config::default();
        let only = |origin: &str| Origins::parse(&[origin]).unwrap();
        config.origins.endpoints = vec![
            ("/api/".to_owned(), only("https://api")),
            ("/api/chat/".to_owned(), Origins::Any),
            ("/ws/chat".to_owned(), only("https://chat")),
        ];
        let rules = Rules::load(&config).unwrap();
        let own = only("https://own");
        let cases = [
            ("/ws/chat", only("https://chat"), only("https://chat")),
            ("/ws/chat/", Origins::SameOrigin, own.clone()),
            ("/ws/chats", Origins::SameOrigin, own.clone()),
            ("/api/chat/rooms", Origins::Any, Origins::Any),
            ("/api/stats", only("https://api"), only("https://api")),
            ("/api", Origins::SameOrigin, own.clone()),
        ];
        for (path, without, with) in cases {
            assert_eq!(rules.origins_of(path, None), &without, "{path}");
            assert_eq!(rules.origins_of(path, Some(&own)), &with, "{path}");
        }
    }

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
