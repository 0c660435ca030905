//! A server killed by SIGKILL under load, again and again: whatever anybody was shown is there afterwards.
//!
//! `FOGHORN_CRASH_ROUNDS` says how often (200 is a long run), `FOGHORN_CRASH_SEED` repeats the moments of a run.

#![expect(clippy::print_stdout, reason = "a run says what it needs to be repeated")]
#![expect(clippy::unwrap_used, clippy::panic, reason = "a test that cannot go on has failed")]

use std::collections::{BTreeMap, BTreeSet, HashSet};
use std::net::{SocketAddr, TcpStream};
use std::sync::mpsc::{SyncSender, sync_channel};

use crate::support::chat::seq;
use crate::support::process::Process;
use crate::support::{PATIENCE, eventually, random, variable};
use serde_json::{Value, json};
use tempfile::tempdir;
use tungstenite::Message;

const ROOMS: [&str; 2] = ["one", "two"];
/// Members of each room; the first of them only listens.
const MEMBERS: usize = 4;
/// Messages of one publisher that it has not seen come back.
const OUTSTANDING_MAX: usize = 8;
/// Messages shown to anybody in one round before the kill.
const SHOWN: std::ops::Range<u64> = 20..1_200;

/// What a member knows from round to round.
#[derive(Debug)]
struct Member {
    room: &'static str,
    name: String,
    publishes: bool,
    /// The number of its next message, counted by itself.
    next: u64,
    /// Its messages that it sent and has not seen.
    outstanding: BTreeSet<u64>,
    /// Every object that it was shown, by number. Dense.
    shown: BTreeMap<u64, Value>,
    epoch: Option<String>,
}

impl Member {
    fn new(room: &'static str, index: usize) -> Member {
        let (outstanding, shown) = (BTreeSet::new(), BTreeMap::new());
        let name = format!("{room}-{index}");
        Member { room, name, publishes: index > 0, next: 0, outstanding, shown, epoch: None }
    }

    /// Goes on after the last message that it saw, and sends again what it has not seen. Returns when the connection
    /// ends or, if there is nothing new to publish, when everything it ever sent was shown to it.
    fn take_part(
        &mut self,
        server: SocketAddr,
        publish: bool,
        tick: &SyncSender<()>,
    ) -> Result<(), tungstenite::Error> {
        let stream = TcpStream::connect(server)?;
        stream.set_read_timeout(Some(PATIENCE))?;
        stream.set_write_timeout(Some(PATIENCE))?;
        let last = self.shown.keys().next_back().copied().unwrap_or(0);
        let epoch = self.epoch.as_ref().map(|epoch| format!("&epoch={epoch}")).unwrap_or_default();
        let (room, name) = (self.room, &self.name);
        let url = format!("ws://{server}/ws/chat?roomId={room}&username={name}&sinceSeq={last}{epoch}");
        let (mut socket, _) =
            tungstenite::client(url, stream).map_err(|_| tungstenite::Error::ConnectionClosed)?;
        for number in &self.outstanding {
            socket.send(self.message(*number))?;
        }
        while publish || !self.outstanding.is_empty() {
            while publish && self.publishes && self.outstanding.len() < OUTSTANDING_MAX {
                // Whether a message that could not be sent arrived is not known: it is outstanding.
                self.outstanding.insert(self.next);
                self.next += 1;
                socket.send(self.message(self.next - 1))?;
            }
            let Message::Text(text) = socket.read()? else { continue };
            if text == "HEARTBEAT" {
                continue;
            }
            let value: Value = serde_json::from_str(&text).unwrap();
            // What is sent again and was stored is acknowledged besides; it is shown in its turn.
            if value["type"] == "ACK" {
                continue;
            }
            self.note(value);
            // The round may be over already.
            let _killed = tick.send(());
        }
        Ok(())
    }

    fn message(&self, number: u64) -> Message {
        let id = format!("{} {number}", self.name);
        Message::text(json!({ "content": format!("message {id}"), "id": id }).to_string())
    }

