//! What a member has been sent, checked against the log that it should see.

use std::sync::{Arc, OnceLock};

use serde_json::Value;

use super::peer::ScriptedPeer;
use super::room::Room;
use crate::rooms::{Format, MemberKey, SessionKey, Start, Timestamp};

/// A message that a room holds, or should.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Expected {
    pub(super) content: String,
    pub(super) at: Timestamp,
    /// What it is the latest value of, in a conflated relay.
    pub(super) key: Option<String>,
    /// What it is, if it is a JOIN or LEAVE.
    pub(super) notice: Option<ExpectedNotice>,
}

/// That a user came or left. Each user of the test comes once.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum ExpectedNotice {
    Join(String),
    Leave(String),
}

/// A member as the test knows it.
#[derive(Debug)]
pub(super) struct Member {
    pub(super) room: usize,
    pub(super) key: MemberKey,
    pub(super) session: SessionKey,
    pub(super) user: String,
    pub(super) peer: ScriptedPeer,
    pub(super) start: Start,
    pub(super) position: Position,
    /// The time of the newest message that it was sent, or of the one after which it began: no frame may be later.
    pub(super) newest_at: Timestamp,
    /// Ends of the room's log that it knows of.
    pub(super) generation: usize,
    /// Gaps that it was told of after its start.
    pub(super) gaps: u64,
    /// Up to here messages may be missing that no later one replaces: it was told so.
    pub(super) lost: u64,
    /// The number that the room of a relay had come to when it joined: one that was forgotten begins again.
    pub(super) joined_at: Arc<OnceLock<u64>>,
    /// The same as the test counts, which never begins again.
    pub(super) head_then: u64,
}

/// How far a member has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Position {
    /// No WELCOME has come.
    Outside,
    /// A GAP `1..=to` has to come first: the member asked for a position in another log.
    ToldOfAll { to: u64 },
    /// The next message is this one, or any later one before the head at the time of joining if that much is not kept.
    Around { first: u64, head: u64 },
    /// The next message is this one, or a later one if those before are not later than this.
    Later { than: Timestamp, first: u64 },
    /// The next message is this one.
    At(u64),
}

impl Member {
    /// Reads what the member has received.
    pub(super) fn read(&mut self, room: &Room) {
        while let Some(payload) = self.peer.next_frame() {
            match room.format {
                Format::Chat => {
                    self.take(&serde_json::from_slice(&payload).expect("JSON"), room);
                }
                Format::Relay if payload.starts_with(b"{") => {
                    let mut gap: Value = serde_json::from_slice(&payload).expect("JSON");
                    for end in ["from", "to"] {
                        gap[end] = self.counted(number(&gap, end)).into();
                    }
                    self.skip(&gap, room);
                }
                Format::Relay => {
                    let Position::At(next) = self.position else { unreachable!("relay members begin live") };
                    assert_eq!(payload, message(&room.log, next).content.as_bytes());
                    self.position = Position::At(next + 1);
                }
                Format::Conflated if payload.starts_with(b"{") => {
                    let gap: Value = serde_json::from_slice(&payload).expect("JSON");
                    assert_eq!(gap["type"], "GAP");
                    self.lost = self.lost.max(self.counted(number(&gap, "to")));
                }
                Format::Conflated => self.take_value(&payload, &room.log),
            }
        }
    }

    /// The number that the test has for a message of a relay.
    fn counted(&self, seq: u64) -> u64 {
        seq + self.head_then - self.joined_at.get().expect("it has joined")
    }

    /// A value in a conflated relay: what was left out before it was replaced later.
    fn take_value(&mut self, payload: &[u8], log: &[Expected]) {
        let Position::At(next) = self.position else { unreachable!("members of relays begin live") };
        let is_it = |seq: &u64| message(log, *seq).content.as_bytes() == payload;
        let seq = (next..=log.len() as u64).find(is_it).expect("a message that has not come before");
        for left_out in next..seq {
            assert!(left_out <= self.lost || is_replaced(log, left_out), "{} lacks {left_out}", self.user);
        }
        self.position = Position::At(seq + 1);
    }

    fn take(&mut self, value: &Value, room: &Room) {
        let kind = value["type"].as_str().expect("a type");
        if kind == "WELCOME" {
            self.generation = room.generation_of(value["epoch"].as_str().expect("an epoch"));
            let (epoch, log) = room.generation(self.generation);
            self.begin(value, epoch, log);
        }
        if matches!(kind, "WELCOME" | "GAP" | "ERROR" | "ACK") {
            // Texts of one length compare as the times do.
            let at = value["timestamp"].as_str().expect("every frame has a time");
            assert!(at <= &*text(self.newest_at), "{} cannot come back from {value}", self.user);
        }
        match kind {
            "ERROR" | "ACK" | "WELCOME" => {}
            "GAP" if value["epoch"] == format!("{:016x}", room.generation(self.generation).0) => {
                self.skip(value, room);
            }
            "GAP" => self.begin_anew(value, room),
            _ => self.receive(value, room),
        }
    }

