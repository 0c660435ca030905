//! Frames that break a rule, the closing handshake, and messages that never end.

use std::time::Duration;

use super::arena::{Arena, Attack, attack, frames};
use crate::support::frame::{BINARY, CLOSE, Frame, PING, PONG, TEXT, masked, masked_close};
use crate::support::raw::upgrade;
use crate::support::{Raw, now};

const CONTINUATION: u8 = 0x00;
const FIN: u8 = 0x80;
const TEXT_BEGINS: u8 = 0x01;

#[test]
fn a_frame_is_judged_by_its_first_two_bytes() {
    let mut arena = Arena::new("");
    let mut attacks: Vec<Attack> = Vec::new();
    for opcode in [0x3, 0x4, 0x5, 0x6, 0x7, 0xb, 0xc, 0xd, 0xe, 0xf] {
        attacks.push(frames("reserved opcode", [FIN | opcode, 0xff], "close:1002"));
    }
    for bit in [0x10, 0x20, 0x40] {
        attacks.push(frames("reserved bit", [TEXT | bit, 0xff], "close:1002"));
    }
    for control in [PING, PONG, CLOSE] {
        attacks.push(frames("fragmented control frame", [control & !FIN, 0x80], "close:1002"));
        attacks.push(frames("long control frame", [control, 0xfe], "close:1002"));
    }
    attacks.push(frames("no mask", b"\x81\x05Hello", "close:1002"));
    arena.fight(&attacks);
    arena.survives();
}

#[test]
fn no_declared_length_is_believed() {
    let mut arena = Arena::new("[limits]\nmessage_bytes = \"1 KiB\"\n");
    let long = |len: u64| [&[BINARY, 0xff][..], &len.to_be_bytes(), &[0; 4]].concat();
    arena.fight(&[
        frames("top bit", long(1 << 63), "close:1002"),
        frames("nearly all", long(u64::MAX >> 1), "close:1009"),
        frames("one more than /echo takes", long((16 << 20) + 1), "close:1009"),
        frames("not minimal, 16 bits", b"\x82\xfe\x00\x7d\0\0\0\0", "close:1002"),
        frames("not minimal, 64 bits", long(65_535), "close:1002"),
    ]);
    let sink = |bytes: &[u8]| [&upgrade("/ws/sink"), bytes].concat();
    let fragments = [masked(0x02, &[0; 1000]), masked(CONTINUATION, &[0; 24]), masked(FIN, &[0; 1])].concat();
    arena.fight(&[
        attack("over the limit", sink(&masked(BINARY, &[0; 1025])), "101 close:1009"),
        attack("over the limit in fragments", sink(&fragments), "101 close:1009"),
    ]);
    assert!(arena.server.hits("message_bytes") >= 12);
    // A thousand connections that declare sixteen mebibytes each, and send nothing of them.
    let (before, mut held) = (arena.server.resident(), Vec::new());
    for _ in 0..300 {
        let mut raw = Raw::open_at(arena.server.address(), "/echo");
        raw.send(&long(16 << 20));
        raw.send(b"0123456789");
        held.push(raw);
    }
    arena.witness();
    assert!(arena.server.resident() < before + (4 << 20));
    drop(held);
    arena.survives();
}

#[test]
fn rules_of_messages_and_closing_hold() {
    let mut arena = Arena::new("");
    let [a, b] = [masked(TEXT_BEGINS, b"a"), masked(TEXT, b"b")];
    let close = |code: u16| masked(CLOSE, &code.to_be_bytes());
    let mut attacks = vec![
        frames("continuation of nothing", masked(FIN, b""), "close:1002"),
        frames("a message inside another", [a, b].concat(), "close:1002"),
        frames("not UTF-8", masked(TEXT, b"\xc3\x28"), "close:1007"),
        frames("a surrogate", masked(TEXT, b"\xed\xa0\x80"), "close:1007"),
        frames("UTF-8 that can never become whole", masked(TEXT_BEGINS, b"\xf4\x90"), "close:1007"),
        frames("half a code", masked(CLOSE, b"\x03"), "close:1002"),
        frames("a reason that is not UTF-8", masked(CLOSE, b"\x03\xe8\xff"), "close:1007"),
        frames("unsolicited pongs", masked(PONG, b"x").repeat(100), "close:1000"),
        frames(
            "data after Close",
            [masked(CLOSE, b""), masked(TEXT, b"x"), vec![0x83; 100]].concat(),
            "close:empty",
        ),
        frames("two Closes", [close(3000), close(1002)].concat(), "close:3000"),
    ];
    for code in [0, 999, 1004, 1005, 1006, 1015, 1016, 2999, 5000, 65_535] {
        attacks.push(frames("a code that must not be sent", close(code), "close:1002"));
    }
    for code in [1000, 1003, 1007, 1014, 3000, 4999] {
        attacks.push(frames("a code that may be", close(code), &format!("close:{code}")));
    }
    arena.fight(&attacks);
    arena.survives();
}

