//! Who may connect, as whom, and into which rooms.

use std::time::Duration;

use foghorn::auth::Issuer;
use foghorn::config::{HmacAlgorithm, Secret};
use foghorn::server::hmac_algorithm;

use super::client::Stomp;
use crate::support::TestServer;

const SECRET: &str = "a secret of the tests, long enough for SHA-256";

fn server() -> TestServer {
    TestServer::with(|config| {
        config.auth.jwt_secret = Some(Secret::new(SECRET));
        config.auth.timeout = Duration::from_millis(500);
    })
}

/// A token of this user, for these rooms if any are named.
fn token(user: &str, rooms: &[&str], ttl: Duration) -> String {
    #[expect(clippy::disallowed_methods, reason = "tokens are valid for a time")]
    let now = std::time::SystemTime::now().duration_since(std::time::SystemTime::UNIX_EPOCH).unwrap();
    let issuer = Issuer::new(SECRET.as_bytes(), hmac_algorithm(HmacAlgorithm::Hs256), None, None);
    let rooms: Vec<String> = rooms.iter().map(|room| (*room).to_owned()).collect();
    issuer.issue(user, (!rooms.is_empty()).then_some(&rooms[..]), false, now, ttl).unwrap()
}

fn alice() -> String {
    token("alice", &[], Duration::from_secs(60))
}

fn connect(server: &TestServer, headers: &str) -> Stomp {
    let mut stomp = Stomp::raw(server);
    stomp.say(&format!("CONNECT\naccept-version:1.2\nreceipt:7\n{headers}\n\0"));
    stomp
}

#[test]
fn a_token_may_come_with_connect_in_each_of_its_headers() {
    let server = server();
    let token = alice();
    for headers in [
        format!("Authorization:Bearer {token}\n"),
        format!("passcode:{token}\n"),
        format!("login:alice\npasscode:{token}\n"),
        format!("token:{token}\nlogin:\n"),
        format!("authorization:bearer {token}\n"),
    ] {
        let mut stomp = connect(&server, &headers);
        assert_eq!(stomp.expect("CONNECTED").get("user-name"), "alice", "{headers}");
        assert_eq!(stomp.expect("RECEIPT").get("receipt-id"), "7");
        stomp.sync();
    }
}

#[test]
fn a_token_may_come_with_the_handshake_or_in_a_message() {
    let server = server();
    let token = alice();
    let (mut stomp, _) = Stomp::open(&server, &format!("/ws/stomp?token={token}"), "v12.stomp");
    stomp.say("CONNECT\naccept-version:1.2\n\n\0");
    assert_eq!(stomp.expect("CONNECTED").get("user-name"), "alice");
    let (mut stomp, chosen) = Stomp::open(&server, "/ws/stomp", &format!("foghorn.jwt, {token}, v11.stomp"));
    assert_eq!(chosen.as_deref(), Some("v11.stomp"));
    stomp.say("CONNECT\naccept-version:1.1\n\n\0");
    assert_eq!(stomp.expect("CONNECTED").get("version"), "1.1");
    // The chat's way is not read here.
    let mut stomp = Stomp::raw(&server);
    stomp.say(&format!("{{\"type\":\"AUTH\",\"token\":\"{token}\"}}"));
    stomp.expect_error("not authenticated", 4401);
}

#[test]
fn a_send_to_the_server_renews_the_token() {
    let server = server();
    let (short, long) = (token("alice", &[], Duration::from_secs(2)), alice());
    let renew = |header: &str| format!("SEND\ndestination:/app/auth\n{header}receipt:done\n\n\0");
    let open = |token: &str| {
        let mut stomp = connect(&server, &format!("passcode:{token}\n"));
        stomp.expect("CONNECTED");
        stomp.expect("RECEIPT");
        stomp
    };
    let mut renewed = open(&short);
    renewed.settle(&renew(&format!("Authorization:Bearer {long}\n")));
    let mut other = open(&short);
    other.expect_close(4401);
    renewed.sync();
    for header in ["", "Authorization:Bearer nonsense\n", "Authorization:Basic x\n"] {
        let mut stomp = open(&long);
        stomp.say(&renew(header));
        stomp.expect_error("not authenticated", 4401);
    }
    let mut stomp = open(&long);
    stomp.say(&renew(&format!("Authorization:Bearer {}\n", token("bob", &[], Duration::from_secs(60)))));
    stomp.expect_error("not authenticated", 4401);
    // Behind another frame of the same message nobody has looked at it.
    let mut stomp = open(&long);
    let behind = renew(&format!("Authorization:Bearer {long}\n"));
    stomp.say(&format!("BEGIN\ntransaction:t\n\n\0{behind}"));
    stomp.expect_error("not authenticated", 4401);
}

