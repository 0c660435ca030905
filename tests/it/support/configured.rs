//! A `foghorn` process with a configuration and limits of its own, its rooms in memory.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::process::{Child, Command, Stdio};
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;

use serde_json::Value;
use tempfile::TempDir;

use super::process::without_own_settings;
use super::tokens::bearer;
use super::{PATIENCE, QUIET};

/// A running server, whose rooms are in memory; killed when dropped.
pub(crate) struct ConfiguredProcess {
    child: Child,
    /// In the order in which they were asked for.
    addresses: Vec<SocketAddr>,
    /// What it has said about where operators are served.
    admin: Option<String>,
    /// Header lines of its own questions.
    fields: String,
    /// What it has logged so far.
    log: Arc<Mutex<String>>,
    reading: Option<JoinHandle<()>>,
    files: TempDir,
}

impl ConfiguredProcess {
    /// A server with this configuration.
    pub(crate) fn start(config: &str) -> ConfiguredProcess {
        ConfiguredProcess::with_descriptors(config, 1 << 20)
    }

    /// As [`ConfiguredProcess::start`], with so many descriptors at most.
    pub(crate) fn with_descriptors(config: &str, count: u32) -> ConfiguredProcess {
        ConfiguredProcess::run(config, count, "warn", "127.0.0.1:0")
    }

    /// As [`ConfiguredProcess::start`], with more in its log than warnings.
    pub(crate) fn with_log(config: &str, log: &str) -> ConfiguredProcess {
        ConfiguredProcess::run(config, 1 << 20, log, "127.0.0.1:0")
    }

    /// As [`ConfiguredProcess::start`], listening elsewhere; places are separated by commas.
    pub(crate) fn listening(config: &str, listen: &str) -> ConfiguredProcess {
        ConfiguredProcess::run(config, 1 << 20, "warn", listen)
    }

    fn run(config: &str, count: u32, log: &str, listen: &str) -> ConfiguredProcess {
        let files = tempfile::tempdir().expect("a directory");
        let path = files.path().join("foghorn.toml");
        std::fs::write(&path, config).expect("a file");
        // A limit that cannot be raised stays as it is.
        let shell = format!("ulimit -Sn {count} 2>/dev/null; exec \"$0\" \"$@\"");
        let mut command = Command::new("sh");
        // What a configuration says about heartbeats is what the test is about.
        let quiet = QUIET.into_iter().filter(|_| !config.contains("[heartbeat]"));
        let mut child = without_own_settings(&mut command)
            .envs(quiet)
            .args(["-c", &shell, env!("CARGO_BIN_EXE_foghorn")])
            .args(["serve", "--listen", listen, "--memory", "--log", log, "--config"])
            .arg(&path)
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .expect("the server's binary");
        let stderr = child.stderr.take().expect("a pipe");
        let (so_far, reader) = (Arc::<Mutex<String>>::default(), BufReader::new(stderr));
        let log = so_far.clone();
        let reading = std::thread::spawn(move || {
            for line in reader.lines() {
                let line = line.expect("the log is text") + "\n";
                so_far.lock().expect("nobody has panicked").push_str(&line);
            }
        });
        let mut lines = BufReader::new(child.stdout.take().expect("a pipe")).lines();
        let mut address = || {
            let line = lines.next().expect("a line").expect("text");
            let url = line.strip_prefix("listening on ").and_then(|url| url.split_once("://"));
            let address = url.and_then(|(_, address)| address.parse().ok());
            address.unwrap_or_else(|| panic!("no ready line: {line}"))
        };
        let addresses = listen.split(',').map(|_| address()).collect();
        let admin = config.contains("[admin]\nlisten").then(|| {
            let line = lines.next().expect("a line").expect("text");
            line.strip_prefix("admin on ").unwrap_or_else(|| panic!("no admin line: {line}")).to_owned()
        });
        let fields = String::new();
        ConfiguredProcess { child, addresses, admin, fields, log, reading: Some(reading), files }
    }

    /// Asks for statistics with this token from now on.
    #[must_use]
    pub(crate) fn asked_with(mut self, token: &str) -> ConfiguredProcess {
        self.fields = bearer(token);
        self
    }

    /// Limits the descriptors of the running process.
    pub(crate) fn limit_descriptors(&self, count: usize) {
        let (pid, limit) = (self.child.id().to_string(), format!("--nofile={count}"));
        let done = Command::new("prlimit").args(["--pid", &pid, &limit]).status().expect("prlimit");
        assert!(done.success(), "{count}");
    }

