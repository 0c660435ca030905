//! Redis answers, and does not do what it is asked to.

use std::time::Duration;

use serde_json::{Value, json};

use super::engine::{Engine, free_port};
use super::member::{Member, node};
use crate::support::process::Process;
use crate::support::{eventually, now};

/// One room with a member at each of two nodes.
struct World {
    engine: Engine,
    nodes: [Process; 2],
    ann: Member,
    bob: Member,
}

impl World {
    fn start(engine: Engine) -> World {
        let nodes = [node(&engine), node(&engine)];
        let (ann, bob) = (Member::join(&nodes[0], "r", "ann"), Member::join(&nodes[1], "r", "bob"));
        World { engine, nodes, ann, bob }
    }

    /// A publisher at each node is told that it is not stored, and why is counted.
    fn is_refused(&mut self, code: &str) {
        self.ann.say("refused", None);
        let told = self.ann.until(|value| value["type"] == "ERROR").pop().unwrap();
        assert_eq!(told["code"], "unavailable", "{told}");
        let body = json!({"sender": "carol", "content": "refused"});
        assert_eq!(self.nodes[1].status("POST", "/api/chat/rooms/r/messages", Some(&body)), 503);
        for node in &self.nodes {
            assert!(refusals(node, code) >= 1, "{code} is not counted");
            let (_, ready) = node.ask("GET", "/readyz", None);
            assert_eq!(ready["status"], "cluster unavailable");
        }
    }

    /// All is well again: what was refused is not there, what is said now is, for both, and nothing is lost.
    fn goes_on(self) {
        self.goes_on_after(false, false);
    }

    /// The same; what was refused may have been in doubt, and the log may have begun a new epoch.
    fn goes_on_after(mut self, may_be_stored: bool, may_begin_anew: bool) {
        eventually("a message is stored", || {
            let body = json!({"sender": "carol", "content": "again", "id": "again"});
            matches!(self.nodes[1].status("POST", "/api/chat/rooms/r/messages", Some(&body)), 200 | 201)
        });
        self.ann.say("last", None);
        let heard: Vec<Vec<Value>> =
            [&mut self.ann, &mut self.bob].into_iter().map(|member| member.until_content("last")).collect();
        for told in &heard {
            let count = |content: &str| told.iter().filter(|value| value["content"] == content).count();
            let is_told = told.iter().any(|value| value["type"] == "GAP");
            assert!(!is_told || may_begin_anew, "{told:?}");
            // It may be in the gap.
            assert!(count("again") == 1 || is_told && count("again") == 0, "{told:?}");
            assert!(count("refused") <= usize::from(may_be_stored), "{told:?}");
        }
        for node in &self.nodes {
            eventually("the node is well", || node.ask("GET", "/readyz", None).1["status"] == "ok");
        }
    }
}

fn refusals(node: &Process, code: &str) -> u64 {
    let response = node.response("GET", "/metrics", None);
    let series = format!("foghorn_cluster_refusals_total{{code=\"{code}\"}} ");
    let value = response.lines().find_map(|line| line.strip_prefix(&*series));
    value.unwrap_or_else(|| panic!("no {series}: {response}")).parse().unwrap()
}

#[test]
#[ignore = "needs redis-server: tests/cluster/run starts it"]
fn redis_without_memory() {
    let mut world = World::start(Engine::start());
    world.engine.command(&["CONFIG", "SET", "maxmemory", "1"]);
    world.is_refused("OOM");
    world.engine.command(&["CONFIG", "SET", "maxmemory", "0"]);
    world.goes_on();
}

#[test]
#[ignore = "needs redis-server: tests/cluster/run starts it"]
fn redis_whose_disk_takes_nothing() {
    let mut world = World::start(Engine::start());
    world.engine.command(&["CONFIG", "SET", "save", "3600 100000"]);
    world.engine.block_snapshot();
    world.engine.command(&["BGSAVE"]);
    eventually("a snapshot has failed", || world.engine.says("rdb_last_bgsave_status:err"));
    world.is_refused("MISCONF");
    world.engine.unblock_snapshot();
    world.engine.command(&["BGSAVE"]);
    eventually("a snapshot was written", || world.engine.says("rdb_last_bgsave_status:ok"));
    world.goes_on();
}

#[test]
#[ignore = "needs redis-server: tests/cluster/run starts it"]
fn redis_that_is_a_replica_all_of_a_sudden() {
    let mut world = World::start(Engine::start());
    let port = free_port().to_string();
    world.engine.command(&["REPLICAOF", "127.0.0.1", &port]);
    world.is_refused("READONLY");
    world.engine.command(&["REPLICAOF", "NO", "ONE"]);
    // Who was its master meanwhile may have written something.
    world.goes_on_after(false, true);
}

