//! A server that keeps its rooms in memory only: all that it does, and within its limits.

use std::net::{Shutdown, TcpStream};

use crate::support::process::Process;
use crate::support::{PATIENCE, eventually};
use serde_json::{Value, json};
use tungstenite::protocol::Role;
use tungstenite::{Message, WebSocket};

const MESSAGES: u64 = 120_000;
const MEBIBYTE: u64 = 1 << 20;

#[test]
fn a_hundred_and_twenty_thousand_messages_leave_memory_flat() {
    let server = Process::serve_with(&["--memory"]);
    let url = format!("ws://{}/ws/chat?roomId=flood&username=ann", server.address());
    let stream = TcpStream::connect(server.address()).unwrap();
    stream.set_read_timeout(Some(PATIENCE)).unwrap();
    let (mut reads, _) = tungstenite::client(url, stream.try_clone().unwrap()).unwrap();
    let (mut halfway, ends) = (0, stream.try_clone().unwrap());
    // What comes before the room is open waits for it, within a limit that a flood exceeds at once.
    let joined = reads.read().unwrap().into_text().unwrap();
    assert_eq!(serde_json::from_str::<Value>(&joined).unwrap()["type"], "JOIN", "{joined}");
    std::thread::scope(|scope| {
        scope.spawn(|| {
            let mut sends = WebSocket::from_raw_socket(stream, Role::Client, None);
            let content = "x".repeat(1024);
            for _ in 0..MESSAGES {
                sends.send(Message::text(format!("{{\"content\":\"{content}\"}}"))).unwrap();
            }
        });
        // Whoever sends faster than it reads is told what it missed.
        let mut last = 1;
        while last <= MESSAGES {
            let told = reads.read().map_err(|error| error.to_string()).and_then(|message| {
                let text = message.into_text().map_err(|error| error.to_string())?;
                if text == "HEARTBEAT" {
                    return Ok(last);
                }
                let value: Value = serde_json::from_str(&text).map_err(|_| text.to_string())?;
                value["seq"].as_u64().or(value["to"].as_u64()).ok_or(text.to_string())
            });
            last = told.unwrap_or_else(|told| {
                let _sender_shall_not_wait = ends.shutdown(Shutdown::Both);
                unreachable!("{told} after message {last}")
            });
            if last > MESSAGES / 2 && halfway == 0 {
                halfway = server.resident_bytes();
            }
        }
    });
    let end = server.resident_bytes();
    assert!(end < 128 * MEBIBYTE, "{} MiB", end / MEBIBYTE);
    assert!(end < halfway + 16 * MEBIBYTE, "{} and {} MiB", halfway / MEBIBYTE, end / MEBIBYTE);
    let (_, stats) = server.ask("GET", "/api/stats", None);
    assert!(stats["limits"]["memory_bytes"].as_u64().unwrap() >= MESSAGES - 10_000, "{stats}");
    // The newest are there, of the others is said that they are not.
    let (_, page) = server.ask("GET", "/api/chat/rooms/flood/messages?limit=2", None);
    assert_eq!(page[0]["seq"], MESSAGES + 1);
    let url = format!("ws://{}/ws/chat?roomId=flood&username=bob&sinceSeq=5", server.address());
    let (mut late, _) = tungstenite::connect(url).unwrap();
    let (mut position, mut gaps) = (5, 0);
    while gaps == 0 || position < MESSAGES {
        let value: Value = serde_json::from_str(late.read().unwrap().to_text().unwrap()).unwrap();
        if value["type"] == "GAP" {
            assert_eq!(value["from"], position + 1, "{value}");
            (position, gaps) = (value["to"].as_u64().unwrap(), gaps + 1);
        } else {
            assert_eq!(value["seq"], position + 1, "{value}");
            position += 1;
        }
    }
}

#[test]
fn rooms_in_memory_have_everything_that_rooms_have() {
    let server = Process::serve_with(&["--memory"]);
    let room = json!({ "name": "Lobby", "description": "d", "createdBy": "ann" });
    let (_, created) = server.ask("POST", "/api/chat/rooms", Some(&room));
    let path = format!("/api/chat/rooms/{}", created["id"].as_str().unwrap());
    let messages = format!("{path}/messages");
    for number in 1..=30 {
        let body =
            json!({ "sender": "ann", "content": format!("message {number}"), "id": format!("{number}") });
        server.ask("POST", &messages, Some(&body));
    }
    let seqs = |query: &str| -> Vec<u64> {
        let (_, page) = server.ask("GET", &format!("{messages}?{query}"), None);
        page.as_array().unwrap().iter().map(|message| message["seq"].as_u64().unwrap()).collect()
    };
    assert_eq!(seqs("limit=3"), [30, 29, 28]);
    assert_eq!(seqs("limit=3&before=10"), [9, 8, 7]);
    assert_eq!(seqs("limit=3&after=10"), [11, 12, 13]);
    assert_eq!(seqs("since=1970-01-01T00:00:00Z&limit=2"), [1, 2]);
    let (_, joined) = server.ask("POST", &format!("{path}/join?username=bob"), None);
    assert_eq!(joined["participants"], json!(["ann", "bob"]));
    let (_, listed) = server.ask("GET", "/api/chat/rooms?participant=bob", None);
    assert_eq!(listed[0]["id"], created["id"]);
    let (_, left) = server.ask("POST", &format!("{path}/leave?username=ann"), None);
    assert_eq!(left["participants"], json!(["bob"]));
    assert_eq!(server.status("GET", "/readyz", None), 200);
    assert_eq!(server.status("DELETE", &path, None), 204);
    eventually("the end of the room", || server.status("GET", &path, None) == 404);
    server.terminate();
}
