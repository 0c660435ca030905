//! Every door's line of a bad end names whose it was, and where.

use std::io::{Read, Write};
use std::time::Duration;

use serde_json::{Value, json};

use super::refusals::{Logging, assert_fields};
use crate::support::eventually;
use crate::support::frame::{TEXT, masked};
use crate::support::tokens::{SECRET, in_seconds, token_of};

#[test]
fn the_end_of_a_stomp_session_names_its_login_and_the_room_that_it_spoke_of_last() {
    let logging = Logging::start("[limits]\nmessage_bytes = \"500 B\"\n[stomp]\nsubscriptions = 2\n");
    let connect = "CONNECT\naccept-version:1.2\nhost:h\nlogin:ann\n\n\0";
    let subscribe = |room: &str| format!("SUBSCRIBE\nid:{room}\ndestination:/topic/{room}\n\n\0");
    let cases = [
        // A frame, what its code, its room and its limit are.
        (connect.to_owned(), 1002, "lobby", None),
        (format!("{}{}", subscribe("den"), subscribe("hall")), 1008, "hall", Some("stomp.subscriptions")),
        ("x".repeat(501), 1009, "lobby", Some("limits.message_bytes")),
    ];
    for (frames, code, room, limit) in cases {
        let mut session = logging.server.session("/ws/stomp");
        session.write_all(&masked(TEXT, connect.as_bytes())).expect("the server takes it");
        session.write_all(&masked(TEXT, subscribe("lobby").as_bytes())).expect("the server takes it");
        session.write_all(&masked(TEXT, frames.as_bytes())).expect("the server takes it");
        let line = logging.line("code", code);
        assert_fields(&line, &[("user", "ann"), ("room", room), ("path", "/ws/stomp")]);
        assert_eq!(line["limit"], json!(limit), "{line}");
    }
    // What a room refuses comes later.
    let logging = Logging::start("[limits]\nmembers_per_room = 1\n");
    let _other = logging.server.session("/ws/chat?roomId=full&username=bob");
    eventually("he is there", || logging.server.stat("/members") == 1);
    let mut session = logging.server.session("/ws/stomp");
    session.write_all(&masked(TEXT, connect.as_bytes())).expect("the server takes it");
    session.write_all(&masked(TEXT, subscribe("full").as_bytes())).expect("the server takes it");
    let full = [("user", "ann"), ("room", "full"), ("limit", "limits.members_per_room")];
    assert_fields(&logging.line("code", 1013), &full);
    assert_eq!(logging.server.stat("/limits/members_per_room"), 1);
    // Who is not let in has said a name, too.
    let logging = Logging::start("");
    let mut session = logging.server.session("/ws/stomp");
    let other = "CONNECT\naccept-version:9\nhost:h\nlogin:ann\n\n\0";
    session.write_all(&masked(TEXT, other.as_bytes())).expect("the server takes it");
    assert_fields(&logging.line("code", 1002), &[("user", "ann"), ("reason", "unsupported version")]);
}

/// Waits for the line of a stream that has ended.
fn stream_line(logging: &Logging) -> Value {
    let mut found = None;
    eventually("a line", || {
        found = logging.lines().into_iter().find(|line| line["message"] == "event stream ended");
        found.is_some()
    });
    found.expect("it was found")
}

fn stream(logging: &Logging, query: &str) -> std::net::TcpStream {
    let mut stream = logging.server.connect();
    let request = format!("GET /sse/rooms/the%20lobby{query} HTTP/1.1\r\nHost: h\r\n\r\n");
    stream.write_all(request.as_bytes()).expect("the server takes it");
    stream.read_exact(&mut [0; 12]).expect("an answer");
    stream
}

const WHERE: [(&str, &str); 2] = [("path", "/sse/rooms/the%20lobby"), ("room", "the lobby")];

#[test]
fn the_end_of_an_event_stream_names_its_user_its_room_and_its_path() {
    let logging = Logging::start("");
    let _member = logging.server.session("/ws/chat?roomId=the%20lobby&username=bob");
    eventually("he is there", || logging.server.stat("/members") == 1);
    let _stream = stream(&logging, "?username=ann");
    let kick = |room: &str| {
        let path = format!("/api/chat/rooms/{room}/kick?username=ann");
        format!("POST {path} HTTP/1.1\r\nHost: 127.0.0.1\r\nConnection: close\r\nContent-Length: 0\r\n\r\n")
    };
    eventually("she is thrown out", || {
        let answer = logging.server.answer(kick("the%20lobby").as_bytes());
        answer.contains(r#""closed":1"#)
    });
    let line = stream_line(&logging);
    assert_fields(&line, &WHERE);
    assert_fields(&line, &[("user", "ann"), ("reason", "kicked")]);

    let config = format!("[auth]\njwt_secret = \"{SECRET}\"\n");
    let logging = Logging::start(&config);
    let token = token_of(&json!({ "sub": "ann", "exp": in_seconds(4) }));
    let _stream = stream(&logging, &format!("?token={token}"));
    let line = stream_line(&logging);
    assert_fields(&line, &WHERE);
    assert_fields(&line, &[("user", "ann"), ("reason", "expired")]);

    let logging = Logging::start("[limits]\nwrite_timeout = \"300ms\"\n");
    let _stream = stream(&logging, "?username=ann");
    let body = json!({ "sender": "bob", "content": "x".repeat(60_000) }).to_string();
    let fields = "Host: h\r\nContent-Type: application/json\r\nConnection: close";
    let path = "/api/chat/rooms/the%20lobby/messages";
    let post = format!("POST {path} HTTP/1.1\r\n{fields}\r\nContent-Length: {}\r\n\r\n{body}", body.len());
    eventually("it takes nothing", || {
        logging.server.answer(post.as_bytes());
        logging.lines().iter().any(|line| line["message"] == "event stream ended")
    });
    let line = stream_line(&logging);
    assert_fields(&line, &WHERE);
    assert_fields(&line, &[("user", "ann"), ("limit", "limits.write_timeout"), ("reason", "takes no data")]);
}

#[test]
fn a_peer_that_another_threads_message_does_not_reach_leaves_a_line() {
    let logging = Logging::start("[limits]\nreply_bytes = \"64 KiB\"\n");
    let _idle = logging.server.session("/room?roomId=den");
    let mut busy = logging.server.session("/room?roomId=den");
    let signal = json!({ "type": "x", "sender": "", "receiver": "all", "data": "x".repeat(60_000) });
    let message = masked(TEXT, signal.to_string().as_bytes());
    busy.set_write_timeout(Some(Duration::from_secs(30))).expect("a timeout");
    eventually("it is too slow", || {
        busy.write_all(&message).expect("the server takes it");
        logging.lines().iter().any(|line| line["code"] == 4008)
    });
    assert_fields(&logging.line("code", 4008), &[("path", "/room"), ("room", "den"), ("reason", "too slow")]);
}
