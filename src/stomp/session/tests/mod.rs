//! Sessions with a server that writes down what it is asked for.
//!
//! | file | subject |
//! |---|---|
//! | `connecting` | the first frame, the name, and misuse |
//! | `messages` | sUBSCRIBE, SEND, ACK, and the receipts of all frames |
//! | `transactions` | transactions, whole or not at all |

mod connecting;
mod messages;
mod transactions;

use std::time::Duration;

use super::*;
use crate::server::Start;
use crate::stomp::codec::{Decoder, FrameLimits};
use crate::stomp::destination::DestinationKind;
use crate::stomp::message::MessageId;
use crate::stomp::queue_error::QueueError;

const LIMITS: SessionLimits = SessionLimits {
    heartbeat: Duration::from_secs(10),
    subscriptions_max: 2,
    transactions_max: 2,
    transaction_bytes_max: 1000,
};

/// A server with three rules: `forbidden` is a room that may not be entered, `full` a queue that takes nothing, `far` a
/// room that another thread has than the others.
#[derive(Default)]
struct TestBroker {
    sent: Vec<String>,
    closed: Option<CloseCode>,
    asked: Vec<String>,
    heartbeat: Heartbeat,
    /// What rooms have been asked for and not done yet.
    later: Vec<Option<Operation>>,
    has_renewed: bool,
}

impl Broker for TestBroker {
    fn note(&mut self, _fault: Fault) {}

    fn send(&mut self, frame: &[u8]) {
        self.sent.push(String::from_utf8(frame.to_vec()).unwrap());
    }

    fn close(&mut self, code: CloseCode, _reason: &str) {
        assert_eq!(self.closed.replace(code), None, "closed twice");
    }

    fn start_heartbeat(&mut self, heartbeat: Heartbeat) {
        self.heartbeat = heartbeat;
    }

    fn permit(&self, room: &str) -> Result<(), Fault> {
        if room == "forbidden" { Err(Fault::NotAllowed) } else { Ok(()) }
    }

    fn take_renewal(&mut self) -> bool {
        std::mem::take(&mut self.has_renewed)
    }

    fn holds(&self, _: &Profile, _: &Subscription, id: MessageId) -> bool {
        id.number < 100
    }

    fn check(&self, _: &Profile, changes: &[QueueChange]) -> Result<(), Fault> {
        let is_full = |change: &QueueChange| match change {
            QueueChange::Send(sending) => sending.destination.name() == "full",
            QueueChange::Ack { .. } => false,
        };
        if changes.iter().any(is_full) { Err(Fault::Queue(QueueError::Full)) } else { Ok(()) }
    }

    fn subscribe(
        &mut self,
        _profile: &Profile,
        subscription: &Subscription,
        start: Start,
        operation: Option<Operation>,
    ) -> Result<Progress, Fault> {
        let destination = subscription.destination.text();
        self.asked
            .push(format!("subscribe {} {destination} {:?} {start:?}", subscription.id, subscription.mode));
        Ok(self.progress(subscription.destination.kind(), operation))
    }

    fn unsubscribe(
        &mut self,
        _profile: &Profile,
        subscription: &Subscription,
        operation: Option<Operation>,
    ) -> Progress {
        self.asked.push(format!("unsubscribe {}", subscription.id));
        self.progress(subscription.destination.kind(), operation)
    }

    fn publish(
        &mut self,
        profile: &Profile,
        sending: Sending<'_>,
        operation: Option<Operation>,
    ) -> Result<Progress, Fault> {
        if sending.destination.name() == "full" {
            return Err(Fault::Queue(QueueError::Full));
        }
        let body = String::from_utf8_lossy(sending.body.bytes()).into_owned();
        let (to, user) = (sending.destination.text(), profile.user());
        let mut asked = format!("{user} says {body} to {to}");
        for (name, value) in &sending.headers {
            asked += &format!(" {name}={value}");
        }
        if let Some(id) = &sending.client_id {
            asked += &format!(" as {id}");
        }
        if sending.mandatory {
            asked += " or not at all";
        }
        self.asked.push(asked);
        Ok(self.progress(sending.destination.kind(), operation))
    }

