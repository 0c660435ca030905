//! CONNECT, DISCONNECT, heart-beats, frames and messages.

use std::time::Duration;

use super::client::Stomp;
use crate::support::{TestServer, frame, now};

#[test]
fn the_subprotocol_is_the_first_that_is_offered() {
    let server = TestServer::start();
    let cases = [
        ("v12.stomp, v11.stomp", Some("v12.stomp"), "1.2"),
        ("v10.stomp, v12.stomp", Some("v10.stomp"), "1.0"),
        ("other, v11.stomp", Some("v11.stomp"), "1.1"),
        ("other", None, "1.2"),
        ("", None, "1.2"),
    ];
    for (offer, expected, version) in cases {
        let (mut stomp, chosen) = Stomp::open(&server, "/ws/stomp", offer);
        assert_eq!(chosen.as_deref(), expected);
        stomp.say("CONNECT\naccept-version:1.0,1.1,1.2\nheart-beat:0,0\n\n\0");
        let connected = stomp.expect("CONNECTED");
        assert_eq!(connected.get("version"), version, "{offer}");
        assert_eq!(connected.get("session").len(), 32);
        assert!(connected.get("server").starts_with("foghorn/"));
        assert_eq!(connected.header("heart-beat"), (version != "1.0").then_some("10000,10000"));
    }
}

#[test]
fn version_and_subprotocol_must_agree() {
    let server = TestServer::start();
    let (mut stomp, _) = Stomp::open(&server, "/ws/stomp", "v12.stomp");
    stomp.say("CONNECT\naccept-version:1.0,1.1\nreceipt:1\n\n\0");
    let error = stomp.expect_error("version and subprotocol differ", 1002);
    assert_eq!((error.get("version"), error.get("receipt-id")), ("1.2", "1"));
    let (mut stomp, _) = Stomp::open(&server, "/ws/stomp", "");
    stomp.say("STOMP\naccept-version:2.1\n\n\0");
    assert_eq!(stomp.expect_error("unsupported version", 1002).get("version"), "1.0,1.1,1.2");
}

#[test]
fn the_name_is_login_or_that_of_the_address() {
    let server = TestServer::start();
    let (mut stomp, _) = Stomp::open(&server, "/ws/stomp?username=by+address", "");
    stomp.say("CONNECT\naccept-version:1.2\n\n\0");
    assert_eq!(stomp.expect("CONNECTED").get("user-name"), "by address");
    let mut alice = Stomp::connect(&server, "alice");
    let mut nobody = Stomp::speaking(&server, "1.1");
    alice.subscribe("1", "/topic/r", "");
    nobody.publish("/topic/r", "hi");
    assert_eq!(alice.expect("MESSAGE").get("sender"), "anonymous");
    stomp.publish("/topic/r", "hi");
    assert_eq!(alice.expect("MESSAGE").get("sender"), "by address");
    alice.publish("/topic/r", "hi");
    assert_eq!(alice.expect("MESSAGE").get("sender"), "alice");
}

#[test]
fn frames_and_messages_need_not_coincide() {
    let server = TestServer::start();
    let mut stomp = Stomp::raw(&server);
    stomp.say("\n\r\nCONNECT\r\naccept-version:1.2\r\n\r\n\0\nSUBSCRIBE\nid:1\ndestination:/queue/q\n\n\0SEND\ndestinat");
    stomp.say_bytes(b"ion:/queue/q\ncontent-length:3\n\na\0");
    stomp.say("b\0\n\n\n");
    assert_eq!(stomp.expect("CONNECTED").get("version"), "1.2");
    assert_eq!(stomp.expect("MESSAGE").body, b"a\0b");
    for byte in b"SEND\ndestination:/queue/q\n\nbyte by byte\0" {
        stomp.say_bytes(&[*byte]);
    }
    assert_eq!(stomp.hear(1), ["byte by byte"]);
}

#[test]
fn disconnect_is_confirmed_after_everything_before_it() {
    let server = TestServer::start();
    let mut listener = Stomp::connect(&server, "listener");
    listener.subscribe("1", "/topic/r", "");
    let mut stomp = Stomp::connect(&server, "alice");
    let sends: String = (0..50).map(|n| format!("SEND\ndestination:/topic/r\n\n{n}\0")).collect();
    stomp.say(&(sends + "DISCONNECT\nreceipt:bye\n\n\0SEND\ndestination:/topic/r\n\nlate\0"));
    assert_eq!(stomp.expect("RECEIPT").get("receipt-id"), "bye");
    stomp.expect_close(1000);
    let mut after = Stomp::connect(&server, "after");
    after.publish("/topic/r", "after");
    let mut expected: Vec<_> = (0..50).map(|n| n.to_string()).collect();
    expected.push("after".to_owned());
    assert_eq!(listener.hear(51), expected);
    let mut stomp = Stomp::speaking(&server, "1.0");
    stomp.say("DISCONNECT\n\n\0");
    stomp.expect_close(1000);
}

fn short_beats() -> TestServer {
    TestServer::with(|config| config.stomp.heartbeat = Duration::from_secs(1))
}

#[test]
fn the_server_beats_as_often_as_was_agreed_on() {
    let server = short_beats();
    let mut stomp = Stomp::raw(&server);
    stomp.say("CONNECT\naccept-version:1.2\nheart-beat:0,1\n\n\0");
    assert_eq!(stomp.expect("CONNECTED").get("heart-beat"), "1000,1000");
    let begun = now();
    for _ in 0..3 {
        let beat = stomp.raw.frame();
        assert_eq!((beat.first, beat.payload), (frame::TEXT, b"\n".to_vec()));
    }
    assert!(begun.elapsed() >= Duration::from_secs(2), "not more often than that");
}

#[test]
fn a_client_that_breaks_its_promise_is_given_up() {
    let server = short_beats();
    let mut silent = Stomp::raw(&server);
    silent.say("CONNECT\naccept-version:1.2\nheart-beat:1,0\n\n\0");
    silent.expect("CONNECTED");
    let begun = now();
    silent.expect_error("no heart-beat", 1002);
    assert!(begun.elapsed() >= Duration::from_millis(1500), "{:?}", begun.elapsed());
    // One that keeps it, or made none, stays.
    let mut quiet = Stomp::connect(&server, "quiet");
    let mut stomp = Stomp::raw(&server);
    stomp.say("CONNECT\naccept-version:1.2\nheart-beat:1000,1000\n\n\0");
    stomp.expect("CONNECTED");
    for _ in 0..4 {
        assert_eq!(stomp.raw.frame().payload, b"\n");
        stomp.say("\n");
    }
    stomp.sync();
    quiet.sync();
}

#[test]
fn with_heart_beats_off_none_are_offered() {
    let server = TestServer::with(|config| config.stomp.heartbeat = Duration::ZERO);
    let mut stomp = Stomp::raw(&server);
    stomp.say("CONNECT\naccept-version:1.2\nheart-beat:1,1\n\n\0");
    assert_eq!(stomp.expect("CONNECTED").get("heart-beat"), "0,0");
}

#[test]
fn what_is_begun_has_to_be_finished_in_time() {
    let server = TestServer::with(|config| {
        config.limits.handshake_timeout = Duration::from_millis(300);
        config.limits.message_timeout = Duration::from_millis(300);
    });
    Stomp::raw(&server).expect_error("no CONNECT in time", 1008);
    let mut stomp = Stomp::connect(&server, "slow");
    stomp.say("SEND\ndestination:/topic/r\n\nnever");
    stomp.expect_error("frame not finished in time", 1008);
}
