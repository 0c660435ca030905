//! Messages read and published.

use foghorn::store::Location;
use serde_json::{Value, json};

use super::client::{Reply, TestServer};

fn seqs(messages: &Value) -> Vec<u64> {
    messages.as_array().unwrap().iter().map(|message| message["seq"].as_u64().unwrap()).collect()
}

fn page(server: &TestServer, room: &str, query: &str) -> Reply {
    server.get(&format!("/api/chat/rooms/{room}/messages?{query}")).expect(200)
}

/// The number in `Foghorn-Position`, after a look at the epoch.
fn position(reply: &Reply) -> u64 {
    let (epoch, seq) = reply.header("Foghorn-Position").unwrap().split_once(':').unwrap();
    assert_eq!((epoch.len(), u64::from_str_radix(epoch, 16).is_ok()), (16, true), "{epoch}");
    seq.parse().unwrap()
}

#[test]
fn a_store_that_takes_one_batch_at_a_time_is_waited_for() {
    const MESSAGES: usize = 400;
    // So few bytes that a batch gets in only when no other one waits.
    let server = TestServer::with_store(
        |_| (),
        |store| {
            store.queue_bytes_max = 1;
            Location::Memory
        },
    );
    let members: Vec<_> = (0..6).map(|_| server.member(&server.new_room(), "bob")).collect();
    std::thread::scope(|scope| {
        for mut member in members {
            scope.spawn(move || {
                for number in 0..MESSAGES {
                    member.say(&json!({ "content": number.to_string() }));
                }
                for number in 0..MESSAGES {
                    assert_eq!(member.next()["content"], number.to_string());
                }
            });
        }
    });
}

#[test]
fn a_posted_message_is_the_one_that_members_get_and_the_log_keeps() {
    let server = TestServer::start();
    let room = server.new_room();
    let mut member = server.member(&room, "bob");
    let posted = server.say(&room, "hi \"<b>\" \u{1f32b}\u{2028}");
    assert_eq!(
        (&posted["type"], &posted["sender"], &posted["seq"]),
        (&json!("MESSAGE"), &json!("alice"), &json!(2))
    );
    assert_eq!(member.next(), posted);
    assert_eq!(page(&server, &room, "limit=1").json(), json!([posted]));
}

#[test]
fn pages_go_back_from_the_newest_and_on_from_anywhere() {
    let server = TestServer::start();
    let room = server.new_room();
    let messages: Vec<Value> = (0..10).map(|n| server.say(&room, &n.to_string())).collect();
    let at = |seq: usize| messages[seq - 1]["timestamp"].as_str().unwrap();
    let cases: [(String, Vec<u64>, u64); 13] = [
        (String::new(), (1..=10).rev().collect(), 10),
        ("limit=3".into(), vec![10, 9, 8], 10),
        ("limit=3&before=8".into(), vec![7, 6, 5], 7),
        ("before=1".into(), vec![], 0),
        ("before=0".into(), vec![], 0),
        ("before=18446744073709551615&limit=1".into(), vec![10], 10),
        ("after=0&limit=3".into(), vec![1, 2, 3], 3),
        ("after=8".into(), vec![9, 10], 10),
        ("after=2&before=5".into(), vec![3, 4], 4),
        ("after=10".into(), vec![], 10),
        ("after=18446744073709551615".into(), vec![], 10),
        (format!("since={}", at(7)), vec![8, 9, 10], 10),
        ("since=2999-01-01T00:00:00Z".into(), vec![], 10),
    ];
    for (query, expected, end) in cases {
        let reply = page(&server, &room, &query);
        assert_eq!((seqs(&reply.json()), position(&reply)), (expected, end), "{query}");
    }
    let since_before_all = page(&server, &room, "since=1970-01-01T00:00:00&limit=2");
    assert_eq!(since_before_all.json(), json!(messages[..2]));
}

#[test]
fn wrong_parameters_are_named_and_refused() {
    let server = TestServer::start();
    let room = server.new_room();
    let cases = [
        ("limit=0", "limit is not between 1 and 1000"),
        ("limit=1001", "limit is not between 1 and 1000"),
        ("limit=18446744073709551616", "limit is not a number"),
        ("limit=", "limit is not a number"),
        ("limit=5.0", "limit is not a number"),
        ("before=-1", "before is not a number"),
        ("after=+1", "after is not a number"),
        ("after=0x1", "after is not a number"),
        ("since=", "since is not a time"),
        ("since=17", "since is not a time"),
        ("since=%ff", "the query is not percent-encoded UTF-8"),
        ("after=1&since=2026-01-31T12:00:00Z", "after and since exclude each other"),
    ];
    for (query, detail) in cases {
        let reply = server.get(&format!("/api/chat/rooms/{room}/messages?{query}")).expect(400);
        assert_eq!(reply.problem(), detail, "{query}");
    }
    server.get("/api/chat/rooms/nowhere/messages").expect(404).problem();
}

#[test]
fn the_position_goes_on_where_the_page_ends() {
    let server = TestServer::start();
    let room = server.new_room();
    for n in 0..5 {
        server.say(&room, &n.to_string());
    }
    let reply = page(&server, &room, "after=0&limit=3");
    let position = reply.header("Foghorn-Position").unwrap();
    let (epoch, seq) = position.split_once(':').unwrap();
    let mut member = server.enter(&room, "bob", &format!("&sinceSeq={seq}&epoch={epoch}"));
    let rest: Vec<u64> = (0..3).map(|_| member.next()["seq"].as_u64().unwrap()).collect();
    assert_eq!(rest, [4, 5, 6]);
}

