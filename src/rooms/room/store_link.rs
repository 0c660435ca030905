//! Whether what is said in a room gets into the store.

use crate::rooms::timestamp::Timestamp;

/// Whether what is said in a room gets into the store.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::rooms) enum StoreLink {
    /// It does.
    Linked,
    /// It does not: the store has not the messages before it. The log is to begin anew, which is tried again at this time.
    Broken {
        /// Not to be tried before.
        retry_at: Timestamp,
    },
    /// It does not yet: the store was asked to begin the log anew.
    Resetting,
}
