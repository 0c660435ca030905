//! Chat messages as JSON text frames, encoded once for all receivers.

use std::borrow::Cow;

use serde::Deserialize;

use super::json::{push_number, push_string};
use crate::rooms::api::store::Stored;
use crate::rooms::log::frames::Log;
use crate::rooms::timestamp::Timestamp;
use crate::ws::OpCode;
use crate::ws::encode;

/// The sender of notices.
pub(in crate::rooms) const SYSTEM_SENDER: &str = "SYSTEM";

/// What a numbered message is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "UPPERCASE")]
#[non_exhaustive]
pub enum Kind {
    /// A member's message.
    Message,
    /// A member came.
    Join,
    /// A member left.
    Leave,
    /// The server speaks.
    System,
}

impl Kind {
    /// The value of `type` on the wire.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Kind::Message => "MESSAGE",
            Kind::Join => "JOIN",
            Kind::Leave => "LEAVE",
            Kind::System => "SYSTEM",
        }
    }
}

/// The texts of JOIN and LEAVE; `{username}` stands for the user's name.
#[derive(Clone, Debug)]
pub struct Notices {
    /// Content of JOIN.
    pub join: String,
    /// Content of LEAVE.
    pub leave: String,
    /// A room with more members than this announces nobody who comes, and so nobody of these who leaves.
    pub members_max: usize,
}

impl Default for Notices {
    fn default() -> Self {
        let (join, leave) = ("{username} joined".into(), "{username} left".into());
        Notices { join, leave, members_max: usize::MAX }
    }
}

impl Notices {
    pub(in crate::rooms) fn text(&self, kind: Kind, user: &str) -> String {
        let template = if kind == Kind::Join { &self.join } else { &self.leave };
        template.replace("{username}", user)
    }
}

/// One numbered chat message, about to be encoded.
#[derive(Clone, Copy, Debug)]
pub(in crate::rooms) struct Envelope<'a> {
    pub(in crate::rooms) epoch: u64,
    pub(in crate::rooms) seq: u64,
    pub(in crate::rooms) at: Timestamp,
    pub(in crate::rooms) kind: Kind,
    pub(in crate::rooms) room: &'a str,
    pub(in crate::rooms) sender: &'a str,
    pub(in crate::rooms) content: &'a str,
    pub(in crate::rooms) client_id: Option<&'a str>,
    /// The user that came or left, and the number of users after that.
    pub(in crate::rooms) presence: Option<(&'a str, u64)>,
}

impl Envelope<'_> {
    /// Appends the message as one text frame.
    pub(in crate::rooms) fn encode(&self, out: &mut Vec<u8>) {
        text_frame(out, |out| self.encode_json(out));
    }

    /// Appends the message as a JSON object.
    pub(in crate::rooms) fn encode_json(&self, out: &mut Vec<u8>) {
        out.extend_from_slice(b"{\"id\":\"");
        push_id(out, self.at, self.epoch, self.seq);
        out.extend_from_slice(b"\",\"roomId\":");
        push_string(out, self.room);
        out.extend_from_slice(b",\"sender\":");
        push_string(out, self.sender);
        out.extend_from_slice(b",\"content\":");
        push_string(out, self.content);
        out.extend_from_slice(b",\"type\":\"");
        out.extend_from_slice(self.kind.name().as_bytes());
        out.extend_from_slice(b"\",\"timestamp\":\"");
        self.at.encode(out);
        out.extend_from_slice(b"\",\"seq\":");
        push_number(out, self.seq);
        if let Some(client_id) = self.client_id {
            out.extend_from_slice(b",\"clientId\":");
            push_string(out, client_id);
        }
        if let Some((username, online)) = self.presence {
            out.extend_from_slice(b",\"username\":");
            push_string(out, username);
            out.extend_from_slice(b",\"online\":");
            push_number(out, online);
        }
        out.push(b'}');
    }

    /// A message that came back from the store.
    fn of<'a>(room: &'a str, epoch: u64, stored: &'a Stored) -> Envelope<'a> {
        let Stored { seq, at, kind, sender, content, client_id, presence } = stored;
        let (seq, at, kind) = (*seq, *at, *kind);
        let client_id = client_id.as_deref();
        let presence = presence.as_ref().map(|presence| (&*presence.username, presence.online));
        Envelope { epoch, seq, at, kind, room, sender, content, client_id, presence }
    }
}

/// Appends a message from the store as the JSON object that the members of its room were sent: `epoch` is the one that it
/// was read under.
pub fn push_stored(out: &mut Vec<u8>, room: &str, epoch: u64, stored: &Stored) {
    Envelope::of(room, epoch, stored).encode_json(out);
}

