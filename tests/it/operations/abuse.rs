//! Abuse of each kind leaves a line that `fail2ban` understands: the lines of a real server are read with the filter of
//! `deploy/fail2ban`.

use std::io::{Read, Write};
use std::path::{Path, PathBuf};
use std::time::Duration;

use regex::Regex;
use serde_json::Value;
use socket2::SockRef;
use tempfile::TempDir;

use super::process::Server;
use super::refusals::UPGRADE;
use crate::support::{PATIENCE, now};

/// A server that logs text into a file.
pub(super) struct Logging {
    pub(super) server: Server,
    log: PathBuf,
    _files: TempDir,
}

impl Logging {
    pub(super) fn start(config: &str, arguments: &[&str]) -> Logging {
        let files = tempfile::tempdir().expect("a directory");
        let (path, log) = (files.path().join("foghorn.toml"), files.path().join("log"));
        std::fs::write(&path, config).expect("a file");
        let server = Server::logging_to(&log, &[&["--memory"], arguments].concat(), &path);
        Logging { server, log, _files: files }
    }

    /// The whole lines after the first, which tells of the start.
    pub(super) fn lines(&self) -> Vec<String> {
        self.all_lines().into_iter().skip(1).collect()
    }

    /// The same and the first.
    pub(super) fn all_lines(&self) -> Vec<String> {
        let text = std::fs::read_to_string(&self.log).expect("a log");
        let whole = text.rsplit_once('\n').map_or("", |(whole, _)| whole);
        whole.lines().map(str::to_owned).collect()
    }

    /// Waits for a line with this in it.
    pub(super) fn line(&self, part: &str) -> String {
        let start = now();
        loop {
            let lines = self.lines();
            if let Some(line) = lines.iter().find(|line| line.contains(part)) {
                return line.clone();
            }
            assert!(start.elapsed() < PATIENCE, "no line with {part}: {lines:#?}");
            std::thread::yield_now();
        }
    }
}

/// The regular expressions of the filter, as fail2ban makes them: one value used in another, and the address.
struct Filter {
    banned: Vec<Regex>,
    ignored: Regex,
}

fn filter() -> Filter {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("deploy/fail2ban/filter.d/foghorn.conf");
    let text = std::fs::read_to_string(path).expect("the filter");
    let value = |key: &str| {
        let line = text.lines().find_map(|line| line.strip_prefix(key)?.trim_start().strip_prefix('='));
        line.unwrap_or_else(|| panic!("no {key}")).trim()
    };
    let (line, address) = (value("_line"), value("_address"));
    let (_, rest) = text.split_once("\nfailregex = ").expect("expressions");
    let (expressions, _) = rest.split_once("\n\n").expect("their end");
    let whole = |expression: &str| {
        let whole = expression.trim().replace("%(_line)s", line).replace("%(_address)s", address);
        Regex::new(&whole.replace("<ADDR>", "(?P<address>[0-9a-fA-F.:]+?)")).expect("an expression")
    };
    Filter { banned: expressions.lines().map(whole).collect(), ignored: whole(value("ignoreregex")) }
}

/// Who is banned for this line.
fn banned_for(line: &str, filter: &Filter) -> Option<String> {
    if filter.ignored.is_match(line) {
        return None;
    }
    let found = filter.banned.iter().find_map(|expression| expression.captures(line))?;
    Some(found["address"].to_owned())
}

fn masked(opcode: u8, payload: &[u8]) -> Vec<u8> {
    let head = match u8::try_from(payload.len()) {
        Ok(len) if len < 126 => vec![opcode, 0x80 | len],
        _ => [&[opcode, 0xfe], &u16::try_from(payload.len()).expect("short").to_be_bytes()[..]].concat(),
    };
    [&head[..], &[0; 4], payload].concat()
}

/// Has sessions that are too much, each for another reason.
fn abuse_sessions(logging: &Logging) {
    let chat = "/ws/chat?roomId=lobby&username=ann";
    let message = masked(0x81, b"{\"content\":\"x\"}");
    for (path, bytes, part) in [
        // Flood, oversized, malformed in two ways, binary where there is text.
        (chat, message.repeat(9), "code=1008 limit=limits.messages_per_second"),
        (chat, masked(0x81, &[b'x'; 300]), "code=1009 limit=limits.message_bytes"),
        (chat, b"\x81\x01x".to_vec(), "code=1002"),
        (chat, masked(0x81, b"\xff"), "code=1007"),
        (chat, masked(0x82, b"x"), "code=1003"),
        ("/ws/chat?roomId=lobby", vec![], "code=1008 "),
    ] {
        let mut session = logging.server.session(path);
        session.write_all(&bytes).expect("the server takes it");
        let line = logging.line(part);
        assert!(line.contains("address=127.0.0.1:") && line.contains("path=/ws/chat "), "{line}");
    }
}

