//! Sessions with a server that writes down what it is asked for.

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

/// A server with three rules: `forbidden` is a room that may not be entered, `full` a queue that takes nothing, `far` a room
/// that another thread has than the others.
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
        let body = String::from_utf8_lossy(&sending.body).into_owned();
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

#[test]
fn connected_tells_what_was_agreed_on() {
    let mut world = World::handshake(Some(Version::V12), None, None);
    world.say("\nCONNECT\naccept-version:1.1,1.2\nhost:h\nlogin:a:b\nheart-beat:20000,5000\n\n\0\n");
    let expected = format!(
        "CONNECTED\nversion:1.2\nheart-beat:10000,10000\nsession:{:032x}\nserver:foghorn/{}\nuser-name:a:b\n\n\0",
        5,
        env!("CARGO_PKG_VERSION")
    );
    assert_eq!(world.hear(), expected);
    let seconds = |seconds| Some(Duration::from_secs(seconds));
    assert_eq!(world.broker.heartbeat, Heartbeat { send: seconds(10), expect: seconds(20) });
    let mut world = World::handshake(None, None, None);
    world.say("STOMP\nheart-beat:1,1\n\n\0");
    let sent = world.hear();
    assert!(
        sent.contains("\nversion:1.0\n") && !sent.contains("heart-beat") && !sent.contains("user-name"),
        "{sent}"
    );
    assert_eq!(world.broker.heartbeat, Heartbeat::default());
}

#[test]
fn a_session_begins_with_connect_and_a_version() {
    let cases = [
        (None, "SEND\ndestination:/queue/a\n\n\0", "not connected", 1002),
        (None, "MESSAGE\n\n\0", "not a command for clients", 1002),
        (None, "CONNECT\naccept-version:3.0\n\n\0", "unsupported version", 1002),
        (Some(Version::V11), "CONNECT\naccept-version:1.2\n\n\0", "version and subprotocol differ", 1002),
        (None, "CONNECT\naccept-version:1.2\nheart-beat:soon\n\n\0", "malformed header", 1002),
    ];
    for (subprotocol, wire, message, code) in cases {
        let mut world = World::handshake(subprotocol, None, None);
        world.say(wire);
        if message.contains("version") {
            let named = subprotocol.map_or("1.0,1.1,1.2", Version::name);
            assert!(
                world.broker.sent[0].contains(&format!("\nversion:{named}\n")),
                "{:?}",
                world.broker.sent
            );
        }
        world.expect_fault(message, code);
    }
}

#[test]
fn the_name_is_the_proved_one_or_the_login_or_that_of_the_address() {
    let long = "x".repeat(65);
    let cases = [
        (None, None, "", "anonymous"),
        (None, Some("given"), "", "given"),
        (None, Some("given"), "login:own\n", "own"),
        (None, Some("given"), "login:\n", "given"),
        (Some("proved"), Some("given"), "", "proved"),
        (Some("proved"), None, "login:proved\n", "proved"),
    ];
    for (proved, given, login, name) in cases {
        let mut world = World::handshake(None, proved, given);
        world.say(&format!("CONNECT\naccept-version:1.2\n{login}\n\0SEND\ndestination:/queue/a\n\nhi\0"));
        assert_eq!(world.asked(), [format!("{name} says hi to /queue/a")]);
    }
    let mut world = World::handshake(None, Some("proved"), None);
    world.say("CONNECT\nlogin:other\nreceipt:7\n\n\0");
    assert!(world.broker.sent[0].contains("\nreceipt-id:7\n"));
    world.expect_fault("not authenticated", 4401);
    for (given, login, explanation) in [
        (None, format!("login:{long}\n"), "login is no name"),
        (Some("given"), format!("login:{long}\n"), "login is no name"),
        (None, "login:a\x7fb\n".to_owned(), "login is no name"),
        (Some(long.as_str()), String::new(), "username is no name"),
    ] {
        let mut world = World::handshake(None, None, given);
        world.say(&format!("CONNECT\naccept-version:1.2\n{login}\n\0"));
        assert!(world.broker.sent[0].contains(explanation), "{:?}", world.broker.sent);
        world.expect_fault("malformed name", 1002);
    }
}

