//! Frames on real sockets: every rule that a peer can break, the closing handshake, deadlines, fairness.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use crate::support::frame::{BINARY, CLOSE, Frame, PING, PONG, TEXT, masked, masked_close};
use crate::support::raw::upgrade;
use crate::support::{Chat, Client, Raw, TestServer, eventually, now};
use foghorn::server::{Context, Disconnect, Endpoint, Handler, Router, Timer};
use foghorn::ws::{CloseCode, Message, ProtocolError};

/// What a peer may send, and the rule that it breaks.
const BROKEN: &[(&[u8], ProtocolError)] = &[
    (b"\xc1\x80", ProtocolError::ReservedBit),
    (b"\xa1\x80", ProtocolError::ReservedBit),
    (b"\x91\x80", ProtocolError::ReservedBit),
    (b"\x83\x80", ProtocolError::ReservedOpcode),
    (b"\x8b\xff", ProtocolError::ReservedOpcode),
    (b"\x81\x05Hello", ProtocolError::MaskMissing),
    (b"\x09\x80", ProtocolError::ControlFragmented),
    (b"\x89\xfe", ProtocolError::ControlTooLong),
    (b"\x88\xff", ProtocolError::ControlTooLong),
    (b"\x82\xfe\x00\x7d", ProtocolError::LengthNotMinimal),
    (b"\x82\xff\x00\x00\x00\x00\x00\x00\xff\xff", ProtocolError::LengthNotMinimal),
    (b"\x82\xff\x80\x00\x00\x00\x00\x00\x00\x00", ProtocolError::LengthTopBit),
    (b"\x80\x80\0\0\0\0", ProtocolError::ContinuationUnexpected),
    (b"\x01\x81\0\0\0\0a\x81\x81\0\0\0\0b", ProtocolError::ContinuationMissing),
    (b"\x82\xff\x00\x00\x00\x00\x01\x00\x00\x01\0\0\0\0", ProtocolError::MessageTooBig),
    (b"\x81\x82\0\0\0\0\xc3\x28", ProtocolError::TextNotUtf8),
    (b"\x81\xfe\x10\x00\0\0\0\0\xed\xa0", ProtocolError::TextNotUtf8),
    (b"\x88\x81\0\0\0\0\x03", ProtocolError::CloseCodeCutShort),
    (b"\x88\x82\0\0\0\0\x03\xed", ProtocolError::CloseCodeInvalid),
    (b"\x88\x83\0\0\0\0\x03\xe8\xff", ProtocolError::CloseReasonNotUtf8),
];

#[test]
fn every_broken_rule_gets_its_close_code_and_the_end_however_the_bytes_are_cut() {
    let server = TestServer::start();
    let mut witness = Client::connect(&server, "/echo");
    for (bytes, error) in BROKEN {
        for bytewise in [false, true] {
            let mut raw = Raw::open(&server, "/echo");
            if bytewise {
                bytes.iter().for_each(|byte| raw.send_anyway(&[*byte]));
            } else {
                raw.send(bytes);
            }
            let frame = raw.frame();
            assert_eq!(frame.close_code(), Some(error.close_code().get()), "{error}: {frame:?}");
            raw.expect_end();
        }
        witness.send_text("still served?");
        assert_eq!(witness.text(), "still served?");
    }
    let missing = |error: &ProtocolError| BROKEN.iter().all(|(_, broken)| broken != error);
    assert!(missing(&ProtocolError::MaskForbidden), "that is for clients to refuse");
    let rules: std::collections::HashSet<_> = BROKEN.iter().map(|(_, error)| error).collect();
    assert_eq!(rules.len(), ProtocolError::CloseReasonNotUtf8 as usize, "a rule has no case");
}

#[test]
fn what_came_before_the_broken_frame_is_answered() {
    let server = TestServer::start();
    let mut raw = Raw::open(&server, "/echo");
    raw.send(&[&masked(TEXT, b"fine")[..], b"\x83\x80", &masked(TEXT, b"too late")].concat());
    assert_eq!(raw.frame(), Frame::text("fine"));
    raw.expect_close(1002);
}

