//! Every frame between CONNECT and DISCONNECT, and what is answered later.

use std::collections::HashMap;

use super::acknowledgement::{Acknowledgement, ack_mode};
use super::broker::{Broker, Effect, Operation, Progress};
use super::commit::Commit;
use super::limits::SessionLimits;
use super::sending::{DESTINATION, Sending, TRANSACTION};
use super::subscription::{ByName, ENTRY_BYTES, Profile, Subscription};
use super::transactions::{Deferred, Transactions};
use crate::request::position;
use crate::server::Start;
use crate::stomp::codec::{Command, Escaping, Frame, FrameWriter, Version};
use crate::stomp::destination::{AUTH_DESTINATION, Destination, DestinationKind, Purpose};
use crate::stomp::fault::Fault;
use crate::stomp::users::Owner;

/// A session after CONNECT.
#[derive(Debug)]
pub(super) struct Connected {
    pub(super) profile: Profile,
    /// By the client's names.
    subscriptions: ByName,
    subscribed: u32,
    transactions: Transactions,
    pending: HashMap<Operation, Pending>,
    operations: u32,
    /// The room that the client spoke of last, for the log; empty if it was none.
    room: String,
    /// Invariant: the sum of the costs of the subscriptions and of what is pending.
    bytes: usize,
}

/// What waits for effects.
#[derive(Debug)]
struct Pending {
    receipt: Option<Box<str>>,
    waits_for: usize,
    /// Whether the receipt tells the one effect that it waits for.
    tells: bool,
    /// What is done then.
    commit: Option<Commit>,
}

impl Pending {
    fn cost(&self) -> usize {
        let receipt = self.receipt.as_ref().map_or(0, |receipt| receipt.len());
        ENTRY_BYTES + receipt + self.commit.as_ref().map_or(0, Commit::cost)
    }
}

impl Connected {
    pub(super) fn new(profile: Profile) -> Connected {
        Connected {
            profile,
            subscriptions: HashMap::new(),
            subscribed: 0,
            transactions: Transactions::default(),
            pending: HashMap::new(),
            operations: 0,
            room: String::new(),
            bytes: 0,
        }
    }

    /// Bytes that are kept of what the client has sent, about.
    pub(super) fn held_bytes(&self) -> usize {
        debug_assert!(
            self.bytes > 0 || (self.subscriptions.is_empty() && self.pending.is_empty()),
            "what is kept is counted"
        );
        self.bytes + self.transactions.held_bytes()
    }

    /// The user, if the session has a name, and the room that the client spoke of last.
    pub(super) fn names(&self) -> (Option<&str>, Option<&str>) {
        let user = match &self.profile.owner {
            Owner::User(user) => Some(&**user),
            Owner::Session(_) => None,
        };
        (user, Some(&*self.room).filter(|room| !room.is_empty()))
    }

    /// Names are short, and the text is used again: this costs each frame a copy of a few bytes.
    fn speak_of(&mut self, destination: &Destination) {
        self.room.clear();
        if destination.kind() == DestinationKind::Room {
            self.room.push_str(destination.name());
        }
    }

    fn wait(&mut self, operation: Operation, pending: Pending) {
        self.bytes += pending.cost();
        self.pending.insert(operation, pending);
    }

    fn take_pending(&mut self, operation: Operation) -> Option<Pending> {
        let pending = self.pending.remove(&operation)?;
        self.bytes -= pending.cost();
        Some(pending)
    }

    /// Does what a frame says.
    pub(super) fn handle(
        &mut self,
        frame: &Frame<'_>,
        limits: &SessionLimits,
        broker: &mut impl Broker,
    ) -> Result<(), Fault> {
        let progress = match frame.command() {
            Command::Connect | Command::Stomp => return Err(Fault::ConnectedAlready),
            Command::Connected | Command::Message | Command::Receipt | Command::Error => {
                return Err(Fault::ServerCommand);
            }
            Command::Send => return self.send(frame, limits, broker),
            Command::Subscribe => return self.subscribe(frame, limits, broker),
            Command::Unsubscribe => return self.unsubscribe(frame, broker),
            Command::Commit => return self.commit(frame, broker),
            Command::Ack | Command::Nack => self.ack(frame, limits, broker),
            Command::Begin => self.transactions.begin(&transaction(frame)?, limits),
            Command::Abort => self.transactions.end(&transaction(frame)?).map(drop),
            // Taken by the session itself.
            Command::Disconnect => Ok(()),
        };
        progress?;
        self.confirm(frame, None, broker);
        Ok(())
    }

