//! What the deadlines of a connection are counted from: who does something all the time is never late.

use std::io::{Read, Write};
use std::time::Duration;

use foghorn::config::Config;
use foghorn::http::{Response, Status};
use foghorn::limit_hits::Limit;
use foghorn::server::{Answer, Api, Request, Responder};

use super::{millis, pause};
use crate::support::frame::{BINARY, PING, PONG, TEXT, masked};
use crate::support::secure::Certificate;
use crate::support::{Chat, PATIENCE, Raw, TestServer, eventually, now};

/// Sends these bytes again and again, cut so that no read of the server ends where they end; each time an answer comes.
fn send_steadily<S: Read + Write>(raw: &mut Raw<S>, bytes: &[u8], time: Duration, answer: u8) {
    let cut = bytes.len() / 2;
    raw.send(&bytes[..cut]);
    let start = now();
    while start.elapsed() < time {
        raw.send(&[&bytes[cut..], &bytes[..cut]].concat());
        let frame = raw.frame();
        assert_eq!(frame.first, answer, "{frame:?}");
        pause(millis(20));
    }
}

#[test]
fn the_clock_of_a_message_starts_with_each_message() {
    let certificate = Certificate::new();
    let server = TestServer::with(|config| {
        certificate.configure(config);
        config.limits.message_timeout = millis(300);
    });
    let large = masked(BINARY, &[b'x'; 60_000]);
    for (bytes, answer) in [(masked(BINARY, b"hello"), BINARY), (large, BINARY), (masked(PING, b"p"), PONG)] {
        send_steadily(&mut Raw::open(&server, "/echo"), &bytes, millis(900), answer);
        send_steadily(&mut certificate.open(&server, "/echo"), &bytes, millis(900), answer);
    }
    // A frame of STOMP begins in one message and ends in the next.
    let mut raw = Raw::open(&server, "/ws/stomp");
    raw.send(&masked(TEXT, b"CONNECT\naccept-version:1.2\nhost:h\n\n\0"));
    raw.frame();
    let send = b"SEND\ndestination:/queue/q\nreceipt:r\n\nhello\0";
    raw.send(&masked(TEXT, &send[..20]));
    let start = now();
    while start.elapsed() < millis(900) {
        raw.send(&masked(TEXT, &[&send[20..], &send[..20]].concat()));
        let frame = raw.frame();
        assert!(frame.payload.starts_with(b"RECEIPT"), "{frame:?}");
        pause(millis(20));
    }
    // Who does not finish one is late all the same.
    let mut raw = Raw::open(&server, "/echo");
    raw.send(&masked(BINARY, b"hello").repeat(3));
    raw.send(&masked(BINARY, b"hello")[..7]);
    (0..3).for_each(|_| assert_eq!(raw.frame().first, BINARY));
    raw.expect_close(1008);
}

/// Reads so many bytes, four megabytes a second; `meanwhile` is shown each part.
fn read_slowly(raw: &mut Raw, count: usize, mut meanwhile: impl FnMut(&mut Raw, &[u8])) {
    let mut left = count;
    let mut chunk = vec![0; 64 * 1024];
    while left > 0 {
        let part = left.min(chunk.len());
        let read = raw.stream_mut().read_exact(&mut chunk[..part]);
        assert!(read.is_ok(), "cut off, {left} of {count} bytes are missing: {read:?}");
        left -= part;
        meanwhile(raw, &chunk[..part]);
        pause(millis(15));
    }
}

/// Bytes that no socket's buffer takes.
const MANY: usize = 12 << 20;

#[test]
fn who_takes_what_waits_for_it_is_not_silent() {
    let server = TestServer::with(|config| {
        config.limits.reply_bytes = 64 * 1024;
        config.heartbeat.idle_timeout = millis(700);
        config.heartbeat.ping_interval = millis(100);
    });
    let message = masked(BINARY, &vec![b'x'; MANY]);
    let mut raw = Raw::open_with_small_buffer(&server, "/echo");
    raw.send(&message);
    let start = now();
    // No pong is sent: that it takes its answer is its only sign of life, for several times the deadline.
    read_slowly(&mut raw, MANY, |_, _| ());
    assert!(start.elapsed() > millis(700), "too fast to show anything");
    eventually("it is silent at last", || server.handle().rooms().limit_hits().hits(Limit::IdleTimeout) == 1);
}

#[test]
fn a_close_frame_reaches_who_takes_what_is_before_it() {
    let server = TestServer::with(|config| config.limits.close_timeout = millis(300));
    let mut raw = Raw::open_with_small_buffer(&server, "/echo");
    raw.send(&masked(BINARY, &vec![b'x'; MANY]));
    // The server answers this at once, behind all the rest.
    raw.send(&masked(0x88, b"\x03\xe8"));
    read_slowly(&mut raw, MANY + 10, |_, _| ());
    assert_eq!(raw.frame().close_code(), Some(1000));
}

/// Answers with many bytes, or with few.
struct Download;

impl Api for Download {
    fn call(&self, request: &Request<'_>, _: Responder) -> Answer {
        let bytes = if request.head.query() == "many" { vec![b'x'; MANY] } else { b"few".to_vec() };
        Answer::Now(Response::new(Status::OK).body("application/octet-stream", bytes))
    }
}

fn download(change: impl FnOnce(&mut Config)) -> TestServer {
    TestServer::with_routes(change, |router| router.api("/download/", Download))
}

