//! What a session may cost.

use std::time::Duration;

/// What a session may cost, and its heart-beats.
#[derive(Clone, Copy, Debug)]
pub(crate) struct SessionLimits {
    /// How often the server would say and hear something; zero is never.
    pub(crate) heartbeat: Duration,
    pub(crate) subscriptions_max: usize,
    pub(crate) transactions_max: usize,
    /// Bytes of what waits in all transactions.
    pub(crate) transaction_bytes_max: usize,
}
