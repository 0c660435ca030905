//! Requests and upgrades that are wrong, ambiguous, or too much.

use std::io::Write;

use super::arena::{Arena, Attack, MARK, attack};
use crate::support::Raw;
use crate::support::frame::{TEXT, masked, masked_close};
use crate::support::raw::{upgrade, upgrade_lines};

/// A request that must not be answered, because the connection has ended before it.
const NEXT: &str = "GET / HTTP/1.1\r\nHost: h\r\n\r\n";
/// A request that ends a connection whose state is sound.
const LAST: &str = "GET /nowhere HTTP/1.1\r\nHost: h\r\nConnection: close\r\n\r\n";

fn get(fields: &str) -> String {
    format!("GET /{MARK} HTTP/1.1\r\nHost: h\r\n{fields}\r\n")
}

fn post(fields: &str, body: &str) -> String {
    format!(
        "POST /api/chat/rooms HTTP/1.1\r\nHost: h\r\nContent-Type: application/json\r\n{fields}\r\n{body}"
    )
}

/// An attack after which nothing more is answered.
fn fatal(name: &str, request: impl Into<String>, status: u16) -> Attack {
    attack(name, request.into() + NEXT, &status.to_string())
}

/// An attack that costs its request alone.
fn single(name: &str, request: impl Into<String>, status: u16) -> Attack {
    attack(name, request.into() + LAST, &format!("{status} 404"))
}

#[test]
fn what_is_not_strictly_http_is_refused_and_ends_the_connection() {
    let mut arena = Arena::new("");
    arena.fight(&[
        fatal("bare LF", get("X: a\nY: b\r\n"), 400),
        fatal("bare CR", get("X: a\rY: b\r\n"), 400),
        fatal("LF alone ends the head", format!("GET /{MARK} HTTP/1.1\nHost: h\n\n"), 400),
        fatal("obs-fold", get("X: a\r\n b\r\n"), 400),
        fatal("space before the colon", get("X : a\r\n"), 400),
        fatal("space before the name", get(" X: a\r\n"), 400),
        fatal("NUL", get("X: a\0b\r\n"), 400),
        fatal("no colon", get("nothing\r\n"), 400),
        fatal("empty name", get(": a\r\n"), 400),
        fatal("two spaces", "GET  / HTTP/1.1\r\nHost: h\r\n\r\n", 400),
        fatal("control character in the target", "GET /\x01 HTTP/1.1\r\nHost: h\r\n\r\n", 400),
        fatal("no Host", "GET / HTTP/1.1\r\n\r\n", 400),
        fatal("two Hosts", get("Host: h\r\n"), 400),
        fatal("HTTP/2 preface", "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", 505),
        fatal("another version", "GET / HTTP/1.2\r\nHost: h\r\n\r\n", 505),
        fatal("TLS", "\x16\x03\x01\x02\x00\x01\x00\x01\x7c\r\n\r\n", 400),
        fatal("CONNECT", "CONNECT h:80 HTTP/1.1\r\nHost: h:80\r\n\r\n", 400),
    ]);
    arena.survives();
}

#[test]
fn a_body_whose_length_is_in_doubt_is_refused_and_ends_the_connection() {
    let mut arena = Arena::new("");
    let chunked = |body: &str| post("Transfer-Encoding: chunked\r\n", body);
    arena.fight(&[
        fatal("two framings", post("Content-Length: 3\r\nTransfer-Encoding: chunked\r\n", "0\r\n\r\n"), 400),
        fatal("lengths that differ", post("Content-Length: 3\r\nContent-Length: 4\r\n", "abc"), 400),
        fatal("lengths that agree", post("Content-Length: 3\r\nContent-Length: 3\r\n", "abc"), 400),
        fatal("list of lengths", post("Content-Length: 3, 3\r\n", "abc"), 400),
        fatal("length with a sign", post("Content-Length: +3\r\n", "abc"), 400),
        fatal("negative length", post("Content-Length: -1\r\n", ""), 400),
        fatal("length in hexadecimal", post("Content-Length: 0x3\r\n", "abc"), 400),
        fatal("length beyond 64 bits", post("Content-Length: 18446744073709551617\r\n", ""), 400),
        fatal("chunked twice", post("Transfer-Encoding: chunked, chunked\r\n", "0\r\n\r\n"), 400),
        fatal("chunked not last", post("Transfer-Encoding: chunked, gzip\r\n", "0\r\n\r\n"), 501),
        fatal("chunk size with a sign", chunked("+3\r\nabc\r\n0\r\n\r\n"), 400),
        fatal("chunk size with a prefix", chunked("0x3\r\nabc\r\n0\r\n\r\n"), 400),
        fatal("empty chunk size", chunked("\r\nabc\r\n0\r\n\r\n"), 400),
        fatal("chunk size beyond 64 bits", chunked("fffffffffffffffff\r\n"), 400),
        fatal("chunk that is not closed", chunked("3\r\nabcd\r\n0\r\n\r\n"), 400),
        fatal("chunk size that ends with LF alone", chunked("3\nabc\r\n0\r\n\r\n"), 400),
    ]);
    arena.survives();
}

