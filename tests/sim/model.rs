//! What must be true of everything that anybody is shown, small enough to be believed by reading.
//!
//! - Under one number of one epoch of a room stands one message, whoever is shown it, through whichever door, before and
//!   after whatever happens to the process ([`Model::show`]).
//! - Times grow with the numbers.
//! - A message was said, by the one whose name it has, in that room; one that was said with an id stands in a room once, one
//!   without an id as often as it was said at most; what one session says keeps its order.
//! - What is shown is stored, where the room waits for that.
//! - A follower is shown each number after the one before, or a gap that says which are missing and for which there is a
//!   reason ([`Follower`]).
//! - No frame is later than what its receiver has been shown.
//! - A JOIN comes before its LEAVE, and both tell how many there are ([`Model::check_presence`]).

use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};

use foghorn::simulation::{self, Disk};
use serde_json::Value;

/// What is wrong.
pub(crate) type Wrong = String;

/// What is kept under a number.
pub(crate) enum Kept {
    /// The room is gone, or its log is another one, or that part of it is kept no longer.
    Elsewhere,
    Nothing,
    Message {
        sender: String,
        content: String,
    },
}

/// An entry of a log that is kept.
#[derive(Clone, Debug)]
pub(crate) struct Logged {
    pub(crate) seq: u64,
    pub(crate) kind: String,
    pub(crate) content: String,
    pub(crate) user: String,
    pub(crate) online: Option<u64>,
}

/// Where logs are kept.
pub(crate) trait Logs {
    /// What is kept under this number, in the room of this name, under this epoch.
    fn message(&self, room: &str, epoch: u64, seq: u64) -> Kept;

    /// The epoch of a room, and what is kept of its log.
    fn log(&self, room: &str) -> Option<(u64, Vec<Logged>)>;
}

impl Logs for Disk {
    fn message(&self, room: &str, epoch: u64, seq: u64) -> Kept {
        match Disk::message(self, room, epoch, seq) {
            simulation::Kept::Elsewhere => Kept::Elsewhere,
            simulation::Kept::Nothing => Kept::Nothing,
            simulation::Kept::Message(stored) => {
                Kept::Message { sender: stored.sender.to_string(), content: stored.content.to_string() }
            }
        }
    }

    fn log(&self, room: &str) -> Option<(u64, Vec<Logged>)> {
        let (epoch, log) = Disk::log(self, room)?;
        let logged = log.into_iter().map(|stored| {
            let presence = stored.presence.as_ref();
            Logged {
                seq: stored.seq,
                kind: stored.kind.name().to_owned(),
                content: stored.content.to_string(),
                user: presence.map_or(String::new(), |presence| presence.username.to_string()),
                online: presence.map(|presence| presence.online),
            }
        });
        Some((epoch, logged.collect()))
    }
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Entry {
    pub(crate) kind: String,
    pub(crate) sender: String,
    pub(crate) content: String,
    pub(crate) time: String,
    pub(crate) client_id: Option<String>,
    pub(crate) username: Option<String>,
    pub(crate) online: Option<u64>,
}

/// Something that somebody has said.
#[derive(Clone, Debug)]
struct Said {
    room: String,
    sender: String,
    id: Option<String>,
    /// How often it was sent.
    times: usize,
    /// Where it stands, by the last that was seen of it.
    at: Vec<(u64, u64)>,
    /// The number in the answer, and the epoch that was known then.
    acknowledged: Option<u64>,
    is_refused: bool,
    /// Which session said it, and what number it has there.
    session: (usize, usize),
}

#[derive(Debug, Default)]
pub(crate) struct Model {
    /// By room, epoch and number.
    logs: BTreeMap<String, BTreeMap<u64, BTreeMap<u64, Entry>>>,
    said: HashMap<String, Said>,
    /// The number of what each session said last, of what was shown, and that message's, by room and epoch.
    order: HashMap<(usize, u64), (usize, u64)>,
    deleted: BTreeSet<String>,
    /// Whether what is shown has to be stored.
    pub(crate) is_stored_first: bool,
    /// Whether old messages go.
    pub(crate) has_retention: bool,
    /// Whether messages may be lost that were shown: the machine has lost power, or nobody waited for the store.
    pub(crate) may_lose: bool,
    /// Whether ids may have been forgotten before their time.
    pub(crate) forgets_ids: bool,
    /// Whether what was refused may have been stored: several nodes ask one engine, which may answer no more.
    pub(crate) is_shared: bool,
    /// Whether the engine has forgotten something, and contents that it has forgotten.
    pub(crate) has_forgotten: bool,
    pub(crate) forgotten: HashSet<String>,
    pub(crate) shown: u64,
}

impl Model {
    pub(crate) fn new(is_stored_first: bool, has_retention: bool) -> Model {
        Model { is_stored_first, has_retention, may_lose: !is_stored_first, ..Model::default() }
    }