/// Sends requests that are refused, each for another reason.
fn abuse_requests(logging: &Logging) {
    let post = |body: &str| {
        let length = body.len();
        format!(
            "POST /api/chat/rooms HTTP/1.1\r\nHost: h\r\nContent-Type: application/json\r\nContent-Length: \
             {length}\r\n\r\n{body}"
        )
    };
    let long = "x".repeat(20_000);
    for (request, part) in [
        ("GET / HTTP/1.1\r\nHost: h\r\nHost: h\r\n\r\n".to_owned(), "status=400"),
        (post(&long), "status=413 limit=limits.body_bytes path=/api/chat/rooms"),
        (format!("GET /{long} HTTP/1.1\r\nHost: h\r\n\r\n"), "status=414"),
        (
            format!("GET / HTTP/1.1\r\nHost: h\r\nX: {long}\r\n\r\n"),
            "status=431 limit=limits.request_head_bytes",
        ),
        (
            format!("GET /echo HTTP/1.1\r\nHost: h\r\nOrigin: http://evil.test\r\n{UPGRADE}\r\n"),
            "status=403 path=/echo reason=\"origin is not allowed\" origin=http://evil.test",
        ),
        // The rest never comes.
        ("GET / HT".to_owned(), "status=408 limit=limits.handshake_timeout"),
    ] {
        let mut stream = logging.server.connect();
        stream.write_all(request.as_bytes()).expect("the server takes it");
        logging.line(part);
    }
}

