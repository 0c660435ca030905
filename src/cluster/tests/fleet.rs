//! A Redis Cluster, and a master that a Sentinel looks after.

use std::process::{Child, Command, Stdio};

use redis::Value;
use tempfile::TempDir;

use super::kit::{Redis, eventually, free_port};
use crate::cluster::partition::Partition;

fn words(text: &str) -> Vec<&str> {
    text.split(' ').collect()
}

fn text(value: Value) -> String {
    redis::from_redis_value(value).unwrap()
}

/// Waits until a replica has everything that its master has.
pub(super) fn wait_for_replica_of(master: &Redis) {
    eventually("a replica that has everything", || {
        let acknowledged: i64 = redis::from_redis_value(master.command(&["WAIT", "1", "100"])).unwrap();
        acknowledged == 1
    });
}

/// A replica gets nothing more from its master.
pub(super) fn cut_off(replica: &Redis, master: &Redis) {
    // What is under way to one that stands still would be there when it goes on.
    replica.command(&words("CONFIG SET masteruser nobody"));
    replica.command(&words("CONFIG SET masterauth nothing"));
    master.command(&words("CLIENT KILL TYPE replica"));
    eventually("a replica that is cut off", || {
        text(replica.command(&["INFO", "replication"])).contains("master_link_status:down")
    });
}

/// A Redis Cluster. Behind the masters there may be a replica of each.
pub(super) struct Fleet {
    pub(super) nodes: Vec<Redis>,
    masters: usize,
}

impl Fleet {
    pub(super) fn start(masters: usize, has_replicas: bool) -> Fleet {
        let count = if has_replicas { 2 * masters } else { masters };
        // A replica takes over however far behind it is.
        let more = || {
            let more =
                "--cluster-enabled yes --cluster-node-timeout 1000 --cluster-replica-validity-factor 0";
            let bus = format!("--cluster-port {}", free_port());
            words(more).into_iter().chain(words(&bus)).map(str::to_owned).collect()
        };
        let nodes: Vec<Redis> = (0..count).map(|_| Redis::with(more)).collect();
        let fleet = Fleet { nodes, masters };
        for index in 0..masters {
            let [first, last] = [index, index + 1].map(|index| index * 16_384 / masters);
            fleet.nodes[index].command(&words(&format!("CLUSTER ADDSLOTSRANGE {first} {}", last - 1)));
            fleet.nodes[index].command(&words(&format!("CLUSTER SET-CONFIG-EPOCH {}", index + 1)));
        }
        for node in &fleet.nodes {
            let bus = node.argument("--cluster-port");
            fleet.nodes[0].command(&words(&format!("CLUSTER MEET 127.0.0.1 {} {bus}", node.port)));
        }
        let knows_all = |node: &Redis| text(node.command(&["CLUSTER", "NODES"])).lines().count() == count;
        eventually("nodes that know each other", || fleet.nodes.iter().all(knows_all));
        for index in masters..count {
            let master = fleet.id(index - masters);
            eventually("a replica", || {
                fleet.nodes[index].try_command(&["CLUSTER", "REPLICATE", &master]).is_ok()
            });
        }
        let is_well = |node: &Redis| {
            let info = text(node.command(&["CLUSTER", "INFO"]));
            info.contains("cluster_state:ok") && info.contains("cluster_slots_ok:16384")
        };
        eventually("a cluster that is well", || fleet.nodes.iter().all(is_well));
        for replica in &fleet.nodes[masters..] {
            eventually("a replica that has its master", || {
                text(replica.command(&["INFO", "replication"])).contains("master_link_status:up")
            });
        }
        fleet
    }

    pub(super) fn url(&self) -> String {
        let hosts: Vec<String> = self.nodes.iter().map(|node| format!("127.0.0.1:{}", node.port)).collect();
        format!("redis://{}", hosts.join(","))
    }

    fn id(&self, index: usize) -> String {
        text(self.nodes[index].command(&["CLUSTER", "MYID"]))
    }

    /// The master that has the room at the beginning.
    pub(super) fn home(&self, room: &str) -> usize {
        usize::from(Partition::of(room).slot()) * self.masters / 16_384
    }

