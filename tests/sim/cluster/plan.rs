//! What follows from a seed before anything happens: nodes, clients, what goes wrong.

use std::collections::BTreeSet;
use std::fmt;
use std::time::Duration;

use crate::plan::{Door, Plan, Trim};
use crate::random::Random;

/// What can go wrong between several nodes and their engine.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Fault {
    /// Connections break: of what was asked some is done, and nobody hears of it.
    AnswersLost,
    AnnouncementsLost,
    AnnouncementsDoubled,
    AnnouncementsLate,
    /// The engine does not answer, or nobody listens there, for a while.
    Away,
    /// The engine is started anew and has forgotten nothing, unless its scripts.
    Restarted,
    /// The engine has less than it had: it was restored, or a replica took over that lagged.
    PutBack,
    /// Everything is gone (`FLUSHALL`).
    Emptied,
    /// One key is gone.
    Evicted,
    /// It answers that it is full, or loads, or is a replica.
    Refusing,
    /// Its clock is set.
    ClockSet,
    /// A node does not reach the engine for longer than its lease.
    CutOff,
    /// A node stands still for longer than its lease, and goes on.
    Paused,
    /// A node ends (`kill -9`), and another one takes its place.
    Killed,
    /// A node ends in good order, and another one takes its place.
    Stopped,
}

pub(crate) const FAULTS: [Fault; 15] = [
    Fault::AnswersLost,
    Fault::AnnouncementsLost,
    Fault::AnnouncementsDoubled,
    Fault::AnnouncementsLate,
    Fault::Away,
    Fault::Restarted,
    Fault::PutBack,
    Fault::Emptied,
    Fault::Evicted,
    Fault::Refusing,
    Fault::ClockSet,
    Fault::CutOff,
    Fault::Paused,
    Fault::Killed,
    Fault::Stopped,
];

/// The kinds of steps.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Step {
    Reactor,
    Worker,
    /// A thread of a node goes on until it waits.
    Thread,
    /// The engine does what it was asked for.
    Serve,
    /// What the engine has said arrives.
    Hear,
    /// What a client or a node has said to the other arrives.
    Deliver,
    Command,
    Receive,
    Fault,
    Time,
}

pub(crate) const STEPS: [Step; 10] = [
    Step::Reactor,
    Step::Worker,
    Step::Thread,
    Step::Serve,
    Step::Hear,
    Step::Deliver,
    Step::Command,
    Step::Receive,
    Step::Fault,
    Step::Time,
];

#[derive(Clone, Debug)]
pub(crate) struct ClusterPlan {
    /// The clients, and the options of each node.
    pub(crate) base: Plan,
    pub(crate) nodes: usize,
    pub(crate) timeout: Duration,
    pub(crate) lease: Duration,
    /// Whether the engine says that it has everything on disk before it answers.
    pub(crate) keeps_everything: bool,
    pub(crate) faults: BTreeSet<Fault>,
    pub(crate) weights: [usize; STEPS.len()],
}

impl ClusterPlan {
    pub(crate) fn of(seed: u64) -> ClusterPlan {
        let mut random = Random::new(seed, 4);
        let mut base = Plan::of(seed);
        base.faults.clear();
        (base.durability, base.has_database) = ("commit", false);
        (base.messages_max, base.messages_per_second, base.sessions_per_user) = (0, 0, 0);
        for client in &mut base.clients {
            // Relays are each node's own.
            if client.door == Door::Raw {
                client.door = Door::Chat;
            }
            // There is more to be done than one node takes part in.
            client.commands.extend(client.commands.clone());
        }
        let mut faults = BTreeSet::new();
        for _ in 0..random.pick(&[0, 1, 1, 2, 3, 5]) {
            faults.insert(random.pick(&FAULTS));
        }
        ClusterPlan {
            base,
            nodes: random.pick(&[2, 3, 3]),
            timeout: random.pick(&[
                Duration::from_millis(300),
                Duration::from_secs(1),
                Duration::from_secs(2),
            ]),
            lease: random.pick(&[Duration::from_secs(1), Duration::from_secs(2), Duration::from_secs(4)]),
            keeps_everything: random.once_in(4) && !faults.contains(&Fault::PutBack),
            faults,
            weights: std::array::from_fn(|_| random.pick(&[1, 2, 4, 8, 16, 32])),
        }
    }

    pub(crate) fn trimmed(&self, trim: &Trim, without: &BTreeSet<Fault>) -> ClusterPlan {
        let mut plan = ClusterPlan { base: self.base.trimmed(trim), ..self.clone() };
        plan.faults.retain(|fault| !without.contains(fault));
        plan
    }
}

impl fmt::Display for ClusterPlan {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let ClusterPlan { base, nodes, timeout, lease, keeps_everything, faults, weights } = self;
        write!(f, "{base}")?;
        writeln!(
            f,
            "  {nodes} nodes, timeout {timeout:?}, lease {lease:?}, everything on disk: {keeps_everything},"
        )?;
        writeln!(f, "  faults of the cluster: {faults:?}, weights: {weights:?}")
    }
}
