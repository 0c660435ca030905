//! What another program has written there, and what it reads.
//!
//! The program is a chat that maps rooms to `chat_rooms` and messages to `chat_messages`, knows nothing of what else is
//! there, asks for the newest messages of a room and for those after a date, and writes whole documents of rooms.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::time::Duration;

use mongodb::bson::oid::ObjectId;
use mongodb::bson::{Bson, DateTime, Document, doc};
use serde_json::{Value, json};

use super::database::Database;
use crate::support::process::Process;
use crate::support::{now, variable};

const NOON: i64 = 1_769_860_800_000;
/// Messages of one room, three of which come in a millisecond.
const PER_MILLISECOND: i64 = 3;

/// How long the numbering of a database may take: on a server that is made for tests, two milliseconds a message.
const NUMBERING_PATIENCE: Duration = Duration::from_secs(600);

/// A message as that program inserts it.
fn message(room: &str, number: i64) -> Document {
    doc! {
        "roomId": room,
        "sender": format!("user {}", number % 5),
        "content": format!("message {number}"),
        "type": "MESSAGE",
        "timestamp": DateTime::from_millis(NOON + number / PER_MILLISECOND),
        "_class": "com.example.chat.ChatMessage",
    }
}

fn insert_old(database: &Database, room: &str, count: i64) {
    let messages: Vec<Document> = (0..count).map(|number| message(room, number)).collect();
    for chunk in messages.chunks(1_000) {
        database.ask(database.collection("chat_messages").insert_many(chunk));
    }
}

/// Its query for the newest messages of a room.
fn newest(database: &Database, room: &str, limit: i64) -> Vec<Document> {
    let messages = database.collection("chat_messages");
    database.gather(messages.find(doc! { "roomId": room }).sort(doc! { "timestamp": -1 }).limit(limit))
}

/// Its query for the messages after a date.
fn after(database: &Database, room: &str, millis: i64) -> Vec<Document> {
    let messages = database.collection("chat_messages");
    let later = doc! { "roomId": room, "timestamp": { "$gt": DateTime::from_millis(millis) } };
    database.gather(messages.find(later).sort(doc! { "timestamp": 1 }))
}

/// Opens a room, and waits until all its messages are numbered: longer than a request may take.
fn until_numbered(database: &Database, server: &Process, room: &str) {
    let start = now();
    std::thread::scope(|scope| {
        // Who asks first may not be answered in time.
        let address = server.address();
        scope.spawn(move || {
            let mut stream = TcpStream::connect(address).unwrap();
            write!(stream, "GET /api/chat/rooms/{room}/messages HTTP/1.1\r\nHost: {address}\r\n\r\n")
                .unwrap();
            stream.set_read_timeout(Some(NUMBERING_PATIENCE)).unwrap();
            let _answer = stream.read(&mut [0; 64]);
        });
        let messages = database.collection("chat_messages");
        let unnumbered =
            || database.ask(messages.count_documents(doc! { "roomId": room, "seq": Bson::Null }));
        while unnumbered() > 0 {
            assert!(start.elapsed() < NUMBERING_PATIENCE, "never numbered");
            std::thread::park_timeout(Duration::from_millis(200));
        }
    });
}

/// The whole log of a room, over REST.
fn log(server: &Process, room: &str) -> Vec<Value> {
    let mut log: Vec<Value> = Vec::new();
    loop {
        let path = format!("/api/chat/rooms/{room}/messages?limit=1000&after={}", log.len());
        let page = server.ask("GET", &path, None).1;
        let page = page.as_array().unwrap();
        if page.is_empty() {
            return log;
        }
        log.extend_from_slice(page);
    }
}

fn say(server: &Process, room: &str, content: &str) -> Value {
    let message = json!({ "sender": "ann", "content": content });
    server.ask("POST", &format!("/api/chat/rooms/{room}/messages"), Some(&message)).1
}

fn all(database: &Database, room: &str) -> Vec<Document> {
    let messages = database.collection("chat_messages");
    database.gather(messages.find(doc! { "roomId": room }).sort(doc! { "_id": 1 }))
}