    /// Descriptors that the process has open.
    pub(crate) fn descriptors(&self) -> usize {
        std::fs::read_dir(format!("/proc/{}/fd", self.child.id())).expect("procfs").count()
    }

    /// The processor time of all threads, in seconds.
    pub(crate) fn busy(&self) -> f64 {
        self.thread_times().iter().map(|(_, time)| time).sum()
    }

    /// How often a limit was hit, by its key, from `/api/stats`.
    pub(crate) fn hits(&self, limit: &str) -> u64 {
        let stats = self.stats();
        stats["limits"][limit].as_u64().unwrap_or_else(|| panic!("{limit} is not counted: {stats}"))
    }

    /// What `/api/stats` tells.
    pub(crate) fn stats(&self) -> Value {
        let mut stream = TcpStream::connect(self.address()).expect("a connection");
        stream.set_read_timeout(Some(PATIENCE)).expect("a read timeout");
        let fields = format!("Host: h\r\nConnection: close\r\n{}", self.fields);
        let request = format!("GET /api/stats HTTP/1.1\r\n{fields}\r\n");
        stream.write_all(request.as_bytes()).expect("the server takes it");
        let mut reply = String::new();
        stream.read_to_string(&mut reply).expect("an answer");
        let (_, body) = reply.split_once("\r\n\r\n").expect("a head");
        serde_json::from_str(body).expect("JSON")
    }

    /// The first place that it listens at.
    pub(crate) fn address(&self) -> SocketAddr {
        self.addresses[0]
    }

    /// The last place that it listens at.
    pub(crate) fn other_address(&self) -> SocketAddr {
        self.addresses[self.addresses.len() - 1]
    }

    /// Where operators are served, as its configuration asks for.
    pub(crate) fn admin(&self) -> &str {
        self.admin.as_deref().expect("a configuration with [admin] and listen")
    }

    /// The same, of a listener on an address.
    pub(crate) fn admin_address(&self) -> SocketAddr {
        let (_, address) = self.admin().split_once("://").expect("a URL");
        address.parse().expect("an address")
    }

    /// Writes its configuration anew.
    pub(crate) fn rewrite(&self, config: &str) {
        std::fs::write(self.files.path().join("foghorn.toml"), config).expect("a file");
    }

    /// Sends it a signal, such as `HUP`.
    pub(crate) fn signal(&self, name: &str) {
        super::signal(self.child.id(), name);
    }

    /// The name of each thread, and the processor time it has used, in seconds.
    pub(crate) fn thread_times(&self) -> Vec<(String, f64)> {
        let tasks = std::fs::read_dir(format!("/proc/{}/task", self.child.id())).expect("procfs");
        let time = |task: std::io::Result<std::fs::DirEntry>| {
            let path = task.expect("procfs").path();
            let name = std::fs::read_to_string(path.join("comm")).expect("a name");
            let times = std::fs::read_to_string(path.join("schedstat")).expect("times");
            let nanos: f64 = times.split(' ').next().and_then(|first| first.parse().ok()).expect("a time");
            (name.trim().to_owned(), nanos / 1e9)
        };
        tasks.map(time).collect()
    }

    /// Bytes of memory that the process has resident.
    pub(crate) fn resident(&self) -> usize {
        self.memory("VmRSS:")
    }

    /// The most that it ever had resident.
    pub(crate) fn resident_peak(&self) -> usize {
        self.memory("VmHWM:")
    }

    fn memory(&self, figure: &str) -> usize {
        let status = std::fs::read_to_string(format!("/proc/{}/status", self.child.id())).expect("procfs");
        let line = status.lines().find_map(|line| line.strip_prefix(figure)).expect("a figure");
        let kibibytes: usize = line.trim().trim_end_matches(" kB").parse().expect("a number");
        kibibytes * 1024
    }

    /// Ends the process; returns what it logged.
    pub(crate) fn log(mut self) -> String {
        self.end();
        self.reading.take().expect("asked for once").join().expect("the log is read");
        self.logged()
    }

    /// What it has logged so far.
    pub(crate) fn logged(&self) -> String {
        self.log.lock().expect("nobody has panicked").clone()
    }

    fn end(&mut self) {
        self.child.kill().expect("a process of ours");
        self.child.wait().expect("it has ended");
    }
}

impl Drop for ConfiguredProcess {
    fn drop(&mut self) {
        self.end();
    }
}
