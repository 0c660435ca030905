//! `foghorn tail`, run as users run it.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{Ipv4Addr, Shutdown, SocketAddr, TcpListener, TcpStream};
use std::process::{Child, ChildStdout, Command, Stdio};
use std::sync::mpsc::{Receiver, sync_channel};
use std::sync::{Arc, Mutex};
use std::thread;

use serde_json::{Value, json};

use super::process::BINARY;
use crate::support::process::{Process, run};
use crate::support::raw::ask;
use crate::support::secure::Certificate;
use crate::support::{PATIENCE, TestServer, eventually};

/// The command at work. It is killed when this is dropped.
struct Tail {
    child: Child,
    lines: Receiver<String>,
    errors: Arc<Mutex<String>>,
}

impl Tail {
    fn start(arguments: &[&str]) -> Tail {
        Tail::told(&[], arguments)
    }

    /// As [`Tail::start`], with these variables in its environment.
    fn told(variables: &[(&str, &str)], arguments: &[&str]) -> Tail {
        let mut child = Command::new(BINARY)
            .env_clear()
            .envs(variables.iter().copied())
            .arg("tail")
            .args(arguments)
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .expect("the binary");
        let (tell, lines) = sync_channel(100_000);
        let stdout = BufReader::new(child.stdout.take().expect("a pipe"));
        thread::spawn(move || stdout.lines().map_while(Result::ok).try_for_each(|line| tell.send(line)));
        let errors = Arc::new(Mutex::new(String::new()));
        let (mut stderr, told) = (child.stderr.take().expect("a pipe"), errors.clone());
        thread::spawn(move || {
            let mut bytes = [0; 1024];
            while let Ok(count @ 1..) = stderr.read(&mut bytes) {
                told.lock().expect("a lock").push_str(&String::from_utf8_lossy(&bytes[..count]));
            }
        });
        Tail { child, lines, errors }
    }

    fn line(&self) -> String {
        self.lines.recv_timeout(PATIENCE).unwrap_or_else(|error| panic!("{error}: {}", self.errors()))
    }

    fn entry(&self) -> Value {
        serde_json::from_str(&self.line()).expect("JSON")
    }

    fn errors(&self) -> String {
        self.errors.lock().expect("a lock").clone()
    }

    fn signal(&self, name: &str) {
        signal(&self.child, name);
    }

    /// The exit status.
    fn status(&mut self) -> Option<i32> {
        status(&mut self.child)
    }
}

impl Drop for Tail {
    fn drop(&mut self) {
        let _ended_already = self.child.kill();
        let _no_zombie_stays = self.child.wait();
    }
}

fn signal(child: &Child, name: &str) {
    let sent = Command::new("sh").args(["-c", "kill -\"$1\" \"$0\"", &child.id().to_string(), name]).status();
    assert!(sent.expect("a shell").success());
}

fn status(child: &mut Child) -> Option<i32> {
    let mut status = None;
    eventually("the end of the command", || {
        status = child.try_wait().expect("a child");
        status.is_some()
    });
    status.and_then(|status| status.code())
}

/// A line between a client and a server that can be cut and be laid to another server.
struct Cable {
    address: SocketAddr,
    /// Where it leads, if anywhere, and the connections on it.
    ends: Arc<Mutex<(Option<SocketAddr>, Vec<TcpStream>)>>,
}

impl Cable {
    fn to(server: SocketAddr) -> Cable {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("a port");
        let address = listener.local_addr().expect("its address");
        let ends = Arc::new(Mutex::new((Some(server), Vec::new())));
        let shared = ends.clone();
        thread::spawn(move || {
            for near in listener.incoming().map_while(Result::ok) {
                let mut ends = shared.lock().expect("a lock");
                let Some(far) = ends.0.and_then(|server| TcpStream::connect(server).ok()) else { continue };
                for (from, to) in [(&near, &far), (&far, &near)] {
                    let clone = |stream: &TcpStream| stream.try_clone().expect("a descriptor");
                    let (mut from, mut to) = (clone(from), clone(to));
                    thread::spawn(move || {
                        let _lost = std::io::copy(&mut from, &mut to);
                        let _gone_already = to.shutdown(Shutdown::Both);
                    });
                }
                ends.1.extend([near, far]);
            }
        });
        Cable { address, ends }
    }

