//! What a node counts of its cluster agrees with what clients did, and with what became of Redis.

use serde_json::Value;

use super::engine::Engine;
use super::member::{Member, node, node_with};
use crate::support::eventually;
use crate::support::process::Process;

/// The `cluster` of `/api/stats`.
fn stats(node: &Process) -> Value {
    node.ask("GET", "/api/stats", None).1["cluster"].clone()
}

fn count(node: &Process, event: &str) -> u64 {
    stats(node)["events"][event].as_u64().unwrap_or_else(|| panic!("no {event}"))
}

/// One series of `/metrics`.
fn metric(node: &Process, series: &str) -> f64 {
    let response = node.response("GET", "/metrics", None);
    let value = response.lines().find_map(|line| line.strip_prefix(series)?.strip_prefix(' '));
    value.unwrap_or_else(|| panic!("no {series}: {response}")).parse().unwrap()
}

#[test]
#[ignore = "needs redis-server: tests/cluster/run starts it"]
fn what_a_node_counts_agrees_with_what_its_members_did() {
    let engine = Engine::start();
    let (one, two) = (node(&engine), node(&engine));
    let (mut ann, mut bob) = (Member::join(&one, "r", "ann"), Member::join(&two, "r", "bob"));
    let _eve = Member::join(&two, "r", "eve");
    for n in 0..20 {
        ann.say(&format!("{n}"), None);
        bob.until_content(&format!("{n}"));
    }
    let (_, kicked) = one.ask("POST", "/api/chat/rooms/r/kick?username=eve", None);
    assert_eq!(kicked["closed"], 1);
    eventually("each node counts both", || [&one, &two].iter().all(|node| stats(node)["nodes"] == 2));
    for node in [&one, &two] {
        assert_eq!(metric(node, "foghorn_cluster_contact"), 1.0);
        assert!(metric(node, "foghorn_cluster_contact_seconds") > 0.0);
        assert_eq!(metric(node, "foghorn_cluster_unsettled_batches"), 0.0);
        assert!(stats(node)["contactMicros"].as_u64().unwrap() > 0);
        eventually("the order was heard", || count(node, "ordersHeard") == 1);
    }
    assert_eq!((count(&one, "ordersTold"), count(&two, "ordersTold")), (1, 0));
    // Twenty messages, and the JOINs and the LEAVE of others.
    let shown = metric(&two, "foghorn_cluster_announcements_total{outcome=\"shown\"}");
    let read = metric(&two, "foghorn_cluster_log_read_messages_total");
    assert!(shown + read >= 20.0, "{shown} {read}");
    assert_eq!(
        metric(&one, "foghorn_cluster_script_messages_sum"),
        21.0,
        "the JOIN of ann, and what she said"
    );
    let scripts = metric(&one, "foghorn_cluster_append_scripts_sum");
    assert_eq!(metric(&one, "foghorn_cluster_script_messages_count"), scripts);
    let requests = metric(&one, "foghorn_cluster_append_scripts_count");
    assert_eq!(metric(&one, "foghorn_cluster_request_seconds_count{kind=\"append\"}"), requests);
    for kind in ["read", "keep"] {
        let series = format!("foghorn_cluster_request_seconds_count{{kind=\"{kind}\"}}");
        assert!(metric(&one, &series) >= 1.0, "{kind}");
    }
    eventually("leases are renewed, probes sent, heads compared", || {
        ["leasesRenewed", "probesSent", "headsCompared"].iter().all(|event| count(&one, event) > 0)
    });
    for event in ["leasesLost", "batchesRepeated", "resubscriptions", "staysReaped"] {
        assert_eq!(count(&one, event), 0, "{event}");
    }
    assert_eq!(count(&one, "listenerConnections"), 1);
}

#[test]
#[ignore = "needs redis-server: tests/cluster/run starts it"]
fn what_becomes_of_redis_is_counted() {
    let mut engine = Engine::start();
    let (one, two) = (node(&engine), node(&engine));
    let (mut ann, mut bob) = (Member::join(&one, "r", "ann"), Member::join(&two, "r", "bob"));
    engine.pause();
    ann.say("in doubt", None);
    ann.until(|value| value["type"] == "ERROR");
    eventually("a node says that Redis is away, and that a batch is in doubt", || {
        let stats = stats(&one);
        stats["contact"] == false && stats["contactMicros"] == 0 && stats["unsettled"] == 1
    });
    assert_eq!(metric(&one, "foghorn_cluster_contact"), 0.0);
    engine.resume();
    bob.until_content("in doubt");
    eventually("Redis is there", || stats(&one)["contact"] == true && stats(&one)["unsettled"] == 0);
    assert!(count(&one, "batchesRepeated") >= 1);
    engine.command(&["CONFIG", "SET", "maxmemory", "1"]);
    ann.say("too much", None);
    ann.until(|value| value["type"] == "ERROR");
    assert!(metric(&one, "foghorn_cluster_refusals_total{code=\"OOM\"}") >= 1.0);
    engine.command(&["CONFIG", "SET", "maxmemory", "0"]);
    engine.command(&["FLUSHALL"]);
    for member in [&mut ann, &mut bob] {
        member.until(|value| value["type"] == "GAP");
    }
    for node in [&one, &two] {
        assert_eq!(count(node, "resetsForgotten"), 1);
    }
    engine.kill();
    engine.run();
    eventually("channels are subscribed again", || {
        count(&two, "resubscriptions") >= 1 && count(&two, "listenerConnections") >= 2
    });
}

#[test]
#[ignore = "needs redis-server: tests/cluster/run starts it"]
fn the_members_of_a_node_that_died_are_counted_where_they_are_reaped() {
    let engine = Engine::start();
    let short = || node_with(&engine.url(), "[cluster]\nlease = \"2s\"\n");
    let (one, two) = (short(), short());
    let mut ann = Member::join(&one, "r", "ann");
    let (_bob, _tab) = (Member::join(&two, "r", "bob"), Member::join(&two, "r", "bob"));
    two.kill();
    ann.until(|value| value["type"] == "LEAVE" && value["online"] == 1);
    eventually("both sessions are counted", || count(&one, "staysReaped") == 2);
    eventually("one node is left", || stats(&one)["nodes"] == 1);
}
