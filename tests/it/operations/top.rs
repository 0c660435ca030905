//! `foghorn top`, on a terminal and elsewhere.

use std::fs::{File, OpenOptions};
use std::io::{BufRead, BufReader, Read, Write};
use std::os::fd::OwnedFd;
use std::process::{Child, Command, Stdio};
use std::sync::{Arc, Mutex};
use std::thread;

use rustix::pty::{OpenptFlags, grantpt, openpt, ptsname, unlockpt};
use rustix::termios::{LocalModes, Termios, Winsize, tcgetattr, tcsetwinsize};
use serde_json::json;

use super::process::BINARY;
use crate::support::eventually;
use crate::support::process::{Process, run};

/// The command on a terminal of its own.
struct Terminal {
    child: Child,
    /// The terminal's far end: what is typed goes in.
    far: File,
    before: Termios,
    shown: Arc<Mutex<String>>,
}

impl Terminal {
    fn start(arguments: &[&str], columns: u16, rows: u16) -> Terminal {
        let far = openpt(OpenptFlags::RDWR | OpenptFlags::NOCTTY).expect("a terminal");
        grantpt(&far).expect("its near end");
        unlockpt(&far).expect("its near end");
        let name = ptsname(&far, Vec::new()).expect("its name").into_string().expect("text");
        let size = Winsize { ws_col: columns, ws_row: rows, ws_xpixel: 0, ws_ypixel: 0 };
        tcsetwinsize(&far, size).expect("a size");
        let near = || -> OwnedFd {
            OpenOptions::new().read(true).write(true).open(&name).expect("the near end").into()
        };
        let before = tcgetattr(&far).expect("what it is like");
        let child = Command::new(BINARY)
            .env_clear()
            .arg("top")
            .args(arguments)
            .stdin(near())
            .stdout(near())
            .stderr(near())
            .spawn()
            .expect("the binary");
        let far = File::from(far);
        let shown = Arc::new(Mutex::new(String::new()));
        let (mut reader, told) = (far.try_clone().expect("a descriptor"), shown.clone());
        thread::spawn(move || {
            let mut bytes = [0; 4096];
            while let Ok(count @ 1..) = reader.read(&mut bytes) {
                told.lock().expect("a lock").push_str(&String::from_utf8_lossy(&bytes[..count]));
            }
        });
        Terminal { child, far, before, shown }
    }

    fn shown(&self) -> String {
        self.shown.lock().expect("a lock").clone()
    }

    fn see(&self, part: &str) {
        eventually(&format!("{part:?} is shown"), || self.shown().contains(part));
    }

    /// Forgets what was shown.
    fn wipe(&self) {
        self.shown.lock().expect("a lock").clear();
    }

    fn type_key(&mut self, key: u8) {
        self.far.write_all(&[key]).expect("the terminal takes it");
    }

    fn signal(&self, name: &str) {
        let pid = self.child.id().to_string();
        let sent = Command::new("sh").args(["-c", "kill -\"$1\" \"$0\"", &pid, name]).status();
        assert!(sent.expect("a shell").success());
    }

    /// The command ends with this status, and the terminal is as it was.
    fn ends_with(&mut self, expected: i32) {
        let mut status = None;
        eventually("its end", || {
            status = self.child.try_wait().expect("a child");
            status.is_some()
        });
        assert_eq!(status.and_then(|status| status.code()), Some(expected), "{}", self.shown());
        let modes = tcgetattr(&self.far).expect("what it is like").local_modes;
        assert_eq!(modes, self.before.local_modes);
        assert!(modes.contains(LocalModes::ICANON | LocalModes::ECHO));
        self.see("\x1b[?25h\x1b[?1049l");
    }
}

impl Drop for Terminal {
    fn drop(&mut self) {
        let _ended_already = self.child.kill();
        let _no_zombie_stays = self.child.wait();
    }
}

fn url(server: &Process) -> String {
    format!("http://{}", server.address())
}

