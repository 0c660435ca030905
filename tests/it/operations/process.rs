//! A server process whose standard output and standard error are what a test makes them.

use std::fs::{File, OpenOptions};
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{Shutdown, SocketAddr, TcpStream};
use std::path::Path;
use std::process::{Child, ChildStdout, Command, ExitStatus, Stdio};

use crate::support::{PATIENCE, eventually};

pub(crate) const BINARY: &str = env!("CARGO_BIN_EXE_foghorn");

/// Where the log goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Sink {
    /// A disk without room.
    Full,
    /// A pipe whose reader is gone.
    Closed,
    /// A pipe that is full, and whose reader reads no more.
    Stuck,
}

impl Sink {
    pub(crate) const ALL: [Sink; 3] = [Sink::Full, Sink::Closed, Sink::Stuck];
}

/// A running server; killed when dropped.
pub(crate) struct Server {
    child: Child,
    address: SocketAddr,
    stdout: BufReader<ChildStdout>,
    /// Keeps a pipe open that nobody reads.
    _stuck: Option<std::io::PipeReader>,
}

impl Server {
    /// A server with these arguments, whose log goes to `sink`.
    pub(crate) fn start(sink: Sink, arguments: &[&str], config: &Path) -> Server {
        let (stderr, stuck): (Stdio, _) = match sink {
            Sink::Full => (full().into(), None),
            Sink::Closed => (std::io::pipe().expect("a pipe").1.into(), None),
            Sink::Stuck => {
                let (reader, mut writer) = std::io::pipe().expect("a pipe");
                // As much as a pipe holds.
                writer.write_all(&[b'\n'; 65_536]).expect("it has room");
                (writer.into(), Some(reader))
            }
        };
        let mut server = Server::with_stderr(stderr, arguments, config);
        server._stuck = stuck;
        server
    }

    /// A server whose log goes to this file.
    pub(crate) fn logging_to(log: &Path, arguments: &[&str], config: &Path) -> Server {
        Server::with_stderr(File::create(log).expect("a file").into(), arguments, config)
    }

    /// A server that finds these variables in its environment.
    pub(crate) fn told_by(variables: &[(&str, &str)], arguments: &[&str], config: &Path) -> Server {
        Server::spawn(Stdio::inherit(), variables, arguments, config)
    }

    fn with_stderr(stderr: Stdio, arguments: &[&str], config: &Path) -> Server {
        Server::spawn(stderr, &[], arguments, config)
    }

    fn spawn(stderr: Stdio, variables: &[(&str, &str)], arguments: &[&str], config: &Path) -> Server {
        let mut child = Command::new(BINARY)
            .env_clear()
            .envs(variables.iter().copied())
            .args(["serve", "--listen", "127.0.0.1:0", "--config"])
            .arg(config)
            .args(arguments)
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(stderr)
            .spawn()
            .expect("the server's binary");
        let mut stdout = BufReader::new(child.stdout.take().expect("a pipe"));
        let mut line = String::new();
        stdout.read_line(&mut line).expect("text");
        let address = line.trim().strip_prefix("listening on http://").and_then(|at| at.parse().ok());
        let address = address.unwrap_or_else(|| panic!("no ready line: {line:?}"));
        Server { child, address, stdout, _stuck: None }
    }

    pub(crate) fn address(&self) -> SocketAddr {
        self.address
    }

    pub(crate) fn connect(&self) -> TcpStream {
        let stream = TcpStream::connect(self.address).expect("a connection");
        stream.set_read_timeout(Some(PATIENCE)).expect("a timeout");
        stream
    }

    /// A session at this path, after its 101.
    pub(crate) fn session(&self, path: &str) -> TcpStream {
        let mut stream = self.connect();
        let request = format!(
            "GET {path} HTTP/1.1\r\nHost: h\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Version: \
             13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n"
        );
        stream.write_all(request.as_bytes()).expect("the server takes it");
        let mut head = Vec::new();
        while !head.ends_with(b"\r\n\r\n") {
            let mut byte = [0];
            stream.read_exact(&mut byte).expect("a head");
            head.push(byte[0]);
        }
        assert!(head.starts_with(b"HTTP/1.1 101 "), "{}", head.escape_ascii());
        stream
    }

    /// What is answered to these bytes, up to the end of the connection.
    pub(crate) fn answer(&self, request: &[u8]) -> String {
        let mut stream = self.connect();
        stream.write_all(request).expect("the server takes it");
        let _gone_already = stream.shutdown(Shutdown::Write);
        let mut answer = Vec::new();
        let _reset = stream.read_to_end(&mut answer);
        String::from_utf8_lossy(&answer).into_owned()
    }

    /// The body of a GET.
    pub(crate) fn get(&self, path: &str) -> String {
        let answer =
            self.answer(format!("GET {path} HTTP/1.1\r\nHost: h\r\nConnection: close\r\n\r\n").as_bytes());
        answer.split_once("\r\n\r\n").unwrap_or_else(|| panic!("no head: {answer}")).1.to_owned()
    }

    /// The figure of `/api/stats` at this pointer.
    pub(crate) fn stat(&self, pointer: &str) -> u64 {
        let stats: serde_json::Value = serde_json::from_str(&self.get("/api/stats")).expect("JSON");
        let figure = stats.pointer(pointer).and_then(serde_json::Value::as_u64);
        figure.unwrap_or_else(|| panic!("no {pointer}: {stats}"))
    }

    pub(crate) fn signal(&self, name: &str) {
        let pid = self.child.id().to_string();
        let sent = Command::new("sh").args(["-c", "kill -\"$1\" \"$0\"", &pid, name]).status();
        assert!(sent.expect("a shell").success());
    }

    /// Changes how many descriptors it may have open.
    pub(crate) fn limit_descriptors(&self, count: usize) {
        let (pid, limit) = (self.child.id().to_string(), format!("--nofile={count}:"));
        let done = Command::new("prlimit").args(["--pid", &pid, &limit]).status().expect("prlimit");
        assert!(done.success(), "{count}");
    }

    /// The status that it ends with.
    pub(crate) fn end(&mut self) -> ExitStatus {
        let mut status = None;
        eventually("the end of the server", || {
            status = self.child.try_wait().expect("a child");
            status.is_some()
        });
        let mut rest = String::new();
        self.stdout.read_to_string(&mut rest).expect("text");
        assert_eq!(rest, "", "more than the ready line");
        status.expect("it has ended")
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ended_already = self.child.kill();
        let _no_zombie_stays = self.child.wait();
    }
}

/// A disk without room.
pub(crate) fn full() -> File {
    OpenOptions::new().write(true).open("/dev/full").expect("Linux has one")
}

/// The code of the Close frame that is the next to come.
pub(crate) fn close_code(stream: &mut TcpStream) -> u16 {
    let mut header = [0; 4];
    stream.read_exact(&mut header).expect("a frame");
    assert_eq!(header[0], 0x88, "no Close frame: {header:02x?}");
    u16::from_be_bytes([header[2], header[3]])
}

/// Whether a text comes back from `/echo`.
pub(crate) fn echoes(stream: &mut TcpStream) {
    stream.write_all(b"\x81\x81\0\0\0\0x").expect("the server takes it");
    let mut echo = [0; 3];
    stream.read_exact(&mut echo).expect("an echo");
    assert_eq!(&echo, b"\x81\x01x");
}
