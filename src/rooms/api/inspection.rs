//! What an operator asks of a shard: which rooms and members there are, and what has happened in a room lately.

use std::net::SocketAddr;
use std::sync::Arc;

use crate::rooms::ids::SessionKey;
use crate::rooms::reply::Reply;
use crate::rooms::timestamp::Timestamp;
use crate::rooms::values::Format;

/// What an operator asks of a shard.
#[derive(Debug)]
pub enum Inspection {
    /// Which rooms, or members, are like this? The shard looks at a part of them and says where the next part begins.
    Find {
        /// What is looked for.
        search: Arc<Search>,
        /// Where this part begins; the default is the beginning.
        from: Place,
        /// The answer.
        reply: Reply<Found>,
    },
    /// What has happened in a room lately? `None` for a room that is not in memory.
    Record {
        /// The room's name.
        room: Box<str>,
        /// What kind of room it is.
        format: Format,
        /// The answer.
        reply: Reply<Option<Recording>>,
    },
    /// Closes all sessions of a chat room with 4001; answered with their number.
    CloseSessions {
        /// The room's name.
        room: Box<str>,
        /// The answer.
        reply: Reply<usize>,
    },
}

impl Inspection {
    /// The room that it is about, if about one.
    pub(in crate::rooms) fn room(&self) -> Option<&str> {
        match self {
            Inspection::Find { .. } => None,
            Inspection::Record { room, .. } | Inspection::CloseSessions { room, .. } => Some(room),
        }
    }
}

/// What is looked for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Search {
    /// Rooms whose names have this in them, in any case of ASCII letters.
    Rooms(Box<str>),
    /// Members whose user's name has this in it, or whose address or session id begins so.
    Members {
        /// The same.
        text: Box<str>,
        /// Of the rooms of this name only.
        room: Option<Box<str>>,
    },
}

/// Whether a session with this user, this public id and this address is looked for by this text. The address is asked for
/// only if the text looks like the beginning of one and nothing else of the session is like it.
pub(crate) fn is_meant(
    text: &str,
    user: &str,
    session_id: u128,
    address: impl FnOnce() -> Option<SocketAddr>,
) -> bool {
    has(user, text)
        || id_begins(session_id, text)
        || text.contains(['.', ':']) && address().is_some_and(|address| address.to_string().starts_with(text))
}

/// Whether a name has this in it, in any case of ASCII letters.
pub(in crate::rooms) fn has(name: &str, text: &str) -> bool {
    let (name, text) = (name.as_bytes(), text.as_bytes());
    text.is_empty() || name.windows(text.len()).any(|part| part.eq_ignore_ascii_case(text))
}

/// Whether an id, written in 32 hexadecimal digits, begins so.
fn id_begins(id: u128, text: &str) -> bool {
    let digits = u32::try_from(text.len()).ok().filter(|digits| (1..=32).contains(digits));
    let is_hex = text.bytes().all(|byte| byte.is_ascii_hexdigit());
    let start = digits.filter(|_| is_hex).zip(u128::from_str_radix(text, 16).ok());
    start.is_some_and(|(digits, start)| id >> (128 - 4 * digits) == start)
}

/// How far a search has come in a shard.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Place {
    pub(in crate::rooms) room: usize,
    pub(in crate::rooms) member: usize,
}

/// What one part of a search has found.
#[derive(Clone, Debug, Default)]
pub struct Found {
    /// Rooms.
    pub rooms: Vec<FoundRoom>,
    /// Members.
    pub members: Vec<FoundMember>,
    /// Where the next part begins; `None` at the end.
    pub next: Option<Place>,
}

/// A room.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FoundRoom {
    /// Its name.
    pub name: Box<str>,
    /// What kind of room it is.
    pub format: Format,
    /// Number of its members.
    pub members: usize,
    /// The newest message that may be seen.
    pub seq: u64,
    /// Messages that its members have not been sent yet, all added up.
    pub lag: u64,
    /// The same of the member that is furthest behind.
    pub lag_max: u64,
    /// Bytes of its messages in memory.
    pub window_bytes: usize,
}

/// A member.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FoundMember {
    /// The name of its room.
    pub room: Box<str>,
    /// What kind of room that is.
    pub format: Format,
    /// The connection that it stands for.
    pub session: SessionKey,
    /// The public id of its session.
    pub session_id: u128,
    /// The user's name.
    pub user: Arc<str>,
    /// The peer's address, while it is connected.
    pub address: Option<SocketAddr>,
    /// When it joined.
    pub joined_at: Timestamp,
    /// Messages it has not been sent yet.
    pub lag: u64,
}

/// What has happened in a room lately.
#[derive(Clone, Debug)]
pub struct Recording {
    /// The log's epoch.
    pub epoch: u64,
    /// What has happened, oldest first.
    pub events: Vec<(Timestamp, RecordedEvent)>,
    /// The payloads of messages of which these tell and that may be seen and are in memory, in their order: number and
    /// payload.
    pub payloads: Vec<(u64, Box<[u8]>)>,
    /// The members among those of whom these tell: session, its public id, its user.
    pub members: Vec<(SessionKey, u128, Arc<str>)>,
}

/// Something that has happened in a room.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RecordedEvent {
    /// A message has come and got this number.
    Received {
        /// Its number.
        seq: u64,
        /// Who has sent it, if a member.
        session: Option<SessionKey>,
    },
    /// A message was refused.
    Refused {
        /// Who has sent it, if a member.
        session: Option<SessionKey>,
        /// Why, as a word.
        code: &'static str,
    },
    /// Members were sent messages.
    Sent {
        /// The newest of them.
        seq: u64,
        /// Messages, each counted for each member.
        deliveries: u64,
        /// Their bytes.
        bytes: u64,
    },
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_id_is_found_by_its_beginning() {
        let id = 0x0123_4567_89ab_cdef_0000_0000_0000_00ff;
        for (text, expected) in [
            ("0", true),
            ("0123", true),
            ("0123456789ABCDEF", true),
            ("012345678", true),
            ("0123456789abcdef00000000000000ff", true),
            ("0123456789abcdef00000000000000fe", false),
            ("0123456789abcdef00000000000000ff0", false),
            ("1", false),
            ("", false),
            ("+1", false),
            ("0x", false),
        ] {
            assert_eq!(id_begins(id, text), expected, "{text}");
        }
    }

    #[test]
    fn an_address_is_asked_for_only_where_it_is_looked_for() {
        let address = "10.0.0.7:4711".parse().unwrap();
        let asked = |text| {
            let mut is_asked = false;
            let found = is_meant(text, "ann", 7, || {
                is_asked = true;
                Some(address)
            });
            (found, is_asked)
        };
        assert_eq!(asked("AN"), (true, false));
        assert_eq!(asked("bob"), (false, false));
        assert_eq!(asked("10.0."), (true, true));
        assert_eq!(asked("0.0."), (false, true));
        assert!(!is_meant("10.", "ann", 7, || None));
    }
}