#[test]
#[ignore = "needs a MongoDB: tests/mongo/run"]
fn an_old_database_is_numbered_once_and_served_and_still_read_by_its_program() {
    let count = variable("FOGHORN_OLD_MESSAGES", 10_000);
    let database = Database::new();
    let room = ObjectId::new();
    let id = room.to_hex();
    let document = doc! {
        "_id": room,
        "name": "Lobby",
        "description": "for all",
        "createdBy": "ann",
        "participants": ["ann", "bob"],
        "createdAt": DateTime::from_millis(NOON),
        "_class": "com.example.chat.ChatRoom",
    };
    database.ask(database.collection("chat_rooms").insert_one(&document));
    // Its own index, and one of Foghorn's: a database that was made for tests stands still while it builds one of many messages.
    for keys in [doc! { "roomId": 1, "timestamp": -1 }, doc! { "roomId": 1, "seq": 1 }] {
        let index = mongodb::IndexModel::builder().keys(keys).build();
        database.ask(database.collection("chat_messages").create_index(index));
    }
    insert_old(&database, &id, count);

    let server = database.serve();
    until_numbered(&database, &server, &id);
    let info = server.ask("GET", &format!("/api/chat/rooms/{id}"), None).1;
    assert_eq!(
        (&info["id"], &info["name"], &info["participants"]),
        (&json!(id), &json!("Lobby"), &json!(["ann", "bob"]))
    );
    let served = log(&server, &id);
    assert_eq!(served.len() as i64, count);
    for (number, value) in (0_i64..).zip(&served) {
        assert_eq!(value["seq"], number + 1);
        assert_eq!(value["content"], format!("message {number}"));
    }
    assert_eq!(served[1]["timestamp"], "2026-01-31T12:00:00.000001Z");
    say(&server, &id, "new");
    let numbered = all(&database, &id);
    assert!(
        numbered.iter().filter(|found| found.contains_key("_class")).count() as i64 == count,
        "fields of others stay"
    );
    server.terminate();

    // A second start changes nothing.
    let server = database.serve();
    let again = log(&server, &id);
    assert_eq!(again[..served.len()], served);
    assert_eq!((again.len() as i64, &again[served.len()]["content"]), (count + 1, &json!("new")));
    assert_eq!(all(&database, &id), numbered);

    // The program finds old and new messages in their order, and writes whole documents of rooms.
    let found = newest(&database, &id, 50);
    assert_eq!(found[0].get_str("content").unwrap(), "new");
    let dates: Vec<DateTime> = found.iter().map(|found| *found.get_datetime("timestamp").unwrap()).collect();
    assert!(dates.is_sorted_by(|newer, older| newer >= older));
    let late = after(&database, &id, NOON + (count - 1) / PER_MILLISECOND - 1);
    assert_eq!(late.last().unwrap().get_str("content").unwrap(), "new");
    let rooms = database.collection("chat_rooms");
    let mut renamed = document;
    renamed.insert("name", "Hall");
    database.ask(rooms.replace_one(doc! { "_id": room }, &renamed));
    assert_eq!(server.ask("GET", &format!("/api/chat/rooms/{id}"), None).1["name"], "Hall");
    assert_eq!(say(&server, &id, "newer")["seq"], count + 2);
    server.terminate();
}

#[test]
#[ignore = "needs a MongoDB: tests/mongo/run"]
fn what_another_program_inserts_is_numbered_when_the_room_is_next_opened() {
    let database = Database::new();
    let server = database.serve();
    say(&server, "lobby", "one");
    server.terminate();
    // Its clock is wrong, or the message is an old one: its date stays, and it comes last.
    let mut strange = vec![message("lobby", 0), message("lobby", 1)];
    strange[1].insert("timestamp", Bson::Null);
    strange[1].insert("sender", 5);
    database.ask(database.collection("chat_messages").insert_many(&strange));
    // A room that nobody has created.
    insert_old(&database, "unknown", 7);

    let server = database.serve();
    let served = log(&server, "lobby");
    let told: Vec<&str> = served.iter().map(|value| value["content"].as_str().unwrap()).collect();
    assert_eq!(told, ["one", "message 1", "message 0"]);
    let times: Vec<&str> = served.iter().map(|value| value["timestamp"].as_str().unwrap()).collect();
    assert!(times.is_sorted_by(|earlier, later| earlier < later), "{times:?}");
    assert_eq!(say(&server, "lobby", "two")["seq"], 4);
    assert_eq!(log(&server, "unknown").len(), 7);
    let kept = database.collection("chat_messages");
    let kept = database.ask(kept.find_one(doc! { "content": "message 0", "roomId": "lobby" })).unwrap();
    assert_eq!(kept.get_datetime("timestamp").unwrap().timestamp_millis(), NOON);
    server.terminate();
}

#[test]
#[ignore = "needs a MongoDB: tests/mongo/run"]
fn a_room_whose_documents_contradict_each_other_is_out_of_use_and_others_go_on() {
    let database = Database::new();
    let server = database.serve();
    for content in ["one", "two", "three"] {
        say(&server, "holey", content);
        say(&server, "odd", content);
        say(&server, "well", content);
    }
    server.terminate();
    let messages = database.collection("chat_messages");
    database.ask(messages.delete_one(doc! { "roomId": "holey", "seq": 2_i64 }));
    database
        .ask(messages.update_one(doc! { "roomId": "odd", "seq": 2_i64 }, doc! { "$set": { "seq": "two" } }));
    let server = database.serve();
    for room in ["holey", "odd"] {
        let path = format!("/api/chat/rooms/{room}/messages");
        assert_eq!(server.status("GET", &format!("{path}?after=0"), None), 503, "{room}");
        assert_eq!(
            server.status("POST", &path, Some(&json!({ "sender": "ann", "content": "x" }))),
            503,
            "{room}"
        );
    }
    assert_eq!(say(&server, "well", "four")["seq"], 4);
    assert_eq!(log(&server, "well").len(), 4);
    server.terminate();
}