    /// Somebody says this.
    pub(crate) fn say(
        &mut self,
        room: &str,
        sender: &str,
        content: &str,
        id: Option<&str>,
        session: (usize, usize),
    ) {
        let said = self.said.entry(content.to_owned()).or_insert_with(|| Said {
            room: room.to_owned(),
            sender: sender.to_owned(),
            id: id.map(str::to_owned),
            times: 0,
            at: Vec::new(),
            acknowledged: None,
            is_refused: false,
            session,
        });
        said.times += 1;
    }

    /// Somebody has the room deleted: what is said there from now on may be said in another room of this name.
    pub(crate) fn delete(&mut self, room: &str) {
        self.deleted.insert(room.to_owned());
    }

    /// The server says under which number it stands.
    pub(crate) fn acknowledge(&mut self, content: &str, seq: u64) -> Result<(), Wrong> {
        let said = self.said.get_mut(content).ok_or_else(|| format!("nobody has said {content}"))?;
        let may_change = self.may_lose
            || self.forgets_ids
            || self.deleted.contains(&said.room)
            || self.forgotten.contains(content);
        if let Some(before) = said.acknowledged.replace(seq)
            && before != seq
            && !may_change
        {
            return Err(format!("{content} was acknowledged as {before} and as {seq}"));
        }
        let stands_elsewhere =
            said.at.iter().any(|(_, at)| *at != seq) && !said.at.iter().any(|(_, at)| *at == seq);
        if stands_elsewhere && said.id.is_some() && !may_change {
            return Err(format!("{content} is acknowledged as {seq} and stands at {:?}", said.at));
        }
        Ok(())
    }

    pub(crate) fn sender_of(&self, content: &str) -> Option<&str> {
        self.said.get(content).map(|said| &*said.sender)
    }

    pub(crate) fn refuse(&mut self, content: &str) {
        if let Some(said) = self.said.get_mut(content) {
            said.is_refused = true;
        }
    }

    /// Somebody is shown this.
    pub(crate) fn show(
        &mut self,
        disk: &dyn Logs,
        room: &str,
        epoch: u64,
        seq: u64,
        entry: &Entry,
    ) -> Result<(), Wrong> {
        self.shown += 1;
        let place = || format!("{room} {epoch:016x}:{seq}");
        let log = self.logs.entry(room.to_owned()).or_default().entry(epoch).or_default();
        if let Some(known) = log.get(&seq) {
            if known != entry {
                return Err(format!("{} is {entry:?}, and was {known:?}", place()));
            }
            return Ok(());
        }
        let earlier = log.range(..seq).next_back().filter(|(_, known)| known.time >= entry.time);
        let later = log.range(seq + 1..).next().filter(|(_, known)| known.time <= entry.time);
        if let Some((other, known)) = earlier.or(later) {
            return Err(format!("{} is of {}, and {other} of {}", place(), entry.time, known.time));
        }
        log.insert(seq, entry.clone());
        if self.is_stored_first {
            match disk.message(room, epoch, seq) {
                Kept::Elsewhere => {}
                Kept::Nothing => return Err(format!("{} was shown and is not stored", place())),
                Kept::Message { sender, content } if content == entry.content && sender == entry.sender => {}
                Kept::Message { sender, content } => {
                    return Err(format!("{} is {entry:?}, and stored is {content} of {sender}", place()));
                }
            }
        }
        if entry.kind == "MESSAGE" { self.show_said(room, epoch, seq, entry) } else { Ok(()) }
    }

