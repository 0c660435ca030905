//! A reader of `/sse/rooms/{id}`, as a browser parses it.

use std::time::Duration;

use serde_json::Value;

use crate::support::{Raw, Reply, TestServer};

/// One event: the position it leaves the reader at, and its data, if it has any.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Event {
    pub(crate) id: Option<String>,
    pub(crate) data: Option<Value>,
}

impl Event {
    pub(crate) fn seq(&self) -> u64 {
        let id = self.id.as_deref().expect("an id");
        id.split_once(':').expect("a position").1.parse().expect("a number")
    }

    pub(crate) fn data(&self) -> &Value {
        self.data.as_ref().expect("data")
    }
}

/// A stream of events.
pub(crate) struct Reader {
    raw: Raw,
    /// The last position, as a browser would bring it back.
    pub(crate) last_id: Option<String>,
}

impl Reader {
    /// Follows a room from `query` on.
    pub(crate) fn open(server: &TestServer, room: &str, query: &str) -> Reader {
        Reader::over(Raw::connect(server), room, query, None)
    }

    /// Comes back after the position of an earlier stream.
    pub(crate) fn resume(server: &TestServer, room: &str, last_id: &str) -> Reader {
        Reader::over(Raw::connect(server), room, "", Some(last_id))
    }

    pub(crate) fn over(mut raw: Raw, room: &str, query: &str, last_id: Option<&str>) -> Reader {
        let last = last_id.map_or(String::new(), |id| format!("Last-Event-ID: {id}\r\n"));
        raw.send(format!("GET /sse/rooms/{room}?{query} HTTP/1.1\r\nHost: h\r\n{last}\r\n").as_bytes());
        let reply = raw.reply();
        assert_eq!((reply.status, reply.header("content-type")), (200, Some("text/event-stream")));
        assert_eq!(
            reply.header("connection"),
            Some("close"),
            "the end of the body is the end of the connection"
        );
        let mut reader = Reader { raw, last_id: last_id.map(str::to_owned) };
        // Before anything else comes the time to wait before coming back, with the position if that is the newest.
        assert_eq!(reader.next().expect("a beginning").data, None);
        reader
    }

    /// The next event, comments left out; `None` at the end.
    pub(crate) fn next(&mut self) -> Option<Event> {
        loop {
            let lines = self.raw.paragraph()?;
            let mut event = Event { id: None, data: None };
            for line in lines.lines() {
                match line.split_once(": ") {
                    Some(("id", id)) => event.id = Some(id.to_owned()),
                    Some(("data", data)) => event.data = Some(serde_json::from_str(data).expect("JSON")),
                    Some(("retry", millis)) => assert_eq!(millis, "1000"),
                    other => {
                        assert!(other.is_none() && line == ":", "not a line of an event stream: {line:?}")
                    }
                }
            }
            if lines == ":" {
                continue;
            }
            self.last_id = event.id.clone().or(self.last_id.take());
            return Some(event);
        }
    }

    /// The contents of the next messages.
    pub(crate) fn hear(&mut self, count: usize) -> Vec<String> {
        let mut heard = Vec::new();
        while heard.len() < count {
            let event = self.next().expect("an event");
            heard.push(event.data()["content"].as_str().expect("a message").to_owned());
        }
        heard
    }

    pub(crate) fn raw(&mut self) -> &mut Raw {
        &mut self.raw
    }
}

/// Asks for what comes next.
pub(crate) fn poll(server: &TestServer, room: &str, query: &str) -> Reply {
    let mut raw = Raw::connect(server);
    raw.send(format!("GET /poll/rooms/{room}?{query} HTTP/1.1\r\nHost: h\r\n\r\n").as_bytes());
    raw.reply()
}

/// The objects of a poll's answer.
pub(crate) fn news(reply: &Reply) -> Vec<Value> {
    assert_eq!(reply.status, 200, "{}", String::from_utf8_lossy(&reply.body));
    serde_json::from_slice(&reply.body).expect("a JSON array")
}

/// Asks for anything.
pub(crate) fn ask(server: &TestServer, method: &str, path: &str, fields: &str) -> Reply {
    let mut raw = Raw::connect(server);
    // What an administrator does is answered to this machine alone.
    let host = if matches!(method, "POST" | "DELETE") { "localhost" } else { "h" };
    raw.send(format!("{method} {path} HTTP/1.1\r\nHost: {host}\r\n{fields}\r\n").as_bytes());
    if method == "HEAD" { raw.reply_to_head() } else { raw.reply() }
}

/// Heartbeats so rare that a test never sees one.
pub(crate) const NEVER: Duration = Duration::ZERO;
