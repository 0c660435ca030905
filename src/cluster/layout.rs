//! Which master has which partition.

use std::sync::Arc;
use std::sync::atomic::AtomicBool;

use redis::Value;

use super::address::Address;
use super::contact::Contact;
use super::hearing::Hearing;
use super::histories::Histories;
use super::partition::{PARTITIONS, Partition};
use super::value::{list, text};

/// Ranges of slots that a Redis Cluster tells of at most: one for each.
const RANGES_MAX: usize = 16_384;

/// Masters that a Redis Cluster has at most.
const MASTERS_MAX: usize = 1_000;

/// A server that takes writes.
#[derive(Debug)]
pub(super) struct Master {
    pub(super) address: Address,
    pub(super) contact: Contact,
    pub(super) hearing: Hearing,
    pub(super) histories: Histories,
    /// Whether the last that was heard of it is that it does not answer.
    pub(super) is_away: AtomicBool,
    /// Whether it answers and does not append.
    pub(super) is_refusing: AtomicBool,
}

impl Master {
    pub(super) fn at(address: Address) -> Arc<Master> {
        Arc::new(Master {
            address,
            contact: Contact::default(),
            hearing: Hearing::default(),
            histories: Histories::default(),
            is_away: AtomicBool::new(false),
            is_refusing: AtomicBool::new(false),
        })
    }
}

/// Which master has which partition.
#[derive(Clone, Debug)]
pub(super) struct Layout {
    masters: Vec<Arc<Master>>,
    /// The place of the master of each partition among `masters`, if it has one.
    homes: Vec<Option<usize>>,
}

/// Some slots in a row, and where they are.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct SlotRange {
    first: u16,
    last: u16,
    host: Box<str>,
    port: u16,
}

impl Layout {
    /// No server has anything.
    pub(super) fn empty() -> Layout {
        Layout { masters: Vec::new(), homes: vec![None; PARTITIONS] }
    }

    /// One master has all, which may be one of these.
    pub(super) fn moved_to(&self, address: &Address) -> Layout {
        let mut layout = Layout::empty();
        let home = layout.admit(self, address);
        layout.homes.fill(home);
        layout
    }

    /// As these ranges have it; masters that are there stay the same ones. They are spoken to like `beside`.
    pub(super) fn with_slots(&self, ranges: &[SlotRange], beside: &Address) -> Layout {
        let mut layout = Layout::empty();
        for SlotRange { first, last, host, port } in ranges {
            let has = |partition: &Partition| (*first..=*last).contains(&partition.slot());
            for partition in Partition::within(*first, *last).filter(has) {
                let home = layout.admit(self, &beside.beside(host, *port));
                if let Some(place) = layout.homes.get_mut(partition.index()) {
                    *place = home;
                }
            }
        }
        layout
    }

    /// The master at an address, or one that nobody knows yet.
    pub(super) fn at(&self, address: &Address) -> Arc<Master> {
        let known = self.masters.iter().find(|master| master.address.is_at(&address.host, address.port));
        known.cloned().unwrap_or_else(|| Master::at(address.clone()))
    }

    /// The place of the master at an address; one that is not there is taken from `before`, or is new.
    fn admit(&mut self, before: &Layout, address: &Address) -> Option<usize> {
        let is_it = |master: &&Arc<Master>| master.address.is_at(&address.host, address.port);
        if let Some(place) = self.masters.iter().position(|master| is_it(&master)) {
            return Some(place);
        }
        if self.masters.len() >= MASTERS_MAX {
            return None;
        }
        let known = before.masters.iter().find(is_it).cloned();
        self.masters.push(known.unwrap_or_else(|| Master::at(address.clone())));
        Some(self.masters.len() - 1)
    }

    pub(super) fn masters(&self) -> &[Arc<Master>] {
        &self.masters
    }

    /// The master of a partition.
    pub(super) fn home(&self, partition: Partition) -> Option<&Arc<Master>> {
        self.masters.get((*self.homes.get(partition.index())?)?)
    }

    /// Whether a partition is with this master.
    pub(super) fn is_home(&self, partition: Partition, master: &Arc<Master>) -> bool {
        self.home(partition).is_some_and(|home| Arc::ptr_eq(home, master))
    }

    /// The partitions that a master has.
    pub(super) fn partitions_of(&self, master: &Arc<Master>) -> impl Iterator<Item = Partition> {
        Partition::all().filter(|partition| self.is_home(*partition, master))
    }

    /// Whether every partition has a master.
    pub(super) fn is_whole(&self) -> bool {
        self.homes.iter().all(Option::is_some)
    }

    /// Whether both say the same.
    pub(super) fn is_same(&self, other: &Layout) -> bool {
        let is_same = |partition: Partition| match (self.home(partition), other.home(partition)) {
            (Some(one), Some(other)) => Arc::ptr_eq(one, other),
            (one, other) => one.is_none() && other.is_none(),
        };
        Partition::all().all(is_same)
    }
}

