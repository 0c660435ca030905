//! Many members, many messages, members that never read, and thousands that are idle, against a server process.
//!
//! Always run in a small form. `FOGHORN_LOAD=full cargo test --release --test load -- --nocapture --test-threads=1`
//! runs the large one (a room of 1,000, 100,000 messages, 15,000 idle connections) and prints what the server's memory
//! comes to.

#![expect(clippy::panic, reason = "a helper fails the test that calls it")]
#![expect(clippy::print_stdout, reason = "the figures are what the large form is run for")]

use std::collections::VecDeque;
use std::io::{ErrorKind, Read, Write};
use std::time::Duration;

use crate::support::frame::{TEXT, masked};
use crate::support::raw::upgrade;
use crate::support::{ConfiguredProcess, PATIENCE, now};
use mio::net::TcpStream;
use mio::{Events, Interest, Poll, Token};
use socket2::{Domain, Socket, Type};

/// Messages under way, at most: sent, and not yet seen by everybody who reads.
const WINDOW: usize = 16;

fn is_full() -> bool {
    std::env::var("FOGHORN_LOAD").is_ok_and(|form| form == "full")
}

/// Nobody is pinged or dropped for being idle. `durability`: of the chat rooms.
fn start(durability: &str) -> ConfiguredProcess {
    start_with("", durability)
}

/// As [`start`], with lines at the top of the configuration.
fn start_with(top: &str, durability: &str) -> ConfiguredProcess {
    ConfiguredProcess::start(&format!(
        "{top}\n[limits]\nwrite_timeout = \"24h\"\n[heartbeat]\nping_interval = \"23h\"\nidle_timeout = \"24h\"\n\
         text_interval = \"0s\"\n[history]\ndurability = \"{durability}\"\n"
    ))
}

/// What a member has seen of its room.
#[derive(Debug)]
struct Member {
    stream: TcpStream,
    /// The beginning of a frame.
    partial: Vec<u8>,
    /// The number of the next message; 0 before the first.
    next: u64,
    /// Messages of the publisher that it has seen.
    heard: usize,
}

/// All members, read by one thread.
struct Swarm {
    poll: Poll,
    events: Events,
    members: Vec<Member>,
    buffer: Vec<u8>,
    room: &'static str,
    /// For each message that is under way, how many members have seen it; the first is number `complete`.
    seen: VecDeque<usize>,
    complete: usize,
}

impl Swarm {
    fn new(room: &'static str) -> Swarm {
        let (poll, events) = (Poll::new().expect("epoll"), Events::with_capacity(1024));
        let buffer = vec![0; 256 * 1024];
        Swarm { poll, events, members: Vec::new(), buffer, room, seen: VecDeque::new(), complete: 0 }
    }

    /// Adds a member, and reads what everybody else is told of it.
    fn join(&mut self, server: &ConfiguredProcess, user: &str) {
        let mut member = join(server, self.room, user);
        let token = Token(self.members.len());
        self.poll.registry().register(&mut member.stream, token, Interest::READABLE).expect("epoll");
        self.members.push(member);
        self.read(Duration::ZERO);
    }

    /// Reads until every member has seen as many messages as the room has.
    fn settle(&mut self) {
        let start = now();
        while self.members.iter().any(|member| member.next == 0 || member.next != self.members[0].next) {
            assert!(start.elapsed() < 4 * PATIENCE, "some members are left behind");
            self.read(Duration::from_millis(100));
        }
    }

    /// Has the first member publish `count` messages, and everybody see them.
    fn publish(&mut self, count: usize) {
        let (first, mut sent) = (self.complete, self.complete);
        let mut progress = (now(), self.complete);
        while self.complete < first + count {
            while sent < first + count && sent - self.complete < WINDOW {
                let frame = masked(TEXT, format!("{{\"content\":\"{sent} {:.<100}\"}}", "").as_bytes());
                self.members[0].stream.write_all(&frame).expect("a small message is taken");
                self.seen.push_back(0);
                sent += 1;
            }
            self.read(Duration::from_millis(100));
            if progress.1 != self.complete {
                progress = (now(), self.complete);
            }
            assert!(progress.0.elapsed() < PATIENCE, "message {} is not seen by everybody", self.complete);
        }
    }

    fn read(&mut self, timeout: Duration) {
        self.poll.poll(&mut self.events, Some(timeout)).expect("epoll");
        for event in &self.events {
            let member = &mut self.members[event.token().0];
            loop {
                match member.stream.read(&mut self.buffer) {
                    Ok(0) => panic!("the server has ended a connection"),
                    Ok(count) => {
                        let before = member.heard;
                        member.take(&self.buffer[..count], self.room);
                        for number in before..member.heard {
                            self.seen[number - self.complete] += 1;
                        }
                    }
                    Err(error) if error.kind() == ErrorKind::WouldBlock => break,
                    Err(error) => panic!("{error}"),
                }
            }
        }
        while self.seen.front() == Some(&self.members.len()) {
            self.seen.pop_front();
            self.complete += 1;
        }
    }
}

