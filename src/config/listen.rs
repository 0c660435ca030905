//! Where to serve: an address or a path, and whether TLS is spoken there.

use std::fmt;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::str::FromStr;

/// What the places that speak TLS begin with.
const TLS_PREFIX: &str = "tls:";
/// What the path of a Unix socket stands behind.
const UNIX_PREFIX: &str = "unix:";

/// A place to serve on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Listen {
    /// The place itself.
    pub place: Place,
    /// Whether connections are encrypted.
    pub tls: bool,
}

/// What a socket can be bound to.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Place {
    /// An address and a port; port 0 takes a free one.
    Tcp(SocketAddr),
    /// A Unix socket at this path.
    Unix(PathBuf),
}

impl Listen {
    /// A URL that leads there; a Unix socket has none, and is written as it is configured.
    #[must_use]
    pub fn url(&self) -> String {
        let scheme = if self.tls { "https" } else { "http" };
        match &self.place {
            Place::Tcp(address) => format!("{scheme}://{address}"),
            Place::Unix(_) => self.to_string(),
        }
    }
}

impl From<SocketAddr> for Listen {
    fn from(address: SocketAddr) -> Listen {
        Listen { place: Place::Tcp(address), tls: false }
    }
}

impl FromStr for Listen {
    type Err = ListenError;

    fn from_str(text: &str) -> Result<Listen, ListenError> {
        let (place, tls) = match text.strip_prefix(TLS_PREFIX) {
            Some(place) => (place, true),
            None => (text, false),
        };
        let wrong = || ListenError(text.to_owned());
        let place = match place.strip_prefix(UNIX_PREFIX) {
            Some("") => return Err(wrong()),
            Some(path) => Place::Unix(path.into()),
            None => Place::Tcp(place.parse().map_err(|_| wrong())?),
        };
        Ok(Listen { place, tls })
    }
}

impl fmt::Display for Listen {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(if self.tls { TLS_PREFIX } else { "" })?;
        match &self.place {
            Place::Tcp(address) => write!(f, "{address}"),
            Place::Unix(path) => write!(f, "{UNIX_PREFIX}{}", path.display()),
        }
    }
}

/// Text that names no place.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ListenError(String);

impl fmt::Display for ListenError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let text = &self.0;
        write!(
            f,
            "{text:?} is not an address like \"127.0.0.1:8080\", \"tls:0.0.0.0:8443\" or \"unix:/run/foghorn.sock\""
        )
    }
}

impl std::error::Error for ListenError {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_place_reads_back_as_it_is_written() {
        for (text, url) in [
            ("127.0.0.1:80", "http://127.0.0.1:80"),
            ("[::1]:8080", "http://[::1]:8080"),
            ("tls:0.0.0.0:0", "https://0.0.0.0:0"),
            ("unix:/run/foghorn.sock", "unix:/run/foghorn.sock"),
            ("tls:unix:a.sock", "tls:unix:a.sock"),
        ] {
            let listen: Listen = text.parse().unwrap();
            assert_eq!((listen.to_string(), listen.url()), (text.to_owned(), url.to_owned()));
        }
    }

    #[test]
    fn what_names_no_place_is_refused() {
        for text in [
            "",
            "unix:",
            "tls:",
            "8080",
            "localhost:80",
            "TLS:127.0.0.1:1",
            "https://127.0.0.1:1",
            "tls:tls:[::]:1",
        ] {
            assert_eq!(text.parse::<Listen>(), Err(ListenError(text.to_owned())));
        }
    }
}
