//! Finds out which servers take writes: a server is where it is; Sentinels know where their master is; the nodes of a Redis
//! Cluster know who has which slots.

use std::time::{Duration, Instant};

use redis::{Cmd, RedisError, RedisResult, Value, cmd};

use super::address::{Address, Place};
use super::connection::Connection;
use super::error::not_understood;
use super::facts::Facts;
use super::layout::{Layout, SlotRange, slot_ranges};
use super::value::{list, text, whole};
use crate::system::instant;

/// For how long nothing older is believed than what was heard of.
const EPOCH_MEMORY: Duration = Duration::from_secs(30);

/// What kind of thing is at a place.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum PlaceKind {
    /// One server, which stays where it is.
    Server,
    Sentinels,
    Cluster,
}

/// Finds out which servers take writes.
pub(super) struct Scout {
    place: Place,
    /// How long each of those who are asked is waited for.
    timeout: Duration,
    /// Connections that are used on.
    lines: Vec<(Address, Connection)>,
    /// The newest epoch that was heard of, and when.
    newest: Option<(u64, Instant)>,
}

impl Scout {
    pub(super) fn new(place: Place, timeout: Duration) -> Scout {
        Scout { place, timeout, lines: Vec::new(), newest: None }
    }

    /// What is there.
    ///
    /// # Errors
    /// If nobody answers. What is there and cannot be used at all is said, too.
    pub(super) fn kind(&mut self) -> RedisResult<Result<PlaceKind, String>> {
        let Place::Servers(servers) = self.place.clone() else { return Ok(Ok(PlaceKind::Sentinels)) };
        let mut failed = not_understood("no host is named");
        for server in &servers {
            match self.connection(server).and_then(Facts::ask) {
                Ok(facts) => return Ok(judged(mode(&facts), servers.len(), server)),
                Err(error) => failed = self.lost(server, error),
            }
        }
        Err(failed)
    }

    /// Who has what at the moment; masters that were there `before` stay the same ones.
    pub(super) fn look(&mut self, kind: PlaceKind, before: &Layout) -> RedisResult<Layout> {
        match (kind, &self.place) {
            (PlaceKind::Cluster, Place::Servers(seeds)) => {
                let seeds = seeds.clone();
                self.cluster(&seeds, before)
            }
            (_, Place::Sentinels { sentinels, name, login }) => {
                let (sentinels, name, login) = (sentinels.clone(), name.clone(), login.clone());
                let (host, port) = self.sentinels(&sentinels, &name)?;
                Ok(before.moved_to(&Address { host, port, login }))
            }
            (_, Place::Servers(servers)) => {
                let server = servers.first().ok_or_else(|| not_understood("no host is named"))?;
                Ok(before.moved_to(server))
            }
        }
    }

    fn connection(&mut self, address: &Address) -> RedisResult<&mut Connection> {
        let is_it = |(known, _): &(Address, Connection)| known.is_at(&address.host, address.port);
        let place = match self.lines.iter().position(is_it) {
            Some(place) => place,
            None => {
                self.lines.push((address.clone(), Connection::open(address, self.timeout)?));
                self.lines.len() - 1
            }
        };
        Ok(&mut self.lines[place].1)
    }

    /// The next time it is connected to anew.
    fn lost(&mut self, address: &Address, error: RedisError) -> RedisError {
        self.lines.retain(|(known, _)| !known.is_at(&address.host, address.port));
        error
    }

    fn ask(&mut self, address: &Address, command: &Cmd) -> RedisResult<Value> {
        let answer = self.connection(address).and_then(|connection| connection.ask(command));
        answer.map_err(|error| self.lost(address, error))
    }

    /// What the masters say, and if none of them answers the nodes that were named. One that was cut off from the others
    /// knows an older epoch than they do.
    fn cluster(&mut self, seeds: &[Address], before: &Layout) -> RedisResult<Layout> {
        let masters: Vec<Address> = before.masters().iter().map(|master| master.address.clone()).collect();
        self.lines.retain(|(known, _)| {
            masters.iter().chain(seeds).any(|address| address.is_at(&known.host, known.port))
        });
        let mut best: Option<(bool, u64, Vec<SlotRange>, Address)> = None;
        let mut failed = not_understood("no node of the cluster knows who has which slots");
        for (asked, address) in masters.iter().chain(seeds).enumerate() {
            if asked >= masters.len() && best.as_ref().is_some_and(|(is_well, ..)| *is_well) {
                break;
            }
            match self.slots_of(address) {
                Ok((is_well, epoch, ranges)) => {
                    if best.as_ref().is_none_or(|best| (is_well, epoch) > (best.0, best.1)) {
                        best = Some((is_well, epoch, ranges, address.clone()));
                    }
                }
                Err(error) => failed = error,
            }
        }
        match best {
            Some((_, epoch, ranges, address)) if !ranges.is_empty() => {
                self.note(epoch)?;
                Ok(before.with_slots(&ranges, &address))
            }
            Some(_) | None => Err(failed),
        }
    }

    /// Whether a node finds its cluster well, which epoch it knows, and who has which slots there.
    fn slots_of(&mut self, address: &Address) -> RedisResult<(bool, u64, Vec<SlotRange>)> {
        let info = self.ask(address, cmd("CLUSTER").arg("INFO"))?;
        let facts = Facts::read(&info);
        let epoch = whole(facts.get("cluster_current_epoch")).unwrap_or(0);
        let slots = self.ask(address, cmd("CLUSTER").arg("SLOTS"))?;
        let ranges =
            slot_ranges(&slots, &address.host).ok_or_else(|| not_understood("slots of a cluster"))?;
        Ok((facts.get("cluster_state") == "ok", epoch, ranges))
    }

