//! Every state that a connection can be in has a deadline that ends it, whatever the peer does or leaves.
//! `docs/limits.md` has the same table.

use std::io::{ErrorKind, Read, Write};
use std::time::Duration;

use socket2::{Domain, Socket, Type};

use super::arena::{Arena, connections};
use super::tokens::guarded;
use crate::support::frame::{BINARY, CLOSE, TEXT, masked};
use crate::support::raw::{upgrade, upgrade_lines};
use crate::support::secure::tcp;
use crate::support::tokens::{in_seconds, token_of};
use crate::support::{PATIENCE, Raw, now};

/// A state, what a client sends to get into it, what it goes on to send without getting out, the configuration's key for
/// the deadline, if it is counted, and what the server says at its end.
struct State {
    name: &'static str,
    begin: Vec<u8>,
    drip: &'static [u8],
    key: &'static str,
    last: &'static str,
}

fn states() -> Vec<State> {
    let post = "POST /api/chat/rooms HTTP/1.1\r\nHost: h\r\nContent-Type: application/json\r\n";
    let state = |name, begin: Vec<u8>, drip, key, last| State { name, begin, drip, key, last };
    let open = |bytes: &[u8]| [&upgrade("/echo"), bytes].concat();
    let text = |text: String| text.into_bytes();
    vec![
        state("nothing was said", vec![], b"", "handshake_timeout", "HTTP/1.1 408"),
        state("head", b"GET / HTTP/1.1\r\n".to_vec(), b"X: a\r\n", "handshake_timeout", "HTTP/1.1 408"),
        state(
            "body",
            text(format!("{post}Content-Length: 9999\r\n\r\n")),
            b"x",
            "message_timeout",
            "HTTP/1.1 408",
        ),
        state(
            "chunks",
            text(format!("{post}Transfer-Encoding: chunked\r\n\r\n")),
            b"1\r\nx\r\n",
            "message_timeout",
            "HTTP/1.1 408",
        ),
        state(
            "between requests",
            b"GET /nowhere HTTP/1.1\r\nHost: h\r\n\r\n".to_vec(),
            b"",
            "idle_timeout",
            "",
        ),
        state(
            "long poll, nothing to tell",
            text("GET /poll/rooms/r?wait=1 HTTP/1.1\r\nHost: h\r\nConnection: close\r\n\r\n".to_owned()),
            b"x",
            "",
            "\r\n\r\n[]",
        ),
        state("silent session", open(b""), b"", "idle_timeout", "\u{88}"),
        state("header of a frame", open(b"\x81"), b"", "message_timeout", "\u{88}"),
        state(
            "payload of a frame",
            open(&masked(BINARY, &[0; 9999])[..10]),
            b"x",
            "message_timeout",
            "\u{88}",
        ),
        state("fragments", open(&masked(0x01, b"x")), b"\x00\x80\0\0\0\0", "message_timeout", "\u{88}"),
        state("closing handshake", open(&masked(CLOSE, b"")), b"x", "close_timeout", "\u{88}"),
        state("after a failure", open(b"\x83\x80"), b"x", "close_timeout", "\u{88}"),
    ]
}

/// A sign of life that nobody answers.
const PONG_FRAME: &[u8] = b"\x8a\x80\0\0\0\0";

/// Gets into each state in turn, and does not get out of it by itself.
fn wait_for_the_ends(arena: &Arena, states: Vec<State>) {
    for State { name, begin, drip, key, last } in states {
        let hits = || if key.is_empty() { 0 } else { arena.server.hits(key) };
        let before = hits();
        let mut stream = tcp(arena.server.address());
        stream.set_read_timeout(Some(Duration::from_millis(20))).expect("a read timeout");
        stream.write_all(&begin).expect("the server takes it");
        let (start, mut heard, mut chunk, mut ended) = (now(), Vec::new(), [0; 4096], false);
        // This side never ends its direction: the server has to drop the connection by itself.
        while if key.is_empty() { !ended } else { hits() == before } {
            let _closed_already = stream.write_all(drip);
            match stream.read(&mut chunk) {
                Ok(0) => ended = true,
                Ok(count) => heard.extend_from_slice(&chunk[..count]),
                Err(error) => ended = error.kind() == ErrorKind::ConnectionReset,
            }
            assert!(start.elapsed() < PATIENCE, "{name} never ends by {key}");
        }
        while let Ok(count @ 1..) = stream.read(&mut chunk) {
            heard.extend_from_slice(&chunk[..count]);
        }
        let found = match last {
            "" => true,
            "\u{88}" => heard.contains(&0x88),
            text => heard.windows(text.len()).any(|window| window == text.as_bytes()),
        };
        assert!(found, "{name}: {}", heard.escape_ascii());
    }
}

