//! Long polling.

use std::time::Duration;

use serde_json::json;

use super::reader::{ask, news, poll};
use crate::support::{Chat, Raw, TestServer};

#[test]
fn a_poll_is_answered_at_once_if_there_is_news() {
    let server = TestServer::stored(|config| config.rooms.window_messages = 4);
    let mut chat = Chat::join(&server, "r", "alice");
    (0..20).for_each(|number| chat.say(&number.to_string()));
    chat.hear(20);
    let cases = [
        ("sinceSeq=1&wait=60", 0..20, 21),
        ("sinceSeq=20&wait=60", 19..20, 21),
        ("sinceSeq=19&limit=1&wait=60", 18..19, 20),
        ("sinceSeq=1&limit=7", 0..7, 8),
        ("history=2", 18..20, 21),
    ];
    for (query, expected, position) in cases {
        let reply = poll(&server, "r", query);
        let contents: Vec<_> = news(&reply).iter().map(|message| message["content"].clone()).collect();
        assert_eq!(contents, expected.map(|number| json!(number.to_string())).collect::<Vec<_>>(), "{query}");
        let at = reply.header("foghorn-position").expect("a position").rsplit(':').next().map(str::to_owned);
        assert_eq!(at, Some(position.to_string()), "{query}");
    }
    let reply = poll(&server, "r", "since=2020-01-01T00:00:00Z");
    assert_eq!(news(&reply).len(), 21);
}

#[test]
fn a_poll_waits_for_the_next_message() {
    let server = TestServer::stored(|_| ());
    let mut chat = Chat::join(&server, "r", "alice");
    for query in ["wait=30", "sinceSeq=2&wait=30", "since=2999-01-01T00:00:00Z&wait=30"] {
        let mut raw = Raw::connect(&server);
        raw.send(format!("GET /poll/rooms/r?{query} HTTP/1.1\r\nHost: h\r\n\r\n").as_bytes());
        // Its answer proves that the poll before it has been asked: the server answers in order.
        let mut said = 0;
        let reply = loop {
            chat.say("news");
            said += 1;
            raw.stream().set_read_timeout(Some(Duration::from_millis(200))).expect("a timeout");
            let mut byte = [0];
            if raw.stream().peek(&mut byte).is_ok() {
                raw.stream().set_read_timeout(Some(crate::support::PATIENCE)).expect("a timeout");
                break raw.reply();
            }
        };
        chat.hear(said);
        let heard = news(&reply);
        assert!(!heard.is_empty() && heard.iter().all(|message| message["content"] == "news"), "{query}");
    }
}

#[test]
fn a_poll_that_nothing_comes_for_ends_in_time_and_tells_where_to_go_on() {
    let server = TestServer::stored(|_| ());
    let mut chat = Chat::join(&server, "r", "alice");
    for query in ["wait=1", "wait=0", "sinceSeq=1&wait=1", "since=2999-01-01T00:00:00Z&wait=1"] {
        let reply = poll(&server, "r", query);
        assert!(news(&reply).is_empty(), "{query}");
        let (epoch, seq) =
            reply.header("foghorn-position").and_then(|at| at.split_once(':')).expect("a position");
        assert_eq!(seq, "1", "{query}");
        let again = poll(&server, "r", &format!("sinceSeq={seq}&epoch={epoch}&wait=0"));
        assert!(news(&again).is_empty());
    }
    chat.say("now");
    chat.hear(1);
    assert_eq!(news(&poll(&server, "r", "sinceSeq=1&wait=0"))[0]["content"], "now");
}

#[test]
fn a_connection_is_kept_for_the_next_poll() {
    let server = TestServer::stored(|_| ());
    let mut raw = Raw::connect(&server);
    for _ in 0..3 {
        raw.send(b"GET /poll/rooms/r?wait=0 HTTP/1.1\r\nHost: h\r\n\r\n");
    }
    raw.send(b"GET /poll/rooms/r?wait=1 HTTP/1.1\r\nHost: h\r\n\r\nGET /healthz HTTP/1.1\r\nHost: h\r\n\r\n");
    for _ in 0..5 {
        assert_eq!(raw.reply().status, 200);
    }
}

#[test]
fn what_is_lost_is_told_exactly() {
    let server = TestServer::stored(|_| ());
    let mut chat = Chat::join(&server, "r", "alice");
    chat.say("one");
    chat.hear(1);
    for query in ["sinceSeq=1&epoch=00000000000000aa", "sinceSeq=99"] {
        let reply = poll(&server, "r", query);
        let gap = json!({"type":"GAP","roomId":"r","from":1,"to":2});
        let mut got = news(&reply);
        let mut take = |name| got[0].as_object_mut().and_then(|object| object.remove(name));
        let epoch = take("epoch").expect("an epoch");
        assert!(take("timestamp").is_some());
        assert_eq!(got, [gap], "{query}");
        assert_eq!(
            reply.header("foghorn-position"),
            Some(format!("{}:2", epoch.as_str().expect("text")).as_str())
        );
    }
}

#[test]
fn a_poll_is_answered_when_the_server_shuts_down() {
    let server = TestServer::stored(|_| ());
    let mut raw = Raw::connect(&server);
    raw.send(b"GET /poll/rooms/r?wait=60 HTTP/1.1\r\nHost: h\r\n\r\n");
    // Another one shows that the room is open, so that the first one waits in it.
    assert!(news(&poll(&server, "r", "wait=1")).is_empty());
    server.begin_shutdown();
    let reply = raw.reply();
    assert!(news(&reply).is_empty() && reply.header("foghorn-position").is_some());
    raw.expect_end();
    server.join();
}

#[test]
fn malformed_polls_are_refused() {
    let server = TestServer::stored(|_| ());
    for query in
        ["wait=61", "wait=-1", "wait=x", "limit=0", "limit=1001", "sinceSeq=x", "epoch=1", "since=now"]
    {
        assert_eq!(poll(&server, "r", query).status, 400, "{query}");
    }
    assert_eq!(ask(&server, "PUT", "/poll/rooms/r", "Content-Length: 0\r\n").status, 405);
}

#[test]
fn polls_of_a_deleted_room_end() {
    let server = TestServer::stored(|_| ());
    let body = r#"{"name":"n","description":"","createdBy":"a"}"#;
    let fields = format!("Content-Type: application/json\r\nContent-Length: {}\r\n\r\n{body}", body.len());
    let room = ask(&server, "POST", "/api/chat/rooms", &fields);
    let id = room.header("location").expect("a room").rsplit('/').next().expect("an id").to_owned();
    let mut raw = Raw::connect(&server);
    raw.send(format!("GET /poll/rooms/{id}?wait=60 HTTP/1.1\r\nHost: h\r\n\r\n").as_bytes());
    // The room's members are found by name, so the poll is there once the room is known to the shard.
    assert_eq!(poll(&server, &id, "wait=1").status, 200);
    assert_eq!(ask(&server, "DELETE", &format!("/api/chat/rooms/{id}"), "").status, 204);
    assert_eq!(raw.reply().status, 404);
}
