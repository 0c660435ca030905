//! How the server says it is.

use foghorn::store::Location;
use serde_json::json;

use super::client::TestServer;

#[test]
fn the_server_is_alive_and_ready() {
    let server = TestServer::start();
    for path in ["/healthz", "/readyz"] {
        let reply = server.get(path).expect(200);
        assert_eq!(reply.json(), json!({ "status": "ok" }));
        assert_eq!(reply.header("Cache-Control"), Some("no-store"));
    }
}

#[test]
fn stats_add_up_over_the_shards() {
    let server = TestServer::start();
    let rooms: Vec<String> = (0..8).map(|_| server.new_room()).collect();
    let _members: Vec<_> = rooms.iter().map(|room| server.member(room, "bob")).collect();
    let stats = server.get("/api/stats").expect(200).json();
    let shards = stats["shards"].as_array().unwrap();
    assert_eq!(shards.len(), 2);
    for (name, total) in [("rooms", 8), ("members", 8), ("messages", 8), ("unstored", 0), ("lag", 0)] {
        assert_eq!(stats[name], total, "{name}: {stats}");
        assert_eq!(
            shards.iter().map(|shard| shard[name].as_u64().unwrap()).sum::<u64>(),
            total,
            "{name}: {stats}"
        );
    }
    assert_eq!((&stats["lagMax"], &stats["store"]), (&json!(0), &json!("healthy")));
}

#[test]
fn stats_say_how_loaded_each_thread_is_and_how_values_are_spread() {
    let server = TestServer::start();
    let room = server.new_room();
    let _members: Vec<_> = ["ann", "bob", "cid"].map(|user| server.member(&room, user)).into();
    let total = |spread: &serde_json::Value| {
        let (bounds, counts) = (spread["bounds"].as_array().unwrap(), spread["counts"].as_array().unwrap());
        assert_eq!(counts.len(), bounds.len() + 1, "{spread}");
        counts.iter().map(|count| count.as_u64().unwrap()).sum::<u64>()
    };
    let stats = server.get("/api/stats").json();
    assert_eq!(total(&stats["lags"]), 3, "{stats}");
    assert_eq!(stats["sessions"], 3, "{stats}");
    assert_eq!(total(&stats["commits"]["micros"]), stats["commits"]["count"].as_u64().unwrap(), "{stats}");
    // One turn in eight is measured.
    let turns = stats["reactor"]["turns"].as_u64().unwrap();
    assert_eq!(total(&stats["reactor"]["turnMicros"]), turns / 8, "{stats}");
    let shards = stats["shards"].as_array().unwrap();
    let sum = |name: &str| shards.iter().map(|shard| shard[name].as_u64().unwrap()).sum::<u64>();
    assert_eq!(sum("deliveries"), stats["traffic"]["deliveries"].as_u64().unwrap(), "{stats}");
    assert_eq!(sum("windowBytes"), stats["memory"]["windows"].as_u64().unwrap(), "{stats}");
    let later = server.get("/api/stats").json();
    assert!(later["uptimeMicros"].as_u64() > stats["uptimeMicros"].as_u64(), "{later}");
    for (before, after) in [(&stats["reactor"], &later["reactor"]), (&shards[0], &later["shards"][0])] {
        // Absent where the system does not tell.
        assert!(after["busyMicros"].as_u64() >= before["busyMicros"].as_u64(), "{after}");
    }
}

#[test]
fn connections_are_counted_while_they_are_open() {
    let server = TestServer::start();
    let mut connection = server.connect();
    let mut wait_for = |count: u64| {
        let counts =
            std::iter::repeat_with(|| connection.ask("GET", "/api/stats").json()["connections"].as_u64());
        assert!(counts.take(100_000).any(|connections| connections == Some(count)), "never {count}");
    };
    wait_for(1);
    let members: Vec<_> = ["ann", "bob"].map(|user| server.member("r", user)).into();
    let idle = server.connect();
    wait_for(4);
    drop(members);
    wait_for(2);
    drop(idle);
    wait_for(1);
}

#[test]
fn a_member_that_does_not_read_is_seen_to_lag() {
    let server = TestServer::start();
    let room = server.new_room();
    let (mut reader, _stalled) = (server.member(&room, "ann"), server.enter(&room, "bob", ""));
    assert_eq!(reader.next()["content"], "bob joined");
    // More than the kernel keeps for a socket.
    let (content, count) = ("x".repeat(60_000), 300);
    for _ in 0..count {
        server.say(&room, &content);
        assert_eq!(reader.next()["type"], "MESSAGE");
    }
    let stats = server.get("/api/stats").json();
    let lag = stats["lag"].as_u64().unwrap();
    assert!(lag > 0 && lag < count, "{stats}");
    assert_eq!(stats["lagMax"], lag);
    let online = server.get(&format!("/api/chat/rooms/{room}/online")).json();
    let lags = online["sessions"].as_array().unwrap().iter().map(|session| session["lag"].as_u64().unwrap());
    assert_eq!(lags.collect::<Vec<_>>(), [0, lag]);
}

#[test]
fn a_full_disk_refuses_what_is_new_and_shows_what_is_old() {
    let directory = tempfile::tempdir().unwrap();
    let server = TestServer::with_store(
        |_| (),
        |store| {
            store.database_bytes_max = Some(1 << 20);
            Location::Directory(directory.path().into())
        },
    );
    let room = server.new_room();
    let path = format!("/api/chat/rooms/{room}/messages");
    let message = json!({ "sender": "alice", "content": "x".repeat(40_000) });
    let mut connection = server.connect();
    let refused = std::iter::repeat_with(|| connection.post(&path, &message))
        .take(10_000)
        .find(|reply| reply.status != 201);
    let refused = refused.unwrap().expect(503);
    assert_eq!(refused.header("Retry-After"), Some("1"));
    assert_eq!(refused.problem(), "the message cannot be stored at the moment");
    connection.ask("GET", &path).expect(200);
    connection.ask("GET", "/healthz").expect(200);
    assert_eq!(connection.ask("GET", "/readyz").expect(503).problem(), "nothing can be stored at the moment");
    assert_eq!(connection.ask("GET", "/api/stats").expect(200).json()["store"], "unavailable");
}
