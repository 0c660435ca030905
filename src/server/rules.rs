//! What can change while the server runs: who is let in, from which pages, with which keys, to bring how much.

use std::sync::{Arc, Mutex, PoisonError};

use super::auth::keys::{KeysError, token_policy};
use super::auth::policy::TokenPolicy;
use crate::config::{self, Config};
use crate::handshake::Origins;
use crate::transport::Certificate;

/// The rules at one time.
#[derive(Debug)]
pub(super) struct Rules {
    /// What sessions and requests may bring from now on.
    pub(super) limits: config::Limits,
    origins: Arc<Origins>,
    /// Longest path first.
    paths: Vec<(String, Arc<Origins>)>,
    /// Set if tokens are asked for.
    pub(super) token_policy: Option<TokenPolicy>,
    /// What clients are shown, where TLS is spoken.
    pub(super) certificate: Option<Certificate>,
}

impl Rules {
    /// Reads the keys.
    pub(super) fn load(config: &Config) -> Result<Rules, KeysError> {
        let shared = |(path, origins): &(String, Origins)| (path.clone(), Arc::new(origins.clone()));
        let mut paths: Vec<_> = config.origins.endpoints.iter().map(shared).collect();
        paths.sort_by_key(|(path, _)| std::cmp::Reverse(path.len()));
        let (limits, origins) = (config.limits.clone(), Arc::new(config.origins.allowed.clone()));
        Ok(Rules { limits, origins, paths, token_policy: token_policy(&config.auth)?, certificate: None })
    }

    /// The same with the certificate that clients are shown.
    pub(super) fn with_certificate(self, certificate: Option<Certificate>) -> Rules {
        Rules { certificate, ..self }
    }

    /// The origins that are let in at a path. What is configured for it outranks `own`, what the program says, and that
    /// what is configured for all.
    pub(super) fn origins_of<'r>(&'r self, path: &str, own: Option<&'r Origins>) -> &'r Origins {
        self.configured(path).map(|origins| &**origins).or(own).unwrap_or(&self.origins)
    }

    /// The origins that are let in at a path of which the program says nothing, to be kept.
    pub(super) fn shared_origins_of(&self, path: &str) -> Arc<Origins> {
        self.configured(path).unwrap_or(&self.origins).clone()
    }

    /// What is configured for a path.
    fn configured(&self, path: &str) -> Option<&Arc<Origins>> {
        let fits = |entry: &str| if entry.ends_with('/') { path.starts_with(entry) } else { path == entry };
        self.paths.iter().find(|(entry, _)| fits(entry)).map(|(_, origins)| origins)
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
        // A lock around a pointer: it is held for the time of a count. Nothing panics under it.
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
