//! COMMIT: all of a transaction, or nothing.
//!
//! Whatever can be known beforehand is checked before anything is done. What only a room can tell, it is asked first: the
//! queues are changed when the rooms have taken their part. Rooms for which a message is mandatory are asked before the
//! others, which may have nothing against it.

use std::collections::VecDeque;

use super::connected::{Connected, Subscription};
use super::sending::Sending;
use super::transactions::Deferred;
use super::{Broker, Operation, Profile, Progress};
use crate::stomp::destination::Place;
use crate::stomp::fault::Fault;
use crate::stomp::message::MessageId;

/// What a transaction does to a queue.
#[derive(Clone, Debug)]
pub(crate) enum QueueChange {
    Send(Sending<'static>),
    Settle { subscription: Subscription, id: MessageId, accept: bool },
}

/// What is still to be done.
#[derive(Debug)]
pub(super) struct Commit {
    /// Messages for rooms; each batch waits for the one before.
    rooms: VecDeque<Vec<Sending<'static>>>,
    queues: Vec<QueueChange>,
}

impl Commit {
    /// Orders a transaction, after it was found that it can be done.
    pub(super) fn plan(
        transaction: Vec<Deferred>,
        connected: &Connected,
        broker: &impl Broker,
    ) -> Result<Commit, Fault> {
        let (mut sendings, mut queues) = (Vec::new(), Vec::new());
        for deferred in transaction {
            match deferred {
                Deferred::Settle(settling) => queues.extend(settling.change(connected, broker)?),
                Deferred::Send(sending) => {
                    sending.permit(broker)?;
                    match sending.destination.place() {
                        Place::Room => sendings.push(sending),
                        Place::Queue | Place::UserQueue => queues.push(QueueChange::Send(sending)),
                    }
                }
            }
        }
        broker.check(&connected.profile, &queues)?;
        let doubtful: Vec<Box<str>> = sendings
            .iter()
            .filter(|sending| sending.mandatory)
            .map(|sending| sending.destination.name().into())
            .collect();
        let is_doubtful =
            |sending: &Sending<'_>| doubtful.iter().any(|name| **name == *sending.destination.name());
        // Messages of one room stay together, in their order.
        let (first, second): (Vec<_>, Vec<_>) = sendings.into_iter().partition(is_doubtful);
        let rooms = [first, second].into_iter().filter(|batch| !batch.is_empty()).collect();
        Ok(Commit { rooms, queues })
    }

    /// Bytes that it takes up, about.
    pub(super) fn cost(&self) -> usize {
        let change = |change: &QueueChange| match change {
            QueueChange::Send(sending) => sending.cost(),
            QueueChange::Settle { .. } => size_of::<QueueChange>(),
        };
        let rooms: usize = self.rooms.iter().flatten().map(Sending::cost).sum();
        rooms + self.queues.iter().map(change).sum::<usize>()
    }

    /// Whether what comes of the next step is to be waited for.
    pub(super) fn has_more_steps(&self) -> bool {
        self.rooms.len() > 1 || !self.rooms.is_empty() && !self.queues.is_empty()
    }

    /// Takes the next step, and says how many answers have to come before the one after. None: it was the last.
    pub(super) fn advance(
        &mut self,
        profile: &Profile,
        operation: Option<Operation>,
        broker: &mut impl Broker,
    ) -> Result<Option<usize>, Fault> {
        if let Some(batch) = self.rooms.pop_front() {
            let mut waits_for = 0;
            for sending in batch {
                let progress = broker.publish(profile, sending, operation)?;
                waits_for += usize::from(progress == Progress::Later);
            }
            return Ok(Some(waits_for));
        }
        // Others may have changed the queues while the rooms were asked.
        broker.check(profile, &self.queues)?;
        for change in self.queues.drain(..) {
            let done = match change {
                QueueChange::Send(sending) => broker.publish(profile, sending, None).map(drop),
                QueueChange::Settle { subscription, id, accept } => {
                    let settled = broker.settle(profile, &subscription, id, accept);
                    if settled { Ok(()) } else { Err(Fault::NoMessage) }
                }
            };
            debug_assert_eq!(done, Ok(()), "what was checked can be done");
            done?;
        }
        Ok(None)
    }
}
