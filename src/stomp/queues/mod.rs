//! Queues: each message goes to exactly one of the subscribers, by turns, and waits while there is none.
//!
//! What a subscriber has not acknowledged belongs to the queue still: when it says no, leaves, or is lost, that goes
//! back to its place at the front, in order. `check` says whether several changes can be made, before any is.

use std::collections::{HashMap, VecDeque};
use std::fmt;

pub(crate) use super::queue_error::QueueError;

use super::message::{Consumer, MessageId, QueuedMessage, SubscriberKey};

/// When a message counts as dealt with.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum AckMode {
    /// Once it was handed over.
    Auto,
    /// Once it, or a later one of the same subscription, was acknowledged.
    Client,
    /// Once it was acknowledged itself.
    ClientIndividual,
}

/// What queues may cost.
#[derive(Clone, Copy, Debug)]
pub(crate) struct QueueLimits {
    /// Messages that wait in a queue.
    pub(crate) length_max: usize,
    /// Bytes of a queue, unacknowledged messages included.
    pub(crate) bytes_max: usize,
    /// Queues.
    pub(crate) queues_max: usize,
    /// Bytes of all queues.
    pub(crate) all_bytes_max: usize,
    /// Maximum number of messages that a subscription has not acknowledged: then it is sent no more.
    pub(crate) unacknowledged_max: usize,
}

mod check;

pub(crate) use check::Change;

/// All queues.
pub(crate) struct Queues<L> {
    limits: QueueLimits,
    /// Invariant: the sum of the queues' bytes.
    bytes: usize,
    /// Invariant: each has subscribers or messages.
    queues: HashMap<Box<str>, Queue<L>>,
}

impl<L> fmt::Debug for Queues<L> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Queues").field("count", &self.queues.len()).field("bytes", &self.bytes).finish()
    }
}

struct Queue<L> {
    /// Invariant: by growing number. Invariant: empty if a subscriber is ready.
    waiting: VecDeque<Item>,
    /// What the waiting and the unacknowledged messages cost.
    bytes: usize,
    subscribers: HashMap<SubscriberKey, Subscriber<L>>,
    /// The subscribers that have room, in the order of their turns. Invariant: each once.
    ready: VecDeque<SubscriberKey>,
}

struct Item {
    message: Box<QueuedMessage>,
    redelivered: bool,
}

struct Subscriber<L> {
    consumer: L,
    mode: AckMode,
    /// In the order of delivery.
    unacknowledged: VecDeque<Item>,
    /// Its consumer took nothing more, and has not said since that it would.
    is_blocked: bool,
}

impl<L> Subscriber<L> {
    fn has_room(&self, limits: &QueueLimits) -> bool {
        !self.is_blocked && self.unacknowledged.len() < limits.unacknowledged_max
    }
}

impl<L: Consumer> Queues<L> {
    pub(crate) fn new(limits: QueueLimits) -> Queues<L> {
        Queues { limits, bytes: 0, queues: HashMap::new() }
    }

    /// Changes the limits. What is there already stays, however much it is.
    pub(crate) fn set_limits(&mut self, limits: QueueLimits) {
        let before = std::mem::replace(&mut self.limits, limits);
        let names: Vec<Box<str>> = self.queues.keys().cloned().collect();
        for name in names {
            let _gone = self.change_known(&name, |queue, limits| queue.review(&before, limits));
        }
    }