/// What is no JSON, a member that reads nothing, and one that is thrown out and comes back.
fn abuse_rooms(logging: &Logging) {
    let ask = |target: &str, body: &str| {
        let length = body.len();
        let text = format!(
            "POST {target} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\nContent-Type: \
             application/json\r\nContent-Length: {length}\r\n\r\n{body}"
        );
        logging.server.answer(text.as_bytes())
    };
    assert!(ask("/api/chat/rooms", "{").starts_with("HTTP/1.1 400 "));
    logging.line("status=400 path=/api/chat/rooms reason=");
    let _deaf = logging.server.session("/ws/chat?roomId=loud&username=deaf");
    let body = format!(r#"{{"sender":"bob","content":"{}"}}"#, "x".repeat(30_000));
    let start = now();
    // As soon as its socket and the window are full, whatever else happens or does not.
    while !logging.lines().iter().any(|line| line.contains("code=4008")) {
        for _ in 0..20 {
            assert!(ask("/api/chat/rooms/loud/messages", &body).starts_with("HTTP/1.1 201 "));
        }
        assert!(start.elapsed() < 8 * PATIENCE, "nobody is too slow");
    }
    let line = logging.line("code=4008 limit=rooms.window_messages");
    assert!(line.contains("user=deaf room=loud"), "{line}");
    let mut thrown_out = logging.server.session("/ws/chat?roomId=r&username=eve");
    // Its JOIN: it is in the room.
    thrown_out.read_exact(&mut [0; 2]).expect("a frame");
    let kicked = ask("/api/chat/rooms/r/kick?username=eve&ban=60s", "");
    assert!(kicked.starts_with("HTTP/1.1 200 "), "{kicked}");
    logging.line("code=4001 user=eve room=r path=/ws/chat reason=kicked");
    let said = ask("/api/chat/rooms/r/messages", r#"{"sender":"eve","content":"c"}"#);
    assert!(said.starts_with("HTTP/1.1 403 "), "{said}");
    logging.line("room=r path=/api/chat/rooms/r/messages reason=\"this user is banned from the room\"");
}

#[test]
fn abuse_of_each_kind_leaves_a_line_for_which_fail2ban_bans() {
    let limits = "[limits]\nmessage_bytes = \"200 B\"\nmessages_per_second = 1\nburst = \"1s\"\non_flood = \
                  \"close\"\nbody_bytes = \"1 KiB\"\nhandshake_timeout = \"200ms\"\n";
    let mut lines = Vec::new();
    let logging = Logging::start(limits, &[]);
    abuse_sessions(&logging);
    lines.extend(logging.lines());
    // What was said before counts against the same address.
    let logging = Logging::start(limits, &[]);
    abuse_requests(&logging);
    lines.extend(logging.lines());
    let logging =
        Logging::start("[rooms]\non_lag = \"close\"\nwindow_messages = 16\nwindow_bytes = \"64 KiB\"\n", &[]);
    abuse_rooms(&logging);
    lines.extend(logging.lines());
    let secret = "[auth]\njwt_secret = \"0123456789abcdef0123456789abcdef\"\n";
    let logging = Logging::start(secret, &[]);
    let refused = logging.server.answer(b"GET /api/chat/rooms?token=SECRET HTTP/1.1\r\nHost: h\r\n\r\n");
    assert!(refused.starts_with("HTTP/1.1 401 "), "{refused}");
    let mut session = logging.server.session("/ws/chat?roomId=r&username=u&token=SECRET");
    let _closed = session.read(&mut [0; 64]).expect("a Close frame");
    logging.line("status=401");
    logging.line("code=4401");
    lines.extend(logging.lines());
    let filter = filter();
    for line in &lines {
        assert_eq!(banned_for(line, &filter).as_deref(), Some("127.0.0.1"), "{line}");
        assert!(!line.contains("SECRET"), "{line}");
    }
    // For `fail2ban-regex`, where it is installed.
    if let Some(path) = std::env::var_os("FOGHORN_ABUSE_LOG") {
        std::fs::write(path, lines.join("\n") + "\n").expect("a file");
    }
}

#[test]
fn whoever_resets_the_connection_behind_the_abuse_has_an_address_all_the_same() {
    // The server finds frame and reset together, or the frame first: both come.
    for config in ["", "[limits]\nconnections_per_ip = 100\n"] {
        for _ in 0..10 {
            let logging = Logging::start(config, &[]);
            let mut session = logging.server.session("/echo");
            SockRef::from(&session).set_linger(Some(Duration::ZERO)).expect("a reset at the end");
            session.write_all(b"\x81\x01x").expect("the server takes it");
            drop(session);
            let line = logging.line("code=1002");
            assert!(line.contains(" address=127.0.0.1:"), "{line}");
        }
    }
}

#[test]
fn nobody_is_banned_for_what_is_no_abuse_or_for_what_another_has_written() {
    let logging = Logging::start("", &[]);
    let forged = "%22%20INFO%20request%20refused%20address%3D192.0.2.1%3A9%20status%3D401%20";
    let path = format!("/ws/chat?roomId={forged}&username=%0a{forged}");
    let request = format!("GET {path} HTTP/1.1\r\nHost: h\r\nOrigin: http://evil.test\r\n{UPGRADE}\r\n");
    assert!(logging.server.answer(request.as_bytes()).starts_with("HTTP/1.1 403 "));
    let line = logging.line("status=403");
    let filter = filter();
    assert_eq!(banned_for(&line, &filter).as_deref(), Some("127.0.0.1"), "{line}");
    let time = "2026-01-31T12:00:00.123456Z  INFO ";
    for (line, banned) in [
        ("request refused address=[2001:db8::1]:5 status=401 path=/ reason=x", Some("2001:db8::1")),
        (
            "request refused address=192.0.2.1:5 status=503 limit=limits.connections_per_ip reason=x",
            Some("192.0.2.1"),
        ),
        (
            "connection ended address=192.0.2.1:5 reason=\"the peer broke TLS: peer misbehaved\"",
            Some("192.0.2.1"),
        ),
        (
            "connection ended address=192.0.2.1:5 reason=\"the peer broke TLS: received fatal alert: UnknownCA\"",
            None,
        ),
        ("request refused address=192.0.2.1:5 status=503 limit=limits.connections reason=x", None),
        ("request refused address=192.0.2.1:5 status=426 reason=x", None),
        ("session ended address=192.0.2.1:5 code=1001 limit=heartbeat.idle_timeout reason=x", None),
        ("session ended address=192.0.2.1:5 code=1013 limit=limits.rooms reason=x", None),
        (
            "request refused status=401 user=\" INFO request refused address=192.0.2.1:5 status=401\" reason=x",
            None,
        ),
        ("started version=0.1.0 addresses=\"http://192.0.2.1:80 status=401\"", None),
    ] {
        for prefix in [time, " INFO ", "host foghorn[7]:  INFO ", &format!("host foghorn[7]: {time}")] {
            let line = [prefix, line].concat();
            assert_eq!(banned_for(&line, &filter).as_deref(), banned, "{line}");
        }
    }
}

#[test]
fn a_flood_of_refusals_leaves_few_lines_and_their_counts_add_up() {
    const REFUSALS: u64 = 10_000;
    const AT_ONCE: usize = 100;
    let mut logging = Logging::start("", &["--log-format", "json"]);
    let mut stream = logging.server.connect();
    let request =
        "POST /api/chat/rooms HTTP/1.1\r\nHost: h\r\nOrigin: http://evil.test\r\nContent-Length: 0\r\n\r\n";
    for _ in 0..REFUSALS / AT_ONCE as u64 {
        stream.write_all(request.repeat(AT_ONCE).as_bytes()).expect("the server takes it");
        let mut answers = Vec::new();
        let count = |answers: &[u8]| String::from_utf8_lossy(answers).matches("HTTP/1.1 403 ").count();
        while count(&answers) < AT_ONCE {
            let mut bytes = [0; 4096];
            let read = stream.read(&mut bytes).expect("answers");
            assert!(read > 0, "{}", answers.escape_ascii());
            answers.extend_from_slice(&bytes[..read]);
        }
    }
    drop(stream);
    logging.server.signal("TERM");
    assert_eq!(logging.server.end().code(), Some(0));
    let lines: Vec<Value> =
        logging.lines().iter().map(|line| serde_json::from_str(line).expect("JSON")).collect();
    let told: Vec<u64> = lines
        .iter()
        .filter(|line| line["status"] == 403)
        .map(|line| 1 + line["left_out"].as_u64().unwrap_or(0))
        .collect();
    assert_eq!(told.iter().sum::<u64>(), REFUSALS, "{lines:?}");
    assert!(told.len() < 100, "{}", told.len());
}
