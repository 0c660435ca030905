//! What a run is to do.

use std::time::Duration;

use serde::Serialize;

use super::error::BenchError;
use super::fleet::Wait;
use super::stamp::{Layout, STAMP_BYTES};

/// How fast messages are sent.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Pace {
    /// Closed loop: each publisher has so many messages outstanding; one stops being outstanding when *every* member
    /// of the room has it (but the stalled ones).
    Window(u32),
    /// Open loop: so many messages a second in all, at times fixed beforehand, however the server gets on.
    Rate(f64),
}

/// Rooms full of members.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
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

/// What is measured.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
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
}

/// What messages look like.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Protocol {
    /// Text that comes back as it was sent.
    Text,
    /// Binary that comes back as it was sent.
    Binary,
    /// `{"content":"…"}` in, a chat message out.
    Chat,
}

impl Protocol {
    pub(super) fn layout(self) -> Layout {
        match self {
            Protocol::Text | Protocol::Binary => Layout::Plain,
            Protocol::Chat => Layout::Chat,
        }
    }
}

/// A run.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Plan {
    /// What is measured.
    pub workload: Workload,
    /// What messages look like.
    pub protocol: Protocol,
    /// Bytes of each message's content, at least 16.
    pub size: usize,
    /// How long the load runs before it is measured.
    #[serde(serialize_with = "as_seconds")]
    pub warmup: Duration,
    /// How long it is measured.
    #[serde(serialize_with = "as_seconds")]
    pub measure: Duration,
    /// Whether the load generator has a processor to itself.
    #[serde(skip)]
    pub wait: Wait,
    /// The server's process, if it runs on this machine: what it uses is measured, too.
    #[serde(skip)]
    pub server: Option<u32>,
}

fn as_seconds<S: serde::Serializer>(time: &Duration, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_f64(time.as_secs_f64())
}

impl Plan {
    /// Whether messages are sent on schedule.
    pub(super) fn is_open_loop(&self) -> bool {
        matches!(self.workload, Workload::Fanout(Rooms { pace: Pace::Rate(_), .. }))
    }

    /// Refuses what cannot be done.
    pub(super) fn check(&self) -> Result<(), BenchError> {
        let wrong = |why| Err(BenchError::Plan(why));
        if self.size < STAMP_BYTES {
            return wrong("a message needs at least 16 bytes, for its number");
        }
        match self.workload {
            Workload::Fanout(Rooms { rooms, members, publishers, stalled, pace }) => {
                if rooms == 0 || members == 0 || publishers == 0 {
                    return wrong("there must be a room, a member and a publisher at least");
                }
                if members.checked_sub(stalled).is_none_or(|reading| reading < publishers) {
                    return wrong("publishers are members that read: there are not so many");
                }
                match pace {
                    Pace::Window(0) => wrong("at least one message must be outstanding"),
                    Pace::Rate(rate) if rate.is_nan() || rate <= 0.0 => wrong("the rate must be above zero"),
                    Pace::Window(_) | Pace::Rate(_) => Ok(()),
                }
            }
            Workload::Idle { rooms, members } if rooms == 0 || members == 0 => {
                wrong("there must be a connection at least")
            }
            Workload::Churn { connections: 0 } => wrong("there must be a connection at least"),
            Workload::Idle { .. } | Workload::Churn { .. } => Ok(()),
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
    }
}
