//! Where the operations on a room leave what the shard has to do.

use crate::rooms::api::effect::Effect;
use crate::rooms::ids::Reader;

/// Where the pump leaves what the shard has to do.
#[derive(Debug, Default)]
pub(in crate::rooms) struct Outcome {
    pub(in crate::rooms) effects: Vec<Effect>,
    /// Members whose next messages have to be read from the store.
    pub(in crate::rooms) catch_up: Vec<Reader>,
}