    fn show_said(&mut self, room: &str, epoch: u64, seq: u64, entry: &Entry) -> Result<(), Wrong> {
        let place = || format!("{room} {epoch:016x}:{seq}");
        let Some(said) = self.said.get_mut(&entry.content) else {
            return Err(format!("{} was said by nobody: {entry:?}", place()));
        };
        if (&*said.room, &*said.sender) != (room, &*entry.sender) || said.id != entry.client_id {
            return Err(format!("{} is not what was said: {entry:?} {said:?}", place()));
        }
        if said.is_refused && said.times == 1 && !self.may_lose && !self.is_shared {
            return Err(format!("{} was refused, and is shown: {entry:?}", place()));
        }
        let allowed = if said.id.is_some() && !self.forgets_ids { 1 } else { said.times };
        if !said.at.contains(&(epoch, seq)) {
            said.at.push((epoch, seq));
            let mut numbers: Vec<_> =
                said.at.iter().filter(|(at, _)| *at == epoch).map(|(_, seq)| *seq).collect();
            numbers.dedup();
            if numbers.len() > allowed {
                return Err(format!("{} was said {} times and stands at {:?}", place(), said.times, said.at));
            }
        }
        let (session, number) = said.session;
        // What was said again may be seen for the first time where it stands last.
        if said.times > 1 {
            return Ok(());
        }
        let last = self.order.entry((session, epoch)).or_insert((number, seq));
        if (number < last.0) == (seq > last.1) && number != last.0 {
            return Err(format!("{} comes in another order than it was said in", place()));
        }
        if number > last.0 {
            *last = (number, seq);
        }
        Ok(())
    }

    /// The last number of a log that anybody was shown.
    pub(crate) fn head(&self, room: &str, epoch: u64) -> u64 {
        let log = self.logs.get(room).and_then(|epochs| epochs.get(&epoch));
        log.and_then(|log| log.keys().next_back().copied()).unwrap_or(0)
    }

    pub(crate) fn entry(&self, room: &str, epoch: u64, seq: u64) -> Option<&Entry> {
        self.logs.get(room)?.get(&epoch)?.get(&seq)
    }

    /// What was acknowledged is there.
    pub(crate) fn check_acknowledged(&self, disk: &dyn Logs) -> Result<(), Wrong> {
        if self.may_lose || self.has_retention {
            return Ok(());
        }
        for (content, said) in &self.said {
            let Some(seq) = said.acknowledged.filter(|_| !self.deleted.contains(&said.room)) else {
                continue;
            };
            if self.forgotten.contains(content) {
                continue;
            }
            let Some((_, log)) = disk.log(&said.room) else { continue };
            // The room was deleted meanwhile, and is another one.
            let is_same =
                said.at.iter().any(|(epoch, _)| disk.log(&said.room).is_some_and(|(now, _)| now == *epoch));
            if (is_same || self.is_shared)
                && !log.iter().any(|stored| stored.seq == seq && stored.content == *content)
            {
                return Err(format!("{content} was acknowledged as {seq} of {} and is not there", said.room));
            }
        }
        Ok(())
    }

    /// Everybody who came has gone, and each notice tells how many there are.
    pub(crate) fn check_presence(
        &self,
        room: &str,
        log: &[(String, String, Option<u64>)],
    ) -> Result<(), Wrong> {
        let mut there: BTreeMap<&str, usize> = BTreeMap::new();
        for (index, (kind, user, online)) in log.iter().enumerate() {
            let sessions = there.entry(user).or_default();
            match kind.as_str() {
                "JOIN" => *sessions += 1,
                "LEAVE" if *sessions == 0 => {
                    return Err(format!("{user} leaves {room} without having come (notice {index})"));
                }
                "LEAVE" => *sessions -= 1,
                _ => continue,
            }
            let users = there.values().filter(|sessions| **sessions > 0).count() as u64;
            if online.is_some_and(|online| online != users) {
                return Err(format!(
                    "{room}: {online:?} are told to be there, and {users} are (notice {index})"
                ));
            }
        }
        match there.iter().find(|(_, sessions)| **sessions > 0) {
            Some((user, sessions)) => {
                Err(format!("{user} came to {room} and did not leave ({sessions} times)"))
            }
            None => Ok(()),
        }
    }
}

/// What has to come next.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Next {
    /// This number.
    Exactly(u64),
    /// The first one later than this time; or, if there is none up to this number, the one after it.
    LaterThan(String, u64),
    /// This number or a later one, if those before are kept no longer.
    From(u64),
}

