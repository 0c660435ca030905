//! Honest epochs, by real processes: a log keeps its name over ordinary restarts, and gets another whenever what is found
//! is not what was used last, so that no number is ever given out twice under one name.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

use std::fs;
use std::path::Path;
use std::process::Command;

use crate::support::eventually;
use crate::support::process::{Process, run};
use rusqlite::Connection;
use serde_json::{Value, json};
use tempfile::tempdir;

const MESSAGES: &str = "/api/chat/rooms/lobby/messages";

/// A server on a new directory, with a room.
fn begun(dir: &Path) -> Process {
    let server = Process::serve(dir);
    let url = format!("ws://{}/ws/chat?roomId=lobby&username=ann", server.address());
    let (mut member, _) = tungstenite::connect(url).unwrap();
    member.read().unwrap();
    member.close(None).unwrap();
    while member.read().is_ok() {}
    eventually("the end of the session", || position(&server).1 == 2);
    server
}

fn publish(server: &Process, count: u64) {
    for number in 0..count {
        server.ask(
            "POST",
            MESSAGES,
            Some(&json!({ "sender": "ann", "content": format!("message {number}") })),
        );
    }
}

/// Epoch and head of the room, if it is there.
fn position(server: &Process) -> (String, u64) {
    if server.status("GET", MESSAGES, None) == 404 {
        return (String::new(), 0);
    }
    let (head, page) = server.ask("GET", &format!("{MESSAGES}?limit=1"), None);
    let position = head.lines().find_map(|line| line.strip_prefix("Foghorn-Position: ")).unwrap();
    let head = page.as_array().unwrap().first().map_or(0, |message: &Value| message["seq"].as_u64().unwrap());
    (position.split_once(':').unwrap().0.to_owned(), head)
}

/// Epoch and head after a restart.
fn restarted(dir: &Path) -> (String, u64) {
    let server = Process::serve(dir);
    let position = position(&server);
    server.terminate();
    position
}

fn sh(script: &str, dir: &Path, other: &Path) {
    let status = Command::new("sh").args(["-ec", script, "sh"]).arg(dir).arg(other).status().unwrap();
    assert!(status.success(), "{script}");
}

#[test]
fn ordinary_restarts_keep_the_epoch() {
    let dir = tempdir().unwrap();
    let (data, moved) = (dir.path().join("data"), dir.path().join("volume"));
    let server = begun(&data);
    publish(&server, 3);
    let first = position(&server);
    server.terminate();
    assert_eq!(restarted(&data), first, "after a good end");
    let server = Process::serve(&data);
    publish(&server, 2);
    let second = position(&server);
    assert_eq!(second, (first.0.clone(), 7));
    server.kill();
    assert_eq!(restarted(&data), second, "after kill -9");
    // What a container's start does to its volume.
    sh("chmod -R u+rwX,g+rX \"$1\"; chown -R \"$(id -u):$(id -g)\" \"$1\"", &data, &moved);
    fs::rename(&data, &moved).unwrap();
    assert_eq!(restarted(&moved), second, "under another path");
    let server = Process::serve(&moved);
    server.kill();
    let server = Process::serve(&moved);
    server.kill();
    assert_eq!(restarted(&moved), second, "killed without a message");
}

#[test]
fn a_copy_that_is_put_back_begins_a_new_epoch_however_it_is_put_back() {
    let ways = [
        "rm -rf \"$1\"; cp -a \"$2\" \"$1\"",
        "rm -rf \"$1\"; cp -r \"$2\" \"$1\"",
        "rm -rf \"$1\"; mv \"$2\" \"$1\"",
        // Over the files that are there, which stay the same files.
        "cp -a \"$2\"/. \"$1\"",
        "cat \"$2\"/foghorn.db > \"$1\"/foghorn.db",
        "cp -p \"$2\"/foghorn.db \"$1\"/foghorn.db; rm -f \"$1\"/foghorn.db-wal \"$1\"/foghorn.db-shm",
        // The files that the copy does not have are removed, as a synchronisation does.
        "rm -f \"$1\"/foghorn.mark*; cp -a \"$2\"/. \"$1\"",
        "cd \"$2\"; tar cf - . | tar xf - -C \"$1\"",
    ];
    for way in ways {
        for killed in [false, true] {
            let dir = tempdir().unwrap();
            let (data, copy) = (dir.path().join("data"), dir.path().join("copy"));
            let server = begun(&data);
            publish(&server, 5);
            let (epoch, head) = position(&server);
            server.terminate();
            sh("cp -a \"$1\" \"$2\"", &data, &copy);
            let server = Process::serve(&data);
            publish(&server, 5);
            assert_eq!(position(&server), (epoch.clone(), head + 5));
            if killed {
                server.kill()
            } else {
                server.terminate()
            }
            sh(way, &data, &copy);
            let (after, kept) = restarted(&data);
            // A log that was left in place may have brought the newer messages back; then nothing was lost.
            assert!(
                after != epoch || kept == head + 5,
                "{way}, killed: {killed}: {kept} under the same epoch"
            );
            assert!(killed || after != epoch, "{way}: the same epoch");
        }
    }
}

