//! The metrics of a node of a cluster.

use std::fmt;

use super::encoder::{Encoder, Scale};
use crate::store::{ClusterEvent, ClusterStats};

type Labelled = (&'static str, ClusterEvent);

/// What became of announcements.
const ANNOUNCEMENTS: [Labelled; 4] = [
    ("shown", ClusterEvent::AnnouncementShown),
    ("known", ClusterEvent::AnnouncementKnown),
    ("ahead", ClusterEvent::AnnouncementAhead),
    ("unreadable", ClusterEvent::AnnouncementUnreadable),
];
/// Why logs began anew here.
const RESETS: [Labelled; 4] = [
    ("forgotten", ClusterEvent::ResetForgotten),
    ("epoch", ClusterEvent::ResetEpoch),
    ("behind", ClusterEvent::ResetBehind),
    ("trimmed", ClusterEvent::ResetTrimmed),
];
/// Why Redis did not append.
const REFUSALS: [Labelled; 8] = [
    ("LOADING", ClusterEvent::RefusedLoading),
    ("READONLY", ClusterEvent::RefusedReadOnly),
    ("OOM", ClusterEvent::RefusedMemory),
    ("MISCONF", ClusterEvent::RefusedDisk),
    ("BUSY", ClusterEvent::RefusedBusy),
    ("NOSCRIPT", ClusterEvent::RefusedScript),
    ("NOAUTH", ClusterEvent::RefusedAccess),
    ("other", ClusterEvent::RefusedOtherwise),
];
/// What has no labels: the name and the help of each.
const COUNTERS: [(&str, &str, ClusterEvent); 14] = [
    (
        "foghorn_cluster_log_reads",
        "Logs of rooms that were read since announcements were missing, or may have been.",
        ClusterEvent::LogRead,
    ),
    (
        "foghorn_cluster_log_read_messages",
        "Messages that were shown from such reads, not from announcements.",
        ClusterEvent::MessageRead,
    ),
    (
        "foghorn_cluster_probes",
        "Probes that were sent to hear whether announcements come.",
        ClusterEvent::ProbeSent,
    ),
    (
        "foghorn_cluster_probes_missed",
        "Probes that were not heard before the next one.",
        ClusterEvent::ProbeMissed,
    ),
    (
        "foghorn_cluster_listener_connections",
        "Connections that were made to listen to announcements.",
        ClusterEvent::ListenerConnected,
    ),
    (
        "foghorn_cluster_resubscriptions",
        "Channels of rooms that were subscribed again, after a break.",
        ClusterEvent::Resubscribed,
    ),
    (
        "foghorn_cluster_heads_compared",
        "Heads of logs that were compared with what was shown.",
        ClusterEvent::HeadCompared,
    ),
    (
        "foghorn_cluster_heads_behind",
        "Heads among these that were others than what was shown.",
        ClusterEvent::HeadBehind,
    ),
    (
        "foghorn_cluster_batches_repeated",
        "Batches that were sent again under their numbers, since their answers were missing.",
        ClusterEvent::BatchRepeated,
    ),
    (
        "foghorn_cluster_leases_renewed",
        "Leases of this node that were renewed in time, one for each partition in which it has members.",
        ClusterEvent::LeaseRenewed,
    ),
    (
        "foghorn_cluster_leases_lost",
        "Leases of this node that were not: others may have taken it for dead.",
        ClusterEvent::LeaseLost,
    ),
    (
        "foghorn_cluster_stays_reaped",
        "Members of nodes that were gone, for whom this node has said that they left.",
        ClusterEvent::StayReaped,
    ),
    ("foghorn_cluster_orders_told", "Orders that this node gave to all nodes.", ClusterEvent::OrderTold),
    (
        "foghorn_cluster_orders_heard",
        "Orders that this node heard, its own included.",
        ClusterEvent::OrderHeard,
    ),
];

/// Writes all of them.
pub(super) fn encode(stats: &ClusterStats, out: &mut Encoder<'_>) -> fmt::Result {
    let help = "1 while Redis answers this node, 0 while it does not.";
    out.gauge("foghorn_cluster_contact", help, u64::from(stats.contact.is_some()))?;
    let help = "For how long Redis has answered without a break, in seconds; 0 while it does not.";
    out.gauge("foghorn_cluster_contact_seconds", help, stats.contact.unwrap_or_default().as_secs_f64())?;
    let help = "Nodes that listen to Redis, this one included; 0 if Redis does not tell.";
    out.gauge("foghorn_cluster_nodes", help, stats.nodes)?;
    let help = "Batches of which it is not known yet whether Redis has them.";
    out.gauge("foghorn_cluster_unsettled_batches", help, stats.unsettled)?;
    let help = "How long requests to Redis took, in seconds, by kind.";
    let requests = stats.requests.iter().filter(|(kind, _)| !kind.is_empty());
    let requests = requests.map(|&(kind, times)| ([("kind", kind)], times));
    out.histograms("foghorn_cluster_request_seconds", help, requests, Scale::Seconds)?;
    let help = "How many scripts, one for each room, one request to append had.";
    out.histogram("foghorn_cluster_append_scripts", help, &stats.append_scripts, Scale::One)?;
    let help = "How many messages one script had.";
    out.histogram("foghorn_cluster_script_messages", help, &stats.script_messages, Scale::One)?;
    let mut labelled = |name, help, label, events: &[Labelled]| {
        let counts = events.iter().map(|&(value, event)| ([(label, value)], stats.count(event)));
        out.counters(name, help, counts)
    };
    let help = "Announcements of messages, by what they told.";
    labelled("foghorn_cluster_announcements", help, "outcome", &ANNOUNCEMENTS)?;
    let help = "Logs that began anew for this node, by the reason.";
    labelled("foghorn_cluster_log_resets", help, "reason", &RESETS)?;
    let help = "Scripts that Redis did not run, by its error.";
    labelled("foghorn_cluster_refusals", help, "code", &REFUSALS)?;
    COUNTERS.iter().try_for_each(|&(name, help, event)| out.counter(name, help, stats.count(event)))
}
