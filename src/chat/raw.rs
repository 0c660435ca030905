//! `/ws/raw?roomId=R`: a room that relays text and binary as they came; the sender gets its own messages, too, nothing is
//! stored and no member is announced.
//!
//! Clients that speak the subprotocol `foghorn.raw` get each message behind a header with its position, can come back
//! to a position, and are told of gaps. Rooms whose name begins with `rooms.conflated` keep the latest value of each
//! key.
//!
//! All numbers are big-endian.
//!
//! | bytes | to clients | from clients |
//! |---|---|---|
//! | 1 | kind: 1 message, 2 gap, 3 welcome, 4 error | kind: 1 message |
//! | 1 | flags: 1 the payload is text | the same |
//! | 2 | length of the key; 0 is none | the same |
//! | 8 | epoch | |
//! | 8 | seq; of a gap its last message, of a welcome the newest one | |
//! | | key | key |
//! | | payload; of a gap its first message (8 bytes) | payload |

use std::sync::Arc;

use crate::auth::AuthMessage;
use crate::http::Head;
use crate::request::{QueryError, names, position};
use crate::server::{Context, Encoding, Entry, Handler, JoinRequest, Notice, Start};
use crate::ws::{CloseCode, Message, OpCode, encode};

/// The subprotocol's name.
pub(super) const SUBPROTOCOL: &str = "foghorn.raw";

const MESSAGE: u8 = 1;
const GAP: u8 = 2;
const WELCOME: u8 = 3;
const ERROR: u8 = 4;
const TEXT: u8 = 1;
/// Bytes of a key at most.
// A key names a thing, such as a player. It is kept with each value and stands in each header.
const KEY_BYTES_MAX: usize = 256;

/// The relay's sessions.
pub(super) struct Relay {
    /// What the names of conflated rooms begin with.
    pub(super) conflated: Option<String>,
}

/// What a session speaks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Speech {
    /// Payloads alone.
    Plain,
    /// Payloads behind headers.
    Framed {
        /// Its room keeps the latest value of each key.
        has_keys: bool,
    },
}

impl Handler for Relay {
    type State = Speech;

    fn open(&self, cx: &mut Context<'_>, head: &Head<'_>) -> Speech {
        let is_framed = cx.subprotocol() == Some(SUBPROTOCOL);
        if let Err((code, reason)) = self.enter(cx, head.query(), is_framed) {
            cx.close(code, &reason);
        }
        let has_keys = names::room(head.query()).is_ok_and(|room| self.is_conflated(&room));
        if is_framed { Speech::Framed { has_keys } } else { Speech::Plain }
    }

    /// Behind a header, too.
    fn withholds(&self, message: &Message<'_>) -> bool {
        match message {
            Message::Text(text) => AuthMessage::is_meant_by(text.as_bytes()),
            Message::Binary(bytes) => {
                let payload = Publish::parse(bytes).map(|publish| publish.payload);
                AuthMessage::is_meant_by(bytes)
                    || payload.is_ok_and(|payload| match payload {
                        Message::Text(text) => AuthMessage::is_meant_by(text.as_bytes()),
                        Message::Binary(bytes) => AuthMessage::is_meant_by(bytes),
                    })
            }
        }
    }

    fn message(&self, cx: &mut Context<'_>, speech: &mut Speech, message: Message<'_>) {
        let Some(&room) = cx.memberships().first() else { return };
        let published = match (*speech, message) {
            (_, Message::Text(text)) => cx.publish_text(room, text, None),
            (Speech::Plain, Message::Binary(payload)) => cx.publish_binary(room, payload),
            (Speech::Framed { has_keys }, Message::Binary(bytes)) => match Publish::parse(bytes) {
                Err(reason) => return cx.close(CloseCode::POLICY, reason),
                Ok(Publish { key: [], payload: Message::Text(text) }) => cx.publish_text(room, text, None),
                Ok(Publish { key: [], payload: Message::Binary(payload) }) => {
                    cx.publish_binary(room, payload)
                }
                Ok(Publish { .. }) if !has_keys => {
                    return cx.close(CloseCode::POLICY, "this room has no keys");
                }
                Ok(Publish { key, payload }) => cx.publish_latest(room, key, payload),
            },
        };
        if let Err(error) = published {
            cx.close(error.close_code(), &error.to_string());
        }
    }
}

impl Relay {
    fn is_conflated(&self, room: &str) -> bool {
        self.conflated.as_ref().is_some_and(|prefix| room.starts_with(prefix.as_str()))
    }

