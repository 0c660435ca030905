//! Where the load goes: a WebSocket URL, with places for the numbers of room and member.

use std::net::{SocketAddr, ToSocketAddrs};
use std::path::PathBuf;

use super::error::BenchError;
use super::scraper::{MetricsSource, Scraper};
use crate::config::Secret;
use crate::transport::Trust;

/// Which servers are believed to be the ones they say they are, over TLS.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Believed {
    /// None.
    #[default]
    Nobody,
    /// All of them.
    Anybody,
    /// Those that the certificates in this file (PEM) vouch for.
    File(PathBuf),
}

/// A server and a path on it.
///
/// In the path `{room}` and `{member}` stand for names of a fixed width, so that all members cost the same.
#[derive(Clone, Debug)]
pub struct Target {
    pub(super) addr: SocketAddr,
    /// The value of `Host`.
    pub(super) host: String,
    path: String,
    /// With what TLS begins, where it is spoken.
    pub(super) trust: Option<Trust>,
    token: Option<Secret>,
    metrics: Option<MetricsSource>,
}

impl Target {
    /// Reads `ws://HOST[:PORT][/PATH]` (or `http://…`) and looks the host up. Without a path it is `default_path`.
    ///
    /// # Errors
    /// [`BenchError::Target`].
    pub fn parse(url: &str, default_path: &str) -> Result<Target, BenchError> {
        Target::parse_trusting(url, default_path, &Believed::Nobody)
    }

    /// As [`Target::parse`], also `wss://…` (or `https://…`), if `believed` is anybody.
    ///
    /// # Errors
    /// [`BenchError::Target`]; [`BenchError::System`] if the host cannot be looked up.
    pub fn parse_trusting(url: &str, default_path: &str, believed: &Believed) -> Result<Target, BenchError> {
        let wrong = |why: &str| BenchError::Target(url.to_owned(), why.to_owned());
        let scheme =
            ["ws://", "http://", "wss://", "https://"].into_iter().find(|scheme| url.starts_with(scheme));
        let scheme = scheme.ok_or_else(|| wrong("it must begin with ws://, wss://, http:// or https://"))?;
        let (rest, secure) = (&url[scheme.len()..], scheme.starts_with("wss") || scheme.starts_with("https"));
        let (host, path) = match rest.find(['/', '?']) {
            Some(at) => rest.split_at(at),
            None => (rest, ""),
        };
        let path = match path {
            "" | "/" => default_path.to_owned(),
            query if query.starts_with('?') => format!("/{query}"),
            path => path.to_owned(),
        };
        let port = host.rsplit_once(':').filter(|(_, port)| port.parse::<u16>().is_ok());
        // Behind the brackets of an IPv6 address there may be none.
        let has_bad_port = port.is_none() && host.contains(':') && !host.ends_with(']');
        if host.is_empty() || host.starts_with(':') || has_bad_port {
            return Err(wrong("it names no host, or no port behind the colon"));
        }
        let default_port = if secure { 443 } else { 80 };
        let with_port = if port.is_some() { host.to_owned() } else { format!("{host}:{default_port}") };
        let mut addrs = with_port
            .to_socket_addrs()
            .map_err(|error| BenchError::System("look up the host of the URL", error))?;
        let addr = addrs.next().ok_or_else(|| wrong("the host has no address"))?;
        let name = port.map_or(host, |(name, _)| name).trim_start_matches('[').trim_end_matches(']');
        let trust = match believed {
            _ if !secure => None,
            Believed::Nobody => {
                return Err(wrong("whom to trust? Name a file with --ca, or say --insecure"));
            }
            Believed::Anybody => Some(Trust::blind(name)),
            Believed::File(file) => Some(Trust::of_file(file, name)),
        };
        let trust = trust.transpose().map_err(|error| wrong(&error.to_string()))?;
        Ok(Target { addr, host: host.to_owned(), path, trust, token: None, metrics: None })
    }

    /// Brings this token along with every connection; all members are its user then.
    #[must_use]
    pub fn with_token(mut self, token: Option<Secret>) -> Target {
        self.token = token;
        self
    }

    /// Has the server's metrics read while it is measured.
    #[must_use]
    pub fn with_metrics(mut self, metrics: Option<MetricsSource>) -> Target {
        self.metrics = metrics;
        self
    }

    /// Begins to look at the server's metrics, if that is wanted.
    pub(super) fn scraper(&self) -> Option<Scraper> {
        let scheme = if self.trust.is_some() { "https" } else { "http" };
        self.metrics.as_ref().map(|metrics| Scraper::begin(metrics, format!("{scheme}://{}", self.host)))
    }

    /// The value of `Authorization`.
    pub(super) fn authorization(&self) -> Option<String> {
        self.token.as_ref().map(|token| format!("Bearer {}", token.reveal()))
    }

    /// The request target of one member.
    pub(super) fn path(&self, room: usize, member: usize) -> String {
        self.path.replace("{room}", &format!("r{room:06}")).replace("{member}", &format!("m{member:06}"))
    }

    /// As a URL, with the places as they were given.
    pub(super) fn url(&self) -> String {
        let scheme = if self.trust.is_some() { "wss" } else { "ws" };
        format!("{scheme}://{}{}", self.host, self.path)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_url_has_an_address_a_host_and_a_path() {
        let target = Target::parse("ws://127.0.0.1:8080/ws/raw?roomId={room}&u={member}", "/").unwrap();
        assert_eq!(target.addr, "127.0.0.1:8080".parse().unwrap());
        assert_eq!(target.host, "127.0.0.1:8080");
        assert_eq!(target.path(7, 12), "/ws/raw?roomId=r000007&u=m000012");
        assert_eq!(target.url(), "ws://127.0.0.1:8080/ws/raw?roomId={room}&u={member}");
        let bare = Target::parse("http://127.0.0.1", "/echo").unwrap();
        assert_eq!((bare.addr.port(), bare.path(0, 0)), (80, "/echo".to_owned()));
        assert_eq!(Target::parse("ws://127.0.0.1/", "/echo").unwrap().path(0, 0), "/echo");
        assert_eq!(Target::parse("ws://[::1]:9?a=b", "/").unwrap().path(0, 0), "/?a=b");
    }

    #[test]
    fn over_tls_somebody_has_to_be_trusted() {
        let parse = |url: &str, believed: &Believed| Target::parse_trusting(url, "/echo", believed);
        let target = parse("wss://[::1]/", &Believed::Anybody).unwrap();
        assert_eq!((target.addr.port(), target.url()), (443, "wss://[::1]/echo".to_owned()));
        assert!(parse("ws://[::1]/", &Believed::Anybody).unwrap().trust.is_none());
        for believed in [Believed::Nobody, Believed::File("no/such/file".into())] {
            assert!(matches!(parse("https://127.0.0.1", &believed), Err(BenchError::Target(_, _))));
        }
    }

    #[test]
    fn what_is_no_such_url_is_refused() {
        for url in ["127.0.0.1:80", "wss://127.0.0.1", "ws://", "ws://127.0.0.1:port/", "ws:///path"] {
            assert!(matches!(Target::parse(url, "/"), Err(BenchError::Target(_, _))), "{url}");
        }
    }
}
