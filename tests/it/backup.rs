//! `foghorn backup` and `foghorn restore`, run as users run them.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

use std::fs;
use std::io::{Read, Write};
use std::net::TcpStream;
use std::path::Path;
use std::process::{Output, Stdio};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread;

use crate::support::process::{Process, command, run};
use crate::support::{PATIENCE, eventually};
use serde_json::{Value, json};
use tempfile::{TempDir, tempdir};

const ROOMS: [&str; 3] = ["lobby", "ops", "röom"];
const ENCODED: [&str; 3] = ["lobby", "ops", "r%C3%B6om"];

fn backup(url: &str, file: &Path) -> Output {
    run(&["backup", file.to_str().unwrap(), "--url", url], b"")
}

fn restore(file: &Path, data: &Path) -> Output {
    run(&["restore", file.to_str().unwrap(), "--data", data.to_str().unwrap()], b"")
}

fn fine(output: &Output) {
    assert!(output.status.success(), "{}", output.stderr.escape_ascii());
    assert!(output.stdout.is_empty() && output.stderr.is_empty(), "progress is for terminals: {output:?}");
}

/// A command that failed with status 1 and one line; says the line.
fn refused(output: &Output) -> String {
    assert_eq!(output.status.code(), Some(1), "{output:?}");
    let line = String::from_utf8(output.stderr.clone()).unwrap();
    assert_eq!(line.lines().count(), 1, "{line}");
    line
}

/// All messages of a room, oldest first, and its epoch.
fn log(server: &Process, room: &str) -> (Vec<Value>, String) {
    let mut messages: Vec<Value> = Vec::new();
    loop {
        let after = messages.last().map_or(0, |message| message["seq"].as_u64().unwrap());
        let path = format!("/api/chat/rooms/{room}/messages?limit=1000&after={after}");
        let (head, page) = server.ask("GET", &path, None);
        let position = head.lines().find_map(|line| line.strip_prefix("Foghorn-Position: ")).unwrap();
        let epoch = position.split_once(':').unwrap().0.to_owned();
        match page.as_array().unwrap() {
            page if page.is_empty() => return (messages, epoch),
            page => messages.extend(page.iter().cloned()),
        }
    }
}

fn names(dir: &Path) -> Vec<String> {
    let entries = fs::read_dir(dir).unwrap();
    let mut names: Vec<_> = entries.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
    names.sort();
    names
}

fn copies(data: &Path) -> usize {
    names(data).iter().filter(|name| name.starts_with("foghorn.backup-")).count()
}

/// A server with some messages in its rooms.
fn server_with_messages(data: &Path) -> Process {
    let server = Process::serve(data);
    for room in ENCODED {
        for number in 0..3 {
            let body =
                json!({ "sender": "ann", "content": format!("{number}"), "id": format!("{room}{number}") });
            server.ask("POST", &format!("/api/chat/rooms/{room}/messages"), Some(&body));
        }
    }
    server
}

fn url(server: &Process) -> String {
    format!("http://{}", server.address())
}

