//! Where to serve: an address or a path, and whether TLS is spoken there.

use std::fmt;
use std::net::{IpAddr, SocketAddr};
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
    /// The same with a name, which is looked up when the socket is opened.
    Name {
        /// A name of the system's hosts file or of the DNS.
        host: String,
        /// The port.
        port: u16,
    },
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
            Place::Name { host, port } => format!("{scheme}://{host}:{port}"),
            Place::Unix(_) => self.to_string(),
        }
    }
}

impl Place {
    /// Whether one socket cannot be bound here while another is bound there. Of names only the same ones are known to be.
    pub(super) fn overlaps(&self, other: &Place) -> bool {
        match (self, other) {
            (Place::Tcp(one), Place::Tcp(other)) => {
                let [ip, other_ip] = [one.ip().to_canonical(), other.ip().to_canonical()];
                // An unspecified IPv6 address takes IPv4 clients, too.
                let holds = |wide: IpAddr, narrow: IpAddr| {
                    wide.is_unspecified() && (wide.is_ipv6() || narrow.is_ipv4())
                };
                one.port() != 0
                    && one.port() == other.port()
                    && (ip == other_ip || holds(ip, other_ip) || holds(other_ip, ip))
            }
            (Place::Name { host, port }, Place::Name { host: other_host, port: other_port }) => {
                *port != 0 && port == other_port && host.eq_ignore_ascii_case(other_host)
            }
            (Place::Unix(one), Place::Unix(other)) => one == other,
            (Place::Tcp(_) | Place::Name { .. } | Place::Unix(_), _) => false,
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
            None => match place.parse() {
                Ok(address) => Place::Tcp(address),
                Err(_) => named(place).ok_or_else(wrong)?,
            },
        };
        Ok(Listen { place, tls })
    }
}

/// `NAME:PORT`. What could only be a mistyped address is no name.
fn named(text: &str) -> Option<Place> {
    let (host, port) = text.rsplit_once(':')?;
    let is_name = host.split('.').all(|label| {
        let fits = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_');
        !label.is_empty() && label.bytes().all(fits) && !label.starts_with('-')
    });
    let is_number = host.bytes().all(|byte| byte.is_ascii_digit() || byte == b'.');
    let is_port = !port.is_empty() && port.bytes().all(|byte| byte.is_ascii_digit());
    let port = port.parse().ok().filter(|_| is_name && !is_number && is_port)?;
    Some(Place::Name { host: host.to_owned(), port })
}

impl fmt::Display for Listen {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(if self.tls { TLS_PREFIX } else { "" })?;
        match &self.place {
            Place::Tcp(address) => write!(f, "{address}"),
            Place::Name { host, port } => write!(f, "{host}:{port}"),
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
        if text.bytes().all(|byte| byte.is_ascii_digit() || byte == b':') && !text.is_empty() {
            let port = text.trim_start_matches(':');
            return write!(
                f,
                "{text:?} is a port alone; say at which address: \"127.0.0.1:{port}\" is this machine alone, \"0.0.0.0:{port}\" \
                 everybody"
            );
        }
        write!(
            f,
            "{text:?} is not an address like \"127.0.0.1:8080\", \"localhost:8080\", \"tls:0.0.0.0:8443\" or \"unix:/run/foghorn.sock\""
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
            ("localhost:8080", "http://localhost:8080"),
            ("tls:chat-1.example.org:443", "https://chat-1.example.org:443"),
            ("unix:/run/foghorn.sock", "unix:/run/foghorn.sock"),
            ("tls:unix:a.sock", "tls:unix:a.sock"),
        ] {
            let listen: Listen = text.parse().unwrap();
            assert_eq!((listen.to_string(), listen.url()), (text.to_owned(), url.to_owned()));
        }
    }

    #[test]
    fn places_overlap_if_one_socket_keeps_the_other_from_being_bound() {
        let cases = [
            ("127.0.0.1:80", "127.0.0.1:80", true),
            ("127.0.0.1:80", "tls:127.0.0.1:80", true),
            ("127.0.0.1:80", "[::ffff:127.0.0.1]:80", true),
            ("127.0.0.1:80", "0.0.0.0:80", true),
            ("127.0.0.1:80", "[::]:80", true),
            ("[::1]:80", "[::]:80", true),
            ("[::1]:80", "0.0.0.0:80", false),
            ("127.0.0.1:80", "127.0.0.2:80", false),
            ("127.0.0.1:80", "127.0.0.1:81", false),
            ("127.0.0.1:0", "127.0.0.1:0", false),
            ("localhost:80", "LOCALHOST:80", true),
            ("localhost:0", "localhost:0", false),
            ("localhost:80", "other:80", false),
            ("localhost:80", "127.0.0.1:80", false),
            ("unix:/a", "tls:unix:/a", true),
            ("unix:/a", "unix:/b", false),
            ("unix:/a", "127.0.0.1:80", false),
        ];
        for (one, other, expected) in cases {
            let [one, other]: [Listen; 2] = [one, other].map(|text| text.parse().unwrap());
            assert_eq!(one.place.overlaps(&other.place), expected, "{one} {other}");
            assert_eq!(other.place.overlaps(&one.place), expected, "{other} {one}");
        }
    }

    #[test]
    fn what_names_no_place_is_refused() {
        for text in [
            "",
            "unix:",
            "tls:",
            "8080",
            ":8080",
            "localhost",
            "localhost:",
            "localhost:+80",
            "localhost:65536",
            "localhost:80:80",
            "256.0.0.1:80",
            "127.0.0.1.:80",
            "a b:80",
            "-a:80",
            "TLS:127.0.0.1:1",
            "https://127.0.0.1:1",
            "tls:tls:[::]:1",
        ] {
            assert_eq!(text.parse::<Listen>(), Err(ListenError(text.to_owned())));
        }
    }
}