    /// Puts a message into a queue. Its number must be greater than that of any other before. True if it was handed to
    /// a subscriber at once; `mandatory`: it is not kept if there is none.
    ///
    /// # Errors
    /// [`QueueError`]; then the message is gone.
    pub(crate) fn offer(
        &mut self,
        queue: &str,
        message: QueuedMessage,
        mandatory: bool,
    ) -> Result<bool, QueueError> {
        let cost = message.cost();
        let known = self.queues.get(queue);
        if mandatory && known.is_none_or(|queue| queue.subscribers.is_empty()) {
            return Err(QueueError::NoSubscriber);
        }
        if known.is_some_and(|queue| queue.is_long(&self.limits)) {
            return Err(QueueError::Long);
        }
        if known.map_or(0, |queue| queue.bytes) + cost > self.limits.bytes_max {
            return Err(QueueError::Full);
        }
        if self.bytes + cost > self.limits.all_bytes_max {
            return Err(QueueError::NoMemory);
        }
        let number = message.id.number;
        self.change(queue, |queue, limits| {
            let is_newest = queue.waiting.back().is_none_or(|last| last.message.id.number < number);
            debug_assert!(is_newest, "messages wait by growing number");
            queue.bytes += cost;
            queue.waiting.push_back(Item { message: Box::new(message), redelivered: false });
            queue.dispatch(limits);
            queue.waiting.back().is_none_or(|last| last.message.id.number != number)
        })
    }

    /// Adds a subscriber; what waits is handed to it at once.
    ///
    /// # Errors
    /// [`QueueError::TooMany`].
    pub(crate) fn subscribe(
        &mut self,
        queue: &str,
        key: SubscriberKey,
        mode: AckMode,
        consumer: L,
    ) -> Result<(), QueueError> {
        self.change(queue, |queue, limits| {
            let unacknowledged = VecDeque::new();
            queue.subscribers.insert(key, Subscriber { consumer, mode, unacknowledged, is_blocked: false });
            queue.ready.push_back(key);
            queue.dispatch(limits);
        })
    }

    /// Removes a subscriber; what it has not acknowledged goes back.
    pub(crate) fn unsubscribe(&mut self, queue: &str, key: SubscriberKey) {
        self.unsubscribe_all(queue, &[key]);
    }

    /// Removes subscribers at once: what one of them has not acknowledged is never for another of them.
    pub(crate) fn unsubscribe_all(&mut self, queue: &str, keys: &[SubscriberKey]) {
        let _unknown = self.change_known(queue, |queue, limits| {
            queue.ready.retain(|ready| !keys.contains(ready));
            for key in keys {
                let subscriber = queue.subscribers.remove(key);
                queue.give_back(subscriber.into_iter().flat_map(|subscriber| subscriber.unacknowledged));
            }
            queue.dispatch(limits);
        });
    }

    /// A subscriber acknowledges a message, or (`accept` is false) gives it back; in client mode all before it, too.
    /// False if it has no such message.
    pub(crate) fn ack(&mut self, queue: &str, key: SubscriberKey, id: MessageId, accept: bool) -> bool {
        let acked = self.change_known(queue, |queue, limits| queue.ack(key, id, accept, limits));
        acked.unwrap_or(false)
    }

    /// The consumer of a subscriber may take messages again.
    pub(crate) fn resume(&mut self, queue: &str, key: SubscriberKey) {
        let _unknown = self.change_known(queue, |queue, limits| {
            let Some(subscriber) = queue.subscribers.get_mut(&key) else { return };
            if !std::mem::take(&mut subscriber.is_blocked) {
                return;
            }
            if subscriber.has_room(limits) {
                queue.ready.push_back(key);
                queue.dispatch(limits);
            }
        });
    }

    /// Changes a queue, which is made if it is not there.
    fn change<T>(
        &mut self,
        name: &str,
        change: impl FnOnce(&mut Queue<L>, &QueueLimits) -> T,
    ) -> Result<T, QueueError> {
        if !self.queues.contains_key(name) {
            if self.queues.len() >= self.limits.queues_max {
                return Err(QueueError::TooMany);
            }
            self.queues.insert(name.into(), Queue::new());
        }
        self.change_known(name, change).ok_or(QueueError::TooMany)
    }

