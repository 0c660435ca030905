//! Messages as documents: those that this program writes, and those that others have written.
//!
//! `chat_messages` belongs to other programs, too. What they map is `_id`, `roomId`, `sender`, `content`, `type` and
//! `timestamp`; all else is added beside it.

use mongodb::bson::oid::ObjectId;
use mongodb::bson::{Bson, DateTime, Document, doc};

use crate::rooms::store_api::{Stored, StoredPresence};
use crate::rooms::{Kind, Timestamp, content_digest, message_id};

/// The collections.
pub(super) const ROOMS: &str = "chat_rooms";
pub(super) const MESSAGES: &str = "chat_messages";
/// What no other program maps: where the logs stand and what rooms have their own way; stays; bans; unfinished imports;
/// deleted rooms whose messages are yet to go; the lease, the last run, and the last room's number.
pub(super) const LOGS: &str = "foghorn_rooms";
pub(super) const STAYS: &str = "foghorn_stays";
pub(super) const BANS: &str = "foghorn_bans";
pub(super) const IMPORTS: &str = "foghorn_imports";
pub(super) const CONDEMNED: &str = "foghorn_condemned";
pub(super) const META: &str = "foghorn_meta";

/// The longest that the texts of a message may be together: a document of 16 MiB is the largest that MongoDB takes.
pub(super) const TEXT_BYTES_MAX: usize = 15 << 20;

/// A position between two messages of a log.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Position {
    /// The number of the message before it; 0 at the beginning.
    pub(super) seq: u64,
    /// The time of that message.
    pub(super) at: Timestamp,
    /// The bytes of the senders and contents of all messages up to it.
    pub(super) bytes: u64,
}

/// A message that is to be stored.
#[derive(Clone, Copy, Debug)]
pub(super) struct Draft<'a> {
    pub(super) seq: u64,
    pub(super) at: Timestamp,
    pub(super) kind: Kind,
    pub(super) sender: &'a str,
    pub(super) content: &'a str,
    pub(super) client_id: Option<&'a str>,
    pub(super) presence: Option<(&'a str, u64)>,
    pub(super) stay: Option<u64>,
}

impl Draft<'_> {
    /// What it adds to [`Position::bytes`].
    pub(super) fn kept_bytes(&self) -> u64 {
        (self.sender.len() + self.content.len()) as u64
    }

    /// The document of this message in the log of `room`, which has come to `bytes` with it.
    pub(super) fn document(&self, room: &str, epoch: u64, bytes: u64) -> Document {
        let mut document = doc! {
            "_id": message_id(self.at, epoch, self.seq),
            "roomId": room,
            "sender": self.sender,
            "content": self.content,
            "type": self.kind.name(),
            "timestamp": date(self.at),
            "micros": micros_within(self.at),
            "seq": signed(self.seq),
            "epoch": epoch.cast_signed(),
            "bytesEnd": signed(bytes),
        };
        if let Some(id) = self.client_id {
            document.insert("clientId", id);
            document.insert("digest", content_digest(self.content).cast_signed());
        }
        if let Some((username, online)) = self.presence {
            document.insert("username", username);
            document.insert("online", signed(online));
        }
        if let Some(stay) = self.stay {
            document.insert("stay", stay.cast_signed());
        }
        document
    }
}

/// A number as the database has it. What is beyond its range is beyond everything there.
pub(super) fn signed(value: u64) -> i64 {
    i64::try_from(value).unwrap_or(i64::MAX)
}

/// The date of a moment, cut to the millisecond.
pub(super) fn date(at: Timestamp) -> DateTime {
    DateTime::from_millis(signed(at.micros() / 1000))
}

/// What a date leaves out of a moment.
pub(super) fn micros_within(at: Timestamp) -> i32 {
    i32::try_from(at.micros() % 1000).unwrap_or(0)
}

/// A whole number, in whatever form another program has written it.
pub(super) fn integer(document: &Document, key: &str) -> Option<i64> {
    let value = document.get(key)?;
    let float =
        || value.as_f64().filter(|float| float.fract() == 0.0 && float.abs() <= 9_007_199_254_740_992.0);
    #[expect(clippy::cast_possible_truncation, reason = "it is whole and small enough")]
    let from_float = || float().map(|float| float as i64);
    value.as_i64().or_else(|| value.as_i32().map(i64::from)).or_else(from_float)
}

/// A number of this program's own, which is never negative.
pub(super) fn natural(document: &Document, key: &str) -> u64 {
    integer(document, key).and_then(|value| u64::try_from(value).ok()).unwrap_or(0)
}

/// A text, or none if another program has written something else.
pub(super) fn text<'d>(document: &'d Document, key: &str) -> Option<&'d str> {
    document.get(key).and_then(Bson::as_str)
}

/// The moment of a document of another program, which it may not have.
pub(super) fn stamped(document: &Document) -> Option<Timestamp> {
    let millis = document.get("timestamp")?.as_datetime()?.timestamp_millis();
    let micros = u64::try_from(millis).ok()?.saturating_mul(1000).min(i64::MAX.cast_unsigned() / 2);
    Some(Timestamp::from_micros(micros))
}

