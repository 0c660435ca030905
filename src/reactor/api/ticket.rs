//! The name of a request that is answered later.

use crate::reactor::key::Key;

/// Names a request that is answered later.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Ticket {
    pub(crate) key: Key,
    /// Invariant: no two requests have the same, whatever their connections.
    pub(crate) number: u64,
}
