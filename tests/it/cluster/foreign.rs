//! Others write where only nodes should, or remove what they need; channels are cut.

use serde_json::json;

use super::engine::Engine;
use super::member::{Member, node, node_with};
use crate::support::eventually;
use crate::support::process::Process;

/// The key of a room that begins with this, as it is in Redis.
fn key(engine: &Engine, end: &str) -> String {
    let pattern = format!("fh:*:{end}");
    let found: Vec<String> = redis::from_redis_value(engine.command(&["KEYS", &pattern])).unwrap();
    assert_eq!(found.len(), 1, "{found:?}");
    found[0].clone()
}

fn post(node: &Process, room: &str, content: &str) -> u16 {
    let body = json!({"sender": "carol", "content": content});
    node.status("POST", &format!("/api/chat/rooms/{room}/messages"), Some(&body))
}

fn count(node: &Process, event: &str) -> u64 {
    node.ask("GET", "/api/stats", None).1["cluster"]["events"][event].as_u64().unwrap()
}

#[test]
#[ignore = "needs redis-server: tests/cluster/run starts it"]
fn a_listener_that_redis_cuts_off_misses_nothing() {
    let engine = Engine::start();
    let (one, two) = (node(&engine), node(&engine));
    let (mut ann, mut bob) = (Member::join(&one, "r", "ann"), Member::join(&two, "r", "bob"));
    // So little that a node that stands still for a moment is cut off.
    engine.command(&["CONFIG", "SET", "client-output-buffer-limit", "pubsub 64kb 0 0"]);
    let long = "x".repeat(50_000);
    for round in 0..3 {
        two.signal("STOP");
        for n in 0..200 {
            ann.say(&format!("{round} {n} {long}"), None);
            ann.until(|value| {
                value["content"].as_str().is_some_and(|text| text.starts_with(&format!("{round} {n} ")))
            });
        }
        two.signal("CONT");
        for n in 0..200 {
            let told = bob.until(|value| value["type"] == "MESSAGE");
            assert_eq!(told.len(), 1, "{round} {n}");
            let content = told[0]["content"].as_str().unwrap();
            assert!(content.starts_with(&format!("{round} {n} ")), "{}", &content[..20]);
        }
    }
    assert!(count(&two, "listenerConnections") > 1, "it was never cut off");
    assert!(count(&two, "messagesRead") > 0);
}

#[test]
#[ignore = "needs redis-server: tests/cluster/run starts it"]
fn a_room_whose_hash_is_gone_goes_on_in_a_new_epoch() {
    let engine = Engine::start();
    let (one, two) = (node(&engine), node(&engine));
    let mut ann = Member::join_from(&one, "r", "ann", "&hello=1");
    let epoch = ann.next().unwrap()["epoch"].clone();
    let mut bob = Member::join(&two, "r", "bob");
    ann.say("before", None);
    bob.until_content("before");
    engine.command(&["DEL", &key(&engine, "r:r")]);
    eventually("a message is stored", || post(&two, "r", "again") == 201);
    // Who was there is thrown out of a room that is gone, once its node has found out.
    for (node, user) in [(&one, "cleo"), (&two, "dora")] {
        let mut late = None;
        eventually("a number may be there twice: the epoch is the old one", || {
            let mut member = Member::join_from(node, "r", user, "&hello=1&history=10");
            let is_new = member.next().is_ok_and(|welcome| welcome["epoch"] != epoch);
            late = Some(member);
            is_new
        });
        let mut late = late.unwrap();
        let told = late.until_content("again");
        assert!(told.iter().all(|value| value["content"] != "before"), "{told:?}");
    }
}

