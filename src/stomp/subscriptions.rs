//! What one session is subscribed to.

use std::collections::HashMap;

use super::consumer::Blocked;
use super::message::SubscriberKey;
use super::shared_queues::{Attached, SharedQueues};
use crate::server::Membership;

/// What a session is subscribed to, by its own numbers.
#[derive(Debug, Default)]
pub(super) struct Subscriptions {
    pub(super) rooms: HashMap<u32, Membership>,
    pub(super) queues: HashMap<u32, Attached>,
    /// Queues whose messages did not fit.
    pub(super) blocked: Vec<Blocked>,
}

impl Subscriptions {
    /// Leaves the queues: what is not acknowledged is for others.
    pub(super) fn leave_queues(&mut self, session: u128, shared: &SharedQueues) {
        let mut by_queue: HashMap<Box<str>, Vec<SubscriberKey>> = HashMap::new();
        for (number, attached) in self.queues.drain() {
            let key = SubscriberKey { session, number };
            match attached.owner {
                None => by_queue.entry(attached.destination.name().into()).or_default().push(key),
                Some(_) => shared.detach(key, attached),
            }
        }
        // All of a queue's at once, or the first would hand over to the next, which is lost as well.
        for (queue, keys) in by_queue {
            shared.queues().unsubscribe_all(&queue, &keys);
        }
    }
}