/// A word of the room to one member, not numbered.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Notice<'a> {
    /// The first, if the member asked for it: the position from which it can recover.
    Welcome {
        /// The room's name.
        room: &'a str,
        /// The session's public id.
        session_id: u128,
        /// The user's name.
        user: &'a str,
        /// The log's epoch.
        epoch: u64,
        /// The newest message.
        seq: u64,
        /// How many users are there.
        online: usize,
        /// The message after which the member begins, where that is known already and nothing before it is missing.
        from: Option<u64>,
        /// As in [`Notice::Error`].
        at: Timestamp,
    },
    /// The messages `from..=to` will not come.
    Gap {
        /// The room's name.
        room: &'a str,
        /// The log's epoch.
        epoch: u64,
        /// The first of them.
        from: u64,
        /// The last of them.
        to: u64,
        /// As in [`Notice::Error`].
        at: Timestamp,
    },
    /// Something that the member said was not done.
    Error {
        /// A word that programs understand.
        code: &'a str,
        /// The same for people.
        content: &'a str,
        /// When the newest message that the member was sent was published, or the one that it began after: whoever comes
        /// back from there misses nothing.
        at: Timestamp,
        /// The client's own id of the message that it is about, if it had one.
        client_id: Option<&'a str>,
    },
    /// The member has published a message that was stored before.
    Ack {
        /// The client's own id of it.
        client_id: &'a str,
        /// The log's epoch.
        epoch: u64,
        /// The message's number.
        seq: u64,
        /// When it was numbered.
        stored_at: Timestamp,
        /// As in an error.
        at: Timestamp,
    },
}

impl Notice<'_> {
    /// The first and the last message of a log that stands at `head`, for a reader who knows another log; `(0, 0)` if there
    /// is none.
    pub(in crate::rooms) fn whole_log(head: u64) -> (u64, u64) {
        (head.min(1), head)
    }

    /// Appends the notice as one text frame.
    pub fn encode(&self, out: &mut Vec<u8>) {
        text_frame(out, |out| self.encode_json(out));
    }

    /// Appends the notice as a JSON object.
    pub fn encode_json(&self, out: &mut Vec<u8>) {
        let at = match *self {
            Notice::Welcome { room, session_id, user, epoch, seq, online, at, from: _ } => {
                out.extend_from_slice(b"{\"type\":\"WELCOME\",\"roomId\":");
                push_string(out, room);
                out.extend_from_slice(
                    format!(",\"sessionId\":\"{session_id:032x}\",\"username\":").as_bytes(),
                );
                push_string(out, user);
                push_epoch(out, epoch);
                out.extend_from_slice(format!(",\"seq\":{seq},\"online\":{online}").as_bytes());
                at
            }
            Notice::Gap { room, epoch, from, to, at } => {
                out.extend_from_slice(b"{\"type\":\"GAP\",\"roomId\":");
                push_string(out, room);
                out.extend_from_slice(format!(",\"from\":{from},\"to\":{to}").as_bytes());
                push_epoch(out, epoch);
                at
            }
            Notice::Error { code, content, at, client_id } => {
                out.extend_from_slice(b"{\"type\":\"ERROR\",\"code\":");
                push_string(out, code);
                out.extend_from_slice(b",\"content\":");
                push_string(out, content);
                if let Some(client_id) = client_id {
                    out.extend_from_slice(b",\"clientId\":");
                    push_string(out, client_id);
                }
                at
            }
            Notice::Ack { client_id, epoch, seq, stored_at, at } => {
                out.extend_from_slice(b"{\"type\":\"ACK\",\"clientId\":");
                push_string(out, client_id);
                out.extend_from_slice(b",\"id\":\"");
                push_id(out, stored_at, epoch, seq);
                out.extend_from_slice(b"\",\"seq\":");
                push_number(out, seq);
                out.extend_from_slice(b",\"storedAt\":\"");
                stored_at.encode(out);
                out.push(b'"');
                at
            }
        };
        out.extend_from_slice(b",\"timestamp\":\"");
        at.encode(out);
        out.push(b'"');
        out.push(b'}');
    }
}

/// A chat message, read back from its JSON.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[non_exhaustive]
pub struct Chat<'a> {
    /// Its number in the room.
    pub seq: u64,
    /// When it was published, as it stands in its JSON: RFC 3339, UTC, microseconds.
    pub timestamp: &'a str,
    /// Its public id, a UUID.
    pub id: &'a str,
    /// Who sent it.
    #[serde(borrow)]
    pub sender: Cow<'a, str>,
    /// What it says.
    #[serde(borrow)]
    pub content: Cow<'a, str>,
    /// What it is.
    #[serde(rename = "type")]
    pub kind: Kind,
    /// The publisher's own id of it.
    #[serde(borrow, default, rename = "clientId")]
    pub client_id: Option<Cow<'a, str>>,
    /// Of a JOIN or LEAVE, the user that came or left. Messages of older versions have none.
    #[serde(borrow, default)]
    pub username: Option<Cow<'a, str>>,
    /// Of a JOIN or LEAVE, the number of users after that.
    #[serde(default)]
    pub online: Option<u64>,
}

