//! Where a request came from.

use std::io;
use std::net::SocketAddr;

use crate::transport::StreamRef;

/// Where a request came from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct PeerInfo {
    /// The peer's address.
    pub peer: SocketAddr,
    /// Whether the connection is encrypted.
    pub secure: bool,
    /// Whether it came behind a header of the PROXY protocol.
    pub proxied: bool,
    /// Whether it came in where operators are served (`admin.listen`).
    pub admin: bool,
}

impl PeerInfo {
    /// Where the requests of a connection come from, as far as it knows itself; `admin`: from operators.
    ///
    /// # Errors
    /// If the connection is gone.
    pub(crate) fn of(stream: StreamRef<'_>, admin: bool) -> io::Result<PeerInfo> {
        let (peer, secure, proxied) = (stream.peer_addr()?, stream.is_secure(), stream.is_proxied());
        Ok(PeerInfo { peer, secure, proxied, admin })
    }
}
