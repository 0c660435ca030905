//! The modes of `foghorn bench`, their arguments, and what each of them means.

use std::path::PathBuf;

use crate::bench::{Believed, Pace, Protocol, Returning, Rooms, Workload};

const ECHO_PATH: &str = "/echo";
const RELAY_PATH: &str = "/ws/raw?roomId={room}";
const CHAT_PATH: &str = "/ws/chat?roomId={room}&username={member}";
const STOMP_PATH: &str = "/ws/stomp?room={room}&username={member}";
/// The part of a path that says who a member is.
pub(super) const MEMBER_NAME: &str = "&username={member}";

#[derive(Debug, clap::Subcommand)]
pub(super) enum Mode {
    /// Publishers to rooms full of members
    Fanout {
        /// Rooms
        #[arg(long, default_value_t = 1)]
        rooms: usize,
        /// Members of each room
        #[arg(long, default_value_t = 100)]
        members: usize,
        /// Members of each room that publish
        #[arg(long, default_value_t = 1)]
        publishers: usize,
        /// Members of each room that do not read
        #[arg(long, default_value_t = 0)]
        stalled: usize,
        /// Messages of each publisher that not every member has yet
        #[arg(long, value_name = "N", default_value_t = 1, conflicts_with = "rate")]
        window: u32,
        /// Messages per second in all, sent on schedule whatever the server does
        #[arg(long, value_name = "N")]
        rate: Option<f64>,
        /// Bytes of each message
        #[arg(long, value_name = "BYTES", default_value_t = 128)]
        size: usize,
        /// Send chat messages (JSON) instead of plain text
        #[arg(long, conflicts_with = "binary")]
        chat: bool,
        /// Send chat messages by STOMP instead of plain text
        #[arg(long, conflicts_with_all = ["binary", "chat"])]
        stomp: bool,
        /// Send binary messages instead of text
        #[arg(long)]
        binary: bool,
        #[command(flatten)]
        common: Common,
    },
    /// Connections that hear back what they say
    Echo {
        /// Connections
        #[arg(long, default_value_t = 64)]
        connections: usize,
        /// Messages of each connection that have not come back yet
        #[arg(long, value_name = "N", default_value_t = 1, conflicts_with = "rate")]
        in_flight: u32,
        /// Messages per second in all, sent on schedule whatever the server does
        #[arg(long, value_name = "N")]
        rate: Option<f64>,
        /// Bytes of each message
        #[arg(long, value_name = "BYTES", default_value_t = 128)]
        size: usize,
        /// Send binary messages instead of text
        #[arg(long)]
        binary: bool,
        #[command(flatten)]
        common: Common,
    },
    /// Connections that say nothing: what each costs in memory
    Idle {
        /// Connections
        #[arg(long, default_value_t = 1000)]
        connections: usize,
        /// Let them be members of this number of chat rooms, instead of connections to /echo
        #[arg(long, value_name = "N")]
        rooms: Option<usize>,
        #[command(flatten)]
        common: Common,
    },
    /// Connections that come, say one thing, hear it back and go
    Churn {
        /// Connections at one time
        #[arg(long, default_value_t = 64)]
        connections: usize,
        #[command(flatten)]
        common: Common,
    },
    /// Publish, store and broadcast with each durability, next to what SQLite does by itself
    Durable {
        /// Connections, all of which publish
        #[arg(long, default_value_t = 64)]
        publishers: usize,
        /// Rooms that they are spread over
        #[arg(long, default_value_t = 64)]
        rooms: usize,
        /// Messages of each publisher that have not come back to everybody in the room yet
        #[arg(long, value_name = "N", default_value_t = 64)]
        window: u32,
        /// Bytes of each message
        #[arg(long, value_name = "BYTES", default_value_t = 100)]
        size: usize,
        /// How often all durabilities are gone through; the medians are shown
        #[arg(long, value_name = "N", default_value_t = 1, value_parser = clap::value_parser!(u16).range(1..))]
        rounds: u16,
        #[command(flatten)]
        common: Common,
    },
    /// Members that lose their connections, all at once, and come back for what they missed
    Recovery {
        /// Rooms
        #[arg(long, default_value_t = 1000)]
        rooms: usize,
        /// Members of each room
        #[arg(long, default_value_t = 10)]
        members: usize,
        /// Messages published in each room meanwhile
        #[arg(long, value_name = "N", default_value_t = 20)]
        missed: u32,
        /// Messages that each member asks for again although it has them: more than rooms.window_messages, and they
        /// come from the store
        #[arg(long, value_name = "N", default_value_t = 0)]
        behind: u32,
        /// Bytes of each message
        #[arg(long, value_name = "BYTES", default_value_t = 100)]
        size: usize,
        #[command(flatten)]
        common: Common,
    },
    /// From publishing to the last member, at 10 %, 50 % and 90 % of what saturates the server
    Latency {
        /// Members of the room
        #[arg(long, default_value_t = 1000)]
        members: usize,
        /// Bytes of each message
        #[arg(long, value_name = "BYTES", default_value_t = 128)]
        size: usize,
        /// Send chat messages (JSON) instead of plain text
        #[arg(long)]
        chat: bool,
        #[command(flatten)]
        common: Common,
    },
    /// Small rooms on one shard with a crowded one: how long they take while it is silent, and while it is loud
    Fairness {
        /// Small rooms
        #[arg(long, default_value_t = 10)]
        rooms: usize,
        /// Members of each
        #[arg(long, default_value_t = 10)]
        members: usize,
        /// Messages per second in all small rooms together
        #[arg(long, value_name = "N", default_value_t = 200.0)]
        rate: f64,
        /// Members of the crowded room
        #[arg(long, value_name = "N", default_value_t = 10_000)]
        crowd: usize,
        /// Messages per second in the crowded room
        #[arg(long, value_name = "N", default_value_t = 10.0)]
        crowd_rate: f64,
        /// Bytes of each message
        #[arg(long, value_name = "BYTES", default_value_t = 128)]
        size: usize,
        #[command(flatten)]
        common: Common,
    },
}

