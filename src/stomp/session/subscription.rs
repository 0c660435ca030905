//! Whose session it is, and one subscription of it.

use std::collections::HashMap;

use crate::stomp::codec::Version;
use crate::stomp::destination::Destination;
use crate::stomp::queues::AckMode;
use crate::stomp::users::Owner;

/// What stands before a message's id in an `ack` header: the number of the subscription, and this.
pub(crate) const ACK_SEPARATOR: char = '.';

/// What something takes up in a table, about, besides its texts.
// A slot of a map and its boxes, rounded up: what is counted by it bounds memory.
pub(super) const ENTRY_BYTES: usize = 128;

/// The name of a user who did not give one.
const ANONYMOUS: &str = "anonymous";

/// Whose session it is, and what it speaks.
#[derive(Clone, Debug)]
pub(crate) struct Profile {
    pub(crate) version: Version,
    /// The session's id.
    pub(crate) session: u128,
    pub(crate) owner: Owner,
}

impl Profile {
    /// The sender's name of what the session publishes.
    pub(crate) fn user(&self) -> &str {
        match &self.owner {
            Owner::User(user) => user,
            Owner::Session(_) => ANONYMOUS,
        }
    }
}

/// A subscription of one session.
#[derive(Clone, Debug)]
pub(crate) struct Subscription {
    /// The session's own number of it, never used twice.
    pub(crate) number: u32,
    /// The client's name of it.
    pub(crate) id: Box<str>,
    pub(crate) destination: Destination,
    pub(crate) mode: AckMode,
}

/// The subscriptions of one session, by the client's names.
pub(super) type ByName = HashMap<Box<str>, Subscription>;

impl Subscription {
    /// Bytes that it takes up, about: its name is kept twice, its destination here and where it leads to.
    pub(super) fn cost(&self) -> usize {
        ENTRY_BYTES + 2 * (self.id.len() + self.destination.text().len())
    }
}
