//! A target for [`crate::stomp`].
#![expect(clippy::panic, reason = "a panic is how a fuzz target reports what it found")]

use std::cell::RefCell;
use std::collections::HashMap;
use std::rc::Rc;
use std::time::Duration;

use super::{Numbers, cut};
use crate::server::Start;
use crate::stomp::codec::{Command, Decoder, Escaping, FrameError, FrameLimits, FrameWriter, Version};
use crate::stomp::destination::DestinationKind;
use crate::stomp::fault::Fault;
use crate::stomp::message::{Consumer, MessageId, QueuedMessage, SubscriberKey, cost_of};
use crate::stomp::queues::{Change, QueueLimits, Queues};
use crate::stomp::session::{
    Broker, Effect, HandshakeInfo, Heartbeat, Operation, Profile, Progress, QueueChange, Sending,
    SessionLimits, StompSession, Subscription,
};
use crate::ws::CloseCode;

const FRAMES: FrameLimits = FrameLimits { headers_max: 8, line_bytes_max: 64, body_bytes_max: 128 };

/// A command, its headers, its body.
type SeenFrame = (Command, Vec<(String, String)>, Vec<u8>);

/// The first byte says what is done with the rest, the second seeds the cuts that it arrives in. Frames: they come out the
/// same however they are cut, and the same again once they were written anew. A session: whatever is said to it, by raw
/// bytes or by frames of likely words, it says whole frames and ends once; a queue's messages are each with one
/// subscriber or wait, in order.
pub fn stomp(input: &[u8]) {
    let &[kind, seed, ref rest @ ..] = input else { return };
    let version = Version::ALL[usize::from(kind >> 2) % 3];
    match kind % 4 {
        0 => frames((kind & 64 == 0).then_some(version), seed, rest),
        1 => session(version, seed, rest),
        _ => session(version, seed, &likely(&mut Numbers(rest))),
    }
}

fn read(version: Option<Version>, pieces: &[&[u8]]) -> (Vec<SeenFrame>, Result<bool, FrameError>) {
    let mut decoder = Decoder::new(FRAMES);
    version.into_iter().for_each(|version| decoder.speak(version));
    let mut frames = Vec::new();
    for piece in pieces {
        let mut input = *piece;
        loop {
            match decoder.poll(&mut input) {
                Ok(Some(frame)) => {
                    let headers = frame.headers().map(|(name, value)| (name.into(), value.into()));
                    frames.push((frame.command(), headers.collect(), frame.body().to_vec()));
                }
                Ok(None) => break,
                Err(error) => return (frames, Err(error)),
            }
        }
    }
    (frames, Ok(decoder.is_idle()))
}

fn frames(version: Option<Version>, seed: u8, wire: &[u8]) {
    let whole = read(version, &[wire]);
    assert_eq!(read(version, &cut(wire, seed.into())), whole, "{}", wire.escape_ascii());
    let Some(version @ (Version::V11 | Version::V12)) = version else { return };
    for frame @ (command, headers, body) in &whole.0 {
        // What can be written in this version is read back; the rest is at least one frame.
        let plain = command.is_plain();
        let hard = |text: &String| text.contains(['\0', '\r']) || (plain && text.contains(['\n', ':', '\\']));
        let mut wire = Vec::new();
        let mut writer = FrameWriter::new(&mut wire, *command, Escaping::of(version));
        let is_length = |name: &str| name == "content-length";
        for (name, value) in headers.iter().filter(|(name, _)| !is_length(name)) {
            writer = writer.header(name, value);
        }
        if command.has_body() {
            writer.body(body)
        } else {
            writer.end()
        }
        let mut decoder = Decoder::new(FrameLimits { headers_max: 9, line_bytes_max: 256, ..FRAMES });
        decoder.speak(version);
        let mut rest = &wire[..];
        let again = decoder.poll(&mut rest);
        let Ok(Some(again)) = again else { panic!("{frame:?}: {again:?} of {}", wire.escape_ascii()) };
        assert!(rest.is_empty() && again.body() == &body[..] && again.command() == *command);
        if !headers.iter().any(|(name, value)| hard(name) || hard(value)) {
            let again = again.headers().filter(|(name, _)| !is_length(name));
            let first = headers.iter().filter(|(name, _)| !is_length(name));
            assert!(again.eq(first.map(|(name, value)| (name.as_str().into(), value.as_str().into()))));
        }
    }
}

