//! Clients that talk without a pause, at any node, and note all that they are shown; at the end it is compared.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::net::SocketAddr;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use serde_json::Value;

use super::member::Member;
use crate::support::process::Process;
use crate::support::{eventually, now, random};

pub(super) const ROOMS: [&str; 3] = ["one", "two", "three"];
const CLIENTS_PER_ROOM: usize = 3;
/// Messages of one client that it has not seen come back.
const OUTSTANDING_MAX: usize = 6;

/// Where the nodes are at the moment.
#[derive(Default)]
pub(super) struct Addresses(Mutex<Vec<SocketAddr>>);

impl Addresses {
    fn lock(&self) -> MutexGuard<'_, Vec<SocketAddr>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn set<'n>(&self, nodes: impl IntoIterator<Item = &'n Process>) {
        *self.lock() = nodes.into_iter().map(Process::address).collect();
    }

    fn any(&self, random: &mut Random) -> SocketAddr {
        let addresses = self.lock();
        addresses[usize::try_from(random.below(addresses.len() as u64)).unwrap()]
    }
}

/// Where a client was, and what it was shown there.
#[derive(Clone, Debug)]
pub(super) enum Shown {
    /// It came, and the log was at this epoch.
    Welcome {
        epoch: String,
    },
    Entry {
        epoch: String,
        value: Value,
    },
    Gap {
        epoch: String,
        to: u64,
    },
}

pub(super) struct Client {
    room: &'static str,
    name: String,
    next: u64,
    outstanding: BTreeSet<u64>,
    /// Its messages that it has seen, or was told to be stored.
    seen: BTreeSet<u64>,
    position: Option<(String, u64)>,
    log: Vec<Shown>,
    visits: u64,
}

impl Client {
    fn new(room: &'static str, index: usize) -> Client {
        let (outstanding, seen) = (BTreeSet::new(), BTreeSet::new());
        let name = format!("{room}-{index}");
        Client { room, name, next: 0, outstanding, seen, position: None, log: Vec::new(), visits: 0 }
    }

    /// One connection, until it ends or has lasted for so many messages; what is outstanding is sent again.
    fn visit(
        &mut self,
        node: SocketAddr,
        messages: u64,
        may_publish: &AtomicBool,
    ) -> Result<(), tungstenite::Error> {
        let from = match &self.position {
            Some((epoch, seq)) => format!("&sinceSeq={seq}&epoch={epoch}"),
            None => String::new(),
        };
        let mut member = Member::connect(node, self.room, &self.name, &format!("&hello=1{from}"))?;
        member.patience(Duration::from_secs(5));
        self.visits += 1;
        for number in &self.outstanding {
            self.say(&mut member, *number)?;
        }
        let mut shown = 0;
        while shown < messages {
            let publishes = may_publish.load(Ordering::SeqCst);
            if !publishes && self.outstanding.is_empty() {
                return Ok(());
            }
            while publishes && self.outstanding.len() < OUTSTANDING_MAX {
                self.outstanding.insert(self.next);
                self.next += 1;
                self.say(&mut member, self.next - 1)?;
            }
            let value = member.next()?;
            shown += 1;
            self.note(value, &mut member)?;
        }
        Ok(())
    }

    fn say(&self, member: &mut Member, number: u64) -> Result<(), tungstenite::Error> {
        member.try_say(&format!("{} {number}", self.name), Some(&format!("{} {number}", self.name)))
    }

    fn note(&mut self, value: Value, member: &mut Member) -> Result<(), tungstenite::Error> {
        let epoch = || value["epoch"].as_str().unwrap().to_owned();
        let number =
            value["clientId"].as_str().and_then(|id| id.strip_prefix(&*self.name)?.trim().parse().ok());
        match value["type"].as_str().unwrap() {
            "WELCOME" => {
                let epoch = epoch();
                if self.position.is_none() {
                    self.position = Some((epoch.clone(), value["seq"].as_u64().unwrap()));
                }
                self.log.push(Shown::Welcome { epoch });
            }
            "GAP" => {
                let (epoch, to) = (epoch(), value["to"].as_u64().unwrap());
                self.position = Some((epoch.clone(), to));
                self.log.push(Shown::Gap { epoch, to });
            }
            "ACK" => self.settle(number.unwrap()),
            "ERROR" => {
                assert_eq!(value["code"], "unavailable", "{}: {value}", self.name);
                // It may be tried again: with a pause, or it is a flood of refusals.
                if let Some(number) = number.filter(|number| self.outstanding.contains(number)) {
                    std::thread::park_timeout(Duration::from_millis(50));
                    self.say(member, number)?;
                }
            }
            _ => {
                let (epoch, last) = self.position.clone().unwrap();
                let seq = value["seq"].as_u64().unwrap();
                assert_eq!(seq, last + 1, "{}: a hole or a repeat: {value}", self.name);
                self.position = Some((epoch.clone(), seq));
                number.into_iter().for_each(|number| self.settle(number));
                self.log.push(Shown::Entry { epoch, value });
            }
        }
        Ok(())
    }

    fn settle(&mut self, number: u64) {
        self.outstanding.remove(&number);
        self.seen.insert(number);
    }
}

/// SplitMix64.
pub(super) struct Random(pub(super) u64);

impl Random {
    fn next(&mut self) -> u64 {
        random(&mut self.0)
    }

    pub(super) fn below(&mut self, limit: u64) -> u64 {
        self.next() % limit
    }
}

