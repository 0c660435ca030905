//! What signals do.

use std::time::Duration;

use super::process::{Server, close_code};
use crate::support::{eventually, now};

/// Longer than the time in which two signals are one.
const LATER: Duration = Duration::from_millis(400);

fn server(config: &str, log: &str) -> (tempfile::TempDir, Server) {
    let files = tempfile::tempdir().expect("a directory");
    let path = files.path().join("foghorn.toml");
    std::fs::write(&path, config).expect("a file");
    let data = files.path().join("data").display().to_string();
    let server = Server::logging_to(&files.path().join("log"), &["--data", &data, "--log", log], &path);
    (files, server)
}

fn wait(time: Duration) {
    let start = now();
    eventually("later", || start.elapsed() > time);
}

#[test]
fn two_signals_at_once_are_one() {
    let (_files, mut server) = server("", "info");
    let mut session = server.session("/echo");
    server.signal("TERM");
    server.signal("INT");
    server.signal("TERM");
    assert_eq!(close_code(&mut session), 1001);
    drop(session);
    assert_eq!(server.end().code(), Some(0));
}

#[test]
fn a_second_signal_ends_the_process_at_once() {
    let (files, mut server) = server("", "info");
    // It does not answer the Close frame, so the server would wait for it.
    let mut session = server.session("/echo");
    server.signal("TERM");
    assert_eq!(close_code(&mut session), 1001);
    wait(LATER);
    server.signal("INT");
    assert_eq!(server.end().code(), Some(1));
    let log = std::fs::read_to_string(files.path().join("log")).expect("a log");
    assert!(log.contains("second signal, leaving at once"), "{log}");
}

#[test]
fn what_a_reload_cannot_change_is_named() {
    let (files, server) = server("", "info");
    let path = files.path().join("foghorn.toml");
    let text =
        "workers = 3\nunix_mode = \"600\"\n[limits]\nconnections = 5\n[heartbeat]\ntext_interval = \"7s\"\n";
    std::fs::write(&path, text).expect("a file");
    server.signal("HUP");
    let logged = || std::fs::read_to_string(files.path().join("log")).expect("a log");
    eventually("the log names them", || logged().contains("needs a restart"));
    let log = logged();
    assert!(log.contains("keys=\"unix_mode, workers, heartbeat.text_interval\""), "{log}");
    assert!(!log.contains("limits.connections"), "{log}");
}