/// What all modes understand.
#[derive(Debug, clap::Args)]
pub(super) struct Common {
    /// The server, as ws://HOST:PORT[/PATH] or wss://…; in the path {room} and {member} stand for names. Without it a server is
    /// started on a processor of its own
    pub(super) url: Option<String>,
    /// The token that the server asks for; all connections are its user then. Others on this machine can see it
    #[arg(long, requires = "url")]
    pub(super) token: Option<String>,
    /// How long to measure
    #[arg(long, value_name = "SECONDS", default_value_t = 5.0, value_parser = seconds)]
    pub(super) seconds: f64,
    /// How long to run before that
    #[arg(long, value_name = "SECONDS", default_value_t = 1.0, value_parser = seconds)]
    pub(super) warmup: f64,
    /// The server's process, to measure what it uses
    #[arg(long, requires = "url")]
    pub(super) pid: Option<u32>,
    /// Over TLS: trust whomever the certificates in this file (PEM) vouch for
    #[arg(long, value_name = "FILE", conflicts_with = "insecure")]
    pub(super) ca: Option<PathBuf>,
    /// Over TLS: trust any certificate
    #[arg(long)]
    pub(super) insecure: bool,
    /// Which processors a server that is started here has: "own" is one for it and another one for the load, "all" is
    /// all of them for both [default: own; durable: all, as it is compared with a loop that has one to itself]
    #[arg(long, value_name = "WHICH", conflicts_with = "url")]
    pub(super) processors: Option<Processors>,
    /// Where a server that stores keeps its data meanwhile [default: the directory for temporary files]
    #[arg(long, value_name = "DIR")]
    pub(super) disk: Option<PathBuf>,
    /// Where the server has its metrics, as http://HOST:PORT, if not at the same address: `admin.listen`
    #[arg(long, value_name = "URL")]
    pub(super) metrics: Option<String>,
    /// What the server wants for its metrics (`metrics.token`). Others on this machine can see it
    #[arg(long, value_name = "TOKEN")]
    pub(super) metrics_token: Option<String>,
    /// Read the metrics this often while measuring, too, for a curve of the way inside
    #[arg(long, value_name = "SECONDS", value_parser = interval)]
    pub(super) scrape: Option<f64>,
    /// Leave the server's metrics alone
    #[arg(long, conflicts_with_all = ["metrics", "metrics_token", "scrape"])]
    pub(super) no_metrics: bool,
    /// Write the report as JSON
    #[arg(long, value_name = "FILE")]
    pub(super) json: Option<PathBuf>,
    /// Write the report as a page with plots
    #[arg(long, value_name = "FILE")]
    pub(super) html: Option<PathBuf>,
    /// The server to start [default: this program, in memory]; it has to print `listening on URL`
    #[arg(last = true, conflicts_with = "url")]
    pub(super) command: Vec<String>,
}