impl Member {
    fn take(&mut self, bytes: &[u8], room: &str) {
        let mut joined = std::mem::take(&mut self.partial);
        let mut rest = if joined.is_empty() {
            bytes
        } else {
            joined.extend_from_slice(bytes);
            &joined
        };
        while let Some((payload, after)) = frame(rest) {
            self.check(payload, room);
            rest = after;
        }
        self.partial = rest.to_vec();
    }

    /// Numbers without a hole, contents without a hole. By hand, since this runs a hundred million times.
    fn check(&mut self, payload: &[u8], room: &str) {
        let text = std::str::from_utf8(payload).expect("text");
        let (_, seq) = text.rsplit_once("\"seq\":").unwrap_or_else(|| panic!("not numbered: {text}"));
        // Behind the number of a JOIN stand its `username` and `online`.
        let end = seq.find([',', '}']).unwrap_or(seq.len());
        let seq: u64 = seq[..end].parse().expect("a number");
        assert!(self.next == 0 || self.next == seq, "{seq} in place of {}", self.next);
        self.next = seq + 1;
        let head = "{\"id\":\"00000000-0000-0000-0000-000000000000\",\"roomId\":\"".len() + room.len();
        let message =
            text.get(head..).and_then(|rest| rest.strip_prefix("\",\"sender\":\"u0\",\"content\":\""));
        if let Some(content) = message {
            let number = content.split(' ').next().expect("a number");
            assert_eq!(number.parse(), Ok(self.heard), "{text}");
            self.heard += 1;
        }
    }
}

/// The payload of the whole text frame that `bytes` begins with, and what follows it.
fn frame(bytes: &[u8]) -> Option<(&[u8], &[u8])> {
    let (header, len) = match *bytes.get(1)? {
        126 => (4, usize::from(u16::from_be_bytes(bytes.get(2..4)?.try_into().ok()?))),
        len => (2, usize::from(len)),
    };
    assert_eq!(bytes[0], TEXT);
    Some((bytes.get(header..header + len)?, &bytes[header + len..]))
}

/// Opens a WebSocket; returns it with what came behind the 101.
fn open(server: &ConfiguredProcess, path: &str) -> (std::net::TcpStream, Vec<u8>) {
    open_over(std::net::TcpStream::connect(server.address()).expect("a connection"), path)
}

fn open_over(mut stream: std::net::TcpStream, path: &str) -> (std::net::TcpStream, Vec<u8>) {
    stream.set_read_timeout(Some(PATIENCE)).expect("a socket");
    stream.write_all(&upgrade(path)).expect("the server takes it");
    let mut bytes = Vec::new();
    loop {
        let mut chunk = [0; 4096];
        let count = stream.read(&mut chunk).expect("an answer");
        assert!(count > 0, "the server has ended a connection");
        bytes.extend_from_slice(&chunk[..count]);
        if let Some(end) = bytes.windows(4).position(|four| four == b"\r\n\r\n") {
            assert!(bytes.starts_with(b"HTTP/1.1 101"), "{}", bytes.escape_ascii());
            return (stream, bytes.split_off(end + 4));
        }
    }
}

fn join(server: &ConfiguredProcess, room: &str, user: &str) -> Member {
    member(open(server, &format!("/ws/chat?roomId={room}&username={user}")), room)
}

/// As [`join`], with as little room in the kernel as possible for what is not read.
fn join_asleep(server: &ConfiguredProcess, room: &str, user: &str) -> Member {
    let socket = Socket::new(Domain::IPV4, Type::STREAM, None).expect("a socket");
    // Not the smallest: the kernel opens a window of 4 KiB again by its probes alone, which come up to two minutes apart.
    socket.set_recv_buffer_size(32 * 1024).expect("a small buffer");
    socket.connect(&server.address().into()).expect("a connection");
    member(open_over(socket.into(), &format!("/ws/chat?roomId={room}&username={user}")), room)
}

fn member((stream, behind): (std::net::TcpStream, Vec<u8>), room: &str) -> Member {
    stream.set_nonblocking(true).expect("a socket");
    let mut member = Member { stream: TcpStream::from_std(stream), partial: Vec::new(), next: 0, heard: 0 };
    member.take(&behind, room);
    member
}

/// A room of `members`, of whom the first publishes; then the same with `stalled` more that never read. `gaps`: whether
/// those may have lost something when they wake up.
fn room(server: &ConfiguredProcess, members: usize, messages: usize, stalled: usize, gaps: bool) {
    let mut swarm = Swarm::new("load");
    for number in 0..members {
        swarm.join(server, &format!("u{number}"));
    }
    swarm.settle();
    let start = now();
    swarm.publish(messages / 2);
    let before = server.resident();
    let asleep: Vec<_> =
        (0..stalled).map(|number| join_asleep(server, "load", &format!("stalled{number}"))).collect();
    swarm.publish(messages - messages / 2);
    let after = server.resident();
    let took = start.elapsed();
    assert!(swarm.members.iter().all(|member| member.heard == messages), "everybody has seen everything");
    for member in asleep {
        wake(member, swarm.members[0].next - 1, gaps);
    }
    let (deliveries, grown) = (messages * members, after.saturating_sub(before));
    println!("{members} members, {messages} messages: {deliveries} deliveries in {took:.1?}");
    println!(
        "{stalled} that never read: {grown} bytes of resident memory more (what is stored included), {} each",
        grown / stalled
    );
}