#[test]
fn misuse_ends_the_session() {
    let cases = [
        ("CONNECT\n\n\0", "connected already", 1002),
        ("RECEIPT\n\n\0", "not a command for clients", 1002),
        ("SEND\n\nhi\0", "missing header", 1002),
        ("SEND\ndestination:/sub/a\n\nhi\0", "unknown destination", 1002),
        ("SEND\ndestination:/nowhere\n\nhi\0", "unknown destination", 1002),
        ("SEND\ndestination:/topic/forbidden\n\nhi\0", "not allowed", 1008),
        ("SEND\ndestination:/queue/full\n\nhi\0", "queue is full", 1013),
        ("SEND\ndestination:/queue/a\nmandatory:perhaps\n\nhi\0", "malformed header", 1002),
        ("SEND\ndestination:/queue/a\ntransaction:t\n\nhi\0", "no such transaction", 1002),
        ("SUBSCRIBE\nid:1\n\n\0", "missing header", 1002),
        ("SUBSCRIBE\ndestination:/queue/a\n\n\0", "missing header", 1002),
        ("SUBSCRIBE\nid:1\ndestination:/pub/a\n\n\0", "unknown destination", 1002),
        ("SUBSCRIBE\nid:1\ndestination:/queue/a\nack:maybe\n\n\0", "malformed header", 1002),
        ("SUBSCRIBE\nid:1\ndestination:/topic/a\nselector:a=1\n\n\0", "selectors are not supported", 1002),
        ("SUBSCRIBE\nid:1\ndestination:/topic/a\nsince-seq:-1\n\n\0", "malformed header", 1002),
        ("SUBSCRIBE\nid:1\ndestination:/topic/a\nsince-seq:1\nepoch:x\n\n\0", "malformed header", 1002),
        ("SUBSCRIBE\nid:1\ndestination:/topic/a\nsince:once\n\n\0", "malformed header", 1002),
        ("UNSUBSCRIBE\n\n\0", "missing header", 1002),
        ("UNSUBSCRIBE\nid:1\n\n\0", "no such subscription", 1002),
        ("ACK\n\n\0", "missing header", 1002),
        ("ACK\nid:1\n\n\0", "no such message", 1002),
        ("NACK\nid:1.00000000000000aa-1\n\n\0", "no such message", 1002),
        ("BEGIN\n\n\0", "missing header", 1002),
        ("COMMIT\ntransaction:t\n\n\0", "no such transaction", 1002),
        ("ABORT\ntransaction:t\n\n\0", "no such transaction", 1002),
    ];
    for (wire, message, code) in cases {
        let mut world = World::connected("1.2");
        world.say(&wire.replacen('\n', "\nreceipt:7\n", 1));
        assert!(world.broker.sent[0].contains("\nreceipt-id:7\n"), "{:?}", world.broker.sent);
        world.expect_fault(message, code);
    }
    let mut world = World::connected("1.2");
    let mut input = &b"SEND\ndestination:/topic/a\n\n\xff\0"[..];
    let frame = world.decoder.poll(&mut input).unwrap().unwrap();
    world.session.receive(&frame, &mut world.broker);
    world.expect_fault("not text", 1002);
}

#[test]
fn subscriptions_have_an_id_a_mode_and_a_start() {
    let mut world = World::connected("1.2");
    world.say("SUBSCRIBE\nid:1\ndestination:/sub/a\nsince-seq:5\nepoch:00000000000000ff\nhistory:3\n\n\0");
    world.say("SUBSCRIBE\nid:2\ndestination:/queue/b\nack:client-individual\n\n\0");
    assert_eq!(
        world.asked(),
        [
            "subscribe 1 /sub/a Auto After { seq: 5, epoch: Some(255) }",
            "subscribe 2 /queue/b ClientIndividual Live"
        ]
    );
    world.say("UNSUBSCRIBE\nid:1\n\n\0SUBSCRIBE\nid:1\ndestination:/topic/a\nhistory:3\n\n\0");
    assert_eq!(world.asked(), ["unsubscribe 1", "subscribe 1 /topic/a Auto Last(3)"]);
    world.say("SUBSCRIBE\nid:2\ndestination:/topic/c\n\n\0");
    world.expect_fault("repeated subscription id", 1002);
    let mut world = World::connected("1.0");
    world.say("SUBSCRIBE\ndestination:/queue/a\n\n\0SUBSCRIBE\ndestination:/queue/b\n\n\0");
    world.say("UNSUBSCRIBE\ndestination:/queue/a\n\n\0UNSUBSCRIBE\nid:/queue/b\n\n\0");
    assert_eq!(world.asked()[2..], ["unsubscribe /queue/a", "unsubscribe /queue/b"]);
    for id in 0..3 {
        world.say(&format!("SUBSCRIBE\nid:{id}\ndestination:/queue/a\n\n\0"));
    }
    world.expect_fault("too many subscriptions", 1008);
}

