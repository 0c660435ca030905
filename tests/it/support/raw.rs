//! A TCP connection whose every byte the test decides on.

use std::io::{ErrorKind, Read, Write};
use std::net::{Shutdown, SocketAddr, TcpStream};

use serde_json::Value;
use socket2::{Domain, Socket, Type};

use super::frame::{self, Frame};
use super::{PATIENCE, TestServer};

/// The request head of a correct upgrade, without its last line.
pub(crate) fn upgrade_lines(path: &str) -> String {
    format!(
        "GET {path} HTTP/1.1\r\nHost: h\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\
         Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n"
    )
}

/// A correct upgrade.
pub(crate) fn upgrade(path: &str) -> Vec<u8> {
    format!("{}\r\n", upgrade_lines(path)).into_bytes()
}

/// A response to an HTTP request.
#[derive(Clone, Debug)]
pub(crate) struct Reply {
    pub(crate) status: u16,
    head: String,
    pub(crate) body: Vec<u8>,
}

impl Reply {
    /// The value of a header, its name in any case.
    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        self.head.lines().skip(1).find_map(|line| {
            let (other, value) = line.split_once(':')?;
            other.eq_ignore_ascii_case(name).then_some(value.trim())
        })
    }
}

/// One connection, as a rule over plain TCP.
#[derive(Debug)]
pub(crate) struct Raw<S = TcpStream> {
    stream: S,
    /// Read, but not looked at.
    pending: Vec<u8>,
}

impl Raw {
    pub(crate) fn connect(server: &TestServer) -> Raw {
        Raw::over(TcpStream::connect(server.address()).expect("a connection"))
    }

    /// A connection to a server in a process of its own.
    pub(crate) fn connect_to(address: SocketAddr) -> Raw {
        Raw::over(TcpStream::connect(address).expect("a connection"))
    }

    /// A WebSocket on `path` of a server in a process of its own.
    pub(crate) fn open_at(address: SocketAddr, path: &str) -> Raw {
        Raw::connect_to(address).upgraded(path)
    }

    pub(crate) fn over(stream: TcpStream) -> Raw {
        stream.set_nodelay(true).expect("no delay");
        stream.set_read_timeout(Some(PATIENCE)).expect("a read timeout");
        stream.set_write_timeout(Some(PATIENCE)).expect("a write timeout");
        Raw::on(stream)
    }

    /// A WebSocket on `path`.
    pub(crate) fn open(server: &TestServer, path: &str) -> Raw {
        Raw::connect(server).upgraded(path)
    }

    /// As [`Raw::open`], with an offer of extensions; the server's answer to that comes with it.
    pub(crate) fn offering(server: &TestServer, path: &str, offer: &str) -> (Raw, Option<String>) {
        Raw::offering_to(server.address(), path, offer)
    }

    /// As [`Raw::offering`], for a server in a process of its own.
    pub(crate) fn offering_to(address: SocketAddr, path: &str, offer: &str) -> (Raw, Option<String>) {
        let mut raw = Raw::over(TcpStream::connect(address).expect("a connection"));
        let lines = upgrade_lines(path);
        raw.send(format!("{lines}Sec-WebSocket-Extensions: {offer}\r\n\r\n").as_bytes());
        let reply = raw.reply();
        assert_eq!(reply.status, 101, "{offer}");
        let answer = reply.header("sec-websocket-extensions").map(str::to_owned);
        (raw, answer)
    }

    /// As [`Raw::open`], with little room in the kernel for what is not read.
    pub(crate) fn open_with_small_buffer(server: &TestServer, path: &str) -> Raw {
        Raw::connect_with_small_buffer(server).upgraded(path)
    }

    /// As [`Raw::connect`], with little room in the kernel for what is not read.
    pub(crate) fn connect_with_small_buffer(server: &TestServer) -> Raw {
        let socket = Socket::new(Domain::IPV4, Type::STREAM, None).expect("a socket");
        socket.set_recv_buffer_size(4096).expect("a small buffer");
        socket.connect(&server.address().into()).expect("a connection");
        Raw::over(socket.into())
    }

    /// Ends this side; the server can still be heard.
    pub(crate) fn finish(&self) {
        self.stream.shutdown(Shutdown::Write).expect("a connection");
    }

    /// Drops the connection with a reset instead of an orderly end.
    pub(crate) fn reset(self) {
        let socket = Socket::from(self.stream);
        socket.set_linger(Some(std::time::Duration::ZERO)).expect("lingering for no time");
    }
}

impl<S: Read + Write> Raw<S> {
    /// Over a stream that blocks, and not for ever.
    pub(crate) fn on(stream: S) -> Raw<S> {
        Raw { stream, pending: Vec::new() }
    }

    /// Becomes a WebSocket on `path`.
    pub(crate) fn upgraded(self, path: &str) -> Raw<S> {
        let mut raw = self;
        raw.send(&upgrade(path));
        assert_eq!(raw.reply().status, 101, "{path}");
        raw
    }

    pub(crate) fn stream(&self) -> &S {
        &self.stream
    }

    pub(crate) fn stream_mut(&mut self) -> &mut S {
        &mut self.stream
    }

    pub(crate) fn send(&mut self, bytes: &[u8]) {
        self.stream.write_all(bytes).expect("the server takes it");
    }

    /// Sends as far as the server takes it; it may have closed already.
    pub(crate) fn send_anyway(&mut self, bytes: &[u8]) {
        let _closed_already = self.stream.write_all(bytes);
    }

    pub(crate) fn send_bytewise(&mut self, bytes: &[u8]) {
        for byte in bytes {
            self.send(&[*byte]);
        }
    }

