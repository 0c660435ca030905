//! What a node of a cluster has counted of it.

use std::time::Duration;

use crate::histogram::Histogram;

macro_rules! events {
    ($($(#[doc = $doc:literal])+ $name:ident = $key:literal,)+) => {
        /// Something that happens to a node of a cluster, and is counted.
        #[derive(Clone, Copy, Debug, PartialEq, Eq)]
        #[non_exhaustive]
        pub enum ClusterEvent {
            $($(#[doc = $doc])+ $name,)+
        }

        impl ClusterEvent {
            /// All of them.
            pub const ALL: &[ClusterEvent] = &[$(ClusterEvent::$name,)+];

            /// Its name in `/api/stats`.
            #[must_use]
            pub fn key(self) -> &'static str {
                match self {
                    $(ClusterEvent::$name => $key,)+
                }
            }
        }
    };
}

events! {
    /// An announcement told what came next in a log, which was shown.
    AnnouncementShown = "announcementsShown",
    /// An announcement told what was known already: one's own, a doubled one, a late one.
    AnnouncementKnown = "announcementsKnown",
    /// An announcement came of which something before it was missing, so that the log had to be read.
    AnnouncementAhead = "announcementsAhead",
    /// An announcement was not understood.
    AnnouncementUnreadable = "announcementsUnreadable",
    /// A log was read from what was shown last.
    LogRead = "logReads",
    /// A message was shown that had to be read, since no announcement of it was heard.
    MessageRead = "messagesRead",
    /// Something was said that this node should hear itself.
    ProbeSent = "probesSent",
    /// It was not heard before the next one was due.
    ProbeMissed = "probesMissed",
    /// A connection for announcements was made.
    ListenerConnected = "listenerConnections",
    /// A channel was subscribed again, after a break.
    Resubscribed = "resubscriptions",
    /// The head of a log was compared with what was shown.
    HeadCompared = "headsCompared",
    /// It was another one.
    HeadBehind = "headsBehind",
    /// A batch whose answer was missing was sent again under its number.
    BatchRepeated = "batchesRepeated",
    /// The lease of this node in a partition was renewed in time.
    LeaseRenewed = "leasesRenewed",
    /// It was not: other nodes may have taken this one for dead.
    LeaseLost = "leasesLost",
    /// This node ended the stay of a member whose node is gone.
    StayReaped = "staysReaped",
    /// A log began anew since Redis has lost a part of its partition.
    ResetForgotten = "resetsForgotten",
    /// A log began anew since it stands in another epoch.
    ResetEpoch = "resetsEpoch",
    /// A log began anew since it is shorter than what was shown.
    ResetBehind = "resetsBehind",
    /// A log began anew since what came next was removed from it.
    ResetTrimmed = "resetsTrimmed",
    /// An order was given to all nodes.
    OrderTold = "ordersTold",
    /// An order was heard, of any node.
    OrderHeard = "ordersHeard",
    /// Redis did not append: it reads its data after a start.
    RefusedLoading = "refusedLoading",
    /// It is a replica by now.
    RefusedReadOnly = "refusedReadonly",
    /// It has no memory left.
    RefusedMemory = "refusedOom",
    /// It cannot write to its disk.
    RefusedDisk = "refusedMisconf",
    /// Another script runs for too long.
    RefusedBusy = "refusedBusy",
    /// It has forgotten its scripts.
    RefusedScript = "refusedNoscript",
    /// It does not let this node do that: NOAUTH, NOPERM, WRONGPASS.
    RefusedAccess = "refusedNoauth",
    /// For any other reason.
    RefusedOtherwise = "refusedOther",
}

/// What a node of a cluster has counted so far, and how it is at the moment.
#[derive(Clone, Debug, Default)]
#[non_exhaustive]
pub struct ClusterStats {
    /// For how long Redis has answered without a break; `None` while it does not.
    pub contact: Option<Duration>,
    /// Nodes that listen, this one included, when they were last counted.
    pub nodes: u64,
    /// Batches that may have been appended, their answers being missing.
    pub unsettled: u64,
    /// How long requests took, in microseconds, by kind: those of the thread that appends, of those that read, of the one that
    /// keeps things in order.
    pub requests: [(&'static str, Histogram); 3],
    /// How many scripts, one for each room, went to Redis in one request of the thread that appends.
    pub append_scripts: Histogram,
    /// How many messages each script had.
    pub script_messages: Histogram,
    /// How often each event happened, in the order of [`ClusterEvent::ALL`].
    pub events: Vec<u64>,
}

impl ClusterStats {
    /// How often something happened.
    #[must_use]
    pub fn count(&self, event: ClusterEvent) -> u64 {
        self.events.get(event as usize).copied().unwrap_or(0)
    }
}
