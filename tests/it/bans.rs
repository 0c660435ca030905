//! Bans: every door that knows the name is closed, over restarts, until the ban ends or is lifted.

use std::net::SocketAddr;

use crate::support::process::Process;
use crate::support::raw::ask;
use crate::support::{Chat, Raw, TestServer, eventually};
use serde_json::{Value, json};

fn say(address: SocketAddr, sender: &str) -> (u16, Value) {
    ask(address, "POST", "/api/chat/rooms/r/messages", Some(&json!({ "sender": sender, "content": "c" })))
}

#[test]
fn every_door_is_closed_to_the_banned_user_and_to_nobody_else() {
    let server = TestServer::stored(|_| ());
    let address = server.address();
    let mut eve = Chat::join(&server, "r", "eve");
    let mut bob = Chat::join(&server, "r", "bob");
    eve.expect("JOIN");
    let kicked = ask(address, "POST", "/api/chat/rooms/r/kick?username=eve&ban=60s", None);
    assert_eq!(kicked, (200, json!({ "closed": 1 })));
    eve.client.expect_close(4001);
    assert_eq!(bob.expect("LEAVE")["sender"], "SYSTEM");
    Chat::enter(&server, "r", "eve", "").client.expect_close(4001);
    let (status, problem) = say(address, "eve");
    assert_eq!((status, &problem["code"]), (403, &json!("banned")));
    for path in ["/poll/rooms/r?username=eve&wait=0", "/sse/rooms/r?username=eve"] {
        assert_eq!(ask(address, "GET", path, None).0, 403, "{path}");
    }
    assert_eq!(ask(address, "POST", "/api/chat/rooms/r/join?username=eve", None).0, 403);
    let mut stomp = crate::support::Client::connect(&server, "/ws/stomp");
    stomp.send_text("CONNECT\naccept-version:1.2\nlogin:eve\n\n\0");
    assert!(stomp.text().starts_with("CONNECTED"));
    stomp.send_text("SEND\ndestination:/topic/r\n\nc\0");
    assert!(stomp.text().starts_with("ERROR\nmessage:banned"));
    assert_eq!(say(address, "bob").0, 201);
    assert_eq!(bob.hear(1), ["c"], "nothing of eve came");
    drop(Chat::join(&server, "other", "eve"));
}

#[test]
fn a_ban_of_a_room_that_nobody_has_seen_is_listed_replaced_and_lifted() {
    let server = TestServer::stored(|_| ());
    let address = server.address();
    let bans = "/api/chat/rooms/r/bans";
    assert_eq!(ask(address, "GET", bans, None), (200, json!([])));
    for time in ["365d", "60s"] {
        let path = format!("/api/chat/rooms/r/kick?username=J%C3%B6rg&ban={time}");
        assert_eq!(ask(address, "POST", &path, None), (200, json!({ "closed": 0 })));
    }
    let (_, listed) = ask(address, "GET", bans, None);
    assert_eq!((&listed[0]["username"], listed.as_array().unwrap().len()), (&json!("J\u{f6}rg"), 1));
    assert!(listed[0]["secondsLeft"].as_u64().unwrap() <= 60, "{listed}");
    assert_eq!(say(address, "J\u{f6}rg").0, 403);
    let one = format!("{bans}/J%C3%B6rg");
    assert_eq!(ask(address, "DELETE", &one, None).0, 204);
    assert_eq!(ask(address, "DELETE", &one, None).0, 404);
    assert_eq!((ask(address, "GET", bans, None).1, say(address, "J\u{f6}rg").0), (json!([]), 201));
    for time in ["0s", "999ms", "366d", "x"] {
        assert_eq!(
            ask(address, "POST", &format!("/api/chat/rooms/r/kick?username=u&ban={time}"), None).0,
            400,
            "{time}"
        );
    }
}

#[test]
fn a_ban_ends() {
    let server = TestServer::stored(|_| ());
    let address = server.address();
    ask(address, "POST", "/api/chat/rooms/r/kick?username=eve&ban=1s", None);
    assert_eq!(say(address, "eve").0, 403);
    eventually("the end of the ban", || say(address, "eve").0 == 201);
}

#[test]
fn bans_survive_a_crash_and_an_orderly_end_and_what_was_lifted_stays_so() {
    let directory = tempfile::tempdir().unwrap();
    let server = Process::serve(directory.path());
    for (user, time) in [("eve", "1h"), ("mallory", "1h")] {
        let path = format!("/api/chat/rooms/r/kick?username={user}&ban={time}");
        assert_eq!(ask(server.address(), "POST", &path, None).0, 200);
    }
    assert_eq!(ask(server.address(), "DELETE", "/api/chat/rooms/r/bans/mallory", None).0, 204);
    server.kill();
    let server = Process::serve(directory.path());
    assert_eq!(say(server.address(), "eve").1["code"], "banned");
    assert_eq!(say(server.address(), "mallory").0, 201);
    server.terminate();
    let server = Process::serve(directory.path());
    let (_, listed) = ask(server.address(), "GET", "/api/chat/rooms/r/bans", None);
    assert_eq!(listed[0]["username"], "eve");
    assert!((3000..=3600).contains(&listed[0]["secondsLeft"].as_u64().unwrap()), "{listed}");
    server.terminate();
}

#[test]
fn a_poll_that_waits_ends_with_the_ban() {
    let server = TestServer::stored(|_| ());
    let address = server.address();
    assert_eq!(say(address, "bob").0, 201);
    let mut poll = Raw::connect_to(address);
    poll.send(
        format!("GET /poll/rooms/r?username=eve&wait=60 HTTP/1.1\r\nHost: {address}\r\n\r\n").as_bytes(),
    );
    // Whether it waits already makes no difference: then it is refused at once.
    ask(address, "POST", "/api/chat/rooms/r/kick?username=eve&ban=60s", None);
    assert_eq!(poll.reply().status, 403);
}