    fn send(
        &mut self,
        frame: &Frame<'_>,
        limits: &SessionLimits,
        broker: &mut impl Broker,
    ) -> Result<(), Fault> {
        if frame.header(DESTINATION).as_deref() == Some(AUTH_DESTINATION) {
            return self.renew(frame, broker);
        }
        let sending = Sending::parse(frame)?;
        self.speak_of(&sending.destination);
        broker.permit_sending(&sending)?;
        if let Some(name) = frame.header(TRANSACTION) {
            self.transactions.defer(&name, Deferred::Send(sending.into_owned()), limits)?;
            self.confirm(frame, None, broker);
            return Ok(());
        }
        let operation = self.operation(frame);
        let progress = broker.publish(&self.profile, sending, operation)?;
        self.follow(frame, progress, operation, broker);
        Ok(())
    }

    /// A SEND to the server itself, with a token that has been checked by now.
    fn renew(&self, frame: &Frame<'_>, broker: &mut impl Broker) -> Result<(), Fault> {
        if !broker.take_renewal() {
            return Err(Fault::NoToken);
        }
        self.confirm(frame, None, broker);
        Ok(())
    }

    fn subscribe(
        &mut self,
        frame: &Frame<'_>,
        limits: &SessionLimits,
        broker: &mut impl Broker,
    ) -> Result<(), Fault> {
        let destination = frame.header(DESTINATION).ok_or(Fault::Missing(DESTINATION))?;
        let id = match frame.header("id") {
            Some(id) => id,
            None if self.profile.version == Version::V10 => destination.clone(),
            None => return Err(Fault::Missing("id")),
        };
        let destination = Destination::parse(&destination, Purpose::Subscribe)?;
        self.speak_of(&destination);
        let mode = ack_mode(frame)?;
        if frame.header("selector").is_some() {
            return Err(Fault::Selector);
        }
        let start = start(frame)?;
        if self.subscriptions.contains_key(&*id) {
            return Err(Fault::RepeatedSubscription);
        }
        if self.subscriptions.len() >= limits.subscriptions_max {
            return Err(Fault::TooManySubscriptions);
        }
        self.subscribed = self.subscribed.wrapping_add(1);
        let subscription = Subscription { number: self.subscribed, id: id.clone().into(), destination, mode };
        let operation = self.operation(frame);
        let progress = broker.subscribe(&self.profile, &subscription, start, operation)?;
        self.bytes += subscription.cost();
        self.subscriptions.insert(id.into(), subscription);
        self.follow(frame, progress, operation, broker);
        Ok(())
    }

    fn unsubscribe(&mut self, frame: &Frame<'_>, broker: &mut impl Broker) -> Result<(), Fault> {
        let id = match (frame.header("id"), frame.header(DESTINATION)) {
            (Some(id), _) => id,
            (None, Some(destination)) if self.profile.version == Version::V10 => destination,
            (None, _) => return Err(Fault::Missing("id")),
        };
        let subscription = self.subscriptions.remove(&*id).ok_or(Fault::NoSubscription)?;
        self.bytes -= subscription.cost();
        let operation = self.operation(frame);
        let progress = broker.unsubscribe(&self.profile, &subscription, operation);
        self.follow(frame, progress, operation, broker);
        Ok(())
    }

    fn ack(
        &mut self,
        frame: &Frame<'_>,
        limits: &SessionLimits,
        broker: &mut impl Broker,
    ) -> Result<(), Fault> {
        let acknowledgement = Acknowledgement::parse(frame, self.profile.version, &self.subscriptions)?;
        let Some(name) = frame.header(TRANSACTION) else {
            return acknowledgement.ack(&self.profile, &self.subscriptions, broker);
        };
        acknowledgement.check(&self.subscriptions)?;
        self.transactions.defer(&name, Deferred::Ack(acknowledgement), limits)
    }

    /// Does what has waited: all of it, or nothing.
    fn commit(&mut self, frame: &Frame<'_>, broker: &mut impl Broker) -> Result<(), Fault> {
        let transaction = self.transactions.end(&transaction(frame)?)?;
        let commit = Commit::plan(transaction, &self.profile, &self.subscriptions, broker)?;
        let receipt = frame.header("receipt").map(|receipt| receipt.into());
        // An operation that the client does not wait for comes back as a number alone.
        let operation = (receipt.is_some() || commit.has_more_steps()).then(|| self.next_operation());
        self.advance(commit, operation, receipt, broker).map_err(|(fault, _)| fault)
    }

