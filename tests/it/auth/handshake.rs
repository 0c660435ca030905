//! Sessions that begin with a token, with a bad one, or with none.

use std::time::Duration;

use foghorn::config::Config;
use foghorn::server::{Context, Endpoint, Handler};
use foghorn::ws::Message;
use jsonwebtoken::{Algorithm, EncodingKey};
use serde_json::json;

use super::client::*;
use crate::support::frame;
use crate::support::{TestServer, eventually};

/// Every WebSocket endpoint there is.
const ENDPOINTS: [&str; 7] = [
    "/ws/chat?roomId=r&username=a",
    "/ws/raw?roomId=r",
    "/ws/echo",
    "/ws/json",
    "/ws/time",
    "/ws/sink",
    "/echo",
];

fn short_wait(config: &mut Config) {
    config.auth.timeout = Duration::from_millis(200);
}

#[test]
fn a_token_is_taken_from_each_of_its_places() {
    let server = server();
    let token = token("alice");
    let cases = [
        (CHAT.to_owned(), bearer(&token)),
        (CHAT.to_owned(), format!("Cookie: a=b; foghorn_token={token}\r\nOrigin: http://h\r\n")),
        (CHAT.to_owned(), format!("Sec-WebSocket-Protocol: foghorn.jwt, {token}\r\n")),
        (format!("{CHAT}&token={token}"), String::new()),
    ];
    for (path, fields) in cases {
        expect_welcome(&mut open(&server, &path, &fields), "alice");
    }
    let mut raw = open(&server, CHAT, "");
    raw.send(&auth_message(&token));
    expect_welcome(&mut raw, "alice");
}

#[test]
fn the_subprotocol_is_agreed_on_and_the_token_not_repeated() {
    let token = token("alice");
    let fields = format!("Sec-WebSocket-Protocol: foghorn.jwt, {token}\r\n");
    for server in [server(), TestServer::start()] {
        let (_raw, reply) = handshake(&server, "/ws/echo", &fields);
        assert_eq!((reply.status, reply.header("Sec-WebSocket-Protocol")), (101, Some("foghorn.jwt")));
    }
}

#[test]
fn an_endpoint_agrees_on_its_own_subprotocol_first() {
    struct Quiet;
    impl Handler for Quiet {
        type State = ();

        fn open(&self, _: &mut Context<'_>, _: &foghorn::http::Head<'_>) {}

        fn message(&self, _cx: &mut Context<'_>, _: &mut (), _message: Message<'_>) {}
    }
    let endpoint = Endpoint::new(Quiet).subprotocols(["v12.stomp"]).require_subprotocol();
    let server = server_of(|_| (), |router| router.endpoint("/ws/own", endpoint));
    let token = token("alice");
    let fields = format!("Sec-WebSocket-Protocol: foghorn.jwt, {token}, v12.stomp\r\n");
    let (_raw, reply) = handshake(&server, "/ws/own", &fields);
    assert_eq!((reply.status, reply.header("Sec-WebSocket-Protocol")), (101, Some("v12.stomp")));
    let fields = format!("Sec-WebSocket-Protocol: foghorn.jwt, {token}\r\n");
    assert_eq!(handshake(&server, "/ws/own", &fields).1.status, 400);
}

#[test]
fn tokens_from_two_sources_are_refused() {
    let server = server();
    let token = token("alice");
    let path = format!("{CHAT}&token={token}");
    for fields in [bearer(&token), format!("Sec-WebSocket-Protocol: foghorn.jwt, {token}\r\n")] {
        let reason = expect_refusal(&mut open(&server, &path, &fields), 4401);
        assert_eq!(reason, "tokens from more than one source");
    }
}

#[test]
fn a_bad_token_is_refused_on_every_endpoint_after_the_upgrade() {
    let server = server_with(|config| config.auth.audience = Some("chat".into()));
    let mac = EncodingKey::from_secret(SECRET.as_bytes());
    let other = EncodingKey::from_secret(b"another secret of the tests, as long");
    let good = json!({ "sub": "alice", "aud": "chat" });
    let unsigned = {
        let token = token_of(&good);
        let body = token.split('.').nth(1).unwrap().to_owned();
        format!("eyJhbGciOiJub25lIn0.{body}.")
    };
    let bad = [
        (
            token_of(&json!({ "sub": "alice", "aud": "chat", "exp": in_seconds(0) - 10 })),
            "the token has expired",
        ),
        (
            token_of(&json!({ "sub": "alice", "aud": "chat", "nbf": in_seconds(600) })),
            "the token is not valid yet (nbf)",
        ),
        (token("alice"), "the token is for another audience"),
        (signed(&good, Algorithm::HS256, None, &other), "the token's signature is wrong"),
        (signed(&good, Algorithm::HS512, None, &mac), "the token has another algorithm than the key"),
        (unsigned, "the token has another algorithm than the key"),
        ("nonsense".to_owned(), "the token is not a JSON Web Token"),
        ("x".repeat(8 * 1024 + 1), "the token is too long"),
        (
            token_of(&json!({ "sub": "alice", "aud": "chat", "admin": "yes" })),
            "the token's claim admin is repeated or neither true nor false",
        ),
    ];
    for path in ENDPOINTS {
        for (token, expected) in &bad {
            let reason = expect_refusal(&mut open(&server, path, &bearer(token)), 4401);
            assert_eq!(reason, *expected, "{path}");
        }
    }
}

