//! Without keys for tokens, what concerns others is answered on the server's own machine alone: over real sockets, for
//! everything that the rule is about.

use std::net::SocketAddr;

use crate::support::tokens::{SECRET, admin_token, bearer};
use crate::support::{ConfiguredProcess, Raw};

/// What the rule is about.
const GUARDED: [(&str, &str); 6] = [
    ("POST", "/api/chat/rooms/r/kick?username=nobody"),
    ("GET", "/api/chat/rooms/r/bans"),
    ("DELETE", "/api/chat/rooms/r/bans/nobody"),
    ("DELETE", "/api/chat/rooms/r"),
    ("POST", "/api/backup"),
    ("DELETE", "/api/backup?id=0000000000000001"),
];

fn ask(address: SocketAddr, before: &str, method: &str, path: &str, fields: &str) -> u16 {
    let mut raw = Raw::connect_to(address);
    raw.send(format!("{before}{method} {path} HTTP/1.1\r\nConnection: close\r\n{fields}\r\n").as_bytes());
    raw.reply().status
}

/// Asks for everything that is guarded; whether each was let through.
#[track_caller]
fn expect(address: SocketAddr, before: &str, fields: &str, let_through: bool) {
    for (method, path) in GUARDED {
        let status = ask(address, before, method, path, fields);
        assert_eq!(status != 403, let_through, "{method} {path} {before}{fields}: {status}");
    }
}

#[test]
fn a_request_of_this_machine_to_this_machine_is_let_through_and_no_other() {
    let server = ConfiguredProcess::start("");
    let address = server.address();
    let port = address.port();
    let cases = [
        ("Host: localhost\r\n".to_owned(), true),
        (format!("Host: 127.0.0.1:{port}\r\n"), true),
        (format!("Host: LocalHost.:{port}\r\nOrigin: http://LocalHost.:{port}\r\n"), true),
        ("Host: 127.8.9.10\r\n".to_owned(), true),
        ("Host: [::1]:1\r\n".to_owned(), true),
        ("Host: [::ffff:127.0.0.1]\r\n".to_owned(), true),
        (format!("Host: 127.0.0.1:{port}\r\nOrigin: http://127.0.0.1:{port}\r\n"), true),
        // DNS rebinding.
        (format!("Host: evil.test:{port}\r\n"), false),
        (format!("Host: evil.test:{port}\r\nOrigin: http://evil.test:{port}\r\n"), false),
        ("Host: localhost.evil.test\r\n".to_owned(), false),
        ("Host: 127.0.0.1.evil.test\r\n".to_owned(), false),
        ("Host: 128.0.0.1\r\n".to_owned(), false),
        ("Host: 0.0.0.0\r\n".to_owned(), false),
        ("Host: [::]\r\n".to_owned(), false),
        // Pages of others.
        ("Host: localhost\r\nOrigin: http://evil.test\r\n".to_owned(), false),
        ("Host: localhost\r\nOrigin: null\r\n".to_owned(), false),
        ("Host: localhost:1\r\nOrigin: http://localhost:2\r\n".to_owned(), false),
        ("Host: localhost\r\nOrigin: https://localhost\r\n".to_owned(), false),
        // Go-betweens.
        ("Host: localhost\r\nForwarded: for=127.0.0.1\r\n".to_owned(), false),
        ("Host: localhost\r\nforwarded:\r\n".to_owned(), false),
        ("Host: localhost\r\nX-Forwarded-For: 127.0.0.1\r\n".to_owned(), false),
        ("Host: localhost\r\nX-FORWARDED-HOST: localhost\r\n".to_owned(), false),
        ("Host: localhost\r\nX-Forwarded-Proto: http\r\n".to_owned(), false),
        ("Host: localhost\r\nX-Forwarded-Anything: 1\r\n".to_owned(), false),
        ("Host: localhost\r\nX-Real-IP: 127.0.0.1\r\n".to_owned(), false),
        ("Host: localhost\r\nVia: 1.1 proxy\r\n".to_owned(), false),
    ];
    for (fields, let_through) in cases {
        expect(address, "", &fields, let_through);
    }
}

#[test]
fn the_target_of_a_request_counts_where_it_names_a_host() {
    let server = ConfiguredProcess::start("");
    let kick = |host: &str, field: &str| {
        let path = format!("http://{host}/api/chat/rooms/r/kick?username=nobody");
        ask(server.address(), "", "POST", &path, &format!("Host: {field}\r\n"))
    };
    assert_eq!(kick("localhost", "localhost"), 404);
    assert_eq!(kick("evil.test", "evil.test"), 403);
    assert_eq!(kick("evil.test", "localhost"), 400, "the two must agree");
    assert_eq!(kick("localhost", "evil.test"), 400, "the two must agree");
}