#[test]
fn a_backup_under_load_has_everything_that_was_stored_before_it_began() {
    let (dir, files) = (tempdir().unwrap(), tempdir().unwrap());
    let server = server_with_messages(dir.path());
    let body = json!({ "name": "Ops room", "description": "d", "createdBy": "ann" });
    let made = server.ask("POST", "/api/chat/rooms", Some(&body)).1;
    let made = made["id"].as_str().unwrap().to_owned();
    server.ask("POST", &format!("/api/chat/rooms/{made}/join?username=bob"), None);
    let banned = server.response("POST", "/api/chat/rooms/ops/kick?username=eve&ban=1h", None);
    assert!(banned.starts_with("HTTP/1.1 200"), "{banned}");

    let (ended, published) = (AtomicBool::new(false), AtomicU64::new(0));
    let (first, second) = (files.path().join("first.db"), files.path().join("second.db"));
    let before = thread::scope(|scope| {
        for room in ENCODED {
            let (server, ended, published) = (&server, &ended, &published);
            scope.spawn(move || {
                let body = json!({ "sender": "bob", "content": "x".repeat(1000) });
                while !ended.load(Ordering::Relaxed) {
                    server.ask("POST", &format!("/api/chat/rooms/{room}/messages"), Some(&body));
                    published.fetch_add(1, Ordering::Relaxed);
                }
            });
        }
        let at_least = |count: u64| {
            eventually("messages", || published.load(Ordering::Relaxed) >= count);
        };
        at_least(60);
        let before = ENCODED.map(|room| log(&server, room).0);
        fine(&backup(&url(&server), &first));
        at_least(published.load(Ordering::Relaxed) + 30);
        fine(&backup(&url(&server), &second));
        ended.store(true, Ordering::Relaxed);
        before
    });
    assert_eq!(names(files.path()), ["first.db", "second.db"]);
    eventually("the removal of the copy", || copies(dir.path()) == 0);
    let all = ENCODED.map(|room| log(&server, room));
    let bodies = [json!({ "sender": "ann", "content": "0", "id": "lobby0" })];
    server.terminate();

    let data = files.path().join("new/data");
    fine(&restore(&first, &data));
    assert_eq!(names(&data), ["foghorn.db", "foghorn.lock"]);
    let restored = Process::serve(&data);
    for ((room, before), (all, epoch)) in ENCODED.iter().zip(before).zip(&all) {
        let (messages, renewed) = log(&restored, room);
        assert!(messages.len() >= before.len(), "{room}: {} of {}", messages.len(), before.len());
        assert_eq!(messages, all[..messages.len()], "{room}");
        assert!(messages.iter().zip(1..).all(|(message, seq)| message["seq"] == seq), "{room}");
        assert_ne!(&renewed, epoch, "{room}");
        gap_for_old_position(&restored, room, epoch, &renewed, messages.len());
    }
    let room = restored.ask("GET", &format!("/api/chat/rooms/{made}"), None).1;
    assert_eq!((&room["name"], &room["participants"]), (&json!("Ops room"), &json!(["ann", "bob"])));
    let again = restored.ask("POST", "/api/chat/rooms/lobby/messages", Some(&bodies[0])).1;
    assert_eq!(again["seq"], 1, "ids of messages are known: {again}");
    let eve = json!({ "sender": "eve", "content": "x" });
    assert_eq!(restored.status("POST", "/api/chat/rooms/ops/messages", Some(&eve)), 403, "bans go on");
    let (_, epoch) = log(&restored, "lobby");
    restored.terminate();
    let again = Process::serve(&data);
    assert_eq!(log(&again, "lobby").1, epoch, "an ordinary restart keeps the new epoch");
    again.terminate();

    let other = tempdir().unwrap();
    fine(&restore(&first, other.path()));
    let other = Process::serve(other.path());
    assert_ne!(log(&other, "lobby").1, epoch, "each restored directory has epochs of its own");
}

/// A client that comes back with a position of the original is told what is not certain any more.
fn gap_for_old_position(server: &Process, room: &str, old: &str, new: &str, head: usize) {
    let address = server.address();
    let url = format!("ws://{address}/ws/chat?roomId={room}&username=cat&sinceSeq=2&epoch={old}");
    let (mut member, _) = tungstenite::connect(url).unwrap();
    let gap: Value = serde_json::from_str(&member.read().unwrap().into_text().unwrap()).unwrap();
    assert_eq!((&gap["type"], &gap["from"]), (&json!("GAP"), &json!(1)), "{gap}");
    assert!(gap["to"].as_u64().unwrap() >= head as u64, "{gap}");
    assert_eq!(gap["epoch"].to_string().trim_matches('"'), new, "{gap}");
}

