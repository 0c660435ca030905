//! Who is held back by the server, because it sends too fast or does not take what it asked for: that time is not held
//! against it, and its end is noticed all the same.

use std::io::{ErrorKind, Read, Write};
use std::time::Duration;

use foghorn::config::Config;
use foghorn::limit_hits::Limit;

use super::{millis, pause};
use crate::support::frame::{BINARY, TEXT, masked};
use crate::support::raw::upgrade;
use crate::support::{Raw, TestServer, eventually, now};

/// Longer than any test lasts.
const EVER: Duration = Duration::from_secs(3600);

/// A message a second for each session, and no more saved.
fn slow(config: &mut Config) {
    config.limits.messages_per_second = 1;
    config.limits.burst = Duration::from_secs(1);
    config.limits.close_timeout = EVER;
}

fn slowed(server: &TestServer) -> u64 {
    server.handle().rooms().limit_hits().hits(Limit::Messages)
}

#[test]
fn a_reset_is_noticed_though_the_session_is_slowed_down() {
    let server = TestServer::with(slow);
    for path in ["/ws/sink", "/ws/chat?roomId=r&username=alice"] {
        let mut raw = Raw::open(&server, path);
        let before = slowed(&server);
        // For more than a minute.
        raw.send(&masked(TEXT, b"{}").repeat(100));
        eventually("it is slowed down", || slowed(&server) > before);
        raw.reset();
        eventually("it is gone", || server.handle().rooms().connections() == 0);
    }
}

#[test]
fn the_close_frame_of_a_session_that_is_slowed_down_is_read_once_the_server_closes_it() {
    let server = TestServer::with(slow);
    let mut chat = Raw::open(&server, "/ws/chat?roomId=r&username=alice");
    assert!(chat.frame().payload.ends_with(b"}"), "the JOIN");
    let before = slowed(&server);
    chat.send(&masked(TEXT, b"{}").repeat(100));
    eventually("it is slowed down", || slowed(&server) > before);
    // Nobody reads it now.
    chat.send(&masked(0x88, b"\x03\xe8"));
    server.handle().rooms().kick("r", "alice", None, |_| ()).expect("room for a question");
    let code = loop {
        if let Some(code) = chat.frame().close_code() {
            break code;
        }
    };
    assert_eq!(code, 4001);
    chat.expect_end();
}

#[test]
fn a_message_that_the_server_does_not_read_on_is_not_late() {
    let server = TestServer::with(|config| {
        config.limits.message_timeout = millis(300);
        config.limits.reply_bytes = 64 * 1024;
    });
    let mut raw = Raw::open_with_small_buffer(&server, "/echo");
    let (count, payload) = (1_200, vec![b'x'; 10_000]);
    let mut writing = raw.stream().try_clone().expect("a socket");
    let all = masked(BINARY, &payload).repeat(count);
    let writer = std::thread::spawn(move || writing.write_all(&all));
    // Nothing is taken, so nothing is read, in the middle of some message.
    pause(millis(1_200));
    for number in 0..count {
        let frame = raw.frame();
        assert_eq!((frame.first, frame.payload.len()), (BINARY, payload.len()), "{number}: {frame:?}");
    }
    writer.join().expect("no panic").expect("all is read");
}

const CONNECT: &[u8] = b"CONNECT\naccept-version:1.2\nhost:h\nheart-beat:1000,0\n\n\0";

fn stomp(server: &TestServer) -> Raw {
    let mut raw = Raw::open(server, "/ws/stomp");
    raw.send(&masked(TEXT, CONNECT));
    let frame = raw.frame();
    assert!(frame.payload.starts_with(b"CONNECTED"), "{frame:?}");
    raw
}

#[test]
fn heart_beats_that_the_server_does_not_read_are_not_missed() {
    let server = TestServer::with(|config| {
        slow(config);
        config.stomp.heartbeat = Duration::from_secs(1);
    });
    let mut raw = stomp(&server);
    raw.send(&masked(TEXT, b"SEND\ndestination:/queue/q\n\nhello\0").repeat(20));
    eventually("it is slowed down", || slowed(&server) > 0);
    let start = now();
    // Twice as long as it has promised, and half as long besides, and a little more.
    while start.elapsed() < millis(3_500) {
        raw.send(&masked(TEXT, b"\n"));
        pause(millis(20));
    }
    raw.stream().set_nonblocking(true).expect("a socket");
    let mut told = [0; 200];
    let read = raw.stream_mut().read(&mut told);
    assert!(read.is_err_and(|error| error.kind() == ErrorKind::WouldBlock), "{}", told.escape_ascii());
}

#[test]
fn a_frame_of_stomp_whose_rest_the_server_does_not_read_is_not_late() {
    let server = TestServer::with(|config| {
        slow(config);
        config.limits.message_timeout = millis(300);
    });
    let mut raw = stomp(&server);
    let head = masked(TEXT, b"SEND\ndestination:/queue/q\nreceipt:r\n\n");
    // More than is read at once: the rest waits until the first messages are paid for.
    let body = masked(TEXT, &[b'x'; 1_500]);
    raw.send(&[&head[..], &body.repeat(3), &masked(TEXT, b"end\0")].concat());
    let frame = raw.frame();
    assert!(frame.payload.starts_with(b"RECEIPT"), "{}", frame.payload.escape_ascii());
}

#[test]
fn messages_behind_the_head_of_an_upgrade_are_slowed_down_like_others() {
    let server = TestServer::with(slow);
    let before = slowed(&server);
    let mut raw = Raw::connect(&server);
    raw.send(&[upgrade("/echo"), masked(TEXT, &[b'x'; 1000]).repeat(100)].concat());
    assert_eq!(raw.reply().status, 101);
    raw.frame();
    eventually("it is slowed down", || slowed(&server) > before);
    // What was read at once has been answered.
    let mut read = vec![0; 1 << 20];
    raw.stream().set_nonblocking(true).expect("a socket");
    let count = raw.stream_mut().read(&mut read).unwrap_or(0);
    assert!(count < 50 * 1000, "{count} bytes of 100 messages in one turn");
}