#[test]
fn it_shows_what_the_server_does_until_q_and_gives_the_terminal_back() {
    let server = Process::serve_with(&["--memory"]);
    for number in 0..3 {
        let said = json!({ "sender": "ann", "content": number.to_string() });
        server.ask("POST", "/api/chat/rooms/r/messages", Some(&said));
    }
    let mut terminal = Terminal::start(&[&url(&server)], 100, 30);
    terminal.see(concat!("foghorn ", env!("CARGO_PKG_VERSION"), "  http://127.0.0.1:"));
    terminal.see("rooms        all 1 ");
    // What is typed is not shown.
    terminal.wipe();
    terminal.type_key(b'x');
    terminal.see("deliveries/s \u{2581}");
    assert!(!terminal.shown().contains('x'), "{:?}", terminal.shown());
    // Another size counts at once.
    tcsetwinsize(&terminal.far, Winsize { ws_col: 20, ws_row: 3, ws_xpixel: 0, ws_ypixel: 0 })
        .expect("a size");
    terminal.signal("WINCH");
    terminal.wipe();
    let title = format!("foghorn {}  {}", env!("CARGO_PKG_VERSION"), url(&server));
    terminal.see(&format!("\x1b[H\x1b[K\x1b[1m{title:.19}\x1b[0m"));
    terminal.type_key(b'q');
    terminal.ends_with(0);
}

#[test]
fn a_signal_ends_it_and_gives_the_terminal_back() {
    let server = Process::serve_with(&["--memory"]);
    for name in ["INT", "TERM", "HUP"] {
        let mut terminal = Terminal::start(&[&url(&server)], 80, 24);
        terminal.see("connections  all");
        terminal.signal(name);
        terminal.ends_with(0);
    }
}

#[test]
fn a_server_that_is_away_is_said_to_be_and_asked_again() {
    let server = Process::serve_with(&["--memory"]);
    let mut terminal = Terminal::start(&[&url(&server)], 140, 24);
    terminal.see("connections  all");
    server.kill();
    terminal.see("; trying again each second");
    terminal.type_key(b'q');
    terminal.ends_with(0);
    let mut terminal = Terminal::start(&["http://127.0.0.1:1"], 100, 24);
    terminal.see("cannot connect to http://127.0.0.1:1");
    terminal.type_key(b'Q');
    terminal.ends_with(0);
}

#[test]
fn elsewhere_it_prints_lines_until_its_reader_goes() {
    let server = Process::serve_with(&["--memory"]);
    let mut child = Command::new(BINARY)
        .env_clear()
        .args(["top", &url(&server)])
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .spawn()
        .expect("the binary");
    let mut lines =
        BufReader::new(child.stdout.take().expect("a pipe")).lines().map(|line| line.expect("text"));
    let (first, second) = (lines.next().expect("a line"), lines.next().expect("another"));
    assert!(first.starts_with("connections=1 sessions=0 ") && first.ends_with(" store=healthy"), "{first}");
    assert!(second.contains(" deliveries_per_second=0 "), "{second}");
    drop(lines);
    let mut status = None;
    eventually("its end", || {
        status = child.try_wait().expect("a child");
        status.is_some()
    });
    assert_eq!(status.and_then(|status| status.code()), Some(0));
}

#[test]
fn figures_that_are_refused_are_one_line_and_status_1() {
    let files = tempfile::tempdir().expect("a directory");
    let config = files.path().join("foghorn.toml");
    let secret = "0123456789abcdef0123456789abcdef";
    std::fs::write(&config, format!("[auth]\njwt_secret = \"{secret}\"\n")).expect("a file");
    let server = Process::serve_with(&["--memory", "--config", config.to_str().expect("text")]);
    let token = run(&["token", "--secret", secret, "--sub", "ann"], b"");
    let token = String::from_utf8(token.stdout).expect("text");
    for (arguments, part) in [(&[][..], "answered 401: "), (&["--token", token.trim()], "answered 403: ")] {
        let refused = run(&[&["top", &*url(&server)], arguments].concat(), b"");
        let text = String::from_utf8_lossy(&refused.stderr);
        assert_eq!((refused.status.code(), text.lines().count()), (Some(1), 1), "{text}");
        assert!(text.contains(part), "{text}");
        let mut terminal = Terminal::start(&[&[&*url(&server)], arguments].concat(), 80, 24);
        terminal.ends_with(1);
        terminal.see(part);
    }
    assert_eq!(run(&["top", "nowhere"], b"").status.code(), Some(2));
}
