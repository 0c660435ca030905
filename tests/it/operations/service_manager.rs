//! What a service manager is told.

use std::os::unix::net::UnixDatagram;
use std::time::Instant;

use super::process::{Server, close_code};
use crate::support::{PATIENCE, now};

/// A server that tells this socket, and the directory of both.
fn server(micros: &str) -> (tempfile::TempDir, UnixDatagram, Server) {
    let files = tempfile::tempdir().expect("a directory");
    let (path, config) = (files.path().join("notify"), files.path().join("foghorn.toml"));
    let manager = UnixDatagram::bind(&path).expect("a socket");
    manager.set_read_timeout(Some(PATIENCE)).expect("a read timeout");
    std::fs::write(&config, "").expect("a file");
    let variables = [("NOTIFY_SOCKET", path.to_str().expect("text")), ("WATCHDOG_USEC", micros)];
    let server = Server::told_by(&variables, &["--memory"], &config);
    (files, manager, server)
}

#[track_caller]
fn told(manager: &UnixDatagram) -> String {
    let mut bytes = [0; 64];
    let count = manager.recv(&mut bytes).expect("a word in time");
    String::from_utf8_lossy(&bytes[..count]).into_owned()
}

#[test]
fn it_is_told_when_the_server_is_ready_and_when_it_stops() {
    let (_files, manager, mut server) = server("");
    assert_eq!(told(&manager), "READY=1");
    let mut session = server.session("/echo");
    server.signal("TERM");
    assert_eq!(told(&manager), "STOPPING=1");
    assert_eq!(close_code(&mut session), 1001);
    drop(session);
    assert_eq!(server.end().code(), Some(0));
}

#[test]
fn it_is_told_of_a_reload_and_of_its_end_also_of_one_that_fails() {
    let (files, manager, server) = server("");
    assert_eq!(told(&manager), "READY=1");
    let (mut before, mut start) = (0, now());
    let micros_since = |start: Instant| u64::try_from(start.elapsed().as_micros()).expect("a short time");
    for config in ["[limits]\nrooms = 7\n", "[limits]\nrooms = \"seven\"\n", ""] {
        std::fs::write(files.path().join("foghorn.toml"), config).expect("a file");
        let begun_at = now();
        server.signal("HUP");
        let begun = told(&manager);
        let at: u64 = begun
            .strip_prefix("RELOADING=1\nMONOTONIC_USEC=")
            .and_then(|micros| micros.parse().ok())
            .unwrap_or_else(|| panic!("{begun}"));
        assert_eq!(told(&manager), "READY=1", "{config}");
        // Microseconds of a clock that runs as fast as ours.
        assert!(before == 0 || before < at && at - before <= micros_since(start), "{before} {at}");
        (before, start) = (at, begun_at);
    }
}

#[test]
fn it_is_told_again_and_again_that_the_server_is_alive() {
    let (_files, manager, mut server) = server("200000");
    assert_eq!(told(&manager), "READY=1");
    (0..5).for_each(|_| assert_eq!(told(&manager), "WATCHDOG=1"));
    server.signal("TERM");
    while told(&manager) != "STOPPING=1" {}
    assert_eq!(server.end().code(), Some(0));
}
