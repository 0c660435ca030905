//! Messages as they stand in streams, and as they are announced.

use redis::Value;

use super::value::{hex, list, text, whole};
use crate::rooms::store_api::{Stored, StoredPresence};
use crate::rooms::{Kind, Timestamp};

/// The letter that stands for a kind.
pub(super) fn letter(kind: Kind) -> &'static str {
    match kind {
        Kind::Message => "m",
        Kind::Join => "j",
        Kind::Leave => "l",
        Kind::System => "s",
    }
}

fn kind_of(letter: &str) -> Option<Kind> {
    [Kind::Message, Kind::Join, Kind::Leave, Kind::System]
        .into_iter()
        .find(|kind| self::letter(*kind) == letter)
}

/// What is said of a message, as text.
#[derive(Default)]
struct Fields<'a> {
    at: Option<&'a str>,
    kind: Option<&'a str>,
    sender: Option<&'a str>,
    content: Option<&'a str>,
    client_id: Option<&'a str>,
    username: Option<&'a str>,
    online: Option<&'a str>,
}

impl Fields<'_> {
    fn stored(&self, seq: u64) -> Option<Stored> {
        let presence = match (self.username, self.online) {
            (Some(username), Some(online)) => {
                Some(StoredPresence { username: username.into(), online: whole(online)? })
            }
            (None, None) => None,
            (Some(_), None) | (None, Some(_)) => return None,
        };
        Some(Stored {
            seq,
            at: Timestamp::from_micros(whole(self.at?)?),
            kind: kind_of(self.kind?)?,
            sender: self.sender?.into(),
            content: self.content?.into(),
            client_id: self.client_id.map(Into::into),
            presence,
        })
    }
}

/// An entry of the stream of a room: `[id, [field, value, …]]`.
pub(super) fn from_stream(value: &Value) -> Option<Stored> {
    let [id, fields] = list(value)? else { return None };
    let seq = whole(text(id)?.strip_suffix("-0")?)?;
    let mut found = Fields::default();
    let mut values = list(fields)?.iter();
    while let Some(name) = values.next() {
        let value = text(values.next()?)?;
        let place = match text(name)? {
            "a" => &mut found.at,
            "t" => &mut found.kind,
            "s" => &mut found.sender,
            "c" => &mut found.content,
            "i" => &mut found.client_id,
            "u" => &mut found.username,
            "o" => &mut found.online,
            // A later version may say more.
            _ => continue,
        };
        if place.replace(value).is_some() {
            return None;
        }
    }
    found.stored(seq)
}

/// Entries of a stream that follow each other: upwards, or downwards.
pub(super) fn all_from_stream(value: &Value, is_newest_first: bool) -> Option<Vec<Stored>> {
    let entries: Vec<Stored> = list(value)?.iter().map(from_stream).collect::<Option<_>>()?;
    let is_dense = entries.windows(2).all(|pair| {
        let (earlier, later) = if is_newest_first { (&pair[1], &pair[0]) } else { (&pair[0], &pair[1]) };
        later.seq == earlier.seq + 1 && later.at > earlier.at
    });
    is_dense.then_some(entries)
}

/// What a script announces: where the log stands, and the messages that it has appended.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Announcement {
    pub(super) epoch: u64,
    pub(super) generation: Box<str>,
    pub(super) changes: u64,
    /// The number of the first message; of the next one, if there is none.
    pub(super) first: u64,
    pub(super) messages: Vec<Stored>,
}

/// The form of an announcement.
const VERSION: &str = "1";
/// Pieces before those of the messages, and of each message.
const HEAD_PIECES: usize = 7;
const MESSAGE_PIECES: usize = 7;

/// The lengths of the pieces in decimal, separated by commas; a line feed; the pieces.
fn pieces(payload: &[u8]) -> Option<Vec<&str>> {
    let end = memchr::memchr(b'\n', payload)?;
    let (lengths, mut rest) = (std::str::from_utf8(&payload[..end]).ok()?, &payload[end + 1..]);
    let mut pieces = Vec::new();
    for length in lengths.split(',') {
        let (piece, after) = rest.split_at_checked(usize::try_from(whole(length)?).ok()?)?;
        pieces.push(std::str::from_utf8(piece).ok()?);
        rest = after;
    }
    rest.is_empty().then_some(pieces)
}