#[test]
fn what_the_server_sets_does_not_travel() {
    let mut world = World::connected("1.2");
    let spoofed: String = RESERVED_SAMPLES.iter().map(|name| format!("{name}:forged\n")).collect();
    world.say(&format!(
        "SEND\ndestination:/queue/a\nid:me\nmandatory:true\n{spoofed}own:1\nown:2\ncontent-type:x/y\n\nhi\0"
    ));
    let expected = "alice says hi to /queue/a own=1 content-type=x/y as me or not at all";
    assert_eq!(world.asked(), [expected]);
}

const RESERVED_SAMPLES: [&str; 9] =
    ["seq", "sender", "type", "timestamp", "message-id", "subscription", "epoch", "ack", "redelivered"];

#[test]
fn a_receipt_comes_with_the_effect() {
    let mut world = World::connected("1.2");
    world.say("SEND\ndestination:/queue/a\nreceipt:1\n\nhi\0");
    assert_eq!(world.hear(), "RECEIPT\nreceipt-id:1\ndelivered:1\n\n\0");
    world.say(
        "SUBSCRIBE\nid:1\ndestination:/topic/a\nreceipt:2\n\n\0SEND\ndestination:/pub/a\nreceipt:3\n\nhi\0",
    );
    world.say("SEND\ndestination:/pub/a\n\nquiet\0UNSUBSCRIBE\nid:1\nreceipt:4\n\n\0BEGIN\ntransaction:t\nreceipt:5\n\n\0");
    assert_eq!(world.hear(), "RECEIPT\nreceipt-id:5\n\n\0", "the rooms have not answered");
    world.done(Effect::Entered { epoch: 255, seq: 7 });
    assert_eq!(world.hear(), "RECEIPT\nreceipt-id:2\nepoch:00000000000000ff\nseq:7\n\n\0");
    world.done(Effect::Delivered(3));
    assert_eq!(world.hear(), "RECEIPT\nreceipt-id:3\ndelivered:3\n\n\0");
    world.done(Effect::Delivered(3));
    world.done(Effect::Done);
    assert_eq!(world.hear(), "RECEIPT\nreceipt-id:4\n\n\0");
}

#[test]
fn disconnect_waits_for_everything_before_it() {
    let mut world = World::connected("1.2");
    world.say("SEND\ndestination:/topic/a\n\none\0SEND\ndestination:/topic/a\nreceipt:1\n\ntwo\0");
    world.say("DISCONNECT\nreceipt:bye\n\n\0SEND\ndestination:/topic/a\n\nlate\0");
    assert_eq!((world.asked().len(), world.broker.closed), (2, None));
    world.done(Effect::Delivered(0));
    assert!(world.broker.sent.is_empty());
    world.done(Effect::Delivered(0));
    let expected = ["RECEIPT\nreceipt-id:1\ndelivered:0\n\n\0", "RECEIPT\nreceipt-id:bye\n\n\0"];
    assert_eq!(world.broker.sent, expected);
    assert_eq!(world.broker.closed, Some(CloseCode::NORMAL));
    let mut world = World::connected("1.0");
    world.say("DISCONNECT\n\n\0");
    assert_eq!((world.broker.sent.len(), world.broker.closed), (0, Some(CloseCode::NORMAL)));
}

#[test]
fn what_a_room_refuses_ends_the_session_with_the_receipt_that_was_asked_for() {
    let mut world = World::connected("1.2");
    world.say("SEND\ndestination:/topic/a\nreceipt:1\n\none\0");
    let operation = world.broker.later.remove(0);
    world.session.refused(operation, Fault::NoSubscriber, &mut world.broker);
    assert!(world.broker.sent[0].contains("\nreceipt-id:1\n"));
    world.expect_fault("no subscriber", 1013);
}

