//! A room whose stored messages are damaged is out of use at every door, and harms no other room.

use std::net::SocketAddr;
use std::path::Path;

use crate::support::raw::ask;
use crate::support::{Chat, Client, Raw, TestServer};
use rusqlite::Connection;
use serde_json::{Value, json};

/// More than the window holds, so that the oldest messages are in the store alone.
const MANY: usize = 400;

fn say(address: SocketAddr, room: &str) -> (u16, Value) {
    let body = json!({ "sender": "eve", "content": "c" });
    ask(address, "POST", &format!("/api/chat/rooms/{room}/messages"), Some(&body))
}

/// Deletes a message by hand.
fn delete_row(directory: &Path, room: &str, seq: u64) {
    let database = Connection::open(directory.join("foghorn.db")).expect("the database");
    database.busy_timeout(crate::support::PATIENCE).expect("patience");
    let delete = "DELETE FROM messages WHERE seq = ?2 AND room = (SELECT id FROM rooms WHERE public_id = ?1)";
    assert_eq!(database.execute(delete, (room, seq)), Ok(1));
}

/// What a STOMP session is told first after CONNECTED.
fn stomp(server: &TestServer, frame: &str) -> String {
    let mut client = Client::connect(server, "/ws/stomp");
    client.send_text("CONNECT\naccept-version:1.2\nlogin:cid\n\n\0");
    assert!(client.text().starts_with("CONNECTED"));
    client.send_text(frame);
    client.text()
}

/// The room `bad` is out of use for whoever comes, the room `good` is not, and the server is ready.
fn assert_quarantined(server: &TestServer) {
    let address = server.address();
    for query in ["", "&hello=1", "&sinceSeq=0", "&history=5", "&since=2020-01-01T00:00:00Z"] {
        let mut chat = Chat::enter(server, "bad", "dan", query);
        let (texts, code) = chat.client.read_to_close();
        assert_eq!((texts, code), (vec![], Some(1013)), "{query}");
    }
    let (status, problem) = say(address, "bad");
    assert_eq!((status, &problem["code"]), (503, &json!("unavailable")));
    for path in [
        "/api/chat/rooms/bad/messages?after=0",
        "/poll/rooms/bad?sinceSeq=0&wait=0",
        "/poll/rooms/bad?wait=20",
        "/sse/rooms/bad",
        "/sse/rooms/bad?sinceSeq=0",
    ] {
        assert_eq!(ask(address, "GET", path, None).0, 503, "{path}");
    }
    for frame in
        ["SUBSCRIBE\nid:1\nreceipt:1\ndestination:/topic/bad\n\n\0", "SEND\ndestination:/topic/bad\n\nc\0"]
    {
        let told = stomp(server, frame);
        assert!(told.starts_with("ERROR\nmessage:unavailable\n"), "{frame}: {told}");
    }
    assert_eq!(ask(address, "GET", "/readyz", None).0, 200);
    let mut witness = Chat::join(server, "good", "witness");
    let send = |room: &str| format!("SEND\ndestination:/topic/{room}\ntransaction:t\n\nhalf\0");
    let transaction = format!("BEGIN\ntransaction:t\n\n\0{}{}", send("good"), send("bad"));
    let told = stomp(server, &(transaction + "COMMIT\ntransaction:t\n\n\0"));
    assert!(told.starts_with("ERROR\nmessage:unavailable\n"), "{told}");
    witness.say("hello");
    assert_eq!(witness.hear(1), ["hello"]);
    assert_eq!((say(address, "good").0, witness.hear(1)), (201, vec!["c".to_owned()]));
}

#[test]
fn a_room_that_was_damaged_while_the_server_was_down_is_out_of_use_over_restarts() {
    let directory = tempfile::tempdir().unwrap();
    let server = TestServer::stored_in(directory.path(), |_| ());
    for room in ["bad", "good"] {
        for _ in 0..5 {
            assert_eq!(say(server.address(), room).0, 201);
        }
    }
    drop(server);
    delete_row(directory.path(), "bad", 3);
    for _start in 0..2 {
        assert_quarantined(&TestServer::stored_in(directory.path(), |_| ()));
    }
    // It can be deleted, and the name is free again.
    let server = TestServer::stored_in(directory.path(), |_| ());
    assert_eq!(ask(server.address(), "DELETE", "/api/chat/rooms/bad", None).0, 204);
    let mut ann = Chat::join(&server, "bad", "ann");
    ann.say("anew");
    assert_eq!(ann.hear(1), ["anew"]);
}

#[test]
fn damage_that_is_met_while_the_room_is_in_use_closes_its_doors_and_throws_out_nobody() {
    let directory = tempfile::tempdir().unwrap();
    let server = TestServer::stored_in(directory.path(), |_| ());
    let mut ann = Chat::join(&server, "bad", "ann");
    for number in 0..MANY {
        ann.say(&number.to_string());
    }
    ann.hear(MANY);
    let mut reader = Chat::join(&server, "bad", "reader");
    ann.expect("JOIN");
    let address = server.address();
    let mut poll = Raw::connect_to(address);
    poll.send(format!("GET /poll/rooms/bad?wait=30 HTTP/1.1\r\nHost: {address}\r\n\r\n").as_bytes());
    delete_row(directory.path(), "bad", 2);
    // Its page has the damage in it.
    let mut bob = Chat::enter(&server, "bad", "bob", "&sinceSeq=0");
    let (told, code) = bob.client.read_to_close();
    assert_eq!(code, Some(1013), "{told:?}");
    assert!(told.iter().all(|text| !text.contains("GAP")), "what is damaged is no gap: {told:?}");
    // The JOIN of bob may have been stored before, and be news for the poll.
    let told_of_bob = told_of_bob(&mut ann);
    let status = poll.reply().status;
    assert!(status == 503 || (status == 200 && told_of_bob), "{status}");
    for _ in 0..2 {
        ann.say("still here");
        assert_eq!(ann.expect("ERROR")["code"], "unavailable");
    }
    assert_quarantined(&server);
    reader.say("so am I");
    while reader.next()["type"] != "ERROR" {}
    // Deleted, it sees its members off.
    assert_eq!(ask(address, "DELETE", "/api/chat/rooms/bad", None).0, 204);
    assert_eq!(ann.client.read_to_close().1, Some(1000));
}

/// Whether the JOIN of bob was stored before the damage was met; and reads it, if so.
fn told_of_bob(ann: &mut Chat) -> bool {
    ann.say("a question");
    let first = ann.next();
    if first["type"] == "ERROR" {
        return false;
    }
    assert_eq!((&first["type"], &first["username"]), (&json!("JOIN"), &json!("bob")));
    while ann.next()["type"] != "ERROR" {}
    true
}