#[test]
fn what_is_too_long_is_refused_before_it_has_ended() {
    let mut arena = Arena::new("[limits]\nrequest_head_bytes = \"2 KiB\"\nbody_bytes = \"1 KiB\"\n");
    let head = format!("GET / HTTP/1.1\r\nHost: h\r\nX: {}", MARK.repeat(1000));
    arena.fight(&[
        fatal("head without an end", head, 431),
        fatal("a hundred and one headers", get(&"X: a\r\n".repeat(100)), 431),
        fatal("body", post("Content-Length: 1025\r\n", &"x".repeat(1025)), 413),
        fatal("declared body", post("Content-Length: 999999999999\r\n", ""), 413),
        fatal("chunk", post("Transfer-Encoding: chunked\r\n", "ffffffff\r\n"), 413),
        fatal("many chunks", post("Transfer-Encoding: chunked\r\n", &"1\r\nx\r\n".repeat(1025)), 413),
        fatal(
            "chunk extension",
            post("Transfer-Encoding: chunked\r\n", &format!("1;{}", "x".repeat(20_000))),
            400,
        ),
    ]);
    assert!(arena.server.hits("request_head_bytes") >= 6 && arena.server.hits("body_bytes") >= 12);
    arena.survives();
    let mut arena = Arena::new("");
    arena.fight(&[fatal("target", format!("GET /{} HTTP/1.1\r\nHost: h\r\n\r\n", MARK.repeat(1400)), 414)]);
    arena.survives();
}

#[test]
fn twenty_megabytes_in_one_header_cost_their_limit() {
    let mut arena = Arena::new("");
    let mut raw = Raw::connect_to(arena.server.address());
    raw.send(b"GET / HTTP/1.1\r\nHost: h\r\nX: ");
    for _ in 0..320 {
        raw.send_anyway(&[b'a'; 65_536]);
    }
    assert_eq!(raw.reply().status, 431);
    arena.witness();
    arena.survives();
}

#[test]
fn a_refused_upgrade_ends_the_connection_and_what_follows_is_not_answered() {
    let mut arena = Arena::new("");
    let ws = |line: &str, fields: &str| {
        format!("{line}\r\nHost: h\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n{fields}\r\n")
    };
    let (version, key) = ("Sec-WebSocket-Version: 13\r\n", "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n");
    let both = format!("{version}{key}");
    let line = "GET /echo HTTP/1.1";
    let custom = |upgrade: &str| format!("{line}\r\nHost: h\r\n{upgrade}{both}\r\n");
    arena.fight(&[
        fatal("no version", ws(line, key), 426),
        fatal("another version", ws(line, &format!("{key}Sec-WebSocket-Version: 14\r\n")), 426),
        fatal("no key", ws(line, version), 400),
        fatal("two keys", ws(line, &format!("{both}{key}")), 400),
        fatal("a short key", ws(line, &format!("{version}Sec-WebSocket-Key: c2hvcnQ=\r\n")), 400),
        fatal("a body", ws(line, &format!("{both}Content-Length: 3\r\n")) + "abc", 400),
        fatal(
            "a chunked body",
            ws(line, &format!("{both}Transfer-Encoding: chunked\r\n")) + "0\r\n\r\n",
            400,
        ),
        fatal("HTTP/1.0", ws("GET /echo HTTP/1.0", &both), 400),
        fatal("POST", ws("POST /echo HTTP/1.1", &both), 405),
        fatal(
            "h2c",
            custom("Upgrade: h2c\r\nConnection: Upgrade, HTTP2-Settings\r\nHTTP2-Settings: AAMAAABk\r\n"),
            426,
        ),
        fatal("a longer token", custom("Upgrade: websocketx\r\nConnection: Upgrade\r\n"), 426),
        fatal("a token inside another", custom("Upgrade: websocket\r\nConnection: Upgrades\r\n"), 426),
        fatal("an unknown path", ws("GET /nowhere HTTP/1.1", &both), 404),
        fatal("an encoded path", ws("GET /%65cho HTTP/1.1", &both), 404),
        fatal("a strange origin", ws(line, &format!("{both}Origin: http://h.evil\r\n")), 403),
        fatal("an origin in another", ws(line, &format!("{both}Origin: http://evil/?http://h\r\n")), 403),
        fatal("another port", ws(line, &format!("{both}Origin: http://h:81\r\n")), 403),
        fatal("two origins", ws(line, &format!("{both}Origin: http://h\r\nOrigin: http://h.evil\r\n")), 403),
    ]);
    arena.survives();
}

