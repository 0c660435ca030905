//! A replica takes the place of its master, behind one address.

use std::time::Duration;

use super::engine::Engine;
use super::load::{Addresses, check, under_load};
use super::member::{Member, node_with};
use super::switch::Switch;
use crate::support::eventually;
use crate::support::process::Process;

const CONFIGURATION: &str =
    "[cluster]\nlease = \"4s\"\nretention = 10000000\n[chat]\ndedup_window = \"1h\"\n";

fn serve(switch: &Switch) -> Process {
    node_with(&switch.url(), CONFIGURATION)
}

/// A replica that has all that its master has, and for some time: one that was started since nodes had their last answer
/// could be the same server.
fn replica_of(master: &Engine) -> Engine {
    let replica = Engine::start();
    replica.command(&["REPLICAOF", "127.0.0.1", &master.port().to_string()]);
    eventually("a replica", || replica.says("master_link_status:up"));
    eventually("it runs for a while", || replica.uptime() >= 5);
    replica
}

fn epoch_and_seq(member: &mut Member) -> (String, u64) {
    let welcome = member.until(|value| value["type"] == "WELCOME").pop().unwrap();
    (welcome["epoch"].as_str().unwrap().to_owned(), welcome["seq"].as_u64().unwrap())
}

#[test]
#[ignore = "needs redis-server: tests/cluster/run starts it"]
fn an_old_master_and_its_replica_give_no_number_out_twice_under_one_epoch() {
    let old = Engine::start();
    let new = replica_of(&old);
    let (here, there) = (Switch::to(old.port()), Switch::to(old.port()));
    let (one, two) = (serve(&here), serve(&there));
    let mut ann = Member::join_from(&one, "r", "ann", "&hello=1");
    let (epoch, _) = epoch_and_seq(&mut ann);
    let mut bob = Member::join(&two, "r", "bob");
    ann.say("before", None);
    let before = bob.until_content("before").pop().unwrap()["seq"].as_u64().unwrap();
    assert_eq!(old.command(&["WAIT", "1", "30000"]), redis::Value::Int(1), "the replica has it");
    new.command(&["REPLICAOF", "NO", "ONE"]);
    // One node finds the new master, the other one stays with the old one, which goes on writing.
    here.turn_to(new.port());
    here.cut();
    bob.say("at the old one", None);
    let stray = bob.until_content("at the old one").pop().unwrap();
    assert!(stray["seq"].as_u64().unwrap() > before);
    eventually("a message is stored at the new one", || {
        let body = serde_json::json!({"sender": "carol", "content": "at the new one", "id": "c"});
        matches!(one.status("POST", "/api/chat/rooms/r/messages", Some(&body)), 200 | 201)
    });
    let mut late = Member::join_from(&one, "r", "dora", "&hello=1");
    let (after, _) = epoch_and_seq(&mut late);
    assert_ne!(after, epoch, "both masters number on in one epoch");
    ann.until(|value| value["type"] == "GAP");
    // The old one is told, and then the other node.
    old.command(&["REPLICAOF", "127.0.0.1", &new.port().to_string()]);
    there.turn_to(new.port());
    bob.say("refused", None);
    let gap = bob.until(|value| value["type"] == "GAP").pop().unwrap();
    assert_eq!(gap["epoch"].as_str(), Some(&*after));
    ann.say("together", None);
    for member in [&mut ann, &mut bob] {
        let told = member.until_content("together");
        assert!(told.iter().all(|value| value["content"] != "at the old one"), "{told:?}");
    }
}

#[test]
#[ignore = "needs redis-server: tests/cluster/run starts it"]
fn a_fail_over_to_a_replica_that_lags_is_told_under_load() {
    let mut engines = vec![Engine::start()];
    let switches: Vec<Switch> = (0..3).map(|_| Switch::to(engines[0].port())).collect();
    let nodes: Vec<Process> = switches.iter().map(serve).collect();
    let addresses = Addresses::default();
    addresses.set(&nodes);
    let clients = under_load(&addresses, 7, || {
        for round in 0..2 {
            std::thread::park_timeout(Duration::from_secs(2));
            let old = engines.pop().unwrap();
            let new = replica_of(&old);
            // It gets nothing more, and lags.
            new.command(&["REPLICAOF", "127.0.0.1", &super::engine::free_port().to_string()]);
            std::thread::park_timeout(Duration::from_millis(500));
            new.command(&["REPLICAOF", "NO", "ONE"]);
            for (index, switch) in switches.iter().enumerate() {
                switch.turn_to(new.port());
                // The last one stays with the old master for a while.
                if index < 2 {
                    switch.cut();
                }
            }
            std::thread::park_timeout(Duration::from_secs(2));
            old.command(&["REPLICAOF", "127.0.0.1", &new.port().to_string()]);
            std::thread::park_timeout(Duration::from_millis(500));
            switches[2].cut();
            engines.push(new);
            println!("fail-over {round}");
        }
    });
    check(&clients, &nodes.iter().collect::<Vec<_>>(), false);
}
