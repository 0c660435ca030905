//! Where the engine is, and how long it is waited for.

use std::time::Duration;

use crate::store::{Options, Store, StoreThreads};

/// A node that has joined a cluster.
pub struct Joined {
    /// Its way to the rooms.
    pub store: Store,
    /// What runs for it; dropping it ends that.
    pub threads: StoreThreads,
    /// What an operator should know: what can be lost, and when.
    pub warnings: Vec<String>,
}

/// How a node takes part in a cluster.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct ClusterOptions {
    /// Where the engine is: `redis://[user:password@]host[:port][/database]`. Never printed with its password.
    pub url: String,
    /// Within this a publisher hears that the engine does not answer.
    pub timeout: Duration,
    /// For so long a node is believed to be there without a sign of it.
    pub lease: Duration,
    /// What is said of a user whose node is gone; `{username}` stands for the name.
    pub leave_notice: String,
    /// What a room keeps that does not say, how long ids are remembered, how much of a log comes with an opened room.
    pub store: Options,
}