    /// Reads more. False at the end of the stream.
    fn fill(&mut self) -> bool {
        let mut bytes = [0; 65_536];
        match self.stream.read(&mut bytes) {
            Ok(0) => false,
            Ok(count) => {
                self.pending.extend_from_slice(&bytes[..count]);
                true
            }
            Err(error) => panic!("nothing to read: {error}; pending {}", self.pending.escape_ascii()),
        }
    }

    /// The response to a request with a body.
    pub(crate) fn reply(&mut self) -> Reply {
        self.reply_to(false)
    }

    /// The response to a `HEAD`.
    pub(crate) fn reply_to_head(&mut self) -> Reply {
        self.reply_to(true)
    }

    fn reply_to(&mut self, head_only: bool) -> Reply {
        let end = loop {
            if let Some(at) = self.pending.windows(4).position(|four| four == b"\r\n\r\n") {
                break at + 4;
            }
            assert!(self.fill(), "no response: {}", self.pending.escape_ascii());
        };
        let rest = self.pending.split_off(end);
        let head = String::from_utf8(std::mem::replace(&mut self.pending, rest)).expect("an ASCII head");
        let status = head.get(9..12).and_then(|code| code.parse().ok());
        let status = status.unwrap_or_else(|| panic!("no status line: {head}"));
        let mut reply = Reply { status, head, body: Vec::new() };
        let len = reply.header("content-length").map_or(0, |len| len.parse().expect("a length"));
        if !head_only {
            while self.pending.len() < len {
                assert!(self.fill(), "the body is cut off");
            }
            let rest = self.pending.split_off(len);
            reply.body = std::mem::replace(&mut self.pending, rest);
        }
        reply
    }

    /// The status of the next response; `None` if the connection ends without one, in order or not.
    pub(crate) fn status_or_end(&mut self) -> Option<u16> {
        let mut bytes = [0; 1024];
        while !self.pending.windows(4).any(|four| four == b"\r\n\r\n") {
            match self.stream.read(&mut bytes) {
                Ok(0) => return None,
                Ok(count) => self.pending.extend_from_slice(&bytes[..count]),
                Err(error) if error.kind() == ErrorKind::ConnectionReset => return None,
                Err(error) => panic!("no answer: {error}"),
            }
        }
        Some(self.reply_to_head().status)
    }

    /// What comes before the next empty line; `None` at the end of the stream.
    pub(crate) fn paragraph(&mut self) -> Option<String> {
        loop {
            if let Some(at) = self.pending.windows(2).position(|two| two == b"\n\n") {
                let rest = self.pending.split_off(at + 2);
                let mut paragraph = std::mem::replace(&mut self.pending, rest);
                paragraph.truncate(at);
                return Some(String::from_utf8(paragraph).expect("UTF-8"));
            }
            if !self.fill() {
                assert!(self.pending.is_empty(), "cut off: {}", self.pending.escape_ascii());
                return None;
            }
        }
    }

    /// The next frame; `None` at the end of the stream.
    pub(crate) fn next_frame(&mut self) -> Option<Frame> {
        loop {
            if let Some(frame) = Frame::take(&mut self.pending) {
                return Some(frame);
            }
            if !self.fill() {
                assert!(self.pending.is_empty(), "a frame is cut off: {}", self.pending.escape_ascii());
                return None;
            }
        }
    }

    /// The next frame; `None` at the end of the stream, in order or not.
    pub(crate) fn frame_or_reset(&mut self) -> Option<Frame> {
        loop {
            if let Some(frame) = Frame::take(&mut self.pending) {
                return Some(frame);
            }
            let mut bytes = [0; 65_536];
            match self.stream.read(&mut bytes) {
                Ok(0) => return None,
                Ok(count) => self.pending.extend_from_slice(&bytes[..count]),
                Err(error) if error.kind() == ErrorKind::ConnectionReset => return None,
                Err(error) => panic!("no end: {error}"),
            }
        }
    }

    /// The next frame, which there must be.
    pub(crate) fn frame(&mut self) -> Frame {
        self.next_frame().expect("a frame before the end")
    }

    /// The server ends the connection, having said nothing more.
    pub(crate) fn expect_end(&mut self) {
        assert!(!self.fill(), "more: {}", self.pending.escape_ascii());
        assert!(self.pending.is_empty(), "before the end: {}", self.pending.escape_ascii());
    }

    /// The connection is over, in order or not: what counts is that nothing more can be read.
    pub(crate) fn expect_gone(&mut self) {
        let mut byte = [0; 1];
        loop {
            match self.stream.read(&mut byte) {
                Ok(0) => return,
                Ok(_) => {}
                Err(error) => {
                    let kind = error.kind();
                    assert_eq!(kind, ErrorKind::ConnectionReset, "the connection never ends: {error}");
                    return;
                }
            }
        }
    }

    /// A Close frame with that code comes, and nothing after it but the end of the stream.
    pub(crate) fn expect_close(&mut self, code: u16) {
        let frame = self.frame();
        assert_eq!(frame.close_code(), Some(code), "{frame:?}");
        self.send_anyway(&frame::masked(frame::CLOSE, &code.to_be_bytes()));
        self.expect_end();
    }
}

/// Asks by REST, from this machine; the status and the body.
pub(crate) fn ask(address: SocketAddr, method: &str, path: &str, body: Option<&Value>) -> (u16, Value) {
    let body = body.map(ToString::to_string).unwrap_or_default();
    let mut raw = Raw::connect_to(address);
    let kind = if body.is_empty() { "" } else { "Content-Type: application/json\r\n" };
    let head = format!(
        "{method} {path} HTTP/1.1\r\nHost: {address}\r\n{kind}Content-Length: {}\r\n\r\n",
        body.len()
    );
    raw.send(format!("{head}{body}").as_bytes());
    let reply = raw.reply();
    (reply.status, serde_json::from_slice(&reply.body).unwrap_or_default())
}
