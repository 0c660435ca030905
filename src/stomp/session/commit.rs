//! COMMIT: all of a transaction, or nothing.
//!
//! Whatever can be known beforehand is checked before anything is done. What only a room can tell, it is asked first:
//! rooms that one thread has take their part together or not at all; if there are others, all are asked whether they
//! would, before any does. The queues are changed when the rooms have taken their part.

use super::broker::{Broker, Operation, QueueChange};
use super::sending::Sending;
use super::subscription::{ByName, Profile};
use super::transactions::Deferred;
use crate::stomp::destination::DestinationKind;
use crate::stomp::fault::Fault;

/// What is still to be done.
#[derive(Debug)]
pub(super) struct Commit {
    /// Messages for rooms, in their order.
    rooms: Vec<Sending<'static>>,
    /// Whether the rooms were asked if they would take them.
    is_asked: bool,
    queues: Vec<QueueChange>,
}

impl Commit {
    /// Orders a transaction, after it was found that it can be done.
    pub(super) fn plan(
        transaction: Vec<Deferred>,
        profile: &Profile,
        subscriptions: &ByName,
        broker: &impl Broker,
    ) -> Result<Commit, Fault> {
        let (mut rooms, mut queues) = (Vec::new(), Vec::new());
        for deferred in transaction {
            match deferred {
                Deferred::Ack(acknowledgement) => {
                    queues.extend(acknowledgement.change(profile, subscriptions, broker)?)
                }
                Deferred::Send(sending) => {
                    broker.permit_sending(&sending)?;
                    match sending.destination.kind() {
                        DestinationKind::Room => rooms.push(sending),
                        DestinationKind::Queue | DestinationKind::UserQueue => {
                            queues.push(QueueChange::Send(sending))
                        }
                    }
                }
            }
        }
        broker.check(profile, &queues)?;
        Ok(Commit { rooms, is_asked: false, queues })
    }

    /// Bytes that it takes up, about.
    pub(super) fn cost(&self) -> usize {
        let change = |change: &QueueChange| match change {
            QueueChange::Send(sending) => sending.cost(),
            QueueChange::Ack { .. } => size_of::<QueueChange>(),
        };
        let rooms: usize = self.rooms.iter().map(Sending::cost).sum();
        rooms + self.queues.iter().map(change).sum::<usize>()
    }

    /// Whether what comes of the next step is to be waited for.
    pub(super) fn has_more_steps(&self) -> bool {
        let mut names = self.rooms.iter().map(|sending| sending.destination.name());
        let first = names.next();
        first.is_some() && (!self.queues.is_empty() || names.any(|name| Some(name) != first))
    }

    /// Takes the next step, and says how many answers have to come before the one after. None: it was the last.
    pub(super) fn advance(
        &mut self,
        profile: &Profile,
        operation: Option<Operation>,
        broker: &mut impl Broker,
    ) -> Result<Option<usize>, Fault> {
        if !self.rooms.is_empty() && !self.is_asked {
            self.is_asked = true;
            let answers = broker.ask_rooms(profile, &self.rooms, operation)?;
            if answers > 0 {
                // A subscriber is there. If it leaves meanwhile, no part of the transaction may be undone.
                self.rooms.iter_mut().for_each(|sending| sending.mandatory = false);
            }
            return Ok(Some(answers));
        }
        if !self.rooms.is_empty() {
            let rooms = std::mem::take(&mut self.rooms);
            return broker.publish_together(profile, &rooms, operation).map(Some);
        }
        // Others may have changed the queues while the rooms were asked.
        broker.check(profile, &self.queues)?;
        for change in self.queues.drain(..) {
            let done = match change {
                QueueChange::Send(sending) => broker.publish(profile, sending, None).map(drop),
                QueueChange::Ack { subscription, id, accept } => {
                    let acked = broker.ack(profile, &subscription, id, accept);
                    if acked { Ok(()) } else { Err(Fault::NoMessage) }
                }
            };
            debug_assert_eq!(done, Ok(()), "what was checked can be done");
            done?;
        }
        Ok(None)
    }
}