/// Which processors a server has.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub(super) enum Processors {
    Own,
    All,
}

fn seconds(text: &str) -> Result<f64, String> {
    match text.parse() {
        Ok(seconds) if (0.0..=86_400.0).contains(&seconds) => Ok(seconds),
        Ok(_) | Err(_) => Err("expected seconds, up to a day".to_owned()),
    }
}

fn interval(text: &str) -> Result<f64, String> {
    match text.parse() {
        Ok(seconds) if (0.1..=3_600.0).contains(&seconds) => Ok(seconds),
        Ok(_) | Err(_) => Err("expected seconds, from 0.1 to an hour".to_owned()),
    }
}

impl Common {
    /// Whom to trust over TLS.
    pub(super) fn believed(&self) -> Believed {
        match &self.ca {
            Some(file) => Believed::File(file.clone()),
            None if self.insecure => Believed::Anybody,
            None => Believed::Nobody,
        }
    }

    /// Whether the server gets a processor to itself, if nothing is said.
    pub(super) fn pins(&self, default: Processors) -> bool {
        self.processors.unwrap_or(default) == Processors::Own
    }
}

/// What is to be measured.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Work {
    One(Workload),
    Recovery(Returning),
    Latency { rooms: Rooms },
    Fairness { rooms: Rooms, crowd: usize, rate: f64 },
    Durable { rooms: Rooms, rounds: usize },
}

/// What a mode means: the work, the messages, and the path if the URL has none.
#[derive(Debug)]
pub(super) struct Task {
    pub(super) work: Work,
    pub(super) protocol: Protocol,
    pub(super) size: usize,
    pub(super) path: &'static str,
    pub(super) common: Common,
}

impl Mode {
    pub(super) fn task(self) -> Task {
        let pace = |window, rate: Option<f64>| rate.map_or(Pace::Window(window), Pace::Rate);
        let plain = |binary| if binary { Protocol::Binary } else { Protocol::Text };
        let spoken = |chat, plain| if chat { (Protocol::Chat, CHAT_PATH) } else { (plain, RELAY_PATH) };
        match self {
            Mode::Fanout {
                rooms,
                members,
                publishers,
                stalled,
                window,
                rate,
                size,
                chat,
                stomp,
                binary,
                common,
            } => {
                let rooms = Rooms { rooms, members, publishers, stalled, pace: pace(window, rate) };
                let (protocol, path) =
                    if stomp { (Protocol::Stomp, STOMP_PATH) } else { spoken(chat, plain(binary)) };
                Task { work: Work::One(Workload::Fanout(rooms)), protocol, size, path, common }
            }
            Mode::Echo { connections, in_flight, rate, size, binary, common } => {
                let rooms = Rooms { rooms: connections, ..alone(pace(in_flight, rate)) };
                let work = Work::One(Workload::Fanout(rooms));
                Task { work, protocol: plain(binary), size, path: ECHO_PATH, common }
            }
            Mode::Idle { connections, rooms, common } => {
                let path = if rooms.is_some() { CHAT_PATH } else { ECHO_PATH };
                let rooms = rooms.unwrap_or(1).max(1);
                let work = Work::One(Workload::Idle { rooms, members: connections.div_ceil(rooms) });
                Task { work, protocol: Protocol::Text, size: 16, path, common }
            }
            Mode::Churn { connections, common } => {
                let work = Work::One(Workload::Churn { connections });
                Task { work, protocol: Protocol::Text, size: 16, path: ECHO_PATH, common }
            }
            Mode::Durable { publishers, rooms, window, size, rounds, common } => {
                let members = publishers.div_ceil(rooms.max(1));
                let rooms = Rooms { rooms, members, publishers: members, ..alone(Pace::Window(window)) };
                let work = Work::Durable { rooms, rounds: rounds.into() };
                Task { work, protocol: Protocol::Chat, size, path: CHAT_PATH, common }
            }
            Mode::Recovery { rooms, members, missed, behind, size, common } => {
                let work = Work::Recovery(Returning { rooms, members, missed, behind });
                Task { work, protocol: Protocol::Chat, size, path: CHAT_PATH, common }
            }
            Mode::Latency { members, size, chat, common } => {
                let work = Work::Latency { rooms: Rooms { members, ..alone(Pace::Window(1)) } };
                let (protocol, path) = spoken(chat, Protocol::Text);
                Task { work, protocol, size, path, common }
            }
            Mode::Fairness { rooms, members, rate, crowd, crowd_rate, size, common } => {
                let rooms = Rooms { rooms, members, ..alone(Pace::Rate(rate)) };
                let work = Work::Fairness { rooms, crowd, rate: crowd_rate };
                Task { work, protocol: Protocol::Text, size, path: RELAY_PATH, common }
            }
        }
    }
}