#[test]
#[ignore = "needs redis-server: tests/cluster/run starts it"]
fn a_room_whose_stream_is_gone_tells_a_gap() {
    let engine = Engine::start();
    let (one, two) = (node(&engine), node(&engine));
    let mut ann = Member::join(&one, "r", "ann");
    ann.say("before", None);
    let before = ann.until_content("before").pop().unwrap()["seq"].as_u64().unwrap();
    ann.say("lost", None);
    ann.until_content("lost");
    engine.command(&["DEL", &key(&engine, "s:r")]);
    eventually("a message is stored", || post(&two, "r", "again") == 201);
    let mut late = Member::join_from(&two, "r", "bob", &format!("&sinceSeq={before}"));
    assert_eq!(late.next().unwrap()["type"], "GAP");
    // What was said before the room was looked at is a part of what its members are told to be gone.
    ann.until(|value| value["type"] == "GAP");
    late.say("together", None);
    for member in [&mut ann, &mut late] {
        let told = member.until_content("together");
        assert!(told.iter().all(|value| value["type"] != "GAP"), "{told:?}");
    }
}

#[test]
#[ignore = "needs redis-server: tests/cluster/run starts it"]
fn a_log_that_was_trimmed_below_what_a_node_has_shown_is_a_gap() {
    let engine = Engine::start();
    let (one, two) = (node_with(&engine.url(), "[cluster]\nretention = 5\n"), node(&engine));
    let mut ann = Member::join(&one, "r", "ann");
    let mut bob = Member::join(&two, "r", "bob");
    ann.say("before", None);
    bob.until_content("before");
    // It stands still while far more than is kept is said.
    two.signal("STOP");
    for n in 0..50 {
        ann.say(&format!("{n}"), None);
    }
    ann.until_content("49");
    // What waits for it at its socket is lost, as with a network that fails.
    engine.command(&["CLIENT", "KILL", "TYPE", "pubsub"]);
    two.signal("CONT");
    ann.say("after", None);
    let mut told = bob.until(|value| value["content"] == "after" || value["type"] == "GAP");
    ann.say("last", None);
    told.extend(bob.until_content("last"));
    let seqs: Vec<u64> = told
        .iter()
        .filter(|value| value["type"] != "GAP")
        .filter_map(|value| value["seq"].as_u64())
        .collect();
    assert!(seqs.windows(2).all(|pair| pair[0] < pair[1]), "{told:?}");
    assert!(seqs.len() >= 52 || told.iter().any(|value| value["type"] == "GAP"), "{told:?}");
}

#[test]
#[ignore = "needs redis-server: tests/cluster/run starts it"]
fn what_others_say_in_channels_and_streams_harms_no_other_room() {
    let engine = Engine::start();
    let (one, two) = (node(&engine), node(&engine));
    let (mut ann, mut bob) = (Member::join(&one, "r", "ann"), Member::join(&two, "r", "bob"));
    let mut other = Member::join(&two, "other", "bob");
    let stream = key(&engine, "s:r");
    let channel = stream.replace(":s:", ":ch:r:");
    let long = "x".repeat(1 << 20);
    for payload in ["", "D", "\n\n\n", "1\n", "99999999999999999999999\n", "1,1,1,1,1,1,1", "\u{feff}", &long]
    {
        engine.command(&["SPUBLISH", &channel, payload]);
    }
    ann.say("as ever", None);
    let told = bob.until_content("as ever");
    assert!(told.iter().all(|value| value["type"] != "GAP"), "{told:?}");
    eventually("it is counted", || count(&one, "announcementsUnreadable") >= 1);
    engine.command(&["XADD", &stream, "*", "foreign", "entry"]);
    assert_eq!(post(&one, "r", "nowhere"), 503);
    assert_eq!(post(&one, "other", "everywhere"), 201);
    other.until_content("everywhere");
    // A stream takes no number below its last one, also once that is removed: it goes as a whole.
    engine.command(&["DEL", &stream]);
    eventually("the room goes on", || post(&one, "r", "again") == 201);
    bob.until(|value| value["content"] == "again" || value["type"] == "GAP");
}

