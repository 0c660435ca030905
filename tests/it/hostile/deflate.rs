//! Compressed messages that are broken, or far larger than they look.

use std::io::{Read, Write};

use flate2::{Compress, Compression, FlushCompress};

use super::arena::{Arena, Wire, compressed, frames};
use crate::support::frame::{BINARY, PING, PONG, TEXT, masked};
use crate::support::raw::upgrade_lines;
use crate::support::secure::{Certificate, tcp};
use crate::support::{Raw, eventually};

const RSV1: u8 = 0x40;
const FIN: u8 = 0x80;

/// The body of a compressed message.
fn deflated(payload: &[u8]) -> Vec<u8> {
    let mut body = Vec::with_capacity(payload.len() / 8 + 1000);
    let mut deflate = Compress::new(Compression::new(6), false);
    deflate.compress_vec(payload, &mut body, FlushCompress::Sync).expect("it fits");
    body.strip_suffix(b"\x00\x00\xff\xff").expect("it was flushed").to_vec()
}

#[test]
fn a_stream_that_is_no_deflate_ends_its_connection_alone() {
    let mut arena = Arena::new("");
    let message = |first: u8, body: &[u8]| masked(first | RSV1, body);
    let hello = deflated(b"Hello");
    let again = [message(TEXT, &hello), message(TEXT, b"\xf2\x00\x11\x00\x00")].concat();
    arena.fight(&[
        compressed("sound", message(TEXT, &hello), "text:Hello close:1000"),
        compressed(
            "the last block",
            message(TEXT, b"\xf3\x48\xcd\xc9\xc9\x07\x00\x00"),
            "text:Hello close:1000",
        ),
        compressed(
            "the last block, stored and empty",
            message(TEXT, b"\xf2\x48\xcd\xc9\xc9\x07\x04"),
            "text:Hello close:1000",
        ),
        compressed("nothing but the last block", message(BINARY, b"\x01"), "binary: close:1000"),
        compressed("nothing at all", message(TEXT, b""), "text: close:1000"),
        compressed("reserved block type", message(BINARY, b"\x06"), "close:1007"),
        compressed("cut off", message(BINARY, b"\xf2\x48\xcd\xc9"), "close:1007"),
        compressed("back before the beginning", message(BINARY, b"\xf2\x00\x11\x00\x00"), "close:1007"),
        compressed("back into an earlier message", again, "text:Hello close:1007"),
        compressed("text that is not UTF-8", message(TEXT, &deflated(b"\xc3\x28")), "close:1007"),
        compressed("compressed ping", message(PING, b""), "close:1002"),
        compressed(
            "RSV1 on a continuation",
            [message(0x01, &hello[..3]), message(FIN, &hello[3..])].concat(),
            "close:1002",
        ),
        frames("without agreement", message(TEXT, &hello), "close:1002"),
    ]);
    arena.survives();
}

#[test]
fn a_bomb_is_stopped_while_it_inflates() {
    let mut arena = Arena::new("");
    let bomb = masked(BINARY | RSV1, &deflated(&vec![0; 64 << 20]));
    assert!(bomb.len() < 70_000, "{} bytes stand for 64 MiB", bomb.len());
    let before = arena.server.resident();
    for _ in 0..50 {
        let mut raw = Raw::offering_to(arena.server.address(), "/ws/sink", "permessage-deflate").0;
        raw.send_anyway(&bomb);
        assert_eq!(raw.frame().close_code(), Some(1009));
    }
    let grown = arena.server.resident().saturating_sub(before);
    assert!(grown < 4 << 20, "{grown} bytes for 50 bombs of 64 MiB");
    arena.witness();
    arena.survives();
}

/// A WebSocket on `path` that compresses.
fn compressing<S: Read + Write>(stream: S, path: &str) -> Raw<S> {
    let mut raw = Raw::on(stream);
    let offer = "Sec-WebSocket-Extensions: permessage-deflate\r\n\r\n";
    raw.send(format!("{}{offer}", upgrade_lines(path)).as_bytes());
    assert_eq!(raw.reply().status, 101, "{path}");
    raw
}

#[test]
fn unfinished_messages_are_held_to_the_memory_budget_by_what_they_are_inflated_to() {
    const CONNECTIONS: usize = 24;
    const BUDGET: usize = 32 << 20;
    let mut arena = Arena::new("[limits]\nmemory = \"32 MiB\"\n");
    let mut begun = masked(BINARY | RSV1, &deflated(&vec![0; 15 << 20]));
    begun[0] &= !FIN;
    assert!(begun.len() < 16_000, "{} bytes stand for 15 MiB", begun.len());
    let before = arena.server.resident_peak();
    let mut held: Vec<Raw> =
        (0..CONNECTIONS).map(|_| compressing(tcp(arena.server.address()), "/echo")).collect();
    held.iter_mut().for_each(|raw| raw.send(&begun));
    // Two of 16 MiB are more than the budget, with the inflaters.
    let shed = u64::try_from(CONNECTIONS - 1).expect("a few");
    eventually("all but one are shed", || arena.server.hits("memory") >= shed);
    assert_eq!(arena.server.hits("memory"), shed);
    let grown = arena.server.resident_peak().saturating_sub(before);
    assert!(grown <= BUDGET + BUDGET / 10, "{grown} bytes");
    arena.witness();
    drop(held);
    arena.forget_memory();
    arena.survives();
}

