//! Rooms, history, REST and JSON under bad input.

use super::arena::{Arena, Attack, MARK, attack};
use crate::support::frame::{BINARY, Frame, TEXT, masked, masked_close};
use crate::support::raw::upgrade;
use crate::support::{Raw, eventually};

fn chat(name: &str, query: &str, verdict: &str) -> Attack {
    let bytes = [upgrade(&format!("/ws/chat?{query}")), masked_close(1000, "")].concat();
    attack(name, bytes, &format!("101 {verdict}"))
}

fn post(name: &str, path: &str, body: &str, status: u16) -> Attack {
    let head = "Host: h\r\nConnection: close\r\nContent-Type: application/json";
    let request = format!("POST {path} HTTP/1.1\r\n{head}\r\nContent-Length: {}\r\n\r\n{body}", body.len());
    attack(name, request, &status.to_string())
}

fn get(path: &str, status: u16) -> Attack {
    attack(path, format!("GET {path} HTTP/1.1\r\nHost: h\r\nConnection: close\r\n\r\n"), &status.to_string())
}

#[test]
fn positions_and_names_that_make_no_sense_are_refused() {
    let mut arena = Arena::new("");
    let long = |name: &str, len: usize| format!("{name}={}", "x".repeat(len));
    let mut attacks = vec![
        chat("no room", "username=u", "close:1008"),
        chat("no user", "roomId=r", "close:1008"),
        chat("long room", &format!("username=u&{}", long("roomId", 129)), "close:1008"),
        chat("long user", &format!("roomId=r&{}", long("username", 65)), "close:1008"),
        chat("control character", "roomId=r%0a&username=u", "close:1008"),
        chat("not UTF-8", "roomId=%ff&username=u", "close:1008"),
        chat("half an escape", "roomId=%e&username=u", "close:1008"),
    ];
    for wrong in [
        "history=-1",
        "history=1e9",
        "history=18446744073709551616",
        "sinceSeq=+1",
        "sinceSeq=",
        "since=never",
        "since=99999-01-01T00:00:00Z",
        "sinceSeq=1&epoch=x",
        "sinceSeq=1&epoch=00000000000000000",
    ] {
        attacks.push(chat(wrong, &format!("roomId=r&username=u&{wrong}"), "close:1008"));
    }
    arena.fight(&attacks);
    // The largest there are, which overflow nothing.
    for extreme in
        ["history=18446744073709551615", "sinceSeq=18446744073709551615", "since=9999-12-31T23:59:59Z"]
    {
        let path = format!("/ws/chat?roomId=extreme&username=u&{extreme}");
        let mut raw = Raw::open_at(arena.server.address(), &path);
        assert_eq!(raw.frame().first, TEXT, "{extreme}");
        raw.send(&masked_close(1000, ""));
        while raw.next_frame().is_some_and(|frame| frame.close_code() != Some(1000)) {}
    }
    arena.survives();
}

#[test]
fn rest_refuses_what_is_not_what_it_should_be() {
    let mut arena = Arena::new("");
    let rooms = "/api/chat/rooms";
    let (open, close) = ("[".repeat(50_000), "]".repeat(50_000));
    let deep = |field: &str| format!(r#"{{"name":"r","createdBy":"u","{field}":{open}{close}}}"#);
    arena.fight(&[
        post("not JSON", rooms, MARK, 400),
        post("nothing", rooms, "", 400),
        post("a list", rooms, r#"["r","","u"]"#, 400),
        post("the same field twice", rooms, r#"{"name":"r","createdBy":"u","createdBy":"v"}"#, 400),
        post("another type", rooms, r#"{"name":["r"],"createdBy":"u"}"#, 422),
        post("null", rooms, r#"{"name":null,"createdBy":"u"}"#, 422),
        post("very deep where nobody looks", rooms, &deep("x"), 201),
        post("very deep where text should be", rooms, &deep("description"), 422),
        post("half a surrogate", rooms, r#"{"name":"\ud800","createdBy":"u"}"#, 400),
        post("text behind it", rooms, r#"{"name":"r","createdBy":"u"} x"#, 400),
        get("/api/chat/rooms/r/messages?limit=0", 400),
        get("/api/chat/rooms/r/messages?limit=1001", 400),
        get("/api/chat/rooms/r/messages?limit=18446744073709551616", 400),
        get("/api/chat/rooms/r/messages?before=-1", 400),
        get("/api/chat/rooms/r/messages?after=x", 400),
        get("/api/chat/rooms/r/messages?since=x", 400),
    ]);
    arena.survives();
}

#[test]
fn what_is_no_message_is_told_to_its_sender_alone() {
    let mut arena = Arena::new("");
    let mut raw = Raw::open_at(arena.server.address(), "/ws/chat?roomId=r&username=u");
    assert_eq!(raw.frame().first, TEXT);
    let deep = format!(r#"{{"content":"a","x":{}"#, "[".repeat(30_000));
    for wrong in ["", MARK, "[]", "{}", r#"{"content":1}"#, r#"{"content":"a","content":"b"}"#, &deep] {
        raw.send(&masked(TEXT, wrong.as_bytes()));
        let frame = raw.frame();
        assert!(frame.payload.starts_with(br#"{"type":"ERROR","code":"bad_message""#), "{frame:?}");
    }
    raw.send(&masked(TEXT, r#"{"content":"sound"}"#.as_bytes()));
    assert!(String::from_utf8_lossy(&raw.frame().payload).contains(r#""content":"sound""#));
    raw.send(&masked(BINARY, b"x"));
    assert_eq!(raw.frame().close_code(), Some(1003));
    drop(raw);
    arena.witness();
    arena.survives();
}

#[test]
fn rooms_that_come_and_go_leave_nothing_behind() {
    let mut arena = Arena::new("[limits]\nrooms = 100\n");
    let mut round = |from: usize| {
        let raws: Vec<Raw> = (from..from + 40)
            .map(|number| Raw::open_at(arena.server.address(), &format!("/ws/raw?roomId=r{number}")))
            .collect();
        for mut raw in raws {
            raw.send(&masked(TEXT, b"x"));
            assert_eq!(raw.frame(), Frame::text("x"));
        }
        arena.witness();
    };
    // Far more rooms than there may be at once.
    (0..10).for_each(|number| round(number * 40));
    assert_eq!(arena.server.hits("rooms"), 0);
    arena.survives();
}

/// Nobody reads but one, everybody publishes.
#[test]
fn members_that_do_not_read_cost_nobody_else_anything() {
    let arena = Arena::new("");
    let mut reader = Raw::open_at(arena.server.address(), "/ws/raw?roomId=r");
    let deaf: Vec<Raw> = (0..50).map(|_| Raw::open_at(arena.server.address(), "/ws/raw?roomId=r")).collect();
    let before = arena.server.resident();
    for _ in 0..200 {
        reader.send(&masked(BINARY, &[b'x'; 60_000]));
        assert_eq!(reader.frame().payload.len(), 60_000);
    }
    // The window, and for each of them the rest of one frame.
    assert!(arena.server.resident() < before + (12 << 20), "{}", arena.server.resident() - before);
    drop((deaf, reader));
    eventually("all are gone", || super::arena::connections(&arena.server) == 2);
}
