//! A replica that took the place of its master: its logs go on in other epochs, whether or not it had got everything.
//!
//! The old master may still write, for nodes that have not found out: both would give out the same numbers under the same
//! epochs. So the first node that meets the new one has all of its logs begin new epochs, before it appends anything there
//! ([`fence`]). A server that was started anew with an older snapshot looks the same, but for how long it runs: where that is
//! less than what has passed since the last answer, it is no other one, and what it has lost is found otherwise (`instance`).

use std::time::{Duration, Instant};

use redis::RedisResult;

use super::checks::Facts;
use super::connection::Connection;
use super::error::not_understood;
use super::generation::generation_number;
use super::partition::Partition;
use super::scripts::FENCE;
use super::shared::{Shared, nonce};
use super::value::{texts, whole};
use crate::system::instant;

/// How exactly a server says for how long it runs.
const UPTIME_UNIT: Duration = Duration::from_secs(1);

/// What a server says of its own past.
#[derive(Debug, PartialEq, Eq)]
struct Past {
    /// Its history, as replicas know it.
    history: Box<str>,
    uptime: Duration,
}

impl Past {
    /// `None` if it was never a replica.
    fn of(facts: &Facts) -> Option<Past> {
        let (history, before) = (facts.get("master_replid"), facts.get("master_replid2"));
        let is_known = |id: &str| id.len() == 40 && id.bytes().all(|digit| digit.is_ascii_hexdigit());
        if !is_known(history) || !is_known(before) || before.bytes().all(|digit| digit == b'0') {
            return None;
        }
        let uptime = Duration::from_secs(whole(facts.get("uptime_in_seconds")).unwrap_or(0));
        Some(Past { history: history.into(), uptime })
    }

    /// Whether another server may have been where this one is now, after it was started.
    fn is_another(&self, met_at: Option<Instant>, now: Instant) -> bool {
        met_at.is_none_or(|met_at| self.uptime > now.saturating_duration_since(met_at) + UPTIME_UNIT)
    }
}

/// Sees to it that what is numbered over this connection belongs to no epoch of another server.
pub(super) fn fence(
    shared: &Shared,
    connection: &mut Connection,
    partitions: impl Iterator<Item = Partition>,
) -> RedisResult<()> {
    let past = Past::of(&Facts::ask(connection)?);
    let now = instant();
    if let Some(past) = past.filter(|past| !shared.histories.is_fenced(&past.history)) {
        let is_told = past.is_another(shared.histories.met_at(), now);
        tell(shared, connection, partitions, &past.history, is_told)?;
        shared.histories.fenced(past.history);
    }
    shared.histories.met(now);
    Ok(())
}

fn tell(
    shared: &Shared,
    connection: &mut Connection,
    partitions: impl Iterator<Item = Partition>,
    history: &str,
    is_told: bool,
) -> RedisResult<()> {
    let partitions: Vec<Partition> = partitions.collect();
    let calls = partitions.iter().map(|partition| {
        let mut call = FENCE.call(&[partition.meta()]);
        call.arg(history).arg(u8::from(is_told)).arg(nonce());
        call
    });
    let answers = FENCE.run_all(connection, &calls.collect::<Vec<_>>())?;
    for (partition, answer) in partitions.into_iter().zip(&answers) {
        let answer = texts(answer).ok_or_else(|| not_understood("a generation"))?;
        let [generation, changes] = &*answer else { return Err(not_understood("a generation")) };
        // A partition in which nothing was ever written has none.
        if generation_number(generation).is_some()
            && let Some(changes) = whole(changes)
        {
            shared.generations.note(partition, generation, changes);
        }
    }
    if is_told {
        tracing::warn!(
            "Redis was a replica before: its logs go on in new epochs, since its old master may have gone on, too"
        );
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn past(second: &str, uptime: &str) -> Option<Past> {
        let (first, second) = ("a".repeat(40), second.repeat(40));
        let info =
            format!("master_replid:{first}\r\nmaster_replid2:{second}\r\nuptime_in_seconds:{uptime}\r\n");
        Past::of(&Facts::parse(&info))
    }

    #[test]
    fn a_server_that_was_a_replica_has_a_past() {
        assert_eq!(past("0", "5"), None);
        assert_eq!(past("x", "5"), None);
        assert_eq!(Past::of(&Facts::parse("")), None);
        let found = past("b", "5").unwrap();
        assert_eq!((found.history.len(), found.uptime), (40, Duration::from_secs(5)));
    }

    #[test]
    fn one_that_was_there_before_the_last_answer_is_another_one() {
        let (now, found) = (instant(), past("b", "5").unwrap());
        let met = |seconds| now.checked_sub(Duration::from_secs(seconds));
        assert!(found.is_another(None, now), "nothing is known");
        assert!(found.is_another(met(1), now), "it ran while another one answered");
        assert!(!found.is_another(met(6), now), "it was started after that");
        assert!(!found.is_another(met(4), now), "as far as can be told");
    }
}