/// A room with one member, who publishes.
fn alone(pace: Pace) -> Rooms {
    Rooms { rooms: 1, members: 1, publishers: 1, stalled: 0, pace }
}

#[cfg(test)]
mod tests {
    use clap::{CommandFactory, Parser};

    use super::*;

    #[derive(Debug, Parser)]
    struct Line {
        #[command(subcommand)]
        mode: Mode,
    }

    fn task(line: &str) -> Result<Task, clap::Error> {
        Line::try_parse_from(format!("bench {line}").split(' ')).map(|line| line.mode.task())
    }

    #[test]
    fn the_arguments_are_consistent() {
        Line::command().debug_assert();
    }

    #[test]
    fn each_mode_becomes_its_workload() {
        let fanout = task("fanout ws://h:1 --rooms 3 --members 7 --stalled 2 --rate 50 --chat").unwrap();
        let rooms = Rooms { rooms: 3, members: 7, publishers: 1, stalled: 2, pace: Pace::Rate(50.0) };
        assert_eq!((fanout.work, fanout.protocol), (Work::One(Workload::Fanout(rooms)), Protocol::Chat));
        assert_eq!((fanout.path, fanout.common.url.as_deref()), (CHAT_PATH, Some("ws://h:1")));
        let echo = task("echo --connections 5 --in-flight 4 --binary --size 99").unwrap();
        let rooms = Rooms { rooms: 5, members: 1, publishers: 1, stalled: 0, pace: Pace::Window(4) };
        assert_eq!(
            (echo.work, echo.protocol, echo.size),
            (Work::One(Workload::Fanout(rooms)), Protocol::Binary, 99)
        );
        let idle = task("idle --connections 100 --rooms 8").unwrap();
        assert_eq!((idle.work, idle.path), (Work::One(Workload::Idle { rooms: 8, members: 13 }), CHAT_PATH));
        assert_eq!(task("churn").unwrap().work, Work::One(Workload::Churn { connections: 64 }));
        assert_eq!(task("churn -- server --port 0").unwrap().common.command, ["server", "--port", "0"]);
    }

    #[test]
    fn modes_of_several_runs_become_their_rooms() {
        let durable = task("durable --publishers 10 --rooms 4 --window 8 --rounds 3").unwrap();
        let pace = Pace::Window(8);
        let rooms = Rooms { rooms: 4, members: 3, publishers: 3, stalled: 0, pace };
        assert_eq!((durable.work, durable.path), (Work::Durable { rooms, rounds: 3 }, CHAT_PATH));
        let recovery = task("recovery --rooms 2 --members 3 --missed 4 --behind 5").unwrap();
        let returning = Returning { rooms: 2, members: 3, missed: 4, behind: 5 };
        assert_eq!((recovery.work, recovery.protocol), (Work::Recovery(returning), Protocol::Chat));
        let latency = task("latency --members 5 --chat").unwrap();
        assert!(matches!(
            latency.work,
            Work::Latency { rooms: Rooms { rooms: 1, members: 5, publishers: 1, .. } }
        ));
        assert_eq!(latency.path, CHAT_PATH);
        let fairness = task("fairness --crowd 50 --crowd-rate 2 --rate 9").unwrap();
        let rooms = Rooms { rooms: 10, members: 10, ..alone(Pace::Rate(9.0)) };
        assert_eq!(fairness.work, Work::Fairness { rooms, crowd: 50, rate: 2.0 });
    }

    #[test]
    fn contradictions_are_refused() {
        for line in [
            "",
            "fanout --window 2 --rate 3",
            "echo --pid 1",
            "echo --token t",
            "idle --seconds x",
            "churn ws://h -- server",
            "durable --rounds 0",
            "echo --scrape 0.01",
            "echo --no-metrics --scrape 1",
        ] {
            assert!(task(line).is_err(), "{line}");
        }
    }
}