#[test]
fn every_state_ends_by_its_deadline_though_bytes_keep_coming() {
    let arena = Arena::new(
        "[limits]\nhandshake_timeout = \"300ms\"\nmessage_timeout = \"300ms\"\nclose_timeout = \"300ms\"\n\
         write_timeout = \"300ms\"\n[heartbeat]\nping_interval = \"100ms\"\nidle_timeout = \"1s\"\n",
    );
    wait_for_the_ends(&arena, states());
    crate::support::eventually("nobody is left", || connections(&arena.server) == 1);
}

#[test]
fn every_state_that_has_to_do_with_tokens_ends_in_time_as_well() {
    let arena = guarded("timeout = \"300ms\"\n[limits]\nclose_timeout = \"300ms\"\n");
    let state = |name, begin: String, drip, last| State { name, begin: begin.into(), drip, key: "", last };
    let awaited = |path: &str| format!("{}\r\n", upgrade_lines(path));
    let brief = |seconds| token_of(&serde_json::json!({ "sub": "alice", "exp": in_seconds(seconds) }));
    let states = vec![
        state("no token yet", awaited("/ws/chat"), PONG_FRAME, "no token came in time"),
        // The first byte of a frame, and no other.
        state("half a token", awaited("/echo") + "\u{1}", b"", "no token came in time"),
        state("session", awaited(&format!("/echo?token={}", brief(2))), PONG_FRAME, "the token has expired"),
        state(
            "event stream",
            format!("GET /sse/rooms/r?token={} HTTP/1.1\r\nHost: h\r\n\r\n", brief(5)),
            b"x",
            "retry:",
        ),
    ];
    wait_for_the_ends(&arena, states);
    crate::support::eventually("the witness alone is left", || connections(&arena.server) == 2);
}

/// What one byte at a time frees in the kernel's buffers reaches the server in leaps or not at all; how much counts as
/// progress is for the unit tests of `transport::outbound`.
#[test]
fn a_client_that_takes_next_to_nothing_is_dropped() {
    let config = "[limits]\nwrite_timeout = \"1s\"\nmemory = 0\n[heartbeat]\nping_interval = \"200ms\"\nidle_timeout = \"1min\"\n";
    for takes in [0, 1] {
        let arena = Arena::new(config);
        let mut raw = crate::support::Raw::open_at(arena.server.address(), "/echo");
        raw.send(&masked(BINARY, &vec![0; 15 << 20]));
        let mut some = vec![0; 1];
        let start = now();
        while arena.server.hits("write_timeout") == 0 {
            if takes > 0 {
                let _over = std::io::Read::read(&mut raw.stream(), &mut some);
            }
            assert!(start.elapsed() < PATIENCE, "it is still waited for");
        }
    }
}

#[test]
fn an_event_stream_that_takes_nothing_is_dropped() {
    let config = "[limits]\nwrite_timeout = \"1s\"\n[heartbeat]\ntext_interval = \"200ms\"\n";
    let arena = Arena::new(config);
    let socket = Socket::new(Domain::IPV4, Type::STREAM, None).expect("a socket");
    socket.set_recv_buffer_size(4096).expect("a small buffer");
    socket.connect(&arena.server.address().into()).expect("a connection");
    let mut stream = Raw::over(socket.into());
    stream.send(b"GET /sse/rooms/r HTTP/1.1\r\nHost: h\r\n\r\n");
    assert_eq!(stream.reply().status, 200);
    let mut member = Raw::open_at(arena.server.address(), "/ws/chat?roomId=r&username=u");
    let said = format!("{{\"content\":\"{}\"}}", "x".repeat(60_000));
    let start = now();
    while arena.server.hits("write_timeout") == 0 {
        member.send(&masked(TEXT, said.as_bytes()));
        while member.frame().payload.len() < 60_000 {}
        assert!(start.elapsed() < PATIENCE, "it is still waited for");
    }
    stream.expect_gone();
    drop(member);
    crate::support::eventually("the witness alone is left", || connections(&arena.server) == 2);
}
