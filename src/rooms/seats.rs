//! Where each member sits.

use super::command::MemberKey;
use super::member::Profile;

/// The first of the keys that a shard gives itself, to members that left before their room was open. Nobody outside
/// ever names so many members.
const FIRST_GHOST: u32 = 1 << 31;

/// A member's place.
#[derive(Debug)]
pub(super) enum Seat {
    /// In the queue of a room that is not open yet.
    Waiting {
        /// The room.
        room: usize,
    },
    /// In a room.
    Taken {
        /// The room.
        room: usize,
        /// The position among its members.
        position: usize,
        /// Who it is.
        profile: Profile,
    },
}

impl Seat {
    pub(super) fn room(&self) -> usize {
        match self {
            Seat::Waiting { room } | Seat::Taken { room, .. } => *room,
        }
    }
}

/// The seats of all members of a shard: a table indexed by key.
#[derive(Debug, Default)]
pub(super) struct Seats {
    seats: Vec<Option<Seat>>,
    ghosts: Vec<Option<Seat>>,
}

impl Seats {
    pub(super) fn get(&self, member: MemberKey) -> Option<&Seat> {
        let (table, index) = match member.0.checked_sub(FIRST_GHOST) {
            Some(ghost) => (&self.ghosts, ghost),
            None => (&self.seats, member.0),
        };
        table.get(index as usize)?.as_ref()
    }

    /// The room and position of a member that is seated.
    pub(super) fn place(&self, member: MemberKey) -> Option<(usize, usize)> {
        match self.get(member)? {
            Seat::Taken { room, position, .. } => Some((*room, *position)),
            Seat::Waiting { .. } => None,
        }
    }

    pub(super) fn set(&mut self, member: MemberKey, seat: Seat) {
        *self.entry(member) = Some(seat);
    }

    pub(super) fn take(&mut self, member: MemberKey) -> Option<Seat> {
        self.get(member)?;
        self.entry(member).take()
    }

    pub(super) fn move_to(&mut self, member: MemberKey, to: usize) {
        if let Some(Seat::Taken { position, .. }) = self.entry(member) {
            *position = to;
        }
    }

    /// A key for a member whose own key may be used by somebody else from now on.
    pub(super) fn new_ghost(&mut self, seat: Seat) -> MemberKey {
        let free = self.ghosts.iter().position(Option::is_none).unwrap_or(self.ghosts.len());
        let ghost = MemberKey(FIRST_GHOST + u32::try_from(free).unwrap_or(0));
        self.set(ghost, seat);
        ghost
    }

    fn entry(&mut self, member: MemberKey) -> &mut Option<Seat> {
        let (table, index) = match member.0.checked_sub(FIRST_GHOST) {
            Some(ghost) => (&mut self.ghosts, ghost as usize),
            None => (&mut self.seats, member.0 as usize),
        };
        if table.len() <= index {
            table.resize_with(index + 1, || None);
        }
        &mut table[index]
    }
}
