//! Who is counted against which limit, and what becomes of those beyond it.

use foghorn::config::Config;
use foghorn::limit_hits::Limit;
use serde_json::{Value, json};

use super::millis;
use crate::support::frame::{TEXT, masked};
use crate::support::raw::ask;
use crate::support::{Chat, ConfiguredProcess, Raw, TestServer, eventually};

#[test]
fn connections_that_are_refused_take_nobodys_place() {
    let config = "[limits]\nconnections = 40\nconnections_per_ip = 3\nclose_timeout = \"20s\"\n";
    let server = ConfiguredProcess::listening(config, "127.0.0.1:0,[::1]:0");
    let kept: Vec<_> = (0..3).map(|_| Raw::open_at(server.address(), "/echo")).collect();
    // Each of them keeps its connection, though it was told to go.
    let flood: Vec<_> = (0..300).map(|_| Raw::connect_to(server.address())).collect();
    let mut other = Raw::open_at(server.other_address(), "/echo");
    other.send(&masked(TEXT, b"hello"));
    assert_eq!(other.frame().payload, b"hello");
    assert!(server.descriptors() < 3 + 64 + 40, "{} descriptors", server.descriptors());
    // And they do not keep the address itself out once there is room.
    drop(kept);
    let mut admitted = None;
    eventually("there is room again", || {
        let mut raw = Raw::connect_to(server.address());
        raw.send_anyway(&crate::support::raw::upgrade("/echo"));
        let mut byte = [0; 12];
        let read = std::io::Read::read_exact(raw.stream_mut(), &mut byte);
        if read.is_ok() && byte.ends_with(b"101") {
            admitted = Some(raw);
        }
        admitted.is_some()
    });
    drop(flood);
}

/// The configuration of a running server, changed.
fn reload(server: &TestServer, config: &Config, change: impl FnOnce(&mut Config)) {
    let mut config = config.clone();
    change(&mut config);
    server.handle().reload(&config).expect("a good configuration");
}

#[test]
fn sessions_of_a_user_are_counted_over_reloads() {
    let mut config = Config::default();
    let server = TestServer::with(|started| {
        started.limits.sessions_per_user = 2;
        started.limits.close_timeout = millis(100);
        config = started.clone();
    });
    let (one, two) = (Chat::join(&server, "r", "alice"), Chat::join(&server, "r", "alice"));
    reload(&server, &config, |config| config.limits.sessions_per_user = 0);
    // Without a limit they leave, and more come.
    drop((one, two));
    eventually("they have gone", || server.handle().rooms().connections() == 0);
    let _third = Chat::join(&server, "r", "alice");
    reload(&server, &config, |_| ());
    let hits = || server.handle().rooms().limit_hits().hits(Limit::SessionsPerUser);
    let before = hits();
    let _kept = (Chat::join(&server, "r", "alice"), Chat::join(&server, "r", "alice"));
    assert_eq!(hits(), before, "nobody who has gone is counted");
}

#[test]
fn shorter_deadlines_hold_for_connections_that_are_quiet() {
    let mut config = Config::default();
    let server = TestServer::with(|started| config = started.clone());
    let mut session = Raw::open(&server, "/echo");
    session.send(&masked(TEXT, b"hello"));
    assert_eq!(session.frame().payload, b"hello");
    let mut between = Raw::connect(&server);
    between.send(b"GET /nowhere HTTP/1.1\r\nHost: h\r\n\r\n");
    assert_eq!(between.reply().status, 404);
    let mut beginning = Raw::connect(&server);
    beginning.send(b"GET / HTTP/1.1\r\n");
    let mut unfinished = Raw::open(&server, "/echo");
    unfinished.send(&masked(TEXT, b"hello")[..7]);
    eventually("all are there", || server.handle().rooms().connections() == 4);
    reload(&server, &config, |config| {
        config.heartbeat.idle_timeout = millis(1500);
        config.heartbeat.ping_interval = millis(700);
        config.limits.handshake_timeout = millis(300);
        config.limits.message_timeout = millis(300);
    });
    assert_eq!(beginning.reply().status, 408);
    unfinished.expect_close(1008);
    assert_eq!(session.frame().payload, b"ping");
    loop {
        let frame = session.frame();
        if frame.payload != b"ping" {
            break assert_eq!(frame.close_code(), Some(1001));
        }
    }
    between.expect_end();
}

#[test]
fn limits_that_rest_and_a_store_in_memory_keep_follow_a_reload() {
    let mut config = Config::default();
    let server = TestServer::stored(|started| {
        started.limits.rooms = 2;
        config = started.clone();
    });
    let status = |path: &str, body: Value| ask(server.address(), "POST", path, Some(&body)).0;
    let create =
        |name: &str| status("/api/chat/rooms", json!({ "name": name, "description": "", "createdBy": "a" }));
    let post = |bytes: usize| {
        let content = "x".repeat(bytes);
        status("/api/chat/rooms/r/messages", json!({ "sender": "alice", "content": content }))
    };
    let _member = Chat::join(&server, "r", "alice");
    assert_eq!((create("one"), create("two")), (201, 503));
    assert_eq!((post(1_001), post(64 * 1024 + 1)), (201, 413));
    reload(&server, &config, |config| {
        config.limits.rooms = 3;
        config.limits.message_bytes = 1_000;
    });
    assert_eq!((create("two"), create("three")), (201, 503));
    assert_eq!((post(1_000), post(1_001)), (201, 413));
}
