//! Every state that a connection can be in has a deadline that ends it, whatever the peer does or leaves.
//! `docs/limits.md` has the same table.

use std::io::Write;
use std::time::Duration;

use crate::arena::{Arena, connections};
use crate::support::frame::{BINARY, CLOSE, masked};
use crate::support::raw::upgrade;
use crate::support::{PATIENCE, now};

/// A state, what a client sends to get into it, what it goes on to send without getting out, the configuration's key for
/// the deadline, and what the server says at its end.
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

#[test]
fn every_state_ends_by_its_deadline_though_bytes_keep_coming() {
    let arena = Arena::new(
        "[limits]\nhandshake_timeout = \"300ms\"\nmessage_timeout = \"300ms\"\nclose_timeout = \"300ms\"\n\
         write_timeout = \"300ms\"\n[heartbeat]\nping_interval = \"100ms\"\nidle_timeout = \"1s\"\n",
    );
    for State { name, begin, drip, key, last } in states() {
        let before = arena.server.hits(key);
        let stream = std::net::TcpStream::connect(arena.server.address()).expect("a connection");
        stream.set_nodelay(true).expect("no delay");
        stream.set_read_timeout(Some(Duration::from_millis(20))).expect("a read timeout");
        (&stream).write_all(&begin).expect("the server takes it");
        let (start, mut heard, mut chunk) = (now(), Vec::new(), [0; 4096]);
        // This side never ends its direction: the server has to drop the connection by itself.
        while arena.server.hits(key) == before {
            let _closed_already = (&stream).write_all(drip);
            if let Ok(count) = std::io::Read::read(&mut &stream, &mut chunk) {
                heard.extend_from_slice(&chunk[..count]);
            }
            assert!(start.elapsed() < PATIENCE, "{name} never ends by {key}");
        }
        while let Ok(count @ 1..) = std::io::Read::read(&mut &stream, &mut chunk) {
            heard.extend_from_slice(&chunk[..count]);
        }
        let found = match last {
            "" => true,
            "\u{88}" => heard.contains(&0x88),
            status => heard.windows(status.len()).any(|window| window == status.as_bytes()),
        };
        assert!(found, "{name}: {}", heard.escape_ascii());
    }
    crate::support::eventually("nobody is left", || connections(&arena.server) == 1);
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
