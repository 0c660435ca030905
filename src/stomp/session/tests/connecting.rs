//! The first frame, the name, and misuse.

use super::*;

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
