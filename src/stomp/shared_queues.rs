//! The queues of this server.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};

use super::consumer::SessionConsumer;
use super::destination::Destination;
use super::message::{MessageId, QueuedMessage, SubscriberKey};
use super::queues::{QueueLimits, Queues};
use super::session::{Profile, Sending};
use super::users::{Owner, UserQueues};

/// What all sessions share. Handlers are called on one thread, so the locks are never contended; they are
/// there because a handler has to be `Sync`.
#[derive(Debug)]
pub(super) struct SharedQueues {
    seed: u64,
    numbers: AtomicU64,
    queues: Mutex<Queues<SessionConsumer>>,
    users: Mutex<UserQueues<SessionConsumer>>,
}

impl SharedQueues {
    pub(super) fn new(limits: QueueLimits, seed: u64) -> SharedQueues {
        let (queues, users) = (Mutex::new(Queues::new(limits)), Mutex::default());
        SharedQueues { seed, numbers: AtomicU64::new(1), queues, users }
    }

    pub(super) fn queues(&self) -> MutexGuard<'_, Queues<SessionConsumer>> {
        self.queues.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn users(&self) -> MutexGuard<'_, UserQueues<SessionConsumer>> {
        self.users.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn message(&self, profile: &Profile, sending: Sending<'_>) -> QueuedMessage {
        QueuedMessage {
            // Relaxed: what counts is that no number is given twice.
            id: MessageId { seed: self.seed, number: self.numbers.fetch_add(1, Ordering::Relaxed) },
            sender: profile.user().into(),
            headers: sending.headers,
            body: sending.body.into_bytes(),
        }
    }

    /// Ends a subscription to a queue.
    pub(super) fn detach(&self, key: SubscriberKey, attached: Attached) {
        let name = attached.destination.name();
        match attached.owner {
            None => self.queues().unsubscribe(name, key),
            Some(owner) => self.users().unsubscribe(owner, name, key),
        }
    }
}

/// A subscription to a queue: shared by all users, or of one owner.
#[derive(Debug)]
pub(super) struct Attached {
    pub(super) destination: Destination,
    pub(super) owner: Option<Owner>,
}
