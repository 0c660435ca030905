//! The request that a session began with.

use std::fmt;
use std::net::SocketAddr;

use crate::http::Head;

/// The name and the value of a header, which need not be text.
type Header = (Box<str>, Box<[u8]>);

/// The request that a session began with, kept for as long as the session.
#[derive(Clone)]
pub struct Handshake {
    target: Box<str>,
    headers: Box<[Header]>,
    peer: SocketAddr,
}

impl fmt::Debug for Handshake {
    /// Neither the query nor the headers, where a token may be.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Handshake")
            .field("path", &self.path())
            .field("peer", &self.peer)
            .finish_non_exhaustive()
    }
}

impl Handshake {
    pub(crate) fn new(head: &Head<'_>, peer: SocketAddr) -> Handshake {
        let headers = head.all_headers().map(|(name, value)| (name.into(), value.into())).collect();
        Handshake { target: head.target().into(), headers, peer }
    }

    /// The request target: the raw path, and the query after `?`.
    #[must_use]
    pub fn target(&self) -> &str {
        &self.target
    }

    /// The raw path.
    #[must_use]
    pub fn path(&self) -> &str {
        self.target.split_once('?').map_or(&*self.target, |(path, _)| path)
    }

    /// The raw query, without `?`; empty if there is none. [`http::query`](crate::http::query) reads it.
    #[must_use]
    pub fn query(&self) -> &str {
        self.target.split_once('?').map_or("", |(_, query)| query)
    }

    /// The first value of a header, its name compared without regard to case; `None` also if it is not text.
    #[must_use]
    pub fn header(&self, name: &str) -> Option<&str> {
        let mut matching = self.headers.iter().filter(|(header, _)| header.eq_ignore_ascii_case(name));
        matching.next().and_then(|(_, value)| std::str::from_utf8(value).ok())
    }

    /// All headers, as sent: a value may hold bytes that are no UTF-8 (RFC 9110 §5.5).
    pub fn headers(&self) -> impl Iterator<Item = (&str, &[u8])> {
        self.headers.iter().map(|(name, value)| (&**name, &**value))
    }

    /// The peer's address.
    #[must_use]
    pub fn peer(&self) -> SocketAddr {
        self.peer
    }
}