    fn ask_rooms(
        &mut self,
        profile: &Profile,
        sendings: &[Sending<'_>],
        operation: Option<Operation>,
    ) -> Result<usize, Fault> {
        if sendings.iter().all(|sending| sending.destination.name() != "far") {
            return Ok(0);
        }
        self.asked.push(format!("{} asks {} times", profile.user(), sendings.len()));
        self.later.extend(std::iter::repeat_n(operation, sendings.len()));
        Ok(sendings.len())
    }

    fn publish_together(
        &mut self,
        profile: &Profile,
        sendings: &[Sending<'_>],
        operation: Option<Operation>,
    ) -> Result<usize, Fault> {
        for sending in sendings {
            self.publish(profile, sending.clone(), operation)?;
        }
        Ok(sendings.len())
    }

    fn ack(&mut self, _: &Profile, subscription: &Subscription, id: MessageId, accept: bool) -> bool {
        self.asked.push(format!("ack {} {} {accept}", subscription.id, id.number));
        id.number < 100
    }

    fn is_quiet(&self) -> bool {
        self.later.is_empty()
    }
}

impl TestBroker {
    fn progress(&mut self, place: DestinationKind, operation: Option<Operation>) -> Progress {
        if place != DestinationKind::Room {
            return Progress::Now(Effect::Delivered(1));
        }
        self.later.push(operation);
        Progress::Later
    }
}

struct World {
    session: StompSession,
    decoder: Decoder,
    broker: TestBroker,
}

impl World {
    fn handshake(subprotocol: Option<Version>, proved: Option<&str>, given: Option<&str>) -> World {
        let handshake = HandshakeInfo {
            id: 5,
            subprotocol,
            proved: proved.map(Into::into),
            given: given.map(Into::into),
        };
        let limits = FrameLimits { headers_max: 16, line_bytes_max: 256, body_bytes_max: 1000 };
        World {
            session: StompSession::new(LIMITS, handshake),
            decoder: Decoder::new(limits),
            broker: TestBroker::default(),
        }
    }

    /// After CONNECT with this version.
    fn connected(version: &str) -> World {
        let mut world = World::handshake(None, None, None);
        world.say(&format!("CONNECT\naccept-version:{version}\nlogin:alice\n\n\0"));
        assert!(world.hear().starts_with("CONNECTED\n"));
        world
    }

    fn say(&mut self, wire: &str) {
        let mut input = wire.as_bytes();
        while let Some(frame) = self.decoder.poll(&mut input).unwrap() {
            self.session.receive(&frame, &mut self.broker);
            if let Some(version) = self.session.version() {
                self.decoder.speak(version);
            }
        }
    }

    /// The one frame that was sent.
    fn hear(&mut self) -> String {
        assert_eq!(self.broker.sent.len(), 1, "{:?}", self.broker.sent);
        self.broker.sent.remove(0)
    }

    fn asked(&mut self) -> Vec<String> {
        std::mem::take(&mut self.broker.asked)
    }

    /// The first thing that a room was asked for is done.
    fn done(&mut self, effect: Effect) {
        if let Some(operation) = self.broker.later.remove(0) {
            self.session.done(operation, effect, &mut self.broker);
        }
        if self.broker.later.is_empty() {
            self.session.drained(&mut self.broker);
        }
    }

    /// The session has ended with this ERROR.
    fn expect_fault(&mut self, message: &str, code: u16) {
        let sent = self.hear();
        assert!(sent.starts_with("ERROR\n"), "{sent}");
        assert!(sent.contains(&format!("\nmessage:{message}\n")), "{message}: {sent}");
        assert_eq!(self.broker.closed.map(CloseCode::get), Some(code), "{message}");
        self.say("SEND\ndestination:/queue/a\nreceipt:r\n\n\0");
        assert!(self.broker.sent.is_empty(), "nothing is done after the end");
    }
}
