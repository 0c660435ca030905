//! A log that cannot be written costs lines, and nothing else, whichever thread has something to say.

use std::io::{ErrorKind, Read};

use tempfile::TempDir;

use super::process::{Server, Sink, close_code, echoes};
use crate::support::{eventually, now};

fn config(text: &str) -> (TempDir, std::path::PathBuf) {
    let files = tempfile::tempdir().expect("a directory");
    let path = files.path().join("foghorn.toml");
    std::fs::write(&path, text).expect("a file");
    (files, path)
}

/// Connects until the server has no descriptors left, which it logs.
fn exhaust(server: &Server) -> Vec<std::net::TcpStream> {
    server.limit_descriptors(60);
    let mut streams = Vec::new();
    for _ in 0..100 {
        let mut stream = server.connect();
        stream.set_read_timeout(Some(std::time::Duration::from_millis(20))).expect("a timeout");
        // Refused, or closed; the others wait.
        match stream.read(&mut [0; 64]) {
            Err(error) if error.kind() == ErrorKind::WouldBlock => streams.push(stream),
            Ok(_) | Err(_) => {}
        }
    }
    streams
}

#[test]
fn a_server_that_cannot_log_serves_and_ends_in_good_order() {
    for sink in Sink::ALL {
        let (_files, path) = config("");
        let mut server = Server::start(sink, &["--memory", "--log", "trace"], &path);
        let mut session = server.session("/echo");
        let streams = exhaust(&server);
        echoes(&mut session);
        server.limit_descriptors(1024);
        drop(streams);
        // A malformed request, one without permission, a session that breaks the protocol.
        assert!(server.answer(b"GET / HTTP/1.1\nHost: h\r\n\r\n").starts_with("HTTP/1.1 400 "), "{sink:?}");
        let stranger = b"POST /api/chat/rooms HTTP/1.1\r\nHost: h\r\nOrigin: http://evil.test\r\nContent-Length: 2\r\n\r\n{}";
        assert!(server.answer(stranger).starts_with("HTTP/1.1 "), "{sink:?}");
        echoes(&mut session);
        if sink != Sink::Stuck {
            eventually("dropped lines are counted", || server.stat("/log/dropped") > 0);
        }
        server.signal("TERM");
        assert_eq!(close_code(&mut session), 1001, "{sink:?}");
        drop(session);
        assert_eq!(server.end().code(), Some(0), "{sink:?}");
    }
}

#[test]
fn a_reload_that_cannot_be_logged_has_its_effect_and_so_has_the_next() {
    for sink in Sink::ALL {
        let (_files, path) = config("");
        let server = Server::start(sink, &["--memory"], &path);
        for limit in ["2 KiB", "bad", "1 KiB", "4 KiB"] {
            std::fs::write(&path, format!("[limits]\nbody_bytes = \"{limit}\"\n")).expect("a file");
            server.signal("HUP");
            let Ok(bytes) = foghorn::config::parse_bytes(limit) else { continue };
            let request = |bytes: usize| {
                let head = "POST /api/chat/rooms HTTP/1.1\r\nHost: h\r\nConnection: close\r\nContent-Type: \
                            application/json\r\nContent-Length: ";
                let answer = server.answer(format!("{head}{bytes}\r\n\r\n").as_bytes());
                answer.starts_with("HTTP/1.1 413 ")
            };
            eventually("the limit has changed", || request(bytes + 1) && !request(bytes));
        }
    }
}

#[test]
fn a_stuck_reader_of_the_log_costs_lines_and_they_are_counted() {
    let (_files, path) = config("");
    let server = Server::start(Sink::Stuck, &["--memory", "--log", "foghorn=debug"], &path);
    let mut session = server.session("/echo");
    let start = now();
    // More sessions than lines fit into the queue and the pipe together: each leaves a line at this level.
    while server.stat("/log/dropped") == 0 {
        for _ in 0..100 {
            drop(server.session("/echo"));
        }
        assert!(start.elapsed() < 4 * crate::support::PATIENCE, "nothing is dropped");
    }
    echoes(&mut session);
}

#[test]
fn lines_are_json_if_asked_for_and_name_the_server_first() {
    let (files, path) = config("log_format = \"json\"\n");
    let log = files.path().join("log");
    let mut server = Server::logging_to(&log, &["--memory"], &path);
    server.signal("TERM");
    assert_eq!(server.end().code(), Some(0));
    let text = std::fs::read_to_string(&log).expect("a log");
    let lines: Vec<serde_json::Value> =
        text.lines().map(|line| serde_json::from_str(line).unwrap_or_else(|_| panic!("{line}"))).collect();
    assert_eq!(lines[0]["message"], "started");
    assert_eq!(lines[0]["level"], "info");
    assert_eq!(lines[0]["version"], env!("CARGO_PKG_VERSION"));
    assert_eq!(lines[0]["addresses"], format!("http://{}", server.address()));
    assert_eq!(lines[0]["access"], "everybody");
    assert!(lines.iter().all(|line| line["time"].is_string()), "{text}");
}

#[test]
fn a_server_that_is_open_to_everybody_says_so_with_a_warning() {
    let secret = "[auth]\njwt_secret = \"0123456789abcdef0123456789abcdef\"\n";
    for (listen, text, expected) in [
        ("0.0.0.0:0", "", " WARN started, open to everybody "),
        ("[::]:0", "", " WARN started, open to everybody "),
        ("127.0.0.1:0,[::1]:0", "", " INFO started "),
        ("localhost:0", "", " INFO started "),
        ("0.0.0.0:0", secret, " INFO started "),
    ] {
        let (files, path) = config(text);
        let log = files.path().join("log");
        let mut listens = Vec::new();
        for place in listen.split(',') {
            listens.extend(["--listen", place]);
        }
        let mut child = std::process::Command::new(super::process::BINARY)
            .env_clear()
            .args(["serve", "--data"])
            .arg(files.path().join("data"))
            .arg("--config")
            .arg(&path)
            .args(&listens)
            .stdout(std::process::Stdio::null())
            .stderr(std::fs::File::create(&log).expect("a file"))
            .spawn()
            .expect("the server's binary");
        let logged = || std::fs::read_to_string(&log).expect("a log");
        eventually("the first line", || logged().contains('\n'));
        child.kill().expect("a process of ours");
        child.wait().expect("its end");
        let (line, data) = (logged(), files.path().join("data").display().to_string());
        assert!(line.contains(expected) && line.contains(&data), "{listen}: {line}");
        assert!(line.contains(&format!("version={}", env!("CARGO_PKG_VERSION"))), "{line}");
    }
}
