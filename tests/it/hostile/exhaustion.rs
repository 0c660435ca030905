//! A server that runs out of descriptors, or is flooded, cut off, kept waiting.

use std::io::{Read, Write};
use std::net::TcpStream;

use super::arena::{Arena, connections};
use crate::support::Raw;
use crate::support::frame::{PING, PONG, TEXT, masked};
use crate::support::raw::upgrade;
use crate::support::{ConfiguredProcess, PATIENCE, eventually};

/// How a connection attempt ended.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Met {
    Served,
    Refused,
}

fn connect(server: &ConfiguredProcess) -> (TcpStream, Met) {
    let mut stream = TcpStream::connect(server.address()).expect("the kernel takes it");
    stream.set_read_timeout(Some(PATIENCE)).expect("a socket");
    let mut answer = [0; 12];
    // Whoever is refused may be so before it has said anything.
    let _refused_already = stream.write_all(&upgrade("/echo"));
    let met = match stream.read_exact(&mut answer) {
        Ok(()) if &answer == b"HTTP/1.1 101" => Met::Served,
        Ok(()) => {
            assert_eq!(&answer, b"HTTP/1.1 503");
            Met::Refused
        }
        // The answer was destroyed by the reset that follows what was not read.
        Err(_) => Met::Refused,
    };
    (stream, met)
}

#[test]
fn without_descriptors_newcomers_are_refused_others_are_served_and_it_ends_when_some_leave() {
    let server = ConfiguredProcess::with_descriptors("", 64);
    let mut served = Vec::new();
    loop {
        let (stream, met) = connect(&server);
        if met == Met::Refused {
            break;
        }
        served.push(stream);
        assert!(served.len() < 64, "there are more connections than descriptors");
    }
    assert!(served.len() > 16, "{}", served.len());
    for _ in 0..20 {
        assert_eq!(connect(&server).1, Met::Refused);
    }
    let mut witness = served.pop().expect("somebody is served");
    witness.write_all(b"\x81\x81\0\0\0\0x").expect("it is open");
    let mut bytes = Vec::new();
    eventually("an echo", || {
        let mut chunk = [0; 256];
        let count = witness.read(&mut chunk).expect("more");
        bytes.extend_from_slice(&chunk[..count]);
        bytes.ends_with(b"\r\n\r\n\x81\x01x")
    });
    served.truncate(8);
    eventually("newcomers are served again", || connect(&server).1 == Met::Served);
    let log = server.log();
    let lines = log.lines().filter(|line| line.contains("no descriptors left")).count();
    assert!((1..=3).contains(&lines), "{log}");
}

#[test]
fn descriptors_taken_away_from_the_live_process_are_missed_without_a_busy_loop() {
    let server = ConfiguredProcess::start("");
    let mut served: Vec<TcpStream> = (0..20).map(|_| connect(&server).0).collect();
    server.limit_descriptors(60);
    loop {
        let (stream, met) = connect(&server);
        if met == Met::Refused {
            break;
        }
        served.push(stream);
    }
    // Somebody waits in the kernel all the while.
    let before = server.busy();
    let start = crate::support::now();
    while start.elapsed() < std::time::Duration::from_secs(1) {
        std::thread::park_timeout(std::time::Duration::from_millis(100));
    }
    let busy = server.busy() - before;
    println!("{busy:.3} s of processor time in a second without descriptors");
    // It is a thousandth; a loop that does not pause takes several tenths even on a busy machine.
    assert!(busy < 0.1, "{busy} s in one second");
    served.truncate(5);
    eventually("newcomers are served", || connect(&server).1 == Met::Served);
    assert!(server.hits("descriptors") > 0);
}