#[test]
fn a_database_without_its_write_ahead_log_begins_a_new_epoch() {
    // Of a killed server, with and without the index; and the file alone, copied while the server ran.
    for lose in ["rm \"$1\"/foghorn.db-wal", "rm \"$1\"/foghorn.db-*", ": > \"$1\"/foghorn.db-wal"] {
        let dir = tempdir().unwrap();
        let server = begun(dir.path());
        publish(&server, 5);
        let (epoch, _) = position(&server);
        server.kill();
        sh(lose, dir.path(), dir.path());
        assert_ne!(restarted(dir.path()).0, epoch, "{lose}");
    }
}

#[test]
fn backups_of_the_database_begin_a_new_epoch() {
    let copies: [fn(&Path, &Path); 2] = [
        |database, copy| assert!(fs::copy(database, copy).unwrap() > 0),
        |database, copy| {
            let conn = Connection::open(database).unwrap();
            conn.execute("VACUUM INTO ?1", [copy.to_str().unwrap()]).unwrap();
        },
    ];
    for (number, copy) in copies.into_iter().enumerate() {
        for into_place in
            ["rm -f \"$1\"/foghorn.db*; cp \"$2\" \"$1\"/foghorn.db", "cat \"$2\" > \"$1\"/foghorn.db"]
        {
            let dir = tempdir().unwrap();
            let (data, backup) = (dir.path().join("data"), dir.path().join("backup.db"));
            let server = begun(&data);
            publish(&server, 5);
            let (epoch, _) = position(&server);
            copy(&data.join("foghorn.db"), &backup);
            publish(&server, 5);
            server.terminate();
            sh(into_place, &data, &backup);
            assert_ne!(restarted(&data).0, epoch, "copy {number}, {into_place}");
        }
    }
}

#[test]
fn a_damaged_write_ahead_log_begins_a_new_epoch() {
    let dir = tempdir().unwrap();
    let server = begun(dir.path());
    publish(&server, 20);
    let (epoch, _) = position(&server);
    server.kill();
    let log = dir.path().join("foghorn.db-wal");
    let mut bytes = fs::read(&log).unwrap();
    let middle = bytes.len() / 2;
    bytes[middle] ^= 1;
    fs::write(&log, bytes).unwrap();
    let (after, head) = restarted(dir.path());
    assert!(head < 20 && after != epoch, "{head} messages of {epoch} under {after}");
}

#[test]
fn a_directory_that_is_deleted_or_moved_under_a_running_server_is_noticed() {
    let dir = tempdir().unwrap();
    let (data, aside) = (dir.path().join("data"), dir.path().join("aside"));
    let server = begun(&data);
    publish(&server, 3);
    let message = json!({ "sender": "ann", "content": "lost?" });
    fs::rename(&data, &aside).unwrap();
    assert_eq!(server.status("POST", MESSAGES, Some(&message)), 503);
    assert_eq!(server.status("GET", "/readyz", None), 503);
    fs::rename(&aside, &data).unwrap();
    // Nobody publishes: it finds out by itself.
    eventually("ready again", || server.status("GET", "/readyz", None) == 200);
    publish(&server, 1);
    assert_eq!(position(&server).1, 6);
    fs::remove_dir_all(&data).unwrap();
    eventually("not ready", || server.status("GET", "/readyz", None) == 503);
    assert_eq!(server.status("POST", MESSAGES, Some(&message)), 503);
    // Another one that takes the place changes nothing for the first.
    let second = begun(&data);
    publish(&second, 1);
    assert_eq!(server.status("POST", MESSAGES, Some(&message)), 503);
    assert_eq!(server.status("GET", "/readyz", None), 503);
    second.terminate();
}

#[test]
fn a_second_server_is_refused_though_the_lock_file_was_deleted() {
    let dir = tempdir().unwrap();
    let server = begun(dir.path());
    fs::remove_file(dir.path().join("foghorn.lock")).unwrap();
    let second = run(&["serve", "--listen", "127.0.0.1:0", "--data", dir.path().to_str().unwrap()], b"");
    assert_eq!(second.status.code(), Some(1));
    let said = String::from_utf8(second.stderr).unwrap();
    assert!(said.contains("is in use by another process"), "{said}");
    publish(&server, 1);
    server.terminate();
}
