//! Redis does not answer, or has forgotten something; a node dies.

use std::time::Duration;

use serde_json::json;

use super::engine::Engine;
use super::member::{Member, node, node_with};
use crate::support::eventually;
use crate::support::process::Process;

/// Waits until this node takes a message in the room again.
fn stored_again(node: &Process) {
    eventually("a message is stored again", || {
        let body = json!({"sender": "carol", "content": "again"});
        node.status("POST", "/api/chat/rooms/r/messages", Some(&body)) == 201
    });
}

#[test]
#[ignore = "needs redis-server: tests/cluster/run starts it"]
fn while_redis_is_silent_members_stay_and_publishers_are_told() {
    let engine = Engine::start();
    let (one, two) = (node(&engine), node(&engine));
    let (mut ann, mut bob) = (Member::join(&one, "r", "ann"), Member::join(&two, "r", "bob"));
    ann.until(|value| value["username"] == "bob");
    engine.pause();
    ann.say("maybe", Some("k"));
    let told = ann.until(|value| value["type"] == "ERROR").pop().unwrap();
    assert_eq!((&told["code"], &told["clientId"]), (&"unavailable".into(), &"k".into()));
    let body = json!({"sender": "carol", "content": "hi"});
    assert_eq!(two.status("POST", "/api/chat/rooms/r/messages", Some(&body)), 503);
    eventually("/readyz tells it", || {
        let (_, ready) = one.ask("GET", "/readyz", None);
        ready["status"] != "ok"
    });
    engine.resume();
    // A client does not know whether it was stored, and says it again until it hears.
    let mut tries = 0;
    loop {
        ann.say("maybe", Some("k"));
        let told = ann.until(|value| value["type"] == "ACK" || value["clientId"] == "k").pop().unwrap();
        if told["type"] != "ERROR" {
            break;
        }
        tries += 1;
        assert!(tries < 1000, "{told}");
    }
    ann.say("after", None);
    for member in [&mut ann, &mut bob] {
        let told = member.until_content("after");
        let count =
            told.iter().filter(|value| value["type"] == "MESSAGE" && value["content"] == "maybe").count();
        assert!(count <= 1, "{told:?}");
        assert!(told.iter().all(|value| value["type"] != "GAP"), "nothing was lost: {told:?}");
    }
    let (_, log) = two.ask("GET", "/api/chat/rooms/r/messages?limit=100", None);
    let kept = log.as_array().unwrap().iter().filter(|value| value["content"] == "maybe").count();
    assert_eq!(kept, 1, "{log}");
    eventually("/readyz is well again", || one.ask("GET", "/readyz", None).1["status"] == "ok");
}

#[test]
#[ignore = "needs redis-server: tests/cluster/run starts it"]
fn what_redis_has_forgotten_is_told_by_a_new_epoch() {
    let engine = Engine::start();
    let (one, two) = (node(&engine), node(&engine));
    let (mut ann, mut bob) = (Member::join(&one, "r", "ann"), Member::join(&two, "r", "bob"));
    ann.say("before", None);
    let before = bob.until_content("before").pop().unwrap();
    engine.command(&["FLUSHALL"]);
    stored_again(&one);
    // The message itself may be in the gap.
    for member in [&mut ann, &mut bob] {
        member.until(|value| value["type"] == "GAP");
    }
    ann.say("after", None);
    for member in [&mut ann, &mut bob] {
        let told = member.until_content("after");
        assert!(told.iter().all(|value| value["type"] != "GAP"), "{told:?}");
    }
    let mut late = Member::join_from(&two, "r", "dora", &format!("&sinceSeq={}&hello=1", before["seq"]));
    let welcome = late.next().unwrap();
    assert_eq!(welcome["type"], "WELCOME");
}

#[test]
#[ignore = "needs redis-server: tests/cluster/run starts it"]
fn after_an_older_snapshot_no_number_is_given_out_twice_under_one_epoch() {
    let mut engine = Engine::start();
    let (one, two) = (node(&engine), node(&engine));
    let (mut ann, mut bob) =
        (Member::join_from(&one, "r", "ann", "&hello=1"), Member::join_from(&two, "r", "bob", "&hello=1"));
    let first_epoch = ann.next().unwrap()["epoch"].clone();
    ann.say("kept", None);
    ann.until_content("kept");
    bob.until_content("kept");
    engine.save();
    for content in ["lost 1", "lost 2"] {
        ann.say(content, None);
        bob.until_content(content);
    }
    engine.kill();
    engine.run();
    stored_again(&two);
    for member in [&mut ann, &mut bob] {
        let gap = member.until(|value| value["type"] == "GAP").pop().unwrap();
        assert_ne!(gap["epoch"], first_epoch);
    }
    bob.say("after", None);
    for member in [&mut ann, &mut bob] {
        let told = member.until_content("after");
        assert!(told.iter().all(|value| value["type"] != "GAP"), "{told:?}");
    }
}

#[test]
#[ignore = "needs redis-server: tests/cluster/run starts it"]
fn a_number_that_one_node_has_shown_is_not_given_out_by_another_that_has_not_seen_it() {
    let mut engine = Engine::start();
    let (one, two) = (node(&engine), node(&engine));
    let mut ann = Member::join_from(&one, "r", "ann", "&hello=1");
    let epoch = ann.next().unwrap()["epoch"].as_str().unwrap().to_owned();
    ann.say("kept", None);
    ann.until_content("kept");
    engine.save();
    ann.say("lost", None);
    let lost = ann.until_content("lost").pop().unwrap()["seq"].as_u64().unwrap();
    engine.kill();
    engine.run();
    // The other node has nobody in the room, and is asked at once.
    stored_again(&two);
    let (head, _) = two.ask("GET", "/api/chat/rooms/r/messages?limit=1", None);
    let position = head.lines().find_map(|line| line.strip_prefix("Foghorn-Position: ")).unwrap();
    assert!(!position.starts_with(&epoch), "number {lost} of {epoch} may be given out twice: {position}");
}

#[test]
#[ignore = "needs redis-server: tests/cluster/run starts it"]
fn a_restart_that_loses_nothing_is_not_noticed() {
    let mut engine = Engine::durable();
    let (one, two) = (node(&engine), node(&engine));
    let (mut ann, mut bob) = (Member::join(&one, "r", "ann"), Member::join(&two, "r", "bob"));
    ann.say("before", None);
    bob.until_content("before");
    engine.kill();
    engine.run();
    stored_again(&two);
    for member in [&mut ann, &mut bob] {
        let told = member.until_content("again");
        assert!(told.iter().all(|value| value["type"] != "GAP"), "{told:?}");
    }
}

#[test]
#[ignore = "needs redis-server: tests/cluster/run starts it"]
fn the_users_of_a_node_that_dies_leave_once() {
    let engine = Engine::start();
    let short = || node_with(&engine.url(), "[cluster]\nlease = \"2s\"\n");
    let (one, two) = (short(), short());
    let mut ann = Member::join(&one, "r", "ann");
    let (_bob, _tab) = (Member::join(&two, "r", "bob"), Member::join(&two, "r", "bob"));
    two.kill();
    let told = ann.until(|value| value["type"] == "LEAVE" && value["online"] == 1);
    let left = |value: &&serde_json::Value| value["type"] == "LEAVE";
    assert_eq!(told.iter().filter(left).count(), 2, "one for each session: {told:?}");
    ann.patience(Duration::from_secs(3));
    assert!(ann.next().is_err(), "nothing more is told");
    let (_, online) = one.ask("GET", "/api/chat/rooms/r/online", None);
    assert_eq!(online["users"], json!(["ann"]));
}