impl<'a> Chat<'a> {
    pub(in crate::rooms) fn parse(json: &'a [u8]) -> Option<Chat<'a>> {
        serde_json::from_slice(json).ok()
    }
}

/// Appends a message from the store to a log that it follows.
pub(in crate::rooms) fn encode_stored(log: &mut Log, room: &str, epoch: u64, stored: &Stored) {
    let envelope = Envelope::of(room, epoch, stored);
    log.append(stored.at, |out| envelope.encode(out));
}

/// The payload of a whole unmasked frame.
pub(in crate::rooms) fn payload_of(frame: &[u8]) -> &[u8] {
    let header = match frame.get(1) {
        Some(127) => 10,
        Some(126) => 4,
        Some(_) | None => 2,
    };
    frame.get(header..).unwrap_or_default()
}

fn push_epoch(out: &mut Vec<u8>, epoch: u64) {
    out.extend_from_slice(format!(",\"epoch\":\"{epoch:016x}\"").as_bytes());
}

/// Appends one text frame around what `payload` writes.
///
/// The header stands before a payload whose length is not known yet. Room for the usual header is left open; the
/// payload moves only if the header turns out to be of another size.
fn text_frame(out: &mut Vec<u8>, payload: impl FnOnce(&mut Vec<u8>)) {
    const USUAL_HEADER_BYTES: usize = 4;
    let start = out.len();
    out.extend_from_slice(&[0; USUAL_HEADER_BYTES]);
    payload(out);
    let (header, len) = encode::header(OpCode::Text, out.len() - start - USUAL_HEADER_BYTES);
    if len == USUAL_HEADER_BYTES {
        out[start..start + len].copy_from_slice(&header[..len]);
    } else {
        out.splice(start..start + USUAL_HEADER_BYTES, header[..len].iter().copied());
    }
}

/// What of an epoch is in the ids of a log's messages. A new epoch of the same log differs in the other bits.
pub(crate) const ID_EPOCH_BITS: u64 = 0xffff_ffff;
const ID_ODD: u64 = 0x9e37_79b9_7f4a_7c15;
const ID_BITS: u64 = u64::MAX >> 2;

/// What of the epoch is in the id of message `seq`, if it is such an id.
pub(crate) fn id_epoch(id: &str, seq: u64) -> Option<u64> {
    let digits: String = id.chars().filter(|digit| *digit != '-').collect();
    let value = u128::from_str_radix(&digits, 16).ok().filter(|_| digits.len() == 32 && id.len() == 36)?;
    let low = u64::try_from(value & u128::from(ID_BITS)).ok()?;
    Some((low ^ seq.wrapping_mul(ID_ODD)) & ID_BITS).filter(|epoch| epoch & !ID_EPOCH_BITS == 0)
}

/// Appends a UUID (RFC 9562, version 7) that sorts by time: 48 bits of milliseconds, the microseconds within, and 62
/// bits that differ for each message of a log (`seq` times an odd number) and from log to log (the lower half of `epoch`,
/// which a log keeps whatever it is renamed to: a message has one id for good).
fn push_id(out: &mut Vec<u8>, at: Timestamp, epoch: u64, seq: u64) {
    const HEX: &[u8; 16] = b"0123456789abcdef";
    let (millis, micros) = (at.micros() / 1000, at.micros() % 1000);
    let high = (millis << 16) | 0x7000 | (micros << 2);
    let low = (epoch & ID_EPOCH_BITS ^ seq.wrapping_mul(ID_ODD)) & ID_BITS | (1 << 63);
    let value = u128::from(high) << 64 | u128::from(low);
    let mut text = *b"00000000-0000-0000-0000-000000000000";
    let mut nibbles = value.to_be_bytes().into_iter().flat_map(|byte| [byte >> 4, byte & 15]);
    for place in text.iter_mut().filter(|place| **place == b'0') {
        *place = HEX[usize::from(nibbles.next().unwrap_or(0))];
    }
    out.extend_from_slice(&text);
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::rooms::api::store::StoredPresence;

    fn envelope(content: &str) -> Envelope<'_> {
        Envelope {
            epoch: 7,
            seq: 17,
            at: Timestamp::from_micros(1_769_860_800_123_456),
            kind: Kind::Message,
            room: "room",
            sender: "alice",
            content,
            client_id: None,
            presence: None,
        }
    }

