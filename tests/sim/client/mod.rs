//! One client: what it does when it is its turn, and what it makes of what comes.
//!
//! | file | subject |
//! |---|---|
//! | this one | its states, its line |
//! | `speak`, `rest` | what it says; what it asks by REST |
//! | `chat`, `stomp`, `raw`, `feed` | what it is shown, by the door that it came through |

mod chat;
mod feed;
mod raw;
mod rest;
mod speak;
mod stomp;

use std::collections::HashMap;
use std::time::Duration;

use foghorn::simulation::{Line, Node, Received};
use serde_json::Value;

use crate::model::{Entry, Follower, Logs, Model, Next, Wrong, entry_of};
use crate::plan::{ClientPlan, Command, Door, Fault, From, Plan, ROOMS, USERS};
use crate::story::Story;
use crate::wire::{Frame, Head, masked, take_body, take_chunks, take_frame, take_head};

/// Times that a client comes back by itself.
const RETURNS_MAX: usize = 6;
/// How long a poll waits, with some time to spare.
const POLL_WAIT: Duration = Duration::from_secs(6);
/// Codes after which a client does not come back.
const FINAL_CODES: [u16; 6] = [1000, 1002, 1003, 1007, 1008, 4001];

/// What a client touches.
pub(crate) struct Around<'a> {
    pub(crate) node: &'a mut Node,
    pub(crate) disk: &'a dyn Logs,
    pub(crate) model: &'a mut Model,
    pub(crate) story: &'a mut Story,
    pub(crate) plan: &'a Plan,
    pub(crate) elapsed: Duration,
    pub(crate) bans: &'a mut Bans,
    /// Everything that anybody has received, in one number.
    pub(crate) trace: &'a mut u64,
}

/// From when until when somebody is surely banned, by room and user.
pub(crate) type Bans = HashMap<(usize, usize), (Duration, Duration)>;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum State {
    Away,
    /// It has asked to be let in.
    Asked,
    Inside,
    /// It waits for the end of its line.
    Leaving,
}

/// What a position was when it was noted.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Position {
    epoch: u64,
    seq: u64,
    time: String,
}

#[derive(Debug)]
pub(crate) struct Client {
    pub(crate) number: usize,
    pub(crate) plan: ClientPlan,
    next: usize,
    /// Whether there are several nodes, of which one may be behind another.
    pub(crate) is_shared: bool,
    pub(crate) line: Option<Line>,
    out: Vec<u8>,
    input: Vec<u8>,
    /// The body of a stream, without its chunks.
    body: Vec<u8>,
    pub(crate) state: State,
    pub(crate) reads: bool,
    has_vanished: bool,
    head: Option<Head>,
    deflates: bool,
    start: From,
    asked_at: Duration,
    pub(crate) follower: Option<Follower>,
    position: Option<Position>,
    returns: usize,
    wants_back: bool,
    said: usize,
    sessions: usize,
    /// Contents by their ids; and the last of them.
    by_id: HashMap<String, String>,
    last: Option<(usize, String, String)>,
    /// The request that is under way.
    request: Option<Command>,
    /// What it has said in this session and not seen since.
    unseen: Vec<String>,
    pub(crate) was_told_error: bool,
    pub(crate) pongs_due: usize,
    is_final: bool,
}

impl Client {
    pub(crate) fn new(number: usize, plan: ClientPlan) -> Client {
        Client {
            number,
            plan,
            next: 0,
            is_shared: false,
            line: None,
            out: Vec::new(),
            input: Vec::new(),
            body: Vec::new(),
            state: State::Away,
            reads: true,
            has_vanished: false,
            head: None,
            deflates: false,
            start: From::Live,
            asked_at: Duration::ZERO,
            follower: None,
            position: None,
            returns: 0,
            wants_back: false,
            said: 0,
            sessions: 0,
            by_id: HashMap::new(),
            last: None,
            request: None,
            unseen: Vec::new(),
            was_told_error: false,
            pongs_due: 0,
            is_final: false,
        }
    }

