//! Server-sent events.

use std::time::Duration;

use serde_json::json;

use super::reader::{NEVER, Reader, ask};
use crate::support::{Chat, Raw, TestServer, eventually};

#[test]
fn every_message_is_an_event_whose_id_is_its_position() {
    let server = TestServer::stored(|_| ());
    let mut reader = Reader::open(&server, "r", "");
    let mut chat = Chat::join(&server, "r", "alice");
    chat.say("line\nbreaks \u{2028} and \"quotes\"");
    let events: Vec<_> = (0..2).map(|_| reader.next().expect("an event")).collect();
    let kinds: Vec<_> = events.iter().map(|event| event.data()["type"].clone()).collect();
    assert_eq!(kinds, [json!("JOIN"), json!("MESSAGE")]);
    assert_eq!(events[1].data()["content"], "line\nbreaks \u{2028} and \"quotes\"");
    for (event, seq) in events.iter().zip(1..) {
        assert_eq!((event.seq(), &event.data()["seq"]), (seq, &json!(seq)));
    }
    assert_eq!(*events[1].data(), chat.next(), "the same object as on the WebSocket");
}

#[test]
fn a_reader_announces_nobody_and_is_no_member() {
    let server = TestServer::stored(|_| ());
    let _reader = Reader::open(&server, "r", "username=ghost");
    let mut chat = Chat::enter(&server, "r", "alice", "&hello=1");
    assert_eq!(chat.next()["online"], 1);
    assert_eq!(chat.next()["content"], "alice joined");
    let online = ask(&server, "GET", "/api/chat/rooms/r/online", "");
    let online: serde_json::Value = serde_json::from_slice(&online.body).expect("JSON");
    assert_eq!((&online["count"], online["sessions"].as_array().map(Vec::len)), (&json!(1), Some(1)));
}

#[test]
fn a_stream_begins_where_it_is_told_to() {
    let server = TestServer::stored(|config| config.rooms.window_messages = 4);
    let mut chat = Chat::join(&server, "r", "alice");
    (0..20).for_each(|number| chat.say(&number.to_string()));
    chat.hear(20);
    let cases = [
        ("sinceSeq=1", 0..20),
        ("sinceSeq=19", 18..20),
        ("history=3", 17..20),
        ("since=2020-01-01T00:00:00Z", 0..20),
    ];
    for (query, expected) in cases {
        let mut reader = Reader::open(&server, "r", query);
        if query.starts_with("since=") {
            assert_eq!(reader.next().expect("an event").data()["type"], "JOIN");
        }
        let expected: Vec<_> = expected.map(|number| number.to_string()).collect();
        assert_eq!(reader.hear(expected.len()), expected, "{query}");
    }
}

#[test]
fn a_reader_that_comes_back_misses_nothing_and_gets_nothing_twice() {
    let server = TestServer::stored(|config| config.rooms.window_messages = 8);
    let mut reader = Reader::open(&server, "r", "");
    let mut chat = Chat::join(&server, "r", "alice");
    assert_eq!(reader.hear(1), ["alice joined"]);
    let mut heard = Vec::new();
    for round in 0..10 {
        (0..10).for_each(|number| chat.say(&(round * 10 + number).to_string()));
        heard.extend(reader.hear(if round % 2 == 0 { 3 } else { 10 }));
        let last_id = reader.last_id.clone().expect("a position");
        reader = Reader::resume(&server, "r", &last_id);
    }
    heard.extend(reader.hear(100 - heard.len()));
    assert_eq!(heard, (0..100).map(|number| number.to_string()).collect::<Vec<_>>());
}

/// What plays the browser's `EventSource` cannot set header fields.
#[test]
fn the_last_position_may_come_back_in_the_query() {
    let server = TestServer::stored(|_| ());
    let mut chat = Chat::join(&server, "r", "alice");
    (0..5).for_each(|number| chat.say(&number.to_string()));
    chat.hear(5);
    let mut reader = Reader::open(&server, "r", "sinceSeq=0");
    reader.hear(3);
    let last = reader.last_id.clone().expect("a position");
    let encoded = last.replace(':', "%3A");
    for query in [
        format!("lastEventId={last}"),
        format!("sinceSeq=0&lastEventId={encoded}"),
        format!("lastEventId=nonsense&lastEventId={encoded}&history=1"),
    ] {
        assert_eq!(Reader::open(&server, "r", &query).hear(2), ["2", "3"], "{query}");
    }
    assert_eq!(Reader::open(&server, "r", "sinceSeq=0&lastEventId=").hear(1), ["alice joined"]);
    // The header is of the last event, the query of the page's address.
    let mut reader = Reader::over(Raw::connect(&server), "r", "lastEventId=00000000000000aa:0", Some(&last));
    assert_eq!(reader.hear(2), ["2", "3"]);
}

