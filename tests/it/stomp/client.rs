//! A STOMP client.

use crate::support::frame::{self, Frame};
use crate::support::raw::upgrade_lines;
use crate::support::{Raw, TestServer};

/// A frame from the server.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Reply {
    pub(crate) command: String,
    pub(crate) headers: Vec<(String, String)>,
    pub(crate) body: Vec<u8>,
}

impl Reply {
    /// Reads a frame whose headers are escaped as in 1.2, or not at all.
    fn parse(payload: &[u8], escaped: bool) -> Reply {
        let end = payload.windows(2).position(|two| two == b"\n\n").expect("an empty line");
        let head = std::str::from_utf8(&payload[..end]).expect("text");
        let (command, lines) = head.split_once('\n').unwrap_or((head, ""));
        let plain =
            |text: &str| if escaped && command != "CONNECTED" { unescape(text) } else { text.to_owned() };
        let header = |line: &str| {
            let (name, value) = line.split_once(':').expect("a colon");
            (plain(name), plain(value))
        };
        let headers = lines.lines().map(header).collect();
        let body = payload[end + 2..].strip_suffix(b"\0").expect("a NUL").to_vec();
        let reply = Reply { command: command.to_owned(), headers, body };
        if let Some(len) = reply.header("content-length") {
            assert_eq!(len.parse(), Ok(reply.body.len()));
        }
        reply
    }

    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(other, _)| other == name).map(|(_, value)| value.as_str())
    }

    /// The value of a header that there must be.
    pub(crate) fn get(&self, name: &str) -> &str {
        self.header(name).unwrap_or_else(|| panic!("no {name}: {self:?}"))
    }

    pub(crate) fn text(&self) -> &str {
        std::str::from_utf8(&self.body).expect("text")
    }
}

fn unescape(text: &str) -> String {
    let (mut out, mut rest) = (String::new(), text.chars());
    while let Some(character) = rest.next() {
        out.push(match (character, character == '\\') {
            (_, false) => character,
            (_, true) => match rest.next() {
                Some('n') => '\n',
                Some('r') => '\r',
                Some('c') => ':',
                Some('\\') => '\\',
                other => panic!("an undefined escape: {other:?}"),
            },
        });
    }
    out
}

/// A connected client.
#[derive(Debug)]
pub(crate) struct Stomp {
    pub(crate) raw: Raw,
    escaped: bool,
}

impl Stomp {
    /// A WebSocket that offers these subprotocols; also the one that the server chose.
    pub(crate) fn open(server: &TestServer, path: &str, offer: &str) -> (Stomp, Option<String>) {
        let mut raw = Raw::connect(server);
        let mut head = upgrade_lines(path);
        if !offer.is_empty() {
            head += &format!("Sec-WebSocket-Protocol: {offer}\r\n");
        }
        raw.send(format!("{head}\r\n").as_bytes());
        let reply = raw.reply();
        assert_eq!(reply.status, 101);
        let chosen = reply.header("sec-websocket-protocol").map(str::to_owned);
        (Stomp { raw, escaped: true }, chosen)
    }

    /// A session of 1.2 that has said nothing.
    pub(crate) fn raw(server: &TestServer) -> Stomp {
        Stomp::open(server, "/ws/stomp", "v12.stomp").0
    }

    /// A session of 1.2 under this name.
    pub(crate) fn connect(server: &TestServer, login: &str) -> Stomp {
        let mut stomp = Stomp::raw(server);
        stomp.say(&format!("CONNECT\naccept-version:1.2\nhost:h\nlogin:{login}\n\n\0"));
        stomp.expect("CONNECTED");
        stomp
    }

    /// A session of this version, without subprotocol.
    pub(crate) fn speaking(server: &TestServer, version: &str) -> Stomp {
        let (mut stomp, _) = Stomp::open(server, "/ws/stomp", "");
        stomp.say(&format!("CONNECT\naccept-version:{version}\nhost:h\n\n\0"));
        assert_eq!(stomp.expect("CONNECTED").get("version"), version);
        stomp.escaped = version != "1.0";
        stomp
    }

    /// Sends a text message.
    pub(crate) fn say(&mut self, wire: &str) {
        self.raw.send(&frame::masked(frame::TEXT, wire.as_bytes()));
    }

    /// Sends a binary message.
    pub(crate) fn say_bytes(&mut self, wire: &[u8]) {
        self.raw.send(&frame::masked(frame::BINARY, wire));
    }

    /// The next message, pings and heart-beats apart.
    fn message(&mut self) -> Frame {
        loop {
            let frame = self.raw.frame();
            if frame.first != frame::PING && frame.payload != b"\n" {
                return frame;
            }
        }
    }

    /// The next frame.
    pub(crate) fn next(&mut self) -> Reply {
        let frame = self.message();
        assert!(matches!(frame.first, frame::TEXT | frame::BINARY), "{frame:?}");
        let is_text = std::str::from_utf8(&frame.payload).is_ok();
        assert_eq!(frame.first == frame::TEXT, is_text, "text goes as text");
        Reply::parse(&frame.payload, self.escaped)
    }

    /// The next frame, which must have this command.
    pub(crate) fn expect(&mut self, command: &str) -> Reply {
        let reply = self.next();
        assert_eq!(reply.command, command, "{reply:?}");
        reply
    }

    /// The bodies of the next messages.
    pub(crate) fn hear(&mut self, count: usize) -> Vec<String> {
        (0..count).map(|_| self.expect("MESSAGE").text().to_owned()).collect()
    }

    /// Sends frames, the last of which asks for the receipt `done`, and waits for that; returns it. Nothing else comes.
    pub(crate) fn settle(&mut self, wire: &str) -> Reply {
        self.say(wire);
        let reply = self.expect("RECEIPT");
        assert_eq!(reply.get("receipt-id"), "done");
        reply
    }

    /// Subscribes, and waits until that is so.
    pub(crate) fn subscribe(&mut self, id: &str, destination: &str, more: &str) -> Reply {
        self.settle(&format!("SUBSCRIBE\nid:{id}\ndestination:{destination}\n{more}receipt:done\n\n\0"))
    }

    pub(crate) fn publish(&mut self, destination: &str, body: &str) {
        self.say(&format!("SEND\ndestination:{destination}\n\n{body}\0"));
    }

    /// Waits until everything before has had its effect. Nothing comes in the meantime.
    pub(crate) fn sync(&mut self) {
        self.settle("BEGIN\ntransaction:sync\n\n\0ABORT\ntransaction:sync\nreceipt:done\n\n\0");
    }

    /// The server says ERROR with this message and closes with this code; nothing comes after. Returns the ERROR.
    pub(crate) fn expect_error(mut self, message: &str, code: u16) -> Reply {
        let reply = self.expect("ERROR");
        assert_eq!(reply.get("message"), message, "{reply:?}");
        assert!(!reply.body.is_empty(), "an explanation");
        self.expect_close(code);
        reply
    }

    /// The server closes.
    pub(crate) fn expect_close(&mut self, code: u16) {
        let frame = self.message();
        assert_eq!(frame.close_code(), Some(code), "{frame:?}");
        self.raw.send_anyway(&frame::masked(frame::CLOSE, &code.to_be_bytes()));
        self.raw.expect_end();
    }
}