#[test]
#[ignore = "needs redis-server: tests/cluster/run starts it"]
fn redis_that_does_not_know_this_node_any_more() {
    let engine = Engine::start();
    engine.command(&["ACL", "SETUSER", "node", "on", ">first", "~*", "&*", "+@all"]);
    let url = engine.url().replace("redis://", "redis://node:first@");
    let serve = || Process::serve_with(&["--cluster", &url]);
    let nodes = [serve(), serve()];
    let (ann, bob) = (Member::join(&nodes[0], "r", "ann"), Member::join(&nodes[1], "r", "bob"));
    let mut world = World { engine, nodes, ann, bob };
    world.engine.command(&["ACL", "SETUSER", "node", "resetpass", ">second"]);
    // Connections that are there stay in.
    world.engine.command(&["CLIENT", "KILL", "USER", "node"]);
    world.ann.say("refused", None);
    world.ann.until(|value| value["type"] == "ERROR");
    eventually("both nodes say that they are cut off", || {
        world.nodes.iter().all(|node| node.ask("GET", "/readyz", None).1["status"] == "cluster unavailable")
    });
    world.engine.command(&["ACL", "SETUSER", "node", "resetpass", ">first"]);
    // It was said while the connection ended.
    world.goes_on_after(true, false);
}

#[test]
#[ignore = "needs redis-server: tests/cluster/run starts it"]
fn redis_that_takes_a_right_away() {
    let engine = Engine::start();
    engine.command(&["ACL", "SETUSER", "node", "on", ">first", "~*", "&*", "+@all"]);
    let url = engine.url().replace("redis://", "redis://node:first@");
    let serve = || Process::serve_with(&["--cluster", &url]);
    let nodes = [serve(), serve()];
    let (ann, bob) = (Member::join(&nodes[0], "r", "ann"), Member::join(&nodes[1], "r", "bob"));
    let mut world = World { engine, nodes, ann, bob };
    world.engine.command(&["ACL", "SETUSER", "node", "-evalsha"]);
    world.is_refused("NOAUTH");
    world.engine.command(&["ACL", "SETUSER", "node", "+evalsha"]);
    world.goes_on();
}

#[test]
#[ignore = "needs redis-server: tests/cluster/run starts it"]
fn redis_that_forgets_its_scripts_again_and_again() {
    let engine = Engine::start();
    let (one, two) = (node(&engine), node(&engine));
    let (mut ann, mut bob) = (Member::join(&one, "r", "ann"), Member::join(&two, "r", "bob"));
    for n in 0..200 {
        if n % 10 == 0 {
            engine.command(&["SCRIPT", "FLUSH"]);
        }
        ann.say(&format!("{n}"), None);
        // Nobody notices, but for a few milliseconds.
        let told = bob.until_content(&format!("{n}"));
        assert!(told.iter().all(|value| value["type"] != "GAP"), "{told:?}");
    }
    let told = ann.until_content("199");
    assert!(told.iter().all(|value| value["type"] != "ERROR"), "{told:?}");
    assert!(refusals(&one, "NOSCRIPT") >= 1);
}

#[test]
#[ignore = "needs redis-server: tests/cluster/run starts it"]
fn redis_that_is_busy_with_a_script() {
    let mut world = World::start(Engine::start());
    world.engine.command(&["CONFIG", "SET", "busy-reply-threshold", "100"]);
    world.engine.begin(&["EVAL", "while true do end", "0"]);
    eventually("Redis is busy", || world.engine.try_command(&["PING"]).is_err());
    world.ann.say("waits", Some("waits"));
    let told = world.ann.until(|value| value["type"] == "ERROR").pop().unwrap();
    assert_eq!((&told["code"], &told["clientId"]), (&"unavailable".into(), &"waits".into()));
    assert!(refusals(&world.nodes[0], "BUSY") >= 1);
    world.engine.try_command(&["SCRIPT", "KILL"]).unwrap();
    world.goes_on();
}

#[test]
#[ignore = "needs redis-server: tests/cluster/run starts it"]
fn redis_that_reads_its_data_after_a_start() {
    let engine = Engine::durable();
    // So much that reading it takes a while, with a delay for each key.
    engine.command(&["EVAL", "for i = 1, 20000 do redis.call('SET', 'filler:' .. i, i) end", "0"]);
    let mut world = World::start(engine);
    world.ann.say("before", None);
    world.bob.until_content("before");
    engine_reloads_slowly(&mut world.engine);
    world.ann.say("refused", None);
    world.ann.until(|value| value["type"] == "ERROR");
    eventually("Redis has read its data", || world.engine.try_command(&["PING"]).is_ok());
    // It was said while a connection began or ended.
    world.goes_on_after(true, false);
}

/// Starts it anew so that it needs some seconds before it is there.
fn engine_reloads_slowly(engine: &mut Engine) {
    engine.kill();
    let start = now();
    engine.launch(&[], &["--key-load-delay", "300"]);
    eventually("Redis says that it is loading", || {
        assert!(start.elapsed() < Duration::from_secs(30));
        let loading = redis::ErrorKind::Server(redis::ServerErrorKind::BusyLoading);
        engine.try_command(&["PING"]).is_err_and(|error| error.kind() == loading)
    });
}
