//! An independent client, `tungstenite`, and a member of a chat room on top of it.

use std::io::ErrorKind;
use std::net::TcpStream;

use serde_json::{Value, json};
use tungstenite::{Error, Message, WebSocket};

use super::{PATIENCE, TestServer, now};

/// A connected client.
#[derive(Debug)]
pub(crate) struct Client {
    socket: WebSocket<TcpStream>,
}

impl Client {
    pub(crate) fn connect(server: &TestServer, path: &str) -> Client {
        let stream = TcpStream::connect(server.address()).expect("a connection");
        stream.set_nodelay(true).expect("no delay");
        stream.set_read_timeout(Some(PATIENCE)).expect("a read timeout");
        stream.set_write_timeout(Some(PATIENCE)).expect("a write timeout");
        let url = format!("ws://{}{path}", server.address());
        let (socket, _) = tungstenite::client(url, stream).expect("an upgrade");
        Client { socket }
    }

    pub(crate) fn stream(&self) -> &TcpStream {
        self.socket.get_ref()
    }

    pub(crate) fn send(&mut self, message: Message) {
        self.socket.send(message).expect("the server takes it");
    }

    pub(crate) fn send_text(&mut self, text: &str) {
        self.send(Message::text(text));
    }

    /// The next message, control frames included.
    pub(crate) fn next(&mut self) -> Result<Message, Error> {
        match self.socket.read() {
            Err(Error::Io(error)) if matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut) => {
                panic!("nothing came in time")
            }
            read => read,
        }
    }

    /// The next text or binary message, which there must be.
    pub(crate) fn message(&mut self) -> Message {
        loop {
            let message = self.next().expect("a message");
            if !matches!(message, Message::Ping(_) | Message::Pong(_)) {
                return message;
            }
        }
    }

    /// The next message, which must be text.
    pub(crate) fn text(&mut self) -> String {
        let message = self.message();
        assert!(message.is_text(), "not text: {message:?}");
        message.to_text().expect("text").to_owned()
    }

    /// Reads to the end; returns the texts that came before it and the code of the server's Close frame.
    pub(crate) fn read_to_close(&mut self) -> (Vec<String>, Option<u16>) {
        let (mut texts, mut code) = (Vec::new(), None);
        let start = now();
        loop {
            // Pings come all the time from a server that does not close.
            assert!(start.elapsed() < PATIENCE, "never closed; {texts:?}");
            match self.next() {
                Ok(Message::Text(text)) => texts.push(text.to_string()),
                Ok(Message::Close(frame)) => code = frame.map(|frame| frame.code.into()),
                Ok(_) => {}
                Err(Error::ConnectionClosed) => return (texts, code),
                Err(error) => panic!("no orderly end: {error}, after code {code:?}"),
            }
        }
    }

    /// The server closes with this code, and nothing comes before.
    pub(crate) fn expect_close(&mut self, code: u16) {
        assert_eq!(self.read_to_close(), (vec![], Some(code)));
    }

    /// Closes in order.
    pub(crate) fn close(mut self) {
        self.socket.close(None).expect("a close frame can be sent");
        while self.next().is_ok() {}
    }
}

/// A member of a chat room.
#[derive(Debug)]
pub(crate) struct Chat {
    pub(crate) client: Client,
}

impl Chat {
    /// Joins, and reads up to its own JOIN.
    pub(crate) fn join(server: &TestServer, room: &str, user: &str) -> Chat {
        let mut chat = Chat::enter(server, room, user, "");
        let join = chat.next();
        assert_eq!((&join["type"], &join["content"]), (&json!("JOIN"), &json!(format!("{user} joined"))));
        chat
    }

    /// Joins with more in the query (`&hello=1`), and reads nothing.
    pub(crate) fn enter(server: &TestServer, room: &str, user: &str, query: &str) -> Chat {
        let path = format!("/ws/chat?roomId={room}&username={user}{query}");
        Chat { client: Client::connect(server, &path) }
    }

    pub(crate) fn say(&mut self, content: &str) {
        self.client.send_text(&json!({ "content": content }).to_string());
    }

    /// Publishes with the client's own id.
    pub(crate) fn say_once(&mut self, id: &str, content: &str) {
        self.client.send_text(&json!({ "content": content, "id": id }).to_string());
    }

    /// The next object that the server sends; a text that only keeps the connection alive is not one.
    pub(crate) fn next(&mut self) -> Value {
        let mut text = self.client.text();
        while text == "HEARTBEAT" {
            text = self.client.text();
        }
        serde_json::from_str(&text).unwrap_or_else(|error| panic!("{error}: {text}"))
    }

    /// The next object, which must be of this type.
    pub(crate) fn expect(&mut self, kind: &str) -> Value {
        let value = self.next();
        assert_eq!(value["type"], kind, "{value}");
        value
    }

    /// The contents of the next messages, which must be of type MESSAGE.
    pub(crate) fn hear(&mut self, count: usize) -> Vec<String> {
        (0..count).map(|_| content(&self.expect("MESSAGE"))).collect()
    }
}

/// Follows the numbers of a member's messages: each comes once and in order, or lies in a gap that was told.
#[derive(Debug)]
pub(crate) struct Coverage {
    /// The number that comes next.
    pub(crate) next: u64,
    /// Messages that were received.
    pub(crate) received: u64,
    /// Gaps that were told.
    pub(crate) gaps: u64,
}

impl Coverage {
    pub(crate) fn from(next: u64) -> Coverage {
        Coverage { next, received: 0, gaps: 0 }
    }

    /// Takes the next object of the member.
    pub(crate) fn take(&mut self, value: &Value) {
        if value["type"] == "GAP" {
            assert_eq!(value["from"], self.next, "{value}");
            let to = value["to"].as_u64().unwrap_or_else(|| panic!("no end: {value}"));
            assert!(to >= self.next, "an empty gap: {value}");
            self.next = to + 1;
            self.gaps += 1;
        } else {
            assert_eq!(seq(value), self.next, "{value}");
            self.next += 1;
            self.received += 1;
        }
    }
}

/// The content of a message.
pub(crate) fn content(message: &Value) -> String {
    message["content"].as_str().unwrap_or_else(|| panic!("no content: {message}")).to_owned()
}

/// The number of a message.
pub(crate) fn seq(message: &Value) -> u64 {
    message["seq"].as_u64().unwrap_or_else(|| panic!("no number: {message}"))
}
