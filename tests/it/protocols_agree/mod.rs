//! One log, many tongues: JSON members, STOMP subscribers, readers of server-sent events and long polls of one room hold
//! the same sequence, also those that are cut off again and again and come back to their position.
//!
//! `FOGHORN_TONGUES_MESSAGES=100000 cargo test --release --test tongues` for more of it.

mod doors;
mod readers;
use std::thread;

use crate::support::{Chat, TestServer};
use readers::{Position, Reader, Tongue};

/// What the last message says.
const END: &str = "the end";
const PUBLISHERS: usize = 4;
/// A publisher waits for its own messages once so many are under way: a queue that nobody reads is another test's affair.
const UNDER_WAY: usize = 200;

fn message_count() -> usize {
    std::env::var("FOGHORN_TONGUES_MESSAGES").ok().map_or(4_000, |count| count.parse().expect("a number"))
}

#[test]
fn every_reader_of_a_room_holds_the_same_sequence_whatever_it_speaks() {
    let server = TestServer::stored(|_| ());
    let mut first = Chat::join(&server, "r", "first");
    let start = Position { epoch: None, seq: 0 };
    let count = message_count();
    let logs: Vec<(String, Vec<String>)> = thread::scope(|scope| {
        let read = |tongue: Tongue, cut_after: Option<usize>| {
            let server = &server;
            scope.spawn(move || {
                let name = format!("{tongue:?}, cut off after {cut_after:?}");
                (name, follow(server, tongue, start, cut_after))
            })
        };
        let steady = Tongue::ALL.map(|tongue| read(tongue, None));
        let returning = Tongue::ALL.map(|tongue| read(tongue, Some(count / 7 + 1)));
        let publishing: Vec<_> = (0..PUBLISHERS)
            .map(|number| {
                let server = &server;
                scope.spawn(move || publish(server, number, count / PUBLISHERS))
            })
            .collect();
        publishing.into_iter().for_each(|thread| thread.join().expect("a publisher"));
        first.say(END);
        steady.into_iter().chain(returning).map(|thread| thread.join().expect("a reader")).collect()
    });
    let (name, log) = &logs[0];
    assert!(log.len() > count && log.last().is_some_and(|last| last == END), "{name}: {}", log.len());
    for (other, same) in &logs[1..] {
        let differs = log.iter().zip(same).position(|(one, other)| one != other);
        assert_eq!((differs, log.len()), (None, same.len()), "{name} and {other}");
    }
}

fn publish(server: &TestServer, number: usize, count: usize) {
    let mut chat = Chat::enter(server, "r", &format!("p{number}"), "");
    let mut heard = 0;
    for message in 0..count {
        chat.say(&format!("{number}/{message}"));
        while message - heard >= UNDER_WAY {
            heard += usize::from(chat.next()["sender"] == format!("p{number}"));
        }
    }
    while heard < count {
        heard += usize::from(chat.next()["sender"] == format!("p{number}"));
    }
}

/// Reads up to the end; the contents of all messages, whose numbers must follow each other.
fn follow(server: &TestServer, tongue: Tongue, start: Position, cut_after: Option<usize>) -> Vec<String> {
    let (mut position, mut log) = (start, Vec::new());
    loop {
        let mut reader = Reader::open(server, tongue, "r", position);
        for _ in 0..cut_after.unwrap_or(usize::MAX) {
            let (at, content) = reader.next();
            assert_eq!(at.seq, position.seq + 1, "{tongue:?} after {} messages", log.len());
            position = at;
            let is_last = content == END;
            log.push(content);
            if is_last {
                return log;
            }
        }
    }
}