#[test]
fn a_close_is_answered_with_its_own_code_and_ends_the_connection() {
    let server = TestServer::start();
    for code in [1000, 1001, 1003, 1007, 1009, 1011, 1014, 3000, 4999] {
        let mut raw = Raw::open(&server, "/echo");
        raw.send(
            &[&masked(TEXT, b"last words")[..], &masked_close(code, "bye"), &masked(TEXT, b"x")].concat(),
        );
        assert_eq!(raw.frame(), Frame::text("last words"));
        assert_eq!(raw.frame(), Frame::new(CLOSE, code.to_be_bytes()));
        raw.expect_end();
    }
    let mut raw = Raw::open(&server, "/echo");
    raw.send(&masked(CLOSE, b""));
    assert_eq!(raw.frame(), Frame::new(CLOSE, b""));
    raw.expect_end();
}

#[test]
fn a_peer_that_closes_and_ends_its_side_at_once_is_answered_all_the_same() {
    let server = TestServer::start();
    let mut raw = Raw::connect(&server);
    raw.send(&[upgrade("/echo"), masked(TEXT, b"hi"), masked_close(1000, "")].concat());
    raw.finish();
    assert_eq!(raw.reply().status, 101);
    assert_eq!(raw.frame(), Frame::text("hi"));
    assert_eq!(raw.frame().close_code(), Some(1000));
    raw.expect_end();
}

#[test]
fn messages_are_not_delivered_once_the_server_has_closed() {
    let server = TestServer::start();
    let mut raw = Raw::open(&server, "/ws/chat?username=u");
    assert_eq!(raw.frame().close_code(), Some(1008));
    raw.send(&masked(TEXT, b"{\"content\":\"ignored\"}"));
    raw.send(&masked(PING, b"ignored too"));
    raw.send(&masked_close(1008, ""));
    raw.expect_end();
}

#[test]
fn a_peer_that_never_answers_a_close_is_dropped() {
    let server = TestServer::with(|config| config.limits.close_timeout = Duration::from_millis(100));
    let mut raw = Raw::open(&server, "/ws/chat?username=u");
    assert_eq!(raw.frame().close_code(), Some(1008));
    raw.expect_gone();
}

#[test]
fn pings_are_answered_between_the_fragments_of_a_message() {
    let server = TestServer::start();
    let mut raw = Raw::open(&server, "/echo");
    raw.send(&masked(0x01, "fog".as_bytes()));
    raw.send(&masked(PING, b"are you there?"));
    raw.send(&masked(0x00, b""));
    raw.send(&masked(PONG, b"never asked for"));
    raw.send(&masked(0x80, "h\u{f6}rn".as_bytes()));
    assert_eq!(raw.frame(), Frame::new(PONG, *b"are you there?"));
    assert_eq!(raw.frame(), Frame::text("fogh\u{f6}rn"));
}

#[test]
fn a_character_may_be_cut_by_fragments_and_segments() {
    let server = TestServer::start();
    let mut raw = Raw::open(&server, "/echo");
    let text = "κόσμε 🌫 fog".as_bytes();
    let mut bytes = masked(0x01, &text[..3]);
    for byte in &text[3..] {
        bytes.extend_from_slice(&masked(0x00, &[*byte]));
    }
    bytes.extend_from_slice(&masked(0x80, b""));
    raw.send_bytewise(&bytes);
    assert_eq!(raw.frame(), Frame::new(TEXT, text));
}

#[test]
fn a_message_may_have_any_number_of_fragments() {
    let server = TestServer::start();
    let mut raw = Raw::open(&server, "/echo");
    let mut bytes = masked(0x02, b"");
    bytes.extend(masked(0x00, b"").repeat(70_000));
    bytes.extend(masked(0x00, b"x").repeat(1000));
    bytes.extend(masked(0x80, b"end"));
    raw.send(&bytes);
    let frame = raw.frame();
    assert_eq!((frame.first, frame.payload.len()), (BINARY, 1003));
}

#[test]
fn while_a_peer_does_not_read_only_its_newest_ping_is_remembered() {
    let server = TestServer::with(|config| config.limits.reply_bytes = 64 << 20);
    let mut raw = Raw::open(&server, "/echo");
    // More than the kernel's buffers hold, so that the echo blocks.
    let large = vec![b'x'; 15 << 20];
    raw.send(&masked(BINARY, &large));
    raw.stream().peek(&mut [0; 1]).expect("the echo has begun");
    let pings: Vec<u8> = (0..1000u32).flat_map(|number| masked(PING, &number.to_be_bytes())).collect();
    raw.send(&pings);
    // After two rounds of another connection the server has seen what came before.
    let mut witness = Client::connect(&server, "/echo");
    for round in ["first", "second"] {
        witness.send_text(round);
        assert_eq!(witness.text(), round);
    }
    assert!(raw.frame() == Frame::new(BINARY, large));
    assert_eq!(raw.frame(), Frame::new(PONG, 999u32.to_be_bytes()));
    raw.send(&masked(TEXT, b"that was all"));
    assert_eq!(raw.frame(), Frame::text("that was all"));
}