#[test]
fn of_a_repeated_parameter_the_last_counts() {
    let server = TestServer::stored(|_| ());
    let mut chat = Chat::join(&server, "r", "alice");
    (0..5).for_each(|number| chat.say(&number.to_string()));
    chat.hear(5);
    let mut reader = Reader::open(&server, "r", "sinceSeq=x&sinceSeq=0&sinceSeq=4");
    assert_eq!(reader.hear(2), ["3", "4"]);
    let poll = ask(&server, "GET", "/poll/rooms/r?wait=x&limit=0&wait=0&sinceSeq=0&limit=1", "");
    let messages: serde_json::Value = serde_json::from_slice(&poll.body).expect("JSON");
    assert_eq!((poll.status, messages.as_array().map(Vec::len)), (200, Some(1)));
    let page = ask(&server, "GET", "/api/chat/rooms/r/messages?limit=0&limit=2&%6cimit=3", "");
    let messages: serde_json::Value = serde_json::from_slice(&page.body).expect("JSON");
    assert_eq!((page.status, messages.as_array().map(Vec::len)), (200, Some(3)));
}

#[test]
fn the_position_is_known_before_anything_has_happened() {
    let server = TestServer::stored(|_| ());
    let reader = Reader::open(&server, "r", "");
    let last_id = reader.last_id.clone().expect("a position");
    drop(reader);
    let mut chat = Chat::join(&server, "r", "alice");
    chat.say("meanwhile");
    assert_eq!(Reader::resume(&server, "r", &last_id).hear(2), ["alice joined", "meanwhile"]);
}

#[test]
fn a_stream_tells_where_it_begins_and_takes_a_position_in_the_query() {
    let server = TestServer::stored(|_| ());
    let mut chat = Chat::join(&server, "r", "alice");
    chat.say("one");
    chat.say("two");
    chat.hear(2);
    let begins_at = |query: &str| Reader::open(&server, "r", query).last_id.clone();
    let live = begins_at("").expect("a position");
    let (epoch_now, head) = live.split_once(':').expect("a position");
    assert_eq!((epoch_now.len(), head), (16, "3"));
    assert_eq!(begins_at("sinceSeq=1"), Some(format!("{epoch_now}:1")));
    assert_eq!(begins_at("history=1"), Some(format!("{epoch_now}:2")));
    let from = format!("lastEventId={epoch_now}:1");
    assert_eq!(Reader::open(&server, "r", &from).hear(2), ["one", "two"]);
    // What the browser itself brings back is newer than the URL that it began with.
    let mut both = Reader::over(Raw::connect(&server), "r", &from, Some(&format!("{epoch_now}:2")));
    assert_eq!(both.hear(1), ["two"]);
    // Before the first entry of any epoch.
    let mut all = Reader::open(&server, "r", "lastEventId=0:0");
    assert_eq!(all.hear(3), ["alice joined", "one", "two"]);
    let reply = ask(&server, "GET", "/sse/rooms/r?lastEventId=7", "");
    assert_eq!(reply.status, 400);
}

/// If its place were given back twice, two newcomers would have it, and speak in each other's rooms.
#[test]
fn the_place_of_a_stream_that_has_ended_is_given_to_one_newcomer() {
    let server = TestServer::stored(|config| config.workers = Some(1));
    let mut reader = Reader::open(&server, "r", "");
    reader.raw().finish();
    assert_eq!(reader.next(), None);
    let (mut alice, mut bob) = (Chat::join(&server, "a", "alice"), Chat::join(&server, "b", "bob"));
    alice.say("to a");
    bob.say("to b");
    for (chat, room, sender) in [(&mut alice, "a", "alice"), (&mut bob, "b", "bob")] {
        let message = chat.expect("MESSAGE");
        assert_eq!((&message["roomId"], &message["sender"]), (&json!(room), &json!(sender)), "{message}");
    }
}

#[test]
fn a_position_in_another_log_is_answered_with_a_gap() {
    let server = TestServer::stored(|_| ());
    let mut chat = Chat::join(&server, "r", "alice");
    chat.say("one");
    chat.hear(1);
    let mut reader = Reader::resume(&server, "r", "00000000000000aa:7");
    let gap = reader.next().expect("a gap");
    assert_eq!((&gap.data()["type"], &gap.data()["from"], gap.seq()), (&json!("GAP"), &json!(1), 2));
    chat.say("two");
    assert_eq!(reader.hear(1), ["two"]);
}