/// Runs clients while `faults` goes on; returns them when each has heard of all its messages.
pub(super) fn under_load(addresses: &Addresses, seed: u64, faults: impl FnOnce()) -> Vec<Client> {
    let mut clients: Vec<Client> =
        ROOMS.iter().flat_map(|room| (0..CLIENTS_PER_ROOM).map(|index| Client::new(room, index))).collect();
    let may_publish = AtomicBool::new(true);
    std::thread::scope(|scope| {
        for (index, client) in clients.iter_mut().enumerate() {
            let may_publish = &may_publish;
            let mut random = Random(seed ^ (index as u64 + 1) << 32);
            scope.spawn(move || {
                let mut ended = None;
                while may_publish.load(Ordering::SeqCst) || !client.outstanding.is_empty() {
                    let messages = 50 + random.below(2000);
                    let _it_ended = client.visit(addresses.any(&mut random), messages, may_publish);
                    std::thread::park_timeout(Duration::from_millis(random.below(100)));
                    if !may_publish.load(Ordering::SeqCst) {
                        let ended = *ended.get_or_insert_with(now);
                        let left = &client.outstanding;
                        assert!(ended.elapsed() < Duration::from_secs(120), "never stored: {left:?}");
                    }
                }
            });
        }
        // A panic would leave the clients where they are, for ever.
        let outcome = std::panic::catch_unwind(std::panic::AssertUnwindSafe(faults));
        may_publish.store(false, Ordering::SeqCst);
        outcome.unwrap_or_else(|panic| std::panic::resume_unwind(panic));
    });
    clients
}

/// The whole log of a room that is kept, as one node tells it.
fn read_log(node: &Process, room: &str) -> Vec<Value> {
    let mut log: Vec<Value> = Vec::new();
    loop {
        let after = log.last().map_or(0, |value| value["seq"].as_u64().unwrap());
        let path = format!("/api/chat/rooms/{room}/messages?limit=1000&after={after}");
        let (_, page) = node.ask("GET", &path, None);
        let page = page.as_array().unwrap();
        if page.is_empty() {
            return log;
        }
        log.extend_from_slice(page);
    }
}

/// Holds what the clients of a room were shown against each other: under one epoch a number is one message, and each
/// client is shown all of them in order.
fn check_shown(room: &str, clients: &[Client]) -> usize {
    let mut messages: HashMap<(String, u64), &Value> = HashMap::new();
    for client in clients.iter().filter(|client| client.room == room) {
        let mut last: Option<(String, u64, String)> = None;
        for shown in &client.log {
            match shown {
                Shown::Welcome { .. } => {}
                Shown::Gap { epoch, to } => last = Some((epoch.clone(), *to, String::new())),
                Shown::Entry { epoch, value } => {
                    let seq = value["seq"].as_u64().unwrap();
                    let at = value["timestamp"].as_str().unwrap();
                    if let Some((before, number, time)) = &last
                        && before == epoch
                    {
                        assert_eq!(seq, number + 1, "{}: {value}", client.name);
                        assert!(&**time < at, "{}: time stands still: {value}", client.name);
                    }
                    last = Some((epoch.clone(), seq, at.to_owned()));
                    let first = messages.entry((epoch.clone(), seq)).or_insert(value);
                    assert_eq!(*first, value, "{}: two messages of one number", client.name);
                }
            }
        }
    }
    messages.len()
}

/// Nothing that a client knows to be stored is missing or there twice, where nothing was forgotten.
fn check_kept(room: &str, clients: &[Client], log: &[Value]) {
    let mut count: BTreeMap<&str, u64> = BTreeMap::new();
    for value in log {
        if let Some(id) = value["clientId"].as_str() {
            *count.entry(id).or_default() += 1;
        }
    }
    for client in clients.iter().filter(|client| client.room == room) {
        for number in &client.seen {
            let id = format!("{} {number}", client.name);
            assert_eq!(count.get(&*id), Some(&1), "{id} is lost or doubled");
        }
        let epochs: BTreeSet<&String> = client
            .log
            .iter()
            .map(|shown| match shown {
                Shown::Welcome { epoch } | Shown::Entry { epoch, .. } | Shown::Gap { epoch, .. } => epoch,
            })
            .collect();
        assert_eq!(epochs.len(), 1, "{}: nothing was lost, so there is one epoch", client.name);
    }
}

/// Once all clients have left, all nodes agree that the room is empty.
fn check_presence(nodes: &[&Process], room: &str) {
    for node in nodes {
        eventually("nobody is there any more", || {
            let (_, online) = node.ask("GET", &format!("/api/chat/rooms/{room}/online"), None);
            online["count"] == 0
        });
    }
}

/// Holds what clients were shown, and what the nodes keep, against each other; `keeps`: nothing was forgotten meanwhile.
pub(super) fn check(clients: &[Client], nodes: &[&Process], keeps: bool) {
    for room in ROOMS {
        let shown = check_shown(room, clients);
        check_presence(nodes, room);
        let log = read_log(nodes[0], room);
        for other in &nodes[1..] {
            assert_eq!(log, read_log(other, room), "two nodes tell two logs of {room}");
        }
        if keeps {
            check_kept(room, clients, &log);
        }
        let visits: u64 =
            clients.iter().filter(|client| client.room == room).map(|client| client.visits).sum();
        println!("{room}: {shown} messages shown, {} kept, {visits} connections", log.len());
        assert!(shown > 0, "nothing has happened in {room}");
    }
}
