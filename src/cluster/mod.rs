//! Several nodes that act as one: rooms whose logs are in Redis or Valkey, where every node writes to them.
//!
//! | file | subject |
//! |---|---|
//! | `options`, `error` | where the engine is, and how long it is waited for; what can go wrong |
//! | `partition`, `keys` | which part of the cluster a room belongs to; what is kept where |
//! | `scripts`, `answers` | what Redis does in one step, and what it answers to it |
//! | `value`, `entry`, `settings`, `draft` | values of Redis; messages in streams and announcements; what a room has its own way; messages on their way |
//! | `address`, `scout` | what a URL names; which servers that means at the moment |
//! | `layout`, `topology` | which master has which partition; the same for all threads, and how they are |
//! | `contact`, `hearing` | since when a master answers; whether its announcements are heard |
//! | `wire`, `wire_tls`, `connection` | bytes to one server, encrypted or not; answers of it |
//! | `question`, `asker` | what is asked about which partition; one who asks whichever master has it |
//! | `generation`, `facts`, `instance` | what this node has seen of each partition; what Redis says of itself; one life of Redis |
//! | `fence`, `histories` | a replica in the place of its master; which of those were met |
//! | `follow`, `rooms` | how far a log was shown; the rooms that this process knows |
//! | `subscriptions`, `tasks`, `behind`, `stays` | channels; what readers have to do; logs to be read again; stays of this node |
//! | `complaints`, `counters` | what is wrong with Redis, for the log; what is counted |
//! | `shared` | what all threads have in common |
//! | `opening`, `following` | where a log stands; logs are shown as they grow |
//! | `queue`, `link`, `appender` | what waits to be appended; the way to one master; the thread that appends |
//! | `listener` | the threads that listen to announcements, one for each master |
//! | `keeper`, `reaping` | the thread that looks after things from time to time; stays of nodes that are gone end |
//! | `presence` | who is in a room on all nodes |
//! | `orders`, `telling` | what nodes tell each other; how they do |
//! | `backend` | the cluster as a store |
//! | `registry` | which rooms there are, who takes part in them, imports, bans |
//! | `checks`, `start` | whether Redis is as it has to be; the threads |
//! | `hostile` | for fuzzing: whatever Redis could say |
//! | `model` | the protocol as a small model, all of whose states are looked at |

#![expect(
    clippy::wildcard_enum_match_arm,
    reason = "values and errors of Redis are of many kinds, of which each place knows what to do with one or two"
)]

mod address;
mod answers;
mod appender;
mod asker;
mod backend;
mod behind;
mod checks;
mod complaints;
mod connection;
mod contact;
mod counters;
mod draft;
mod entry;
mod error;
mod facts;
mod fence;
mod follow;
mod following;
mod generation;
mod hearing;
mod histories;
#[cfg(any(all(test, feature = "auth", feature = "stomp"), feature = "fuzzing"))]
pub(crate) mod hostile;
mod instance;
mod keeper;
mod keys;
mod layout;
mod link;
mod listener;
#[cfg(test)]
mod model;
mod opening;
mod options;
mod orders;
mod partition;
mod presence;
mod question;
mod queue;
mod reaping;
mod registry;
mod rooms;
mod scout;
mod scripts;
mod settings;
mod shared;
mod start;
mod stays;
mod subscriptions;
mod tasks;
mod telling;
#[cfg(test)]
mod tests;
mod topology;
mod value;
mod wire;
#[cfg(feature = "tls")]
mod wire_tls;

pub use self::error::ClusterError;
pub use self::options::{ClusterOptions, ClusterTls, Joined};
pub use self::start::start;
