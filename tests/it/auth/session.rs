//! How long a session lasts: until its token expires, or the next one.

use serde_json::json;

use super::client::*;
use crate::support::{TestServer, eventually, frame};

fn lasting(user: &str, seconds: u64) -> String {
    token_of(&json!({ "sub": user, "exp": in_seconds(seconds) }))
}

/// The session ends because of its token, not before it has expired.
fn expect_expiry(mut raw: crate::support::Raw, at: u64) {
    assert_eq!(expect_refusal(&mut raw, 4401), "the token has expired");
    assert!(unix_time().as_secs() >= at, "too early");
}

#[test]
fn a_session_ends_when_its_token_expires_wherever_that_came_from() {
    let server = server();
    let at = in_seconds(2);
    let token = lasting("alice", 2);
    let mut by_header = open(&server, CHAT, &bearer(&token));
    expect_welcome(&mut by_header, "alice");
    let mut by_message = open(&server, "/ws/chat?roomId=other&hello=1", "");
    by_message.send(&auth_message(&token));
    expect_welcome(&mut by_message, "alice");
    let quiet = open(&server, "/ws/sink", &bearer(&token));
    for raw in [by_header, by_message, quiet] {
        expect_expiry(raw, at);
    }
}

#[test]
fn a_waiting_poll_and_a_stream_end_with_their_token() {
    let server = server();
    let at = in_seconds(2);
    let fields = bearer(&lasting("alice", 2));
    let mut stream = crate::support::Raw::connect(&server);
    stream.send(format!("GET /sse/rooms/r HTTP/1.1\r\nHost: h\r\n{fields}\r\n").as_bytes());
    assert_eq!(stream.reply().status, 200);
    let reply = ask(&server, "GET", "/poll/rooms/r?wait=30", &fields, None);
    assert_eq!(reply.status, 401);
    assert!(reply.header("WWW-Authenticate").is_some_and(|told| told.contains("invalid_token")), "{reply:?}");
    assert!(unix_time().as_secs() >= at, "too early");
    while stream.paragraph().is_some() {}
    stream.expect_end();
}

#[test]
fn the_leeway_counts_for_sessions_too() {
    let server = server_with(|config| config.auth.leeway = std::time::Duration::from_secs(2));
    let at = in_seconds(2);
    let raw = open(&server, "/ws/sink", &bearer(&lasting("alice", 0)));
    expect_expiry(raw, at);
}