/// What `CLUSTER SLOTS` answers. A node that does not know its own name is at the host that was asked.
pub(super) fn slot_ranges(answer: &Value, asked: &str) -> Option<Vec<SlotRange>> {
    let entries = list(answer).filter(|entries| entries.len() <= RANGES_MAX)?;
    let range = |entry: &Value| {
        let [Value::Int(first), Value::Int(last), master, ..] = list(entry)? else { return None };
        let [host, Value::Int(port), ..] = list(master)? else { return None };
        let host = match host {
            Value::Nil => asked,
            host => text(host).map(|host| if host.is_empty() || host == "?" { asked } else { host })?,
        };
        let (first, last, port) =
            (u16::try_from(*first).ok()?, u16::try_from(*last).ok()?, u16::try_from(*port).ok()?);
        Some(SlotRange { first, last, host: host.into(), port })
    };
    entries.iter().map(range).collect()
}

/// What MOVED and ASK say: a slot, and where it is. Without a host it is the one that was asked.
pub(super) fn redirection(details: &str, asked: &Address) -> Option<(Partition, Address)> {
    let (slot, place) = details.split_once(' ')?;
    let (host, port) = place.rsplit_once(':')?;
    let host = host.trim_start_matches('[').trim_end_matches(']');
    let host = if host.is_empty() || host == "?" { &asked.host } else { host };
    let partition = Partition::in_slot(slot.parse().ok()?)?;
    Some((partition, asked.beside(host, port.parse().ok().filter(|port| *port > 0)?)))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn address(port: u16) -> Address {
        Address { host: "127.0.0.1".into(), port, login: Arc::default() }
    }

    fn range(first: u16, last: u16, port: u16) -> SlotRange {
        SlotRange { first, last, host: "127.0.0.1".into(), port }
    }

    #[test]
    fn partitions_go_with_their_slots_and_masters_stay_the_same() {
        let one = Layout::empty().with_slots(&[range(0, 8_191, 1), range(8_192, 16_383, 2)], &address(1));
        assert!(one.is_whole() && one.masters().len() == 2);
        assert_eq!(one.partitions_of(&one.masters()[1]).count(), PARTITIONS / 2);
        let slot = Partition::all().next().unwrap().slot();
        let ranges = [range(slot, slot, 3), range(slot + 1, 8_191, 1), range(8_192, 16_383, 2)];
        let two = one.with_slots(&ranges, &address(1));
        assert!(!two.is_same(&one) && two.is_same(&two.with_slots(&ranges, &address(1))));
        assert!(Arc::ptr_eq(&two.masters()[2], &one.masters()[1]));
        assert!(
            Arc::ptr_eq(&two.at(&address(2)), &one.masters()[1]) && two.at(&address(9)).address.port == 9
        );
        assert!(!one.with_slots(&[range(0, 100, 1)], &address(1)).is_whole());
        assert_eq!(one.moved_to(&address(2)).partitions_of(&one.masters()[1]).count(), PARTITIONS);
    }

    #[test]
    fn what_redis_says_of_places_is_read_and_not_believed() {
        let node =
            |host: Value, port| Value::Array(vec![host, Value::Int(port), Value::BulkString("id".into())]);
        let entry = |first, last, node| Value::Array(vec![Value::Int(first), Value::Int(last), node]);
        let host = || Value::BulkString("127.0.0.1".into());
        let good = Value::Array(vec![entry(0, 5, node(host(), 1)), entry(6, 9, node(Value::Nil, 2))]);
        assert_eq!(slot_ranges(&good, "127.0.0.1"), Some(vec![range(0, 5, 1), range(6, 9, 2)]));
        for bad in [
            Value::Nil,
            Value::Array(vec![Value::Int(1)]),
            Value::Array(vec![entry(0, 70_000, node(host(), 1))]),
            Value::Array(vec![entry(-1, 1, node(host(), 1))]),
            Value::Array(vec![entry(0, 1, node(host(), -1))]),
            Value::Array(vec![entry(0, 1, node(Value::Int(1), 1))]),
            Value::Array(vec![entry(0, 1, Value::Nil)]),
        ] {
            assert_eq!(slot_ranges(&bad, "h"), None, "{bad:?}");
        }
        let slot = Partition::of("lobby").slot();
        let read = |details: &str| redirection(details, &address(7)).map(|(_, to)| to.to_string());
        assert_eq!(read(&format!("{slot} 10.0.0.1:6380")).as_deref(), Some("10.0.0.1:6380"));
        assert_eq!(read(&format!("{slot} ::1:6380")).as_deref(), Some("[::1]:6380"));
        assert_eq!(read(&format!("{slot} :6380")).as_deref(), Some("127.0.0.1:6380"));
        for bad in [
            "",
            "1",
            "x a:1",
            &format!("{slot} a"),
            &format!("{slot} a:0"),
            &format!("{slot} a:70000"),
            "99999 a:1",
        ] {
            assert_eq!(read(bad), None, "{bad}");
        }
    }
}
