//! Where connections come from: proxies that speak for others, Unix sockets, sockets that were opened before.

#![expect(clippy::panic, reason = "a test fails by panicking")]

mod support;

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::time::Duration;

use foghorn::config::Config;
use foghorn::proxy::Trusted;
use serde_json::Value;
use support::raw::{upgrade, upgrade_lines};
use support::secure::{Certificate, tcp};
use support::{PATIENCE, Raw, TestServer, now};

fn trust(config: &mut Config, networks: &[&str]) {
    config.proxy.trusted =
        Trusted::new(networks.iter().map(|text| text.parse().expect("a network")).collect());
}

const HEADER: &[u8] = b"PROXY TCP4 203.0.113.7 10.0.0.1 12345 80\r\n";
const ROOM: &str = "/ws/chat?roomId=r&username=u";

/// The addresses of those who are in room `r`.
fn addresses(ask: impl Fn(&[u8]) -> Vec<u8>) -> Vec<String> {
    let request = b"GET /api/chat/rooms/r/online HTTP/1.1\r\nHost: h\r\nConnection: close\r\n\r\n";
    let body: Value = serde_json::from_slice(&ask(request)).expect("JSON");
    let sessions = body["sessions"].as_array().unwrap_or_else(|| panic!("no sessions: {body}"));
    sessions.iter().map(|session| session["address"].as_str().expect("an address").to_owned()).collect()
}

/// A WebSocket in room `r`, after these bytes and with these fields; or what else was answered.
fn join(server: &TestServer, before: &[u8], fields: &str) -> (Raw, u16) {
    let mut raw = Raw::connect(server);
    raw.send(&[before, format!("{}{fields}\r\n", upgrade_lines(ROOM)).as_bytes()].concat());
    let status = raw.reply().status;
    if status == 101 {
        // Its own JOIN: it is in the room now.
        raw.frame();
    }
    (raw, status)
}

fn ask(server: &TestServer, before: &[u8], request: &[u8]) -> Vec<u8> {
    let mut raw = Raw::connect(server);
    raw.send(&[before, request].concat());
    raw.reply().body
}

#[test]
fn the_client_of_a_trusted_proxy_is_who_its_header_names() {
    for (trusted, expected) in [("127.0.0.0/8", "203.0.113.7:12345"), ("10.0.0.0/8", "127.0.0.1:")] {
        let server = TestServer::stored(|config| {
            trust(config, &[trusted]);
            config.proxy.protocol = true;
        });
        let (_member, status) = join(&server, HEADER, "");
        assert_eq!(status, 101);
        let addresses = addresses(|request| ask(&server, HEADER, request));
        assert!(addresses.len() == 1 && addresses[0].starts_with(expected), "{addresses:?}");
    }
}

#[test]
fn a_header_that_comes_byte_by_byte_hides_nothing_behind_it() {
    let server = TestServer::stored(|config| {
        trust(config, &["127.0.0.1"]);
        config.proxy.protocol = true;
    });
    let mut raw = Raw::connect(&server);
    raw.send_bytewise(HEADER);
    raw.send_bytewise(&upgrade("/echo"));
    assert_eq!(raw.reply().status, 101);
}

#[test]
fn a_connection_without_a_good_header_is_closed_and_a_late_one_too() {
    let server = TestServer::stored(|config| {
        config.proxy.protocol = true;
        config.limits.handshake_timeout = Duration::from_millis(300);
    });
    for bad in [&upgrade("/echo")[..], b"PROXY TCP4 1.2.3.4\r\n", b"PROXY TCP4 1.2.3.4 ", b"", &[b'P'; 5000]]
    {
        let start = now();
        let mut raw = Raw::connect(&server);
        raw.send_anyway(bad);
        raw.expect_gone();
        assert!(start.elapsed() < PATIENCE);
        let mut cut = Raw::connect(&server);
        cut.send_anyway(bad);
        drop(cut.stream().shutdown(std::net::Shutdown::Write));
        cut.expect_gone();
    }
    assert_eq!(join(&server, HEADER, "").1, 101);
}

#[test]
fn a_header_comes_before_tls() {
    let certificate = Certificate::new();
    let server = TestServer::stored(|config| {
        certificate.configure(config);
        trust(config, &["127.0.0.1"]);
        config.proxy.protocol = true;
    });
    let mut stream = tcp(server.tls_address());
    stream.write_all(HEADER).expect("the server takes it");
    let mut member = Raw::on(rustls::StreamOwned::new(certificate.connection(), stream)).upgraded(ROOM);
    member.frame();
    assert_eq!(addresses(|request| ask(&server, HEADER, request)), ["203.0.113.7:12345"]);
}

#[test]
fn addresses_are_limited_whoever_brings_the_connection() {
    let other = b"PROXY TCP4 203.0.113.8 10.0.0.1 1 80\r\n";
    let server = TestServer::stored(|config| {
        trust(config, &["127.0.0.1"]);
        config.proxy.protocol = true;
        config.limits.connections_per_ip = 2;
    });
    let _members = [join(&server, HEADER, ""), join(&server, HEADER, ""), join(&server, other, "")];
    assert_eq!((join(&server, HEADER, "").1, join(&server, other, "").1), (503, 101));

    let server = TestServer::stored(|config| {
        trust(config, &["127.0.0.1"]);
        config.limits.connections_per_ip = 2;
    });
    let named = |address: &str| join(&server, b"", &format!("X-Forwarded-For: {address}\r\n"));
    let first = named("203.0.113.7");
    let _others = [named("203.0.113.7"), named("203.0.113.8")];
    assert_eq!((named("203.0.113.7").1, named("203.0.113.8").1), (503, 101));
    assert_eq!(first.1, 101);
    drop(first);
    support::eventually("the place is free again", || named("203.0.113.7").1 == 101);
}

#[test]
fn a_request_through_a_trusted_proxy_is_its_clients() {
    for (trusted, expected) in [("127.0.0.1", "203.0.113.7:0"), ("10.0.0.0/8", "127.0.0.1:")] {
        let server = TestServer::stored(|config| trust(config, &[trusted]));
        let (_member, status) = join(&server, b"", "X-Forwarded-For: 6.6.6.6, 203.0.113.7\r\n");
        assert_eq!(status, 101);
        let addresses = addresses(|request| ask(&server, b"", request));
        assert!(addresses.len() == 1 && addresses[0].starts_with(expected), "{addresses:?}");
    }
}

#[test]
fn the_scheme_of_the_own_origin_is_the_one_that_a_trusted_proxy_tells() {
    for (trusted, origin, status) in [
        ("127.0.0.1", "https://h", 101),
        ("127.0.0.1", "http://h", 403),
        ("10.0.0.0/8", "https://h", 403),
        ("10.0.0.0/8", "http://h", 101),
    ] {
        let server = TestServer::stored(|config| trust(config, &[trusted]));
        let fields = format!("X-Forwarded-Proto: https\r\nOrigin: {origin}\r\n");
        assert_eq!(join(&server, b"", &fields).1, status, "{origin} through {trusted}");
    }
}