#[test]
fn a_storm_of_resets_leaves_nothing_behind() {
    let mut arena = Arena::new("");
    for round in 0..400 {
        let mut raw = Raw::connect_to(arena.server.address());
        match round % 4 {
            0 => {}
            1 => raw.send(b"GET /ws/chat?roomId=r&user"),
            2 => {
                raw = raw.upgraded("/ws/chat?roomId=r&username=u");
                raw.send(&masked(TEXT, br#"{"content":"x"}"#).repeat(10));
            }
            _ => {
                raw = raw.upgraded("/echo");
                raw.send(&masked(TEXT, &[b'x'; 1000])[..500]);
            }
        }
        raw.reset();
    }
    arena.witness();
    eventually("all are gone", || connections(&arena.server) == 2);
    arena.survives();
}

#[test]
fn slow_heads_do_not_keep_others_out() {
    let mut arena = Arena::new("[limits]\nhandshake_timeout = \"1s\"\nclose_timeout = \"200ms\"\n");
    let slow: Vec<Raw> = (0..200)
        .map(|_| {
            let mut raw = Raw::connect_to(arena.server.address());
            raw.send(b"GET / HTTP/1.1\r\nHost: h\r\nX: ");
            raw
        })
        .collect();
    let mut slow: Vec<Raw> = slow;
    while connections(&arena.server) > 2 {
        slow.iter_mut().for_each(|raw| raw.send_anyway(b"a"));
        arena.witness();
    }
    assert_eq!(arena.server.hits("handshake_timeout"), 200);
    drop(slow);
    arena.survives();
}

/// More than may wait in one shard (16,384): whoever waits no longer must not take the place of others.
#[test]
fn polls_that_nobody_waits_for_any_more_leave_nothing_behind() {
    let mut arena = Arena::new("workers = 1\n[limits]\nclose_timeout = \"500ms\"\n");
    for _ in 0..17 {
        let polls: Vec<Raw> = (0..1000)
            .map(|_| {
                let mut raw = Raw::connect_to(arena.server.address());
                raw.send(b"GET /poll/rooms/r?wait=60 HTTP/1.1\r\nHost: h\r\n\r\n");
                raw
            })
            .collect();
        arena.witness();
        eventually("all of them wait", || connections(&arena.server) == 1002);
        for (number, poll) in polls.into_iter().enumerate() {
            match number % 2 {
                0 => drop(poll),
                _ => poll.reset(),
            }
        }
        // Long before their time is up.
        eventually("all of them are gone", || connections(&arena.server) == 2);
    }
    // It waits, and is told what comes.
    let mut poll = Raw::connect_to(arena.server.address());
    poll.send(b"GET /poll/rooms/r?wait=60 HTTP/1.1\r\nHost: h\r\nConnection: close\r\n\r\n");
    eventually("it waits", || connections(&arena.server) == 3);
    let mut member = Raw::open_at(arena.server.address(), "/ws/chat?roomId=r&username=u");
    assert_eq!(member.frame().first, TEXT);
    let reply = poll.reply();
    assert!(reply.status == 200 && reply.body.starts_with(b"[{"), "{reply:?}");
    drop((poll, member));
    arena.survives();
}

#[test]
fn a_client_that_only_ends_its_side_is_still_told_what_comes_soon() {
    let arena = Arena::new("");
    let mut poll = Raw::connect_to(arena.server.address());
    poll.send(b"GET /poll/rooms/r?wait=60 HTTP/1.1\r\nHost: h\r\n\r\n");
    poll.finish();
    eventually("it waits", || connections(&arena.server) == 3);
    let mut member = Raw::open_at(arena.server.address(), "/ws/chat?roomId=r&username=u");
    assert_eq!(member.frame().first, TEXT);
    let reply = poll.reply();
    assert!(reply.status == 200 && reply.body.starts_with(b"[{"), "{reply:?}");
    poll.expect_end();
    // Where nothing comes, the wait is over soon.
    let mut poll = Raw::connect_to(arena.server.address());
    poll.send(b"GET /poll/rooms/r?wait=60 HTTP/1.1\r\nHost: h\r\n\r\n");
    poll.finish();
    assert_eq!(poll.reply().body, b"[]");
    poll.expect_end();
}

#[test]
fn a_thousand_event_streams_that_are_reset_leave_nothing_behind() {
    let mut arena = Arena::new("");
    let mut member = Raw::open_at(arena.server.address(), "/ws/chat?roomId=r&username=u");
    for _ in 0..4 {
        let streams: Vec<Raw> = (0..250)
            .map(|_| {
                let mut raw = Raw::connect_to(arena.server.address());
                raw.send(b"GET /sse/rooms/r?history=100 HTTP/1.1\r\nHost: h\r\n\r\n");
                assert_eq!(raw.reply().status, 200);
                raw
            })
            .collect();
        arena.witness();
        for stream in streams {
            // Every one of them has something to be written while others go.
            member.send(&masked(TEXT, br#"{"content":"x"}"#));
            stream.reset();
        }
        while !member.frame().payload.ends_with(b"}") {}
        eventually("all of them are gone", || connections(&arena.server) == 3);
    }
    drop(member);
    arena.survives();
}

/// Frames of one kind, and where they are sent.
const FLOODS: [(&str, &str, u8, &[u8]); 6] = [
    ("empty texts", "/echo", TEXT, b""),
    ("tiny fragments", "/echo", 0x00, b""),
    ("pings", "/echo", PING, b""),
    ("pongs", "/echo", PONG, b""),
    ("texts of a room", "/ws/raw?roomId=r", TEXT, b"x"),
    ("chat messages", "/ws/chat?roomId=r&username=u", TEXT, br#"{"content":"x"}"#),
];

#[test]
fn floods_of_every_kind_leave_a_witness_served_and_the_memory_small() {
    for reads in [true, false] {
        for (kind, path, first, payload) in FLOODS {
            let mut arena = Arena::new("[limits]\ncontrol_frames_per_second = 0\nreply_bytes = \"64 KiB\"\n");
            let before = arena.server.resident();
            let mut raw = Raw::open_at(arena.server.address(), path);
            if first == 0x00 {
                raw.send(&masked(0x01, b""));
            }
            let mut stream = raw.stream().try_clone().expect("a second handle");
            stream.set_write_timeout(Some(std::time::Duration::from_millis(200))).expect("a write timeout");
            let flood = masked(first, payload).repeat(1000);
            let reading = reads.then(|| {
                let mut stream = stream.try_clone().expect("a third handle");
                std::thread::spawn(move || std::io::copy(&mut stream, &mut std::io::sink()))
            });
            let flooding = std::thread::spawn(move || (0..20).all(|_| stream.write_all(&flood).is_ok()));
            let mut worst = std::time::Duration::ZERO;
            while !flooding.is_finished() {
                let start = crate::support::now();
                arena.witness();
                worst = worst.max(start.elapsed());
            }
            let grown = arena.server.resident().saturating_sub(before);
            println!("{kind}, read: {reads}: the witness waited {worst:?} at most, {grown} bytes more");
            assert!(grown < 6 << 20, "{kind}: {grown} bytes");
            raw.stream().shutdown(std::net::Shutdown::Both).expect("a connection");
            drop(raw);
            if let Some(reading) = reading {
                let _end = reading.join().expect("it reads");
            }
            arena.witness();
            flooding.join().expect("it sends");
        }
    }
}