    /// Where the master is, as the Sentinel says that knows the newest configuration.
    fn sentinels(&mut self, sentinels: &[Address], name: &str) -> RedisResult<(Box<str>, u16)> {
        let mut best: Option<(u64, (Box<str>, u16))> = None;
        let mut failed = not_understood("no Sentinel is named");
        for sentinel in sentinels {
            match self.sentinel(sentinel, name) {
                Ok((epoch, place)) if best.as_ref().is_none_or(|(known, _)| epoch > *known) => {
                    best = Some((epoch, place));
                }
                Ok(_) => {}
                Err(error) => failed = error,
            }
        }
        let Some((epoch, place)) = best else { return Err(failed) };
        self.note(epoch)?;
        Ok(place)
    }

    /// The epoch that a Sentinel knows, and where its master is. In the middle of a fail-over the two commands tell of
    /// different places.
    fn sentinel(&mut self, sentinel: &Address, name: &str) -> RedisResult<(u64, (Box<str>, u16))> {
        let unknown = || not_understood("what a Sentinel says of its master");
        let told = self.ask(sentinel, cmd("SENTINEL").arg("MASTER").arg(name))?;
        let epoch = epoch_of(&told).ok_or_else(unknown)?;
        let place = self.ask(sentinel, cmd("SENTINEL").arg("GET-MASTER-ADDR-BY-NAME").arg(name))?;
        Ok((epoch, place_of(&place).ok_or_else(unknown)?))
    }

    /// Whoever knows an older epoch than was heard of a short while ago was cut off from the others.
    fn note(&mut self, epoch: u64) -> RedisResult<()> {
        let now = instant();
        match self.newest {
            Some((newest, at)) if epoch < newest && now.saturating_duration_since(at) < EPOCH_MEMORY => {
                Err(not_understood("an older configuration than was there before"))
            }
            _ => {
                self.newest = Some((epoch, now));
                Ok(())
            }
        }
    }
}

/// How a server runs. Valkey has another word for it.
fn mode(facts: &Facts) -> &str {
    [facts.get("redis_mode"), facts.get("server_mode")]
        .into_iter()
        .find(|mode| !mode.is_empty())
        .unwrap_or("")
}

fn judged(mode: &str, hosts: usize, server: &Address) -> Result<PlaceKind, String> {
    match mode {
        "cluster" if server.login.database != 0 => Err("a Redis Cluster has no other database than 0".into()),
        "cluster" => Ok(PlaceKind::Cluster),
        "sentinel" => Err("it is a Sentinel: name it as redis-sentinel://host:port#master".into()),
        _ if hosts > 1 => Err("it is a single server: name it alone".into()),
        _ => Ok(PlaceKind::Server),
    }
}

/// The epoch of a Sentinel's configuration.
fn epoch_of(answer: &Value) -> Option<u64> {
    let facts: Vec<(&str, &str)> = match answer {
        Value::Map(pairs) => {
            pairs.iter().filter_map(|(name, value)| Some((text(name)?, text(value)?))).collect()
        }
        other => {
            let (pairs, _) = list(other)?.as_chunks::<2>();
            pairs.iter().filter_map(|[name, value]| Some((text(name)?, text(value)?))).collect()
        }
    };
    facts.iter().find(|(name, _)| *name == "config-epoch").and_then(|(_, epoch)| whole(epoch))
}

/// Where a Sentinel says that the master is.
fn place_of(answer: &Value) -> Option<(Box<str>, u16)> {
    let [host, port] = list(answer)? else { return None };
    let port = text(port)?.parse().ok().filter(|port| *port > 0)?;
    text(host).filter(|host| !host.is_empty()).map(|host| (host.into(), port))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn redis_and_valkey_say_how_they_run() {
        for (info, expected) in [
            ("redis_mode:cluster", "cluster"),
            ("server_name:valkey\r\nserver_mode:sentinel", "sentinel"),
            ("", ""),
        ] {
            assert_eq!(mode(&Facts::parse(info)), expected);
        }
    }

    #[test]
    fn what_a_sentinel_says_is_read_as_a_map_or_a_list() {
        let bulk = |text: &str| Value::BulkString(text.into());
        let pairs = [("name", "m"), ("config-epoch", "7")];
        let map = pairs.iter().map(|(name, value)| (bulk(name), bulk(value))).collect();
        let flat = pairs.iter().flat_map(|(name, value)| [bulk(name), bulk(value)]).collect();
        for answer in [Value::Map(map), Value::Array(flat)] {
            assert_eq!(epoch_of(&answer), Some(7));
        }
        for bad in [Value::Nil, Value::Array(vec![bulk("config-epoch"), bulk("x")])] {
            assert_eq!(epoch_of(&bad), None);
        }
        let place = |host: &str, port: &str| place_of(&Value::Array(vec![bulk(host), bulk(port)]));
        assert_eq!(place("10.0.0.1", "6379"), Some(("10.0.0.1".into(), 6_379)));
        for bad in [place("", "1"), place("a", "70000"), place("a", "0"), place_of(&Value::Nil)] {
            assert_eq!(bad, None);
        }
    }

    #[test]
    fn who_knows_an_older_epoch_is_not_believed_for_a_while() {
        let mut scout = Scout::new(Place::Servers(Vec::new()), Duration::from_secs(1));
        assert!(scout.note(7).is_ok() && scout.note(7).is_ok());
        assert!(scout.note(6).is_err() && scout.note(8).is_ok());
    }
}