    fn cut(&self) {
        let mut ends = self.ends.lock().expect("a lock");
        ends.0 = None;
        for stream in ends.1.drain(..) {
            let _gone_already = stream.shutdown(Shutdown::Both);
        }
    }

    fn lay(&self, server: SocketAddr) {
        self.ends.lock().expect("a lock").0 = Some(server);
    }
}

fn say(server: &Process, content: &str) {
    server.ask(
        "POST",
        "/api/chat/rooms/a%2Fb/messages",
        Some(&json!({ "sender": "ann", "content": content })),
    );
}

const ROOM: &str = "a/b";

#[test]
fn what_is_said_is_a_line_whatever_is_in_it_and_nobody_sees_who_reads() {
    let server = Process::serve_with(&["--memory"]);
    let url = format!("http://{}", server.address());
    say(&server, "one");
    say(&server, "two\n\u{1b}[31m");
    let mut tail = Tail::start(&[&url, ROOM, "--history", "2"]);
    assert!(tail.line().ends_with("Z #1 ann: one"));
    assert!(tail.line().ends_with("Z #2 ann: two\\n\\u001b[31m"));
    say(&server, "three");
    assert!(tail.line().ends_with("Z #3 ann: three"));
    let (_, online) = server.ask("GET", "/api/chat/rooms/a%2Fb/online", None);
    assert_eq!((&online["count"], &online["sessions"]), (&json!(0), &json!([])));
    tail.signal("INT");
    assert_eq!((tail.status(), tail.errors()), (Some(0), String::new()));
    let ws = format!("ws://{}/", server.address());
    let mut tail = Tail::start(&[&ws, ROOM, "--json", "--history", "1"]);
    let entry = tail.entry();
    assert_eq!(
        (&entry["type"], &entry["content"], &entry["seq"]),
        (&json!("MESSAGE"), &json!("three"), &json!(3))
    );
    tail.signal("TERM");
    assert_eq!(tail.status(), Some(0));
}

#[test]
fn what_is_said_while_the_line_is_cut_comes_once_and_a_new_log_is_a_gap() {
    let files = tempfile::tempdir().expect("a directory");
    let server = Process::serve(files.path());
    let cable = Cable::to(server.address());
    let url = format!("http://{}", cable.address);
    say(&server, "1");
    let mut tail = Tail::start(&[&url, ROOM, "--json", "--history", "10"]);
    assert_eq!(tail.entry()["seq"], 1);
    cable.cut();
    (2..=5).for_each(|number| say(&server, &number.to_string()));
    // The server is another process when it is there again, with the same log.
    server.terminate();
    let server = Process::serve(files.path());
    (6..=9).for_each(|number| say(&server, &number.to_string()));
    eventually("the loss is told", || tail.errors().contains("trying again in "));
    cable.lay(server.address());
    for seq in 2..=9 {
        let entry = tail.entry();
        assert_eq!((&entry["seq"], &entry["content"]), (&json!(seq), &json!(seq.to_string())));
    }
    eventually("the return is told", || tail.errors().contains("connected again"));
    cable.cut();
    let other = Process::serve_with(&["--memory"]);
    say(&other, "anew");
    cable.lay(other.address());
    let gap = tail.entry();
    assert_eq!((&gap["type"], &gap["from"], &gap["to"]), (&json!("GAP"), &json!(1), &json!(1)), "{gap}");
    say(&other, "live");
    assert_eq!(tail.entry()["content"], "live");
    tail.signal("INT");
    assert_eq!(tail.status(), Some(0));
}

#[test]
fn a_reader_that_goes_ends_it_also_while_nothing_is_said() {
    let server = Process::serve_with(&["--memory"]);
    say(&server, "one");
    let url = format!("http://{}", server.address());
    let mut child = Command::new(BINARY)
        .env_clear()
        .args(["tail", &url, ROOM, "--history", "1"])
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .spawn()
        .expect("the binary");
    let mut stdout: BufReader<ChildStdout> = BufReader::new(child.stdout.take().expect("a pipe"));
    let mut line = String::new();
    stdout.read_line(&mut line).expect("a line");
    assert!(line.ends_with(" ann: one\n"), "{line}");
    drop(stdout);
    assert_eq!(status(&mut child), Some(0));
}

