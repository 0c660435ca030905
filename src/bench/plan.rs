//! What a run is to do.

use std::path::PathBuf;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::entry::CONTENT_BYTES_MAX;
use super::error::BenchError;
use super::payload::Layout;
use super::payload_id::PAYLOAD_ID_BYTES;
use super::plot::number;

/// How the loop waits when nothing happens.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Wait {
    /// It asks again at once. For a thread that has a processor to itself: the time to wake up is not part of what is
    /// measured.
    Spin,
    /// It sleeps.
    #[default]
    Sleep,
}

/// How fast messages are sent.
#[derive(Clone, Copy, Debug, PartialEq, Deserialize, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Pace {
    /// Closed loop: each publisher has this number of messages outstanding; one stops being outstanding when *every* member
    /// of the room has it (but the stalled ones).
    Window(u32),
    /// Open loop: this number of messages a second in all, at times fixed beforehand, however the server gets on.
    Rate(f64),
}

/// Rooms full of members.
#[derive(Clone, Copy, Debug, PartialEq, Deserialize, Serialize)]
pub struct Rooms {
    /// How many rooms.
    pub rooms: usize,
    /// Members of each room.
    pub members: usize,
    /// Members of each room that publish.
    pub publishers: usize,
    /// Members of each room that stop reading once the room is complete.
    pub stalled: usize,
    /// How fast.
    pub pace: Pace,
}

/// Members that lose their connections, all at one moment, and come back.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, Serialize)]
pub struct Returning {
    /// How many rooms. Each has one connection besides that stays and publishes.
    pub rooms: usize,
    /// Members of each room that are cut off.
    pub members: usize,
    /// Messages published in each room while they are away. What they miss besides is each other's leaving.
    pub missed: u32,
    /// How many messages each one asks for again that it had already: beyond the window they come from the store.
    pub behind: u32,
}

/// What is measured.
#[derive(Clone, Copy, Debug, PartialEq, Deserialize, Serialize)]
#[serde(rename_all = "snake_case", tag = "mode")]
pub enum Workload {
    /// Publishers to rooms. An echo is a room with one member.
    Fanout(Rooms),
    /// Connections that do nothing.
    Idle {
        /// Rooms that the connections are spread over.
        rooms: usize,
        /// Connections in each room.
        members: usize,
    },
    /// Connect, upgrade, one message and its answer, closing handshake; over and over.
    Churn {
        /// Connections at one time.
        connections: usize,
    },
    /// Publishers to rooms, beside a room with a crowd in it. Measured are the rooms.
    #[serde(rename = "beside")]
    MixedLoad {
        /// The rooms.
        rooms: Rooms,
        /// Members of the crowded room.
        crowd: usize,
        /// Messages per second in the crowded room; `None` is silence.
        crowd_rate: Option<f64>,
    },
    /// Members that all come back at once. Of each the time is measured until it has everything it missed.
    Recovery(Returning),
}

/// What messages look like.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Protocol {
    /// Text that comes back as it was sent.
    Text,
    /// Binary that comes back as it was sent.
    Binary,
    /// `{"content":"…"}` in, a chat message out.
    Chat,
    /// A SEND in, a MESSAGE out, of the same rooms as the chat's.
    Stomp,
}

impl Protocol {
    pub(super) fn layout(self) -> Layout {
        match self {
            Protocol::Text | Protocol::Binary => Layout::Plain,
            Protocol::Chat => Layout::Chat,
            Protocol::Stomp => Layout::Stomp,
        }
    }
}

/// A run.
#[derive(Clone, Debug, PartialEq, Deserialize, Serialize)]
pub struct Plan {
    /// What is measured.
    pub workload: Workload,
    /// What messages look like.
    pub protocol: Protocol,
    /// Bytes of each message's content, at least 16.
    pub size: usize,
    /// How long the load runs before it is measured.
    #[serde(serialize_with = "as_seconds", deserialize_with = "from_seconds")]
    pub warmup: Duration,
    /// How long it is measured.
    #[serde(serialize_with = "as_seconds", deserialize_with = "from_seconds")]
    pub measure: Duration,
    /// Whether the load generator has a processor to itself.
    #[serde(skip)]
    pub wait: Wait,
    /// The server's process, if it runs on this machine: what it uses is measured, too.
    #[serde(skip)]
    pub server: Option<u32>,
    /// The server's database, if it runs on this machine and has one: what it stores is measured, too.
    #[serde(skip)]
    pub database: Option<PathBuf>,
}

