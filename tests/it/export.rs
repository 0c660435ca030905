//! `foghorn export` and `foghorn import`, run as users run them.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

use std::fs;
use std::io::Write;
use std::path::Path;
use std::process::{Command, Stdio};

use crate::support::process::{Process, command, run};
use serde_json::{Value, json};
use tempfile::tempdir;

const ROOM: &str = "r%C3%B6om";
const NAME: &str = "röom";

/// Runs a command on a data directory; says what it printed.
fn fine(command: &[&str], data: &Path, input: &[u8]) -> Vec<u8> {
    let output = run(&[command, &["--data", data.to_str().unwrap()]].concat(), input);
    assert!(output.status.success(), "{command:?}: {}", output.stderr.escape_ascii());
    assert!(output.stderr.is_empty(), "progress is for terminals: {}", output.stderr.escape_ascii());
    output.stdout
}

/// Runs a command that must fail with status 1 and one line; says the line.
fn refused(command: &[&str], data: &Path, input: &[u8]) -> String {
    let output = run(&[command, &["--data", data.to_str().unwrap()]].concat(), input);
    assert_eq!((output.status.code(), &*output.stdout), (Some(1), &b""[..]), "{command:?}");
    let line = String::from_utf8(output.stderr).unwrap();
    assert_eq!(line.lines().count(), 1, "{line}");
    line
}

fn line(seq: u64) -> Value {
    let timestamp = format!("2026-01-31T12:00:00.{seq:06}Z");
    json!({ "id": "x", "roomId": "r", "sender": "s", "content": "c", "type": "MESSAGE", "timestamp": timestamp, "seq": seq })
}

fn lines(values: impl IntoIterator<Item = Value>) -> Vec<u8> {
    values.into_iter().flat_map(|value| format!("{value}\n").into_bytes()).collect()
}

/// The messages of an export, behind the line about the room.
fn messages(export: &[u8]) -> Vec<Value> {
    let lines = export.split_inclusive(|byte| *byte == b'\n');
    let mut values: Vec<Value> = lines.map(|line| serde_json::from_slice(line).unwrap()).collect();
    assert_eq!(values.remove(0)["type"], "ROOM");
    values
}

#[test]
fn a_log_comes_back_from_its_export_as_it_was() {
    let (dir, other) = (tempdir().unwrap(), tempdir().unwrap());
    let server = Process::serve(dir.path());
    let url = format!("ws://{}/ws/chat?roomId={ROOM}&username=J%C3%B6rg", server.address());
    let (mut member, _) = tungstenite::connect(url).unwrap();
    let join = member.read().unwrap().into_text().unwrap();
    let mut published = vec![serde_json::from_str::<Value>(&join).unwrap()];
    let path = format!("/api/chat/rooms/{ROOM}/messages");
    for (index, content) in ["", "plain", "\"\\\n\u{0}\u{7f}", "漢字 🌫"].into_iter().enumerate() {
        let body = json!({ "sender": "alice", "content": content, "id": format!("id \"{index}\"") });
        published.push(server.ask("POST", &path, Some(&body)).1);
    }
    published.push(server.ask("POST", &path, Some(&json!({ "sender": "bob", "content": "no id" }))).1);
    let locked = refused(&["export", NAME], dir.path(), b"");
    assert!(locked.contains("is in use by another process"), "{locked}");
    server.terminate();

    let export = fine(&["export", NAME], dir.path(), b"");
    let mut exported: Vec<Value> = export
        .split_inclusive(|byte| *byte == b'\n')
        .map(|line| serde_json::from_slice(line).unwrap())
        .collect();
    let about = exported.remove(0);
    assert_eq!(
        (&about["type"], &about["roomId"], &about["name"]),
        (&json!("ROOM"), &json!(NAME), &json!(NAME))
    );
    let leave = exported.pop().unwrap();
    assert_eq!((&leave["type"], &leave["content"]), (&json!("LEAVE"), &json!("Jörg left")));
    assert_eq!(exported, published);

    assert!(fine(&["import"], other.path(), &export).is_empty());
    let again = fine(&["export", NAME], other.path(), b"");
    assert_eq!(again, export, "ids and all");
    let full = refused(&["import"], other.path(), &export);
    assert!(full.contains("the room exists already and has messages"), "{full}");

    let file = other.path().join("export.jsonl");
    let path = file.to_str().unwrap();
    assert!(fine(&["export", NAME, "--output", path], other.path(), b"").is_empty());
    assert_eq!(fs::read(&file).unwrap(), again);
    fine(&["import", "--input", path, "--room", "copy"], other.path(), b"");
    let copy = String::from_utf8(fine(&["export", "copy"], other.path(), b"")).unwrap();
    let original = String::from_utf8(again).unwrap();
    assert_eq!(copy, original.replace(&format!("\"roomId\":\"{NAME}\""), "\"roomId\":\"copy\""));
}

