//! A server started for one run, on a processor of its own.

use std::ffi::OsString;
use std::io::{BufRead, BufReader, Read};
use std::process::{Child, Command, Stdio};
use std::sync::OnceLock;

use core_affinity::CoreId;

use super::error::BenchError;

/// How a server says where it listens, on its standard output.
const READY: &str = "listening on ";

/// A server process. It is killed when this is dropped.
#[derive(Debug)]
pub struct Spawned {
    child: Child,
    pinned: bool,
    url: String,
}

impl Spawned {
    /// Starts `command` (a program and its arguments) and waits until it prints `listening on http://ADDR:PORT`.
    ///
    /// With `pin`, and if there are two processors at least, the server gets the first one to itself and the calling
    /// thread the second one.
    ///
    /// # Errors
    /// [`BenchError::Spawn`].
    pub fn start(command: &[String], pin: bool) -> Result<Spawned, BenchError> {
        let failed = |why: String| BenchError::Spawn(command.join(" "), why);
        let (program, args) =
            command.split_first().ok_or_else(|| failed("the command is empty".to_owned()))?;
        let processors = if pin { processors() } else { &[] };
        // A child inherits the processors that its parent may use at that moment.
        if let [first, _, ..] = *processors {
            core_affinity::set_for_current(first);
        }
        let mut command_line = Command::new(program);
        // What is measured is what the command says: no setting of the operator's own server changes it, or ends it.
        for name in std::env::vars_os().map(|(name, _)| name).filter(is_setting) {
            command_line.env_remove(name);
        }
        let child = command_line.args(args).stdin(Stdio::null()).stdout(Stdio::piped()).spawn();
        if let [_, second, ..] = *processors {
            core_affinity::set_for_current(second);
        }
        let mut child = child.map_err(|error| failed(error.to_string()))?;
        let Some(stdout) = child.stdout.take() else { return Err(failed("it has no output".to_owned())) };
        let pinned = processors.len() >= 2;
        let mut spawned = Spawned { child, pinned, url: String::new() };
        let mut lines = BufReader::new(stdout);
        let mut line = String::new();
        while spawned.url.is_empty() {
            line.clear();
            if lines.read_line(&mut line).map_err(|error| failed(error.to_string()))? == 0 {
                return Err(failed("it ended without saying where it listens".to_owned()));
            }
            if let Some((_, url)) = line.trim().split_once(READY) {
                url.clone_into(&mut spawned.url);
            }
        }
        // Whatever else it prints must go somewhere, or it would stop at a full pipe.
        std::thread::spawn(move || std::io::copy(&mut lines.by_ref(), &mut std::io::sink()));
        Ok(spawned)
    }

    /// Where it listens.
    #[must_use]
    pub fn url(&self) -> &str {
        &self.url
    }

    /// Whether it has a processor to itself, and this thread another one.
    #[must_use]
    pub fn is_pinned(&self) -> bool {
        self.pinned
    }

    /// Its process.
    #[must_use]
    pub fn id(&self) -> u32 {
        self.child.id()
    }
}

/// Whether a variable of the environment is a setting of a server.
fn is_setting(name: &OsString) -> bool {
    name.as_encoded_bytes().starts_with(b"FOGHORN_")
}

/// The processors that this program may use. Asked once: a thread that was pinned is told of its own one only, and the
/// next server would have to share that with the load.
fn processors() -> &'static [CoreId] {
    static PROCESSORS: OnceLock<Vec<CoreId>> = OnceLock::new();
    PROCESSORS.get_or_init(|| core_affinity::get_core_ids().unwrap_or_default())
}

impl Drop for Spawned {
    fn drop(&mut self) {
        let _ended_already = self.child.kill();
        let _no_zombie_stays = self.child.wait();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shell(script: &str) -> Result<Spawned, BenchError> {
        Spawned::start(&["sh".to_owned(), "-c".to_owned(), script.to_owned()], false)
    }

    #[test]
    fn the_ready_line_tells_the_address() {
        let server = shell("echo hello; echo listening on http://127.0.0.1:12; exec sleep 60").unwrap();
        assert_eq!(server.url(), "http://127.0.0.1:12");
    }

    #[test]
    #[cfg(target_os = "linux")]
    fn every_server_gets_a_processor_to_itself_and_not_only_the_first() {
        let script = "echo listening on http://127.0.0.1:12; exec sleep 60";
        let command = ["sh".to_owned(), "-c".to_owned(), script.to_owned()];
        let allowed = |path: &str| {
            let status = std::fs::read_to_string(path).unwrap();
            let line = status.lines().find(|line| line.starts_with("Cpus_allowed_list:")).unwrap();
            line.to_owned()
        };
        // On a thread of its own, for the pinning lasts.
        let pinned = std::thread::spawn(move || {
            let server = || Spawned::start(&command, true).unwrap();
            let servers = [server(), server()];
            let load = allowed("/proc/thread-self/status");
            servers.map(|server| {
                (server.is_pinned(), allowed(&format!("/proc/{}/status", server.id())), load.clone())
            })
        });
        let [first, second] = pinned.join().unwrap();
        assert_eq!(first, second);
        let (pinned, server, load) = second;
        assert!(!pinned || server != load, "both have {server}");
    }

    #[test]
    fn a_server_that_does_not_start_is_an_error() {
        for script in ["exit 1", "echo sorry"] {
            assert!(matches!(shell(script), Err(BenchError::Spawn(_, _))), "{script}");
        }
        assert!(matches!(Spawned::start(&[], false), Err(BenchError::Spawn(_, _))));
        assert!(matches!(Spawned::start(&["/nowhere".to_owned()], true), Err(BenchError::Spawn(_, _))));
    }
}
