//! Sessions that an operator looks for.

use std::net::SocketAddr;
use std::sync::Arc;

use crate::rooms::SessionKey;

/// A session that is in no room.
#[derive(Clone, Debug)]
pub(crate) struct FoundSession {
    pub(crate) session: SessionKey,
    /// Its public id.
    pub(crate) session_id: u128,
    pub(crate) address: Option<SocketAddr>,
    /// As the log names them: a room is the one of its handler, or the one that its request has named.
    pub(crate) user: Option<Box<str>>,
    pub(crate) room: Option<Box<str>>,
    /// The path of its endpoint.
    pub(crate) path: Option<Arc<str>>,
}

/// What one part of a search has found.
#[derive(Clone, Debug, Default)]
pub(crate) struct FoundSessions {
    pub(crate) sessions: Vec<FoundSession>,
    /// Where the next part begins; `None` at the end.
    pub(crate) next: Option<usize>,
}