#[test]
fn fragments_cost_their_payload_however_many_there_are() {
    let mut arena = Arena::new("[limits]\nmessage_timeout = \"20s\"\n");
    let echoed = [
        masked(TEXT_BEGINS, b"a"),
        masked(CONTINUATION, b"").repeat(70_000),
        masked(CONTINUATION, b"b").repeat(10),
        masked(FIN, b"c"),
    ];
    arena.fight(&[frames("70,000 empty fragments", echoed.concat(), "text:abbbbbbbbbbc close:1000")]);
    let before = arena.server.resident();
    let mut raw = Raw::open_at(arena.server.address(), "/echo");
    raw.send(&masked(0x02, b""));
    let thousand = masked(CONTINUATION, b"").repeat(1000);
    for _ in 0..1000 {
        raw.send(&thousand);
    }
    arena.witness();
    assert!(arena.server.resident() < before + (1 << 20), "a million empty fragments");
    drop(raw);
    arena.survives();
}

#[test]
fn a_message_that_drips_has_a_deadline() {
    let mut arena = Arena::new("[limits]\nmessage_timeout = \"300ms\"\n");
    let mut raw = Raw::open_at(arena.server.address(), "/echo");
    raw.stream().set_read_timeout(Some(Duration::from_millis(20))).expect("a read timeout");
    let start = now();
    raw.send(&masked(TEXT_BEGINS, b""));
    while raw.stream().peek(&mut [0; 1]).is_err() {
        raw.send_anyway(&masked(CONTINUATION, b"a"));
        assert!(start.elapsed() < crate::support::PATIENCE);
    }
    raw.stream().set_read_timeout(Some(crate::support::PATIENCE)).expect("a read timeout");
    raw.expect_close(1008);
    assert_eq!(arena.server.hits("message_timeout"), 1);
    arena.witness();
    arena.survives();
}

#[test]
fn pings_that_nobody_reads_the_pongs_of_end_in_1008_or_cost_nothing() {
    let flood = masked(PING, &[b'p'; 125]).repeat(500);
    let arena = Arena::new("");
    let mut raw = Raw::open_at(arena.server.address(), "/echo");
    for _ in 0..4 {
        raw.send_anyway(&flood);
    }
    loop {
        let frame = raw.next_frame().expect("a Close frame");
        if frame.first != PONG {
            break assert_eq!(frame.close_code(), Some(1008));
        }
    }
    raw.expect_end();
    assert_eq!(arena.server.hits("control_frames_per_second"), 1);
    arena.survives();

    let mut arena = Arena::new("[limits]\ncontrol_frames_per_second = 0\nreply_bytes = \"64 KiB\"\n");
    let before = arena.server.resident();
    let raw = Raw::open_at(arena.server.address(), "/echo");
    raw.stream().set_nonblocking(true).expect("a socket");
    // Until the server reads no more of it, or 40 MB.
    let mut sent = 0;
    while sent < 40 << 20 {
        match std::io::Write::write(&mut raw.stream(), &flood[sent % flood.len()..]) {
            Ok(count) => sent += count,
            Err(_) => break,
        }
        arena.witness();
    }
    assert!(arena.server.resident() < before + (2 << 20), "{sent} bytes of pings");
    drop(raw);
    arena.survives();
}

#[test]
fn ten_thousand_frames_in_one_segment_are_answered_in_order_and_others_have_their_turn() {
    let mut arena = Arena::new("");
    let texts: Vec<String> = (0..10_000).map(|number| number.to_string()).collect();
    let bytes: Vec<u8> = texts.iter().flat_map(|text| masked(TEXT, text.as_bytes())).collect();
    let mut raw = Raw::open_at(arena.server.address(), "/echo");
    let mut sender = raw.stream().try_clone().expect("a second handle");
    let sending = std::thread::spawn(move || std::io::Write::write_all(&mut sender, &bytes));
    for (number, text) in texts.iter().enumerate() {
        if number % 1000 == 0 {
            arena.witness();
        }
        assert_eq!(raw.frame(), Frame::text(text));
    }
    sending.join().expect("it sends").expect("the server takes it");
    drop(raw);
    arena.survives();
}

#[test]
fn a_close_frame_arrives_though_the_peer_goes_on_sending() {
    let mut arena = Arena::new("[limits]\nclose_timeout = \"1s\"\n");
    let mut raw = Raw::open_at(arena.server.address(), "/echo");
    // What is unread when a socket is closed makes the kernel reset it, and take the Close frame along.
    raw.send(&[&b"\x83\x80"[..], &[0x83; 300_000]].concat());
    raw.send_anyway(&[0x83; 300_000]);
    assert_eq!(raw.frame().close_code(), Some(1002));
    raw.expect_end();
    let mut deaf = Raw::open_at(arena.server.address(), "/echo");
    deaf.send(&masked_close(1000, ""));
    assert_eq!(deaf.frame().close_code(), Some(1000));
    deaf.expect_end();
    // The server has said everything; whoever does not end the connection is not waited for.
    crate::support::eventually("it is dropped", || {
        arena.witness();
        super::arena::connections(&arena.server) <= 2
    });
    drop((raw, deaf));
    arena.survives();
}