fn from_seconds<'de, D: serde::Deserializer<'de>>(deserializer: D) -> Result<Duration, D::Error> {
    let seconds = f64::deserialize(deserializer)?;
    Duration::try_from_secs_f64(seconds).map_err(serde::de::Error::custom)
}

fn as_seconds<S: serde::Serializer>(time: &Duration, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_f64(time.as_secs_f64())
}

impl Plan {
    /// What is measured, in a word.
    #[must_use]
    pub fn mode(&self) -> &'static str {
        match self.workload {
            Workload::Fanout(Rooms { members: 1, .. }) => "echo",
            Workload::Fanout(_) => "fan-out",
            Workload::Idle { .. } => "idle",
            Workload::Churn { .. } => "churn",
            Workload::MixedLoad { .. } => "mixed load",
            Workload::Recovery(_) => "recovery",
        }
    }

    /// What it is measured with, as people read it.
    #[must_use]
    pub fn parameters(&self) -> String {
        let what = match self.workload {
            Workload::Fanout(rooms) => rooms.text(),
            Workload::Idle { rooms, members } => format!("{rooms} × {members} connections"),
            Workload::Churn { connections } => format!("{connections} connections at a time"),
            Workload::MixedLoad { rooms, crowd, crowd_rate } => {
                let rate =
                    crowd_rate.map_or_else(|| "silent".to_owned(), |rate| format!("{rate} messages/s"));
                format!("{}; a crowd of {crowd}, {rate}", rooms.text())
            }
            Workload::Recovery(Returning { rooms, members, missed, behind }) => format!(
                "{rooms} rooms with {members} members each, {missed} messages missed, {behind} asked for again"
            ),
        };
        let protocol = match self.protocol {
            Protocol::Text => "text",
            Protocol::Binary => "binary",
            Protocol::Chat => "chat",
            Protocol::Stomp => "STOMP",
        };
        let (size, warmup, measure) = (self.size, self.warmup.as_secs_f64(), self.measure.as_secs_f64());
        format!("{what}; {protocol}, {size} bytes; {warmup} s to warm up, {measure} s measured")
    }

    /// Whether messages are sent on schedule.
    pub(super) fn is_open_loop(&self) -> bool {
        match self.workload {
            Workload::Fanout(rooms) | Workload::MixedLoad { rooms, .. } => {
                matches!(rooms.pace, Pace::Rate(_))
            }
            Workload::Idle { .. } | Workload::Churn { .. } | Workload::Recovery(_) => false,
        }
    }

    /// What is sent and found.
    pub(super) fn layout(&self) -> Layout {
        match (self.workload, self.protocol) {
            (Workload::Recovery(_), _) => Layout::Log,
            (_, protocol) => protocol.layout(),
        }
    }

    /// Refuses what cannot be done.
    pub(super) fn check(&self) -> Result<(), BenchError> {
        let wrong = |why| Err(BenchError::Plan(why));
        if self.protocol == Protocol::Stomp && !matches!(self.workload, Workload::Fanout(_)) {
            return wrong("STOMP is for fan-out alone");
        }
        if self.size < PAYLOAD_ID_BYTES {
            return wrong("a message needs at least 16 bytes, for its number");
        }
        match self.workload {
            Workload::Fanout(rooms) => rooms.check(),
            Workload::MixedLoad { crowd: 0, .. } => wrong("the crowd must have a member"),
            Workload::MixedLoad { rooms, crowd_rate, .. } => {
                crowd_rate.map_or(Ok(()), |rate| Pace::Rate(rate).check()).and_then(|()| rooms.check())
            }
            Workload::Recovery(Returning { rooms, members, .. }) if rooms == 0 || members == 0 => {
                wrong("there must be a room and a member at least")
            }
            Workload::Recovery(_) if self.protocol != Protocol::Chat => wrong("only a chat has positions"),
            Workload::Recovery(_) if self.size > CONTENT_BYTES_MAX => {
                wrong("a message may have at most 256 bytes here, so that its number is found")
            }
            Workload::Idle { rooms, members } if rooms == 0 || members == 0 => {
                wrong("there must be a connection at least")
            }
            Workload::Churn { connections: 0 } => wrong("there must be a connection at least"),
            Workload::Idle { .. } | Workload::Churn { .. } | Workload::Recovery(_) => Ok(()),
        }
    }
}