/// Somebody who is shown a room.
#[derive(Clone, Debug)]
pub(crate) struct Follower {
    pub(crate) room: String,
    /// Whether the room keeps no more than its window.
    pub(crate) keeps_little: bool,
    pub(crate) epoch: u64,
    pub(crate) next: Next,
    /// The number of the newest entry that it was shown, or after which it began.
    pub(crate) seq: u64,
    /// The time of that, as far as it is known.
    pub(crate) time: String,
    /// Whether a gap may come although nothing went wrong: a position was asked for that there may not be.
    pub(crate) expects_gap: bool,
    pub(crate) entries: u64,
}

impl Follower {
    /// An entry comes.
    pub(crate) fn take(
        &mut self,
        model: &mut Model,
        disk: &dyn Logs,
        seq: u64,
        entry: &Entry,
    ) -> Result<(), Wrong> {
        let fits = match &self.next {
            Next::Exactly(next) => seq == *next,
            Next::From(first) => {
                seq == *first || ((model.has_retention || self.keeps_little) && seq > *first)
            }
            Next::LaterThan(time, head) => {
                let before = model.entry(&self.room, self.epoch, seq.saturating_sub(1));
                let is_first = before.is_none_or(|before| before.time <= *time);
                seq == head + 1 || (entry.time > *time && is_first && seq <= *head)
            }
        };
        if !fits {
            return Err(format!(
                "{} {:016x}:{seq} comes where {:?} is due",
                self.room, self.epoch, self.next
            ));
        }
        model.show(disk, &self.room, self.epoch, seq, entry)?;
        (self.next, self.seq, self.time) = (Next::Exactly(seq + 1), seq, entry.time.clone());
        (self.expects_gap, self.entries) = (false, self.entries + 1);
        Ok(())
    }

    /// A gap comes.
    pub(crate) fn skip(
        &mut self,
        model: &Model,
        (from, to): (u64, u64),
        epoch: u64,
        may_skip: bool,
    ) -> Result<(), Wrong> {
        // Who has not been shown yet what the engine has forgotten is told so under the epoch that it had.
        let is_gone = model.has_forgotten && epoch == self.epoch && from <= to;
        let is_reasonable = epoch != self.epoch
            || self.expects_gap
            || may_skip
            || model.has_retention
            || model.may_lose
            || is_gone;
        let place = format!("{} {epoch:016x}: a gap from {from} to {to}", self.room);
        if !is_reasonable {
            return Err(format!(
                "{place}, where {:?} of {:016x} was due, for no reason",
                self.next, self.epoch
            ));
        }
        if epoch != self.epoch && from > 1 {
            return Err(format!("{place} does not begin at 1 although the epoch is new"));
        }
        if let Next::Exactly(next) = self.next
            && epoch == self.epoch
            && !self.expects_gap
            && (from != next || to < from)
        {
            return Err(format!("{place} comes where {next} is due"));
        }
        (self.epoch, self.next, self.seq, self.expects_gap) = (epoch, Next::Exactly(to + 1), to, false);
        Ok(())
    }

    /// A frame that is no entry has this time.
    pub(crate) fn check_time(&self, time: &str) -> Result<(), Wrong> {
        let is_known = !self.time.is_empty();
        if is_known && time > &*self.time && self.entries > 0 {
            return Err(format!("a frame of {time} comes after an entry of {}", self.time));
        }
        Ok(())
    }
}

/// Reads an entry from its JSON.
pub(crate) fn entry_of(json: &Value) -> Result<(u64, Entry), Wrong> {
    let text = |name: &str| json[name].as_str().map(str::to_owned);
    let needed = |name: &str| text(name).ok_or_else(|| format!("{name} is missing in {json}"));
    let seq = json["seq"].as_u64().ok_or_else(|| format!("seq is missing in {json}"))?;
    let entry = Entry {
        kind: needed("type")?,
        sender: needed("sender")?,
        content: needed("content")?,
        time: needed("timestamp")?,
        client_id: text("clientId"),
        username: text("username"),
        online: json["online"].as_u64(),
    };
    Ok((seq, entry))
}
