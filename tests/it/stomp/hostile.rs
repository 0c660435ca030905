//! What no client should send.

use super::client::Stomp;
use crate::support::{Chat, TestServer, frame};

/// A session is told this, and a witness is served before and after.
fn expect(wire: &[u8], message: &str, code: u16) {
    let server = TestServer::start();
    let mut witness = Chat::join(&server, "witness", "witness");
    let mut stomp = Stomp::connect(&server, "mallory");
    stomp.say_bytes(wire);
    stomp.expect_error(message, code);
    let mut stomp = Stomp::connect(&server, "mallory");
    for byte in wire.chunks(7) {
        stomp.raw.send_anyway(&frame::masked(frame::BINARY, byte));
    }
    stomp.expect_error(message, code);
    witness.say("alive");
    assert_eq!(witness.hear(1), ["alive"]);
}

#[test]
fn a_frame_with_too_many_headers_is_refused() {
    let headers: String = (0..65).map(|n| format!("h{n}:v\n")).collect();
    expect(format!("SEND\n{headers}").as_bytes(), "malformed frame", 1002);
}

#[test]
fn a_long_line_is_refused_before_it_ends() {
    expect(format!("SEND\nx:{}", "y".repeat(4095)).as_bytes(), "malformed frame", 1002);
    expect("Z".repeat(5000).as_bytes(), "malformed frame", 1002);
}

#[test]
fn a_header_of_a_million_bytes_costs_one_line() {
    let server = TestServer::with(|config| config.limits.message_bytes = 16 << 20);
    let mut stomp = Stomp::connect(&server, "mallory");
    stomp
        .raw
        .send_anyway(&frame::masked(frame::TEXT, format!("SEND\nx:{}", "y".repeat(1_000_000)).as_bytes()));
    stomp.expect_error("malformed frame", 1002);
}

#[test]
fn a_content_length_is_a_number_that_fits() {
    for value in ["-1", "+1", "", "1e3", "0x10", " 5", "5 "] {
        let wire = format!("SEND\ndestination:/queue/q\ncontent-length:{value}\n\nhello\0");
        expect(wire.as_bytes(), "malformed frame", 1002);
    }
    for value in ["65537", "4294967296", "18446744073709551616", "99999999999999999999999999"] {
        let wire = format!("SEND\ndestination:/queue/q\ncontent-length:{value}\n\n");
        expect(wire.as_bytes(), "malformed frame", 1009);
    }
    expect(b"SEND\ndestination:/queue/q\ncontent-length:3\n\nhello\0", "malformed frame", 1002);
}

#[test]
fn nuls_end_bodies_and_nothing_else() {
    expect(b"SEND\ndestination:/queue/\0q\n\nhello\0", "malformed frame", 1002);
    expect(b"\0", "malformed frame", 1002);
    expect(b"SUBSCRIBE\nid:1\ndestination:/queue/q\n\nbody\0", "malformed frame", 1002);
    expect(b"BEGIN\ntransaction:t\ncontent-length:1\n\nx\0", "malformed frame", 1002);
}

#[test]
fn malformed_heads_are_refused() {
    let cases: [&[u8]; 8] = [
        b"GET / HTTP/1.1\r\nHost: h\r\n\r\n",
        b"send\ndestination:/queue/q\n\n\0",
        b"SEND\nno colon\n\n\0",
        b"SEND\n:no name\n\n\0",
        b"SEND\ndestination:\\t\n\n\0",
        b"SEND\ndestination:/queue/q\\\n\n\0",
        b"SEND\ndestination:\xff\n\n\0",
        b"SEND\ndestination:a\rb\n\n\0",
    ];
    for wire in cases {
        expect(wire, "malformed frame", 1002);
    }
    expect(b"MESSAGE\n\n\0", "not a command for clients", 1002);
}

#[test]
fn a_body_over_the_limit_is_refused_over_however_many_messages() {
    let server = TestServer::with(|config| config.limits.message_bytes = 1024);
    let mut stomp = Stomp::connect(&server, "mallory");
    stomp.say("SEND\ndestination:/queue/q\n\n");
    stomp.say(&"x".repeat(1000));
    stomp.raw.send_anyway(&frame::masked(frame::TEXT, "x".repeat(25).as_bytes()));
    stomp.expect_error("malformed frame", 1009);
}

#[test]
fn escapes_inject_no_header_and_no_frame() {
    let server = TestServer::start();
    let mut newest = Stomp::connect(&server, "new");
    let mut oldest = Stomp::speaking(&server, "1.0");
    let mut mallory = Stomp::connect(&server, "mallory");
    let evil = "x\\nseq\\c1\\r\\n\\nbody\\\\";
    mallory.say(&format!("SEND\ndestination:/queue/q\nevil\\cseq\\n:{evil}\n\nhi\0"));
    mallory.sync();
    newest.say("SUBSCRIBE\nid:1\ndestination:/queue/q\nack:client\n\n\0");
    let message = newest.expect("MESSAGE");
    assert_eq!(message.get("evil:seq\n"), "x\nseq:1\r\n\nbody\\");
    assert_eq!((message.header("seq"), message.text()), (None, "hi"));
    newest.raw.reset();
    oldest.say("SUBSCRIBE\ndestination:/queue/q\n\n\0");
    let message = oldest.expect("MESSAGE");
    assert_eq!((message.header("seq"), message.header("evil"), message.text()), (None, None, "hi"));
    // The same through a room, by a client of another protocol.
    let mut chat = Chat::join(&server, "r", "mallory");
    oldest.settle("SUBSCRIBE\nid:r\ndestination:/topic/r\nreceipt:done\n\n\0");
    chat.say_once("x\nseq:99\r\u{0}\n\nbody", "hi");
    let message = oldest.expect("MESSAGE");
    assert_eq!((message.get("client-id"), message.get("seq")), ("x?seq:99????body", "2"));
}

