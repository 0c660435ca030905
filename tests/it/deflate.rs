//! Compressed messages on real sockets: what is agreed on, echoes, broadcasts, and what a peer can do wrong.

use crate::support::frame::{BINARY, Frame, PING, PONG, TEXT, masked};
use crate::support::{Chat, ConfiguredProcess, Raw, TestServer};
use flate2::{Compress, Compression, Decompress, FlushCompress, FlushDecompress};
use foghorn::config::Config;
use foghorn::server::{Context, Endpoint, Handler};
use foghorn::ws::Message;

const RSV1: u8 = 0x40;
const OFFER: &str = "permessage-deflate; client_max_window_bits";
const ALONE: &str = "permessage-deflate; server_no_context_takeover; client_no_context_takeover";
/// The end of a flushed stream, which is not sent.
const TAIL: [u8; 4] = [0x00, 0x00, 0xff, 0xff];

/// One side's compressor and decompressor, as a client has them.
struct Codec {
    deflate: Compress,
    inflate: Decompress,
}

impl Codec {
    fn new() -> Codec {
        Codec { deflate: Compress::new(Compression::new(6), false), inflate: Decompress::new(false) }
    }

    /// A masked frame with a compressed message.
    fn frame(&mut self, first: u8, payload: &[u8]) -> Vec<u8> {
        let mut body = Vec::with_capacity(payload.len() + payload.len() / 8 + 100);
        self.deflate.compress_vec(payload, &mut body, FlushCompress::Sync).expect("it fits");
        masked(first | RSV1, body.strip_suffix(&TAIL).expect("it was flushed"))
    }

    /// The payload of a compressed frame with this opcode.
    fn read(&mut self, frame: &Frame, first: u8) -> Vec<u8> {
        assert_eq!(frame.first, first | RSV1, "{frame:?}");
        let mut payload = Vec::with_capacity(1 << 20);
        let body = [&frame.payload, &TAIL[..]].concat();
        self.inflate.decompress_vec(&body, &mut payload, FlushDecompress::Sync).expect("it is deflate");
        payload
    }
}

/// Text that shrinks, `len` bytes of it.
fn story(len: usize) -> String {
    (0..)
        .flat_map(|number: u32| format!("and then came number {}; ", number * 7919).into_bytes())
        .take(len)
        .map(char::from)
        .collect()
}

fn open(server: &TestServer, path: &str) -> Raw {
    let (raw, answer) = Raw::offering(server, path, OFFER);
    assert_eq!(answer.as_deref(), Some(ALONE));
    raw
}

#[test]
fn the_first_acceptable_offer_is_answered_and_a_bad_one_is_declined() {
    let server = TestServer::start();
    let cases = [
        ("permessage-deflate", Some(ALONE.to_owned())),
        (
            "x, permessage-deflate; y=1, permessage-deflate; client_no_context_takeover",
            Some(ALONE.to_owned()),
        ),
        (
            "permessage-deflate; server_max_window_bits=\"9\"",
            Some(format!("{ALONE}; server_max_window_bits=9")),
        ),
        (
            "permessage-deflate; client_max_window_bits=10",
            Some(format!("{ALONE}; client_max_window_bits=10")),
        ),
        ("permessage-deflate; server_max_window_bits=16", None),
        ("permessage-deflate; client_no_context_takeover; client_no_context_takeover", None),
        ("permessage-deflate; server_max_window_bits", None),
        ("permessage-bzip2", None),
    ];
    for (offer, expected) in cases {
        let (mut raw, answer) = Raw::offering(&server, "/echo", offer);
        assert_eq!(answer, expected, "{offer}");
        raw.send(&masked(TEXT, b"as usual"));
        assert_eq!(raw.frame(), Frame::text("as usual"));
    }
}

