//! One client: what it does when it is its turn, and what it makes of what comes.

use std::collections::HashMap;
use std::time::Duration;

use foghorn::simulation::{Disk, Line, Node, Received};
use serde_json::Value;

use crate::model::{Entry, Follower, Model, Next, Wrong, entry_of};
use crate::plan::{ClientPlan, Command, Door, From, Plan, ROOMS, USERS};
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
    pub(crate) disk: &'a Disk,
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

    fn come(&mut self, from: From, around: &mut Around<'_>) {
        let from = match (from, &self.position) {
            (From::Position, None) => From::Live,
            // Its messages have no times.
            (From::Time, _) if self.plan.door == Door::Raw => From::Live,
            (From::Time, position) if position.as_ref().is_none_or(|position| position.time.is_empty()) => {
                From::Live
            }
            (from, _) => from,
        };
        let name = self.name();
        around.story.tell(|| format!("{name} comes to {} from {from:?} {:?}", self.room(), self.position));
        self.line = around.node.connect(self.plan.line_bytes);
        if self.line.is_none() {
            return;
        }
        (self.start, self.state, self.is_final, self.asked_at) = (from, State::Asked, false, around.elapsed);
        self.sessions += 1;
        let query = self.query(from);
        let (room, user) = (self.room(), self.user());
        let upgrade = |target: String, more: &str| {
            format!(
                "GET {target} HTTP/1.1\r\nHost: localhost\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\
                 Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n{more}\r\n"
            )
        };
        let deflate = if self.plan.deflate { "Sec-WebSocket-Extensions: permessage-deflate\r\n" } else { "" };
        let request = match self.plan.door {
            Door::Chat => upgrade(format!("/ws/chat?roomId={room}&username={user}&hello=1{query}"), deflate),
            Door::Raw => {
                let more = format!("Sec-WebSocket-Protocol: foghorn.raw\r\n{deflate}");
                upgrade(format!("/ws/raw?roomId={room}{query}"), &more)
            }
            Door::Stomp => upgrade("/ws/stomp".to_owned(), "Sec-WebSocket-Protocol: v12.stomp\r\n"),
            Door::Sse => {
                format!("GET /sse/rooms/{room}?username={user}{query} HTTP/1.1\r\nHost: localhost\r\n\r\n")
            }
            Door::Poll => self.poll_request(&query),
            Door::Rest => String::new(),
        };
        self.send(request.as_bytes());
    }

    fn poll_request(&self, query: &str) -> String {
        let (room, user) = (self.room(), self.user());
        format!("GET /poll/rooms/{room}?username={user}&wait=5{query} HTTP/1.1\r\nHost: localhost\r\n\r\n")
    }

    fn query(&self, from: From) -> String {
        match (from, &self.position) {
            (From::Seq(seq), _) => format!("&sinceSeq={seq}"),
            (From::Last(count), _) => format!("&history={count}"),
            (From::Position, Some(Position { epoch, seq, .. })) => {
                format!("&sinceSeq={seq}&epoch={epoch:016x}")
            }
            (From::Time, Some(position)) => format!("&since={}", position.time),
            (From::Live | From::Position | From::Time, _) => String::new(),
        }
    }

    fn say(&mut self, bytes: usize, with_id: bool, around: &mut Around<'_>) {
        if self.state != State::Inside {
            return;
        }
        self.said += 1;
        let content = format!("{}-{}-{}", self.number, self.said, "x".repeat(bytes));
        let id = with_id.then(|| format!("id-{}-{}", self.number, self.said));
        if let Some(id) = &id {
            self.by_id.insert(id.clone(), content.clone());
            self.last = Some((self.plan.room, id.clone(), content.clone()));
        }
        self.publish(&content, id.as_deref(), around);
    }

    fn repeat(&mut self, around: &mut Around<'_>) {
        if let (Some((_, id, content)), State::Inside) = (self.last.clone(), self.state) {
            self.publish(&content, Some(&id), around);
        }
    }

    fn publish(&mut self, content: &str, id: Option<&str>, around: &mut Around<'_>) {
        let name = self.name();
        let frame = match self.plan.door {
            Door::Chat => {
                let mut message = serde_json::json!({ "content": content });
                if let Some(id) = id {
                    message["id"] = id.into();
                }
                masked(1, message.to_string().as_bytes())
            }
            Door::Raw => masked(1, content.as_bytes()),
            Door::Stomp => {
                let id = id.map_or(String::new(), |id| format!("id:{id}\n"));
                let send =
                    format!("SEND\ndestination:/topic/{}\nreceipt:{content}\n{id}\n{content}\0", self.room());
                masked(1, send.as_bytes())
            }
            Door::Sse | Door::Poll | Door::Rest => return,
        };
        let id = id.filter(|_| self.plan.door != Door::Raw);
        around.story.tell(|| format!("{name} says {}", short(content)));
        let session = self.session();
        around.model.say(&self.followed(), self.user(), content, id, session);
        if !self.unseen.iter().any(|unseen| unseen == content) {
            self.unseen.push(content.to_owned());
        }
        self.send(&frame);
    }

    /// Names the session, and what is said in it.
    fn session(&self) -> (usize, usize) {
        (self.number * 1000 + self.sessions, self.said)
    }

    fn nonsense(&mut self, kind: u8) {
        if !self.has_frames() {
            return;
        }
        // A relay passes on whatever is a message.
        let kind = if self.plan.door == Door::Raw { 3 + kind % 4 } else { kind };
        let frame = match kind % 8 {
            0 => masked(1, b"{"),
            1 => masked(1, b"{\"content\":1,\"id\":\"x\"}"),
            2 => masked(2, b"binary"),
            3 => masked(3, b"reserved"),
            4 => masked(1, &[0xff, 0xfe]),
            5 => {
                // Compressed nonsense.
                let mut frame = masked(1, &[kind, 0x55, 0xaa, kind, 0, 1, 2, 3]);
                frame[0] |= 0x40;
                frame
            }
            6 => vec![0x81, 0x05, 1, 2, 3, 4, 5],
            _ => masked(1, b"HEARTBEAT"),
        };
        // From here on anything may end it.
        self.was_told_error = true;
        self.send(&frame);
    }

    // What comes.

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
            (_, 400..=499 | 500) if !matches!(head.status, 403 | 404 | 408 | 409 | 422 | 429) => {
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

    fn on_chat(&mut self, json: &Value, around: &mut Around<'_>) -> Result<(), Wrong> {
        let kind = json["type"].as_str().unwrap_or_default();
        if let (Some(time), Some(follower)) = (json["timestamp"].as_str(), &self.follower)
            && matches!(kind, "WELCOME" | "GAP" | "ERROR" | "ACK")
        {
            follower.check_time(time)?;
        }
        match kind {
            "WELCOME" => self.on_welcome(json, around),
            "GAP" => self.on_gap(json, around),
            "ERROR" => {
                let content = json["clientId"].as_str().and_then(|id| self.by_id.get(id)).cloned();
                let name = self.name();
                around.story.tell(|| format!("{name} is told of an error: {}", json["code"]));
                self.was_told_error = true;
                match content {
                    Some(content) => {
                        around.model.refuse(&content);
                        self.unseen.retain(|unseen| *unseen != content);
                    }
                    // It may be of any of those without an id.
                    None => self.unseen.clear(),
                }
                if json["code"] == "id_reused" {
                    return Err(format!("an id was taken for another's: {json}"));
                }
                Ok(())
            }
            "ACK" => {
                let content = json["clientId"].as_str().and_then(|id| self.by_id.get(id)).cloned();
                let content = content.ok_or_else(|| format!("an id that was not given: {json}"))?;
                let seq = json["seq"].as_u64().ok_or_else(|| format!("without a number: {json}"))?;
                self.unseen.retain(|unseen| *unseen != content);
                around.model.acknowledge(&content, seq)
            }
            _ => {
                let (seq, entry) = entry_of(json)?;
                self.unseen.retain(|unseen| *unseen != entry.content);
                let name = self.name();
                around
                    .story
                    .tell(|| format!("{name} is shown {seq}: {} {}", entry.kind, short(&entry.content)));
                let follower = self.follower.as_mut().ok_or("an entry comes before the WELCOME")?;
                if json["roomId"] != follower.room.as_str() {
                    return Err(format!("an entry of another room: {json}"));
                }
                follower.take(around.model, around.disk, seq, &entry)
            }
        }
    }

    /// A frame of STOMP 1.2.
    fn on_stomp(&mut self, text: &str, around: &mut Around<'_>) -> Result<(), Wrong> {
        let name = self.name();
        let (head, body) = text.split_once("\n\n").ok_or_else(|| format!("this is no frame: {text}"))?;
        let body = body.strip_suffix('\0').ok_or_else(|| format!("this frame does not end: {text}"))?;
        let mut lines = head.lines();
        let command = lines.next().unwrap_or_default();
        let headers: HashMap<&str, &str> = lines.filter_map(|line| line.split_once(':')).collect();
        match command {
            "CONNECTED" => {
                self.subscribe();
                Ok(())
            }
            "RECEIPT" => {
                let id = headers.get("receipt-id").copied().unwrap_or_default();
                self.unseen.retain(|content| *content != id);
                Ok(())
            }
            "ERROR" => {
                around.story.tell(|| format!("{name} is told of an error: {:?}", headers.get("message")));
                self.was_told_error = true;
                self.unseen.clear();
                Ok(())
            }
            "MESSAGE" => self.on_stomp_message(&headers, body, around),
            _ => Err(format!("an unknown frame: {head}")),
        }
    }

    fn subscribe(&mut self) {
        let mut subscribe = format!("SUBSCRIBE\nid:0\nreceipt:s\ndestination:/topic/{}\n", self.room());
        match (self.start, &self.position) {
            (From::Seq(seq), _) => subscribe += &format!("since-seq:{seq}\n"),
            (From::Position, Some(Position { epoch, seq, .. })) => {
                subscribe += &format!("since-seq:{seq}\nepoch:{epoch:016x}\n");
            }
            _ => self.start = From::Live,
        }
        if self.state == State::Asked {
            self.state = State::Inside;
        }
        self.send(&masked(1, format!("{subscribe}\n\0").as_bytes()));
    }

    fn on_stomp_message(
        &mut self,
        headers: &HashMap<&str, &str>,
        body: &str,
        around: &mut Around<'_>,
    ) -> Result<(), Wrong> {
        let text = |name: &str| headers.get(name).map(|value| value.replace("\\c", ":"));
        let number = |name: &str| headers.get(name).and_then(|value| value.parse::<u64>().ok());
        let epoch = headers.get("epoch").and_then(|epoch| u64::from_str_radix(epoch, 16).ok());
        let epoch = epoch.ok_or_else(|| format!("without an epoch: {headers:?}"))?;
        if headers.get("type") == Some(&"GAP") {
            let gap =
                number("from").zip(number("to")).ok_or_else(|| format!("a GAP without: {headers:?}"))?;
            return self.skip_in_feed(gap, epoch, around);
        }
        let seq = number("seq").ok_or_else(|| format!("without a number: {headers:?}"))?;
        let entry = Entry {
            kind: text("type").unwrap_or_default(),
            sender: text("sender").unwrap_or_default(),
            content: body.to_owned(),
            time: text("timestamp").unwrap_or_default(),
            client_id: text("client-id"),
            username: text("username"),
            online: number("online"),
        };
        self.take_in_feed(epoch, seq, &entry, around)
    }

    /// A message of `foghorn.raw`.
    fn on_raw(&mut self, bytes: &[u8], around: &mut Around<'_>) -> Result<(), Wrong> {
        let header = bytes.first_chunk::<20>().ok_or("a message without a header")?;
        let number = |at: usize| u64::from_be_bytes(header[at..at + 8].try_into().unwrap());
        let (epoch, seq, rest) = (number(4), number(12), &bytes[20..]);
        let name = self.name();
        match header[0] {
            1 => {
                let content = String::from_utf8(rest.to_vec()).map_err(|_| "a text is not UTF-8")?;
                let sender = around.model.sender_of(&content).unwrap_or_default().to_owned();
                let (kind, time) = ("MESSAGE".to_owned(), format!("{seq:020}"));
                let entry =
                    Entry { kind, sender, content, time, client_id: None, username: None, online: None };
                self.take_in_feed(epoch, seq, &entry, around)
            }
            2 => {
                let from = rest.first_chunk().map(|from| u64::from_be_bytes(*from));
                self.skip_in_feed((from.ok_or("a gap without")?, seq), epoch, around)
            }
            3 => {
                around.story.tell(|| format!("{name} is welcome in {epoch:016x}, which stands at {seq}"));
                self.follower = Some(self.follower_from(epoch, seq)?);
                Ok(())
            }
            _ => {
                self.was_told_error = true;
                self.unseen.clear();
                Ok(())
            }
        }
    }

    fn take_in_feed(
        &mut self,
        epoch: u64,
        seq: u64,
        entry: &Entry,
        around: &mut Around<'_>,
    ) -> Result<(), Wrong> {
        let name = self.name();
        self.unseen.retain(|unseen| *unseen != entry.content);
        around.story.tell(|| format!("{name} is shown {seq}: {} {}", entry.kind, short(&entry.content)));
        if self.follower.is_none() {
            self.follower = Some(self.first_of_feed(epoch, seq)?);
        }
        let Some(follower) = &mut self.follower else { return Ok(()) };
        if follower.epoch != epoch && follower.entries > 0 {
            return Err(format!("{seq} of {epoch:016x} comes without a gap"));
        }
        follower.epoch = epoch;
        follower.take(around.model, around.disk, seq, entry)
    }

    fn on_welcome(&mut self, json: &Value, around: &mut Around<'_>) -> Result<(), Wrong> {
        let epoch = json["epoch"].as_str().and_then(|epoch| u64::from_str_radix(epoch, 16).ok());
        let (epoch, head) =
            epoch.zip(json["seq"].as_u64()).ok_or_else(|| format!("a WELCOME without: {json}"))?;
        if self.follower.is_some() {
            return Err("a second WELCOME".into());
        }
        if let Some((from, until)) = around.bans.get(&(self.plan.room, self.plan.user))
            && self.asked_at > *from
            && around.elapsed < *until
        {
            return Err(format!("{} is let into {} while banned", self.user(), self.room()));
        }
        self.follower = Some(self.follower_from(epoch, head)?);
        let name = self.name();
        around
            .story
            .tell(|| format!("{name} is welcome in {} {epoch:016x}, which stands at {head}", self.room()));
        Ok(())
    }

    /// What comes after the beginning that was asked for, in a log that stands at `head`.
    fn follower_from(&self, epoch: u64, head: u64) -> Result<Follower, Wrong> {
        let mut follower = Follower {
            room: self.followed(),
            keeps_little: self.plan.door == Door::Raw,
            epoch,
            next: Next::Exactly(head + 1),
            seq: head,
            time: String::new(),
            expects_gap: false,
            entries: 0,
        };
        match (self.start, &self.position) {
            (From::Live, _) => {}
            (From::Seq(seq), _) if seq <= head => {
                (follower.next, follower.seq) = (Next::Exactly(seq + 1), seq)
            }
            (From::Seq(_), _) => follower.expects_gap = true,
            (From::Last(count), _) => {
                let seq = head.saturating_sub(count);
                (follower.next, follower.seq) = (Next::From(seq + 1), seq);
            }
            (From::Position, Some(position)) if position.epoch == epoch => {
                if position.seq > head {
                    return Err(format!(
                        "{} has forgotten what comes after {head}, under the same epoch",
                        self.room()
                    ));
                }
                (follower.next, follower.seq) = (Next::Exactly(position.seq + 1), position.seq);
                follower.time.clone_from(&position.time);
            }
            (From::Time, Some(position)) => {
                follower.next = Next::LaterThan(position.time.clone());
                follower.time.clone_from(&position.time);
            }
            (From::Position | From::Time, _) => follower.expects_gap = true,
        }
        Ok(follower)
    }

    fn on_gap(&mut self, json: &Value, around: &mut Around<'_>) -> Result<(), Wrong> {
        let epoch = json["epoch"].as_str().and_then(|epoch| u64::from_str_radix(epoch, 16).ok());
        let gap = json["from"].as_u64().zip(json["to"].as_u64());
        let (epoch, gap) = epoch.zip(gap).ok_or_else(|| format!("a GAP without: {json}"))?;
        let name = self.name();
        around.story.tell(|| format!("{name} is told of a gap {gap:?} in {epoch:016x}"));
        let may_skip = around.plan.on_lag == "gap" || matches!(self.start, From::Time);
        // What it said itself may be among what is missing.
        self.unseen.clear();
        let follower = self.follower.as_mut().ok_or("a GAP comes before the WELCOME")?;
        follower.skip(around.model, gap, epoch, may_skip)
    }

    fn read_stream(&mut self, around: &mut Around<'_>) -> Result<(), Wrong> {
        self.state = if self.state == State::Asked { State::Inside } else { self.state };
        let is_chunked = self.head.as_ref().is_some_and(|head| head.field("Transfer-Encoding").is_some());
        if is_chunked {
            take_chunks(&mut self.input, &mut self.body)?;
        } else {
            self.body.append(&mut self.input);
        }
        while let Some(end) = self.body.windows(2).position(|bytes| bytes == b"\n\n") {
            let event: Vec<u8> = self.body.drain(..end + 2).collect();
            let event = String::from_utf8(event).map_err(|_| "an event is not text")?;
            self.on_event(&event, around)?;
        }
        Ok(())
    }

    fn on_event(&mut self, event: &str, around: &mut Around<'_>) -> Result<(), Wrong> {
        let field = |name: &str| event.lines().find_map(|line| line.strip_prefix(name));
        let position = field("id: ")
            .map(|id| position_of(id).ok_or_else(|| format!("no position: {id}")))
            .transpose()?;
        let data: Option<Value> = field("data: ")
            .map(|data| serde_json::from_str(data).map_err(|error| format!("{error}: {data}")))
            .transpose()?;
        match (position, data) {
            (Some((epoch, seq)), None) => {
                let mut follower = self.follower_from(epoch, seq)?;
                match (self.start, &self.position) {
                    // It says from where it goes on.
                    (From::Live | From::Last(_) | From::Seq(_) | From::Time, _) => {
                        (follower.next, follower.seq) = (Next::Exactly(seq + 1), seq);
                        follower.expects_gap = true;
                    }
                    (From::Position, _) => {}
                }
                self.follower = Some(follower);
                Ok(())
            }
            (Some((epoch, _)), Some(json)) if json["type"] == "GAP" => {
                self.on_gap_of_feed(&json, epoch, around)
            }
            (Some((epoch, seq)), Some(json)) => {
                let (number, entry) = entry_of(&json)?;
                if number != seq {
                    return Err(format!("{seq} is the id of {json}"));
                }
                self.take_in_feed(epoch, seq, &entry, around)
            }
            (None, _) => Ok(()),
        }
    }

    /// The beginning of a feed that does not say where it is.
    fn first_of_feed(&self, epoch: u64, seq: u64) -> Result<Follower, Wrong> {
        let mut follower = self.follower_from(
            epoch,
            seq.saturating_sub(1).max(match &self.position {
                Some(position) if self.start == From::Position && position.epoch == epoch => position.seq,
                _ => 0,
            }),
        )?;
        if matches!(self.start, From::Live | From::Last(_) | From::Seq(_)) || follower.expects_gap {
            (follower.next, follower.seq) = (Next::Exactly(seq), seq.saturating_sub(1));
        }
        Ok(follower)
    }

    fn on_gap_of_feed(&mut self, json: &Value, epoch: u64, around: &mut Around<'_>) -> Result<(), Wrong> {
        let gap =
            json["from"].as_u64().zip(json["to"].as_u64()).ok_or_else(|| format!("a GAP without: {json}"))?;
        self.skip_in_feed(gap, epoch, around)
    }

    fn skip_in_feed(&mut self, gap: (u64, u64), epoch: u64, around: &mut Around<'_>) -> Result<(), Wrong> {
        let name = self.name();
        // What it said itself may be among what is missing.
        self.unseen.clear();
        around.story.tell(|| format!("{name} is told of a gap {gap:?} in {epoch:016x}"));
        // A relay keeps no more than its window.
        let may_skip = around.plan.on_lag == "gap" || self.plan.door == Door::Raw;
        if self.follower.is_none() {
            let mut start = self.first_of_feed(epoch, gap.0)?;
            start.expects_gap = true;
            self.follower = Some(start);
        }
        match &mut self.follower {
            Some(follower) => follower.skip(around.model, gap, epoch, may_skip),
            None => Ok(()),
        }
    }

    // Requests.

    fn ask(&mut self, command: Command, around: &mut Around<'_>) {
        if self.line.is_none() {
            self.line = around.node.connect(self.plan.line_bytes);
            self.state = State::Inside;
            if self.line.is_none() {
                return;
            }
        }
        let command = match (command, self.last.clone()) {
            (Command::Repeat, Some((room, id, content))) => {
                return self.post(room, &content, Some(&id), around);
            }
            (command, _) => command,
        };
        let room = |room: usize| ROOMS[room];
        let request = match command {
            Command::Post { room, bytes, with_id } => {
                self.said += 1;
                let content = format!("{}-{}-{}", self.number, self.said, "x".repeat(bytes));
                let id = with_id.then(|| format!("id-{}-{}", self.number, self.said));
                if let Some(id) = &id {
                    self.last = Some((room, id.clone(), content.clone()));
                }
                return self.post(room, &content, id.as_deref(), around);
            }
            Command::Create(_) => {
                let body = "{\"name\":\"n\",\"description\":\"d\",\"createdBy\":\"ann\"}";
                format!(
                    "POST /api/chat/rooms HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n\
                     Content-Length: {}\r\n\r\n{body}",
                    body.len()
                )
            }
            Command::Delete(at) => {
                around.model.delete(room(at));
                format!("DELETE /api/chat/rooms/{} HTTP/1.1\r\nHost: localhost\r\n\r\n", room(at))
            }
            Command::History { room: at, after } => {
                let query = after.map_or(String::new(), |after| format!("&after={after}"));
                format!(
                    "GET /api/chat/rooms/{}/messages?limit=7{query} HTTP/1.1\r\nHost: localhost\r\n\r\n",
                    room(at)
                )
            }
            Command::Online(at) => {
                format!("GET /api/chat/rooms/{}/online HTTP/1.1\r\nHost: localhost\r\n\r\n", room(at))
            }
            Command::Kick { room: at, user } => format!(
                "POST /api/chat/rooms/{}/kick?username={} HTTP/1.1\r\nHost: localhost\r\nContent-Length: 0\r\n\r\n",
                room(at),
                USERS[user]
            ),
            Command::Ban { room: at, user, seconds } => {
                self.asked_at = around.elapsed;
                format!(
                    "POST /api/chat/rooms/{}/kick?username={}&ban={seconds}s HTTP/1.1\r\nHost: localhost\r\n\
                     Content-Length: 0\r\n\r\n",
                    room(at),
                    USERS[user]
                )
            }
            Command::Lift { room: at, user } => {
                around.bans.remove(&(at, user));
                format!(
                    "DELETE /api/chat/rooms/{}/bans/{} HTTP/1.1\r\nHost: localhost\r\n\r\n",
                    room(at),
                    USERS[user]
                )
            }
            Command::Stats => "GET /api/stats HTTP/1.1\r\nHost: localhost\r\n\r\n".to_owned(),
            _ => return,
        };
        let name = self.name();
        around.story.tell(|| format!("{name} asks: {command:?}"));
        self.request = Some(command);
        self.send(request.as_bytes());
    }

    fn post(&mut self, room: usize, content: &str, id: Option<&str>, around: &mut Around<'_>) {
        let mut body = serde_json::json!({ "sender": self.user(), "content": content });
        if let Some(id) = id {
            body["id"] = id.into();
            self.by_id.insert(id.to_owned(), content.to_owned());
        }
        let body = body.to_string();
        let name = self.name();
        around.story.tell(|| format!("{name} posts {} to {}", short(content), ROOMS[room]));
        // Each is a session of its own: the answer to one does not wait for those before.
        let session = (self.number * 1000 + self.said, self.said);
        around.model.say(ROOMS[room], self.user(), content, id, session);
        self.request = Some(Command::Post { room, bytes: 0, with_id: id.is_some() });
        self.unseen = vec![content.to_owned()];
        let request = format!(
            "POST /api/chat/rooms/{}/messages HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n\
             Content-Length: {}\r\n\r\n{body}",
            ROOMS[room],
            body.len()
        );
        self.send(request.as_bytes());
    }

    fn read_response(&mut self, around: &mut Around<'_>) -> Result<bool, Wrong> {
        let Some(head) = &self.head else { return Ok(false) };
        let len = head.field("Content-Length").and_then(|len| len.parse().ok()).unwrap_or(0);
        let Some(body) = take_body(&mut self.input, len) else { return Ok(false) };
        let Some(head) = self.head.take() else { return Ok(false) };
        match self.plan.door {
            Door::Rest => self.on_response(&head, &body, around)?,
            Door::Poll => self.on_poll(&head, &body, around)?,
            Door::Chat | Door::Raw | Door::Stomp | Door::Sse => {
                let name = self.name();
                around.story.tell(|| {
                    format!("{name} is refused: {} {}", head.status, String::from_utf8_lossy(&body))
                });
                self.state = State::Leaving;
                self.line.iter().for_each(Line::finish);
            }
        }
        if head.field("Connection").is_some_and(|value| value.eq_ignore_ascii_case("close")) {
            self.state = State::Leaving;
        }
        Ok(true)
    }

    fn on_response(&mut self, head: &Head, body: &[u8], around: &mut Around<'_>) -> Result<(), Wrong> {
        let request = self.request.take();
        let text = String::from_utf8_lossy(body);
        let json: Value = if body.is_empty() {
            Value::Null
        } else {
            serde_json::from_slice(body).map_err(|error| format!("{error}: {text}"))?
        };
        match (request, head.status) {
            (Some(Command::Post { room, .. }), 201) => {
                let (seq, entry) = entry_of(&json)?;
                let content = self.unseen.pop().unwrap_or_default();
                if entry.content != content || json["roomId"] != ROOMS[room] {
                    return Err(format!("{content} was posted, and the answer is {json}"));
                }
                around.model.acknowledge(&content, seq)
            }
            (Some(Command::Post { .. }), _) => {
                self.unseen.iter().for_each(|content| around.model.refuse(content));
                Ok(())
            }
            (Some(Command::History { room, after }), 200) => {
                let position = head.field("Foghorn-Position").and_then(position_of);
                let (epoch, _) = position.ok_or("a page without a position")?;
                let entries = json.as_array().ok_or("a page that is no array")?;
                let mut last: Option<u64> = None;
                for value in entries {
                    let (seq, entry) = entry_of(value)?;
                    let step = if after.is_some() { 1 } else { -1 };
                    if last.is_some_and(|last| last.checked_add_signed(step) != Some(seq)) {
                        return Err(format!("{seq} comes after {last:?} in a page"));
                    }
                    last = Some(seq);
                    around.model.show(around.disk, ROOMS[room], epoch, seq, &entry)?;
                }
                Ok(())
            }
            (Some(Command::Online(_)), 200) => {
                let users = json["users"].as_array().map(Vec::len);
                if json["count"].as_u64() == users.map(|users| users as u64) {
                    Ok(())
                } else {
                    Err(format!("not as many as are counted: {json}"))
                }
            }
            (Some(Command::Ban { room, user, seconds }), 200) => {
                let until = self.asked_at + Duration::from_secs(seconds as u64);
                around.bans.insert((room, user), (around.elapsed, until));
                Ok(())
            }
            _ => Ok(()),
        }
    }

    fn on_poll(&mut self, head: &Head, body: &[u8], around: &mut Around<'_>) -> Result<(), Wrong> {
        if head.status != 200 {
            self.state = State::Leaving;
            self.line.iter().for_each(Line::finish);
            return Ok(());
        }
        self.state = if self.state == State::Asked { State::Inside } else { self.state };
        let text = String::from_utf8_lossy(body);
        let json: Value = serde_json::from_slice(body).map_err(|error| format!("{error}: {text}"))?;
        let position = head.field("Foghorn-Position").and_then(position_of);
        let (epoch, end) = position.ok_or("an answer without a position")?;
        let entries = json.as_array().ok_or("an answer that is no array")?;
        for value in entries {
            if value["type"] == "GAP" {
                self.on_gap_of_feed(value, epoch, around)?;
                continue;
            }
            let (seq, entry) = entry_of(value)?;
            self.take_in_feed(epoch, seq, &entry, around)?;
        }
        let time = self.follower.as_ref().map_or(String::new(), |follower| follower.time.clone());
        self.position = Some(Position { epoch, seq: end, time });
        (self.start, self.follower) = (From::Position, None);
        if self.state == State::Inside {
            let request = self.poll_request(&self.query(From::Position));
            self.send(request.as_bytes());
        }
        Ok(())
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
