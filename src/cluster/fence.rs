//! A replica that took the place of its master: its logs go on in other epochs, whether or not it had got everything.
//!
//! The old master may still write, for nodes that have not found out: both would give out the same numbers under the same
//! epochs. So the first node that meets the new one has all of its logs begin new epochs, before it appends anything there
//! ([`fence`]). A server that was started anew with an older snapshot looks the same, but for how long it runs: where that is
//! less than what has passed since the last answer, it is no other one, and what it has lost is found otherwise (`instance`).

use std::sync::Arc;
use std::time::{Duration, Instant};

use super::asker::Asker;
use super::error::{not_understood, understood};
use super::facts::Facts;
use super::generation::generation_number;
use super::layout::Master;
use super::partition::Partition;
use super::question::{Ask, Question};
use super::scripts::FENCE;
use super::shared::{Shared, nonce};
use super::value::{texts, whole};
use crate::store::StoreError;
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

/// Sees to it that what a master numbers belongs to no epoch of another server.
pub(super) fn fence(shared: &Shared, asker: &mut Asker, master: &Arc<Master>) -> Result<(), StoreError> {
    let layout = shared.topology.layout();
    let Some(any) = layout.partitions_of(master).next() else { return Ok(()) };
    let past = Past::of(&Facts::read(&asker.ask(&Question::new(any, "INFO"))?));
    let (histories, now) = (&master.histories, instant());
    if let Some(past) = past {
        let partitions = histories.unfenced(&past.history, layout.partitions_of(master));
        // What has come to it since is the whole of what another master had.
        let is_told = !histories.is_known(&past.history) && past.is_another(histories.met_at(), now);
        tell(shared, asker, &partitions, &past.history, is_told)?;
        histories.fenced(past.history, partitions);
    }
    histories.met(now);
    Ok(())
}

fn tell(
    shared: &Shared,
    asker: &mut Asker,
    partitions: &[Partition],
    history: &str,
    is_told: bool,
) -> Result<(), StoreError> {
    let questions = partitions.iter().map(|partition| {
        let question = Question::to_run(&FENCE, *partition, &[partition.meta()]);
        question.arg(history).arg(u8::from(is_told)).arg(nonce())
    });
    let questions: Vec<Question> = questions.collect();
    let mut has_changed = false;
    for (partition, answer) in partitions.iter().zip(asker.ask_each(&questions)) {
        let answer = understood(answer)?;
        let Some(&[generation, changes, change]) = texts(&answer).as_deref().and_then(<[_]>::as_array) else {
            return understood(Err(not_understood("a generation")));
        };
        has_changed |= change == "1";
        // A partition in which nothing was ever written has none.
        if generation_number(generation).is_some()
            && let Some(changes) = whole(changes)
        {
            shared.generations.note(*partition, generation, changes);
        }
    }
    if has_changed {
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