#[test]
fn a_peer_that_does_not_read_is_not_read_beyond_the_limit_for_replies() {
    let server = TestServer::with(|config| config.limits.reply_bytes = 64 << 10);
    let mut raw = Raw::open(&server, "/echo");
    raw.stream().set_nonblocking(true).expect("a socket");
    let message = masked(BINARY, &[b'x'; 60_000]);
    let mut sent = 0;
    loop {
        match std::io::Write::write(&mut raw.stream(), &message[sent % message.len()..]) {
            Ok(count) => sent += count,
            Err(error) if error.kind() == std::io::ErrorKind::WouldBlock => break,
            Err(error) => panic!("{error}"),
        }
        // The buffers of both sockets, and what the server may hold for us.
        assert!(sent < 64 << 20, "the server takes it all");
        std::thread::yield_now();
    }
    raw.stream().set_nonblocking(false).expect("a socket");
    let mut witness = Client::connect(&server, "/echo");
    witness.send_text("others are served");
    assert_eq!(witness.text(), "others are served");
    for _ in 0..sent / message.len() {
        assert_eq!(raw.frame().payload.len(), 60_000);
    }
}

#[test]
fn sixteen_mebibytes_come_back_and_one_byte_more_is_too_big() {
    let server = TestServer::start();
    let mut raw = Raw::open(&server, "/echo");
    let largest: Vec<u8> = (0..=250).cycle().take(16 << 20).collect();
    raw.send(&masked(BINARY, &largest));
    assert!(raw.frame() == Frame::new(BINARY, largest));
    raw.send(b"\x02\xff\x00\x00\x00\x00\x01\x00\x00\x00\0\0\0\0");
    raw.send(&vec![0; 16 << 20]);
    raw.send(b"\x80\x81\0\0\0\0");
    raw.expect_close(1009);
}

#[test]
fn a_chat_message_over_the_limit_is_refused_by_its_header() {
    let server = TestServer::start();
    let mut raw = Raw::open(&server, "/ws/chat?roomId=r&username=u");
    assert_eq!(raw.frame().first, TEXT);
    raw.send(b"\x81\xff\x00\x00\x00\x00\x00\x01\x00\x01\0\0\0\0");
    raw.expect_close(1009);
}

#[test]
fn a_close_comes_through_after_a_backlog_of_replies() {
    let server = TestServer::start();
    let mut raw = Raw::open(&server, "/echo");
    let large = vec![b'x'; 8 << 20];
    raw.send(&masked(BINARY, &large));
    raw.send(&masked_close(1000, ""));
    assert!(raw.frame() == Frame::new(BINARY, large));
    assert_eq!(raw.frame().close_code(), Some(1000));
    raw.expect_end();
}

#[test]
fn ten_thousand_frames_in_one_segment_are_answered_in_order_and_others_are_served_meanwhile() {
    let server = TestServer::start();
    let mut flooding = Raw::open(&server, "/echo");
    let mut writer = flooding.stream().try_clone().expect("a second handle");
    let stop = Arc::new(AtomicUsize::new(0));
    let stopped = stop.clone();
    let sending = std::thread::spawn(move || {
        let mut rounds = 0;
        // Once at least, however late this thread has its turn.
        while rounds == 0 || stopped.load(Ordering::SeqCst) == 0 {
            let frames: Vec<u8> = (0..10_000u32).flat_map(|n| masked(BINARY, &n.to_be_bytes())).collect();
            std::io::Write::write_all(&mut writer, &frames).expect("the server reads on");
            rounds += 1;
        }
        rounds
    });
    let (answered, is_answered) = std::sync::mpsc::sync_channel(1);
    let reading = std::thread::spawn(move || {
        let mut next = 0u32;
        while let Some(frame) = flooding.next_frame() {
            if frame.first == CLOSE {
                break;
            }
            assert_eq!(frame, Frame::new(BINARY, (next % 10_000).to_be_bytes()));
            if next == 0 {
                answered.send(()).expect("somebody waits for it");
            }
            next += 1;
        }
        next
    });
    let mut other = Client::connect(&server, "/echo");
    for number in 0..100 {
        other.send_text(&number.to_string());
        assert_eq!(other.text(), number.to_string());
    }
    is_answered.recv_timeout(crate::support::PATIENCE).expect("the flood is answered, too");
    stop.store(1, Ordering::SeqCst);
    let rounds: u32 = sending.join().expect("the flood ends");
    server.begin_shutdown();
    let echoed = reading.join().expect("every echo is right");
    assert!(rounds > 0 && echoed > 0 && echoed <= rounds * 10_000, "{echoed} of {rounds} rounds");
}

