//! Members that join with a position while others publish, again and again: no gap and no repeat, whether what they miss
//! comes from the store, from the window or live, and wherever one goes over into the other.
//!
//! `FOGHORN_RACE_JOINS` says how often (100,000 is a long run), `FOGHORN_RACE_SEED` repeats the positions of a run.

#![expect(clippy::print_stdout, reason = "a run says what it needs to be repeated")]
#![expect(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

use std::hash::{DefaultHasher, Hash, Hasher};
use std::net::{SocketAddr, TcpStream};
use std::ops::RangeInclusive;
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use crate::support::{PATIENCE, TestServer, now, random, variable};
use foghorn::config::Config;
use serde::Deserialize;
use socket2::SockRef;
use tungstenite::{Message, WebSocket};

const ROOMS: [&str; 2] = ["one", "two"];
/// Threads that join, each one member at a time.
const JOINERS: u64 = 6;
/// Messages in memory: few, so that most positions have left it.
const WINDOW: usize = 24;
/// Messages of one publisher that it has not seen come back.
const OUTSTANDING_MAX: usize = 4;
/// How far behind the newest message newcomers begin: at the edge to live messages, in the window and around its end,
/// within a page of the store, several pages back. The last is rare, for it is most of the work.
const BEHIND: [RangeInclusive<u64>; 8] =
    [0..=2, 0..=2, 3..=20, 16..=32, 16..=32, 25..=250, 25..=250, 240..=700];
/// Messages that a newcomer awaits which were published after it joined.
const LIVE: RangeInclusive<u64> = 1..=8;

/// What everybody has seen of a room.
#[derive(Debug)]
struct Room {
    name: &'static str,
    /// The newest message that anybody has seen.
    head: AtomicU64,
    /// The hash of each message, by number; 0 if nobody has seen it.
    seen: Mutex<Vec<u64>>,
    epoch: Mutex<Option<String>>,
}

impl Room {
    fn new(name: &'static str) -> Room {
        Room { name, head: AtomicU64::new(0), seen: Mutex::default(), epoch: Mutex::default() }
    }

    /// Notes a message. Whoever sees it, from wherever it comes, sees the same bytes.
    fn note(&self, seq: u64, text: &str) {
        let mut hasher = DefaultHasher::new();
        text.hash(&mut hasher);
        let (index, hash) = (usize::try_from(seq - 1).unwrap(), hasher.finish().max(1));
        let mut seen = self.seen.lock().unwrap();
        if seen.len() <= index {
            seen.resize(index + 1, 0);
        }
        assert!(seen[index] == 0 || seen[index] == hash, "another message {seq}: {text}");
        seen[index] = hash;
        self.head.fetch_max(seq, Ordering::Relaxed);
    }
}

/// What of an object this test looks at.
#[derive(Debug, Deserialize)]
struct Object<'t> {
    #[serde(rename = "type")]
    kind: &'t str,
    seq: Option<u64>,
    epoch: Option<&'t str>,
    sender: Option<&'t str>,
}

/// A session in a room, which sees one message after the other.
struct Member<'r> {
    room: &'r Room,
    socket: WebSocket<TcpStream>,
    /// The number of its next message; `None` before the first, if that may be any.
    next: Option<u64>,
}