    fn note(&mut self, value: Value) {
        let last = self.shown.keys().next_back().copied().unwrap_or(0);
        assert!(value["seq"].is_u64(), "{}: not a stored message: {value}", self.name);
        assert_eq!(seq(&value), last + 1, "{}: a hole or a repeat: {value}", self.name);
        if let Some((name, number)) = value["clientId"].as_str().and_then(|id| id.split_once(' '))
            && name == self.name
        {
            assert!(self.outstanding.remove(&number.parse().unwrap()), "not sent, or shown twice: {value}");
        }
        self.shown.insert(last + 1, value);
    }
}

/// Comes to a room and leaves it, again and again, until the server is gone.
fn come_and_go(server: SocketAddr, room: &str) -> Result<(), tungstenite::Error> {
    let name = format!("visitor-of-{room}");
    let url = format!("ws://{server}/ws/chat?roomId={room}&username={name}");
    for visit in 0.. {
        let stream = TcpStream::connect(server)?;
        stream.set_read_timeout(Some(PATIENCE))?;
        let (mut socket, _) =
            tungstenite::client(&url, stream).map_err(|_| tungstenite::Error::ConnectionClosed)?;
        // Some leave as soon as they came, others once they are told of it.
        if visit % 3 == 0 {
            continue;
        }
        loop {
            let Message::Text(text) = socket.read()? else { continue };
            let value: Value = serde_json::from_str(&text).unwrap_or_default();
            if value["type"] == "JOIN" && value["username"] == *name {
                break;
            }
        }
    }
    Ok(())
}

/// The users that came and have not left, as the log tells.
fn present(log: &[Value]) -> BTreeMap<&str, u64> {
    let mut sessions = BTreeMap::new();
    for value in log {
        let change = || (value["username"].as_str().unwrap(), value["online"].as_u64().unwrap());
        match value["type"].as_str().unwrap() {
            "JOIN" => *sessions.entry(change().0).or_insert(0) += 1,
            "LEAVE" => {
                let (name, online) = change();
                let count = sessions.get_mut(name).unwrap_or_else(|| panic!("left without a JOIN: {value}"));
                *count -= 1;
                if *count == 0 {
                    sessions.remove(name);
                }
                assert!(online <= sessions.len() as u64, "more are counted than are there: {value}");
            }
            _ => {}
        }
    }
    sessions
}

/// Once a room is open again, all sessions of the server that was killed have left it.
fn check_presence(server: &Process, room: &str) {
    eventually("each JOIN has its LEAVE", || {
        // A reader opens it, too.
        server.ask("GET", &format!("/poll/rooms/{room}?wait=0"), None);
        present(&read_log(server, room).0).is_empty()
    });
}

/// The whole log of a room, and its epoch.
fn read_log(server: &Process, room: &str) -> (Vec<Value>, String) {
    let (mut log, mut epoch): (Vec<Value>, Option<String>) = (Vec::new(), None);
    loop {
        let path = format!("/api/chat/rooms/{room}/messages?limit=1000&after={}", log.len());
        let (head, page) = server.ask("GET", &path, None);
        let position = head.lines().find_map(|line| line.strip_prefix("Foghorn-Position: ")).unwrap();
        let here = position.split_once(':').unwrap().0;
        assert_eq!(here, epoch.get_or_insert_with(|| here.to_owned()));
        let page = page.as_array().unwrap();
        if page.is_empty() {
            break;
        }
        log.extend_from_slice(page);
    }
    (log, epoch.unwrap())
}