#[test]
fn what_cannot_be_read_is_refused_with_a_status() {
    let server = TestServer::stored(|config| config.chat.open_rooms = false);
    let cases = [
        ("GET", "/sse/rooms/nowhere", "", 404),
        ("GET", "/sse/rooms/", "", 404),
        ("GET", "/sse/rooms/a/b", "", 404),
        ("GET", "/sse/rooms/%ff", "", 400),
        ("GET", "/sse/rooms/%00", "", 404),
        ("GET", "/sse/rooms/r?sinceSeq=x", "", 400),
        ("GET", "/sse/rooms/r?since=yesterday", "", 400),
        ("GET", "/sse/rooms/r?username=%00", "", 400),
        ("GET", "/sse/rooms/r", "Last-Event-ID: 7\r\n", 400),
        ("GET", "/sse/rooms/r?lastEventId=7", "", 400),
        ("GET", "/sse/rooms/r?lastEventId=%ff", "", 400),
        ("GET", "/sse/rooms/r", "Last-Event-ID: 1:1\r\nLast-Event-ID: 1:1\r\n", 400),
        ("GET", "/sse/rooms/r", "Origin: http://elsewhere.example\r\n", 403),
        ("POST", "/sse/rooms/r", "", 405),
        ("OPTIONS", "/sse/rooms/r", "", 204),
        ("HEAD", "/sse/rooms/r", "", 200),
    ];
    for (method, path, fields, status) in cases {
        assert_eq!(ask(&server, method, path, fields).status, status, "{method} {path} {fields}");
    }
}

#[test]
fn a_page_of_an_allowed_origin_may_read() {
    let server = TestServer::stored(|_| ());
    let reply = ask(&server, "HEAD", "/sse/rooms/r", "Origin: http://h\r\n");
    assert_eq!(reply.header("access-control-allow-origin"), Some("http://h"));
}

#[test]
fn a_user_that_is_thrown_out_is_so_here_too() {
    let server = TestServer::stored(|_| ());
    let _chat = Chat::join(&server, "r", "alice");
    let mut reader = Reader::open(&server, "r", "username=bob");
    let kicked = ask(&server, "POST", "/api/chat/rooms/r/kick?username=bob&ban=60s", "Content-Length: 0\r\n");
    assert_eq!(kicked.body, br#"{"closed":1}"#);
    assert_eq!(reader.next(), None);
    assert_eq!(ask(&server, "GET", "/sse/rooms/r?username=bob", "").status, 403);
    assert_eq!(ask(&server, "GET", "/poll/rooms/r?username=bob", "").status, 403);
}

#[test]
fn a_stream_ends_with_its_room_and_with_the_server() {
    let server = TestServer::stored(|_| ());
    let body = r#"{"name":"n","description":"","createdBy":"a"}"#;
    let fields = format!("Content-Type: application/json\r\nContent-Length: {}\r\n\r\n{body}", body.len());
    let room = ask(&server, "POST", "/api/chat/rooms", &fields);
    let id = room.header("location").expect("a room").rsplit('/').next().expect("an id").to_owned();
    let mut reader = Reader::open(&server, &id, "");
    assert_eq!(ask(&server, "DELETE", &format!("/api/chat/rooms/{id}"), "").status, 204);
    assert_eq!(reader.next(), None);
    let mut reader = Reader::open(&server, "r", "");
    let mut chat = Chat::join(&server, "r", "alice");
    chat.say("last words");
    chat.hear(1);
    server.begin_shutdown();
    assert_eq!(reader.hear(2), ["alice joined", "last words"]);
    while reader.next().is_some() {}
    drop(chat);
    server.join();
}

#[test]
fn comments_keep_a_silent_stream_alive() {
    let server = TestServer::stored(|config| config.heartbeat.text_interval = Duration::from_millis(50));
    let mut reader = Reader::open(&server, "r", "");
    for _ in 0..3 {
        assert_eq!(reader.raw().paragraph().as_deref(), Some(":"));
    }
}

#[test]
fn a_reader_that_takes_nothing_is_dropped_and_nobody_waits_for_it() {
    let server = TestServer::stored(|config| {
        config.limits.write_timeout = Duration::from_millis(300);
        config.heartbeat.text_interval = Duration::from_millis(100);
    });
    let mut reader = Reader::over(Raw::connect_with_small_buffer(&server), "r", "", None);
    let mut chat = Chat::join(&server, "r", "alice");
    let long = "x".repeat(60_000);
    for _ in 0..200 {
        chat.say(&long);
        chat.hear(1);
    }
    eventually("the connection is dropped", || {
        let stats = ask(&server, "GET", "/api/stats", "");
        let stats: serde_json::Value = serde_json::from_slice(&stats.body).expect("JSON");
        stats["limits"]["write_timeout"] == 1
    });
    reader.raw().expect_gone();
}

#[test]
fn whatever_a_reader_sends_is_of_no_interest() {
    let server = TestServer::stored(|config| config.heartbeat.text_interval = NEVER);
    let mut reader = Reader::open(&server, "r", "");
    reader.raw().send(&b"GET /nowhere HTTP/1.1\r\nHost: h\r\n\r\n".repeat(1000));
    let mut chat = Chat::join(&server, "r", "alice");
    chat.say("still here");
    assert_eq!(reader.hear(2), ["alice joined", "still here"]);
    // Its end ends the stream, too: whoever goes away without a word would be followed for ever otherwise.
    reader.raw().finish();
    assert_eq!(reader.next(), None);
}