/// As many messages of 64 KiB as are sent at once, and what they are on the wire.
fn flood() -> (usize, Vec<u8>) {
    const MESSAGES: usize = 800;
    let message = masked(BINARY | RSV1, &deflated(&vec![0; 64 * 1024]));
    assert!(message.len() < 100, "{} bytes stand for 64 KiB", message.len());
    (MESSAGES, [message.repeat(MESSAGES), masked(PING, b"behind it")].concat())
}

/// Reads up to the pong, and counts the messages before it.
fn messages_before_pong(raw: &mut Raw<impl Read + Write>) -> usize {
    let mut count = 0;
    loop {
        let frame = raw.frame();
        if frame.first == PONG {
            return count;
        }
        count += usize::from(frame.first == (BINARY | RSV1));
    }
}

#[test]
fn short_messages_that_stand_for_long_ones_wait_for_their_turn() {
    let certificate = Certificate::new();
    let mut arena = Arena::secure("", &certificate);
    let (messages, flood) = flood();
    for secure in [false, true] {
        for (path, answers) in [("/ws/sink", 0), ("/ws/raw?roomId=flood", messages), ("/echo", messages)] {
            let (before, peak) = (arena.server.hits("inflated_bytes"), arena.server.resident_peak());
            let stream: Box<dyn Wire> = if secure {
                Box::new(certificate.connect(arena.server.other_address()))
            } else {
                Box::new(tcp(arena.server.address()))
            };
            let mut raw = compressing(stream, path);
            raw.send(&flood);
            arena.witness();
            let seen = messages_before_pong(&mut raw);
            // A room answers from another thread: the pong may pass it.
            assert!(seen == answers || path.starts_with("/ws/raw"), "{path}: {seen} of {answers}");
            // One turn for each message, which is as long as a slice.
            let turns = arena.server.hits("inflated_bytes") - before;
            assert!(turns + 10 >= messages as u64, "{path}: {turns} turns");
            let grown = arena.server.resident_peak() - peak;
            assert!(grown < 24 << 20, "{path}: {grown} bytes");
        }
    }
    arena.forget_memory();
    arena.survives();
}

#[test]
fn the_rates_of_a_session_count_what_its_messages_are_inflated_to() {
    let rated = |on_flood: &str| {
        format!("[limits]\nbytes_per_second = \"1 MiB\"\nburst = \"1s\"\non_flood = \"{on_flood}\"\n")
    };
    let (messages, flood) = flood();
    assert!(messages * 100 < 1 << 20, "on the wire it is within the rate");
    let arena = Arena::new(&rated("close"));
    let mut raw = compressing(tcp(arena.server.address()), "/ws/sink");
    raw.send(&flood);
    raw.expect_close(1008);
    assert_eq!(arena.server.hits("bytes_per_second"), 1);
    drop(raw);
    arena.survives();
    let arena = Arena::new(&rated("slow"));
    let mut raw = compressing(tcp(arena.server.address()), "/ws/sink");
    // Two MiB, of which the first is saved: another second passes before what is behind it is read.
    raw.send(&[&flood[..flood.len() / messages * 32], &masked(PING, b"behind it")].concat());
    assert_eq!(messages_before_pong(&mut raw), 0);
    assert!(arena.server.hits("bytes_per_second") > 0);
    drop(raw);
    arena.survives();
}

#[test]
fn idle_connections_hold_neither_compressor_nor_inflater() {
    const CONNECTIONS: usize = 300;
    let mut arena = Arena::new("");
    let message = masked(TEXT | RSV1, &deflated("and then ".repeat(600).as_bytes()));
    let talk = || {
        let mut raw = Raw::offering_to(arena.server.address(), "/echo", "permessage-deflate").0;
        raw.send(&message);
        assert_eq!(raw.frame().first, TEXT | RSV1);
        raw
    };
    let first = talk();
    let before = arena.server.resident();
    let idle: Vec<Raw> = (0..CONNECTIONS).map(|_| talk()).collect();
    let grown = arena.server.resident().saturating_sub(before);
    assert!(grown < CONNECTIONS * 8 * 1024, "{grown} bytes for {CONNECTIONS} connections");
    drop((first, idle));
    arena.witness();
    arena.survives();
}
