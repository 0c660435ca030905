//! Signs of life: pings spread over time, HEARTBEAT, silence, and a server that was stopped for a while.

use std::time::Duration;

use super::arena::Arena;
use crate::support::frame::{Frame, PING, PONG, TEXT, masked};
use crate::support::{ConfiguredProcess, Raw, now};

/// When each of so many sessions, all opened at once, gets its first frame of this kind, in milliseconds.
fn firsts(server: &ConfiguredProcess, path: &str, is_it: impl Fn(&Frame) -> bool) -> Vec<u128> {
    let mut raws: Vec<Raw> = (0..60).map(|_| Raw::open_at(server.address(), path)).collect();
    raws.iter().for_each(|raw| raw.stream().set_nonblocking(true).expect("a socket"));
    let start = now();
    let mut ats = Vec::new();
    while !raws.is_empty() {
        raws.retain_mut(|raw| {
            if raw.stream().peek(&mut [0]).is_err() {
                return true;
            }
            raw.stream().set_nonblocking(false).expect("a socket");
            let found = is_it(&raw.frame());
            raw.stream().set_nonblocking(true).expect("a socket");
            if found {
                ats.push(start.elapsed().as_millis());
            }
            !found
        });
        assert!(start.elapsed() < crate::support::PATIENCE, "{} are left", raws.len());
    }
    ats
}

/// Not all in one heap: at most half of them within any tenth of the time.
fn are_spread(ats: &[u128], interval: u128) -> bool {
    let heap = |at: u128| ats.iter().filter(|&&other| (at..at + interval / 10).contains(&other)).count();
    ats.iter().all(|&at| heap(at) <= ats.len() / 2)
}

#[test]
fn sessions_that_begin_together_are_not_pinged_together_not_even_right_after_the_start() {
    let server = ConfiguredProcess::start("[heartbeat]\nping_interval = \"2s\"\n");
    let ats = firsts(&server, "/echo", |frame| *frame == Frame::new(PING, *b"ping"));
    assert!(are_spread(&ats, 2000), "{ats:?}");
    assert!(ats.iter().all(|&at| at <= 2500), "{ats:?}");
}

#[test]
fn heartbeats_as_text_are_spread_as_well() {
    let server = ConfiguredProcess::start("[heartbeat]\ntext_interval = \"2s\"\n");
    let ats = firsts(&server, "/ws/chat?roomId=r&username=u", |frame| *frame == Frame::text("HEARTBEAT"));
    assert!(are_spread(&ats, 2000), "{ats:?}");
}

#[test]
fn the_text_heartbeat_is_swallowed_and_sent_and_can_be_turned_off() {
    let server = ConfiguredProcess::start("[heartbeat]\ntext_interval = \"200ms\"\n");
    let mut raw = Raw::open_at(server.address(), "/ws/chat?roomId=r&username=u");
    // On a slow machine one comes before the room is open.
    let join = std::iter::repeat_with(|| raw.frame()).find(|frame| *frame != Frame::text("HEARTBEAT"));
    let notice: serde_json::Value =
        serde_json::from_slice(&join.expect("frames without end").payload).expect("JSON");
    assert_eq!((&notice["type"], &notice["seq"]), (&"JOIN".into(), &1.into()), "{notice}");
    raw.send(&masked(TEXT, b"HEARTBEAT"));
    for _ in 0..3 {
        assert_eq!(raw.frame(), Frame::text("HEARTBEAT"));
    }
    let server = ConfiguredProcess::start(
        "[heartbeat]\ntext_interval = 0\nping_interval = \"200ms\"\nidle_timeout = \"5s\"\n",
    );
    let mut raw = Raw::open_at(server.address(), "/ws/chat?roomId=r&username=u");
    let join = std::iter::repeat_with(|| raw.frame()).find(|frame| frame.first != PING);
    assert_eq!(join.expect("frames without end").first, TEXT);
    for _ in 0..3 {
        assert_eq!(raw.frame(), Frame::new(PING, *b"ping"));
    }
}

#[test]
fn who_says_nothing_is_closed_and_who_answers_pings_is_not() {
    let mut arena = Arena::new("[heartbeat]\nping_interval = \"100ms\"\nidle_timeout = \"600ms\"\n");
    let mut silent = Raw::open_at(arena.server.address(), "/echo");
    let mut alive = Raw::open_at(arena.server.address(), "/echo");
    let code = loop {
        arena.witness();
        assert_eq!(alive.frame().first, PING);
        alive.send(&masked(PONG, b"ping"));
        let frame = silent.frame();
        if frame.first != PING {
            break frame.close_code();
        }
    };
    assert_eq!((code, arena.server.hits("idle_timeout")), (Some(1001), 1));
    alive.send(&masked(TEXT, b"alive"));
    while alive.frame() != Frame::text("alive") {}
}

#[test]
fn after_the_server_was_stopped_nobody_is_taken_for_silent() {
    let server = ConfiguredProcess::start("[heartbeat]\nping_interval = \"1s\"\nidle_timeout = \"5s\"\n");
    let mut raws: Vec<Raw> = (0..100).map(|_| Raw::open_at(server.address(), "/echo")).collect();
    server.signal("STOP");
    let start = now();
    // Longer than anybody may be silent.
    while start.elapsed() < Duration::from_secs(7) {
        std::thread::park_timeout(Duration::from_secs(1));
    }
    server.signal("CONT");
    for raw in &mut raws {
        raw.send(&masked(TEXT, b"hello again"));
    }
    for raw in &mut raws {
        loop {
            let frame = raw.frame();
            if frame.first != PING {
                break assert_eq!(frame, Frame::text("hello again"));
            }
        }
    }
    assert_eq!(server.hits("idle_timeout"), 0);
}
