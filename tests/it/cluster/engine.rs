//! A Redis of the test's own, which can be paused, killed, emptied and put back.

use std::net::TcpListener;
use std::process::{Child, Command, Stdio};

use tempfile::TempDir;

use crate::support::{self, eventually};

/// A running server; it is killed when this is dropped.
pub(super) struct Engine {
    child: Option<Child>,
    port: u16,
    files: TempDir,
    /// Whether what it is told outlives it.
    is_durable: bool,
}

impl Engine {
    /// One that keeps nothing on disk but what it is told to save.
    pub(super) fn start() -> Engine {
        Engine::with(false)
    }

    /// One that has everything on disk before it answers.
    pub(super) fn durable() -> Engine {
        Engine::with(true)
    }

    fn with(is_durable: bool) -> Engine {
        let files = tempfile::tempdir().unwrap();
        // Redis cannot be told to pick a free port.
        let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
        let mut engine = Engine { child: None, port, files, is_durable };
        engine.run();
        engine
    }

    /// Starts it again, with what is on its disk.
    pub(super) fn run(&mut self) {
        self.run_with(&[]);
    }

    /// The same, with more options.
    pub(super) fn run_with(&mut self, options: &[&str]) {
        let server = std::env::var("FOGHORN_REDIS_SERVER").unwrap_or_else(|_| "redis-server".to_owned());
        let port = self.port.to_string();
        let durable: &[&str] =
            if self.is_durable { &["--appendonly", "yes", "--appendfsync", "always"] } else { &[] };
        let child = Command::new(server)
            .args(["--port", &port, "--bind", "127.0.0.1", "--save", "", "--loglevel", "warning"])
            .args(["--maxmemory-policy", "noeviction", "--daemonize", "no"])
            .args(durable)
            .args(options)
            .arg("--dir")
            .arg(self.files.path())
            .stdout(Stdio::null())
            .spawn()
            .expect("a Redis: tests/cluster/run installs one");
        self.child = Some(child);
        eventually("a Redis that answers", || {
            let answered =
                self.connect().and_then(|mut redis| redis::cmd("PING").query::<String>(&mut redis));
            answered.is_ok_and(|answer| answer == "PONG")
        });
    }

    pub(super) fn url(&self) -> String {
        format!("redis://127.0.0.1:{}", self.port)
    }

    fn connect(&self) -> redis::RedisResult<redis::Connection> {
        redis::Client::open(self.url())?.get_connection()
    }

    /// Has it do something.
    pub(super) fn command(&self, words: &[&str]) -> redis::Value {
        let mut command = redis::cmd(words[0]);
        command.arg(&words[1..]);
        command.query(&mut self.connect().unwrap()).unwrap()
    }

    /// Forgets everything that it has not on disk, and ends.
    pub(super) fn kill(&mut self) {
        let mut child = self.child.take().expect("it runs");
        child.kill().unwrap();
        child.wait().unwrap();
    }

    /// Answers no more, and loses nothing.
    pub(super) fn pause(&self) {
        self.signal("STOP");
    }

    pub(super) fn resume(&self) {
        self.signal("CONT");
    }

    fn signal(&self, name: &str) {
        support::signal(self.child.as_ref().expect("it runs").id(), name);
    }

    /// Keeps what it has now on disk, for the next time that it starts.
    pub(super) fn save(&self) {
        self.command(&["SAVE"]);
    }
}

impl Drop for Engine {
    fn drop(&mut self) {
        if let Some(mut child) = self.child.take() {
            let _ended_already = child.kill();
            let _no_zombie_stays = child.wait();
        }
    }
}