    fn enter(&self, cx: &mut Context<'_>, text: &str, is_framed: bool) -> Result<(), (CloseCode, String)> {
        let policy = |error: QueryError| (CloseCode::POLICY, error.to_string());
        let room = names::room(text).map_err(policy)?;
        let start = position::start(text).map_err(policy)?;
        let request =
            if self.is_conflated(&room) { JoinRequest::latest(&room) } else { JoinRequest::relay(&room) };
        let request = match (is_framed, start) {
            (true, start) => request.start(start).welcome(true).encoding(Arc::new(Framed)),
            (false, Start::Live | Start::Last(_)) => request.start(start),
            (false, Start::After { .. } | Start::Since(_)) => {
                let reason = format!("recovery needs the subprotocol {SUBPROTOCOL}");
                return Err((CloseCode::POLICY, reason));
            }
        };
        cx.join(request).map(drop).map_err(|error| (error.close_code(), error.to_string()))
    }
}

/// A message as a client of the subprotocol sends it.
#[derive(Debug, PartialEq, Eq)]
struct Publish<'a> {
    key: &'a [u8],
    payload: Message<'a>,
}

impl<'a> Publish<'a> {
    /// # Errors
    /// What is wrong with it.
    fn parse(bytes: &'a [u8]) -> Result<Publish<'a>, &'static str> {
        let (&[kind, flags, high, low], rest) = bytes.split_first_chunk().ok_or("the header is cut off")?;
        if kind != MESSAGE {
            return Err("unknown kind of message");
        }
        if flags & !TEXT != 0 {
            return Err("unknown flags");
        }
        let len = usize::from(u16::from_be_bytes([high, low]));
        if len > KEY_BYTES_MAX {
            return Err("the key is too long");
        }
        let (key, payload) = rest.split_at_checked(len).ok_or("the key is cut off")?;
        let payload = if flags & TEXT == 0 {
            Message::Binary(payload)
        } else {
            Message::Text(simdutf8::basic::from_utf8(payload).map_err(|_| "the text is not UTF-8")?)
        };
        Ok(Publish { key, payload })
    }
}

/// The form of the messages to clients.
#[derive(Debug)]
struct Framed;

/// The family of this encoding: there is one.
const FAMILY: u32 = u32::from_be_bytes(*b"raw ");

impl Encoding for Framed {
    fn family(&self) -> u32 {
        FAMILY
    }

    fn encode(&self, entry: &Entry<'_>, out: &mut Vec<u8>) {
        let flags = if entry.is_binary() { 0 } else { TEXT };
        let position = (entry.epoch(), entry.seq());
        push(out, MESSAGE, flags, position, entry.key().unwrap_or_default(), entry.payload());
    }

    fn notice(&self, notice: &Notice<'_>, out: &mut Vec<u8>) {
        match *notice {
            Notice::Welcome { epoch, seq, .. } => push(out, WELCOME, 0, (epoch, seq), &[], &[]),
            Notice::Gap { epoch, from, to, .. } => push(out, GAP, 0, (epoch, to), &[], &from.to_be_bytes()),
            // A relay knows no ids.
            Notice::Ack { .. } => {}
            Notice::Error { content, .. } => push(out, ERROR, TEXT, (0, 0), &[], content.as_bytes()),
        }
    }
}

/// Appends one binary message.
fn push(out: &mut Vec<u8>, kind: u8, flags: u8, position: (u64, u64), key: &[u8], payload: &[u8]) {
    const HEADER_BYTES: usize = 20;
    let (header, len) = encode::header(OpCode::Binary, HEADER_BYTES + key.len() + payload.len());
    // Keys are cut to what the length can say long before they come here.
    let key_len = u16::try_from(key.len()).unwrap_or(0);
    out.extend_from_slice(&header[..len]);
    out.extend_from_slice(&[kind, flags]);
    out.extend_from_slice(&key_len.to_be_bytes());
    out.extend_from_slice(&position.0.to_be_bytes());
    out.extend_from_slice(&position.1.to_be_bytes());
    out.extend_from_slice(key);
    out.extend_from_slice(payload);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_message_from_a_client_has_a_header_of_four_bytes() {
        let binary = |key, payload| Ok(Publish { key, payload: Message::Binary(payload) });
        let long = [&[1, 0, 1, 1][..], &[b'k'; 257]].concat();
        let cases: [(&[u8], Result<Publish<'_>, &str>); 10] = [
            (b"\x01\x00\x00\x00", binary(b"", b"")),
            (b"\x01\x00\x00\x00\xff", binary(b"", b"\xff")),
            (b"\x01\x00\x00\x02abc", binary(b"ab", b"c")),
            (b"\x01\x01\x00\x01ah\xc3\xa9", Ok(Publish { key: b"a", payload: Message::Text("hé") })),
            (b"\x01\x01\x00\x00\xff", Err("the text is not UTF-8")),
            (b"\x01\x00\x00", Err("the header is cut off")),
            (b"\x01\x00\x00\x02a", Err("the key is cut off")),
            (b"\x02\x00\x00\x00", Err("unknown kind of message")),
            (b"\x01\x02\x00\x00", Err("unknown flags")),
            (&long, Err("the key is too long")),
        ];
        for (bytes, expected) in cases {
            assert_eq!(Publish::parse(bytes), expected, "{}", bytes.escape_ascii());
        }
    }
}