/// Panics when told to, at every callback.
struct Fragile {
    closed: Arc<AtomicUsize>,
}

#[expect(clippy::panic, reason = "that is what this handler is for")]
impl Handler for Fragile {
    type State = ();

    fn open(&self, cx: &mut Context<'_>, head: &foghorn::http::Head<'_>) {
        assert!(head.query() != "open", "on purpose");
        if head.query() == "timer" {
            cx.set_timer(Timer(1), Duration::from_millis(1));
        }
    }

    fn message(&self, cx: &mut Context<'_>, _: &mut (), message: Message<'_>) {
        cx.send_text("before");
        assert!(message != Message::Text("panic"), "on purpose");
        cx.send_text("after");
    }

    fn timer(&self, _: &mut Context<'_>, _: &mut (), _: Timer) {
        panic!("on purpose");
    }

    fn close(&self, _: &mut Context<'_>, _: (), reason: Disconnect) {
        self.closed.fetch_add(1, Ordering::SeqCst);
        assert!(reason == Disconnect::HandlerFailed, "on purpose");
    }
}

#[test]
fn a_panic_in_a_handler_costs_its_own_session_alone() {
    let closed = Arc::new(AtomicUsize::new(0));
    let fragile = Endpoint::new(Fragile { closed: closed.clone() });
    let server = TestServer::with_routes(|_| (), |router| router.endpoint("/fragile", fragile));
    let mut witness = Client::connect(&server, "/fragile");
    let mut room = Chat::join(&server, "r", "u");
    Raw::open(&server, "/fragile?open").expect_close(1011);
    Raw::open(&server, "/fragile?timer").expect_close(1011);
    let mut raw = Raw::open(&server, "/fragile");
    raw.send(&[masked(TEXT, b"panic"), masked(TEXT, b"not delivered")].concat());
    assert_eq!(raw.frame(), Frame::text("before"));
    raw.expect_close(1011);
    assert_eq!(closed.load(Ordering::SeqCst), 2, "close is called once for each session that was opened");
    // A panic in the last callback of all has nobody left to be told.
    Client::connect(&server, "/fragile").close();
    eventually("close is called", || closed.load(Ordering::SeqCst) == 3);
    witness.send_text("hello");
    assert_eq!((witness.text(), witness.text()), ("before".into(), "after".into()));
    room.say("hello");
    assert_eq!(room.hear(1), ["hello"]);
}

#[test]
fn a_message_that_is_begun_must_be_finished_in_time() {
    let server = TestServer::with(|config| config.limits.message_timeout = Duration::from_millis(100));
    for begun in [&masked(0x01, b"unfinished")[..], b"\x81", &masked(TEXT, b"cut off")[..9]] {
        let mut raw = Raw::open(&server, "/echo");
        raw.send(begun);
        raw.expect_close(1008);
    }
    let mut raw = Raw::open(&server, "/echo");
    raw.send(&masked(0x01, b""));
    raw.stream().set_read_timeout(Some(Duration::from_millis(20))).expect("a read timeout");
    eventually("the end of a message that drips", || {
        raw.send_anyway(&masked(0x00, b"a"));
        raw.stream().peek(&mut [0; 1]).is_ok()
    });
    raw.stream().set_read_timeout(Some(crate::support::PATIENCE)).expect("a read timeout");
    raw.expect_close(1008);
}

#[test]
fn a_silent_peer_is_pinged_and_then_closed() {
    let server = TestServer::with(|config| {
        config.heartbeat.ping_interval = Duration::from_millis(100);
        config.heartbeat.idle_timeout = Duration::from_millis(500);
    });
    let mut raw = Raw::open(&server, "/echo");
    let mut pings = 0;
    let last = loop {
        let frame = raw.frame();
        if frame.first != PING {
            break frame;
        }
        assert_eq!(frame, Frame::new(PING, *b"ping"));
        pings += 1;
    };
    assert_eq!(last.close_code(), Some(1001));
    assert!(pings >= 1);
}

