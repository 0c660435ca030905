//! Nodes without their sockets, on a Redis of the test's own: `tests/cluster/run` runs these.
//!
//! | file | subject |
//! |---|---|
//! | `kit` | a Redis that can be stopped and emptied, nodes, what a node was shown |
//! | `fleet` | a Redis Cluster, and a master that Sentinels look after |
//! | `proxy` | a way to Redis that can be cut |
//! | `together` | what nodes see of each other |
//! | `faults` | what becomes of messages when something fails |
//! | `several` | masters that share the partitions, and masters that take each other's place |
//! | `secure` | TLS, users, passwords |
//! | `absent` | nodes that are gone, or taken to be |

mod absent;
mod faults;
mod fleet;
mod kit;
mod proxy;
#[cfg(feature = "tls")]
mod secure;
mod several;
mod together;
