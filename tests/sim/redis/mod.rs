//! One Redis server that is a part of the simulation: it has the scripts of the nodes run by Lua, over data and commands
//! that do what those of Redis 7 do, and can fail in every way that a server and a network can.
//!
//! | file | subject |
//! |---|---|
//! | this one | connections, what is under way in them, what goes wrong |
//! | `data` | what is kept, and the commands |
//! | `lua` | the scripts |
//! | `resp` | what is said and heard |

mod data;
mod lua;
mod resp;

use std::collections::{BTreeMap, BTreeSet, HashMap, VecDeque};
use std::time::Duration;

use foghorn::simulation::{Peer, World};

use self::data::{Announced, Data, Hand};
use self::lua::run_script;
use self::resp::{Reply, take_command};
use crate::model::{Kept, Logged, Logs};
use crate::random::Random;

/// Microseconds since 1970 that its clock shows at the beginning.
const WALL_AT_START: u64 = 1_780_000_000_000_000;
/// States that it may be put back to.
const STATES_MAX: usize = 12;

/// One connection.
struct Line {
    peer: Peer,
    input: Vec<u8>,
    /// What is said and has not arrived.
    out: VecDeque<Vec<u8>>,
    channels: BTreeSet<Vec<u8>>,
}

/// What becomes of announcements.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum Announcing {
    #[default]
    Well,
    /// Some are lost.
    Loses,
    /// Some come twice.
    Doubles,
    /// Some come later than those after them.
    Delays,
}

/// Where a message is: its room, the epoch, the number.
type Place = (String, u64, u64);

pub(crate) struct Redis {
    data: Data,
    /// Earlier states, the newest last.
    states: VecDeque<Data>,
    scripts: HashMap<String, String>,
    lines: Vec<Line>,
    random: Random,
    run: u64,
    began_at: Duration,
    /// What its clock is ahead, in microseconds.
    ahead: i64,
    /// Whether it says that everything is on disk before it is answered.
    pub(crate) keeps_everything: bool,
    pub(crate) announcing: Announcing,
    late: Vec<(Vec<u8>, Vec<u8>)>,
    /// What it answers to everything that writes.
    pub(crate) refusal: Option<&'static str>,
    /// Nodes that it does not hear, and that do not hear it.
    pub(crate) cut_off: BTreeSet<usize>,
    /// Whether it says nothing at all.
    pub(crate) is_silent: bool,
    /// Everything that ever was in a log: sender and content.
    ever: BTreeMap<Place, (String, String)>,
    pub(crate) commands: u64,
}

impl Redis {
    pub(crate) fn new(seed: u64) -> Redis {
        Redis {
            data: Data::default(),
            states: VecDeque::from([Data::default()]),
            scripts: HashMap::new(),
            lines: Vec::new(),
            random: Random::new(seed, 3),
            run: 1,
            began_at: Duration::ZERO,
            ahead: 0,
            keeps_everything: false,
            announcing: Announcing::Well,
            late: Vec::new(),
            refusal: None,
            cut_off: BTreeSet::new(),
            is_silent: false,
            ever: BTreeMap::new(),
            commands: 0,
        }
    }

    fn now(&self, world: &World) -> u64 {
        let now = WALL_AT_START + u64::try_from(world.elapsed().as_micros()).unwrap();
        now.saturating_add_signed(self.ahead)
    }

    /// Takes the connections that nodes have made, and forgets those that have ended.
    pub(crate) fn accept(&mut self, world: &World) -> bool {
        let new = world.connections();
        let has_new = !new.is_empty();
        self.lines.extend(new.into_iter().map(|peer| Line {
            peer,
            input: Vec::new(),
            out: VecDeque::new(),
            channels: BTreeSet::new(),
        }));
        let (cut_off, is_silent) = (&self.cut_off, self.is_silent);
        // What was asked before the end of a connection may yet be done.
        self.lines.retain(|line| {
            let is_reached = !is_silent && !cut_off.contains(&line.peer.node());
            !line.peer.is_over() || (is_reached && (line.peer.has_come() || !line.input.is_empty()))
        });
        has_new
    }

    fn is_reached(&self, line: &Line) -> bool {
        !self.is_silent && !self.cut_off.contains(&line.peer.node())
    }

    /// The connections on which something has come.
    pub(crate) fn asked(&self) -> Vec<usize> {
        let is_asked =
            |line: &Line| self.is_reached(line) && (line.peer.has_come() || !line.input.is_empty());
        (0..self.lines.len()).filter(|index| is_asked(&self.lines[*index])).collect()
    }

