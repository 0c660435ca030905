//! What goes into a shard and what comes out of it.

use super::Timestamp;

/// A member of one of a shard's rooms. Chosen by whoever sends the commands, small and dense: a shard keeps a table
/// indexed by it. A key may be used again as soon as its [`Command::Leave`] is on the way.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct MemberKey(pub u32);

/// The connection that a member stands for, opaque to the rooms: they only hand it back in an [`Effect`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct SessionKey(pub u64);

/// A piece of the byte arena that travels with a batch of commands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Span {
    start: u32,
    len: u32,
}

impl Span {
    /// Appends `bytes` to `arena` and names the place. `None` if the arena would outgrow 4 GiB.
    #[must_use]
    pub fn store(arena: &mut Vec<u8>, bytes: &[u8]) -> Option<Span> {
        let span = Span { start: u32::try_from(arena.len()).ok()?, len: u32::try_from(bytes.len()).ok()? };
        arena.extend_from_slice(bytes);
        Some(span)
    }

    /// The bytes, from the arena they were stored in (empty from any other that is too short).
    #[must_use]
    pub fn of(self, arena: &[u8]) -> &[u8] {
        let start = self.start as usize;
        arena.get(start..start + self.len as usize).unwrap_or_default()
    }
}

/// What a room's messages look like on the wire. Rooms of different formats never meet, even under one name.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Format {
    /// JSON objects with sender, room, time and number, and notices when members join and leave.
    Chat,
    /// Text and binary exactly as published: no JSON, no notices.
    Relay,
}

/// Where a new member's cursor begins.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Start {
    /// With the next message.
    Live,
    /// After the message `seq`, as counted under `epoch` (any epoch if absent).
    After {
        /// The last message that the member has; 0 for none.
        seq: u64,
        /// The log's epoch when it got that message.
        epoch: Option<u64>,
    },
    /// With the first message later than this.
    Since(Timestamp),
    /// With the last so many messages.
    Last(u64),
}

/// A request to become a member of a room, which is opened if nobody is in it.
#[derive(Debug)]
pub struct Join<P> {
    /// The name the member is known by in later commands.
    pub member: MemberKey,
    /// The member's connection.
    pub session: SessionKey,
    /// The session's public id.
    pub session_id: u128,
    /// The room's name.
    pub room: Box<str>,
    /// The room's format.
    pub format: Format,
    /// The user's name.
    pub user: Box<str>,
    /// The write half of the connection.
    pub peer: P,
    /// Where to begin.
    pub start: Start,
    /// Whether a WELCOME comes first.
    pub hello: bool,
}

/// What a shard can be told. Commands of one batch share a byte arena; see [`Span`].
#[derive(Debug)]
pub enum Command<P> {
    /// Adds a member.
    Join(Box<Join<P>>),
    /// Removes a member. Ignored if it is not there.
    Leave(MemberKey),
    /// Publishes to the member's room, in its name.
    Publish {
        /// Who publishes.
        member: MemberKey,
        /// The content: the text of a chat message, or a relayed payload.
        content: Span,
        /// The publisher's own id of the message, by which repeats are recognised.
        client_id: Option<Span>,
        /// Whether a relayed payload is text rather than binary.
        text: bool,
    },
    /// The member's peer, which was [`Blocked`](super::Sent::Blocked), can send again.
    Resume(MemberKey),
    /// Asks for [`Effect::Passed`] once everything before it has been sent as far as the sockets took it.
    Barrier(u64),
}

/// What a shard wants done elsewhere.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Effect {
    /// The member fell behind the window and its room does not tolerate that: close its session as too slow.
    TooSlow(SessionKey),
    /// The room already holds as many members as it may: refuse the session.
    RoomFull(SessionKey),
    /// The shard holds as many rooms as it may: refuse the session.
    TooManyRooms(SessionKey),
    /// A [`Command::Barrier`] was reached.
    Passed(u64),
}
