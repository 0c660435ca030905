//! A connection from `accept` to the moment when its first request may come.

use crate::limit_hits::Limit;
use crate::reactor::api::peer_info::PeerInfo;
use crate::reactor::clock::wheel::Tick;

/// What must be read before the first request.
#[derive(Debug)]
pub(crate) struct Preamble {
    pub(crate) peer_info: PeerInfo,
    /// A PROXY header comes before anything else.
    pub(crate) header: bool,
    /// The limit for which there is no room for it, of which it learns once it can be talked to.
    pub(crate) rejected: Option<Limit>,
    /// The first request may come by then, or the connection ends.
    pub(crate) until: Tick,
}
