//! What a client says: how it comes, what it publishes, and what is no message.

use super::*;

impl Client {
    pub(super) fn come(&mut self, from: From, around: &mut Around<'_>) {
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

    pub(super) fn poll_request(&self, query: &str) -> String {
        let (room, user) = (self.room(), self.user());
        format!("GET /poll/rooms/{room}?username={user}&wait=5{query} HTTP/1.1\r\nHost: localhost\r\n\r\n")
    }

    pub(super) fn query(&self, from: From) -> String {
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

    pub(super) fn say(&mut self, bytes: usize, with_id: bool, around: &mut Around<'_>) {
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

    pub(super) fn repeat(&mut self, around: &mut Around<'_>) {
        if let (Some((_, id, content)), State::Inside) = (self.last.clone(), self.state) {
            self.publish(&content, Some(&id), around);
        }
    }

    pub(super) fn publish(&mut self, content: &str, id: Option<&str>, around: &mut Around<'_>) {
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
    pub(super) fn session(&self) -> (usize, usize) {
        (self.number * 1000 + self.sessions, self.said)
    }

    pub(super) fn nonsense(&mut self, kind: u8) {
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
}