#[test]
fn a_log_of_several_batches_keeps_its_numbers() {
    let dir = tempdir().unwrap();
    let log = lines((41..10_041).map(line));
    fine(&["import"], dir.path(), &log);
    let export = fine(&["export", "r"], dir.path(), b"");
    let seqs = messages(&export).into_iter().map(|message| message["seq"].as_u64().unwrap());
    assert!(seqs.eq(41..10_041));
}

#[test]
fn a_bad_line_is_named_and_leaves_no_room_behind() {
    let with = |name: &str, value: Value| {
        let mut line = line(3);
        line[name] = value;
        lines([self::line(1), self::line(2), line])
    };
    let numbered = |at, seq: u64| {
        let mut line = line(at);
        line["seq"] = json!(seq);
        line
    };
    let cases = [
        (b"{\"roomId\":\"r\"}\n".to_vec(), "line 1: missing field"),
        (
            lines([numbered(1, (1 << 53) - 1), numbered(2, 1 << 53)]),
            "line 2: message 9007199254740992 is beyond the highest number",
        ),
        (
            lines([numbered(1, i64::MAX as u64 - 1)]),
            "line 1: message 9223372036854775806 is beyond the highest number",
        ),
        ([lines([line(1)]), b"{\"content\":\"\xff\"}".to_vec()].concat(), "line 2: invalid unicode"),
        (with("seq", json!(4)), "line 3: message 4 does not follow"),
        (with("seq", json!(-3)), "line 3: invalid value"),
        (with("timestamp", json!("2026-01-31T12:00:00Z")), "line 3: message 3 does not follow"),
        (with("timestamp", json!("yesterday")), "line 3: timestamp is no RFC 3339 time"),
        (with("type", json!("GAP")), "line 3: type \"GAP\" is none"),
        (with("roomId", json!("q")), "line 3: room \"q\" where"),
        (with("sender", json!("")), "line 3: sender must have 1 to 64 bytes"),
        (with("clientId", json!("x".repeat(65))), "line 3: clientId must have"),
        (with("secret", json!(1)), "line 3: unknown field `secret`"),
        // Far behind the first batch.
        ([lines((1..9_001).map(line)), b"nonsense".to_vec()].concat(), "line 9001: expected"),
    ];
    let dir = tempdir().unwrap();
    for (input, expected) in cases {
        let why = refused(&["import"], dir.path(), &input);
        assert!(why.starts_with(&format!("foghorn: {expected}")), "{why} instead of {expected}");
        let none = refused(&["export", "r"], dir.path(), b"");
        assert_eq!(none, "foghorn: room \"r\": there is no such room\n");
    }
}

#[test]
fn what_is_not_there_is_not_created() {
    let dir = tempdir().unwrap();
    let nowhere = dir.path().join("nowhere");
    let why = refused(&["export", "r"], &nowhere, b"");
    assert!(why.contains("there is no data directory"), "{why}");
    assert!(!nowhere.exists());
    let file = dir.path().join("export.jsonl");
    refused(&["export", "r", "--output", file.to_str().unwrap()], dir.path(), b"");
    assert!(!file.exists());
    let why = refused(&["import", "--input", file.to_str().unwrap()], &nowhere, b"");
    assert!(why.contains("cannot read") && !nowhere.exists(), "{why}");
    let config = dir.path().join("memory.toml");
    fs::write(&config, "memory = true\n").unwrap();
    let memory = run(&["export", "r", "--config", config.to_str().unwrap()], b"");
    assert_eq!(memory.status.code(), Some(2));
    assert!(memory.stderr.starts_with(b"foghorn: the configuration keeps rooms in memory only"));
}

#[test]
fn blank_lines_a_byte_order_mark_and_empty_ids_are_no_faults() {
    let dir = tempdir().unwrap();
    let mut empty_id = line(2);
    empty_id["clientId"] = json!("");
    let log = [
        b"\xef\xbb\xbf\r\n".to_vec(),
        lines([line(1)]),
        b"\n  \n".to_vec(),
        lines([empty_id]),
        b"\n".to_vec(),
    ];
    fine(&["import"], dir.path(), &log.concat());
    let export = fine(&["export", "r"], dir.path(), b"");
    assert_eq!(messages(&export).len(), 2);
    assert!(!String::from_utf8(export).unwrap().contains("clientId"));
    // Nothing at all is nothing.
    fine(&["import", "--room", "q"], dir.path(), b"\n\n");
    refused(&["export", "q"], dir.path(), b"");
}

#[test]
fn an_export_into_a_pipe_is_an_export() {
    let dir = tempdir().unwrap();
    fine(&["import"], dir.path(), &lines((1..100).map(line)));
    let export = fine(&["export", "r"], dir.path(), b"");
    assert_eq!(fine(&["export", "r", "--output", "/dev/stdout"], dir.path(), b""), export);
}

