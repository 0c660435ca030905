//! Compressed messages that are broken, or far larger than they look.

use flate2::{Compress, Compression, FlushCompress};

use crate::arena::{Arena, compressed, frames};
use crate::support::Raw;
use crate::support::frame::{BINARY, PING, TEXT, masked};

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
