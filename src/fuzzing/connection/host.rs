//! A server that takes its turns when it is told to, at a time that it is told, and the sockets that lead to it.

use std::io::{self, Read, Write};
use std::net::Shutdown;
use std::os::fd::OwnedFd;
use std::os::linux::net::SocketAddrExt;
use std::os::unix::net::{SocketAddr, UnixListener, UnixStream};
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use super::super::cut;
use super::Cuts;
use super::script::{Act, Script};
use crate::config::Config;
use crate::http::{Response, Status};
use crate::server::{Answer, Api, Request, Responder, Router, Server};
use crate::ws::{OpCode, encode};
use crate::{chat, demo};

/// The longest time that a silent client may stay: it is closed as idle, and its answer is waited for.
const STAY_MAX: Duration = Duration::from_secs(6);
/// How far time goes on at once while the end of a connection is waited for.
const STEP: Duration = Duration::from_millis(500);
/// Attempts to send, with the server's turns between them, until the rest is given up: a server that does not read, since it
/// waits for this client to read, would take it never.
const ATTEMPTS_MAX: usize = 50;
const WITNESS: &[u8] = b"GET /ws/echo HTTP/1.1\r\nHost: h\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\
    Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n";

/// What a member of a room sends before it reads. What comes back of that fits its socket: it never lags.
const MEMBER_WRITE_BYTES_MAX: usize = 2048;

/// A server, alone on this thread.
pub(super) struct Host {
    server: Server,
    write_bytes_max: usize,
    address: SocketAddr,
    now: Duration,
}

/// One end of a connection to it.
pub(super) struct Client {
    socket: UnixStream,
    pub(super) received: Vec<u8>,
    reads: bool,
    ended: bool,
}

/// Sends a body back.
struct Body;

impl Api for Body {
    fn call(&self, request: &Request<'_>, _responder: Responder) -> Answer {
        Answer::Now(Response::new(Status::OK).body("application/octet-stream", request.body.to_vec()))
    }
}

fn config() -> Config {
    let mut config = Config { workers: Some(0), ..Config::default() };
    config.limits.handshake_timeout = Duration::from_secs(2);
    config.limits.message_timeout = Duration::from_secs(3);
    config.limits.write_timeout = Duration::from_secs(3);
    config.limits.close_timeout = Duration::from_secs(1);
    config.limits.reply_bytes = 64 * 1024;
    config.heartbeat.ping_interval = Duration::from_secs(2);
    config.heartbeat.idle_timeout = Duration::from_secs(4);
    config.heartbeat.text_interval = Duration::from_secs(3);
    config.deflate.threshold = 16;
    config.deflate.server_context_takeover = true;
    config.deflate.client_context_takeover = true;
    config
}

impl Host {
    /// For clients that do what the script says.
    pub(super) fn start(script: &Script) -> Host {
        static COUNT: AtomicU64 = AtomicU64::new(0);
        let count = COUNT.fetch_add(1, Ordering::Relaxed);
        let name = format!("foghorn-fuzzing-{}-{count}", std::process::id());
        let address = SocketAddr::from_abstract_name(name).expect("a short name");
        let listener = UnixListener::bind_addr(&address).expect("a name of its own");
        let config = config();
        let router = chat::routes(demo::routes(Router::new()), &config)
            .page("/", Response::text(Status::OK, "a page"))
            .api("/body", Body);
        let builder = Server::builder().config(config).router(router);
        let server = builder.socket(OwnedFd::from(listener), false).start().expect("a server");
        let write_bytes_max = if script.is_in_room() { MEMBER_WRITE_BYTES_MAX } else { usize::MAX };
        Host { server, write_bytes_max, address, now: Duration::ZERO }
    }

    pub(super) fn connect(&mut self) -> Client {
        let socket = UnixStream::connect_addr(&self.address).expect("the server listens");
        socket.set_nonblocking(true).expect("a socket of ours");
        self.settle();
        Client { socket, received: Vec::new(), reads: true, ended: false }
    }

    fn settle(&mut self) {
        self.server.run_until_idle(self.now).expect("the server goes on");
    }

    /// Turns and reads until neither brings anything new.
    fn exchange(&mut self, client: &mut Client) {
        loop {
            self.settle();
            if !client.receive() {
                return;
            }
        }
    }

    pub(super) fn play(&mut self, client: &mut Client, act: &Act, cuts: Option<Cuts>) {
        match act {
            Act::Send(bytes) => match cuts {
                None => self.send(client, bytes),
                Some(Cuts::Random(seed)) => {
                    cut(bytes, seed).iter().for_each(|piece| self.send(client, piece))
                }
                Some(Cuts::EveryByte) => bytes.chunks(1).for_each(|byte| self.send(client, byte)),
            },
            Act::Wait(time) => self.pass(client, *time),
            Act::StopReading => client.reads = false,
            Act::Read => {
                client.reads = true;
                self.exchange(client);
            }
            Act::Finish => {
                let _ended_already = client.socket.shutdown(Shutdown::Write);
                self.exchange(client);
            }
        }
    }

    fn send(&mut self, client: &mut Client, mut bytes: &[u8]) {
        let mut failures = 0;
        while failures < ATTEMPTS_MAX {
            match client.socket.write(&bytes[..bytes.len().min(self.write_bytes_max)]) {
                Ok(sent) => bytes = &bytes[sent..],
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => failures += 1,
                Err(_) => return self.exchange(client),
            }
            self.exchange(client);
            if bytes.is_empty() {
                return;
            }
        }
        assert!(!client.reads || client.ended, "a client that reads is read from");
    }

    fn pass(&mut self, client: &mut Client, time: Duration) {
        self.now += time;
        self.exchange(client);
    }

    /// A client that connects now gets an answer at once.
    pub(super) fn serves_a_witness(&mut self) {
        let mut witness = self.connect();
        self.send(&mut witness, WITNESS);
        let mut frame = Vec::new();
        encode::masked(&mut frame, OpCode::Text, b"witness", [1, 2, 3, 4]);
        self.send(&mut witness, &frame);
        let answer = b"\r\n\r\n\x81\x0dEcho: witness";
        assert!(witness.received.ends_with(answer), "{}", witness.received.escape_ascii());
    }

    /// Waits until the connection is over, which takes no longer than its deadlines; then nothing of it is left.
    pub(super) fn sees_the_end(&mut self, client: &mut Client) {
        let until = self.now + STAY_MAX;
        while self.server.burden().0 > 0 {
            assert!(self.now < until, "a silent client is still here");
            self.pass(client, STEP);
        }
        assert_eq!(self.server.burden(), (0, 0), "something waits for nobody");
        client.reads = true;
        client.receive();
        assert!(client.ended, "the socket is still open");
    }
}

impl Client {
    /// Reads what there is, unless the client does not read; whether there was anything.
    fn receive(&mut self) -> bool {
        let before = self.received.len();
        let mut buffer = [0; 4 * 1024];
        while self.reads && !self.ended {
            match self.socket.read(&mut buffer) {
                Ok(0) => self.ended = true,
                Ok(count) => self.received.extend_from_slice(&buffer[..count]),
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => break,
                // The server has not read to the end.
                Err(_) => self.ended = true,
            }
        }
        self.received.len() > before
    }
}
