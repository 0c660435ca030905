//! What travels from the reactor to one shard.

use std::sync::Arc;
use std::time::Instant;

use crate::rooms::{Arena, Command};
use crate::transport::Outbound;

/// Commands to one shard, and the text and bytes that they name.
#[derive(Debug, Default)]
pub(super) struct Batch {
    pub(super) commands: Vec<Command<Arc<Outbound>>>,
    pub(super) arena: Arena,
    /// When the turn began that read the first of them; known once they are handed over.
    pub(super) read_at: Option<Instant>,
}
