//! The names by which rooms, members, sessions and pieces of a batch are known. They stand below everything else here.

/// A member of one of a shard's rooms. Chosen by the sender of the commands, small and dense: a shard keeps a table
/// indexed by it. A key may be used again as soon as its [`Command::Leave`](crate::rooms::Command::Leave) is on the way.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct MemberKey(pub u32);

/// The connection that a member stands for, opaque to the rooms: they only hand it back in a
/// [`SessionEffect`](crate::rooms::SessionEffect).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct SessionKey(pub u64);

/// What travels with a batch of commands, which name pieces of it: text apart from bytes, so that what came as text need
/// not be checked again.
#[derive(Clone, Debug, Default)]
pub struct Arena {
    /// Pieces of text: [`TextSpan`].
    pub text: String,
    /// Pieces of bytes: [`Span`].
    pub bytes: Vec<u8>,
}

impl Arena {
    /// The bytes of all pieces.
    #[must_use]
    pub fn len(&self) -> usize {
        self.text.len() + self.bytes.len()
    }

    /// Whether there is no piece but empty ones.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Empties it, and keeps its memory unless one of its buffers is larger than this.
    pub fn clear(&mut self, capacity_max: usize) {
        if self.text.capacity().max(self.bytes.capacity()) > capacity_max {
            *self = Arena::default();
        }
        self.text.clear();
        self.bytes.clear();
    }
}

/// A piece of the bytes of an arena.
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

/// A piece of the text of an arena.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TextSpan(Span);

impl TextSpan {
    /// Appends `piece` to `text` and names the place. `None` if the text would outgrow 4 GiB.
    #[must_use]
    pub fn store(text: &mut String, piece: &str) -> Option<TextSpan> {
        let span = Span { start: u32::try_from(text.len()).ok()?, len: u32::try_from(piece.len()).ok()? };
        text.push_str(piece);
        Some(TextSpan(span))
    }

    /// The piece, from the text it was stored in (empty from any other that has no such piece).
    #[must_use]
    pub fn of(self, text: &str) -> &str {
        let start = self.0.start as usize;
        text.get(start..start + self.0.len as usize).unwrap_or_default()
    }
}

/// One stay of a room in a shard's memory.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct RoomKey {
    pub(in crate::rooms) index: usize,
    /// Differs for each stay.
    pub(in crate::rooms) number: u64,
}

/// One stay of a member in a room, while it reads from the store. Keys of members are used again, and one session has
/// many.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(in crate::rooms) struct ReadingMember {
    pub(in crate::rooms) room: RoomKey,
    pub(in crate::rooms) member: MemberKey,
    pub(in crate::rooms) session: SessionKey,
}

/// A request for a page: for one member of one room, which asks for one at a time.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Reader {
    /// Used once in the shard.
    pub(in crate::rooms) number: u64,
    pub(in crate::rooms) of: ReadingMember,
}

/// A room as a store knows it. Never used again for another room, not even after the room was deleted.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct RoomId(pub i64);

/// One membership of a room, from its JOIN to its LEAVE. Unique among all of the room, in all processes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct StayId(pub u64);