#[test]
fn a_message_is_acknowledged_as_its_version_says() {
    let id = MessageId { seed: 1, number: 9 };
    let cases = [
        ("1.2", format!("ACK\nid:1.{id}\n\n\0")),
        ("1.1", format!("ACK\nsubscription:s\nmessage-id:{id}\n\n\0")),
        ("1.0", format!("ACK\nmessage-id:{id}\n\n\0")),
        ("1.0", format!("ACK\nsubscription:s\nmessage-id:{id}\n\n\0")),
    ];
    for (version, wire) in cases {
        let mut world = World::connected(version);
        world.say("SUBSCRIBE\nid:s\ndestination:/queue/a\nack:client\n\n\0");
        world.say(&wire);
        world.say(&wire.replacen("ACK", "NACK", 1));
        assert_eq!(world.asked()[1..], ["ack s 9 true", "ack s 9 false"], "{version}");
        world.say(&wire.replace("-9", "-100"));
        world.expect_fault("no such message", 1002);
    }
    let mut world = World::connected("1.1");
    world.say(&format!("ACK\nmessage-id:{id}\n\n\0"));
    world.expect_fault("missing header", 1002);
}

#[test]
fn only_subscriptions_that_acknowledge_take_acknowledgements() {
    let uuid = "019c13ec-9e7b-7000-8000-000000000000";
    let cases = [
        ("/topic/a", "auto", uuid, false),
        ("/topic/a", "client", uuid, true),
        ("/topic/a", "client", "gap-00000000000000ff-1-2", true),
        ("/topic/a", "client", "anything", false),
        ("/topic/a", "client", "0000000000000001-1", false),
        ("/queue/a", "auto", "0000000000000001-1", false),
        ("/queue/a", "client", uuid, false),
        ("/user/queue/a", "client-individual", "0000000000000001-1", true),
    ];
    for (destination, mode, id, fine) in cases {
        let mut world = World::connected("1.2");
        world.say(&format!(
            "SUBSCRIBE\nid:s\ndestination:{destination}\nack:{mode}\n\n\0ACK\nid:1.{id}\n\n\0"
        ));
        assert_eq!(world.broker.closed.is_none(), fine, "{destination} {mode} {id}");
        assert_eq!(world.asked().len(), 1, "no queue is asked");
    }
}

#[test]
fn a_transaction_takes_place_at_its_commit() {
    let mut world = World::connected("1.2");
    world.say("SUBSCRIBE\nid:s\ndestination:/queue/a\nack:client\n\n\0BEGIN\ntransaction:t\n\n\0BEGIN\ntransaction:u\n\n\0");
    world.say("SEND\ndestination:/topic/a\ntransaction:t\nreceipt:1\n\none\0");
    assert_eq!(world.hear(), "RECEIPT\nreceipt-id:1\n\n\0", "it is a part of the transaction now");
    world.say(
        "SEND\ndestination:/queue/b\ntransaction:t\n\ntwo\0ACK\nid:1.0000000000000001-9\ntransaction:t\n\n\0",
    );
    world.say("SEND\ndestination:/queue/c\ntransaction:u\n\nnever\0");
    assert_eq!(world.asked().len(), 1, "nothing is done before");
    world.say("ABORT\ntransaction:u\n\n\0COMMIT\ntransaction:t\nreceipt:2\n\n\0");
    assert_eq!(
        world.asked(),
        ["alice says one to /topic/a"],
        "a room may refuse its part, and then there is no other"
    );
    assert!(world.broker.sent.is_empty());
    world.done(Effect::Delivered(3));
    assert_eq!(world.asked(), ["alice says two to /queue/b", "ack s 9 true"]);
    assert_eq!(world.hear(), "RECEIPT\nreceipt-id:2\n\n\0");
    world.say("BEGIN\ntransaction:t\n\n\0COMMIT\ntransaction:t\nreceipt:3\n\n\0");
    assert_eq!(world.hear(), "RECEIPT\nreceipt-id:3\n\n\0");
}

