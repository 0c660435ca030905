//! What can change while the server runs: who is let in, from which pages, with which keys, to bring how much.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use super::keys;
use crate::auth::{Authority, Identity, Presented, TokenError};
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
    pub(super) authority: Authority,
    /// How long a session may take to send one.
    pub(super) timeout: Duration,
    /// Sessions that may wait at a time.
    pub(super) pending_max: usize,
}

impl Rules {
    /// Reads the keys.
    pub(super) fn load(config: &Config) -> Result<Rules, keys::KeysError> {
        let mut paths = config.origins.endpoints.clone();
        paths.sort_by_key(|(path, _)| std::cmp::Reverse(path.len()));
        let (limits, origins) = (config.limits.clone(), config.origins.allowed.clone());
        Ok(Rules {
            limits,
            origins,
            paths,
            token_policy: keys::token_policy(&config.auth)?,
            certificate: None,
        })
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
}