    /// The payload of the one text frame in `frame`, whatever the size of its header.
    fn payload(frame: &[u8]) -> serde_json::Value {
        assert_eq!(frame[0], 0x81);
        let (header, len) = match frame[1] {
            126 => (4, usize::from(u16::from_be_bytes([frame[2], frame[3]]))),
            127 => (10, usize::try_from(u64::from_be_bytes(frame[2..10].try_into().unwrap())).unwrap()),
            len => (2, usize::from(len)),
        };
        assert_eq!(frame.len(), header + len);
        serde_json::from_slice(&frame[header..]).unwrap()
    }

    #[test]
    fn a_message_has_the_fields_of_the_contract_in_their_order() {
        let mut out = Vec::new();
        Envelope { client_id: Some("c\"1"), ..envelope("hi \"you\"\n") }.encode(&mut out);
        let text = std::str::from_utf8(&out[4..]).unwrap();
        let tail = r#"","roomId":"room","sender":"alice","content":"hi \"you\"\n","type":"MESSAGE","timestamp":"2026-01-31T12:00:00.123456Z","seq":17,"clientId":"c\"1"}"#;
        assert!(text.starts_with("{\"id\":\"019c13ec-9e7b-7"), "{text}");
        assert!(text.ends_with(tail), "{text}");
        assert_eq!(payload(&out)["seq"], 17);
    }

    #[test]
    fn a_message_from_the_store_is_the_object_that_was_sent() {
        let presence = Some(("a\"nn", 3));
        let sent = Envelope { client_id: Some("c1"), kind: Kind::Join, presence, ..envelope("hi") };
        let stored = Stored {
            seq: sent.seq,
            at: sent.at,
            kind: sent.kind,
            sender: sent.sender.into(),
            content: sent.content.into(),
            client_id: sent.client_id.map(Into::into),
            presence: Some(StoredPresence { username: "a\"nn".into(), online: 3 }),
        };
        let (mut frame, mut json) = (Vec::new(), b"[".to_vec());
        sent.encode(&mut frame);
        push_stored(&mut json, sent.room, sent.epoch, &stored);
        assert_eq!(json[1..], *payload_of(&frame));
        let text = std::str::from_utf8(&json).unwrap();
        assert!(text.ends_with(r#","clientId":"c1","username":"a\"nn","online":3}"#), "{text}");
        let chat = Chat::parse(payload_of(&frame)).unwrap();
        assert_eq!((chat.username.as_deref(), chat.online), (Some("a\"nn"), Some(3)));
    }

    #[test]
    fn headers_of_every_size_are_right() {
        for len in [0, 100, 60_000, 65_400, 70_000] {
            let content = "x".repeat(len);
            let mut out = b"before".to_vec();
            envelope(&content).encode(&mut out);
            assert_eq!(payload(&out[6..])["content"], content);
        }
        let mut out = Vec::new();
        Notice::Gap { room: "r", epoch: 255, from: 3, to: 9, at: Timestamp::default() }.encode(&mut out);
        let expected = serde_json::json!({"type":"GAP","roomId":"r","from":3,"to":9,"epoch":"00000000000000ff",
                "timestamp":"1970-01-01T00:00:00.000000Z"});
        assert_eq!(payload(&out), expected);
    }

    #[test]
    fn a_welcome_tells_the_position() {
        let mut out = Vec::new();
        let (room, user) = ("r", "u\\");
        let at = Timestamp::from_micros(1_769_860_800_123_456);
        Notice::Welcome { room, session_id: 1, user, epoch: 1, seq: 4, online: 2, from: None, at }
            .encode(&mut out);
        let expected = serde_json::json!({"type":"WELCOME","roomId":"r","sessionId":format!("{:032x}", 1),
            "username":"u\\","epoch":"0000000000000001","seq":4,"online":2,
            "timestamp":"2026-01-31T12:00:00.123456Z"});
        assert_eq!(payload(&out), expected);
    }

    #[test]
    fn ids_sort_by_time_and_differ_by_number() {
        let id = |micros, seq| {
            let mut out = Vec::new();
            push_id(&mut out, Timestamp::from_micros(micros), 0xdead_beef, seq);
            String::from_utf8(out).unwrap()
        };
        assert!(id(1_000_999, 1) < id(1_001_000, 2));
        assert!(id(1_001_000, 9) < id(1_001_001, 1));
        assert_ne!(id(5, 1), id(5, 2));
        assert_eq!((id(5, 1).as_bytes()[14], id(5, 1).len()), (b'7', 36));
    }
}
