//! The binary as its users run it: a server process, and commands that end by themselves.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::path::Path;
use std::process::{Child, Command, Output, Stdio};
use std::sync::mpsc::sync_channel;

use serde_json::Value;

use super::{PATIENCE, QUIET, eventually};

const BINARY: &str = env!("CARGO_BIN_EXE_foghorn");

/// A server process with its rooms in a directory. It is killed when this is dropped.
#[derive(Debug)]
pub(crate) struct Process {
    child: Child,
    address: SocketAddr,
}

impl Process {
    /// Starts a server and waits until it says where it listens.
    pub(crate) fn serve(data: &Path) -> Process {
        Process::serve_with(&["--data", data.to_str().expect("a readable path")])
    }

    /// As [`Process::serve`], with these arguments.
    pub(crate) fn serve_with(arguments: &[&str]) -> Process {
        Process::serve_in(arguments, [])
    }

    /// The same, with these variables in its environment.
    pub(crate) fn serve_in(
        arguments: &[&str],
        environment: impl IntoIterator<Item = (String, String)>,
    ) -> Process {
        let mut command = foghorn(&["serve", "--listen", "127.0.0.1:0", "--log", "warn"]);
        let mut child = command
            .args(arguments)
            .envs(QUIET)
            .envs(environment)
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .spawn()
            .expect("a server");
        let stdout = child.stdout.take().expect("its output");
        let (tell, told) = sync_channel(1);
        std::thread::spawn(move || {
            let mut line = String::new();
            let read = BufReader::new(stdout).read_line(&mut line);
            // Nobody listens any more if it took too long.
            let _too_late = tell.send(read.map(|_| line));
        });
        let line = told.recv_timeout(PATIENCE).expect("a line in time").expect("a readable line");
        let address = line.trim().strip_prefix("listening on http://").and_then(|at| at.parse().ok());
        Process { child, address: address.unwrap_or_else(|| panic!("no ready line: {line:?}")) }
    }

    pub(crate) fn address(&self) -> SocketAddr {
        self.address
    }

    /// What it has in memory, in bytes.
    pub(crate) fn resident_bytes(&self) -> u64 {
        let status = std::fs::read_to_string(format!("/proc/{}/status", self.child.id())).expect("a process");
        let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).expect("its memory");
        let kib: u64 = line.trim().trim_end_matches(" kB").parse().expect("a number");
        kib * 1024
    }

    /// Sends it a signal, such as `STOP`.
    pub(crate) fn signal(&self, name: &str) {
        super::signal(self.child.id(), name);
    }

    /// Ends it by SIGKILL.
    pub(crate) fn kill(mut self) {
        assert_eq!(self.child.try_wait().expect("a child"), None, "it ended by itself");
        self.child.kill().expect("a process that can be killed");
        self.child.wait().expect("its end");
    }

    /// Ends it by SIGTERM, which it must obey with status 0.
    pub(crate) fn terminate(mut self) {
        self.signal("TERM");
        let mut status = None;
        eventually("the end of the server", || {
            status = self.child.try_wait().expect("a child");
            status.is_some()
        });
        assert!(status.is_some_and(|status| status.success()), "{status:?}");
    }

    /// The status with which it ends by itself.
    pub(crate) fn ended(mut self) -> Option<i32> {
        let mut status = None;
        eventually("the end of the server", || {
            status = self.child.try_wait().expect("a child");
            status.is_some()
        });
        status.and_then(|status| status.code())
    }

    /// The response to a request with a JSON body, or with none: head and body.
    pub(crate) fn ask(&self, method: &str, path: &str, body: Option<&Value>) -> (String, Value) {
        let response = self.response(method, path, body);
        let (head, body) = response.split_once("\r\n\r\n").expect("a head");
        assert!(head.starts_with("HTTP/1.1 20"), "{response}");
        (head.to_owned(), serde_json::from_str(body).unwrap_or_else(|error| panic!("{error}: {body}")))
    }

    /// The status of the response to such a request, whatever it is.
    pub(crate) fn status(&self, method: &str, path: &str, body: Option<&Value>) -> u16 {
        let response = self.response(method, path, body);
        let status = response.split(' ').nth(1).and_then(|status| status.parse().ok());
        status.unwrap_or_else(|| panic!("no status: {response}"))
    }

    /// The response to such a request, as it came.
    pub(crate) fn response(&self, method: &str, path: &str, body: Option<&Value>) -> String {
        let body = body.map(Value::to_string).unwrap_or_default();
        let mut stream = TcpStream::connect(self.address).expect("a connection");
        stream.set_read_timeout(Some(PATIENCE)).expect("a read timeout");
        let kind = "Connection: close\r\nContent-Type: application/json";
        let (host, len) = (self.address, body.len());
        let request = format!(
            "{method} {path} HTTP/1.1\r\nHost: {host}\r\n{kind}\r\nContent-Length: {len}\r\n\r\n{body}"
        );
        stream.write_all(request.as_bytes()).expect("the server takes it");
        let mut response = Vec::new();
        stream.read_to_end(&mut response).expect("a response");
        String::from_utf8_lossy(&response).into_owned()
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        let _ended_already = self.child.kill();
        let _no_zombie_stays = self.child.wait();
    }
}

/// Runs a command that reads `input`, and waits for its end.
pub(crate) fn run(arguments: &[&str], input: &[u8]) -> Output {
    let mut command = foghorn(arguments);
    command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = command.spawn().expect("a process");
    let mut stdin = child.stdin.take().expect("its input");
    std::thread::scope(|scope| {
        // A command that fails early does not read to the end.
        scope.spawn(move || drop(stdin.write_all(input)));
        child.wait_with_output().expect("its end")
    })
}

/// The binary with these arguments, not yet started.
pub(crate) fn command(arguments: &[&str]) -> Command {
    foghorn(arguments)
}

/// What the tests themselves are told in `FOGHORN_…` is no key of the server's that this starts, be it through a shell.
pub(crate) fn without_own_settings(command: &mut Command) -> &mut Command {
    let own = std::env::vars_os().map(|(name, _)| name);
    own.filter(|name| name.as_encoded_bytes().starts_with(b"FOGHORN_")).for_each(|name| {
        command.env_remove(name);
    });
    command
}

/// The environment of the tests is not the command's.
fn foghorn(arguments: &[&str]) -> Command {
    let mut command = Command::new(BINARY);
    command.env_clear().args(arguments);
    command
}