#[test]
fn a_token_of_exactly_the_longest_length_is_taken() {
    let server = server();
    let rooms = |count| json!({ "sub": "alice", "rooms": ["r", "x".repeat(count)] });
    let base = token_of(&rooms(0)).len();
    let longest = (0..8 * 1024).rev().map(rooms).find(|claims| {
        let grown = claims["rooms"][1].as_str().unwrap().len() * 4 / 3;
        base + grown <= 8 * 1024 && token_of(claims).len() <= 8 * 1024
    });
    let token = token_of(&longest.unwrap());
    assert!(token.len() > 8 * 1024 - 4);
    let mut raw = open(&server, CHAT, "");
    raw.send(&auth_message(&token));
    expect_welcome(&mut raw, "alice");
}

#[test]
fn a_cookie_alone_counts_only_with_an_allowed_origin() {
    let server = server();
    let cookie = format!("Cookie: foghorn_token={}\r\n", token("alice"));
    let reason =
        expect_refusal(&mut open(&server, CHAT, &format!("{cookie}Sec-Fetch-Site: cross-site\r\n")), 4401);
    assert_eq!(reason, "the cookie counts only with an allowed origin");
    // What is no browser says no Origin.
    expect_welcome(&mut open(&server, CHAT, &cookie), "alice");
    let (_raw, reply) = handshake(&server, CHAT, &format!("{cookie}Origin: http://evil.example\r\n"));
    assert_eq!(reply.status, 403);
    // Where every page may connect, every page would use it.
    let server = server_with(|config| config.origins.allowed = foghorn::http::Origins::Any);
    expect_refusal(&mut open(&server, CHAT, &format!("{cookie}Origin: http://evil.example\r\n")), 4401);
    expect_welcome(&mut open(&server, CHAT, &format!("{cookie}Origin: http://h\r\n")), "alice");
}

#[test]
fn without_a_token_nothing_happens_until_the_deadline() {
    let server = server_with(short_wait);
    for path in ENDPOINTS {
        let reason = expect_refusal(&mut open(&server, path, ""), 4401);
        assert_eq!(reason, "no token came in time", "{path}");
    }
}

#[test]
fn pings_do_not_put_the_deadline_off() {
    let server = server_with(short_wait);
    let mut raw = open(&server, CHAT, "");
    raw.send(&frame::masked(frame::PING, b"a"));
    assert_eq!(raw.frame(), frame::Frame::new(frame::PONG, *b"a"));
    raw.send(&frame::masked(frame::PING, b"b"));
    assert_eq!(raw.frame(), frame::Frame::new(frame::PONG, *b"b"));
    expect_refusal(&mut raw, 4401);
}