#[test]
fn a_room_that_is_refused_is_one_line_and_status_1() {
    let files = tempfile::tempdir().expect("a directory");
    let config = files.path().join("foghorn.toml");
    let secret = "0123456789abcdef0123456789abcdef";
    std::fs::write(&config, format!("[auth]\njwt_secret = \"{secret}\"\n")).expect("a file");
    let server = Process::serve_with(&["--memory", "--config", config.to_str().expect("text")]);
    let url = format!("http://{}", server.address());
    let token = |more: &[&str]| {
        let arguments = ["token", "--secret", secret, "--sub", "ann"];
        let printed = run(&[&arguments, more].concat(), b"");
        String::from_utf8(printed.stdout).expect("text").trim().to_owned()
    };
    let long = "x".repeat(2000);
    let (anyone, token) = (token(&[]), token(&["--room", "lobby"]));
    for (arguments, part) in [
        (&[&*url, "lobby"][..], "answered 401: "),
        (&[&url, "other", "--token", &token], "answered 403: the token does not allow this room"),
        (&[&url, &long, "--token", &anyone], "answered 404: there is no such room"),
        (&["http://127.0.0.1:1", "lobby"], "cannot connect to http://127.0.0.1:1"),
    ] {
        let refused = run(&[&["tail"], arguments].concat(), b"");
        let text = String::from_utf8_lossy(&refused.stderr);
        assert_eq!((refused.status.code(), text.lines().count()), (Some(1), 1), "{arguments:?}: {text}");
        assert!(text.starts_with("foghorn: ") && text.contains(part), "{text}");
        assert!(refused.stdout.is_empty());
    }
    for arguments in [&["tail", "127.0.0.1:1", "lobby"][..], &["tail", &url], &["tail", &url, ""]] {
        assert_eq!(run(arguments, b"").status.code(), Some(2), "{arguments:?}");
    }
    let mut tail = Tail::start(&[&url, "lobby", "--token", &token, "--history", "1"]);
    let said = json!({ "content": "in" });
    let body = said.to_string();
    let mut stream = TcpStream::connect(server.address()).expect("a connection");
    let request = format!(
        "POST /api/chat/rooms/lobby/messages HTTP/1.1\r\nHost: h\r\nAuthorization: Bearer {}\r\nContent-Type: \
         application/json\r\nContent-Length: {}\r\n\r\n{body}",
        token,
        body.len()
    );
    stream.write_all(request.as_bytes()).expect("the server takes it");
    assert!(tail.line().ends_with(" ann: in"));
    tail.signal("INT");
    assert_eq!(tail.status(), Some(0));
}

#[test]
fn over_tls_a_server_is_believed_for_which_the_system_or_a_file_vouches_and_no_other() {
    let certificate = Certificate::new();
    let server = TestServer::stored(|config| certificate.configure(config));
    let url = format!("wss://localhost:{}", server.tls_address().port());
    let pem = certificate.certificate();
    let pem = pem.to_str().expect("text");
    let history = ["--history", "1"];
    let say = json!({ "sender": "ann", "content": "sealed" });
    assert_eq!(ask(server.address(), "POST", "/api/chat/rooms/r/messages", Some(&say)).0, 201);
    for (variables, trust) in
        [(&[("SSL_CERT_FILE", pem)][..], &[][..]), (&[], &["--ca", pem]), (&[], &["--insecure"])]
    {
        let mut tail = Tail::told(variables, &[&[&*url, "r"], &history[..], trust].concat());
        assert!(tail.line().ends_with(" ann: sealed"), "{variables:?} {trust:?}");
        tail.signal("INT");
        assert_eq!(tail.status(), Some(0));
    }
    let other = Certificate::new();
    let other = other.certificate();
    for variables in [[("SSL_CERT_FILE", other.to_str().expect("text"))], [("SSL_CERT_FILE", "/nowhere")]] {
        let mut tail = Tail::told(&variables, &[&*url, "r"]);
        assert_eq!(tail.status(), Some(1), "{variables:?}");
        eventually("it says why", || tail.errors().lines().count() == 1);
        assert!(tail.errors().contains("certificate"), "{}", tail.errors());
    }
}