#[test]
fn what_the_server_sets_cannot_be_forged_in_a_room() {
    let server = TestServer::start();
    let mut stomp = Stomp::connect(&server, "mallory");
    stomp.subscribe("1", "/topic/r", "");
    stomp.say(
        "SEND\ndestination:/topic/r\nsender:alice\nseq:99\ntype:SYSTEM\ntimestamp:then\nmessage-id:x\nepoch:0\n\
         subscription:2\nclient-id:forged\nack:x\nown:1\n\nhi\0",
    );
    let message = stomp.expect("MESSAGE");
    let told = ["sender", "seq", "type", "subscription"].map(|name| message.get(name));
    assert_eq!(told, ["mallory", "1", "MESSAGE", "1"]);
    assert_eq!(
        (message.header("own"), message.header("client-id"), message.header("ack")),
        (None, None, None)
    );
}

#[test]
fn the_first_of_repeated_headers_counts() {
    let server = TestServer::start();
    let mut stomp = Stomp::connect(&server, "alice");
    stomp.subscribe("1", "/queue/q", "");
    stomp.say("SEND\ndestination:/queue/q\ndestination:/nowhere\nown:1\nown:2\n\nhi\0");
    let message = stomp.expect("MESSAGE");
    let own: Vec<_> = message.headers.iter().filter(|(name, _)| name == "own").collect();
    assert_eq!(own, [&("own".to_owned(), "1".to_owned())]);
}

#[test]
fn a_room_takes_text_only() {
    expect(b"SEND\ndestination:/topic/r\n\n\xff\0", "not text", 1002);
}

#[test]
fn subscriptions_and_transactions_are_bounded() {
    let server = TestServer::with(|config| {
        config.stomp.subscriptions = 2;
        config.stomp.transactions = 2;
        config.stomp.transaction_bytes = 1024;
        config.limits.rooms_per_session = 1;
    });
    let mut stomp = Stomp::connect(&server, "alice");
    stomp.subscribe("1", "/queue/q", "");
    stomp.subscribe("2", "/queue/q", "");
    stomp.say("SUBSCRIBE\nid:3\ndestination:/queue/q\n\n\0");
    stomp.expect_error("too many subscriptions", 1008);
    let mut stomp = Stomp::connect(&server, "alice");
    stomp.say("BEGIN\ntransaction:1\n\n\0BEGIN\ntransaction:2\n\n\0BEGIN\ntransaction:3\n\n\0");
    stomp.expect_error("too many transactions", 1008);
    let mut stomp = Stomp::connect(&server, "alice");
    let body = "x".repeat(1024);
    stomp.say(&format!("BEGIN\ntransaction:1\n\n\0SEND\ndestination:/queue/q\ntransaction:1\n\n{body}\0"));
    stomp.expect_error("transactions are too long", 1008);
    let mut stomp = Stomp::connect(&server, "alice");
    stomp.subscribe("1", "/topic/q", "");
    stomp.say("SUBSCRIBE\nid:2\ndestination:/topic/q\n\n\0");
    stomp.expect_error("too many rooms", 1013);
}

#[test]
fn misuse_gets_an_error_with_the_receipt_that_was_asked_for() {
    let server = TestServer::start();
    let cases = [
        ("CONNECT\nreceipt:7\n\n\0", "connected already"),
        ("SEND\nreceipt:7\n\n\0", "missing header"),
        ("SEND\nreceipt:7\ndestination:/nowhere\n\n\0", "unknown destination"),
        (
            "SUBSCRIBE\nreceipt:7\nid:1\ndestination:/topic/r\nselector:a=1\n\n\0",
            "selectors are not supported",
        ),
        ("UNSUBSCRIBE\nreceipt:7\nid:1\n\n\0", "no such subscription"),
        ("ACK\nreceipt:7\nid:1.x\n\n\0", "no such message"),
        ("COMMIT\nreceipt:7\ntransaction:t\n\n\0", "no such transaction"),
    ];
    for (wire, message) in cases {
        let mut stomp = Stomp::connect(&server, "alice");
        stomp.say(wire);
        assert_eq!(stomp.expect_error(message, 1002).get("receipt-id"), "7");
    }
    let mut stomp = Stomp::raw(&server);
    stomp.say("SEND\ndestination:/queue/q\n\n\0");
    stomp.expect_error("not connected", 1002);
}