impl<'r> Member<'r> {
    fn enter(server: SocketAddr, room: &'r Room, name: &str, since: Option<u64>) -> Member<'r> {
        let stream = TcpStream::connect(server).unwrap();
        stream.set_nodelay(true).unwrap();
        stream.set_read_timeout(Some(PATIENCE)).unwrap();
        let epoch = room.epoch.lock().unwrap().as_ref().map(|epoch| format!("&epoch={epoch}"));
        let position = since.map(|since| format!("&sinceSeq={since}{}", epoch.unwrap_or_default()));
        let url = format!(
            "ws://{}/ws/chat?roomId={}&username={name}&hello=1{}",
            server,
            room.name,
            position.unwrap_or_default()
        );
        let (socket, _) = tungstenite::client(url, stream).unwrap();
        Member { room, socket, next: since.map(|since| since + 1) }
    }

    /// Reads the WELCOME; says which was the newest message then.
    fn welcome(&mut self) -> u64 {
        let message = self.socket.read().unwrap();
        let welcome: Object<'_> = serde_json::from_str(message.to_text().unwrap()).unwrap();
        assert_eq!(welcome.kind, "WELCOME");
        let epoch = welcome.epoch.unwrap();
        assert_eq!(self.room.epoch.lock().unwrap().get_or_insert_with(|| epoch.to_owned()), epoch);
        welcome.seq.unwrap()
    }

    /// Reads the next message, which must be the one that is due; says its number and whether `name` has sent it.
    fn read(&mut self, name: &str) -> (u64, bool) {
        let message = self.socket.read().unwrap();
        let text = message.to_text().unwrap();
        let object: Object<'_> = serde_json::from_str(text).unwrap();
        let is_stored = matches!(object.kind, "MESSAGE" | "JOIN" | "LEAVE");
        assert!(is_stored, "{name} awaits message {:?}: {text}", self.next);
        let seq = object.seq.unwrap();
        assert_eq!(seq, self.next.unwrap_or(seq), "{name}: a gap or a repeat: {text}");
        self.next = Some(seq + 1);
        self.room.note(seq, text);
        (seq, object.sender == Some(name))
    }

    fn leave(mut self, in_order: bool) {
        if in_order {
            self.socket.close(None).unwrap();
            while self.socket.read().is_ok() {}
        } else {
            // A reset, which leaves no address occupied either.
            SockRef::from(self.socket.get_ref()).set_linger(Some(Duration::ZERO)).unwrap();
        }
    }
}

/// Publishes until nobody joins any more.
fn publish(server: SocketAddr, room: &Room, name: &str, over: &AtomicBool) {
    let mut member = Member::enter(server, room, name, None);
    member.welcome();
    let (mut sent, mut outstanding) = (0_u64, 0);
    while !over.load(Ordering::Relaxed) {
        while outstanding < OUTSTANDING_MAX {
            let message = format!("{{\"content\":\"{sent} of {name}\"}}");
            member.socket.send(Message::text(message)).unwrap();
            (sent, outstanding) = (sent + 1, outstanding + 1);
        }
        let (_, own) = member.read(name);
        outstanding -= usize::from(own);
    }
}

/// Joins again and again, as long as there are joins left; counts how many began behind the window and how many
/// messages came.
fn join(server: SocketAddr, rooms: &[Room], number: u64, left: &AtomicU64, seed: u64) -> (u64, u64) {
    let (mut state, mut behind_window, mut messages) = (seed.wrapping_add(number), 0, 0);
    let mut roll =
        |range: &RangeInclusive<u64>| range.start() + random(&mut state) % (range.end() - range.start() + 1);
    let name = format!("joiner-{number}");
    while left.fetch_update(Ordering::Relaxed, Ordering::Relaxed, |left| left.checked_sub(1)).is_ok() {
        let room = &rooms[usize::try_from(roll(&(0..=rooms.len() as u64 - 1))).unwrap()];
        let behind = &BEHIND[usize::try_from(roll(&(0..=BEHIND.len() as u64 - 1))).unwrap()];
        let since = room.head.load(Ordering::Relaxed).saturating_sub(roll(behind));
        let mut member = Member::enter(server, room, &name, Some(since));
        let head = member.welcome();
        assert!(head >= since, "shown before it was visible");
        behind_window += u64::from(head - since > WINDOW as u64);
        let last = head + roll(&LIVE);
        while member.read(&name).0 < last {}
        messages += last - since;
        member.leave(roll(&(0..=1)) == 0);
    }
    (behind_window, messages)
}

#[test]
fn joining_with_a_position_while_others_publish_leaves_no_gap_and_repeats_nothing() {
    let directory = tempfile::tempdir().unwrap();
    race(|config| TestServer::stored_in(directory.path(), config));
}

/// Members join a server that is started with what is changed in its configuration.
pub(crate) fn race(start: impl FnOnce(fn(&mut Config)) -> TestServer) {
    let (joins, seed) = (variable("FOGHORN_RACE_JOINS", 500), variable("FOGHORN_RACE_SEED", 1));
    let server = start(|config| {
        config.rooms.window_messages = WINDOW;
        // Nothing but messages: whoever gets none for too long has missed one.
        config.heartbeat.text_interval = Duration::ZERO;
    });
    let rooms = ROOMS.map(Room::new);
    let (left, over, start) = (AtomicU64::new(joins), AtomicBool::new(false), now());
    let (address, rooms, left, over) = (server.address(), &rooms, &left, &over);
    let counts = std::thread::scope(|scope| {
        for room in rooms {
            for number in 0..2 {
                scope.spawn(move || publish(address, room, &format!("publisher-{number}"), over));
            }
        }
        let joiners: Vec<_> = (0..JOINERS)
            .map(|number| scope.spawn(move || join(address, rooms, number, left, seed)))
            .collect();
        let ended: Vec<_> = joiners.into_iter().map(|joiner| joiner.join()).collect();
        over.store(true, Ordering::Relaxed);
        ended.into_iter().map(Result::unwrap).collect::<Vec<_>>()
    });
    let behind_window: u64 = counts.iter().map(|count| count.0).sum();
    let messages: u64 = counts.iter().map(|count| count.1).sum();
    println!(
        "{joins} joins, {behind_window} from behind the window, {messages} messages, {:.1} s",
        start.elapsed().as_secs_f64()
    );
    // Otherwise one of the ways was hardly taken.
    assert!(behind_window > joins / 4 && behind_window < joins * 7 / 8, "{behind_window} of {joins}");
}
