//! What a client received, without what differs by chance or by the clock.

use serde_json::Value;

use super::script::Script;
use crate::handshake::{self, DeflateOffer};
use crate::http::Fields;
use crate::ws::deflate::WindowBits;
use crate::ws::{Decoder, Event, Input, Message, Role};

const SWITCHING: &str = "HTTP/1.1 101 ";
/// Longer than whatever a script can have sent back to it in one message.
const MESSAGE_BYTES_MAX: usize = 1 << 20;
/// What ends a stream of frames here, to see that none of them is cut off.
const LAST: &[u8] = b"the last";
/// Names of values that are another each time.
const RANDOM: &[&str] = &["\"id\":\"", "\"sessionId\":\"", "\"epoch\":\""];

/// How a word of the room begins that only the one who said something is told.
const TOLD: [&str; 2] = ["{\"type\":\"ERROR\"", "{\"type\":\"ACK\""];
/// What the beginning of a chat room's messages looks like.
const OF_ROOM: &[&str] = &["{\"id\":", "{\"type\":\"WELCOME\"", "{\"type\":\"GAP\""];

/// Responses and messages in order.
#[derive(Debug, Default)]
pub(super) struct Transcript {
    responses: String,
    /// What answers the client.
    answers: Vec<Said>,
    /// What the room sends to all, whenever its turn comes: behind the answers, or between them.
    of_room: Vec<Said>,
}

#[derive(Debug, PartialEq)]
enum Said {
    Text(String),
    Binary(Vec<u8>),
    Pong(Vec<u8>),
    Close(Option<u16>, String),
}

impl Transcript {
    /// Reads the whole of what came. What a client did not get to the end may be cut off anywhere.
    pub(super) fn read(received: &[u8], script: &Script) -> Transcript {
        let Some(at) = switching_at(received, script) else {
            return Transcript { responses: undated(received), ..Transcript::default() };
        };
        let end = received[at..].windows(4).position(|bytes| bytes == b"\r\n\r\n");
        let end = at + end.map_or(received.len() - at, |end| end + 4);
        let head = std::str::from_utf8(&received[at..end]).expect("a head is text");
        let (_, lines) = head.split_once("\r\n").unwrap_or_default();
        let deflate =
            handshake::deflate_offers(Fields::new(lines.strip_suffix("\r\n").unwrap_or(lines))).next();
        let mut messages = messages(&received[end..], deflate, script.reads_all());
        let (relays, chats) = (script.sends(b"/ws/raw"), script.sends(b"/ws/chat"));
        // A member that leaves with the same bytes is not told any more, and others are told before or after what they published.
        messages.retain(|said| {
            !matches!(said, Said::Text(text) if chats && TOLD.iter().any(|begin| text.starts_with(begin)))
        });
        let is_of_room = |said: &Said| match said {
            Said::Text(text) => relays || chats && OF_ROOM.iter().any(|begin| text.starts_with(begin)),
            Said::Binary(_) => relays,
            Said::Pong(_) | Said::Close(..) => false,
        };
        let (of_room, answers): (Vec<_>, _) = messages.into_iter().partition(is_of_room);
        if chats && !relays {
            is_without_holes(&of_room);
        }
        Transcript { responses: undated(&received[..end]), answers, of_room }
    }

    /// A member that leaves its room with the same bytes that it published in is not sent its own messages any more; other than
    /// that, both are the same.
    pub(super) fn agrees_with(&self, other: &Transcript, script: &Script) {
        assert_eq!((&self.responses, &self.answers), (&other.responses, &other.answers), "{script:?}");
        let common = self.of_room.len().min(other.of_room.len());
        assert_eq!(self.of_room[..common], other.of_room[..common], "{script:?}");
        let stayed = matches!(self.answers.last(), Some(Said::Close(_, reason)) if reason == "idle timeout");
        assert!(!stayed || self.of_room.len() == other.of_room.len(), "{script:?}");
    }
}

