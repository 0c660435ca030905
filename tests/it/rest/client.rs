//! A server with a store, as a rule in memory, and the clients that ask it. Every wait has a deadline.

use std::fmt::Write as _;
use std::io::{Read, Write as _};
use std::net::{SocketAddr, TcpStream};
use std::thread::JoinHandle;
use std::time::Duration;

use foghorn::chat;
use foghorn::config::Config;
use foghorn::server::{Router, Server, ServerHandle, store_options};
use foghorn::store::{Location, Options, Store, StoreThreads};
use serde_json::{Value, json};
use tungstenite::{Message, WebSocket};

/// How long a test waits for something that must happen.
const PATIENCE: Duration = Duration::from_secs(30);

/// A running server; dropping it shuts it down and waits for its end.
pub(crate) struct TestServer {
    address: SocketAddr,
    handle: ServerHandle,
    thread: Option<JoinHandle<()>>,
    store_threads: Option<StoreThreads>,
}

impl TestServer {
    pub(crate) fn start() -> TestServer {
        TestServer::with(|_| ())
    }

    /// As [`TestServer::start`], with a changed configuration.
    pub(crate) fn with(change: impl FnOnce(&mut Config)) -> TestServer {
        TestServer::with_store(change, |_| Location::Memory)
    }

    /// As [`TestServer::with`], with a changed store, which is at the place returned.
    pub(crate) fn with_store(
        change: impl FnOnce(&mut Config),
        change_store: impl FnOnce(&mut Options) -> Location,
    ) -> TestServer {
        let mut config = Config::default();
        config.workers = Some(2);
        config.limits.close_timeout = Duration::from_millis(500);
        config.shutdown.grace = Duration::from_secs(2);
        change(&mut config);
        let mut options = store_options(&config);
        let location = change_store(&mut options);
        let (store, store_threads) = Store::open(location, options).unwrap();
        let router = chat::rest::routes(chat::routes(Router::new(), &config), &config, &store);
        let address = "127.0.0.1:0".parse().unwrap();
        let server =
            Server::builder().config(config).listen(address).router(router).store(store).start().unwrap();
        let (address, handle) = (server.addresses()[0], server.handle());
        let thread = std::thread::spawn(move || server.run().unwrap());
        TestServer { address, handle, thread: Some(thread), store_threads: Some(store_threads) }
    }

    pub(crate) fn address(&self) -> SocketAddr {
        self.address
    }

    /// A connection to ask on, as often as one likes.
    pub(crate) fn connect(&self) -> Connection {
        let stream = TcpStream::connect(self.address).unwrap();
        stream.set_nodelay(true).unwrap();
        stream.set_read_timeout(Some(PATIENCE)).unwrap();
        stream.set_write_timeout(Some(PATIENCE)).unwrap();
        Connection { stream, host: self.address.to_string(), pending: Vec::new() }
    }

    pub(crate) fn get(&self, path: &str) -> Reply {
        self.connect().ask("GET", path)
    }

    pub(crate) fn post(&self, path: &str, body: &Value) -> Reply {
        self.connect().post(path, body)
    }

    /// Creates a room in the name of alice; says its id.
    pub(crate) fn new_room(&self) -> String {
        let reply = self.post("/api/chat/rooms", &json!({ "name": "A room", "createdBy": "alice" }));
        reply.expect(201).json()["id"].as_str().unwrap().to_owned()
    }

    /// Publishes in a room; says the message.
    pub(crate) fn say(&self, room: &str, content: &str) -> Value {
        let path = format!("/api/chat/rooms/{room}/messages");
        self.post(&path, &json!({ "sender": "alice", "content": content })).expect(201).json()
    }

    /// A session in a room, its own JOIN read.
    pub(crate) fn member(&self, room: &str, user: &str) -> Member {
        let mut member = self.enter(room, user, "");
        assert_eq!(member.next()["content"], format!("{user} joined"));
        member
    }

    /// A session in a room, with more in the query.
    pub(crate) fn enter(&self, room: &str, user: &str, query: &str) -> Member {
        let stream = TcpStream::connect(self.address).unwrap();
        stream.set_read_timeout(Some(PATIENCE)).unwrap();
        let url = format!("ws://{}/ws/chat?roomId={room}&username={user}{query}", self.address);
        let (socket, _) = tungstenite::client(url, stream).unwrap();
        Member { socket }
    }
}

impl Drop for TestServer {
    fn drop(&mut self) {
        self.handle.shutdown();
        if let Some(thread) = self.thread.take()
            && !std::thread::panicking()
        {
            thread.join().unwrap();
        }
        drop(self.store_threads.take());
    }
}