#[test]
fn a_proxy_that_is_believed_makes_nobody_local() {
    let server = ConfiguredProcess::start("[proxy]\ntrusted = [\"127.0.0.1\"]\n");
    expect(server.address(), "", "Host: localhost\r\nX-Forwarded-For: 127.0.0.1\r\n", false);
    expect(server.address(), "", "Host: localhost\r\n", true);
}

#[test]
fn the_peer_of_a_proxy_header_is_not_local_whatever_it_says() {
    let server = ConfiguredProcess::start("[proxy]\nprotocol = true\ntrusted = [\"127.0.0.1\"]\n");
    for before in [
        "PROXY TCP4 127.0.0.1 127.0.0.1 1 2\r\n",
        "PROXY TCP6 ::1 ::1 1 2\r\n",
        "PROXY UNKNOWN\r\n",
        "PROXY TCP4 203.0.113.7 127.0.0.1 1 2\r\n",
    ] {
        expect(server.address(), before, "Host: localhost\r\n", false);
    }
}

#[test]
fn ipv4_through_an_ipv6_socket_is_this_machine_as_well() {
    let server = ConfiguredProcess::listening("", "[::]:0");
    let address = SocketAddr::from(([127, 0, 0, 1], server.address().port()));
    expect(address, "", "Host: 127.0.0.1\r\n", true);
    expect(address, "", "Host: [::1]\r\n", true);
    expect(address, "", "Host: evil.test\r\n", false);
}

#[test]
fn the_rule_holds_where_operators_have_a_listener_of_their_own() {
    let server = ConfiguredProcess::start("[admin]\nlisten = \"127.0.0.1:0\"\n");
    let kick = |fields: &str| {
        ask(server.admin_address(), "", "POST", "/api/chat/rooms/r/kick?username=nobody", fields)
    };
    assert_eq!(kick("Host: localhost\r\n"), 404);
    assert_eq!(kick("Host: evil.test\r\n"), 403);
    assert_eq!(kick("Host: localhost\r\nVia: 1.1 proxy\r\n"), 403);
}

#[test]
fn addresses_of_members_are_shown_to_this_machine_alone() {
    let server = ConfiguredProcess::start("");
    let body = r#"{"name":"r","createdBy":"u"}"#;
    let mut raw = Raw::connect_to(server.address());
    let head = "POST /api/chat/rooms HTTP/1.1\r\nHost: h\r\nContent-Type: application/json";
    raw.send(format!("{head}\r\nContent-Length: {}\r\n\r\n{body}", body.len()).as_bytes());
    let room: serde_json::Value = serde_json::from_slice(&raw.reply().body).expect("JSON");
    let room = room["id"].as_str().expect("an id").to_owned();
    let mut member = Raw::open_at(server.address(), &format!("/ws/chat?roomId={room}&username=u"));
    member.frame();
    let shown = |fields: &str| {
        let mut raw = Raw::connect_to(server.address());
        raw.send(format!("GET /api/chat/rooms/{room}/online HTTP/1.1\r\n{fields}\r\n").as_bytes());
        let online: serde_json::Value = serde_json::from_slice(&raw.reply().body).expect("JSON");
        assert_eq!(online["count"], 1, "{online}");
        online["sessions"][0]["address"].is_string()
    };
    assert!(shown("Host: localhost\r\n"));
    assert!(!shown("Host: evil.test\r\n"));
    assert!(!shown("Host: localhost\r\nX-Real-IP: 127.0.0.1\r\n"));
    assert!(!shown("Host: localhost\r\nForwarded: for=127.0.0.1\r\n"));
}

#[test]
fn where_there_are_keys_a_token_counts_and_not_the_machine() {
    let server = ConfiguredProcess::start(&format!("[auth]\njwt_secret = \"{SECRET}\"\n"));
    let admin = bearer(&admin_token());
    expect(server.address(), "", &format!("Host: evil.test\r\nVia: 1.1 proxy\r\n{admin}"), true);
    assert_eq!(
        ask(server.address(), "", "POST", "/api/chat/rooms/r/kick?username=u", "Host: localhost\r\n"),
        401
    );
}