    fn user(&self) -> &'static str {
        USERS[self.plan.user]
    }

    fn room(&self) -> &'static str {
        ROOMS[self.plan.room]
    }

    /// What the room is called among those that are followed: a relay is another one than the chat of its name.
    fn followed(&self) -> String {
        if self.plan.door == Door::Raw { format!("relay {}", self.room()) } else { self.room().to_owned() }
    }

    fn name(&self) -> String {
        format!("{} ({:?} {})", self.user(), self.plan.door, self.number)
    }

    /// From now on it does nothing new, and reads what comes.
    pub(crate) fn settle(&mut self) {
        self.next = self.plan.commands.len();
        self.reads = true;
        if self.has_vanished {
            self.has_vanished = false;
            if let Some(line) = self.line.take() {
                line.reset();
            }
            self.lose();
        }
    }

    pub(crate) fn stop_coming_back(&mut self) {
        self.is_final = true;
        self.wants_back = false;
    }

    /// Reads and says nothing any more. A stream whose reader takes nothing is not noticed before its line is full: it is
    /// closed.
    pub(crate) fn fall_silent(&mut self) {
        self.reads = false;
        if self.plan.door == Door::Sse {
            self.line.take().iter().for_each(Line::close);
        }
    }

    /// Whether there is something that it can do.
    pub(crate) fn may_act(&self) -> bool {
        if self.has_vanished {
            return false;
        }
        if self.line.is_some() && !self.out.is_empty() {
            return true;
        }
        if self.wants_back && self.line.is_none() {
            return true;
        }
        let Some(command) = self.plan.commands.get(self.next) else { return false };
        match self.state {
            State::Away => true,
            State::Inside => self.request.is_none() || self.plan.door != Door::Rest,
            State::Asked => matches!(command, Command::Close | Command::Cut | Command::Vanish),
            State::Leaving => false,
        }
    }

    /// Whether it will do something more, now or when it has been answered.
    pub(crate) fn has_more(&self) -> bool {
        let waits = self.line.is_some() && self.next < self.plan.commands.len();
        !self.has_vanished && (waits || self.may_act())
    }

    /// Does the next thing; false if there is nothing that can be done now.
    pub(crate) fn act(&mut self, around: &mut Around<'_>) -> bool {
        let next = self.plan.commands.get(self.next).copied();
        if let Some(line) = self.line.as_ref().filter(|_| !self.out.is_empty()) {
            let sent = line.send(&self.out);
            self.out.drain(..sent);
            // Whoever cannot go on speaking can go, or listen.
            let may_go_on = next.is_some_and(|next| {
                matches!(next, Command::Close | Command::Cut | Command::Vanish | Command::ReadOn)
            });
            if sent > 0 || !may_go_on {
                return sent > 0;
            }
        }
        if self.wants_back && self.line.is_none() {
            self.wants_back = false;
            self.come(From::Position, around);
            return true;
        }
        let Some(command) = next else { return false };
        self.next += 1;
        self.do_next(command, around);
        true
    }

    fn do_next(&mut self, command: Command, around: &mut Around<'_>) {
        if self.plan.door == Door::Rest {
            return self.ask(command, around);
        }
        if let Command::Come(from) = command {
            if self.state == State::Away {
                self.come(from, around);
            }
            return;
        }
        if self.line.is_some() {
            self.obey(command, around);
        }
    }

    fn obey(&mut self, command: Command, around: &mut Around<'_>) {
        let name = self.name();
        match command {
            Command::Say { bytes, with_id } => self.say(bytes, with_id, around),
            Command::Flood(count) => (0..count).for_each(|_| self.say(0, false, around)),
            Command::Repeat => self.repeat(around),
            Command::Ping if self.has_frames() => {
                self.pongs_due += 1;
                self.send(&masked(9, b"p"));
            }
            Command::Nonsense(kind) => {
                around.story.tell(|| format!("{name} sends nonsense ({kind})"));
                self.nonsense(kind);
            }
            Command::StopReading => {
                around.story.tell(|| format!("{name} stops reading"));
                self.reads = false;
            }
            Command::ReadOn => self.reads = true,
            Command::Leave if self.has_frames() => {
                around.story.tell(|| format!("{name} says good-bye"));
                self.send(&masked(8, &1000_u16.to_be_bytes()));
                (self.state, self.reads, self.is_final) = (State::Leaving, true, true);
            }
            Command::Finish => {
                around.story.tell(|| format!("{name} says that nothing more comes"));
                self.line.iter().for_each(Line::finish);
                (self.state, self.reads) = (State::Leaving, true);
            }
            Command::Leave | Command::Close => {
                around.story.tell(|| format!("{name} closes its socket"));
                self.line.take().iter().for_each(Line::close);
                self.lose();
            }
            Command::Cut => {
                around.story.tell(|| format!("{name} is cut off"));
                self.line.take().iter().for_each(Line::reset);
                self.lose();
            }
            Command::Vanish => {
                around.story.tell(|| format!("{name} vanishes"));
                self.has_vanished = true;
            }
            _ => {}
        }
    }

    fn has_frames(&self) -> bool {
        self.state == State::Inside && matches!(self.plan.door, Door::Chat | Door::Raw | Door::Stomp)
    }

    fn send(&mut self, bytes: &[u8]) {
        self.out.extend_from_slice(bytes);
        if let Some(line) = &self.line {
            let sent = line.send(&self.out);
            self.out.drain(..sent);
        }
    }

    /// The line is gone.
    fn lose(&mut self) {
        self.remember();
        self.line = None;
        (self.state, self.reads) = (State::Away, true);
        self.out.clear();
        self.input.clear();
        self.body.clear();
        self.unseen.clear();
        (self.head, self.request, self.follower) = (None, None, None);
        (self.pongs_due, self.was_told_error) = (0, false);
        if self.plan.comes_back
            && !self.is_final
            && self.returns < RETURNS_MAX
            && self.plan.door != Door::Rest
        {
            (self.returns, self.wants_back) = (self.returns + 1, true);
        }
    }

    fn remember(&mut self) {
        if let Some(Follower { epoch, seq, time, next: Next::Exactly(_), .. }) = &self.follower {
            self.position = Some(Position { epoch: *epoch, seq: *seq, time: time.clone() });
        }
    }

    /// Whether there may be something to read.
    pub(crate) fn may_receive(&self) -> bool {
        self.reads && !self.has_vanished && self.line.is_some()
    }

    /// Reads; false if nothing came.
    pub(crate) fn receive(&mut self, max: usize, around: &mut Around<'_>) -> Result<bool, Wrong> {
        let Some(line) = &self.line else { return Ok(false) };
        let name = self.name();
        match line.receive(max) {
            Received::Nothing => return Ok(false),
            Received::Bytes(bytes) => {
                for byte in &bytes {
                    *around.trace = (*around.trace ^ u64::from(*byte)).wrapping_mul(0x0100_0000_01b3);
                }
                self.input.extend(bytes);
                self.read(around).map_err(|wrong| format!("{name}: {wrong}"))?;
            }
            ended @ (Received::End | Received::Reset) => {
                around.story.tell(|| format!("{name} is told of the end of its line ({ended:?})"));
                self.lose();
            }
        }
        Ok(true)
    }

    fn read(&mut self, around: &mut Around<'_>) -> Result<(), Wrong> {
        loop {
            if self.head.is_none() {
                let Some(head) = take_head(&mut self.input)? else { return Ok(()) };
                self.on_head(&head, around)?;
                self.head = Some(head);
            }
            let goes_on = match self.plan.door {
                Door::Chat | Door::Raw | Door::Stomp
                    if self.head.as_ref().is_some_and(|head| head.status == 101) =>
                {
                    match take_frame(&mut self.input, self.deflates)? {
                        Some(frame) => {
                            self.on_frame(frame, around)?;
                            true
                        }
                        None => false,
                    }
                }
                Door::Sse if self.head.as_ref().is_some_and(|head| head.status == 200) => {
                    self.read_stream(around)?;
                    false
                }
                _ => self.read_response(around)?,
            };
            if !goes_on || self.line.is_none() {
                return Ok(());
            }
        }
    }

    fn on_head(&mut self, head: &Head, around: &mut Around<'_>) -> Result<(), Wrong> {
        let name = self.name();
        match (self.plan.door, head.status) {
            (Door::Chat | Door::Raw | Door::Stomp, 101) => {
                self.deflates = head.field("Sec-WebSocket-Extensions").is_some();
                if self.deflates && !self.plan.deflate {
                    return Err("compression was not asked for".into());
                }
                match (self.plan.door, self.state) {
                    (Door::Stomp, State::Asked) => {
                        let user = self.user();
                        let connect = format!("CONNECT\naccept-version:1.2\nhost:h\nlogin:{user}\n\n\0");
                        self.send(&masked(1, connect.as_bytes()));
                    }
                    (_, State::Asked) => self.state = State::Inside,
                    (_, State::Away | State::Inside | State::Leaving) => {}
                }
            }
            (_, 400..=500) if !matches!(head.status, 403 | 404 | 408 | 409 | 422 | 429) => {
                return Err(format!("the answer is {}", head.status));
            }
            (_, status) => around.story.tell(|| format!("{name} is answered {status}")),
        }
        Ok(())
    }

    fn on_frame(&mut self, frame: Frame, around: &mut Around<'_>) -> Result<(), Wrong> {
        let name = self.name();
        match frame {
            Frame::Ping(payload) => {
                if self.state == State::Inside {
                    self.send(&masked(10, &payload));
                }
                Ok(())
            }
            Frame::Pong(_) => {
                self.pongs_due = 0;
                Ok(())
            }
            Frame::Close(code, reason) => {
                around.story.tell(|| format!("{name} is told good-bye: {code} {reason}"));
                let is_odd = matches!(code, 1002 | 1003 | 1007 | 1009 | 1011);
                if is_odd && !self.was_told_error {
                    return Err(format!("closed with {code} {reason}"));
                }
                if self.state == State::Inside || self.state == State::Asked {
                    self.send(&masked(8, &1000_u16.to_be_bytes()));
                }
                self.state = State::Leaving;
                self.is_final |= FINAL_CODES.contains(&code);
                Ok(())
            }
            Frame::Text(text) if text == "HEARTBEAT" => Ok(()),
            Frame::Text(text) if self.plan.door == Door::Chat => {
                let json: Value = serde_json::from_str(&text).map_err(|error| format!("{error}: {text}"))?;
                self.on_chat(&json, around)
            }
            Frame::Text(text) if self.plan.door == Door::Stomp => self.on_stomp(&text, around),
            Frame::Binary(bytes) if self.plan.door == Door::Raw => self.on_raw(&bytes, around),
            Frame::Text(_) | Frame::Binary(_) => Err("a message of a kind that was not agreed on".into()),
        }
    }

    /// What it knows of the room that it is in.
    pub(crate) fn member(&self) -> Option<&Follower> {
        self.follower.as_ref().filter(|_| self.state == State::Inside && self.plan.door == Door::Chat)
    }

    /// At the end, when everybody has had time: what should have come to it by now and has not.
    pub(crate) fn check_served(&self, model: &Model, elapsed: Duration) -> Result<(), Wrong> {
        let name = self.name();
        match self.state {
            State::Inside if matches!(self.plan.door, Door::Chat | Door::Raw) => {}
            State::Inside if self.plan.door == Door::Stomp && self.follower.is_some() => {}
            // A poll waits.
            State::Asked if self.plan.door == Door::Poll && elapsed < self.asked_at + POLL_WAIT => {
                return Ok(());
            }
            State::Asked => return Err(format!("{name} is not answered")),
            State::Leaving if self.line.is_some() => {
                return Err(format!("{name} waits for the end of its line"));
            }
            State::Inside if self.plan.door == Door::Rest && self.request.is_some() => {
                return Err(format!("{name} is not answered: {:?}", self.request));
            }
            State::Inside | State::Away | State::Leaving => return Ok(()),
        }
        let Some(follower) = &self.follower else { return Err(format!("{name} is not welcomed")) };
        let head = model.head(&follower.room, follower.epoch);
        if follower.seq < head {
            return Err(format!("{name} has come to {} of {} in {}", follower.seq, head, follower.room));
        }
        if let Some(content) = self.unseen.first()
            && !self.was_told_error
        {
            return Err(format!("{name} hears nothing of {}", short(content)));
        }
        if self.pongs_due > 0 {
            return Err(format!("{name} hears nothing of its ping"));
        }
        Ok(())
    }
}

fn position_of(text: &str) -> Option<(u64, u64)> {
    let (epoch, seq) = text.split_once(':')?;
    Some((u64::from_str_radix(epoch, 16).ok()?, seq.parse().ok()?))
}

fn short(content: &str) -> String {
    if content.len() > 24 {
        format!("{}… ({} bytes)", &content[..20], content.len())
    } else {
        content.to_owned()
    }
}
