//! Queues of a user: a message reaches all sessions of that user that are subscribed, and is not kept.

use std::collections::HashMap;
use std::fmt;

use super::message::{Consumer, QueuedMessage, SubscriberKey};

/// Whose sessions belong together.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Owner {
    /// All sessions of this name.
    User(Box<str>),
    /// One session without a name.
    Session(u128),
}

/// The subscriptions of all users to their queues.
pub(crate) struct UserQueues<L> {
    /// By owner and name. Invariant: no list is empty.
    subscribers: HashMap<(Owner, Box<str>), Listeners<L>>,
}

type Listeners<L> = Vec<(SubscriberKey, L)>;

impl<L> Default for UserQueues<L> {
    fn default() -> Self {
        UserQueues { subscribers: HashMap::new() }
    }
}

impl<L> fmt::Debug for UserQueues<L> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("UserQueues").field("count", &self.subscribers.len()).finish()
    }
}

impl<L: Consumer> UserQueues<L> {
    pub(crate) fn subscribe(&mut self, owner: Owner, queue: &str, key: SubscriberKey, consumer: L) {
        self.subscribers.entry((owner, queue.into())).or_default().push((key, consumer));
    }

    pub(crate) fn unsubscribe(&mut self, owner: Owner, queue: &str, key: SubscriberKey) {
        let place = (owner, queue.into());
        let Some(subscribers) = self.subscribers.get_mut(&place) else { return };
        subscribers.retain(|(other, _)| *other != key);
        if subscribers.is_empty() {
            self.subscribers.remove(&place);
        }
    }

    /// Whether a session of the owner is subscribed.
    pub(crate) fn is_heard(&self, owner: Owner, queue: &str) -> bool {
        self.subscribers.contains_key(&(owner, queue.into()))
    }

    /// Hands a message to all subscriptions; returns how many sessions took it.
    pub(crate) fn send(&self, owner: Owner, queue: &str, message: &QueuedMessage) -> usize {
        let Some(subscribers) = self.subscribers.get(&(owner, queue.into())) else { return 0 };
        debug_assert!(!subscribers.is_empty(), "no list is empty");
        let taken = subscribers.iter().filter(|(_, consumer)| consumer.deliver(message, false));
        let mut sessions: Vec<u128> = taken.map(|(key, _)| key.session).collect();
        sessions.sort_unstable();
        sessions.dedup();
        sessions.len()
    }
}

#[cfg(test)]
mod tests {
    use std::cell::RefCell;
    use std::rc::Rc;

    use super::*;
    use crate::stomp::message::MessageId;

    struct Ear(Rc<RefCell<Vec<u64>>>);

    impl Consumer for Ear {
        fn deliver(&self, message: &QueuedMessage, redelivered: bool) -> bool {
            assert!(!redelivered);
            self.0.borrow_mut().push(message.id.number);
            true
        }
    }

    fn message(number: u64) -> QueuedMessage {
        let id = MessageId { seed: 0, number };
        QueuedMessage { id, sender: "s".into(), headers: Box::default(), body: Box::default() }
    }

    #[test]
    fn a_message_reaches_the_sessions_of_its_owner() {
        let alice = || Owner::User("alice".into());
        let (mut queues, heard) = (UserQueues::default(), Rc::<RefCell<Vec<u64>>>::default());
        let owners = [(alice(), 1), (alice(), 1), (alice(), 2), (Owner::User("bob".into()), 3)];
        for ((owner, session), number) in owners.into_iter().zip(0..) {
            queues.subscribe(owner, "x", SubscriberKey { session, number }, Ear(heard.clone()));
        }
        queues.subscribe(Owner::Session(4), "x", SubscriberKey { session: 4, number: 0 }, Ear(heard.clone()));
        assert_eq!(queues.send(alice(), "x", &message(1)), 2, "two sessions");
        assert_eq!(*heard.borrow(), [1, 1, 1], "three subscriptions");
        assert_eq!(queues.send(Owner::Session(4), "x", &message(2)), 1);
        assert_eq!(queues.send(Owner::Session(5), "x", &message(3)), 0);
        assert_eq!(queues.send(alice(), "y", &message(4)), 0);
        queues.unsubscribe(alice(), "x", SubscriberKey { session: 2, number: 2 });
        assert_eq!(queues.send(alice(), "x", &message(5)), 1);
    }

    #[test]
    fn what_nobody_is_subscribed_to_costs_nothing() {
        let (mut queues, key) = (UserQueues::default(), SubscriberKey { session: 1, number: 1 });
        queues.subscribe(Owner::Session(1), "x", key, Ear(Rc::default()));
        queues.unsubscribe(Owner::Session(1), "x", key);
        assert!(queues.subscribers.is_empty());
        queues.unsubscribe(Owner::Session(1), "x", key);
    }
}
