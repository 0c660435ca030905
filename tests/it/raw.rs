//! Raw rooms: the subprotocol `foghorn.raw`, recovery, conflation.

use crate::support::frame::{BINARY, Frame, TEXT, masked};
use crate::support::raw::upgrade_lines;
use crate::support::{Raw, TestServer};

/// A member that speaks `foghorn.raw`.
struct Framed {
    raw: Raw,
    epoch: u64,
}

/// What it is told, besides the welcome.
#[derive(Debug, PartialEq, Eq)]
enum Heard {
    Message { seq: u64, key: String, payload: Vec<u8>, text: bool },
    Gap { from: u64, to: u64 },
}

impl Framed {
    fn join(server: &TestServer, room: &str, query: &str) -> (Framed, u64) {
        Framed::over(Raw::connect(server), room, query)
    }

    fn over(mut raw: Raw, room: &str, query: &str) -> (Framed, u64) {
        let lines = upgrade_lines(&format!("/ws/raw?roomId={room}{query}"));
        raw.send(format!("{lines}Sec-WebSocket-Protocol: foghorn.raw\r\n\r\n").as_bytes());
        let reply = raw.reply();
        assert_eq!((reply.status, reply.header("sec-websocket-protocol")), (101, Some("foghorn.raw")));
        let welcome = raw.frame();
        assert_eq!(
            (welcome.first, &welcome.payload[..4], welcome.payload.len()),
            (BINARY, &[3, 0, 0, 0][..], 20)
        );
        let [epoch, seq] = [4, 12].map(|at| number(&welcome.payload, at));
        (Framed { raw, epoch }, seq)
    }

    fn publish(&mut self, key: &str, payload: &[u8]) {
        self.raw.send(&masked(BINARY, &publish(0, key, payload)));
    }

    fn hear(&mut self) -> Heard {
        let Frame { first, payload, .. } = self.raw.frame();
        assert_eq!(first, BINARY);
        let seq = number(&payload, 12);
        if payload[0] == 2 {
            return Heard::Gap { from: number(&payload, 20), to: seq };
        }
        assert_eq!((payload[0], number(&payload, 4)), (1, self.epoch));
        let (key, rest) = payload[20..].split_at(usize::from(payload[3]));
        let key = String::from_utf8(key.to_vec()).expect("a text");
        Heard::Message { seq, key, payload: rest.to_vec(), text: payload[1] == 1 }
    }

    /// The next message without a key.
    fn hear_payload(&mut self, expected: u64) -> Vec<u8> {
        let heard = self.hear();
        let Heard::Message { seq, key, payload, .. } = heard else {
            unreachable!("not a message: {heard:?}")
        };
        assert_eq!((seq, &*key), (expected, ""));
        payload
    }
}

fn number(bytes: &[u8], at: usize) -> u64 {
    u64::from_be_bytes(bytes[at..at + 8].try_into().expect("eight bytes"))
}

fn publish(flags: u8, key: &str, payload: &[u8]) -> Vec<u8> {
    let len = u8::try_from(key.len()).expect("a short key");
    [&[1, flags, 0, len], key.as_bytes(), payload].concat()
}

#[test]
fn messages_come_behind_a_header_with_their_position_and_plain_to_others() {
    let server = TestServer::start();
    let (mut framed, seq) = Framed::join(&server, "r", "");
    assert_eq!(seq, 0);
    let mut plain = Raw::open(&server, "/ws/raw?roomId=r");
    plain.send(&masked(TEXT, "hé".as_bytes()));
    plain.send(&masked(BINARY, b"\x00\xff"));
    let message =
        |seq, payload: &[u8], text| Heard::Message { seq, key: String::new(), payload: payload.into(), text };
    assert_eq!(framed.hear(), message(1, "hé".as_bytes(), true));
    assert_eq!(framed.hear(), message(2, b"\x00\xff", false));
    framed.raw.send(&masked(BINARY, &publish(1, "", b"as text")));
    framed.raw.send(&masked(TEXT, b"text"));
    framed.publish("", &[7; 70_000][..60_000]);
    assert_eq!((framed.hear(), framed.hear()), (message(3, b"as text", true), message(4, b"text", true)));
    assert_eq!(framed.hear_payload(5).len(), 60_000);
    let frames: Vec<_> = (0..5).map(|_| plain.frame()).collect();
    assert_eq!(
        frames[..4],
        [Frame::text("hé"), Frame::binary(b"\x00\xff"), Frame::text("as text"), Frame::text("text")]
    );
    assert_eq!(frames[4], Frame::binary(&[7; 60_000]));
}