    /// The connections on which something is under way to a node.
    pub(crate) fn answering(&self) -> Vec<usize> {
        let is_answering =
            |line: &Line| self.is_reached(line) && !line.out.is_empty() && !line.peer.is_over();
        (0..self.lines.len()).filter(|index| is_answering(&self.lines[*index])).collect()
    }

    /// Does what was asked for first on a connection.
    pub(crate) fn serve(&mut self, index: usize, world: &World) {
        let line = &mut self.lines[index];
        let came = line.peer.take();
        line.input.extend(came);
        let Some(command) = take_command(&mut line.input) else {
            if line.peer.is_over() {
                line.input.clear();
            }
            return;
        };
        self.commands += 1;
        let mut announced = Vec::new();
        let writes = self.data.writes;
        let replies = self.answer(index, &command, world, &mut announced);
        if self.data.writes != writes {
            self.note_state();
        }
        for reply in replies {
            let mut bytes = Vec::new();
            reply.encode(&mut bytes);
            self.lines[index].out.push_back(bytes);
        }
        self.announce(announced);
    }

    fn note_state(&mut self) {
        self.states.push_back(self.data.clone());
        if self.states.len() > STATES_MAX {
            // Some old ones stay: it may be put back far.
            let index = 1 + self.random.below(STATES_MAX - 2);
            self.states.remove(index);
        }
    }

    fn answer(
        &mut self,
        index: usize,
        command: &[Vec<u8>],
        world: &World,
        announced: &mut Vec<Announced>,
    ) -> Vec<Reply> {
        let name = String::from_utf8_lossy(&command[0]).to_ascii_uppercase();
        let args = &command[1..];
        let text = |index: usize| String::from_utf8_lossy(&args[index]).into_owned();
        let reply = match &*name {
            "HELLO" => Reply::Map(vec![(Reply::text("proto"), Reply::Number(3))]),
            "SELECT" => Reply::Status("OK"),
            "PING" => Reply::Status("PONG"),
            "INFO" => Reply::text(self.info(world)),
            "CONFIG" => {
                let sync = if self.keeps_everything { "always" } else { "everysec" };
                Reply::Map(vec![(Reply::text("appendfsync"), Reply::text(sync))])
            }
            "DBSIZE" => Reply::Number(i64::try_from(self.data.len()).unwrap()),
            "SCRIPT" => {
                let digest = sha1_smol::Sha1::from(&args[1]).digest().to_string();
                self.scripts.insert(digest.clone(), text(1));
                Reply::text(digest)
            }
            "EVALSHA" | "EVAL" => {
                let source = if name == "EVAL" {
                    let digest = sha1_smol::Sha1::from(&args[0]).digest().to_string();
                    self.scripts.insert(digest, text(0));
                    Some(text(0))
                } else {
                    self.scripts.get(&text(0)).cloned()
                };
                match source {
                    None => Reply::Error("NOSCRIPT No matching script. Please use EVAL.".into()),
                    Some(source) => self.run(&source, &args[1..], world, announced),
                }
            }
            "SSUBSCRIBE" | "SUNSUBSCRIBE" => return self.subscribe(index, &name, args),
            _ => {
                let mut hand = Hand { now: self.now(world), refusal: self.refusal, announced };
                self.data.call(command, &mut hand).unwrap_or_else(Reply::Error)
            }
        };
        vec![reply]
    }

    fn info(&self, world: &World) -> String {
        let up = (world.elapsed() - self.began_at).as_secs();
        format!(
            "redis_version:7.0.15\r\nredis_mode:standalone\r\nrole:master\r\nmaxmemory_policy:noeviction\r\n\
             aof_enabled:{}\r\nconnected_slaves:0\r\nrun_id:{}\r\nuptime_in_seconds:{up}\r\n",
            u8::from(self.keeps_everything),
            self.run
        )
    }

    fn run(
        &mut self,
        source: &str,
        args: &[Vec<u8>],
        world: &World,
        announced: &mut Vec<Announced>,
    ) -> Reply {
        let count: usize = String::from_utf8_lossy(&args[0]).parse().unwrap();
        let (keys, args) = args[1..].split_at(count);
        let mut hand = Hand { now: self.now(world), refusal: self.refusal, announced };
        let reply = run_script(source, keys, args, &mut self.data, &mut hand);
        if let [room, stream, ..] = keys {
            self.note_messages(&String::from_utf8_lossy(room), &String::from_utf8_lossy(stream));
        }
        reply
    }

