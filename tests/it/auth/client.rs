//! Servers that ask for tokens, and requests that bring them along.

use std::fmt::Write as _;

use foghorn::config::{Config, Secret};
use foghorn::server::Router;
use serde_json::{Value, json};

use crate::support::frame::{self, Frame};
use crate::support::raw::upgrade_lines;
pub(crate) use crate::support::tokens::*;
use crate::support::{Raw, Reply, TestServer};

pub(crate) const CHAT: &str = "/ws/chat?roomId=r&hello=1";

/// A server that asks for tokens signed with [`SECRET`].
pub(crate) fn server() -> TestServer {
    server_with(|_| ())
}

pub(crate) fn server_with(change: impl FnOnce(&mut Config)) -> TestServer {
    server_of(change, |router| router)
}

pub(crate) fn server_of(
    change: impl FnOnce(&mut Config),
    routes: impl FnOnce(Router) -> Router,
) -> TestServer {
    let with_secret = |config: &mut Config| {
        config.auth.jwt_secret = Some(Secret::new(SECRET));
        change(config);
    };
    TestServer::whole(with_secret, routes)
}

/// Asks for an upgrade, with more header lines.
pub(crate) fn handshake(server: &TestServer, path: &str, fields: &str) -> (Raw, Reply) {
    let mut raw = Raw::connect(server);
    raw.send(format!("{}{fields}\r\n", upgrade_lines(path)).as_bytes());
    let reply = raw.reply();
    (raw, reply)
}

/// As [`handshake`], which must succeed.
pub(crate) fn open(server: &TestServer, path: &str, fields: &str) -> Raw {
    let (raw, reply) = handshake(server, path, fields);
    assert_eq!(reply.status, 101, "{path} {fields}");
    raw
}

pub(crate) fn say(raw: &mut Raw, text: &str) {
    raw.send(&frame::masked(frame::TEXT, text.as_bytes()));
}

/// The next text, which must be a JSON object. Pings are passed over.
pub(crate) fn object(raw: &mut Raw) -> Value {
    loop {
        let frame = raw.frame();
        if frame.first == frame::PING || frame == Frame::text("HEARTBEAT") {
            continue;
        }
        assert_eq!(frame.first, frame::TEXT, "{frame:?}");
        return serde_json::from_slice(&frame.payload).unwrap();
    }
}

/// The session is that user's: its WELCOME and its own JOIN. Those of a test before may still leave in between.
pub(crate) fn expect_welcome(raw: &mut Raw, user: &str) {
    let welcome = object(raw);
    assert_eq!((&welcome["type"], &welcome["username"]), (&json!("WELCOME"), &json!(user)), "{welcome}");
    let mut notice = object(raw);
    while notice["type"] == "LEAVE" {
        notice = object(raw);
    }
    assert_eq!(notice["content"], format!("{user} joined"), "{notice}");
}

/// The session is closed with this code, and nothing comes before; says the reason.
pub(crate) fn expect_refusal(raw: &mut Raw, code: u16) -> String {
    let frame = raw.frame();
    assert_eq!(frame.close_code(), Some(code), "{frame:?}");
    raw.send_anyway(&frame::masked(frame::CLOSE, &code.to_be_bytes()));
    raw.expect_end();
    String::from_utf8(frame.payload[2..].to_vec()).unwrap()
}

/// One request on a connection of its own.
pub(crate) fn ask(
    server: &TestServer,
    method: &str,
    path: &str,
    fields: &str,
    body: Option<&Value>,
) -> Reply {
    let body = body.map(Value::to_string).unwrap_or_default();
    let mut head = format!("{method} {path} HTTP/1.1\r\nHost: h\r\n{fields}");
    if !body.is_empty() {
        write!(head, "Content-Type: application/json\r\nContent-Length: {}\r\n", body.len()).unwrap();
    }
    let mut raw = Raw::connect(server);
    raw.send(format!("{head}\r\n{body}").as_bytes());
    raw.reply()
}

/// The session hears this message in its room.
pub(crate) fn expect_message(raw: &mut Raw, content: &str) {
    let message = object(raw);
    assert_eq!((&message["type"], &message["content"]), (&json!("MESSAGE"), &json!(content)), "{message}");
}