#[test]
fn a_transaction_that_cannot_be_done_whole_is_not_begun() {
    for (parts, message, code) in [
        (
            "SEND\ndestination:/topic/a\ntransaction:t\n\none\0SEND\ndestination:/queue/full\ntransaction:t\n\n\0",
            "queue is full",
            1013,
        ),
        (
            "SEND\ndestination:/queue/b\ntransaction:t\n\none\0ACK\nid:1.0000000000000001-100\ntransaction:t\n\n\0",
            "no such message",
            1002,
        ),
    ] {
        let mut world = World::connected("1.2");
        world.say("SUBSCRIBE\nid:s\ndestination:/queue/a\nack:client\n\n\0BEGIN\ntransaction:t\n\n\0");
        world.asked();
        world.say(&format!("{parts}COMMIT\ntransaction:t\nreceipt:7\n\n\0"));
        assert!(world.asked().is_empty(), "{parts}");
        assert!(world.broker.sent[0].contains("\nreceipt-id:7\n"), "{:?}", world.broker.sent);
        world.expect_fault(message, code);
    }
}

#[test]
fn rooms_of_several_threads_are_asked_before_any_takes_its_part() {
    let begin = |receipt: &str| {
        let mut world = World::connected("1.2");
        world.say("BEGIN\ntransaction:t\n\n\0SEND\ndestination:/topic/a\ntransaction:t\n\none\0");
        world.say("SEND\ndestination:/topic/far\nmandatory:true\ntransaction:t\n\ntwo\0");
        world.say(&format!("COMMIT\ntransaction:t\n{receipt}\n\0"));
        assert_eq!(world.asked(), ["alice asks 2 times"]);
        world
    };
    let mut world = begin("receipt:7\n");
    world.done(Effect::Delivered(1));
    assert!(world.asked().is_empty());
    world.done(Effect::Delivered(1));
    // Somebody was there: it goes there whoever is.
    assert_eq!(world.asked(), ["alice says one to /topic/a", "alice says two to /topic/far"]);
    world.done(Effect::Delivered(1));
    assert!(world.broker.sent.is_empty());
    world.done(Effect::Delivered(1));
    assert_eq!(world.hear(), "RECEIPT\nreceipt-id:7\n\n\0");
    let mut world = begin("");
    let operation = world.broker.later.remove(0);
    world.session.refused(operation, Fault::NoSubscriber, &mut world.broker);
    world.done(Effect::Delivered(1));
    assert!(world.asked().is_empty());
    world.expect_fault("no subscriber", 1013);
    // Rooms of one thread need not be asked.
    let mut world = World::connected("1.2");
    world.say("BEGIN\ntransaction:t\n\n\0SEND\ndestination:/topic/a\ntransaction:t\n\none\0");
    world
        .say("SEND\ndestination:/topic/b\nmandatory:true\ntransaction:t\n\ntwo\0COMMIT\ntransaction:t\n\n\0");
    assert_eq!(world.asked(), ["alice says one to /topic/a", "alice says two to /topic/b or not at all"]);
}

#[test]
fn a_send_to_the_server_needs_a_token_that_was_accepted() {
    let mut world = World::connected("1.2");
    world.broker.has_renewed = true;
    world.say("SEND\ndestination:/app/auth\nreceipt:7\n\n\0");
    assert_eq!(world.hear(), "RECEIPT\nreceipt-id:7\n\n\0");
    world.say("SEND\ndestination:/app/auth\nAuthorization:Bearer x\n\n\0");
    world.expect_fault("not authenticated", 4401);
}

#[test]
fn transactions_are_bounded() {
    let begin = |name: &str| format!("BEGIN\ntransaction:{name}\n\n\0");
    let mut world = World::connected("1.2");
    world.say(&(begin("a") + &begin("a")));
    world.expect_fault("repeated transaction", 1002);
    let mut world = World::connected("1.2");
    world.say(&(begin("a") + &begin("b") + &begin("c")));
    world.expect_fault("too many transactions", 1008);
    let mut world = World::connected("1.2");
    let send =
        |name: &str| format!("SEND\ndestination:/queue/a\ntransaction:{name}\n\n{}\0", "x".repeat(400));
    world.say(&(begin("a") + &begin("b") + &send("a") + "ABORT\ntransaction:a\n\n\0" + &send("b")));
    assert_eq!(world.broker.closed, None, "what was given up costs nothing");
    world.say(&send("b"));
    world.expect_fault("transactions are too long", 1008);
    let mut world = World::connected("1.2");
    world.say(&(begin("a") + "SEND\ndestination:/topic/forbidden\ntransaction:a\n\n\0"));
    world.expect_fault("not allowed", 1008);
    let mut world = World::connected("1.2");
    world.say(&(begin("a") + "ACK\nid:1.0000000000000001-9\ntransaction:a\n\n\0"));
    world.expect_fault("no such message", 1002);
}
