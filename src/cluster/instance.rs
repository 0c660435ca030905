//! One life of a Redis server, from its start to its end. What begins after the end of another may have less than that had.
//!
//! A number that one node has shown must not be given out again under the same epoch by another node that has not seen
//! it. So after Redis was started anew, each node first says what it has seen ([`vouch`]), and appends nothing for as long
//! as the others may take to do the same ([`SETTLING`]); where everything is on disk before it is answered, nobody has to
//! wait. `model` shows what goes wrong otherwise.

use std::time::Duration;

use redis::{RedisResult, Value, cmd};

use super::address::Address;
use super::checks::Facts;
use super::connection::Connection;
use super::partition::Partition;
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
        let is_synced = synced.is_ok_and(|answer| is_always(&answer));
        let up = whole(facts.get("uptime_in_seconds")).unwrap_or(0);
        let keys = connection.ask(&cmd("DBSIZE"))?;
        Ok(Instance {
            run: facts.get("run_id").into(),
            is_young: Duration::from_secs(up) <= 2 * SETTLING && keys != Value::Int(0),
            keeps_everything: is_synced
                && facts.get("aof_enabled") == "1"
                && facts.get("connected_slaves") == "0",
        })
    }

    /// The one that is there when a node starts; one that has just begun is given the time to settle.
    pub(super) fn first(address: &Address, timeout: Duration) -> RedisResult<Instance> {
        let instance = Instance::ask(&mut Connection::open(address, timeout)?)?;
        if instance.must_settle(None) {
            crate::system::threads::park_timeout(SETTLING);
        }
        Ok(instance)
    }

    /// Whether nothing may be appended for a while, where this one was before.
    pub(super) fn must_settle(&self, before: Option<&Instance>) -> bool {
        let is_new = match before {
            Some(before) => before.run != self.run,
            None => self.is_young,
        };
        is_new && !self.keeps_everything
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

/// Tells Redis all that this node has seen: where it has less, its logs begin new epochs.
pub(super) fn vouch(shared: &Shared, connection: &mut Connection) -> RedisResult<()> {
    let seen = Partition::all().map(|partition| (partition, shared.generations.of(partition)));
    let seen: Vec<_> = seen.filter(|(_, seen)| !seen.generation.is_empty()).collect();
    let calls = seen.iter().map(|(partition, seen)| {
        let mut call = HEADS.call(&[partition.meta()]);
        call.arg(&*seen.generation).arg(seen.changes).arg(nonce());
        call
    });
    let answers = HEADS.run_all(connection, &calls.collect::<Vec<_>>())?;
    for ((partition, _), answer) in seen.iter().zip(&answers) {
        if let Some([generation, changes]) = texts(answer).as_deref()
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
        assert!(!old.must_settle(None) && young.must_settle(None));
        assert!(
            !old.must_settle(Some(&old)) && young.must_settle(Some(&old)) && old.must_settle(Some(&young))
        );
        assert!(!instance("b", true, true).must_settle(Some(&old)));
    }
}