#[test]
fn a_peer_that_only_answers_pings_is_not_silent() {
    let server = TestServer::with(|config| {
        config.heartbeat.ping_interval = Duration::from_millis(50);
        config.heartbeat.idle_timeout = Duration::from_millis(400);
    });
    let mut raw = Raw::open(&server, "/echo");
    let start = now();
    while start.elapsed() < Duration::from_millis(1200) {
        assert_eq!(raw.frame(), Frame::new(PING, *b"ping"));
        raw.send(&masked(PONG, b"ping"));
    }
    raw.send(&masked(TEXT, b"still here"));
    loop {
        let frame = raw.frame();
        if frame.first != PING {
            break assert_eq!(frame, Frame::text("still here"));
        }
    }
}

/// Tells how sessions ended.
struct Endings(std::sync::mpsc::SyncSender<Disconnect>);

impl Handler for Endings {
    type State = ();

    fn open(&self, _: &mut Context<'_>, _: &foghorn::http::Head<'_>) {}

    fn message(&self, cx: &mut Context<'_>, _: &mut (), message: Message<'_>) {
        match message {
            Message::Text(_) => cx.close(CloseCode::KICKED, "as you wish"),
            Message::Binary(_) => cx.send_binary(&vec![0; 15 << 20]),
        }
    }

    fn close(&self, cx: &mut Context<'_>, _: (), reason: Disconnect) {
        assert!(!cx.is_open());
        cx.send_text("too late");
        let _test_is_over = self.0.send(reason);
    }
}

#[test]
fn a_handler_learns_once_how_its_session_ended() {
    let (end, ended) = std::sync::mpsc::sync_channel(100);
    let routes = |router: Router| router.endpoint("/endings", Endpoint::new(Endings(end)));
    let server = TestServer::with_routes(|_| (), routes);
    let next = || ended.recv_timeout(crate::support::PATIENCE).expect("close is called");
    let open = || Raw::open(&server, "/endings");

    drop(open());
    assert_eq!(next(), Disconnect::PeerGone);
    open().reset();
    assert_eq!(next(), Disconnect::PeerGone);
    let mut raw = open();
    raw.send(&masked_close(4999, "bye"));
    raw.expect_close(4999);
    assert_eq!(next(), Disconnect::PeerClosed(CloseCode::new(4999)));
    let mut raw = open();
    raw.send(&masked(CLOSE, b""));
    assert_eq!(next(), Disconnect::PeerClosed(None));
    let mut raw = open();
    raw.send(b"\x83\x80");
    raw.expect_close(1002);
    assert_eq!(next(), Disconnect::Protocol(ProtocolError::ReservedOpcode));
    let mut raw = open();
    raw.send(&[masked(TEXT, b"close me"), masked_close(1000, "")].concat());
    raw.expect_close(4001);
    assert_eq!(next(), Disconnect::Closed(CloseCode::KICKED));
    let mut raw = open();
    server.begin_shutdown();
    raw.expect_close(1001);
    assert_eq!(next(), Disconnect::Shutdown);
    server.join();
    assert!(ended.try_recv().is_err(), "close is called once");
}

#[test]
fn a_peer_that_takes_nothing_is_dropped_in_the_end() {
    let (end, ended) = std::sync::mpsc::sync_channel(100);
    let server = TestServer::with_routes(
        |config| {
            config.limits.write_timeout = Duration::from_millis(200);
            config.heartbeat.ping_interval = Duration::from_millis(50);
        },
        |router| router.endpoint("/endings", Endpoint::new(Endings(end))),
    );
    let mut raw = Raw::open(&server, "/endings");
    raw.send(&masked(BINARY, b"more than you can take"));
    let reason = ended.recv_timeout(crate::support::PATIENCE).expect("close is called");
    assert_eq!(reason, Disconnect::Stalled);
    raw.expect_gone();
}

#[test]
fn the_end_of_the_input_is_noticed_behind_more_than_one_read() {
    let (end, ended) = std::sync::mpsc::sync_channel(100);
    let routes = |router: Router| router.endpoint("/endings", Endpoint::new(Endings(end)));
    let server = TestServer::with_routes(|config| config.limits.control_frames_per_second = 0, routes);
    for kibibytes in [1, 127, 128, 129, 200, 300, 600] {
        // A pong asks for nothing; what counts is that the end comes together with the bytes before it.
        let bytes = masked(PONG, &[b'x'; 121]).repeat(kibibytes * 8);
        let mut raw = Raw::open(&server, "/endings");
        raw.send(&bytes);
        raw.finish();
        let reason = ended.recv_timeout(crate::support::PATIENCE).expect("close is called");
        assert_eq!(reason, Disconnect::PeerGone, "{kibibytes} KiB");
    }
}
