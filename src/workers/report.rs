//! What travels from a shard to the reactor.

use crate::rooms::SessionEffect;

/// The reactor, as a shard sees it.
pub(crate) trait Report: Clone + Send + Sync + 'static {
    /// Passes an effect on; may wait.
    fn effect(&self, effect: SessionEffect);
    /// Wakes the reactor, which waits for room in a queue, or for the store.
    fn wake(&self);
}
