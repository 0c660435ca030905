//! Clients' message ids: one message for each, whatever is sent again, through whichever door, and whoever else uses the
//! same one.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

use crate::support::chat::seq;
use crate::support::{Chat, Raw, TestServer};
use serde_json::{Value, json};

/// Publishes by REST; the status and the body.
fn post(server: &TestServer, room: &str, message: &Value, key: Option<&str>) -> (u16, Value) {
    let body = message.to_string();
    let key = key.map(|key| format!("Idempotency-Key: {key}\r\n")).unwrap_or_default();
    let mut raw = Raw::connect(server);
    raw.send(
        format!(
            "POST /api/chat/rooms/{room}/messages HTTP/1.1\r\nHost: h\r\nContent-Type: application/json\r\n{key}Content-Length: {}\r\n\r\n{body}",
            body.len()
        )
        .as_bytes(),
    );
    let reply = raw.reply();
    (reply.status, serde_json::from_slice(&reply.body).unwrap())
}

#[test]
fn a_repeat_is_acknowledged_to_its_sender_alone() {
    for server in [TestServer::start(), TestServer::stored(|_| ())] {
        let mut ann = Chat::join(&server, "r", "ann");
        let mut bob = Chat::join(&server, "r", "bob");
        ann.expect("JOIN");
        ann.say_once("k1", "once");
        let first = ann.expect("MESSAGE");
        ann.say_once("k1", "once");
        let ack = ann.expect("ACK");
        for (field, of) in [("clientId", "clientId"), ("id", "id"), ("seq", "seq"), ("storedAt", "timestamp")]
        {
            assert_eq!(ack[field], first[of], "{field} of {ack}");
        }
        ann.say_once("k1", "something else");
        let error = ann.expect("ERROR");
        assert_eq!((&error["code"], &error["clientId"]), (&json!("id_reused"), &json!("k1")), "{error}");
        ann.say("after");
        for member in [&mut ann, &mut bob] {
            while member.expect("MESSAGE")["content"] != "after" {}
        }
        bob.say("mine");
        assert_eq!(seq(&bob.expect("MESSAGE")), seq(&first) + 2, "nothing but these was stored");
    }
}

#[test]
fn the_ids_of_one_sender_suppress_nothing_of_another() {
    for server in [TestServer::start(), TestServer::stored(|_| ())] {
        let mut ann = Chat::join(&server, "r", "ann");
        let mut bob = Chat::join(&server, "r", "bob");
        ann.expect("JOIN");
        ann.say_once("1", "from ann");
        bob.say_once("1", "from bob");
        let mut heard = ann.hear(2);
        heard.sort();
        assert_eq!(heard, ["from ann", "from bob"]);
        // An empty id is none, and twice nothing is no repeat.
        ann.say_once("", "again");
        ann.say_once("", "again");
        assert_eq!(ann.hear(2), ["again", "again"]);
    }
}

#[test]
fn an_id_is_its_senders_whatever_the_door() {
    let server = TestServer::stored(|_| ());
    let mut ann = Chat::join(&server, "r", "ann");
    ann.say_once("k", "c");
    let first = ann.expect("MESSAGE");
    let (by_id, by_key) =
        (json!({ "sender": "ann", "content": "c", "id": "k" }), json!({ "sender": "ann", "content": "c" }));
    assert_eq!(post(&server, "r", &by_id, None), (201, first.clone()));
    assert_eq!(post(&server, "r", &by_key, Some("k")), (201, first.clone()));
    let other = json!({ "sender": "ann", "content": "other" });
    assert_eq!(post(&server, "r", &other, Some("k")).0, 422);
    assert_eq!(post(&server, "r", &json!({ "sender": "bob", "content": "other" }), Some("k")).0, 201);
    assert_eq!(ann.hear(1), ["other"]);
    ann.say_once("k", "c");
    assert_eq!(ann.expect("ACK")["id"], first["id"]);
}

#[test]
fn ids_survive_a_restart() {
    let directory = tempfile::tempdir().unwrap();
    let start = || TestServer::stored_in(directory.path(), |_| ());
    let server = start();
    let mut ann = Chat::join(&server, "r", "ann");
    ann.say_once("k", "c");
    let first = ann.expect("MESSAGE");
    drop(ann);
    server.begin_shutdown();
    server.join();
    let server = start();
    let mut ann = Chat::join(&server, "r", "ann");
    let mut bob = Chat::join(&server, "r", "bob");
    ann.expect("JOIN");
    ann.say_once("k", "c");
    assert_eq!(ann.expect("ACK")["seq"], first["seq"]);
    ann.say_once("k", "d");
    assert_eq!(ann.expect("ERROR")["code"], "id_reused");
    bob.say_once("k", "d");
    assert_eq!(ann.hear(1), ["d"]);
}

#[test]
fn an_error_names_the_message_as_far_as_it_could_be_read() {
    let server = TestServer::start();
    let mut ann = Chat::join(&server, "r", "ann");
    let long = "x".repeat(65);
    let long_id = json!({ "content": "c", "id": long }).to_string();
    let cases = [
        (r#"{"content":1,"id":"7"}"#, json!("7")),
        (r#"{"id":"7","content":"cut"#, json!("7")),
        (&*long_id, json!(long)),
        (r#"{"content":"c","id":7}"#, Value::Null),
        ("hello", Value::Null),
    ];
    for (text, id) in cases {
        ann.client.send_text(text);
        let error = ann.expect("ERROR");
        assert_eq!((&error["code"], &error["clientId"]), (&json!("bad_message"), &id), "{text}");
    }
}
