//! What nodes tell each other besides what is in rooms: entries of one stream, so that a node that was away gets them.

use std::collections::VecDeque;
use std::sync::atomic::AtomicBool;
use std::sync::{Arc, Mutex, PoisonError};

use super::partition::Partition;
use crate::store::NodeListener;

/// Orders that wait to be given at most.
const WAITING_MAX: usize = 1_000;

/// The orders that this node gives and hears.
#[derive(Default)]
pub(super) struct Orders {
    waiting: Mutex<VecDeque<Box<str>>>,
    /// Whether somebody is about to look what there is to hear.
    pub(super) is_asked: AtomicBool,
    pub(super) listener: Mutex<Option<Arc<NodeListener>>>,
    /// The id of the last that was heard; locked while it is read. `None`: what there was before is not for this node.
    pub(super) heard: Mutex<Option<String>>,
}

/// In which partition the orders are.
pub(super) fn partition() -> Partition {
    Partition::of("")
}

/// The channel on which it is announced that there is an order.
pub(super) fn orders_channel() -> String {
    partition().command_channel()
}

impl Orders {
    /// Hears them from now on.
    pub(super) fn listen(&self, listener: NodeListener) {
        *self.listener.lock().unwrap_or_else(PoisonError::into_inner) = Some(Arc::new(listener));
    }

    /// Hears them no more, and lets go of who did.
    pub(super) fn end(&self) {
        *self.listener.lock().unwrap_or_else(PoisonError::into_inner) = None;
    }

    /// Takes an order to be given.
    pub(super) fn push(&self, order: Box<str>) {
        let mut waiting = self.waiting.lock().unwrap_or_else(PoisonError::into_inner);
        if waiting.len() < WAITING_MAX {
            waiting.push_back(order);
        } else {
            tracing::warn!("an order to the other nodes is dropped: too many wait for Redis");
        }
    }

    pub(super) fn pop(&self) -> Option<Box<str>> {
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner).pop_front()
    }

    pub(super) fn put_back(&self, order: Box<str>) {
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner).push_front(order);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn whoever_listens_is_let_go_at_the_end() {
        let (orders, listener) = (Orders::default(), Arc::new(()));
        let here = listener.clone();
        orders.listen(Box::new(move |_| drop(here.clone())));
        assert_eq!(Arc::strong_count(&listener), 2);
        orders.end();
        assert_eq!(Arc::strong_count(&listener), 1);
    }
}