#[test]
#[ignore = "needs redis-server: tests/cluster/run starts it"]
fn a_node_that_stood_still_for_longer_than_its_lease_shows_nothing_stale() {
    let engine = Engine::start();
    let short = || node_with(&engine.url(), "[cluster]\nlease = \"2s\"\n");
    let (one, two) = (short(), short());
    let (mut ann, mut bob) = (Member::join(&one, "r", "ann"), Member::join(&two, "r", "bob"));
    ann.until(|value| value["type"] == "JOIN" && value["username"] == "bob");
    two.signal("STOP");
    ann.until(|value| value["type"] == "LEAVE" && value["username"] == "bob");
    ann.say("meanwhile", None);
    ann.until_content("meanwhile");
    // It was said to the socket of a node that stands still.
    bob.say("late", None);
    two.signal("CONT");
    let told = bob.until_content("late");
    let at =
        |told: &[serde_json::Value], content: &str| told.iter().position(|value| value["content"] == content);
    assert!(at(&told, "meanwhile") < at(&told, "late") && at(&told, "meanwhile").is_some(), "{told:?}");
    let told = ann.until(|value| value["type"] == "JOIN" && value["username"] == "bob");
    let joins = told.iter().filter(|value| value["type"] == "JOIN").count();
    assert_eq!(joins, 1, "{told:?}");
    let (_, online) = one.ask("GET", "/api/chat/rooms/r/online", None);
    assert_eq!(online["users"], json!(["ann", "bob"]));
}

#[test]
#[ignore = "needs redis-server: tests/cluster/run starts it"]
fn a_node_and_the_one_that_takes_its_place_are_two() {
    let engine = Engine::start();
    let short = || node_with(&engine.url(), "[cluster]\nlease = \"2s\"\n");
    let (watch, old) = (short(), short());
    let mut ann = Member::join(&watch, "r", "ann");
    let mut bob = Member::join(&old, "r", "bob");
    // It hangs, and a service manager starts another one in its place, to which its users come.
    old.signal("STOP");
    let new = short();
    let mut again = Member::join(&new, "r", "bob");
    ann.until(|value| value["type"] == "LEAVE" && value["username"] == "bob");
    again.say("from the new one", None);
    ann.until_content("from the new one");
    bob.say("from the old one", None);
    old.signal("CONT");
    ann.until_content("from the old one");
    let (_, online) = watch.ask("GET", "/api/chat/rooms/r/online", None);
    assert_eq!((&online["count"], &online["users"]), (&json!(2), &json!(["ann", "bob"])), "{online}");
    drop((bob, again));
    eventually("both sessions of bob have left", || {
        watch.ask("GET", "/api/chat/rooms/r/online", None).1["users"] == json!(["ann"])
    });
}

#[test]
#[ignore = "needs redis-server: tests/cluster/run starts it"]
fn a_room_that_is_deleted_and_made_anew_while_a_node_stands_still() {
    let engine = Engine::start();
    let (one, two) = (node(&engine), node(&engine));
    let mut ann = Member::join(&one, "r", "ann");
    let mut bob = Member::join_from(&two, "r", "bob", "&hello=1");
    let epoch = bob.next().unwrap()["epoch"].clone();
    ann.say("old", None);
    bob.until_content("old");
    two.signal("STOP");
    assert_eq!(one.status("DELETE", "/api/chat/rooms/r", None), 204);
    assert_eq!(ann.close_code(), 1000);
    let mut anew = Member::join(&one, "r", "ann");
    anew.say("new", None);
    anew.until_content("new");
    bob.say("to the old one", None);
    two.signal("CONT");
    assert_eq!(bob.close_code(), 1000, "its room is gone");
    let mut bob = Member::join_from(&two, "r", "bob", "&hello=1&history=10");
    assert_ne!(bob.next().unwrap()["epoch"], epoch);
    let told = bob.until_content("new");
    assert!(
        told.iter().all(|value| value["content"] != "old" && value["content"] != "to the old one"),
        "{told:?}"
    );
}