/// The time of a numbered message on the wire.
pub(super) fn at(document: &Document) -> Timestamp {
    if let Some(at) = integer(document, "at").and_then(|at| u64::try_from(at).ok()) {
        return Timestamp::from_micros(at);
    }
    let micros = natural(document, "micros").min(999);
    Timestamp::from_micros(stamped(document).unwrap_or_default().micros() + micros)
}

/// The position after a numbered message.
pub(super) fn position(document: &Document) -> Position {
    Position { seq: natural(document, "seq"), at: at(document), bytes: natural(document, "bytesEnd") }
}

/// What [`position`] reads of a document.
pub(super) fn position_fields() -> Document {
    doc! { "seq": 1, "timestamp": 1, "micros": 1, "at": 1, "bytesEnd": 1, "epoch": 1 }
}

fn kind(document: &Document) -> Kind {
    let name = text(document, "type").unwrap_or_default();
    let all = [Kind::Message, Kind::Join, Kind::Leave, Kind::System];
    all.into_iter().find(|kind| kind.name() == name).unwrap_or(Kind::Message)
}

/// A numbered document as a message.
pub(super) fn stored(document: &Document) -> Stored {
    let owned = |key| text(document, key).map(Box::<str>::from);
    let kind = kind(document);
    let presence =
        owned("username").map(|username| StoredPresence { username, online: natural(document, "online") });
    Stored {
        seq: natural(document, "seq"),
        at: at(document),
        kind,
        sender: owned("sender").unwrap_or_default(),
        content: owned("content").unwrap_or_default(),
        client_id: owned("clientId"),
        presence: presence.filter(|_| matches!(kind, Kind::Join | Kind::Leave)),
    }
}

/// The `_id` of a room: as the programs that made rooms before do it, 24 lower-case hexadecimal digits are an ObjectId.
pub(super) fn room_key(id: &str) -> Bson {
    let is_hex = id.len() == 24 && id.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'));
    match ObjectId::parse_str(id) {
        Ok(object) if is_hex => Bson::ObjectId(object),
        Ok(_) | Err(_) => Bson::String(id.to_owned()),
    }
}

/// The public id of a room; none if another program has made something else of it.
pub(super) fn room_id(document: &Document) -> Option<Box<str>> {
    let key = document.get("_id")?;
    let object = key.as_object_id().map(|object| object.to_hex().into());
    object.or_else(|| key.as_str().map(Box::from))
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOON: u64 = 1_769_860_800_123_456;

    fn draft() -> Draft<'static> {
        Draft {
            seq: 7,
            at: Timestamp::from_micros(NOON),
            kind: Kind::Join,
            sender: "ann",
            content: "ann joined",
            client_id: Some("id"),
            presence: Some(("ann", 3)),
            stay: Some(u64::MAX),
        }
    }

    #[test]
    fn a_message_comes_back_from_its_document_as_it_was() {
        let document = draft().document("lobby", u64::MAX, 40);
        let message = stored(&document);
        assert_eq!((message.seq, message.at.micros(), message.kind), (7, NOON, Kind::Join));
        assert_eq!((&*message.sender, &*message.content), ("ann", "ann joined"));
        assert_eq!(message.presence.map(|presence| presence.online), Some(3));
        assert_eq!(position(&document).bytes, 40);
        assert_eq!(document.get_datetime("timestamp").unwrap().timestamp_millis(), 1_769_860_800_123);
        assert_eq!(integer(&document, "epoch"), Some(-1));
    }

    #[test]
    fn documents_of_others_are_read_whatever_is_in_them() {
        let odd = doc! { "seq": 3.0, "sender": 5, "content": Bson::Null, "type": "TYPING", "timestamp": "noon", "at": 9_i32 };
        let message = stored(&odd);
        assert_eq!((message.seq, message.at.micros(), message.kind), (3, 9, Kind::Message));
        assert_eq!((&*message.sender, &*message.content), ("", ""));
        assert_eq!(integer(&doc! { "seq": 1.5 }, "seq"), None);
        assert_eq!(stamped(&doc! { "timestamp": DateTime::from_millis(-5) }), None);
        assert!(stamped(&doc! { "timestamp": DateTime::MAX }).is_some_and(|at| at.micros() < u64::MAX / 2));
    }

    #[test]
    fn rooms_of_24_lower_case_hexadecimal_digits_are_object_ids() {
        let id = "65a1b2c3d4e5f60718293a4b";
        assert!(room_key(id).as_object_id().is_some());
        assert_eq!(room_id(&doc! { "_id": room_key(id) }).as_deref(), Some(id));
        for other in ["65A1B2C3D4E5F60718293A4B", "65a1b2c3d4e5f60718293a4", "lobby", ""] {
            assert_eq!(room_key(other), Bson::String(other.to_owned()));
        }
    }
}
