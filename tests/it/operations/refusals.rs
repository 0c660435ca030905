//! What the log tells an operator of refused requests and of sessions that ended badly.

use std::io::{Read, Write};
use std::path::PathBuf;

use serde_json::Value;
use tempfile::TempDir;

use super::process::{Server, close_code};
use crate::support::eventually;

/// A server that logs JSON into a file.
pub(crate) struct Logging {
    pub(crate) server: Server,
    log: PathBuf,
    _files: TempDir,
}

impl Logging {
    pub(crate) fn start(config: &str) -> Logging {
        let files = tempfile::tempdir().expect("a directory");
        let (path, log) = (files.path().join("foghorn.toml"), files.path().join("log"));
        std::fs::write(&path, config).expect("a file");
        let server = Server::logging_to(&log, &["--memory", "--log-format", "json"], &path);
        Logging { server, log, _files: files }
    }

    fn text(&self) -> String {
        std::fs::read_to_string(&self.log).expect("a log")
    }

    /// The lines after the first, which tells of the start.
    pub(crate) fn lines(&self) -> Vec<Value> {
        let text = self.text();
        let whole = text.rsplit_once('\n').map_or("", |(whole, _)| whole);
        let parse = |line| serde_json::from_str(line).unwrap_or_else(|error| panic!("{error}: {line}"));
        whole.lines().skip(1).map(parse).collect()
    }

    /// Waits for the line whose `key` is this number.
    pub(crate) fn line(&self, key: &str, number: u16) -> Value {
        let mut found = None;
        eventually(&format!("a line with {key} {number}"), || {
            found = self.lines().into_iter().find(|line| line[key] == number);
            found.is_some()
        });
        found.expect("it was found")
    }
}

#[track_caller]
pub(crate) fn assert_fields(line: &Value, fields: &[(&str, &str)]) {
    let address = line["address"].as_str().unwrap_or_else(|| panic!("no address: {line}"));
    assert!(address.starts_with("127.0.0.1:"), "{line}");
    assert_eq!(line["level"], "info", "{line}");
    for (name, part) in fields {
        let value = line[name].as_str().unwrap_or_else(|| panic!("no {name}: {line}"));
        let fits = if part.is_empty() { value.is_empty() } else { value.contains(part) };
        assert!(fits, "{name}: {line}");
    }
}

pub(crate) const UPGRADE: &str = "Connection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: \
                       dGhlIHNhbXBsZSBub25jZQ==\r\n";

#[test]
fn each_refused_request_leaves_a_line_that_says_why() {
    let logging = Logging::start("[limits]\nbody_bytes = \"1 KiB\"\nhandshake_timeout = \"200ms\"\n");
    let long = "x".repeat(20_000);
    let cases = [
        (400, "GET /ws/chat HTTP/1.1\nHost: h\r\n\r\n".to_owned(), &[("reason", "line feed")][..]),
        (
            431,
            format!("GET / HTTP/1.1\r\nHost: h\r\nX: {long}\r\n\r\n"),
            &[("reason", "too long"), ("limit", "limits.request_head_bytes")],
        ),
        (414, format!("GET /{} HTTP/1.1\r\nHost: h\r\n\r\n", &long[..9_000]), &[("reason", "target is too long")]),
        (
            413,
            "POST /api/chat/rooms HTTP/1.1\r\nHost: h\r\nContent-Type: application/json\r\nContent-Length: 5000\r\n\r\n"
                .to_owned(),
            &[("limit", "limits.body_bytes")],
        ),
        (
            403,
            format!(
                "GET /ws/chat?roomId=a%20b&username=ann&token=SECRET HTTP/1.1\r\nHost: h\r\nOrigin: \
                 http://evil.test\r\n{UPGRADE}\r\n"
            ),
            &[
                ("path", "/ws/chat"),
                ("user", "ann"),
                ("room", "a b"),
                ("reason", "origin"),
                ("origin", "http://evil.test"),
                ("hint", "origins.allowed"),
            ],
        ),
        (
            426,
            "GET /ws/chat HTTP/1.1\r\nHost: h\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: \
             dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n"
                .to_owned(),
            &[("path", "/ws/chat"), ("hint", "proxy_set_header Upgrade")],
        ),
    ];
    for (status, request, fields) in cases {
        let answer = logging.server.answer(request.as_bytes());
        assert!(answer.starts_with(&format!("HTTP/1.1 {status} ")), "{answer}");
        assert_fields(&logging.line("status", status), fields);
    }
    let mut slow = logging.server.connect();
    slow.write_all(b"GET / HT").expect("the server takes it");
    let late = [("reason", "not complete in time"), ("limit", "limits.handshake_timeout")];
    assert_fields(&logging.line("status", 408), &late);
    // A plain GET of such a path is no mistake of anybody's proxy.
    let lines = logging.lines().len();
    assert!(logging.server.answer(b"GET /echo HTTP/1.1\r\nHost: h\r\n\r\n").starts_with("HTTP/1.1 426 "));
    assert_eq!(logging.lines().len(), lines);
    assert!(!logging.text().contains("SECRET"), "{}", logging.text());
}