/// A member that never read begins to: it has all messages up to `head`, or was told which it has not.
fn wake(mut member: Member, head: u64, gaps: bool) {
    let mut poll = Poll::new().expect("epoll");
    poll.registry().register(&mut member.stream, Token(0), Interest::READABLE).expect("epoll");
    let mut events = Events::with_capacity(4);
    let mut bytes = std::mem::take(&mut member.partial);
    let mut buffer = vec![0; 1 << 20];
    let mut next = member.next;
    // With so little room in the kernel it may come in small pieces, one for each probe of the window.
    let mut progress = now();
    while next <= head {
        assert!(progress.elapsed() < PATIENCE, "{next} never comes");
        match member.stream.read(&mut buffer) {
            Ok(0) => panic!("the server has ended a connection"),
            Ok(count) => {
                bytes.extend_from_slice(&buffer[..count]);
                progress = now();
            }
            Err(_) => poll.poll(&mut events, Some(Duration::from_millis(100))).expect("epoll"),
        }
        let mut rest = &bytes[..];
        while let Some((payload, after)) = frame(rest) {
            let value: serde_json::Value = serde_json::from_slice(payload).expect("JSON");
            if value["type"] == "GAP" {
                assert!(gaps && value["from"] == next, "{value} at {next}");
                next = value["to"].as_u64().expect("a number") + 1;
            } else {
                assert!(next == 0 || value["seq"] == next, "{value} at {next}");
                next = value["seq"].as_u64().expect("a number") + 1;
            }
            rest = after;
        }
        bytes = rest.to_vec();
    }
}

#[test]
fn a_room_loses_nothing_however_many_of_its_members_never_read() {
    // Nothing is stored, so that what grows is not the store.
    let server = start("off");
    if is_full() {
        room(&server, 1000, 100_000, 100, true);
    } else {
        room(&server, 100, 4000, 10, true);
    }
}

#[test]
fn a_huge_room_is_sent_its_messages_by_all_workers_and_loses_nothing() {
    let server = start_with("workers = 3\nrooms.lane_members = 300", "off");
    if is_full() {
        room(&server, 8000, 400, 100, true);
    } else {
        room(&server, 700, 100, 10, true);
    }
    for (thread, seconds) in server.thread_times() {
        println!("{thread}: {seconds:.3} s of processor time");
    }
}

#[test]
fn a_stored_room_loses_nothing_and_those_that_never_read_get_it_all_when_they_wake_up() {
    let server = start("commit");
    if is_full() {
        room(&server, 1000, 20_000, 20, false);
    } else {
        room(&server, 50, 1000, 5, false);
    }
}

#[test]
fn idle_connections_cost_little() {
    let count = if is_full() { 15_000 } else { 300 };
    let server = start("off");
    let empty = server.resident();
    let connections: Vec<_> = (0..count).map(|_| open(&server, "/echo").0).collect();
    report("/echo", &server, empty, count, 1024);
    for mut connection in connections.into_iter().step_by(97) {
        connection.write_all(&masked(TEXT, b"awake")).expect("it is open");
        let mut echo = [0; 7];
        connection.read_exact(&mut echo).expect("an echo");
        assert_eq!(&echo, b"\x81\x05awake");
    }
}

#[test]
fn idle_members_of_small_rooms_cost_little() {
    let count = if is_full() { 15_000 } else { 300 };
    let server = start("off");
    let empty = server.resident();
    let mut members = Vec::new();
    for number in 0..count {
        let path = format!("/ws/chat?roomId=room{}&username=user{number}", number / 10);
        members.push(open(&server, &path));
    }
    // The last member of a room sees its own JOIN when all others have been sent theirs.
    for (number, (stream, behind)) in members.iter_mut().enumerate() {
        let mut joins = 10 - number % 10;
        loop {
            while let Some((_, after)) = frame(behind) {
                *behind = after.to_vec();
                joins -= 1;
            }
            if joins == 0 {
                break;
            }
            let mut chunk = [0; 4096];
            let read = stream.read(&mut chunk).expect("a JOIN");
            assert!(read > 0, "the server has ended a connection");
            behind.extend_from_slice(&chunk[..read]);
        }
    }
    report("chat rooms of 10", &server, empty, count, 2048);
}

/// Prints what `count` idle connections cost, and holds the large form to its limit.
fn report(what: &str, server: &ConfiguredProcess, empty: usize, count: usize, bytes_max: usize) {
    let resident = server.resident();
    let (all, more) = (resident / count, resident.saturating_sub(empty) / count);
    println!(
        "{what}: {count} idle connections, {resident} bytes resident: {all} each, {more} without the process"
    );
    assert!(!is_full() || all < bytes_max, "more than {bytes_max} bytes for each connection");
}
