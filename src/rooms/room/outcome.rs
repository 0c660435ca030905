//! Where the operations on a room leave what the shard has to do.

use super::member::Delivered;
use crate::rooms::api::effect::{SessionEffect, StoreRequest};
use crate::rooms::ids::ReadingMember;

/// What the operations on rooms have left to be done.
#[derive(Debug, Default)]
pub(in crate::rooms) struct Outcome {
    pub(in crate::rooms) session_effects: Vec<SessionEffect>,
    pub(in crate::rooms) store_requests: Vec<StoreRequest>,
    /// Members whose next messages have to be read from the store.
    pub(in crate::rooms) catch_up: Vec<ReadingMember>,
    /// What members have been sent since the start.
    pub(in crate::rooms) delivered: Delivered,
}
