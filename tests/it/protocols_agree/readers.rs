//! Readers of a room, each in its own tongue.

use std::collections::VecDeque;

use serde_json::Value;

use crate::support::{Chat, Client, Raw, TestServer};

/// What a reader speaks.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Tongue {
    Json,
    Stomp,
    Events,
    Polls,
}

impl Tongue {
    pub(crate) const ALL: [Tongue; 4] = [Tongue::Json, Tongue::Stomp, Tongue::Events, Tongue::Polls];
}

/// Where a reader is in the log.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Position {
    pub(crate) epoch: Option<u64>,
    pub(crate) seq: u64,
}

impl Position {
    fn query(self) -> String {
        let epoch = self.epoch.map_or(String::new(), |epoch| format!("&epoch={epoch:016x}"));
        format!("sinceSeq={}{epoch}", self.seq)
    }
}

/// One connection, or for polls one after the other.
pub(crate) enum Reader<'s> {
    Json(Chat),
    Stomp(Client),
    Events(Raw),
    Polls { server: &'s TestServer, room: String, position: Position, news: VecDeque<Value> },
}

impl<'s> Reader<'s> {
    /// Reads what comes after `position`.
    pub(crate) fn open(server: &'s TestServer, tongue: Tongue, room: &str, position: Position) -> Reader<'s> {
        match tongue {
            Tongue::Json => {
                Reader::Json(Chat::enter(server, room, "reader", &format!("&{}", position.query())))
            }
            Tongue::Stomp => {
                let mut client = Client::connect(server, "/ws/stomp");
                client.send_text("CONNECT\naccept-version:1.2\nhost:h\nheart-beat:0,0\n\n\0");
                assert!(client.text().starts_with("CONNECTED\n"));
                let epoch = position.epoch.map_or(String::new(), |epoch| format!("epoch:{epoch:016x}\n"));
                let since = format!("since-seq:{}\n{epoch}", position.seq);
                client.send_text(&format!("SUBSCRIBE\nid:0\ndestination:/topic/{room}\n{since}\n\0"));
                Reader::Stomp(client)
            }
            Tongue::Events => {
                let mut raw = Raw::connect(server);
                raw.send(
                    format!("GET /sse/rooms/{room}?{} HTTP/1.1\r\nHost: h\r\n\r\n", position.query())
                        .as_bytes(),
                );
                assert_eq!(raw.reply().status, 200);
                Reader::Events(raw)
            }
            Tongue::Polls => Reader::Polls { server, room: room.into(), position, news: VecDeque::new() },
        }
    }

    /// The next message: its position and its content.
    pub(crate) fn next(&mut self) -> (Position, String) {
        let Heard { epoch, to, content, .. } = self.heard();
        (Position { epoch, seq: to }, content.expect("a message and no gap"))
    }

    /// The next message or gap: its first and its last number, and whether it is a gap.
    pub(crate) fn hear(&mut self) -> (u64, u64, bool) {
        let Heard { from, to, content, .. } = self.heard();
        (from, to, content.is_none())
    }

    fn heard(&mut self) -> Heard {
        match self {
            Reader::Json(chat) => message(&chat.next()),
            Reader::Stomp(client) => stomp_message(&client.text()),
            Reader::Events(raw) => loop {
                let event = raw.paragraph().expect("an event");
                if let Some(data) = event.lines().find_map(|line| line.strip_prefix("data: ")) {
                    break message(&serde_json::from_str(data).expect("JSON"));
                }
            },
            Reader::Polls { server, room, position, news } => loop {
                if let Some(next) = news.pop_front() {
                    break message(&next);
                }
                let mut raw = Raw::connect(server);
                let request = format!("GET /poll/rooms/{room}?{}&wait=20", position.query());
                raw.send(format!("{request} HTTP/1.1\r\nHost: h\r\n\r\n").as_bytes());
                let reply = raw.reply();
                let at =
                    reply.header("foghorn-position").and_then(|at| at.split_once(':')).expect("a position");
                *position = Position {
                    epoch: u64::from_str_radix(at.0, 16).ok(),
                    seq: at.1.parse().expect("a number"),
                };
                *news = serde_json::from_slice(&reply.body).expect("an array");
                let last = news.back().map(|last| message(last).to);
                assert!(last.is_none_or(|last| last == position.seq), "{last:?} and {}", position.seq);
            },
        }
    }
}

/// A message, or a gap, which has no content.
struct Heard {
    /// The log has one epoch in these tests; who does not get it with each message does without.
    epoch: Option<u64>,
    from: u64,
    to: u64,
    content: Option<String>,
}

fn message(json: &Value) -> Heard {
    let number = |name: &str| json[name].as_u64().expect("a number");
    if json["type"] == "GAP" {
        return Heard { epoch: None, from: number("from"), to: number("to"), content: None };
    }
    let (seq, content) = (number("seq"), json["content"].as_str().expect("a message").to_owned());
    Heard { epoch: None, from: seq, to: seq, content: Some(content) }
}

fn stomp_message(frame: &str) -> Heard {
    let (head, body) = frame.split_once("\n\n").expect("a head");
    assert!(head.starts_with("MESSAGE\n"), "{head}");
    let header = |name: &str| head.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(':'));
    let number = |name: &str| header(name).and_then(|number| number.parse().ok()).expect("a number");
    let epoch = header("epoch").and_then(|epoch| u64::from_str_radix(epoch, 16).ok());
    assert!(epoch.is_some(), "{head}");
    if header("type") == Some("GAP") {
        return Heard { epoch, from: number("from"), to: number("to"), content: None };
    }
    let content = body.trim_end_matches('\0').to_owned();
    Heard { epoch, from: number("seq"), to: number("seq"), content: Some(content) }
}