/// Frames of words that mean something.
fn likely(numbers: &mut Numbers<'_>) -> Vec<u8> {
    const NAMES: [&str; 10] = [
        "destination",
        "id",
        "ack",
        "receipt",
        "transaction",
        "message-id",
        "subscription",
        "mandatory",
        "history",
        "own",
    ];
    const VALUES: [&str; 16] = [
        "/queue/a",
        "/queue/b",
        "/topic/r",
        "/user/queue/x",
        "1",
        "2",
        "client",
        "client-individual",
        "auto",
        "t",
        "true",
        "1.0000000000000007-1",
        "2.0000000000000007-2",
        "0000000000000007-1",
        "0000000000000007-3",
        "1.019c13ec-9e7b-7000-8000-000000000000",
    ];
    let pick = |number: u8, of: &[&'static str]| of[usize::from(number) % of.len()];
    let mut wire = b"CONNECT\naccept-version:1.0,1.1,1.2\n\n\0".to_vec();
    while !numbers.is_empty() {
        let command = Command::ALL[usize::from(numbers.next()) % 13];
        wire.extend_from_slice(command.name().as_bytes());
        wire.push(b'\n');
        for _ in 0..numbers.next() % 5 {
            let (name, value) = (pick(numbers.next(), &NAMES), pick(numbers.next(), &VALUES));
            wire.extend_from_slice(format!("{name}:{value}\n").as_bytes());
        }
        wire.extend_from_slice(b"\n\0");
    }
    wire
}

/// Where a queue's messages go: to which subscription, and how often each.
type Heard = Rc<RefCell<Vec<(SubscriberKey, u64, bool)>>>;

struct Ear(SubscriberKey, Heard);

impl Consumer for Ear {
    fn deliver(&self, message: &QueuedMessage, redelivered: bool) -> bool {
        self.1.borrow_mut().push((self.0, message.id.number, redelivered));
        true
    }
}

/// A server that does at once what it is asked for, rooms excepted.
struct TestBroker {
    version: Version,
    queues: Queues<Ear>,
    heard: Heard,
    next: u64,
    later: Vec<Option<Operation>>,
    closed: Option<CloseCode>,
    receipts: HashMap<String, usize>,
}

impl TestBroker {
    fn key(subscription: &Subscription) -> SubscriberKey {
        SubscriberKey { session: 1, number: subscription.number }
    }
}

impl Broker for TestBroker {
    fn note(&mut self, _fault: Fault) {}

    fn send(&mut self, frame: &[u8]) {
        assert_eq!(self.closed, None, "nothing is said after the end");
        let mut decoder =
            Decoder::new(FrameLimits { headers_max: 16, line_bytes_max: 1024, body_bytes_max: 1024 });
        decoder.speak(self.version);
        let mut rest = frame;
        let read = decoder.poll(&mut rest);
        let Ok(Some(read)) = read else { panic!("{read:?} of {}", frame.escape_ascii()) };
        assert!(rest.is_empty(), "one frame: {}", frame.escape_ascii());
        if read.command() == Command::Receipt {
            let id = read.header("receipt-id").expect("a receipt has an id").into_owned();
            *self.receipts.entry(id).or_default() += 1;
        }
    }

    fn close(&mut self, code: CloseCode, _reason: &str) {
        assert_eq!(self.closed.replace(code), None, "it ends once");
    }

    fn start_heartbeat(&mut self, _heart: Heartbeat) {}

    fn permit(&self, _room: &str) -> Result<(), Fault> {
        Ok(())
    }

    fn take_renewal(&mut self) -> bool {
        true
    }

    fn holds(&self, _profile: &Profile, subscription: &Subscription, id: MessageId) -> bool {
        self.queues.holds(subscription.destination.name(), TestBroker::key(subscription), id)
    }

    fn check(&self, _profile: &Profile, changes: &[QueueChange]) -> Result<(), Fault> {
        let mut of_queues = Vec::new();
        for change in changes {
            match change {
                QueueChange::Ack { subscription, id, accept } => {
                    let (queue, key) = (subscription.destination.name(), TestBroker::key(subscription));
                    of_queues.push(Change::Ack { queue, key, id: *id, accept: *accept });
                }
                QueueChange::Send(sending) if sending.destination.kind() == DestinationKind::Queue => {
                    let cost = cost_of(&sending.headers, sending.body.bytes()) + 1;
                    let (queue, mandatory) = (sending.destination.name(), sending.mandatory);
                    of_queues.push(Change::Offer { queue, cost, mandatory });
                }
                QueueChange::Send(_) => {}
            }
        }
        self.queues.check(of_queues)
    }

    fn subscribe(
        &mut self,
        _profile: &Profile,
        subscription: &Subscription,
        _start: Start,
        operation: Option<Operation>,
    ) -> Result<Progress, Fault> {
        match subscription.destination.kind() {
            DestinationKind::Room => {
                self.later.push(operation);
                return Ok(Progress::Later);
            }
            DestinationKind::Queue => {
                let (name, key) = (subscription.destination.name(), TestBroker::key(subscription));
                self.queues.subscribe(name, key, subscription.mode, Ear(key, self.heard.clone()))?;
            }
            DestinationKind::UserQueue => {}
        }
        Ok(Progress::Now(Effect::Done))
    }

    fn unsubscribe(
        &mut self,
        _profile: &Profile,
        subscription: &Subscription,
        _operation: Option<Operation>,
    ) -> Progress {
        self.queues.unsubscribe(subscription.destination.name(), TestBroker::key(subscription));
        Progress::Now(Effect::Done)
    }

    fn publish(
        &mut self,
        _profile: &Profile,
        sending: Sending<'_>,
        operation: Option<Operation>,
    ) -> Result<Progress, Fault> {
        let delivered = match sending.destination.kind() {
            DestinationKind::Room => {
                self.later.push(operation);
                return Ok(Progress::Later);
            }
            DestinationKind::Queue => {
                let id = MessageId { seed: 7, number: self.next };
                self.next += 1;
                let body = sending.body.into_bytes();
                let message = QueuedMessage { id, sender: "s".into(), headers: sending.headers, body };
                usize::from(self.queues.offer(sending.destination.name(), message, sending.mandatory)?)
            }
            DestinationKind::UserQueue => 0,
        };
        Ok(Progress::Now(Effect::Delivered(delivered)))
    }

    fn ask_rooms(
        &mut self,
        _profile: &Profile,
        sendings: &[Sending<'_>],
        operation: Option<Operation>,
    ) -> Result<usize, Fault> {
        let far = sendings.iter().filter(|sending| sending.destination.name().len() > 1).count();
        self.later.extend(std::iter::repeat_n(operation, far));
        Ok(far)
    }

    fn publish_together(
        &mut self,
        _profile: &Profile,
        sendings: &[Sending<'_>],
        operation: Option<Operation>,
    ) -> Result<usize, Fault> {
        self.later.extend(std::iter::repeat_n(operation, sendings.len()));
        Ok(sendings.len())
    }

    fn ack(&mut self, _profile: &Profile, subscription: &Subscription, id: MessageId, accept: bool) -> bool {
        self.queues.ack(subscription.destination.name(), TestBroker::key(subscription), id, accept)
    }

    fn is_quiet(&self) -> bool {
        self.later.is_empty()
    }
}

fn session(version: Version, seed: u8, wire: &[u8]) {
    let limits = SessionLimits {
        heartbeat: Duration::from_secs(1),
        subscriptions_max: 4,
        transactions_max: 2,
        transaction_bytes_max: 1000,
    };
    let handshake = HandshakeInfo { id: 1, subprotocol: Some(version), proved: None, given: None };
    let queues = QueueLimits {
        length_max: 3,
        bytes_max: 10_000,
        queues_max: 2,
        all_bytes_max: 15_000,
        unacknowledged_max: 2,
    };
    let heard = Heard::default();
    let mut broker = TestBroker {
        version,
        queues: Queues::new(queues),
        heard: heard.clone(),
        next: 1,
        later: Vec::new(),
        closed: None,
        receipts: HashMap::new(),
    };
    let (mut session, mut decoder) = (StompSession::new(limits, handshake), Decoder::new(FRAMES));
    let mut asked: HashMap<String, usize> = HashMap::new();
    for mut piece in cut(wire, seed.into()) {
        while !session.is_over() {
            match decoder.poll(&mut piece) {
                Ok(Some(frame)) => {
                    if let Some(receipt) = frame.header("receipt") {
                        *asked.entry(receipt.into_owned()).or_default() += 1;
                    }
                    session.receive(&frame, &mut broker);
                }
                Ok(None) => break,
                Err(error) => session.fail(error.into(), None, &mut broker),
            }
            session.version().into_iter().for_each(|version| decoder.speak(version));
        }
    }
    // What has had its effect may be followed by more of its transaction.
    while !broker.later.is_empty() {
        for operation in std::mem::take(&mut broker.later).into_iter().flatten() {
            session.done(operation, Effect::Delivered(1), &mut broker);
        }
    }
    session.drained(&mut broker);
    for (receipt, count) in &broker.receipts {
        assert!(asked.get(receipt) >= Some(count), "{receipt:?} was confirmed {count} times");
    }
    // A message is new once, and then it is not.
    let mut known = Vec::new();
    for (_, number, redelivered) in &*heard.borrow() {
        assert_eq!(known.contains(number), *redelivered, "message {number}");
        known.push(*number);
    }
}