    /// Remembers what is new in a log.
    fn note_messages(&mut self, room: &str, stream: &str) {
        let Some((_, name)) = stream.split_once(":s:") else { return };
        let epoch = self.data.field(room, "epoch");
        let Some(epoch) = epoch.and_then(|epoch| u64::from_str_radix(&epoch, 16).ok()) else { return };
        for (seq, mut fields) in self.data.entries(stream).rev() {
            let mut field = |name: &str| fields.remove(name).unwrap_or_default();
            let said = (field("s"), field("c"));
            let place = (name.to_owned(), epoch, seq);
            if self.ever.insert(place, said.clone()) == Some(said) {
                break;
            }
        }
    }

    fn subscribe(&mut self, index: usize, name: &str, args: &[Vec<u8>]) -> Vec<Reply> {
        let channels = &mut self.lines[index].channels;
        let mut replies = Vec::new();
        for channel in args {
            if name == "SSUBSCRIBE" {
                channels.insert(channel.clone());
            } else {
                channels.remove(channel);
            }
            let count = Reply::Number(i64::try_from(channels.len()).unwrap());
            replies.push(Reply::Push(vec![
                Reply::text(name.to_ascii_lowercase()),
                Reply::text(channel),
                count,
            ]));
        }
        replies
    }

    fn announce(&mut self, announced: Vec<Announced>) {
        for (channel, payload) in announced {
            for index in 0..self.lines.len() {
                if !self.lines[index].channels.contains(&channel) || self.lines[index].peer.is_over() {
                    continue;
                }
                let strikes = self.random.once_in(3);
                let times = match self.announcing {
                    Announcing::Loses if strikes => 0,
                    Announcing::Doubles if strikes => 2,
                    Announcing::Delays if strikes => {
                        self.late.push((channel.clone(), payload.clone()));
                        0
                    }
                    _ => 1,
                };
                let bytes = pushed(&channel, &payload);
                for _ in 0..times {
                    self.lines[index].out.push_back(bytes.clone());
                }
            }
        }
        if self.announcing != Announcing::Delays || self.random.once_in(4) {
            self.tell_late();
        }
    }

    /// What was delayed comes now.
    pub(crate) fn tell_late(&mut self) {
        for (channel, payload) in std::mem::take(&mut self.late) {
            let bytes = pushed(&channel, &payload);
            for line in self.lines.iter_mut().filter(|line| line.channels.contains(&channel)) {
                line.out.push_back(bytes.clone());
            }
        }
    }

    /// Something that was said on a connection arrives, all of it or a part.
    pub(crate) fn deliver(&mut self, index: usize, all: bool) {
        let is_cut = self.random.once_in(8);
        let line = &mut self.lines[index];
        while let Some(mut bytes) = line.out.pop_front() {
            if is_cut && bytes.len() > 1 {
                let rest = bytes.split_off(bytes.len() / 2);
                line.out.push_front(rest);
                return line.peer.give(&bytes);
            }
            line.peer.give(&bytes);
            if !all {
                return;
            }
        }
    }

    // What goes wrong.

    /// Some connections break: what was said and has not arrived is lost, what was asked may yet be done.
    pub(crate) fn cut_lines(&mut self, once_in: usize, node: Option<usize>) {
        for line in &mut self.lines {
            if node.is_none_or(|node| line.peer.node() == node) && self.random.once_in(once_in) {
                let asked = line.peer.take();
                if self.random.once_in(2) {
                    line.input.extend(asked);
                } else {
                    line.input.clear();
                }
                line.peer.reset();
                line.out.clear();
            }
        }
    }

    /// It ends, and begins again with what it had some time ago, or another one does that has less. Gives what is
    /// forgotten.
    pub(crate) fn restart(&mut self, back: usize, keeps_scripts: bool, world: &World) -> Vec<String> {
        self.lines.iter().for_each(|line| line.peer.reset());
        self.lines.clear();
        self.late.clear();
        if !keeps_scripts {
            self.scripts.clear();
        }
        (self.run, self.began_at) = (self.run + 1, world.elapsed());
        let before = self.contents();
        let index = self.states.len().saturating_sub(1 + back);
        self.data = self.states[index].clone();
        self.states.truncate(index + 1);
        self.forgotten_since(before)
    }

    /// Everything is forgotten at once.
    pub(crate) fn flush(&mut self) -> Vec<String> {
        let before = self.contents();
        self.data.clear();
        self.note_state();
        self.forgotten_since(before)
    }