#[test]
fn long_echoes_are_compressed_and_short_ones_are_not() {
    let server = TestServer::start();
    let mut raw = open(&server, "/echo");
    for len in [0, 1, 100, 1023, 1024, 60_000, 1 << 20] {
        for first in [TEXT, BINARY] {
            let payload = story(len).into_bytes();
            raw.send(&Codec::new().frame(first, &payload));
            let frame = raw.frame();
            if len < 1024 {
                assert_eq!(frame, Frame::new(first, payload));
            } else {
                assert!(frame.payload.len() < len / 2);
                assert!(Codec::new().read(&frame, first) == payload);
            }
        }
    }
}

#[test]
fn whoever_offers_nothing_is_never_sent_a_compressed_frame_and_must_not_send_one() {
    let server = TestServer::start();
    let mut raw = Raw::open(&server, "/echo");
    raw.send(&masked(TEXT, story(5000).as_bytes()));
    assert_eq!(raw.frame(), Frame::text(&story(5000)));
    raw.send(&Codec::new().frame(TEXT, b"Hello"));
    raw.expect_close(1002);
}

#[test]
fn control_frames_pass_between_compressed_fragments_and_are_never_compressed() {
    let server = TestServer::start();
    let mut raw = open(&server, "/echo");
    raw.send(&masked(0x41, b"\xf2\x48\xcd"));
    raw.send(&masked(PING, b"still there?"));
    assert_eq!(raw.frame(), Frame::new(PONG, *b"still there?"));
    raw.send(&masked(0x80, b"\xc9\xc9\x07\x00"));
    assert_eq!(raw.frame(), Frame::text("Hello"));
}

#[test]
fn what_a_peer_does_wrong_costs_its_connection_alone() {
    let server = TestServer::with(|config: &mut Config| config.limits.message_bytes = 1 << 16);
    let bomb = Codec::new().frame(BINARY, &vec![0; 64 << 20]);
    assert!(bomb.len() < 70_000, "{} bytes stand for 64 MiB", bomb.len());
    let cases: &[(&[u8], u16)] = &[
        (&bomb, 1009),
        (&masked(BINARY | RSV1, b"\x06"), 1007),
        (&masked(BINARY | RSV1, b"\xf2\x48\xcd\xc9"), 1007),
        (&masked(BINARY | RSV1, b"\xf2\x00\x11\x00\x00"), 1007),
        (&masked(TEXT | RSV1, b"\x00\x02\x00\xfd\xff\xc3\x28\x00"), 1007),
        (&masked(PING | RSV1, b""), 1002),
        (&[masked(0x41, b"\xf2\x48\xcd"), masked(0xc0, b"\xc9\xc9\x07\x00")].concat(), 1002),
        (&[masked(0x41, b"\xf2\x48\xcd"), masked(0xc1, b"\xc9\xc9\x07\x00")].concat(), 1002),
    ];
    let mut witness = open(&server, "/ws/echo");
    for &(bytes, code) in cases {
        for bytewise in [false, true] {
            let mut raw = open(&server, "/ws/echo");
            if bytewise {
                bytes.iter().take(5000).for_each(|byte| raw.send_anyway(&[*byte]));
                raw.send_anyway(bytes.get(5000..).unwrap_or_default());
            } else {
                raw.send_anyway(bytes);
            }
            assert_eq!(raw.frame().close_code(), Some(code), "{:02x?}", &bytes[..10.min(bytes.len())]);
        }
        witness.send(&Codec::new().frame(TEXT, b"still served?"));
        assert_eq!(witness.frame(), Frame::text("Echo: still served?"));
    }
}

#[test]
fn bombs_do_not_cost_memory() {
    let server = ConfiguredProcess::start("");
    let bomb = Codec::new().frame(BINARY, &vec![0; 64 << 20]);
    let before = server.resident();
    for _ in 0..50 {
        let mut raw = Raw::offering_to(server.address(), "/ws/sink", OFFER).0;
        raw.send_anyway(&bomb);
        assert_eq!(raw.frame().close_code(), Some(1009));
    }
    let grown = server.resident().saturating_sub(before);
    assert!(grown < 16 << 20, "{grown} bytes for 50 bombs of 64 MiB");
}