    /// Changes a queue that is there, and forgets it if nothing is left of it.
    fn change_known<T>(
        &mut self,
        name: &str,
        change: impl FnOnce(&mut Queue<L>, &QueueLimits) -> T,
    ) -> Option<T> {
        let queue = self.queues.get_mut(name)?;
        let bytes_before = queue.bytes;
        let changed = change(queue, &self.limits);
        self.bytes = self.bytes + queue.bytes - bytes_before;
        debug_assert!(
            queue.waiting.is_empty() || queue.ready.is_empty(),
            "nothing waits while a consumer is ready"
        );
        debug_assert!(queue.ready.len() <= queue.subscribers.len(), "a subscriber is ready once");
        if queue.subscribers.is_empty() && queue.waiting.is_empty() {
            self.queues.remove(name);
            if self.queues.is_empty() {
                debug_assert_eq!(self.bytes, 0, "the queues' bytes are counted");
                self.queues.shrink_to_fit();
            }
        }
        Some(changed)
    }
}

impl<L: Consumer> Queue<L> {
    fn new() -> Queue<L> {
        Queue { waiting: VecDeque::new(), bytes: 0, subscribers: HashMap::new(), ready: VecDeque::new() }
    }

    /// Whether one more message would have to wait behind as many as may.
    fn is_long(&self, limits: &QueueLimits) -> bool {
        self.ready.is_empty() && self.waiting.len() >= limits.length_max
    }

    /// Subscribers have room by other limits than before.
    fn review(&mut self, before: &QueueLimits, limits: &QueueLimits) {
        for (&key, subscriber) in &self.subscribers {
            match (subscriber.has_room(before), subscriber.has_room(limits)) {
                (false, true) => self.ready.push_back(key),
                (true, false) => self.ready.retain(|ready| *ready != key),
                (true, true) | (false, false) => {}
            }
        }
        self.dispatch(limits);
    }

    /// Hands over what waits, as far as there is room.
    fn dispatch(&mut self, limits: &QueueLimits) {
        while !self.waiting.is_empty() {
            let Some(key) = self.ready.pop_front() else { return };
            let Some(subscriber) = self.subscribers.get_mut(&key) else { continue };
            let Some(item) = self.waiting.pop_front() else { return };
            if !subscriber.consumer.deliver(&item.message, item.redelivered) {
                subscriber.is_blocked = true;
                self.waiting.push_front(item);
                continue;
            }
            match subscriber.mode {
                AckMode::Auto => self.bytes -= item.message.cost(),
                AckMode::Client | AckMode::ClientIndividual => subscriber.unacknowledged.push_back(item),
            }
            if subscriber.has_room(limits) {
                self.ready.push_back(key);
            }
        }
    }

    fn ack(&mut self, key: SubscriberKey, id: MessageId, accept: bool, limits: &QueueLimits) -> bool {
        let Some(subscriber) = self.subscribers.get_mut(&key) else { return false };
        let had_room = subscriber.has_room(limits);
        let Some(at) = subscriber.unacknowledged.iter().position(|item| item.message.id == id) else {
            return false;
        };
        let first = if subscriber.mode == AckMode::Client { 0 } else { at };
        let acked: Vec<Item> = subscriber.unacknowledged.drain(first..=at).collect();
        let has_room = subscriber.has_room(limits);
        if accept {
            self.bytes -= acked.iter().map(|item| item.message.cost()).sum::<usize>();
        } else {
            self.give_back(acked);
            // The others first.
            self.ready.retain(|ready| *ready != key);
        }
        if has_room && (!had_room || !accept) {
            self.ready.push_back(key);
        }
        self.dispatch(limits);
        true
    }

    /// Puts messages back to their places, which are before all that have not been handed over yet.
    fn give_back(&mut self, items: impl IntoIterator<Item = Item>) {
        for item in items {
            let number = item.message.id.number;
            let place = self.waiting.partition_point(|waiting| waiting.message.id.number < number);
            self.waiting.insert(place, Item { redelivered: true, ..item });
        }
    }
}

#[cfg(test)]
mod tests;