    /// One key of a room is forgotten.
    pub(crate) fn evict(&mut self, room: &str) -> (String, Vec<String>) {
        let kinds = [":r:", ":s:", ":p:", ":u:", ":meta"];
        let kind = self.random.pick(&kinds);
        let suffix = if kind == ":meta" { kind.to_owned() } else { format!("{kind}{room}") };
        let before = self.contents();
        let key = self.data.keys().find(|key| key.ends_with(suffix.as_bytes())).cloned();
        if let Some(key) = &key {
            self.data.remove(key);
            self.note_state();
        }
        let key = String::from_utf8_lossy(&key.unwrap_or_default()).into_owned();
        let mut forgotten = self.forgotten_since(before.clone());
        if key.contains(":r:") {
            // Whoever has never heard of the room begins another one, and what there still is of its log goes.
            forgotten.extend(before.get(room).into_iter().flatten().cloned());
        }
        (key, forgotten)
    }

    /// Its clock is set.
    pub(crate) fn set_clock(&mut self, micros: i64) {
        self.ahead += micros;
    }

    fn contents(&self) -> BTreeMap<String, BTreeSet<String>> {
        let mut contents: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
        for (name, stream) in self.streams() {
            let entries = self.data.entries(&stream);
            let said = entries.filter_map(|(_, mut fields)| fields.remove("c"));
            contents.entry(name).or_default().extend(said);
        }
        contents
    }

    fn forgotten_since(&self, before: BTreeMap<String, BTreeSet<String>>) -> Vec<String> {
        let now = self.contents();
        let gone = |(room, said): (String, BTreeSet<String>)| -> Vec<String> {
            let kept = now.get(&room);
            said.into_iter().filter(|said| kept.is_none_or(|kept| !kept.contains(said))).collect()
        };
        before.into_iter().flat_map(gone).collect()
    }

    /// The rooms that have a log, and where it is.
    fn streams(&self) -> Vec<(String, String)> {
        let keys = self.data.keys().map(|key| String::from_utf8_lossy(key).into_owned());
        keys.filter_map(|key| key.split_once(":s:").map(|(_, name)| (name.to_owned(), key.clone()))).collect()
    }

    // What the checker looks at.

    /// Who is in a room, by its presence and by the count of its users.
    pub(crate) fn present(&self, room: &str) -> (Vec<String>, usize) {
        let keyed = |kind: &str| {
            let suffix = format!("{kind}{room}");
            self.data.keys().find(|key| key.ends_with(suffix.as_bytes()))
        };
        let fields =
            |kind| keyed(kind).map_or(Vec::new(), |key| self.data.fields(&String::from_utf8_lossy(key)));
        (fields(":p:").into_iter().map(|(_, stay)| stay).collect(), fields(":u:").len())
    }

    fn hash_of(&self, room: &str) -> Option<String> {
        let suffix = format!(":r:{room}");
        let key = self.data.keys().find(|key| key.ends_with(suffix.as_bytes()))?;
        Some(String::from_utf8_lossy(key).into_owned())
    }
}

impl Logs for Redis {
    fn message(&self, room: &str, epoch: u64, seq: u64) -> Kept {
        match self.ever.get(&(room.to_owned(), epoch, seq)) {
            Some((sender, content)) => Kept::Message { sender: sender.clone(), content: content.clone() },
            None => Kept::Nothing,
        }
    }

    fn log(&self, room: &str) -> Option<(u64, Vec<Logged>)> {
        let key = self.hash_of(room)?;
        let epoch = u64::from_str_radix(&self.data.field(&key, "epoch")?, 16).ok()?;
        let entries = self.data.entries(&key.replace(":r:", ":s:")).map(|(seq, mut fields)| {
            let kind = match fields.get("t").map(String::as_str) {
                Some("j") => "JOIN",
                Some("l") => "LEAVE",
                _ => "MESSAGE",
            };
            let online = fields.get("o").and_then(|online| online.parse().ok());
            let mut field = |name: &str| fields.remove(name).unwrap_or_default();
            Logged { seq, kind: kind.into(), content: field("c"), user: field("u"), online }
        });
        Some((epoch, entries.collect()))
    }
}

fn pushed(channel: &[u8], payload: &[u8]) -> Vec<u8> {
    let mut bytes = Vec::new();
    let push = vec![Reply::text("smessage"), Reply::text(channel), Reply::text(payload)];
    Reply::Push(push).encode(&mut bytes);
    bytes
}