/// Reads a head and its body of many bytes, slowly.
fn take_slowly(raw: &mut Raw) {
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        let mut byte = [0];
        raw.stream_mut().read_exact(&mut byte).expect("a head");
        head.push(byte[0]);
    }
    read_slowly(raw, MANY, |_, _| ());
}

#[test]
fn a_slow_download_is_timed_from_the_last_byte_taken() {
    let server = download(|config| {
        config.limits.close_timeout = millis(1500);
        config.limits.handshake_timeout = millis(1500);
        config.heartbeat.ping_interval = millis(200);
        config.heartbeat.idle_timeout = millis(1500);
    });
    let mut raw = Raw::connect_with_small_buffer(&server);
    raw.send(b"GET /download/?many HTTP/1.1\r\nHost: h\r\nConnection: close\r\n\r\n");
    take_slowly(&mut raw);
    raw.expect_end();
    let mut raw = Raw::connect_with_small_buffer(&server);
    raw.send(b"GET /download/?many HTTP/1.1\r\nHost: h\r\n\r\n");
    take_slowly(&mut raw);
    raw.send(b"GET /download/?few HTTP/1.1\r\nHost: h\r\n\r\n");
    assert_eq!(raw.reply().body, b"few");
    // Its next requests are there already, and are not read before it has taken the answers.
    let mut raw = Raw::connect_with_small_buffer(&server);
    raw.send(&b"GET /download/?many HTTP/1.1\r\nHost: h\r\n\r\n".repeat(2));
    raw.send(b"GET /download/?few HTTP/1.1\r\nHost: h\r\n\r\n");
    take_slowly(&mut raw);
    take_slowly(&mut raw);
    assert_eq!(raw.reply().body, b"few");
}

#[test]
fn a_download_that_nobody_takes_ends() {
    let server = download(|config| {
        config.limits.write_timeout = millis(300);
        config.limits.close_timeout = millis(300);
    });
    let mut kept = Vec::new();
    for fields in ["", "Connection: close\r\n"] {
        let mut raw = Raw::connect_with_small_buffer(&server);
        raw.send(format!("GET /download/?many HTTP/1.1\r\nHost: h\r\n{fields}\r\n").as_bytes());
        kept.push(raw);
    }
    eventually("both are given up", || server.handle().rooms().connections() == 0);
}

#[test]
fn a_download_that_nobody_takes_ends_also_after_a_reload() {
    let mut config = Config::default();
    let server = download(|started| {
        started.limits.write_timeout = millis(1_500);
        config = started.clone();
    });
    let mut raw = Raw::connect_with_small_buffer(&server);
    raw.send(b"GET /download/?many HTTP/1.1\r\nHost: h\r\n\r\n");
    // The answer has begun, so that it waits from now on.
    raw.stream_mut().read_exact(&mut [0; 8]).expect("an answer");
    // Once the deadline comes the kernel takes a little more, and from then on nothing.
    pause(millis(2_000));
    server.handle().reload(&config).expect("a good configuration");
    eventually("it is given up", || server.handle().rooms().connections() == 0);
}

#[test]
fn a_peer_that_takes_nothing_is_found_though_nothing_else_is_due() {
    let server = TestServer::stored(|config| {
        config.limits.write_timeout = millis(400);
        config.heartbeat.text_interval = Duration::ZERO;
    });
    let mut stream = Raw::connect_with_small_buffer(&server);
    stream.send(b"GET /sse/rooms/r HTTP/1.1\r\nHost: h\r\n\r\n");
    assert_eq!(stream.reply().status, 200);
    let mut chat = Chat::join(&server, "r", "alice");
    let _member = Raw::open_with_small_buffer(&server, "/ws/chat?roomId=r&username=sleeper");
    chat.expect("JOIN");
    let long = "x".repeat(60_000);
    let start = now();
    while server.handle().rooms().limit_hits().hits(Limit::WriteTimeout) < 2 {
        chat.say(&long);
        chat.next();
        assert!(start.elapsed() < PATIENCE, "they are never dropped");
    }
    stream.expect_gone();
}

#[test]
fn a_stomp_consumer_that_is_held_back_has_its_heart_beats_heard() {
    let server = TestServer::with(|config| {
        config.limits.reply_bytes = 64 * 1024;
        config.limits.message_bytes = 1 << 20;
    });
    let mut producer = Raw::open(&server, "/ws/stomp");
    producer.send(&masked(TEXT, b"CONNECT\naccept-version:1.2\nhost:h\n\n\0"));
    producer.frame();
    let body = "x".repeat(900_000);
    for _ in 0..14 {
        let send = format!("SEND\ndestination:/queue/q\nreceipt:r\n\n{body}\0");
        producer.send(&masked(TEXT, send.as_bytes()));
        assert!(producer.frame().payload.starts_with(b"RECEIPT"));
    }
    let mut raw = Raw::open_with_small_buffer(&server, "/ws/stomp");
    raw.send(&masked(TEXT, b"CONNECT\naccept-version:1.2\nhost:h\nheart-beat:300,0\n\n\0"));
    assert!(raw.frame().payload.starts_with(b"CONNECTED"));
    raw.send(&masked(TEXT, b"SUBSCRIBE\nid:1\ndestination:/queue/q\nack:auto\n\n\0"));
    // It says something all the time, which the server cannot read while its answers wait.
    read_slowly(&mut raw, 12_000_000, |raw, part| {
        assert!(!part.windows(13).any(|words| words == b"no heart-beat"), "it lives");
        raw.send_anyway(&masked(TEXT, b"\n"));
    });
}
