//! Nodes without their sockets, on a Redis of the test's own: `tests/cluster/run` runs these.
//!
//! | file | subject |
//! |---|---|
//! | `kit` | a Redis that can be stopped and emptied, nodes, what a node was shown |
//! | `proxy` | a way to Redis that can be cut |
//! | `together` | what nodes see of each other |
//! | `faults` | what becomes of messages when something fails |
//! | `absent` | nodes that are gone, or taken to be |

mod absent;
mod faults;
mod kit;
mod proxy;
mod together;