    fn begin(&mut self, welcome: &Value, epoch: u64, log: &[Expected]) {
        assert_eq!(self.position, Position::Outside, "one WELCOME, and first");
        assert_eq!(welcome["username"], *self.user);
        assert_eq!(welcome["epoch"], format!("{epoch:016x}"));
        let head = number(welcome, "seq");
        assert!(head <= log.len() as u64);
        let visible = &log[..usize::try_from(head).expect("a few messages")];
        let at = |seq: u64| match seq {
            0 => Timestamp::default(),
            seq => message(log, seq).at,
        };
        // The number 0 of the epoch 0 is before the first message of any.
        let is_known = |asked: Option<u64>, seq: u64| {
            seq <= head && asked.is_none_or(|asked| asked == epoch || (asked, seq) == (0, 0))
        };
        self.newest_at = match self.start {
            Start::After { seq, epoch: asked } if is_known(asked, seq) => at(seq),
            // How much is kept of what a count asks for, the test does not know.
            Start::Live | Start::After { .. } | Start::Last(_) => at(head),
            Start::Since(time) => time,
        };
        self.position = match self.start {
            Start::Live => Position::At(head + 1),
            Start::After { seq, epoch: asked } if is_known(asked, seq) => Position::At(seq + 1),
            Start::After { .. } => Position::ToldOfAll { to: head },
            Start::Since(at) => {
                let first = visible.iter().filter(|message| message.at <= at).count() as u64 + 1;
                Position::Later { than: at, first }
            }
            Start::Last(count) => Position::Around { first: head.saturating_sub(count) + 1, head },
        };
    }

    /// The log has ended, and the next one goes on after what is left of it.
    fn begin_anew(&mut self, gap: &Value, room: &Room) {
        let (_, log) = room.generation(self.generation);
        assert!(self.is_complete(log), "{} was not told of all of the log that ended", self.user);
        let kept = room.past[self.generation].kept;
        self.generation += 1;
        let (epoch, _) = room.generation(self.generation);
        assert_eq!(gap["epoch"], format!("{epoch:016x}"));
        assert_eq!((number(gap, "from"), number(gap, "to")), (kept.min(1), kept));
        self.position = Position::At(kept + 1);
    }

    fn skip(&mut self, gap: &Value, room: &Room) {
        let (from, to) = (number(gap, "from"), number(gap, "to"));
        self.position = match self.position {
            Position::ToldOfAll { to: head } => {
                assert_eq!((from, to), (head.min(1), head));
                Position::At(head + 1)
            }
            // Which messages before the window were later than a time cannot always be told.
            Position::Later { than, first } => {
                assert!((from == 1 || from >= first || room.torn) && to >= from);
                self.gaps += 1;
                Position::Later { than, first: first.max(to + 1) }
            }
            Position::At(next) => {
                assert!(from == next && to >= from, "told of {from}..={to} at {next}");
                self.gaps += 1;
                Position::At(to + 1)
            }
            Position::Around { first, .. } => {
                assert!(from >= first && to >= from);
                self.gaps += 1;
                Position::At(to + 1)
            }
            Position::Outside => unreachable!("WELCOME comes first"),
        };
    }

    fn receive(&mut self, value: &Value, room: &Room) {
        let (_, log) = room.generation(self.generation);
        let seq = number(value, "seq");
        match self.position {
            Position::At(next) => assert_eq!(seq, next, "{}", self.user),
            Position::Around { first, head } => assert!(seq >= first && seq <= head + 1),
            // A time is not a position: no GAP tells of what was later and is not kept any more.
            Position::Later { than, first } => {
                let mut skipped = first.max(room.kept_from)..seq;
                assert!(skipped.all(|skipped| message(log, skipped).at <= than), "{value}");
            }
            Position::Outside | Position::ToldOfAll { .. } => unreachable!("too early: {value}"),
        }
        let expected = message(log, seq);
        assert_eq!(value["content"], expected.content);
        assert_eq!(value["timestamp"].as_str(), Some(&*text(expected.at)));
        self.newest_at = self.newest_at.max(expected.at);
        self.position = Position::At(seq + 1);
    }

    /// Whether the member has everything that it should.
    pub(super) fn is_complete(&self, log: &[Expected]) -> bool {
        let head = log.len() as u64;
        match self.position {
            Position::At(next) => (next..=head).all(|seq| is_replaced(log, seq)),
            Position::Later { than, first } => (first..=head).all(|seq| message(log, seq).at <= than),
            Position::Around { head: seen, .. } => seen == head,
            Position::Outside | Position::ToldOfAll { .. } => false,
        }
    }
}

fn message(log: &[Expected], seq: u64) -> &Expected {
    let index = usize::try_from(seq - 1).expect("a few messages");
    log.get(index).expect("nobody is shown what is not there")
}

/// Whether a later message has the same key.
fn is_replaced(log: &[Expected], seq: u64) -> bool {
    let key = &message(log, seq).key;
    let later = usize::try_from(seq).expect("a few messages");
    key.is_some() && log[later..].iter().any(|message| message.key == *key)
}

fn number(value: &Value, name: &str) -> u64 {
    value[name].as_u64().expect("a number")
}

fn text(at: Timestamp) -> String {
    let mut text = Vec::new();
    at.encode(&mut text);
    String::from_utf8(text).expect("digits")
}