    /// Goes on with a transaction until something has to be waited for.
    fn advance(
        &mut self,
        mut commit: Commit,
        operation: Option<Operation>,
        receipt: Option<Box<str>>,
        broker: &mut impl Broker,
    ) -> Result<(), (Fault, Option<Box<str>>)> {
        loop {
            match commit.advance(&self.profile, operation, broker) {
                Ok(Some(0)) => {}
                Ok(Some(waits_for)) => {
                    if let Some(operation) = operation {
                        let pending = Pending { receipt, waits_for, tells: false, commit: Some(commit) };
                        self.wait(operation, pending);
                    }
                    return Ok(());
                }
                Ok(None) => {
                    if let Some(receipt) = receipt {
                        self.receipt(&receipt, None, broker);
                    }
                    return Ok(());
                }
                Err(fault) => return Err((fault, receipt)),
            }
        }
    }

    /// Names what a frame asks for, if the client wants to hear of it.
    fn operation(&mut self, frame: &Frame<'_>) -> Option<Operation> {
        frame.header("receipt")?;
        Some(self.next_operation())
    }

    fn next_operation(&mut self) -> Operation {
        self.operations = self.operations.wrapping_add(1);
        Operation(self.operations)
    }

    /// Says RECEIPT now, or when the effect is there.
    fn follow(
        &mut self,
        frame: &Frame<'_>,
        progress: Progress,
        operation: Option<Operation>,
        broker: &mut impl Broker,
    ) {
        match (progress, operation, frame.header("receipt")) {
            (Progress::Now(effect), _, _) => self.confirm(frame, Some(effect), broker),
            (Progress::Later, Some(operation), Some(receipt)) => {
                let receipt = Some(receipt.into());
                self.wait(operation, Pending { receipt, waits_for: 1, tells: true, commit: None });
            }
            (Progress::Later, _, _) => {}
        }
    }

    fn confirm(&self, frame: &Frame<'_>, effect: Option<Effect>, broker: &mut impl Broker) {
        if let Some(receipt) = frame.header("receipt") {
            self.receipt(&receipt, effect, broker);
        }
    }

    /// Says RECEIPT.
    pub(super) fn receipt(&self, receipt: &str, effect: Option<Effect>, broker: &mut impl Broker) {
        let mut frame = Vec::new();
        let writer = FrameWriter::new(&mut frame, Command::Receipt, Escaping::of(self.profile.version));
        let writer = writer.header("receipt-id", receipt);
        match effect {
            None | Some(Effect::Done) => writer.end(),
            Some(Effect::Delivered(count)) => writer.number("delivered", count as u64).end(),
            Some(Effect::Entered { epoch, seq }) => {
                writer.header("epoch", &format!("{epoch:016x}")).number("seq", seq).end();
            }
        }
        broker.send(&frame);
    }

    /// Something that was asked for has had its effect.
    ///
    /// # Errors
    /// What was to be done then cannot be; and its receipt.
    pub(super) fn done(
        &mut self,
        operation: Operation,
        effect: Effect,
        broker: &mut impl Broker,
    ) -> Result<(), (Fault, Option<Box<str>>)> {
        let Some(pending) = self.pending.get_mut(&operation) else { return Ok(()) };
        pending.waits_for -= 1;
        if pending.waits_for > 0 {
            return Ok(());
        }
        let Some(Pending { receipt, tells, commit, .. }) = self.take_pending(operation) else {
            return Ok(());
        };
        if let Some(commit) = commit {
            return self.advance(commit, Some(operation), receipt, broker);
        }
        if let Some(receipt) = receipt {
            self.receipt(&receipt, tells.then_some(effect), broker);
        }
        Ok(())
    }

    /// Gives up what waits for an operation; returns its receipt.
    pub(super) fn forget(&mut self, operation: Operation) -> Option<Box<str>> {
        self.take_pending(operation).and_then(|pending| pending.receipt)
    }
}

fn transaction(frame: &Frame<'_>) -> Result<Box<str>, Fault> {
    frame.header(TRANSACTION).map(|name| name.into()).ok_or(Fault::Missing(TRANSACTION))
}

/// Where in a room's log a subscription begins: the most exact position counts.
fn start(frame: &Frame<'_>) -> Result<Start, Fault> {
    const SINCE_SEQ: &str = "since-seq";
    let number = |name: &'static str| match frame.header(name) {
        Some(text) => position::parse_number(name, &text).map(Some).map_err(|_| Fault::Malformed(name)),
        None => Ok(None),
    };
    let epoch = match frame.header("epoch") {
        Some(text) => Some(position::parse_epoch(&text).map_err(|_| Fault::Malformed("epoch"))?),
        None => None,
    };
    let since = match frame.header("since") {
        Some(text) => Some(position::parse_time(&text).map_err(|_| Fault::Malformed("since"))?),
        None => None,
    };
    let (seq, count) = (number(SINCE_SEQ)?, number("history")?);
    Ok(position::most_exact(seq, epoch, since, count))
}