/// A connection that is kept alive.
pub(crate) struct Connection {
    stream: TcpStream,
    host: String,
    /// Read, but not looked at.
    pending: Vec<u8>,
}

impl Connection {
    /// A request without a body.
    pub(crate) fn ask(&mut self, method: &str, path: &str) -> Reply {
        self.ask_with(method, path, &[], b"")
    }

    pub(crate) fn post(&mut self, path: &str, body: &Value) -> Reply {
        self.ask_with("POST", path, &[("Content-Type", "application/json")], body.to_string().as_bytes())
    }

    /// A request with header fields besides `Host` and, if there is a body, `Content-Length`.
    pub(crate) fn ask_with(
        &mut self,
        method: &str,
        path: &str,
        headers: &[(&str, &str)],
        body: &[u8],
    ) -> Reply {
        let mut head = format!("{method} {path} HTTP/1.1\r\nHost: {}\r\n", self.host);
        for (name, value) in headers {
            write!(head, "{name}: {value}\r\n").unwrap();
        }
        if !body.is_empty() {
            write!(head, "Content-Length: {}\r\n", body.len()).unwrap();
        }
        self.send(&[head.as_bytes(), b"\r\n", body].concat());
        self.reply(method == "HEAD")
    }

    pub(crate) fn send(&mut self, bytes: &[u8]) {
        self.stream.write_all(bytes).unwrap();
    }

    /// The next response.
    pub(crate) fn reply(&mut self, head_only: bool) -> Reply {
        let end = loop {
            if let Some(at) = self.pending.windows(4).position(|four| four == b"\r\n\r\n") {
                break at + 4;
            }
            self.fill();
        };
        let rest = self.pending.split_off(end);
        let head = String::from_utf8(std::mem::replace(&mut self.pending, rest)).unwrap();
        let status = head.get(9..12).and_then(|code| code.parse().ok());
        let status = status.unwrap_or_else(|| panic!("no status line: {head}"));
        let mut reply = Reply { status, head, body: Vec::new() };
        let len: usize = reply.header("Content-Length").map_or(0, |len| len.parse().unwrap());
        if !head_only {
            while self.pending.len() < len {
                self.fill();
            }
            let rest = self.pending.split_off(len);
            reply.body = std::mem::replace(&mut self.pending, rest);
        }
        reply
    }

    fn fill(&mut self) {
        let mut bytes = [0; 65_536];
        let count = self.stream.read(&mut bytes).unwrap();
        assert!(count > 0, "the connection ends early: {}", self.pending.escape_ascii());
        self.pending.extend_from_slice(&bytes[..count]);
    }
}

/// A response.
#[derive(Debug)]
pub(crate) struct Reply {
    pub(crate) status: u16,
    head: String,
    pub(crate) body: Vec<u8>,
}

impl Reply {
    /// The value of a header field, its name in any case.
    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        self.head.lines().skip(1).find_map(|line| {
            let (other, value) = line.split_once(':')?;
            other.eq_ignore_ascii_case(name).then_some(value.trim())
        })
    }

    /// Itself, if it has this status.
    pub(crate) fn expect(self, status: u16) -> Reply {
        assert_eq!(self.status, status, "{} {}", self.head, self.body.escape_ascii());
        self
    }

    /// The body, which must be JSON and say so.
    pub(crate) fn json(&self) -> Value {
        assert_eq!(self.header("Content-Type"), Some("application/json"), "{}", self.head);
        serde_json::from_slice(&self.body).unwrap()
    }

    /// The detail of the problem that the body must be.
    pub(crate) fn problem(&self) -> String {
        assert_eq!(self.header("Content-Type"), Some("application/problem+json"), "{}", self.head);
        let problem: Value = serde_json::from_slice(&self.body).unwrap();
        assert_eq!(problem["status"], self.status, "{problem}");
        problem["detail"].as_str().unwrap().to_owned()
    }
}

/// A session in a chat room.
pub(crate) struct Member {
    socket: WebSocket<TcpStream>,
}

impl Member {
    pub(crate) fn say(&mut self, message: &Value) {
        self.socket.send(Message::text(message.to_string())).unwrap();
    }

    /// The next object that comes.
    pub(crate) fn next(&mut self) -> Value {
        loop {
            if let Message::Text(text) = self.socket.read().unwrap() {
                return serde_json::from_str(&text).unwrap();
            }
        }
    }

    /// The code of the Close frame, which must come, whatever comes before.
    pub(crate) fn close_code(&mut self) -> u16 {
        loop {
            if let Message::Close(frame) = self.socket.read().unwrap() {
                return frame.unwrap().code.into();
            }
        }
    }
}