#[test]
fn any_other_first_message_ends_the_session() {
    let server = server();
    let token = token("alice");
    let texts = [
        r#"{"content":"hello"}"#.to_owned(),
        "HEARTBEAT".to_owned(),
        r#"{"type":"AUTH"}"#.to_owned(),
        r#"{"type":"AUTH","token":7}"#.to_owned(),
        format!(r#"{{"type":"auth","token":"{token}"}}"#),
        format!(r#"{{"type":"AUTH","token":"{token}","token":"{token}"}}"#),
        token.clone(),
    ];
    for text in texts {
        let mut raw = open(&server, CHAT, "");
        say(&mut raw, &text);
        assert_eq!(expect_refusal(&mut raw, 4401), "the first message must be a token", "{text}");
    }
    let mut raw = open(&server, CHAT, "");
    raw.send(&frame::masked(frame::BINARY, token.as_bytes()));
    expect_refusal(&mut raw, 4401);
    let mut raw = open(&server, CHAT, "");
    raw.send(&auth_message("a.b.c"));
    assert_eq!(expect_refusal(&mut raw, 4401), "the token is not a JSON Web Token");
}

#[test]
fn before_the_token_messages_are_small_and_from_it_on_of_any_allowed_size() {
    let server = server();
    let large = format!("{{\"content\":\"{}\"}}", "x".repeat(20 * 1024));
    let mut raw = open(&server, CHAT, "");
    raw.send(&frame::masked(frame::TEXT, large.as_bytes())[..100]);
    raw.expect_close(1009);
    // In one segment: the limit that holds is that of the moment when a message begins.
    let mut raw = open(&server, CHAT, "");
    raw.send(&[auth_message(&token("alice")), frame::masked(frame::TEXT, large.as_bytes())].concat());
    expect_welcome(&mut raw, "alice");
    assert_eq!(object(&mut raw)["content"].as_str().unwrap().len(), 20 * 1024);
    let echo = vec![7; 200 * 1024];
    let mut raw = open(&server, "/echo", "");
    raw.send(&[auth_message(&token("alice")), frame::masked(frame::BINARY, &echo)].concat());
    assert_eq!(raw.frame().payload, echo);
}

#[test]
fn a_token_that_comes_in_pieces_is_the_same_token() {
    let server = server();
    let bytes = [
        frame::masked(frame::TEXT & 0x7f, br#"{"type":"AUTH","#),
        frame::masked(frame::PING, b""),
        frame::masked(0x80, format!(r#""token":"{}"}}"#, token("alice")).as_bytes()),
        frame::masked(frame::TEXT, br#"{"content":"right behind"}"#),
    ]
    .concat();
    let mut raw = open(&server, CHAT, "");
    raw.send_bytewise(&bytes);
    assert_eq!(raw.frame().first, frame::PONG);
    expect_welcome(&mut raw, "alice");
    expect_message(&mut raw, "right behind");
}

#[test]
fn those_who_wait_have_a_budget_of_their_own() {
    let server = server_with(|config| config.auth.pending_connections = 2);
    let mut first = open(&server, CHAT, "");
    let second = open(&server, "/ws/echo", "");
    let (_raw, reply) = handshake(&server, CHAT, "");
    assert_eq!((reply.status, reply.header("Retry-After")), (503, Some("1")));
    // Whoever brings a token along does not wait.
    expect_welcome(&mut open(&server, CHAT, &bearer(&token("bob"))), "bob");
    expect_refusal(&mut open(&server, CHAT, &bearer("bad")), 4401);
    // A place is free again once its session is known, or gone.
    first.send(&auth_message(&token("alice")));
    assert_eq!(object(&mut first)["type"], "WELCOME");
    let third = open(&server, CHAT, "");
    assert_eq!(handshake(&server, CHAT, "").1.status, 503);
    drop((second, third));
    eventually("two places are free", || {
        let one = handshake(&server, CHAT, "");
        let other = handshake(&server, CHAT, "");
        (one.1.status, other.1.status) == (101, 101)
    });
}

#[test]
fn the_user_is_the_tokens_and_no_other() {
    let server = server();
    let fields = bearer(&token("alice"));
    for name in ["", "&username=", "&username=alice"] {
        expect_welcome(&mut open(&server, &format!("{CHAT}{name}"), &fields), "alice");
    }
    for name in ["bob", "Alice", "alice%20", "root"] {
        let mut raw = open(&server, &format!("{CHAT}&username={name}"), &fields);
        assert_eq!(expect_refusal(&mut raw, 4401), "the token is another user's", "{name}");
        let mut raw = open(&server, &format!("{CHAT}&username={name}"), "");
        raw.send(&auth_message(&token("alice")));
        expect_refusal(&mut raw, 4401);
    }
}

#[test]
fn the_rooms_are_the_tokens_whether_they_exist_or_not() {
    let server = server_with(|config| config.chat.open_rooms = false);
    let created = ask(
        &server,
        "POST",
        "/api/chat/rooms",
        &bearer(&token("bob")),
        Some(&json!({ "name": "there", "createdBy": "bob" })),
    );
    let room: serde_json::Value = serde_json::from_slice(&created.body).unwrap();
    let id = room["id"].as_str().unwrap();
    let fields = bearer(&token_of(&json!({ "sub": "alice", "rooms": ["mine"] })));
    let refusal = |room: &str| {
        let chat = expect_refusal(&mut open(&server, &format!("/ws/chat?roomId={room}"), &fields), 1008);
        let raw = expect_refusal(&mut open(&server, &format!("/ws/raw?roomId={room}"), &fields), 1008);
        (chat, raw)
    };
    assert_eq!(refusal(id), refusal("nowhere"));
    assert_eq!(refusal(id).0, "the token does not allow this room");
    let fields = bearer(&token_of(&json!({ "sub": "alice", "rooms": ["mine", id] })));
    let mut raw = open(&server, &format!("/ws/chat?roomId={id}&hello=1"), &fields);
    expect_welcome(&mut raw, "alice");
}

#[test]
fn who_is_unknown_learns_nothing_of_a_room() {
    let server = server_with(|config| {
        config.chat.open_rooms = false;
        short_wait(config);
    });
    for path in ["/ws/chat", "/ws/chat?roomId=&username=", "/ws/chat?roomId=nowhere&username=a&since=x"] {
        assert_eq!(expect_refusal(&mut open(&server, path, ""), 4401), "no token came in time", "{path}");
        let reason = expect_refusal(&mut open(&server, path, &bearer("bad")), 4401);
        assert_eq!(reason, "the token is not a JSON Web Token", "{path}");
    }
}

#[test]
fn without_keys_nobody_is_asked() {
    let server = TestServer::start();
    let mut raw = open(&server, &format!("{CHAT}&username=anybody&token=x"), &bearer("y"));
    expect_welcome(&mut raw, "anybody");
}