#[test]
fn another_token_of_the_same_user_renews_the_session() {
    let server = server();
    let (first, at) = (lasting("alice", 1), in_seconds(3));
    let second = lasting("alice", 3);
    let mut raw = open(&server, CHAT, &bearer(&first));
    expect_welcome(&mut raw, "alice");
    raw.send(&auth_message(&second));
    eventually("the first token has expired", || unix_time().as_secs() >= at - 1);
    say(&mut raw, r#"{"content":"still here"}"#);
    expect_message(&mut raw, "still here");
    expect_expiry(raw, at);
}

#[test]
fn a_later_token_that_ends_earlier_counts() {
    let server = server();
    for path in ["/ws/sink", CHAT] {
        let at = in_seconds(1);
        let mut raw = open(&server, path, &bearer(&lasting("alice", 3600)));
        if path == CHAT {
            expect_welcome(&mut raw, "alice");
        }
        raw.send(&auth_message(&lasting("alice", 1)));
        expect_expiry(raw, at);
    }
}

#[test]
fn a_session_stays_its_users_and_loses_no_room() {
    let server = server();
    let other = "the token is another user's, or allows less than the one before";
    let cases = [
        (json!({ "sub": "alice" }), json!({ "sub": "bob" }), Some(other)),
        (json!({ "sub": "alice" }), json!({ "sub": "alice", "rooms": ["r"] }), Some(other)),
        (json!({ "sub": "alice", "rooms": ["r"] }), json!({ "sub": "alice", "rooms": ["s"] }), Some(other)),
        (json!({ "sub": "alice", "rooms": ["r"] }), json!({ "sub": "alice", "rooms": ["s", "r"] }), None),
        (json!({ "sub": "alice", "rooms": ["r"] }), json!({ "sub": "alice" }), None),
        (json!({ "sub": "alice" }), json!({ "sub": "alice", "exp": 1 }), Some("the token has expired")),
    ];
    for (first, second, expected) in cases {
        let mut raw = open(&server, CHAT, &bearer(&token_of(&first)));
        expect_welcome(&mut raw, "alice");
        raw.send(&auth_message(&token_of(&second)));
        match expected {
            Some(reason) => assert_eq!(expect_refusal(&mut raw, 4401), reason, "{second}"),
            None => {
                say(&mut raw, r#"{"content":"on"}"#);
                expect_message(&mut raw, "on");
                raw.send(&frame::masked_close(1000, ""));
                raw.expect_close(1000);
            }
        }
    }
}

#[test]
fn others_see_a_session_leave_whose_token_has_expired() {
    let server = server();
    let mut bob = open(&server, CHAT, &bearer(&token("bob")));
    expect_welcome(&mut bob, "bob");
    let _alice = open(&server, CHAT, &bearer(&lasting("alice", 1)));
    assert_eq!(object(&mut bob)["content"], "alice joined");
    assert_eq!(object(&mut bob)["content"], "alice left");
}

#[test]
fn those_who_were_never_let_in_are_not_announced() {
    let server = server();
    let mut bob = open(&server, CHAT, &bearer(&token("bob")));
    expect_welcome(&mut bob, "bob");
    drop(open(&server, CHAT, ""));
    expect_refusal(&mut open(&server, CHAT, &bearer("bad")), 4401);
    expect_refusal(&mut open(&server, &format!("{CHAT}&username=eve"), &bearer(&token("alice"))), 4401);
    say(&mut bob, r#"{"content":"alone"}"#);
    expect_message(&mut bob, "alone");
}

/// Messages that were meant to be tokens and are none.
fn meant_to_be_tokens() -> Vec<String> {
    let token = token("alice");
    vec![
        format!(r#"{{"type":"AUTH","token":"{token}","content":"x"}}"#),
        format!(r#"{{"more":[1,{{"a":"b"}}],"token":"{token}","type":"AUTH"}}"#),
        format!(r#"{{"type":"\u0041UTH","content":"x","token":"{token}"}}"#),
        format!(r#"{{"\u0074ype":"A\u0055T\u0048","content":"x","token":"{token}"}}"#),
        format!(r#"{{"type":"AUTH","type":"MESSAGE","content":"x","token":"{token}"}}"#),
        format!(r#"{{"type":"MESSAGE","content":"x","type":"AUTH","token":"{token}"}}"#),
        format!("{}{{\n\t\"type\" : \"AUTH\" }} ", " ".repeat(20_000)),
        format!(r#"{{"type":"AUTH","content":"x","token":"{}"}}"#, "x".repeat(30_000)),
        r#"{"content":"AUTH","type":"AUTH"}"#.to_owned(),
        r#"{"type":"AUTH","token":7}"#.to_owned(),
    ]
}

#[test]
fn what_was_meant_to_be_a_token_reaches_nobody() {
    let server = server();
    let fields = bearer(&token("alice"));
    let (text, binary) = (frame::TEXT, frame::BINARY);
    for path in ["/ws/raw?roomId=r", "/echo", "/ws/echo", "/ws/json"] {
        let mut raw = open(&server, path, &fields);
        for message in meant_to_be_tokens() {
            raw.send(&frame::masked(text, message.as_bytes()));
            if path == "/ws/raw?roomId=r" || path == "/echo" {
                raw.send(&frame::masked(binary, message.as_bytes()));
            }
        }
        raw.send(&frame::masked(text, br#"{"type":"MESSAGE","content":"still here"}"#));
        let heard = raw.frame();
        assert!(String::from_utf8_lossy(&heard.payload).contains("still here"), "{path}: {heard:?}");
    }
    let mut raw = open(&server, CHAT, &fields);
    expect_welcome(&mut raw, "alice");
    for message in meant_to_be_tokens() {
        say(&mut raw, &message);
        let error = object(&mut raw);
        assert_eq!(
            (&error["type"], &error["code"]),
            (&json!("ERROR"), &json!("bad_message")),
            "{message:.80}"
        );
    }
    say(&mut raw, r#"{"content":"still here"}"#);
    expect_message(&mut raw, "still here");
}

#[test]
fn a_token_behind_a_header_reaches_nobody() {
    let server = server();
    let fields = format!("{}Sec-WebSocket-Protocol: foghorn.raw\r\n", bearer(&token("alice")));
    let mut sender = open(&server, "/ws/raw?roomId=r", &fields);
    let mut plain = open(&server, "/ws/raw?roomId=r", &bearer(&token("bob")));
    for message in meant_to_be_tokens() {
        for flags in [0, 1] {
            let bytes = [&[1, flags, 0, 0], message.as_bytes()].concat();
            sender.send(&frame::masked(frame::BINARY, &bytes));
        }
    }
    sender.send(&frame::masked(frame::BINARY, b"\x01\x01\x00\x00still here"));
    assert_eq!(plain.frame().payload, b"still here");
}

#[test]
fn a_message_that_only_speaks_of_tokens_is_an_ordinary_one() {
    let server = server();
    let mut raw = open(&server, CHAT, &bearer(&token("alice")));
    expect_welcome(&mut raw, "alice");
    for text in
        [r#"{"content":"AUTH","type":"auth"}"#, r#"{"type":"x","content":"\"type\":\"AUTH\"","token":"y"}"#]
    {
        say(&mut raw, text);
        assert_eq!(object(&mut raw)["type"], "MESSAGE", "{text}");
    }
}

#[test]
fn without_keys_a_token_is_an_ordinary_message() {
    let server = TestServer::start();
    let mut raw = open(&server, "/ws/echo", "");
    raw.send(&auth_message("x"));
    let frame = raw.frame();
    assert!(frame.payload.starts_with(b"Echo: {"), "{frame:?}");
}

#[test]
fn the_server_stops_in_order_with_sessions_that_wait() {
    let server = server();
    let mut waiting = open(&server, CHAT, "");
    let mut known = open(&server, CHAT, &bearer(&token("alice")));
    expect_welcome(&mut known, "alice");
    server.begin_shutdown();
    waiting.expect_close(1001);
    known.expect_close(1001);
    server.join();
}
