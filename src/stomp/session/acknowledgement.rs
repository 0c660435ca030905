//! ACK and NACK: which message is meant.

use super::broker::{Broker, QueueChange};
use super::sending::ACK;
use super::subscription::{ACK_SEPARATOR, ByName, Profile, Subscription};
use crate::stomp::codec::{Command, Frame, Version};
use crate::stomp::destination::DestinationKind;
use crate::stomp::fault::Fault;
use crate::stomp::message::{MessageId, is_room_message_id};
use crate::stomp::queues::AckMode;

/// A message that a client has dealt with, or will not.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Acknowledgement {
    /// Whose message it is; before 1.1 clients need not say.
    subscription: Option<u32>,
    message: Box<str>,
    accept: bool,
}

impl Acknowledgement {
    pub(super) fn parse(
        frame: &Frame<'_>,
        version: Version,
        subscriptions: &ByName,
    ) -> Result<Acknowledgement, Fault> {
        let accept = frame.command() == Command::Ack;
        if version == Version::V12 {
            let id = frame.header("id").ok_or(Fault::Missing("id"))?;
            let (number, message) = id.split_once(ACK_SEPARATOR).ok_or(Fault::NoMessage)?;
            let number = number.parse().map_err(|_| Fault::NoMessage)?;
            return Ok(Acknowledgement { subscription: Some(number), message: message.into(), accept });
        }
        let message = frame.header("message-id").ok_or(Fault::Missing("message-id"))?;
        let subscription = match frame.header("subscription") {
            Some(id) => Some(subscriptions.get(&*id).ok_or(Fault::NoSubscription)?.number),
            None if version == Version::V10 => None,
            None => return Err(Fault::Missing("subscription")),
        };
        Ok(Acknowledgement { subscription, message: message.into(), accept })
    }

    /// Whether there is a subscription that it can be about.
    pub(super) fn check(&self, subscriptions: &ByName) -> Result<(), Fault> {
        if subscriptions.values().any(|subscription| self.suits(subscription)) {
            Ok(())
        } else {
            Err(Fault::NoMessage)
        }
    }

    pub(super) fn ack(
        &self,
        profile: &Profile,
        subscriptions: &ByName,
        broker: &mut impl Broker,
    ) -> Result<(), Fault> {
        let mut meant = subscriptions.values().filter(|subscription| self.suits(subscription));
        let acked = meant.any(|subscription| self.ack_in(profile, subscription, broker));
        if acked { Ok(()) } else { Err(Fault::NoMessage) }
    }

    /// What it changes in a queue, at COMMIT; nothing where nothing waits for an acknowledgement.
    pub(super) fn change(
        &self,
        profile: &Profile,
        subscriptions: &ByName,
        broker: &impl Broker,
    ) -> Result<Option<QueueChange>, Fault> {
        let meant = subscriptions.values().filter(|subscription| self.suits(subscription));
        for subscription in meant {
            match (subscription.destination.kind(), MessageId::parse(&self.message)) {
                (DestinationKind::Room | DestinationKind::UserQueue, _) => return Ok(None),
                (DestinationKind::Queue, Some(id)) if broker.holds(profile, subscription, id) => {
                    let (subscription, accept) = (subscription.clone(), self.accept);
                    return Ok(Some(QueueChange::Ack { subscription, id, accept }));
                }
                (DestinationKind::Queue, _) => {}
            }
        }
        Err(Fault::NoMessage)
    }

    fn suits(&self, subscription: &Subscription) -> bool {
        subscription.mode != AckMode::Auto
            && self.subscription.is_none_or(|number| number == subscription.number)
            && match subscription.destination.kind() {
                DestinationKind::Room => is_room_message_id(&self.message),
                DestinationKind::Queue | DestinationKind::UserQueue => {
                    MessageId::parse(&self.message).is_some()
                }
            }
    }

    fn ack_in(&self, profile: &Profile, subscription: &Subscription, broker: &mut impl Broker) -> bool {
        match (subscription.destination.kind(), MessageId::parse(&self.message)) {
            // Nothing of these is ever sent again for want of an acknowledgement.
            (DestinationKind::Room | DestinationKind::UserQueue, _) => true,
            (DestinationKind::Queue, Some(id)) => broker.ack(profile, subscription, id, self.accept),
            (DestinationKind::Queue, None) => false,
        }
    }
}

/// The acknowledgement that a SUBSCRIBE asks for.
pub(super) fn ack_mode(frame: &Frame<'_>) -> Result<AckMode, Fault> {
    match frame.header(ACK).as_deref() {
        None | Some("auto") => Ok(AckMode::Auto),
        Some("client") => Ok(AckMode::Client),
        Some("client-individual") => Ok(AckMode::ClientIndividual),
        Some(_) => Err(Fault::Malformed(ACK)),
    }
}