#[test]
fn a_repeated_id_publishes_once_and_is_answered_alike() {
    let server = TestServer::with(|config| config.rooms.window_messages = 4);
    let room = server.new_room();
    let path = format!("/api/chat/rooms/{room}/messages");
    let mut connection = server.connect();
    let once = json!({ "sender": "alice", "content": "once", "id": "k-1" });
    let first = connection.post(&path, &once).expect(201).json();
    assert_eq!(first["clientId"], "k-1");
    assert_eq!(connection.post(&path, &once).expect(201).json(), first);
    let json_type = ("Content-Type", "application/json");
    for key in ["k-1", "\"k-1\""] {
        let headers = [json_type, ("Idempotency-Key", key)];
        let repeat = connection.ask_with("POST", &path, &headers, br#"{"sender":"alice","content":"once"}"#);
        assert_eq!(repeat.expect(201).json(), first, "{key}");
    }
    // Far enough back to be read from the store.
    for n in 0..10 {
        server.say(&room, &n.to_string());
    }
    assert_eq!(connection.post(&path, &once).expect(201).json(), first);
    assert_eq!(seqs(&page(&server, &room, "").json()).len(), 11);
}

#[test]
fn keys_that_contradict_or_are_none_are_refused() {
    let server = TestServer::start();
    let room = server.new_room();
    let path = format!("/api/chat/rooms/{room}/messages");
    let json_type = ("Content-Type", "application/json");
    let long = "k".repeat(65);
    let with_id = br#"{"sender":"a","content":"c","id":"k-1"}"#;
    let plain = br#"{"sender":"a","content":"c"}"#;
    let cases = [
        (vec![("Idempotency-Key", "k-2")], &with_id[..], 422),
        (vec![("Idempotency-Key", "")], plain, 400),
        (vec![("Idempotency-Key", "\"\"")], plain, 400),
        (vec![("Idempotency-Key", &*long)], plain, 400),
        (vec![("Idempotency-Key", "a"), ("Idempotency-Key", "a")], plain, 400),
    ];
    for (headers, body, status) in cases {
        let headers = [&*headers, &[json_type]].concat();
        server.connect().ask_with("POST", &path, &headers, body).expect(status).problem();
    }
    assert_eq!(page(&server, &room, "").json(), json!([]));
}

#[test]
fn what_is_no_message_is_refused_with_the_field_that_is_wrong() {
    let server = TestServer::with(|config| config.limits.message_bytes = 1000);
    let room = server.new_room();
    let path = format!("/api/chat/rooms/{room}/messages");
    let cases = [
        (json!({ "content": "c" }), "sender is missing"),
        (json!({ "sender": "a" }), "content is missing"),
        (json!({ "sender": "", "content": "c" }), "sender must have"),
        (json!({ "sender": "a\n", "content": "c" }), "sender must have"),
        (json!({ "sender": "a".repeat(65), "content": "c" }), "sender must have"),
        (json!({ "sender": "a", "content": 1 }), "content must be a string"),
        (json!({ "sender": "sYstem", "content": "c" }), "sender must have"),
        (json!({ "sender": "a", "content": "c", "id": 1 }), "id must be a string"),
        (json!({ "sender": "a", "content": "c", "id": "k".repeat(65) }), "id must have 1 to 64 bytes"),
    ];
    for (message, detail) in cases {
        let problem = server.post(&path, &message).expect(422).problem();
        assert!(problem.starts_with(detail), "{message}: {problem}");
    }
    server.post(&path, &json!({ "sender": "a", "content": "c".repeat(1000), "id": null })).expect(201);
    server.post(&path, &json!({ "sender": "a", "content": "c", "id": "" })).expect(201);
    let long = server.post(&path, &json!({ "sender": "a", "content": "c".repeat(1001) })).expect(413);
    assert!(long.problem().starts_with("content is longer than 1000 bytes"));
    let message = json!({ "sender": "a", "content": "c" });
    for name in [".", "..", "System", "%E2%80%8B", "a%E2%80%AE"] {
        server.post(&format!("/api/chat/rooms/{name}/messages"), &message).expect(422).problem();
    }
    assert_eq!(server.post("/api/chat/rooms/new/messages", &message).expect(201).json()["seq"], 1);
    let closed = TestServer::with(|config| config.chat.open_rooms = false);
    closed.post("/api/chat/rooms/nowhere/messages", &message).expect(404).problem();
}

#[test]
fn whoever_publishes_too_fast_is_told_when_to_come_back() {
    let server = TestServer::with(|config| {
        config.limits.messages_per_second = 1;
        config.limits.burst = std::time::Duration::from_secs(1);
    });
    let path = format!("/api/chat/rooms/{}/messages", server.new_room());
    let message = json!({ "sender": "alice", "content": "again" });
    let mut connection = server.connect();
    connection.post(&path, &message).expect(201);
    let refused = std::iter::repeat_with(|| connection.post(&path, &message)).take(10_000);
    let refused = refused.into_iter().find(|reply| reply.status != 201).unwrap().expect(429);
    let problem: Value = serde_json::from_slice(&refused.body).unwrap();
    assert_eq!((&problem["code"], refused.header("Retry-After")), (&json!("rate_limited"), Some("1")));
    assert!((1..=1_000).contains(&problem["retryAfter"].as_u64().unwrap()), "{problem}");
    assert!(connection.ask("GET", "/api/stats").json()["limits"]["messages_per_second"].as_u64() > Some(0));
    // Reading goes on.
    connection.ask("GET", &path).expect(200);
}