    /// Hands the slot of a room over, key by key, as tools do it.
    pub(super) fn migrate(&self, room: &str, from: usize, to: usize) {
        let slot = Partition::of(room).slot();
        let (from_id, to_id, to_port) = (self.id(from), self.id(to), self.nodes[to].port);
        self.nodes[to].command(&words(&format!("CLUSTER SETSLOT {slot} IMPORTING {from_id}")));
        self.nodes[from].command(&words(&format!("CLUSTER SETSLOT {slot} MIGRATING {to_id}")));
        loop {
            let keys = self.nodes[from].command(&words(&format!("CLUSTER GETKEYSINSLOT {slot} 10")));
            let keys: Vec<String> = redis::from_redis_value(keys).unwrap();
            if keys.is_empty() {
                break;
            }
            for key in keys {
                let port = to_port.to_string();
                // One that has expired is no loss.
                self.nodes[from].command(&["MIGRATE", "127.0.0.1", &port, &key, "0", "5000"]);
            }
        }
        for node in [to, from].into_iter().chain(0..self.masters) {
            self.nodes[node].command(&words(&format!("CLUSTER SETSLOT {slot} NODE {to_id}")));
        }
    }

    /// Waits until the replica of a master has taken its place.
    pub(super) fn wait_for_fail_over(&self, master: usize) {
        let replica = &self.nodes[self.masters + master];
        eventually("a replica that has taken over", || {
            text(replica.command(&["INFO", "replication"])).contains("role:master")
                && text(replica.command(&["CLUSTER", "INFO"])).contains("cluster_state:ok")
        });
    }
}

/// A master, its replica, and a Sentinel that looks after them.
pub(super) struct Watched {
    pub(super) servers: [Redis; 2],
    sentinel: Child,
    port: u16,
    _files: TempDir,
}

impl Watched {
    pub(super) fn start() -> Watched {
        let master = Redis::start();
        let replica = Redis::with(|| {
            words(&format!("--replicaof 127.0.0.1 {}", master.port)).into_iter().map(str::to_owned).collect()
        });
        eventually("a replica that has its master", || {
            text(replica.command(&["INFO", "replication"])).contains("master_link_status:up")
        });
        let (files, port) = (tempfile::tempdir().unwrap(), free_port());
        let config = files.path().join("sentinel.conf");
        let text = format!(
            "port {port}\nbind 127.0.0.1\nsentinel monitor mymaster 127.0.0.1 {} 1\n\
             sentinel down-after-milliseconds mymaster 3000\nsentinel failover-timeout mymaster 10000\n",
            master.port
        );
        std::fs::write(&config, text).unwrap();
        let server = std::env::var("FOGHORN_REDIS_SERVER").unwrap_or_else(|_| "redis-server".to_owned());
        let sentinel = Command::new(server)
            .arg(&config)
            .args(["--sentinel", "--loglevel", "warning"])
            .stdout(Stdio::null())
            .spawn()
            .unwrap();
        let watched = Watched { servers: [master, replica], sentinel, port, _files: files };
        eventually("a Sentinel that knows the replica", || watched.ask("num-slaves").as_deref() == Some("1"));
        watched
    }

    pub(super) fn url(&self) -> String {
        format!("redis-sentinel://127.0.0.1:{}#mymaster", self.port)
    }

    /// What the Sentinel says of the master.
    pub(super) fn ask(&self, fact: &str) -> Option<String> {
        let client = redis::Client::open(format!("redis://127.0.0.1:{}", self.port)).unwrap();
        let mut connection = client.get_connection().ok()?;
        let told: Vec<String> =
            redis::cmd("SENTINEL").arg("MASTER").arg("mymaster").query(&mut connection).ok()?;
        let (pairs, _) = told.as_chunks::<2>();
        pairs.iter().find(|[name, _]| name == fact).map(|[_, value]| value.clone())
    }

    /// Waits until the Sentinel says that the master is there.
    pub(super) fn wait_for_master(&self, index: usize) {
        let port = self.servers[index].port.to_string();
        eventually("another master", || self.ask("port").as_ref() == Some(&port));
    }
}

impl Drop for Watched {
    fn drop(&mut self) {
        let _ended_already = self.sentinel.kill();
        let _no_zombie_stays = self.sentinel.wait();
    }
}