#[test]
fn after_an_upgrade_the_connection_never_speaks_http_again() {
    let mut arena = Arena::new("");
    let frame = masked(TEXT, b"at once");
    let close = masked_close(1000, "");
    arena.fight(&[
        attack(
            "frames behind the upgrade",
            [upgrade("/echo"), frame.clone(), close.clone()].concat(),
            "101 text:at once close:1000",
        ),
        attack("a request behind the upgrade", [upgrade("/echo"), NEXT.into()].concat(), "101 close:1002"),
        attack("a second upgrade", [upgrade("/echo"), upgrade("/echo")].concat(), "101 close:1002"),
        attack(
            "an upgrade behind requests",
            [get("").into_bytes(), upgrade("/echo"), frame, close].concat(),
            "404 101 text:at once close:1000",
        ),
    ]);
    arena.survives();
}

#[test]
fn hostile_lists_are_declined_in_linear_time() {
    let mut arena = Arena::new("");
    let offering = |field: &str, value: String| {
        let head = format!("{}{field}: {value}\r\n\r\n", upgrade_lines("/echo"));
        [head.into_bytes(), masked_close(1000, "")].concat()
    };
    let extensions = "Sec-WebSocket-Extensions";
    let offers = [
        "permessage-deflate; server_max_window_bits=7",
        "permessage-deflate; server_max_window_bits=16",
        "permessage-deflate; client_max_window_bits=\"",
        "permessage-deflate; client_no_context_takeover; client_no_context_takeover",
        "permessage-deflate; unknown=1",
        "permessage-deflate; server_max_window_bits=08",
        ";,;,=,\"\\\"",
    ];
    let mut attacks: Vec<_> =
        offers.map(|offer| attack(offer, offering(extensions, offer.into()), "101 close:1000")).into();
    for (name, piece) in
        [("commas", ","), ("semicolons", "x;"), ("quotes", "x=\"\\\\\";"), ("names", "xxxxx,")]
    {
        let value = piece.repeat(10_000 / piece.len());
        attacks.push(attack(name, offering(extensions, value.clone()), "101 close:1000"));
        attacks.push(attack(name, offering("Sec-WebSocket-Protocol", value), "101 close:1000"));
    }
    let before = arena.server.busy();
    arena.fight(&attacks);
    println!("{} s of processor time for {} handshakes", arena.server.busy() - before, 3 * attacks.len());
    arena.survives();
}

#[test]
fn paths_are_compared_as_they_are_and_nothing_is_reflected() {
    let mut arena = Arena::new("");
    let path = |path: &str| format!("GET {path} HTTP/1.1\r\nHost: h\r\n\r\n");
    arena.fight(&[
        single("dot segments", path("/./healthz"), 404),
        single("parent segments", path("/api/../healthz"), 404),
        single("double slash", path("//healthz"), 404),
        single("encoded letter", path("/health%7a"), 404),
        single("encoded slash in a room", path("/api/chat/rooms/..%2f..%2fhealthz"), 404),
        single("encoded twice", path("/api/chat/rooms/%252e%252e"), 404),
        single("half an escape", path("/api/chat/rooms/%2"), 400),
        single("not UTF-8", path("/api/chat/rooms/%ff"), 400),
        single("header injection", path(&format!("/api/chat/rooms/a%0d%0aX-{MARK}:%20a")), 404),
    ]);
    let mut raw = Raw::connect_to(arena.server.address());
    raw.send(path(&format!("/<script>{MARK}</script>")).as_bytes());
    let reply = raw.reply();
    assert!(!String::from_utf8_lossy(&reply.body).contains(MARK), "{reply:?}");
    drop(raw);
    arena.survives();
}

#[test]
fn ten_thousand_requests_that_nobody_reads_the_answers_of_cost_little() {
    let mut arena = Arena::new(
        "[limits]\nreply_bytes = \"64 KiB\"\n[heartbeat]\nping_interval = \"500ms\"\nidle_timeout = \"1s\"\n",
    );
    let before = arena.server.resident();
    let raw = Raw::connect_to(arena.server.address());
    raw.stream().set_nonblocking(true).expect("a socket");
    let requests = NEXT.repeat(10_000);
    let mut sent = 0;
    while let Ok(count) = raw.stream().write(&requests.as_bytes()[sent..]) {
        sent += count;
        arena.witness();
        if sent == requests.len() {
            break;
        }
    }
    assert!(arena.server.resident() < before + (8 << 20), "{} bytes more", arena.server.resident() - before);
    // Nobody who reads nothing may stay for ever.
    raw.stream().set_nonblocking(false).expect("a socket");
    crate::support::eventually("it is closed", || {
        arena.witness();
        super::arena::connections(&arena.server) == 2
    });
    drop(raw);
    arena.survives();
}
