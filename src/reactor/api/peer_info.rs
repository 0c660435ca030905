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
}

impl PeerInfo {
    /// Where the requests of a connection come from, as far as it knows itself.
    ///
    /// # Errors
    /// If the connection is gone.
    pub(crate) fn of(stream: StreamRef<'_>) -> io::Result<PeerInfo> {
        Ok(PeerInfo { peer: stream.peer_addr()?, secure: stream.is_secure(), proxied: stream.is_proxied() })
    }
}
