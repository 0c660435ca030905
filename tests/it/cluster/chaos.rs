//! Everything at random, under load; what every client was shown is compared at the end.
//!
//! `FOGHORN_CHAOS_SECONDS` says for how long, `FOGHORN_CHAOS_SEED` repeats the faults of a run.

use std::time::Duration;

use super::engine::Engine;
use super::load::{Addresses, Random, check, under_load};
use super::member::node_with;
use crate::support::process::Process;
use crate::support::{now, variable};

const NODES: usize = 3;
const LEASE: Duration = Duration::from_secs(2);

/// What Redis may be put through.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    /// It loses nothing: everything is on disk before it answers.
    Durable,
    /// It is emptied, and put back to what it was.
    Forgetful,
}

struct World {
    engine: Engine,
    nodes: Vec<Option<Process>>,
}

impl World {
    fn start(kind: Kind) -> World {
        let engine = if kind == Kind::Durable { Engine::durable() } else { Engine::start() };
        let mut world = World { engine, nodes: Vec::new() };
        world.nodes = (0..NODES).map(|_| Some(world.node())).collect();
        world
    }

    fn node(&self) -> Process {
        let lease = LEASE.as_secs();
        node_with(
            &self.engine.url(),
            &format!(
                "[cluster]\nlease = \"{lease}s\"\nretention = 10000000\n[chat]\ndedup_window = \"1h\"\n"
            ),
        )
    }

    /// Something happens; says what.
    fn fault(&mut self, kind: Kind, random: &mut Random) -> String {
        let pause = Duration::from_millis(200 + random.below(4000));
        match random.below(if kind == Kind::Forgetful { 6 } else { 4 }) {
            0 => {
                let victim = usize::try_from(random.below(NODES as u64)).unwrap();
                self.nodes[victim].take().into_iter().for_each(Process::kill);
                self.nodes[victim] = Some(self.node());
                format!("node {victim} is killed, and another one comes")
            }
            1 => {
                self.engine.pause();
                std::thread::park_timeout(pause);
                self.engine.resume();
                format!("Redis is silent for {pause:?}")
            }
            2 if kind == Kind::Durable => {
                self.engine.kill();
                self.engine.run();
                "Redis is killed, and loses nothing".to_owned()
            }
            2 | 3 => {
                let victim = usize::try_from(random.below(NODES as u64)).unwrap();
                let node = self.nodes[victim].as_ref().unwrap();
                node.signal("STOP");
                std::thread::park_timeout(pause);
                node.signal("CONT");
                format!("node {victim} stands still for {pause:?}")
            }
            4 => {
                self.engine.command(&["FLUSHALL"]);
                "Redis is emptied".to_owned()
            }
            _ => {
                self.engine.save();
                std::thread::park_timeout(pause);
                self.engine.kill();
                self.engine.run();
                format!("Redis is put back by {pause:?}")
            }
        }
    }
}

fn chaos(kind: Kind) {
    let time = Duration::from_secs(variable("FOGHORN_CHAOS_SECONDS", 20));
    let seed = variable("FOGHORN_CHAOS_SEED", 1);
    println!("{kind:?}: FOGHORN_CHAOS_SEED={seed} FOGHORN_CHAOS_SECONDS={}", time.as_secs());
    let mut world = World::start(kind);
    let addresses = Addresses::default();
    addresses.set(world.nodes.iter().flatten());
    let clients = under_load(&addresses, seed, || {
        let (start, mut random) = (now(), Random(seed));
        while start.elapsed() < time {
            std::thread::park_timeout(Duration::from_millis(300 + random.below(3000)));
            let what = world.fault(kind, &mut random);
            println!("{:6.1} s: {what}", start.elapsed().as_secs_f64());
            addresses.set(world.nodes.iter().flatten());
        }
    });
    let nodes: Vec<&Process> = world.nodes.iter().flatten().collect();
    check(&clients, &nodes, kind == Kind::Durable);
}

#[test]
#[ignore = "needs redis-server: tests/cluster/run starts it"]
fn nothing_is_lost_doubled_or_reordered_whatever_fails() {
    chaos(Kind::Durable);
}

#[test]
#[ignore = "needs redis-server: tests/cluster/run starts it"]
fn what_redis_forgets_is_told_and_no_number_is_used_twice() {
    chaos(Kind::Forgetful);
}