/// Where the head begins that answers an upgrade. What looks like one in the body of an echo is none.
fn switching_at(received: &[u8], script: &Script) -> Option<usize> {
    let is_at = |at: &usize| received[*at..].starts_with(SWITCHING.as_bytes());
    // An answer to HEAD has the length of a body that does not come. Nor does it echo anything.
    if script.sends(b"HEAD") {
        return (0..received.len()).find(is_at);
    }
    let mut at = 0;
    while at < received.len() && !is_at(&at) {
        let head = received[at..].windows(4).position(|bytes| bytes == b"\r\n\r\n")? + 4;
        let text = String::from_utf8_lossy(&received[at..at + head]);
        let len = text.lines().find_map(|line| line.strip_prefix("Content-Length: "));
        at += head + len.and_then(|len| len.parse::<usize>().ok()).unwrap_or(0);
    }
    (at < received.len()).then_some(at)
}

/// Each message of a chat room has the next number, or a GAP says which there are not.
fn is_without_holes(of_room: &[Said]) {
    let mut next = None;
    for said in of_room {
        let Said::Text(text) = said else { continue };
        let message: Value = serde_json::from_str(text).expect("JSON");
        let (first, last) = match message["type"].as_str() {
            Some("WELCOME") => continue,
            Some("GAP") => (message["from"].as_u64(), message["to"].as_u64()),
            _ => (message["seq"].as_u64(), message["seq"].as_u64()),
        };
        assert!(first.is_some() && next.is_none_or(|next| first == Some(next)), "{next:?} {text}");
        next = last.map(|last| last + 1);
    }
}

fn messages(frames: &[u8], deflate: Option<DeflateOffer>, is_whole: bool) -> Vec<Said> {
    let mut decoder = Decoder::new(Role::Client, MESSAGE_BYTES_MAX);
    if let Some(answer) = deflate {
        let window = answer.server_window.unwrap_or(WindowBits::MAX);
        decoder = decoder.with_deflate((!answer.server_no_context_takeover).then_some(window));
    }
    let mut frames = frames.to_vec();
    if is_whole {
        crate::ws::encode::ping(&mut frames, LAST);
    }
    let mut input = Input::new(&mut frames);
    let (mut messages, mut ended) = (Vec::new(), !is_whole);
    while let Some(event) = decoder.poll(&mut input).expect("the server keeps to the protocol") {
        match event {
            Event::Message(Message::Text("HEARTBEAT")) => {}
            Event::Message(Message::Text(text)) => messages.push(Said::Text(undated(plain(text).as_bytes()))),
            Event::Message(Message::Binary(payload)) => messages.push(Said::Binary(payload.to_vec())),
            Event::Ping(payload) => ended |= payload == LAST,
            Event::Pong(payload) => messages.push(Said::Pong(payload.to_vec())),
            Event::Close(close) => {
                messages.push(Said::Close(close.code.map(|code| code.get()), close.reason.to_owned()));
            }
        }
    }
    assert!(ended, "the last frame is cut off");
    messages
}

/// Without random values.
fn plain(text: &str) -> String {
    let mut plain = text.to_owned();
    for name in RANDOM {
        let mut pieces = plain.split(name);
        let mut without = pieces.next().unwrap_or_default().to_owned();
        for piece in pieces {
            without.push_str(name);
            without.push_str(piece.find('"').map_or(piece, |end| &piece[end..]));
        }
        plain = without;
    }
    plain
}

/// Without times: neither those of [`crate::rooms::Timestamp`] nor those of `Date`.
fn undated(bytes: &[u8]) -> String {
    let text = String::from_utf8_lossy(bytes);
    let mut undated = String::new();
    let mut rest = &text[..];
    while let Some(character) = rest.chars().next() {
        let len = match character {
            '0'..='9' => timestamp_len(rest.as_bytes()),
            'd' | 'D' => date_len(rest),
            _ => 0,
        };
        if len == 0 {
            undated.push(character);
        }
        rest = &rest[len.max(character.len_utf8())..];
    }
    undated
}

fn timestamp_len(bytes: &[u8]) -> usize {
    const SHAPE: &[u8] = b"0000-00-00T00:00:00.000000Z";
    let fits = |(byte, shape): (&u8, &u8)| if *shape == b'0' { byte.is_ascii_digit() } else { byte == shape };
    if bytes.len() >= SHAPE.len() && bytes.iter().zip(SHAPE).all(fits) { SHAPE.len() } else { 0 }
}

fn date_len(text: &str) -> usize {
    let is_date = text.get(..6).is_some_and(|name| name.eq_ignore_ascii_case("date: "));
    if is_date { text.find("\r\n").unwrap_or(0) } else { 0 }
}