#[test]
fn a_backup_that_cannot_be_made_leaves_nothing_behind() {
    let (dir, files) = (tempdir().unwrap(), tempdir().unwrap());
    let server = server_with_messages(dir.path());
    let file = files.path().join("copy.db");
    fs::write(&file, "older").unwrap();
    let dead = refused(&backup("http://127.0.0.1:1", &file));
    assert!(dead.contains("cannot connect"), "{dead}");
    let memory = Process::serve_with(&["--memory"]);
    let line = refused(&backup(&url(&memory), &file));
    assert!(line.contains("in memory only"), "{line}");
    let elsewhere = refused(&backup(&url(&server), &files.path().join("no/such/copy.db")));
    assert!(elsewhere.contains("cannot write"), "{elsewhere}");
    refused(&backup(&url(&server), Path::new("/dev/null")));
    refused(&backup(&url(&server), files.path()));
    let usage = backup("ftp://h", &file);
    assert_eq!(usage.status.code(), Some(2), "{usage:?}");

    // Another one is under way; then its client has it all, and a third may come.
    let (_, begun) = server.ask("POST", "/api/backup", None);
    let busy = refused(&backup(&url(&server), &file));
    assert!(busy.contains("503") && busy.contains("another backup is under way"), "{busy}");
    assert!(server.response("POST", "/api/backup", None).contains("\r\nRetry-After: "));
    assert_eq!(fs::read(&file).unwrap(), b"older");
    assert_eq!(names(files.path()), ["copy.db"]);
    let id = begun["id"].as_str().unwrap();
    assert_eq!(server.status("GET", "/api/backup?id=0123456789abcdef", None), 404);
    assert_eq!(server.status("GET", "/api/backup?id=x", None), 400);
    assert_eq!(server.status("DELETE", &format!("/api/backup?id={id}"), None), 204);
    fine(&backup(&url(&server), &file));
    assert!(fs::read(&file).unwrap().starts_with(b"SQLite format 3\0"));
}

#[test]
fn a_copy_that_a_kill_has_left_is_removed_at_the_next_start() {
    let dir = tempdir().unwrap();
    let server = server_with_messages(dir.path());
    let (_, begun) = server.ask("POST", "/api/backup", None);
    let path = format!("/api/backup?id={}", begun["id"].as_str().unwrap());
    eventually("a copy", || server.status("GET", &path, None) == 200);
    server.kill();
    assert_eq!(copies(dir.path()), 1);
    let server = Process::serve(dir.path());
    assert_eq!(copies(dir.path()), 0);
    assert_eq!(log(&server, "lobby").0.len(), 3);
    // A stop in good order does not wait for the client.
    server.ask("POST", "/api/backup", None);
    server.terminate();
    assert_eq!(copies(dir.path()), 0);
}

#[test]
fn strangers_and_other_pages_get_no_copy() {
    let dir = tempdir().unwrap();
    let server = server_with_messages(dir.path());
    let own = format!("Host: {}\r\n", server.address());
    let cases = [
        ("Host: evil.test\r\n".to_owned(), "403"),
        (format!("{own}X-Forwarded-For: 192.0.2.1\r\n"), "403"),
        (format!("{own}Via: 1.1 proxy\r\n"), "403"),
        (format!("{own}Origin: http://evil.test\r\n"), "403"),
        (format!("{own}Origin: http://{}\r\n", server.address()), "201"),
    ];
    for (fields, expected) in cases {
        for (method, target) in
            [("POST", ""), ("GET", "?id=0123456789abcdef"), ("DELETE", "?id=0123456789abcdef")]
        {
            let mut stream = TcpStream::connect(server.address()).unwrap();
            stream.set_read_timeout(Some(PATIENCE)).unwrap();
            let request =
                format!("{method} /api/backup{target} HTTP/1.1\r\n{fields}Connection: close\r\n\r\n");
            stream.write_all(request.as_bytes()).unwrap();
            let mut reply = String::new();
            stream.read_to_string(&mut reply).unwrap();
            let expected = if expected == "201" && method != "POST" { "404" } else { expected };
            assert!(reply.starts_with(&format!("HTTP/1.1 {expected}")), "{request}{reply}");
        }
    }
}

#[test]
fn only_an_administrator_of_all_rooms_gets_a_copy_where_there_are_keys() {
    let secret = "0123456789abcdef0123456789abcdef";
    let (dir, files) = (tempdir().unwrap(), tempdir().unwrap());
    let config = files.path().join("foghorn.toml");
    fs::write(&config, format!("[auth]\njwt_secret = {secret:?}\n")).unwrap();
    let arguments = ["--data", dir.path().to_str().unwrap(), "--config", config.to_str().unwrap()];
    let server = Process::serve_with(&arguments);
    let token = |more: &[&str]| {
        let made = run(&[&["token", "--secret", secret, "--sub", "ann"], more].concat(), b"");
        String::from_utf8(made.stdout).unwrap().trim().to_owned()
    };
    let file = files.path().join("copy.db");
    let with = |token: &str| {
        let mut command = command(&["backup", file.to_str().unwrap(), "--url", &url(&server)]);
        command.env("FOGHORN_TOKEN", token).stdin(Stdio::null()).output().unwrap()
    };
    assert!(refused(&backup(&url(&server), &file)).contains("401"));
    for more in [&[][..], &["--room", "lobby", "--admin"]] {
        assert!(refused(&with(&token(more))).contains("403"), "{more:?}");
    }
    assert!(!file.exists());
    fine(&with(&token(&["--admin"])));
    assert!(file.exists());
}

