//! Whether several changes can be made, all of them or none.

use std::collections::HashMap;

use super::{AckMode, Queue, QueueError, Queues};
use crate::stomp::fault::Fault;
use crate::stomp::message::{Consumer, MessageId, SubscriberKey};

/// Something that is to be done to a queue.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Change<'c> {
    /// [`Queues::offer`], with what the message costs.
    Offer { queue: &'c str, cost: usize, mandatory: bool },
    /// [`Queues::ack`].
    Ack { queue: &'c str, key: SubscriberKey, id: MessageId, accept: bool },
}

/// What the changes before have made of a queue, at worst.
#[derive(Default)]
struct Outlook {
    is_new: bool,
    /// Messages that wait besides those that do now.
    added: usize,
    added_bytes: usize,
    freed_bytes: usize,
    /// Places of what has been acknowledged among the unacknowledged of its subscriber.
    acked: Vec<(SubscriberKey, usize)>,
}

impl<L: Consumer> Queues<L> {
    /// Whether all the changes can be made one after the other. Nothing is counted on that depends on how much a
    /// subscriber's consumer takes, so that they all succeed if they are made at once.
    ///
    /// # Errors
    /// What is wrong with the first that cannot.
    pub(crate) fn check<'c>(&self, changes: impl IntoIterator<Item = Change<'c>>) -> Result<(), Fault> {
        let mut outlooks: HashMap<&str, Outlook> = HashMap::new();
        for change in changes {
            match change {
                Change::Offer { queue: name, cost, mandatory } => {
                    let known = self.queues.get(name);
                    let outlook = outlooks.entry(name).or_default();
                    outlook.is_new = known.is_none();
                    outlook.offer(known, cost, mandatory, &self.limits)?;
                    let sum = |bytes: fn(&Outlook) -> usize| outlooks.values().map(bytes).sum::<usize>();
                    let bytes = self.bytes + sum(|outlook| outlook.added_bytes);
                    if bytes > self.limits.all_bytes_max + sum(|outlook| outlook.freed_bytes) {
                        return Err(Fault::Queue(QueueError::NoMemory));
                    }
                    let new = outlooks.values().filter(|outlook| outlook.is_new).count();
                    if new > 0 && self.queues.len() + new > self.limits.queues_max {
                        return Err(Fault::Queue(QueueError::TooMany));
                    }
                }
                Change::Ack { queue: name, key, id, accept } => {
                    let queue = self.queues.get(name).ok_or(Fault::NoMessage)?;
                    outlooks.entry(name).or_default().ack(queue, key, id, accept)?;
                }
            }
        }
        Ok(())
    }

    /// Whether a subscriber has this message, and has not acknowledged it.
    pub(crate) fn holds(&self, queue: &str, key: SubscriberKey, id: MessageId) -> bool {
        let subscriber = self.queues.get(queue).and_then(|queue| queue.subscribers.get(&key));
        subscriber
            .is_some_and(|subscriber| subscriber.unacknowledged.iter().any(|item| item.message.id == id))
    }
}

impl Outlook {
    fn offer<L>(
        &mut self,
        known: Option<&Queue<L>>,
        cost: usize,
        mandatory: bool,
        limits: &super::QueueLimits,
    ) -> Result<(), Fault> {
        if mandatory && known.is_none_or(|queue| queue.subscribers.is_empty()) {
            return Err(Fault::Queue(QueueError::NoSubscriber));
        }
        let (waiting, bytes) = known.map_or((0, 0), |queue| (queue.waiting.len(), queue.bytes));
        // One that is handed over at once needs no place, however short the queue may be.
        let is_handed_over = self.added == 0 && known.is_some_and(|queue| !queue.ready.is_empty());
        if !is_handed_over && waiting + self.added >= limits.length_max {
            return Err(Fault::Queue(QueueError::Long));
        }
        if bytes + self.added_bytes + cost > limits.bytes_max + self.freed_bytes {
            return Err(Fault::Queue(QueueError::Full));
        }
        self.added += 1;
        self.added_bytes += cost;
        Ok(())
    }

    fn ack<L>(
        &mut self,
        queue: &Queue<L>,
        key: SubscriberKey,
        id: MessageId,
        accept: bool,
    ) -> Result<(), Fault> {
        let subscriber = queue.subscribers.get(&key).ok_or(Fault::NoMessage)?;
        let mut items = subscriber.unacknowledged.iter();
        let at = items.position(|item| item.message.id == id).ok_or(Fault::NoMessage)?;
        if self.acked.contains(&(key, at)) {
            return Err(Fault::NoMessage);
        }
        let first = if subscriber.mode == AckMode::Client { 0 } else { at };
        for place in first..=at {
            if self.acked.contains(&(key, place)) {
                continue;
            }
            self.acked.push((key, place));
            if accept {
                self.freed_bytes += subscriber.unacknowledged[place].message.cost();
            } else {
                self.added += 1;
            }
        }
        Ok(())
    }
}