#[test]
fn a_member_comes_back_to_its_position() {
    let server = TestServer::with(|config| config.rooms.window_messages = 8);
    let (mut one, _) = Framed::join(&server, "r", "");
    let (stay, _) = Framed::join(&server, "r", "");
    for number in 1..=20_u64 {
        one.publish("", &number.to_be_bytes());
        assert_eq!(one.hear_payload(number), number.to_be_bytes());
    }
    let epoch = one.epoch;
    drop(one);
    let (mut back, seq) = Framed::join(&server, "r", &format!("&sinceSeq=15&epoch={epoch:016x}"));
    assert_eq!(seq, 20);
    (16..=20).for_each(|number| assert_eq!(back.hear_payload(number), number.to_be_bytes()));
    let (mut late, _) = Framed::join(&server, "r", "&sinceSeq=3");
    assert_eq!(late.hear(), Heard::Gap { from: 4, to: 12 });
    assert_eq!(late.hear_payload(13), 13_u64.to_be_bytes());
    let (mut stranger, _) = Framed::join(&server, "r", "&sinceSeq=3&epoch=00000000000000aa");
    assert_eq!(stranger.hear(), Heard::Gap { from: 1, to: 20 });
    let (mut last, _) = Framed::join(&server, "r", "&history=1");
    assert_eq!(last.hear_payload(20), 20_u64.to_be_bytes());
    drop(stay);
}

#[test]
fn whoever_cannot_be_told_of_a_gap_cannot_come_back_to_a_position() {
    let server = TestServer::start();
    for query in ["sinceSeq=1", "since=2026-01-31T12:00:00Z", "sinceSeq=x"] {
        Raw::open(&server, &format!("/ws/raw?roomId=r&{query}")).expect_close(1008);
    }
    let mut raw = Raw::open(&server, "/ws/raw?roomId=r&history=5");
    raw.send(&masked(TEXT, b"fine"));
    assert_eq!(raw.frame(), Frame::text("fine"));
}

#[test]
fn malformed_headers_close_with_1008() {
    let server = TestServer::start();
    let cases: [&[u8]; 6] = [
        b"",
        b"\x01\x00\x00",
        b"\x02\x00\x00\x00",
        b"\x01\x80\x00\x00",
        b"\x01\x00\x00\x09k",
        b"\x01\x00\x00\x01k",
    ];
    for bytes in cases {
        let (mut framed, _) = Framed::join(&server, "r", "");
        framed.raw.send(&masked(BINARY, bytes));
        framed.raw.expect_close(1008);
    }
}

/// A server whose rooms `s/…` are conflated.
fn conflating() -> TestServer {
    TestServer::with(|config| config.rooms.conflated = Some("s/".into()))
}

#[test]
fn a_newcomer_gets_the_latest_value_of_each_key() {
    let server = conflating();
    let (mut one, _) = Framed::join(&server, "s/1", "");
    for (number, key) in (1..=9_u64).zip(["a", "b", "a", "", "c", "b", "a", "", "d"]) {
        one.publish(key, &[u8::try_from(number).expect("a byte")]);
        assert_eq!(one.hear(), value(number, key), "whoever keeps up gets everything");
    }
    let (mut two, seq) = Framed::join(&server, "s/1", "&sinceSeq=0");
    assert_eq!(seq, 9);
    for (number, key) in [(4, ""), (5, "c"), (6, "b"), (7, "a"), (8, ""), (9, "d")] {
        assert_eq!(two.hear(), value(number, key));
    }
    let mut plain = Raw::open(&server, "/ws/raw?roomId=s%2F1&history=9");
    let payloads: Vec<_> = (0..6).map(|_| plain.frame().payload).collect();
    assert_eq!(payloads, [[4], [5], [6], [7], [8], [9]]);
}

fn value(number: u64, key: &str) -> Heard {
    let payload = vec![u8::try_from(number).expect("a byte")];
    Heard::Message { seq: number, key: key.into(), payload, text: false }
}

#[test]
fn a_member_that_lags_gets_the_newest_state_and_not_the_way_to_it() {
    let server = conflating();
    let (mut slow, _) = Framed::over(Raw::connect_with_small_buffer(&server), "s/game", "");
    let (mut game, _) = Framed::join(&server, "s/game", "");
    let ticks = 3_000_u64;
    let mut payload = vec![0; 10_000];
    for tick in 1..=ticks {
        payload[..8].copy_from_slice(&tick.to_be_bytes());
        game.publish(if tick % 2 == 0 { "even" } else { "odd" }, &payload);
        let Heard::Message { seq, .. } = game.hear() else { unreachable!("a gap") };
        assert_eq!(seq, tick);
    }
    // 30 MB were published; what the kernel could not take was replaced.
    let (mut heard, mut last) = (0, 0);
    while last < ticks {
        let Heard::Message { seq, payload, .. } = slow.hear() else { unreachable!("a gap") };
        assert!(seq > last && number(&payload, 0) == seq);
        (heard, last) = (heard + 1, seq);
    }
    assert!(heard < ticks, "{heard} of {ticks}");
    drop(game);
}