#[test]
fn a_restore_begins_with_a_whole_copy_and_an_empty_directory_or_changes_nothing() {
    let (dir, files) = (tempdir().unwrap(), tempdir().unwrap());
    let server = server_with_messages(dir.path());
    let copy = files.path().join("copy 50%?#.db");
    fine(&backup(&url(&server), &copy));
    let whole = fs::read(&copy).unwrap();
    let data = files.path().join("data");

    let wrong = files.path().join("wrong.db");
    let mut changed = whole.clone();
    let middle = changed.len() / 2;
    changed[middle..].fill(0xff);
    let mut newer = whole.clone();
    newer[60..64].copy_from_slice(&1000u32.to_be_bytes());
    let mut foreign = whole.clone();
    foreign[68..72].fill(7);
    let cases: [(&[u8], &str); 6] = [
        (b"", "no database"),
        (b"{\"id\":\"x\"}", "no database"),
        (&whole[..whole.len() - 1], "bytes"),
        (&changed, "no backup that can be used"),
        (&newer, "schema"),
        (&foreign, "another program"),
    ];
    for (bytes, expected) in cases {
        fs::write(&wrong, bytes).unwrap();
        let line = refused(&restore(&wrong, &data));
        assert!(line.contains(expected), "{line}");
        assert!(!data.exists());
    }
    assert!(refused(&restore(&files.path().join("none"), &data)).contains("none"));
    let live = refused(&restore(&dir.path().join("foghorn.db"), &data));
    assert!(live.contains("write-ahead log"), "{live}");

    let full = tempdir().unwrap();
    fs::write(full.path().join("note"), "mine").unwrap();
    assert!(refused(&restore(&copy, full.path())).contains("not empty"));
    assert_eq!(names(full.path()), ["note"]);
    assert!(refused(&restore(&copy, dir.path())).contains("not empty"));
    assert!(refused(&restore(&copy, &full.path().join("note"))).contains("note"));
    assert_eq!(log(&server, "lobby").0.len(), 3);

    fine(&restore(&copy, &data));
    assert_eq!(fs::read(&copy).unwrap(), whole, "the copy stays as it is");
    assert_eq!(names(files.path()), ["copy 50%?#.db", "data", "wrong.db"], "nothing is put beside it");
    assert!(refused(&restore(&copy, &data)).contains("not empty"));
}

#[test]
fn a_restore_that_was_interrupted_is_not_served_and_can_be_begun_again() {
    let (dir, files) = (tempdir().unwrap(), tempdir().unwrap());
    let server = server_with_messages(dir.path());
    let copy = files.path().join("copy.db");
    fine(&backup(&url(&server), &copy));
    // As a kill leaves it.
    let data: TempDir = tempdir().unwrap();
    let half = &fs::read(&copy).unwrap()[..4096];
    fs::write(data.path().join("foghorn.restoring"), half).unwrap();
    fs::write(data.path().join("foghorn.lock"), "").unwrap();
    let output = run(&["serve", "--listen", "127.0.0.1:0", "--data", data.path().to_str().unwrap()], b"");
    let line = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(1), "{line}");
    assert!(line.contains("a restore into the data directory") && line.contains("was interrupted"), "{line}");
    assert_eq!(names(data.path()), ["foghorn.lock", "foghorn.restoring"]);
    fine(&restore(&copy, data.path()));
    let restored = Process::serve(data.path());
    for (room, encoded) in ROOMS.into_iter().zip(ENCODED) {
        assert_eq!(log(&restored, encoded).0, log(&server, encoded).0, "{room}");
    }
}
