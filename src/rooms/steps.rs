//! How long messages take from step to step of their way through the server.

use crate::histogram::Histogram;

/// How long a step takes, in microseconds.
// From a turn that has nothing else to do to a store that hangs.
const BOUNDS: &[u64] =
    &[10, 25, 50, 100, 250, 500, 1_000, 2_500, 5_000, 10_000, 25_000, 50_000, 100_000, 250_000, 1_000_000];

/// How long messages have taken for each step of their way, in microseconds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct MessageSteps {
    /// From the turn that read them until the shard has taken them; for each message published at once.
    pub read_to_shard: Histogram,
    /// From there until the shard has the answer that they are stored; for each message that is stored.
    pub shard_to_commit: Histogram,
    /// From the moment at which they may be seen until they were handed to the sockets; for each delivery.
    pub commit_to_send: Histogram,
}

impl Default for MessageSteps {
    fn default() -> MessageSteps {
        let [read_to_shard, shard_to_commit, commit_to_send] = [Histogram::new(BOUNDS); 3];
        MessageSteps { read_to_shard, shard_to_commit, commit_to_send }
    }
}

impl MessageSteps {
    /// Adds those of another shard.
    pub(crate) fn add(&mut self, other: &MessageSteps) {
        let MessageSteps { read_to_shard, shard_to_commit, commit_to_send } = other;
        self.read_to_shard.add(read_to_shard);
        self.shard_to_commit.add(shard_to_commit);
        self.commit_to_send.add(commit_to_send);
    }
}