/// The code that a session ends with, its path, what it sends, and what its line says.
type Ended<'c> = (u16, &'c str, Vec<u8>, &'c [(&'c str, &'c str)]);

#[test]
fn each_session_that_ends_badly_leaves_a_line_and_one_that_vanishes_does_not() {
    let limits = "[limits]\nmessage_bytes = \"200 B\"\nmessages_per_second = 1\nburst = \"1s\"\non_flood = \"close\"\n";
    let logging = Logging::start(limits);
    let chat = "/ws/chat?roomId=lobby&username=ann&token=SECRET";
    let masked = |payload: &[u8]| {
        let len = u8::try_from(payload.len()).expect("short");
        [&[0x81, 0x80 | len, 0, 0, 0, 0], payload].concat()
    };
    let message = masked(b"{\"content\":\"x\"}");
    let cases: [Ended<'_>; 4] = [
        (1002, chat, b"\x81\x01x".to_vec(), &[("reason", "mask")]),
        (1009, chat, b"\x81\xfe\x03\xe8\0\0\0\0".to_vec(), &[("limit", "limits.message_bytes")]),
        (
            1008,
            chat,
            message.repeat(9),
            &[("limit", "limits.messages_per_second"), ("reason", "too many messages")],
        ),
        (1003, chat, b"\x82\x81\0\0\0\0x".to_vec(), &[("reason", "speaks text")]),
    ];
    for (code, path, bytes, fields) in cases {
        let mut session = logging.server.session(path);
        session.write_all(&bytes).expect("the server takes it");
        let line = logging.line("code", code);
        assert_eq!(line["message"], "session ended");
        assert_fields(&line, &[("path", "/ws/chat"), ("user", "ann"), ("room", "lobby")]);
        assert_fields(&line, fields);
        assert_eq!(line["path"], "/ws/chat", "{line}");
    }
    let lines = logging.lines().len();
    // One says good-bye, one vanishes: no line.
    let mut polite = logging.server.session("/echo");
    polite.write_all(b"\x88\x82\0\0\0\0\x03\xe8").expect("the server takes it");
    assert_eq!(close_code(&mut polite), 1000);
    drop((polite, logging.server.session("/echo")));
    eventually("both are gone", || logging.server.stat("/connections") == 1);
    assert_eq!(logging.lines().len(), lines, "{}", logging.text());
    assert!(!logging.text().contains("SECRET"), "{}", logging.text());
}

#[test]
fn what_tokens_and_counts_refuse_leaves_a_line_without_the_token() {
    let secret = "0123456789abcdef0123456789abcdef";
    let config = format!(
        "[auth]\njwt_secret = \"{secret}\"\ntimeout = \"100ms\"\n[limits]\nconnections_per_ip = 3\nclose_timeout = \"100ms\"\n"
    );
    let logging = Logging::start(&config);
    let answer = logging.server.answer(
        b"GET /api/chat/rooms/r%2Fs/messages?token=abc.SECRET.def HTTP/1.1\r\nHost: h\r\nConnection: close\r\n\r\n",
    );
    assert!(answer.starts_with("HTTP/1.1 401 "), "{answer}");
    assert_fields(
        &logging.line("status", 401),
        &[("path", "/api/chat/rooms/"), ("room", "r/s"), ("reason", "token")],
    );
    let _session = logging.server.session("/ws/chat?roomId=r&username=u&token=abc.SECRET.def");
    assert_fields(&logging.line("code", 4401), &[("path", "/ws/chat"), ("reason", "token"), ("room", "r")]);
    let _held: Vec<_> = (0..6).map(|_| logging.server.connect()).collect();
    let limited = [("reason", "too many connections"), ("limit", "limits.connections_per_ip")];
    assert_fields(&logging.line("status", 503), &limited);
    assert!(!logging.text().contains("SECRET") && !logging.text().contains(secret), "{}", logging.text());
}

#[test]
fn a_flood_of_refusals_leaves_one_line_and_nothing_raw() {
    let logging = Logging::start("");
    let path = "/ws/chat?roomId=%0aforged%1b[31m&username=%e2%80%aexx";
    for _ in 0..300 {
        let request = format!("GET {path} HTTP/1.1\r\nHost: h\r\nOrigin: http://evil.test\r\n{UPGRADE}\r\n");
        assert!(logging.server.answer(request.as_bytes()).starts_with("HTTP/1.1 403 "));
    }
    let line = logging.line("status", 403);
    assert_eq!(line["room"], "\nforged\u{1b}[31m");
    assert_eq!(logging.lines().len(), 1, "{}", logging.text());
    let is_raw = |c: char| (c.is_control() && c != '\n') || c == '\u{202e}';
    assert!(!logging.text().contains(is_raw), "{}", logging.text().escape_debug());
    let mut session = logging.server.session("/echo");
    session.write_all(b"\x81\x81\0\0\0\0x").expect("it is served");
    session.read_exact(&mut [0; 3]).expect("an echo");
}
