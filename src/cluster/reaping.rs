//! Stays of nodes that are gone end: each with one LEAVE, whichever node comes first.

use std::time::Instant;

use redis::Value;

use super::asker::Asker;
use super::error::{not_understood, understood};
use super::fence::fence;
use super::partition::Partition;
use super::question::Question;
use super::scripts::{BURY, REAP};
use super::shared::{Shared, nonce};
use super::value::{list, text, texts, whole};
use crate::store::{ClusterEvent, StoreError};
use crate::system::instant;

/// How long ago it may have been looked whether a server is still the same one.
const MET: std::time::Duration = std::time::Duration::from_millis(200);

/// Rooms that are asked for at once.
const ROOMS: usize = 256;

/// Ends the stays of a node in a partition, if its lease is still not renewed; what is left at `until` is left for later.
pub(super) fn reap(
    shared: &Shared,
    asker: &mut Asker,
    partition: Partition,
    node: &str,
    until: Instant,
) -> Result<(), StoreError> {
    if let Some(home) = shared.topology.layout().home(partition)
        && home.histories.met_at().is_none_or(|at| instant().saturating_duration_since(at) > MET)
    {
        // The question may go to another server than the one that was last asked.
        fence(shared, asker, home)?;
    }
    tracing::info!(node, "a node is gone: its members are taken to have left");
    loop {
        let rooms = rooms_of(asker, partition, node)?;
        if rooms.is_empty() {
            break;
        }
        for room in rooms {
            if instant() >= until {
                return Ok(());
            }
            while {
                let answer = end_stays(shared, asker, partition, node, &room)?;
                match answer {
                    None => return Ok(()),
                    Some(Ended { stays, is_more }) => {
                        shared.counters.note_many(ClusterEvent::StayReaped, stays);
                        is_more
                    }
                }
            } {}
        }
    }
    let keys = [partition.nodes(), partition.rooms_of_node(node)];
    asker.ask(&Question::to_run(&BURY, partition, &keys).arg(node)).map(drop)
}

/// Some of the rooms in which a node has stays.
fn rooms_of(asker: &mut Asker, partition: Partition, node: &str) -> Result<Vec<String>, StoreError> {
    let scan = Question::new(partition, "HRANDFIELD").arg(partition.rooms_of_node(node)).arg(ROOMS);
    let found = asker.ask(&scan)?;
    if matches!(found, Value::Nil) {
        return Ok(Vec::new());
    }
    let rooms =
        list(&found).and_then(|rooms| rooms.iter().map(|room| text(room).map(str::to_owned)).collect());
    understood(rooms.ok_or_else(|| not_understood("the rooms of a node")))
}

/// Stays that were ended.
struct Ended {
    stays: u64,
    /// Whether there may be more.
    is_more: bool,
}

/// Ends stays in a room; `None`: the node is there.
fn end_stays(
    shared: &Shared,
    asker: &mut Asker,
    partition: Partition,
    node: &str,
    room: &str,
) -> Result<Option<Ended>, StoreError> {
    let keys = [
        partition.room(room),
        partition.stream(room),
        partition.meta(),
        partition.stays(room),
        partition.users(room),
        partition.rooms_of_node(node),
        partition.nodes(),
    ];
    let seen = shared.generations.of(partition);
    let call = Question::to_run(&REAP, partition, &keys);
    let call = call.arg(node).arg(room).arg(partition.channel(room)).arg(nonce()).arg(&shared.leave_notice);
    let call = call.arg(&shared.node).arg(&*seen.generation).arg(seen.changes).arg(shared.retention());
    let answer = asker.ask(&call)?;
    let ended = |is_more, stays| whole(stays).map(|stays| Some(Ended { stays, is_more }));
    let ended = match texts(&answer).as_deref() {
        Some(["alive"]) => Some(None),
        Some(["done", stays]) => ended(false, stays),
        Some(["more", stays]) => ended(true, stays),
        _ => None,
    };
    understood(ended.ok_or_else(|| not_understood("the end of stays")))
}