impl Announcement {
    pub(super) fn parse(payload: &[u8]) -> Option<Announcement> {
        let pieces = pieces(payload)?;
        let ([version, _node, _uid, epoch, generation, changes, first], rest) =
            pieces.split_first_chunk::<HEAD_PIECES>()?;
        if *version != VERSION {
            return None;
        }
        let first = whole(first)?;
        let (records, []) = rest.as_chunks::<MESSAGE_PIECES>() else { return None };
        let mut messages: Vec<Stored> = Vec::with_capacity(records.len());
        for (seq, [at, kind, sender, content, client_id, username, online]) in (first..).zip(records) {
            let is_presence = !online.is_empty();
            let fields = Fields {
                at: Some(at),
                kind: Some(kind),
                sender: Some(sender),
                content: Some(content),
                client_id: Some(*client_id).filter(|id| !id.is_empty()),
                username: is_presence.then_some(*username),
                online: is_presence.then_some(*online),
            };
            let message = fields.stored(seq)?;
            if messages.last().is_some_and(|last| last.at >= message.at) {
                return None;
            }
            messages.push(message);
        }
        Some(Announcement {
            epoch: hex(epoch)?,
            generation: (*generation).into(),
            changes: whole(changes)?,
            first,
            messages,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn bulk(text: &str) -> Value {
        Value::BulkString(text.into())
    }

    fn entry(id: &str, fields: &[&str]) -> Value {
        Value::Array(vec![bulk(id), Value::Array(fields.iter().map(|field| bulk(field)).collect())])
    }

    const PLAIN: [&str; 8] = ["a", "17", "t", "m", "s", "ann", "c", "hello"];

    fn message(seq: u64, at: u64) -> Stored {
        Stored {
            seq,
            at: Timestamp::from_micros(at),
            kind: Kind::Message,
            sender: "ann".into(),
            content: "hello".into(),
            client_id: None,
            presence: None,
        }
    }

    #[test]
    fn entries_of_a_stream_are_messages() {
        assert_eq!(from_stream(&entry("5-0", &PLAIN)), Some(message(5, 17)));
        let said =
            ["a", "17", "t", "j", "s", "SYSTEM", "c", "", "i", "x", "u", "ann", "o", "2", "later", "more"];
        let found = from_stream(&entry("5-0", &said)).unwrap();
        assert_eq!(found.client_id.as_deref(), Some("x"));
        assert_eq!(found.presence, Some(StoredPresence { username: "ann".into(), online: 2 }));
    }

    #[test]
    fn foreign_entries_are_not_understood() {
        let foreign: &[(&str, &[&str])] = &[
            ("5-1", &PLAIN),
            ("5", &PLAIN),
            ("9007199254740992-0", &PLAIN),
            ("5-0", &[]),
            ("5-0", &PLAIN[2..]),
            ("5-0", &["a", "17", "t", "x", "s", "ann", "c", "hello"]),
            ("5-0", &["a", "-1", "t", "m", "s", "ann", "c", "hello"]),
            ("5-0", &["a", "17", "a", "17", "t", "m", "s", "ann", "c", "hello"]),
            ("5-0", &["a", "17", "t", "m", "s", "ann", "c", "hello", "o", "2"]),
            ("5-0", &["a", "17", "t", "m", "s", "ann", "c"]),
        ];
        for (id, fields) in foreign {
            assert_eq!(from_stream(&entry(id, fields)), None, "{id} {fields:?}");
        }
        assert_eq!(from_stream(&Value::Nil), None);
        assert_eq!(from_stream(&Value::Array(vec![bulk("5-0")])), None);
    }

    #[test]
    fn entries_with_a_hole_or_times_that_go_back_are_not_understood() {
        let (later, early) = (["a", "18", "t", "m", "s", "ann", "c", "hello"], entry("5-0", &PLAIN));
        let pair = |second: Value| Value::Array(vec![early.clone(), second]);
        assert_eq!(all_from_stream(&pair(entry("6-0", &later)), false).map(|all| all.len()), Some(2));
        assert!(all_from_stream(&pair(entry("6-0", &later)), true).is_none());
        assert!(all_from_stream(&pair(entry("7-0", &later)), false).is_none());
        assert!(all_from_stream(&pair(entry("6-0", &PLAIN)), false).is_none());
    }

    fn packed(pieces: &[&str]) -> Vec<u8> {
        let lengths: Vec<String> = pieces.iter().map(|piece| piece.len().to_string()).collect();
        format!("{}\n{}", lengths.join(","), pieces.concat()).into_bytes()
    }

    const HEAD: [&str; 7] = ["1", "n", "u", "00000000000000aa", "1-00000000000000bb", "3", "5"];

    #[test]
    fn announcements_say_where_the_log_stands_and_what_is_new() {
        let text = packed(
            &[&HEAD[..], &["17", "m", "ann", "hello", "", "", ""], &["18", "m", "ann", "hello", "", "", ""]]
                .concat(),
        );
        let announcement = Announcement::parse(&text).unwrap();
        assert_eq!(announcement.messages, [message(5, 17), message(6, 18)]);
        assert_eq!((announcement.epoch, announcement.first, announcement.changes), (0xaa, 5, 3));
        assert_eq!(Announcement::parse(&packed(&HEAD)).unwrap().messages, []);
    }

    #[test]
    fn no_part_of_an_announcement_is_one() {
        let text = packed(&[&HEAD[..], &["17", "m", "ann", "hello", "x", "ann", "1"]].concat());
        assert!(Announcement::parse(&text).is_some());
        for end in 0..text.len() {
            assert_eq!(Announcement::parse(&text[..end]), None);
        }
        for place in 0..text.len() {
            let mut changed = text.clone();
            changed[place] = 0xff;
            assert_eq!(Announcement::parse(&changed), None);
            changed[place] = b'9';
            let _must_not_panic = Announcement::parse(&changed);
        }
        assert_eq!(Announcement::parse(b"99999999999999999999\n"), None);
        assert_eq!(Announcement::parse(&[text.clone(), vec![b'!']].concat()), None);
        let back = packed(
            &[&HEAD[..], &["17", "m", "a", "b", "", "", ""], &["17", "m", "a", "b", "", "", ""]].concat(),
        );
        assert_eq!(Announcement::parse(&back), None);
    }
}
