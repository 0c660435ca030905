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
        let mut engine = Engine { child: None, port: free_port(), files, is_durable };
        engine.run();
        engine
    }

    /// Starts it again, with what is on its disk.
    pub(super) fn run(&mut self) {
        self.run_with(&[]);
    }

    /// The same, with more options.
    pub(super) fn run_with(&mut self, options: &[&str]) {
        self.launch(&[], options);
        eventually("a Redis that answers", || self.try_command(&["PING"]).is_ok());
    }

    /// Starts it, through another program if one is named, and does not wait for it.
    pub(super) fn launch(&mut self, through: &[&str], options: &[&str]) {
        let server = std::env::var("FOGHORN_REDIS_SERVER").unwrap_or_else(|_| "redis-server".to_owned());
        let port = self.port.to_string();
        let durable: &[&str] =
            if self.is_durable { &["--appendonly", "yes", "--appendfsync", "always"] } else { &[] };
        let words = [through, &[&server]].concat();
        let child = Command::new(words[0])
            .args(&words[1..])
            .args(["--port", &port, "--bind", "127.0.0.1", "--save", "", "--loglevel", "warning"])
            .args(["--repl-diskless-sync-delay", "0"])
            .args(["--maxmemory-policy", "noeviction", "--daemonize", "no"])
            .args(durable)
            .args(options)
            .arg("--dir")
            .arg(self.files.path())
            .stdout(Stdio::null())
            .spawn()
            .expect("a Redis: tests/cluster/run installs one");
        self.child = Some(child);
    }

    pub(super) fn port(&self) -> u16 {
        self.port
    }

    pub(super) fn url(&self) -> String {
        format!("redis://127.0.0.1:{}", self.port)
    }

    fn connect(&self) -> redis::RedisResult<redis::Connection> {
        redis::Client::open(self.url())?.get_connection()
    }

    /// Has it do something.
    pub(super) fn command(&self, words: &[&str]) -> redis::Value {
        self.try_command(words).unwrap()
    }

    /// The same, if it does.
    pub(super) fn try_command(&self, words: &[&str]) -> redis::RedisResult<redis::Value> {
        command(words).query(&mut self.connect()?)
    }

    /// Has it begin something that lasts.
    pub(super) fn begin(&self, words: &[&str]) {
        let (begun, mut connection) = (command(words), self.connect().unwrap());
        std::thread::spawn(move || begun.query::<redis::Value>(&mut connection));
    }

    /// Whether this is a part of what it says of itself.
    pub(super) fn says(&self, fact: &str) -> bool {
        let info = command(&["INFO"]).query::<String>(&mut self.connect().unwrap());
        info.unwrap().contains(fact)
    }

    /// For how many seconds it runs.
    pub(super) fn uptime(&self) -> u64 {
        let info = command(&["INFO", "server"]).query::<String>(&mut self.connect().unwrap()).unwrap();
        let uptime = info.lines().find_map(|line| line.strip_prefix("uptime_in_seconds:"));
        uptime.unwrap().trim().parse().unwrap()
    }

    /// From now on it cannot write a snapshot: a directory lies in its place, whoever it runs as.
    pub(super) fn block_snapshot(&self) {
        std::fs::create_dir_all(self.files.path().join("dump.rdb").join("in the way")).unwrap();
    }

    pub(super) fn unblock_snapshot(&self) {
        std::fs::remove_dir_all(self.files.path().join("dump.rdb")).unwrap();
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

/// A port that nobody listens at: Redis cannot be told to pick one.
pub(super) fn free_port() -> u16 {
    TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port()
}

fn command(words: &[&str]) -> redis::Cmd {
    let mut command = redis::cmd(words[0]);
    command.arg(&words[1..]);
    command
}

impl Drop for Engine {
    fn drop(&mut self) {
        if let Some(mut child) = self.child.take() {
            let _ended_already = child.kill();
            let _no_zombie_stays = child.wait();
        }
    }
}