#[test]
fn idle_connections_hold_neither_compressor_nor_inflater() {
    const CONNECTIONS: usize = 300;
    let server = ConfiguredProcess::start("");
    let message = Codec::new().frame(TEXT, story(5000).as_bytes());
    let talk = || {
        let mut raw = Raw::offering_to(server.address(), "/echo", OFFER).0;
        raw.send(&message);
        assert_eq!(raw.frame().first, TEXT | RSV1);
        raw
    };
    let first = talk();
    let before = server.resident();
    let idle: Vec<Raw> = (0..CONNECTIONS).map(|_| talk()).collect();
    let grown = server.resident().saturating_sub(before);
    assert!(grown < CONNECTIONS * 8 * 1024, "{grown} bytes for {CONNECTIONS} connections");
    drop((first, idle));
}

#[test]
fn a_broadcast_is_compressed_for_those_that_agreed_and_plain_for_the_others() {
    let server = TestServer::start();
    let mut compressed = open(&server, "/ws/raw?roomId=r");
    let mut plain = Raw::open(&server, "/ws/raw?roomId=r");
    let small = "permessage-deflate; server_max_window_bits=9";
    let (mut forgetful, _) = Raw::offering(&server, "/ws/raw?roomId=r", small);
    for raw in [&mut compressed, &mut plain, &mut forgetful] {
        raw.send(&masked(TEXT, b"here"));
    }
    // Everybody is in the room once all three have spoken and one has heard all of them.
    let mut heard = vec![];
    while heard.len() < 3 {
        heard.push(compressed.frame());
    }
    let latest = plain.frame();
    assert_eq!(latest, Frame::text("here"));
    compressed.send(&Codec::new().frame(TEXT, story(5000).as_bytes()));
    compressed.send(&masked(BINARY, story(4000).as_bytes()));

    let after_here = |raw: &mut Raw| loop {
        let frame = raw.frame();
        if frame != Frame::text("here") {
            return frame;
        }
    };
    let frame = after_here(&mut compressed);
    assert_eq!(Codec::new().read(&frame, TEXT), story(5000).as_bytes());
    assert_eq!(Codec::new().read(&compressed.frame(), BINARY), story(4000).as_bytes());
    for raw in [&mut plain, &mut forgetful] {
        assert_eq!(after_here(raw), Frame::text(&story(5000)));
        assert_eq!(raw.frame(), Frame::new(BINARY, story(4000)));
    }
}

#[test]
fn a_member_that_comes_back_misses_nothing_whatever_form_it_comes_in() {
    let server = TestServer::stored(|config: &mut Config| config.rooms.window_messages = 4);
    let mut speaker = Chat::join(&server, "r", "speaker");
    let contents: Vec<String> = (0..20).map(|number| format!("{number} {}", story(2000))).collect();
    for content in &contents {
        speaker.say(content);
    }
    assert_eq!(speaker.hear(20), contents);
    let mut raw = open(&server, "/ws/chat?roomId=r&username=late&sinceSeq=0");
    speaker.say(&story(3000));
    let mut heard = Vec::new();
    while heard.len() < 21 {
        let frame = raw.frame();
        let json = if frame.first & RSV1 == 0 { frame.payload } else { Codec::new().read(&frame, TEXT) };
        let value: serde_json::Value = serde_json::from_slice(&json).expect("JSON");
        if value["type"] == "MESSAGE" {
            heard.push(value["content"].as_str().expect("a text").to_owned());
        }
    }
    assert_eq!(heard[..20], contents);
    assert_eq!(heard[20], story(3000));
    // Even that may have come from the store; what follows comes live.
    speaker.say(&story(3001));
    assert_ne!(raw.frame().first & RSV1, 0, "what comes live is compressed");
}