#[test]
fn without_a_good_token_there_is_an_error_and_4401() {
    let server = server();
    let (token, other) = (alice(), token("bob", &[], Duration::from_secs(60)));
    let forged = token.replace(|last: char| last.is_ascii_uppercase(), "x");
    for headers in [
        String::new(),
        "login:alice\npasscode:secret\n".to_owned(),
        format!("passcode:{forged}\n"),
        format!("Authorization:{token}\n"),
        format!("token:{token}\npasscode:{token}\n"),
        format!("Authorization:Bearer {token}\npasscode:{other}\n"),
        format!("login:bob\npasscode:{token}\n"),
    ] {
        connect(&server, &headers).expect_error("not authenticated", 4401);
    }
    let mut stomp = Stomp::raw(&server);
    stomp.say("SEND\ndestination:/queue/q\n\nhi\0");
    stomp.expect_error("not authenticated", 4401);
    // Whoever says nothing is not told anything either.
    Stomp::raw(&server).expect_close(4401);
}

#[test]
fn a_token_limits_rooms_and_queues() {
    let server = server();
    let token = token("alice", &["mine"], Duration::from_secs(60));
    let open = || {
        let mut stomp = connect(&server, &format!("passcode:{token}\n"));
        stomp.expect("CONNECTED");
        stomp.expect("RECEIPT");
        stomp
    };
    let mut stomp = open();
    stomp.subscribe("1", "/topic/mine", "");
    stomp.subscribe("2", "/queue/mine", "");
    stomp.subscribe("3", "/user/queue/any", "");
    stomp.settle("SEND\ndestination:/user/queue/other\nreceipt:done\n\nhi\0");
    stomp.publish("/topic/mine", "hi");
    let message = stomp.expect("MESSAGE");
    assert_eq!((message.text(), message.get("sender")), ("hi", "alice"));
    stomp.say("SEND\ndestination:/topic/other\nreceipt:8\n\nhi\0");
    assert_eq!(stomp.expect_error("not allowed", 1008).get("receipt-id"), "8");
    let mut stomp = open();
    stomp.say("SUBSCRIBE\nid:1\ndestination:/sub/other\n\n\0");
    stomp.expect_error("not allowed", 1008);
    for wire in [
        "SUBSCRIBE\nid:1\ndestination:/queue/other\n\n\0",
        "SEND\ndestination:/queue/other\n\nhi\0",
        "SEND\ndestination:/pub/other\n\nhi\0",
        "SUBSCRIBE\nid:1\ndestination:/topic/other\nsince-seq:0\n\n\0",
        "BEGIN\ntransaction:t\n\n\0SEND\ndestination:/queue/other\ntransaction:t\n\nhi\0",
    ] {
        let mut stomp = open();
        stomp.say(wire);
        stomp.expect_error("not allowed", 1008);
    }
    let mut stomp = open();
    stomp.say("BEGIN\ntransaction:t\n\n\0SEND\ndestination:/topic/other\ntransaction:t\n\nhi\0");
    stomp.expect_error("not allowed", 1008);
}

#[test]
fn a_session_ends_with_its_token() {
    let server = server();
    let mut stomp = connect(&server, &format!("passcode:{}\n", token("alice", &[], Duration::from_secs(2))));
    stomp.expect("CONNECTED");
    stomp.expect("RECEIPT");
    stomp.expect_close(4401);
}