/// Holds against the log of a room what its members saw and sent. Says its epoch.
fn check(server: &Process, room: &str, members: &[Member]) -> String {
    let (log, epoch) = read_log(server, room);
    let mut ids = HashSet::new();
    let mut next_of = BTreeMap::new();
    for (index, value) in log.iter().enumerate() {
        assert_eq!(seq(value), index as u64 + 1, "not dense: {value}");
        let later = index == 0 || log[index - 1]["timestamp"].as_str() < value["timestamp"].as_str();
        assert!(later, "time stands still: {value}");
        let Some(id) = value["clientId"].as_str() else { continue };
        assert!(ids.insert(id), "stored twice: {value}");
        assert_eq!(value["content"], format!("message {id}"));
        let (name, number) = id.split_once(' ').unwrap();
        let next = next_of.entry(name).or_insert(0);
        assert_eq!(number.parse(), Ok(*next), "out of its publisher's order: {value}");
        *next += 1;
    }
    for member in members.iter().filter(|member| member.room == room) {
        for (seq, shown) in &member.shown {
            let kept = log.get(usize::try_from(seq - 1).unwrap());
            assert_eq!(kept, Some(shown), "{} was shown what is not there", member.name);
        }
        let (sent, stored) = (member.next, next_of.get(&*member.name).copied().unwrap_or(0));
        assert!(stored <= sent && sent <= stored + member.outstanding.len() as u64, "{}: lost", member.name);
    }
    epoch
}

/// Runs all members against the server until it is killed after so many messages were shown, or to their ends.
fn round(
    server: Process,
    members: &mut [Member],
    kill_after: Option<u64>,
    kill: &mut dyn FnMut(Process),
) -> Option<Process> {
    let (tick, ticks) = sync_channel(64);
    let address = server.address();
    std::thread::scope(|scope| {
        for member in members {
            let tick = tick.clone();
            scope.spawn(move || {
                let ended = member.take_part(address, kill_after.is_some(), &tick);
                assert!(kill_after.is_some() || ended.is_ok(), "{}: {ended:?}", member.name);
            });
        }
        drop(tick);
        for room in ROOMS.iter().filter(|_| kill_after.is_some()) {
            scope.spawn(move || come_and_go(address, room));
        }
        let Some(kill_after) = kill_after else {
            while ticks.recv_timeout(PATIENCE).is_ok() {}
            return Some(server);
        };
        for shown in 0..kill_after {
            ticks.recv_timeout(PATIENCE).unwrap_or_else(|error| panic!("after {shown} messages: {error}"));
        }
        kill(server);
        // Nobody counts what the members still read: without this they would wait for it.
        drop(ticks);
        None
    })
}

#[test]
fn what_anybody_was_shown_survives_kill_9() {
    let dir = tempdir().unwrap();
    survives(&mut || Process::serve(dir.path()), &mut Process::kill);
}

/// Servers that `serve` starts, one after the other, are ended by `kill` under load.
pub(crate) fn survives(serve: &mut dyn FnMut() -> Process, kill: &mut dyn FnMut(Process)) {
    let (rounds, mut seed) = (variable("FOGHORN_CRASH_ROUNDS", 3), variable("FOGHORN_CRASH_SEED", 1));
    let mut members: Vec<Member> =
        ROOMS.iter().flat_map(|room| (0..MEMBERS).map(|index| Member::new(room, index))).collect();
    let mut server = serve();
    for number in 1..=rounds {
        println!("round {number} of {rounds}: FOGHORN_CRASH_SEED={seed}");
        let kill_after = SHOWN.start + random(&mut seed) % (SHOWN.end - SHOWN.start);
        round(server, &mut members, Some(kill_after), kill);
        server = serve();
        for room in ROOMS {
            check_presence(&server, room);
            let epoch = check(&server, room, &members);
            for member in members.iter_mut().filter(|member| member.room == room) {
                assert_eq!(&epoch, member.epoch.get_or_insert_with(|| epoch.clone()), "another epoch");
            }
        }
    }
    let server = round(server, &mut members, None, kill).unwrap();
    for room in ROOMS {
        check_presence(&server, room);
        check(&server, room, &members);
    }
    assert!(members.iter().all(|member| member.outstanding.is_empty()));
    server.terminate();
}
