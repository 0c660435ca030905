//! Nodes are replaced one after the other, under load.

use super::engine::Engine;
use super::load::{Addresses, check, under_load};
use super::member::node_with;
use crate::support::process::Process;

#[test]
#[ignore = "needs redis-server: tests/cluster/run starts it"]
fn a_rolling_restart_loses_nothing() {
    let engine = Engine::durable();
    let node =
        || node_with(&engine.url(), "[cluster]\nretention = 10000000\n[chat]\ndedup_window = \"1h\"\n");
    let mut nodes: Vec<Process> = (0..3).map(|_| node()).collect();
    let addresses = Addresses::default();
    addresses.set(&nodes);
    let clients = under_load(&addresses, 1, || {
        for round in 0..6 {
            std::thread::park_timeout(std::time::Duration::from_millis(1_500));
            // The new one is there before the old one goes, which takes nobody new meanwhile.
            let old = nodes.remove(0);
            nodes.push(node());
            addresses.set(&nodes);
            old.terminate();
            println!("node {round} is replaced");
        }
    });
    check(&clients, &nodes.iter().collect::<Vec<_>>(), true);
}