impl Rooms {
    fn text(&self) -> String {
        let Rooms { rooms, members, publishers, stalled, pace } = *self;
        let pace = match pace {
            Pace::Window(window) => format!("{window} outstanding"),
            Pace::Rate(rate) => format!("{} messages/s", number(rate)),
        };
        let stalled = if stalled > 0 { format!(", {stalled} of them stalled") } else { String::new() };
        format!(
            "rooms: {rooms}, members of each: {members}{stalled}, publishers of each: {publishers}, {pace}"
        )
    }

    fn check(&self) -> Result<(), BenchError> {
        let wrong = |why| Err(BenchError::Plan(why));
        let Rooms { rooms, members, publishers, stalled, pace } = *self;
        if rooms == 0 || members == 0 || publishers == 0 {
            return wrong("there must be a room, a member and a publisher at least");
        }
        if members.checked_sub(stalled).is_none_or(|reading| reading < publishers) {
            return wrong("publishers are members that read: there are fewer members");
        }
        pace.check()
    }
}

impl Pace {
    fn check(self) -> Result<(), BenchError> {
        match self {
            Pace::Window(0) => Err(BenchError::Plan("at least one message must be outstanding")),
            Pace::Rate(rate) if rate.is_nan() || rate <= 0.0 => {
                Err(BenchError::Plan("the rate must be above zero"))
            }
            Pace::Window(_) | Pace::Rate(_) => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_plan_that_cannot_be_carried_out_is_refused() {
        let rooms = Rooms { rooms: 1, members: 10, publishers: 1, stalled: 0, pace: Pace::Window(1) };
        let plan = |workload, size| Plan {
            workload,
            protocol: Protocol::Text,
            size,
            warmup: Duration::ZERO,
            measure: Duration::ZERO,
            wait: Wait::Sleep,
            server: None,
            database: None,
        };
        assert!(plan(Workload::Fanout(rooms), 16).check().is_ok());
        assert!(plan(Workload::Fanout(rooms), 15).check().is_err());
        for wrong in [
            Rooms { rooms: 0, ..rooms },
            Rooms { publishers: 0, ..rooms },
            Rooms { publishers: 11, ..rooms },
            Rooms { stalled: 10, ..rooms },
            Rooms { stalled: 11, ..rooms },
            Rooms { pace: Pace::Window(0), ..rooms },
            Rooms { pace: Pace::Rate(0.0), ..rooms },
            Rooms { pace: Pace::Rate(f64::NAN), ..rooms },
        ] {
            assert!(plan(Workload::Fanout(wrong), 16).check().is_err(), "{wrong:?}");
        }
        assert!(plan(Workload::Idle { rooms: 1, members: 0 }, 16).check().is_err());
        assert!(plan(Workload::Churn { connections: 0 }, 16).check().is_err());
        let mixed =
            |crowd, rate| plan(Workload::MixedLoad { rooms, crowd, crowd_rate: Some(rate) }, 16).check();
        assert!(mixed(1, 1.0).is_ok() && mixed(0, 1.0).is_err() && mixed(1, 0.0).is_err());
        let returning = Returning { rooms: 1, members: 1, missed: 0, behind: 0 };
        let recovery = |protocol, returning, size| {
            Plan { protocol, ..plan(Workload::Recovery(returning), size) }.check()
        };
        assert!(recovery(Protocol::Chat, returning, 16).is_ok());
        assert!(recovery(Protocol::Text, returning, 16).is_err());
        assert!(recovery(Protocol::Chat, returning, 257).is_err());
        assert!(recovery(Protocol::Chat, Returning { members: 0, ..returning }, 16).is_err());
    }
}
