//! Whether what is said in a room gets into the store.

use crate::rooms::clock::Moment;

/// Whether what is said in a room gets into the store.
///
/// ```text
///          the store refuses what follows          retry_at has come
///  Linked ───────────────────────────────► Broken ──────────────────► Resetting
///    ▲                                       ▲                            │
///    │                                       └─── the store could not ────┤
///    └─────────────────── the log goes on under another epoch ────────────┘
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::rooms) enum StoreLink {
    /// It does.
    Linked,
    /// It does not: the store has not the messages before it. The log is to begin anew, which is tried again at this
    /// time.
    Broken {
        /// Not to be tried before.
        retry_at: Moment,
    },
    /// It does not yet: the store was asked to begin the log anew.
    Resetting,
}
