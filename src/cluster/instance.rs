//! One life of a Redis server, from its start to its end. What begins after the end of another may have less than that had.
//!
//! A number that one node has shown must not be given out again under the same epoch by another node that has not seen
//! it. So after Redis was started anew, each node first says what it has seen ([`vouch`]), and appends nothing for as long
//! as the others may take to do the same ([`SETTLING`]); where everything is on disk before it is answered, nobody has to
//! wait. `model` shows what goes wrong otherwise.

use std::sync::Arc;
use std::time::Duration;

use redis::{RedisResult, Value, cmd};

use super::asker::Asker;
use super::connection::Connection;
use super::facts::Facts;
use super::layout::Master;
use super::question::{Ask, Question};
use super::scripts::HEADS;
use super::shared::{Shared, nonce};
use super::value::{text, texts, whole};

/// How long nothing is appended after Redis was started anew.
// A node that lives tries to connect every second at most, and says what it has seen in one round trip.
pub(super) const SETTLING: Duration = Duration::from_millis(1_500);

/// One life of a Redis server.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Instance {
    run: Box<str>,
    /// Whether it began just now, with what another one has left.
    is_young: bool,
    /// Whether everything is on disk before it is answered.
    keeps_everything: bool,
}

impl Instance {
    /// Which one is at the other end.
    pub(super) fn ask(connection: &mut Connection) -> RedisResult<Instance> {
        let facts = Facts::ask(connection)?;
        // One who may not ask for it has to wait.
        let synced = connection.ask(cmd("CONFIG").arg("GET").arg("appendfsync"));
        let is_synced = match synced {
            Err(error) if error.is_io_error() => return Err(error),
            answer => answer.is_ok_and(|answer| is_always(&answer)),
        };
        let up = whole(facts.get("uptime_in_seconds")).unwrap_or(0);
        let keys = connection.ask(&cmd("DBSIZE"))?;
        Ok(Instance {
            run: facts.get("run_id").into(),
            is_young: Duration::from_secs(up) <= 2 * SETTLING && keys != Value::Int(0),
            keeps_everything: is_synced
                && facts.get("aof_enabled") == "1"
                && facts.get("connected_slaves") == "0"
                // One that was a replica has what it had got by then.
                && facts.get("second_repl_offset") == "-1",
        })
    }

    /// Whether nothing may be appended for a while, where this one was before, or none that this node knows.
    pub(super) fn must_settle(&self, before: Option<&Instance>) -> bool {
        before.is_none_or(|before| before.run != self.run) && !self.keeps_everything
    }

    /// Whether nothing may be appended for a while when a node starts.
    pub(super) fn is_unsettled(&self) -> bool {
        self.is_young && !self.keeps_everything
    }
}

/// Whether an answer to `CONFIG GET appendfsync`, a map or a list, is `always`.
fn is_always(answer: &Value) -> bool {
    match answer {
        Value::Map(pairs) => pairs.iter().any(|(_, value)| text(value) == Some("always")),
        Value::Array(values) => values.iter().any(|value| text(value) == Some("always")),
        _ => false,
    }
}

/// Tells a master all that this node has seen of the partitions that it has: where it has less, its logs begin new epochs.
pub(super) fn vouch(shared: &Shared, asker: &mut Asker, master: &Arc<Master>) -> RedisResult<()> {
    let layout = shared.topology.layout();
    let seen = layout.partitions_of(master).map(|partition| (partition, shared.generations.of(partition)));
    let seen: Vec<_> = seen.filter(|(_, seen)| !seen.generation.is_empty()).collect();
    let questions: Vec<_> = seen
        .iter()
        .map(|(partition, seen)| {
            let question = Question::to_run(&HEADS, *partition, &[partition.meta()]);
            question.arg(&*seen.generation).arg(seen.changes).arg(nonce())
        })
        .collect();
    for ((partition, _), answer) in seen.iter().zip(asker.ask_each(&questions)) {
        if let Some([generation, changes]) = texts(&answer?).as_deref()
            && super::generation::generation_number(generation).is_some()
            && let Some(changes) = whole(changes)
        {
            shared.generations.note(*partition, generation, changes);
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_that_follows_another_settles_unless_it_keeps_everything() {
        let instance =
            |run: &str, is_young, keeps_everything| Instance { run: run.into(), is_young, keeps_everything };
        let (old, young) = (instance("a", false, false), instance("b", true, false));
        assert!(old.must_settle(None) && !old.must_settle(Some(&old)));
        assert!(young.must_settle(Some(&old)) && old.must_settle(Some(&young)));
        assert!(!old.is_unsettled() && young.is_unsettled());
        let sure = instance("b", true, true);
        assert!(!sure.must_settle(Some(&old)) && !sure.must_settle(None) && !sure.is_unsettled());
    }
}
