//! A `foghorn` process with a configuration and limits of its own, its rooms in memory.

use std::io::{BufRead, BufReader, Read};
use std::net::SocketAddr;
use std::process::{Child, Command, Stdio};
use std::thread::JoinHandle;

use tempfile::TempDir;

/// A running server, whose rooms are in memory; killed when dropped.
pub(crate) struct ConfiguredProcess {
    child: Child,
    address: SocketAddr,
    log: Option<JoinHandle<String>>,
    _files: TempDir,
}

impl ConfiguredProcess {
    /// A server with this configuration.
    pub(crate) fn start(config: &str) -> ConfiguredProcess {
        ConfiguredProcess::with_descriptors(config, 1 << 20)
    }

    /// As [`ConfiguredProcess::start`], with so many descriptors at most.
    pub(crate) fn with_descriptors(config: &str, count: u32) -> ConfiguredProcess {
        let files = tempfile::tempdir().expect("a directory");
        let path = files.path().join("foghorn.toml");
        std::fs::write(&path, config).expect("a file");
        // A limit that cannot be raised stays as it is.
        let shell = format!("ulimit -Sn {count} 2>/dev/null; exec \"$0\" \"$@\"");
        let mut child = Command::new("sh")
            .args(["-c", &shell, env!("CARGO_BIN_EXE_foghorn")])
            .args(["serve", "--listen", "127.0.0.1:0", "--memory", "--log", "warn", "--config"])
            .arg(path)
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .expect("the server's binary");
        let mut stderr = child.stderr.take().expect("a pipe");
        let log = std::thread::spawn(move || {
            let mut log = String::new();
            stderr.read_to_string(&mut log).expect("the log is text");
            log
        });
        let mut line = String::new();
        let stdout = child.stdout.take().expect("a pipe");
        BufReader::new(stdout).read_line(&mut line).expect("a line");
        let address = line.trim().strip_prefix("listening on http://").and_then(|rest| rest.parse().ok());
        let Some(address) = address else { panic!("no ready line: {line}") };
        ConfiguredProcess { child, address, log: Some(log), _files: files }
    }

    pub(crate) fn address(&self) -> SocketAddr {
        self.address
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
        let status = std::fs::read_to_string(format!("/proc/{}/status", self.child.id())).expect("procfs");
        let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).expect("a figure");
        let kibibytes: usize = line.trim().trim_end_matches(" kB").parse().expect("a number");
        kibibytes * 1024
    }

    /// Ends the process; returns what it logged.
    pub(crate) fn log(mut self) -> String {
        self.end();
        self.log.take().expect("asked for once").join().expect("the log is read")
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
