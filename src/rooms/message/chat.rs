//! Chat messages as JSON text frames, encoded once for all receivers.

use std::borrow::Cow;

use super::frame::text_frame;
use super::id::push_id;
use super::json::{push_number, push_string};
use super::kind::Kind;
use super::stored::Stored;
use crate::rooms::timestamp::Timestamp;

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
    pub(in crate::rooms) fn of<'a>(room: &'a str, epoch: u64, stored: &'a Stored) -> Envelope<'a> {
        let Stored { seq, at, kind, sender, content, client_id, presence } = stored;
        let (seq, at, kind) = (*seq, *at, *kind);
        let client_id = client_id.as_deref();
        let presence = presence.as_ref().map(|presence| (&*presence.username, presence.online));
        Envelope { epoch, seq, at, kind, room, sender, content, client_id, presence }
    }
}

/// Appends a message from the store as the JSON object that the members of its room were sent: `epoch` is the one that
/// it was read under.
pub fn push_stored(out: &mut Vec<u8>, room: &str, epoch: u64, stored: &Stored) {
    Envelope::of(room, epoch, stored).encode_json(out);
}

/// A chat message, read back from its JSON.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Chat<'a> {
    /// Its number in the room.
    pub seq: u64,
    /// When it was published, as it stands in its JSON: RFC 3339, UTC, microseconds.
    pub timestamp: &'a str,
    /// Its public id, a UUID.
    pub id: &'a str,
    /// Who sent it.
    pub sender: Cow<'a, str>,
    /// What it says.
    pub content: Cow<'a, str>,
    /// What it is.
    pub kind: Kind,
    /// The publisher's own id of it.
    pub client_id: Option<Cow<'a, str>>,
    /// Of a JOIN or LEAVE, the user that came or left. Messages of older versions have none.
    pub username: Option<Cow<'a, str>>,
    /// Of a JOIN or LEAVE, the number of users after that.
    pub online: Option<u64>,
}

impl<'a> Chat<'a> {
    pub(in crate::rooms) fn parse(json: &'a [u8]) -> Option<Chat<'a>> {
        serde_json::from_slice(json).ok()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::rooms::message::frame::payload_of;
    use crate::rooms::message::notice::Notice;
    use crate::rooms::message::stored::StoredPresence;

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
