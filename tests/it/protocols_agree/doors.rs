//! What is not there comes through no door, and every door says so: an answer whose position advances has every number
//! in it, as a message or in a gap.

use foghorn::config::Durability;
use serde_json::{Value, json};

use super::readers::{Position, Reader, Tongue};
use crate::support::{Chat, Coverage, Raw, Reply, TestServer, eventually};

const START: Position = Position { epoch: None, seq: 0 };

fn get(server: &TestServer, path: &str) -> Reply {
    let mut raw = Raw::connect(server);
    raw.send(format!("GET {path} HTTP/1.1\r\nHost: h\r\n\r\n").as_bytes());
    raw.reply()
}

fn array(reply: &Reply) -> Vec<Value> {
    assert_eq!(reply.status, 200, "{}", String::from_utf8_lossy(&reply.body));
    serde_json::from_slice(&reply.body).expect("an array")
}

/// The position that an answer ends at: epoch and number.
fn position(reply: &Reply) -> (String, u64) {
    let (epoch, seq) =
        reply.header("foghorn-position").and_then(|at| at.split_once(':')).expect("a position");
    (epoch.to_owned(), seq.parse().expect("a number"))
}

/// A room in which alice has said so much, at once.
fn speak(server: &TestServer, room: &str, count: usize) -> Chat {
    let mut chat = Chat::join(server, room, "alice");
    (1..=count).for_each(|number| chat.say(&number.to_string()));
    assert_eq!(chat.hear(count).len(), count, "who is there gets everything");
    chat
}

/// Polls from `query` up to `head`, whatever comes; the numbers of the messages.
fn poll_up_to(server: &TestServer, room: &str, query: &str, first: u64, head: u64) -> Vec<u64> {
    let (mut coverage, mut query, mut seqs) = (Coverage::from(first), query.to_owned(), Vec::new());
    while coverage.next <= head {
        let before = coverage.next;
        let reply = get(server, &format!("/poll/rooms/{room}?{query}&wait=0&limit=7"));
        for value in array(&reply) {
            coverage.take(&value);
            seqs.extend((value["type"] != "GAP").then(|| value["seq"].as_u64().expect("a number")));
        }
        let (epoch, seq) = position(&reply);
        assert_eq!(seq + 1, coverage.next, "{query}: the position is not that of what was told");
        assert!(coverage.next > before, "{query}: nothing, though {head} messages are there");
        query = format!("sinceSeq={seq}&epoch={epoch}");
    }
    seqs
}

#[test]
fn what_a_room_keeps_no_longer_comes_through_no_door() {
    for window in [4, 256] {
        let server = TestServer::stored(|config| {
            config.rooms.window_messages = window;
            config.history.messages_max = 10;
        });
        let _alice = speak(&server, "r", 50);
        let kept: Vec<_> = (42..=51).collect();
        assert_eq!(poll_up_to(&server, "r", "sinceSeq=0", 1, 51), kept);
        assert_eq!(poll_up_to(&server, "r", "since=1970-01-01T00:00:00Z", 1, 51), kept);
        assert_eq!(poll_up_to(&server, "r", "history=1000", 42, 51), kept);
        for (query, expected) in [
            ("after=0&limit=1000", kept.clone()),
            ("since=1970-01-01T00:00:00Z&limit=1000", kept.clone()),
            ("limit=1000", kept.iter().rev().copied().collect()),
            ("before=45", vec![44, 43, 42]),
        ] {
            let reply = get(&server, &format!("/api/chat/rooms/r/messages?{query}"));
            let seqs: Vec<_> = array(&reply).iter().filter_map(|message| message["seq"].as_u64()).collect();
            assert_eq!(seqs, expected, "{query}");
        }
        // The JSON member last: it says that it has come.
        for tongue in [Tongue::Polls, Tongue::Events, Tongue::Stomp, Tongue::Json] {
            let mut reader = Reader::open(&server, tongue, "r", START);
            assert_eq!(reader.hear(), (1, 41, true), "{tongue:?}, {window}");
            for seq in &kept {
                let heard = reader.hear();
                // Its own JOIN takes the place of one that it has not read yet.
                let is_pushed_out = matches!((tongue, seq, heard), (Tongue::Json, 42, (42, 42, true)));
                assert!(is_pushed_out || heard == (*seq, *seq, false), "{heard:?}, {tongue:?}, {window}");
            }
        }
    }
}

#[test]
fn a_room_has_its_own_retention_and_what_grew_too_old_comes_through_no_door() {
    let server = TestServer::stored(|_| ());
    let body = json!({ "name": "n", "createdBy": "alice", "retention": { "age": "1s" } }).to_string();
    let mut raw = Raw::connect(&server);
    let head =
        "POST /api/chat/rooms HTTP/1.1\r\nHost: h\r\nContent-Type: application/json\r\nContent-Length: ";
    raw.send(format!("{head}{}\r\n\r\n{body}", body.len()).as_bytes());
    let reply = raw.reply();
    assert_eq!(reply.status, 201, "{}", String::from_utf8_lossy(&reply.body));
    let room: Value = serde_json::from_slice(&reply.body).expect("JSON");
    let room = room["id"].as_str().expect("an id");
    let _alice = speak(&server, room, 5);
    eventually("the messages grow too old", || {
        array(&get(&server, &format!("/poll/rooms/{room}?sinceSeq=0&wait=0"))).len() == 1
    });
    for tongue in [Tongue::Polls, Tongue::Events, Tongue::Stomp, Tongue::Json] {
        assert_eq!(Reader::open(&server, tongue, room, START).hear(), (1, 6, true), "{tongue:?}");
    }
    let mut late = Chat::enter(&server, room, "late", "&since=1970-01-01T00:00:00Z");
    assert_eq!(late.expect("GAP")["from"], 1);
    let rest = array(&get(&server, &format!("/api/chat/rooms/{room}/messages?after=0")));
    assert!(rest.iter().all(|message| message["type"] != "MESSAGE"), "{rest:?}");
}

#[test]
fn every_answer_of_a_poll_covers_all_numbers_whatever_the_room_survives() {
    for durability in [Durability::Commit, Durability::Async, Durability::Off] {
        let server = TestServer::stored(|config| {
            config.rooms.window_messages = 16;
            config.history.durability = durability;
        });
        let _alice = speak(&server, "r", 100);
        let kept = |from: u64| (from..=101).collect::<Vec<_>>();
        // What is in memory alone is there as far as the window reaches.
        let oldest = if durability == Durability::Off { 86 } else { 1 };
        assert_eq!(poll_up_to(&server, "r", "sinceSeq=0", 1, 101), kept(oldest), "{durability:?}");
        assert_eq!(poll_up_to(&server, "r", "sinceSeq=90", 91, 101), kept(91), "{durability:?}");
        assert_eq!(
            poll_up_to(&server, "r", "since=1970-01-01T00:00:00Z", 1, 101),
            kept(oldest),
            "{durability:?}"
        );
        let reply = get(&server, "/poll/rooms/r?sinceSeq=1&epoch=00000000000000aa&wait=0");
        let (epoch, seq) = position(&reply);
        assert_eq!((seq, array(&reply)[0]["to"].as_u64()), (101, Some(101)));
        let again = get(&server, &format!("/poll/rooms/r?sinceSeq={seq}&epoch={epoch}&wait=0"));
        assert_eq!(array(&again), Vec::<Value>::new(), "the room knows its own epoch");
    }
}