#[test]
fn an_import_that_is_interrupted_leaves_nothing_and_can_be_repeated() {
    for signal in ["TERM", "INT", "KILL"] {
        let dir = tempdir().unwrap();
        let log = lines((1..20_000).map(line));
        let mut import = command(&["import", "--data", dir.path().to_str().unwrap()])
            .stdin(Stdio::piped())
            .spawn()
            .unwrap();
        let mut input = import.stdin.take().unwrap();
        // Some batches, and then it waits for more.
        input.write_all(&log[..log.len() / 2]).unwrap();
        // Large enough that nothing is left of the first half but in the command's own buffers.
        input.write_all(&log[log.len() / 2..log.len() * 3 / 4]).unwrap();
        let kill = Command::new("sh")
            .args(["-c", "kill -$0 $1", signal, &import.id().to_string()])
            .status()
            .unwrap();
        assert!(kill.success());
        // It may wait for a line.
        let _it_may_have_ended = input.write_all(&log[log.len() * 3 / 4..]);
        if signal != "KILL" {
            // Whether it saw the signal or the end first, it says so.
            drop(input);
        }
        let status = import.wait().unwrap();
        if !status.success() {
            refused(&["export", "r"], dir.path(), b"");
            fine(&["import"], dir.path(), &log);
        }
        let export = fine(&["export", "r"], dir.path(), b"");
        assert_eq!(messages(&export).len(), 19_999, "{signal}");
    }
}

#[test]
fn a_room_comes_back_from_its_export_with_all_that_it_has() {
    let (dir, other) = (tempdir().unwrap(), tempdir().unwrap());
    let server = Process::serve(dir.path());
    let retention = json!({ "messages": 1000, "bytes": 1 << 20, "age": "30d" });
    let body = json!({
        "name": "Ops \"room\"", "description": "d\n", "createdBy": "ann", "durability": "fsync", "retention": retention
    });
    let made = server.ask("POST", "/api/chat/rooms", Some(&body)).1;
    let id = made["id"].as_str().unwrap();
    server.ask("POST", &format!("/api/chat/rooms/{id}/join?username=bob"), None);
    let room = server.ask("GET", &format!("/api/chat/rooms/{id}"), None).1;
    server.terminate();
    // Without a message, too.
    let export = fine(&["export", id], dir.path(), b"");
    assert_eq!(messages(&export), Vec::<Value>::new());
    fine(&["import"], other.path(), &export);
    assert_eq!(fine(&["export", id], other.path(), b""), export);
    let server = Process::serve(other.path());
    assert_eq!(server.ask("GET", &format!("/api/chat/rooms/{id}"), None).1, room);
    server.terminate();

    let text = String::from_utf8(export).unwrap();
    for (from, to, expected) in [
        ("\"fsync\"", "\"often\"", "durability"),
        ("\"30d\"", "\"long\"", "retention.age"),
        ("\"bob\"", "\"\"", "user"),
        ("\"retention\"", "\"more\"", "more"),
        ("\"createdAt\":\"", "\"createdAt\":\"x", "createdAt"),
    ] {
        let line = refused(&["import", "--room", "fresh"], other.path(), text.replace(from, to).as_bytes());
        assert!(line.contains("line 1: ") && line.contains(expected), "{line}");
    }
}

#[test]
fn a_message_keeps_its_id_whatever_becomes_of_the_epoch() {
    let (dir, other) = (tempdir().unwrap(), tempdir().unwrap());
    let server = Process::serve(dir.path());
    let body = json!({ "sender": "ann", "content": "x" });
    let path = "/api/chat/rooms/lobby/messages";
    let ids = [(); 2].map(|()| server.ask("POST", path, Some(&body)).1["id"].clone());
    let known = |server: &Process| {
        let (head, page) = server.ask("GET", &format!("{path}?after=0"), None);
        assert_eq!(
            page.as_array().unwrap()[..2].iter().map(|one| one["id"].clone()).collect::<Vec<_>>(),
            ids
        );
        head.lines().find(|line| line.starts_with("Foghorn-Position: ")).unwrap().to_owned()
    };
    let first = known(&server);
    server.terminate();
    let export = fine(&["export", "lobby"], dir.path(), b"");
    for name in fs::read_dir(dir.path()).unwrap().map(|entry| entry.unwrap().path()) {
        if name.to_string_lossy().contains("foghorn.mark-") {
            fs::remove_file(name).unwrap();
        }
    }
    let renewed = Process::serve(dir.path());
    assert_ne!(known(&renewed), first, "another epoch");
    fine(&["import"], other.path(), &export);
    let imported = Process::serve(other.path());
    assert_ne!(known(&imported), first, "another epoch");
    let new = imported.ask("POST", path, Some(&body)).1;
    assert!(new["seq"] == 3 && !ids.contains(&new["id"]), "{new}");
}
