//! What holds while all is well: one order, one presence, one REST interface.

use serde_json::{Value, json};

use super::engine::Engine;
use super::member::{Member, node};
use crate::support::eventually;

const NEEDS: &str = "needs redis-server: tests/cluster/run starts it";

fn seqs(told: &[Value]) -> Vec<u64> {
    told.iter().filter_map(|value| value["seq"].as_u64()).collect()
}

#[test]
#[ignore = "needs redis-server: tests/cluster/run starts it"]
fn members_of_two_nodes_are_shown_one_order() {
    let engine = Engine::start();
    let (one, two) = (node(&engine), node(&engine));
    let (mut ann, mut bob) = (Member::join(&one, "r", "ann"), Member::join(&two, "r", "bob"));
    for n in 0..50 {
        ann.say(&format!("a{n}"), None);
        bob.say(&format!("b{n}"), None);
    }
    ann.say("ann is done", None);
    bob.say("bob is done", None);
    let done = |member: &mut Member| {
        let mut told = Vec::new();
        while told
            .iter()
            .filter(|value: &&Value| value["content"].as_str().is_some_and(|text| text.ends_with("done")))
            .count()
            < 2
        {
            told.push(member.next().unwrap());
        }
        told.into_iter().filter(|value| value["type"] == "MESSAGE").collect::<Vec<_>>()
    };
    let (heard_by_ann, heard_by_bob) = (done(&mut ann), done(&mut bob));
    assert_eq!(heard_by_ann, heard_by_bob, "{NEEDS}");
    assert_eq!(heard_by_ann.len(), 102);
    let numbers = seqs(&heard_by_ann);
    assert!(numbers.windows(2).all(|pair| pair[1] == pair[0] + 1), "{numbers:?}");
}

#[test]
#[ignore = "needs redis-server: tests/cluster/run starts it"]
fn a_member_comes_back_at_another_node_and_misses_nothing() {
    let engine = Engine::start();
    let (one, two) = (node(&engine), node(&engine));
    let mut ann = Member::join(&one, "r", "ann");
    ann.say("first", None);
    let first = ann.until_content("first").pop().unwrap();
    drop(ann);
    let mut bob = Member::join(&one, "r", "bob");
    for n in 0..400 {
        bob.say(&format!("m{n}"), None);
    }
    bob.until_content("m399");
    let (seq, epoch) = (first["seq"].as_u64().unwrap(), first["id"].as_str().unwrap().to_owned());
    assert!(!epoch.is_empty());
    let mut again = Member::join_from(&two, "r", "ann", &format!("&sinceSeq={seq}"));
    let told = again.until_content("m399");
    assert!(told.iter().all(|value| value["type"] != "GAP"), "{:?}", told[0]);
    let numbers = seqs(&told);
    assert_eq!(numbers[0], seq + 1);
    assert!(numbers.windows(2).all(|pair| pair[1] == pair[0] + 1));
}

#[test]
#[ignore = "needs redis-server: tests/cluster/run starts it"]
fn a_message_that_is_sent_again_to_another_node_is_there_once() {
    let engine = Engine::start();
    let (one, two) = (node(&engine), node(&engine));
    let post = |content: &str| Some(json!({"sender": "ann", "content": content, "id": "k"}));
    let path = "/api/chat/rooms/r/messages";
    let (_, first) = one.ask("POST", path, post("once").as_ref());
    let (_, again) = two.ask("POST", path, post("once").as_ref());
    assert_eq!((&first["seq"], &first["id"]), (&again["seq"], &again["id"]));
    assert_eq!(two.status("POST", path, post("other").as_ref()), 422);
    let (_, messages) = two.ask("GET", path, None);
    let listed = messages.as_array().or_else(|| messages["messages"].as_array()).unwrap();
    assert_eq!(listed.iter().filter(|message| message["type"] == "MESSAGE").count(), 1, "{messages}");
}

#[test]
#[ignore = "needs redis-server: tests/cluster/run starts it"]
fn presence_is_that_of_all_nodes() {
    let engine = Engine::start();
    let (one, two) = (node(&engine), node(&engine));
    let mut ann = Member::join(&one, "r", "ann");
    let mut bob = Member::join_from(&two, "r", "bob", "&hello=1");
    let told = bob.until(|value| value["type"] == "JOIN");
    assert_eq!((&told[0]["type"], &told[0]["online"]), (&"WELCOME".into(), &2.into()), "{told:?}");
    assert_eq!(told[1]["online"], 2);
    assert_eq!(ann.until(|value| value["type"] == "JOIN")[0]["online"], 2);
    for node in [&one, &two] {
        let (_, online) = node.ask("GET", "/api/chat/rooms/r/online", None);
        assert_eq!((&online["count"], &online["users"]), (&2.into(), &json!(["ann", "bob"])));
        assert_eq!(online["sessions"].as_array().unwrap().len(), 2, "{online}");
    }
    drop(bob);
    let left = ann.until(|value| value["type"] == "LEAVE").pop().unwrap();
    assert_eq!((&left["username"], &left["online"]), (&"bob".into(), &1.into()));
}

#[test]
#[ignore = "needs redis-server: tests/cluster/run starts it"]
fn a_kick_and_a_ban_hold_on_every_node() {
    let engine = Engine::start();
    let (one, two) = (node(&engine), node(&engine));
    let (mut here, mut there) = (Member::join(&one, "r", "eve"), Member::join(&two, "r", "eve"));
    let (_, kicked) = one.ask("POST", "/api/chat/rooms/r/kick?username=eve&ban=60s", None);
    assert_eq!(kicked["closed"], 2);
    assert_eq!((here.close_code(), there.close_code()), (4001, 4001));
    let mut again = Member::join_from(&two, "r", "eve", "");
    assert_eq!(again.close_code(), 4001);
    assert_eq!(one.status("DELETE", "/api/chat/rooms/r/bans/eve", None), 204);
    eventually("eve may come in at the other node", || {
        let mut again = Member::join_from(&two, "r", "eve", "&hello=1");
        again.next().is_ok_and(|value| value["type"] == "WELCOME")
    });
}

#[test]
#[ignore = "needs redis-server: tests/cluster/run starts it"]
fn rooms_are_those_of_all_nodes() {
    let engine = Engine::start();
    let (one, two) = (node(&engine), node(&engine));
    let (_, room) = one.ask("POST", "/api/chat/rooms", Some(&json!({"name": "news", "createdBy": "ann"})));
    let id = room["id"].as_str().unwrap();
    let (_, found) = two.ask("GET", &format!("/api/chat/rooms/{id}"), None);
    assert_eq!(found["name"], "news");
    let mut bob = Member::join(&two, id, "bob");
    assert_eq!(one.status("DELETE", &format!("/api/chat/rooms/{id}"), None), 204);
    assert_eq!(bob.close_code(), 1000);
    assert_eq!(two.status("GET", &format!("/api/chat/rooms/{id}"), None), 404);
    // One of the same name is another one.
    let mut carol = Member::join_from(&one, id, "carol", "");
    let joined = carol.until(|value| value["type"] == "JOIN").pop().unwrap();
    assert_eq!(joined["seq"], 1);
}
