//! Nodes that are there before Redis is.

use serde_json::json;

use super::engine::Engine;
use super::member::{Member, node};
use crate::support::eventually;

#[test]
#[ignore = "needs redis-server: tests/cluster/run starts it"]
fn a_node_listens_before_redis_is_there_and_is_ready_after() {
    let mut engine = Engine::durable();
    let first = node(&engine);
    let mut ann = Member::join(&first, "r", "ann");
    ann.say("kept", None);
    ann.until_content("kept");
    let (_, kicked) = first.ask("POST", "/api/chat/rooms/r/kick?username=eve&ban=1h", None);
    assert_eq!(kicked["closed"], 0);
    engine.kill();
    let late = node(&engine);
    assert_eq!(late.status("GET", "/healthz", None), 200);
    let ready = late.response("GET", "/readyz", None);
    assert!(ready.starts_with("HTTP/1.1 503 "), "{ready}");
    assert!(ready.contains("the cluster has not answered since the start"), "{ready}");
    // The other one was there before: no balancer takes it out.
    eventually("the first node knows that Redis is away", || {
        first.ask("GET", "/readyz", None).1["status"] == "cluster unavailable"
    });
    assert_eq!(Member::join_from(&late, "r", "bob", "").close_code(), 1013);
    let body = json!({"sender": "bob", "content": "nowhere"});
    assert_eq!(late.status("POST", "/api/chat/rooms/r/messages", Some(&body)), 503);
    assert_eq!(late.status("GET", "/api/chat/rooms", None), 503);
    let (_, stats) = late.ask("GET", "/api/stats", None);
    assert_eq!((&stats["store"], &stats["cluster"]["contact"]), (&json!("unavailable"), &json!(false)));
    engine.run();
    eventually("the node is ready", || late.status("GET", "/readyz", None) == 200);
    // Who is banned was asked before anybody was let in.
    assert_eq!(Member::join_from(&late, "r", "eve", "").close_code(), 4001);
    let mut bob = Member::join_from(&late, "r", "bob", "&history=10");
    bob.until_content("kept");
    ann.until(|value| value["type"] == "JOIN" && value["username"] == "bob");
    let (_, kicked) = first.ask("POST", "/api/chat/rooms/r/kick?username=bob", None);
    assert_eq!(kicked["closed"], 1);
    assert_eq!(bob.close_code(), 4001, "orders are heard there");
    late.terminate();
}

#[test]
#[ignore = "needs redis-server: tests/cluster/run starts it"]
fn a_redis_that_comes_late_and_would_lose_rooms_ends_the_server() {
    let mut engine = Engine::start();
    engine.kill();
    let late = node(&engine);
    engine.run_with(&["--maxmemory-policy", "allkeys-lru"]);
    assert_eq!(late.ended(), Some(1));
}

#[test]
#[ignore = "needs redis-server: tests/cluster/run starts it"]
fn a_node_that_still_waits_for_redis_ends_at_once() {
    let mut engine = Engine::start();
    engine.kill();
    node(&engine).terminate();
}