#[test]
fn contexts_are_taken_over_where_that_is_configured() {
    let server = TestServer::with(|config: &mut Config| {
        config.deflate.server_context_takeover = true;
        config.deflate.client_context_takeover = true;
        config.deflate.client_window_bits = 10;
    });
    let (mut raw, answer) = Raw::offering(&server, "/echo", OFFER);
    assert_eq!(answer.as_deref(), Some("permessage-deflate; client_max_window_bits=10"));
    let mut codec = Codec {
        deflate: Compress::new_with_window_bits(Compression::new(6), false, 10),
        inflate: Decompress::new(false),
    };
    let mut lengths = Vec::new();
    for _ in 0..4 {
        raw.send(&codec.frame(TEXT, story(5000).as_bytes()));
        raw.send(&masked(TEXT, b"a plain one between"));
        let frame = raw.frame();
        lengths.push(frame.payload.len());
        assert_eq!(codec.read(&frame, TEXT), story(5000).as_bytes());
        assert_eq!(raw.frame(), Frame::text("a plain one between"));
    }
    assert!(lengths[1..].iter().all(|&len| len * 4 < lengths[0]), "{lengths:?}");
}

#[test]
fn a_member_of_a_room_can_read_replies_and_broadcasts_in_whatever_order_they_come() {
    struct Mixed;
    impl Handler for Mixed {
        type State = ();

        fn open(&self, cx: &mut Context<'_>, _: &foghorn::http::Head<'_>) {
            cx.send_text(&story(2000));
            cx.join(foghorn::server::JoinRequest::relay("r")).expect("a room");
        }

        fn message(&self, cx: &mut Context<'_>, _: &mut (), message: Message<'_>) {
            let Message::Text(text) = message else { return };
            let room = cx.memberships()[0];
            cx.send_text(text);
            cx.publish_text(room, text, None).expect("a member");
            cx.session().send_text(text).expect("it is open");
        }
    }
    let server = TestServer::with_routes(
        |config| config.deflate.server_context_takeover = true,
        |router| router.endpoint("/mixed", Endpoint::new(Mixed)),
    );
    let (mut raw, answer) = Raw::offering(&server, "/mixed", OFFER);
    assert_eq!(answer.as_deref(), Some("permessage-deflate; client_no_context_takeover"));
    let mut codec = Codec::new();
    assert_eq!(codec.read(&raw.frame(), TEXT), story(2000).as_bytes());
    for _ in 0..5 {
        raw.send(&masked(TEXT, story(3000).as_bytes()));
        for _ in 0..3 {
            let frame = raw.frame();
            let payload = if frame.first == TEXT { frame.payload } else { codec.read(&frame, TEXT) };
            assert_eq!(payload, story(3000).as_bytes());
        }
    }
}

#[test]
fn compression_can_be_turned_off_for_all_endpoints_or_for_one() {
    let off = |config: &mut Config| config.deflate.enabled = false;
    let server = TestServer::with_routes(off, |router| {
        router
            .endpoint("/on", Endpoint::new(Silent).deflate(true))
            .endpoint("/off", Endpoint::new(Silent).deflate(false))
    });
    assert_eq!(Raw::offering(&server, "/echo", OFFER).1, None);
    assert_eq!(Raw::offering(&server, "/on", OFFER).1.as_deref(), Some(ALONE));
    let server = TestServer::with_routes(
        |_| (),
        |router| router.endpoint("/off", Endpoint::new(Silent).deflate(false)),
    );
    assert_eq!(Raw::offering(&server, "/off", OFFER).1, None);
    assert_eq!(Raw::offering(&server, "/echo", OFFER).1.as_deref(), Some(ALONE));
}

struct Silent;

impl Handler for Silent {
    type State = ();

    fn open(&self, _: &mut Context<'_>, _: &foghorn::http::Head<'_>) {}

    fn message(&self, _: &mut Context<'_>, _: &mut (), _: Message<'_>) {}
}
