//! Where each member sits.

use crate::rooms::api::command::{MemberKey, RoomKey};
use crate::rooms::room::member::Profile;

/// The first of the keys that a shard gives itself, to members that left before their room was open. Nobody outside
/// ever names so many members.
const FIRST_ORPHAN: u32 = 1 << 31;

/// A member's place.
#[derive(Debug)]
pub(super) enum Seat {
    /// Among those that wait for a room that is not open yet. Invariant: the room is one that is being opened and
    /// holds this member's JOIN.
    Waiting {
        /// The room.
        room: RoomKey,
    },
    /// Nowhere any more: it has left a room before that was open. What it asks next still comes after that.
    Left {
        /// The room.
        room: RoomKey,
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

/// The seats of all members of a shard: a table indexed by key.
#[derive(Debug, Default)]
pub(super) struct Seats {
    seats: Vec<Option<Seat>>,
    /// Members that left before their room was open: their keys may be others' by now.
    orphans: Vec<Option<Seat>>,
    /// Indices in `orphans` that nobody has.
    free_orphans: Vec<u32>,
}

impl Seats {
    pub(super) fn get(&self, member: MemberKey) -> Option<&Seat> {
        let (table, index) = match member.0.checked_sub(FIRST_ORPHAN) {
            Some(orphan) => (&self.orphans, orphan),
            None => (&self.seats, member.0),
        };
        table.get(index as usize)?.as_ref()
    }

    /// The room and position of a member that is seated.
    pub(super) fn place(&self, member: MemberKey) -> Option<(usize, usize)> {
        match self.get(member)? {
            Seat::Taken { room, position, .. } => Some((*room, *position)),
            Seat::Waiting { .. } | Seat::Left { .. } => None,
        }
    }

    /// The position of a member that is seated in this room; a member that is elsewhere by now has none here.
    pub(super) fn place_in(&self, room: usize, member: MemberKey) -> Option<usize> {
        self.place(member).filter(|(index, _)| *index == room).map(|(_, position)| position)
    }

    pub(super) fn set(&mut self, member: MemberKey, seat: Seat) {
        *self.entry(member) = Some(seat);
    }

    pub(super) fn take(&mut self, member: MemberKey) -> Option<Seat> {
        self.get(member)?;
        let seat = self.entry(member).take();
        if let Some(orphan) = member.0.checked_sub(FIRST_ORPHAN) {
            self.free_orphans.push(orphan);
        }
        seat
    }

    pub(super) fn move_to(&mut self, member: MemberKey, to: usize) {
        if let Some(Seat::Taken { position, .. }) = self.entry(member) {
            *position = to;
        }
    }

    /// What the member says from now on counts no more.
    pub(super) fn expel(&mut self, member: MemberKey) {
        if let Some(Seat::Taken { profile, .. }) = self.entry(member) {
            profile.expelled = true;
        }
    }

    /// A key for a member whose own key may be used by somebody else from now on.
    pub(super) fn new_orphan(&mut self, seat: Seat) -> MemberKey {
        let free = self.free_orphans.pop();
        let index = free.unwrap_or_else(|| u32::try_from(self.orphans.len()).unwrap_or(0));
        let orphan = MemberKey(FIRST_ORPHAN + index);
        self.set(orphan, seat);
        orphan
    }

    /// Whether the member left before its room was open.
    pub(super) fn is_orphan(member: MemberKey) -> bool {
        member.0 >= FIRST_ORPHAN
    }

    /// Members that wait for a room.
    #[cfg(any(test, feature = "fuzzing", debug_assertions))]
    pub(super) fn waiting(&self) -> impl Iterator<Item = (MemberKey, RoomKey)> {
        let own = (0..).map(MemberKey).zip(&self.seats);
        let orphans = (FIRST_ORPHAN..).map(MemberKey).zip(&self.orphans);
        own.chain(orphans).filter_map(|(member, seat)| match seat {
            Some(Seat::Waiting { room }) => Some((member, *room)),
            Some(Seat::Left { .. } | Seat::Taken { .. }) | None => None,
        })
    }

    fn entry(&mut self, member: MemberKey) -> &mut Option<Seat> {
        let (table, index) = match member.0.checked_sub(FIRST_ORPHAN) {
            Some(orphan) => (&mut self.orphans, orphan as usize),
            None => (&mut self.seats, member.0 as usize),
        };
        if table.len() <= index {
            table.resize_with(index + 1, || None);
        }
        &mut table[index]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_of_orphans_are_used_again() {
        let room = RoomKey { index: 0, number: 1 };
        let mut seats = Seats::default();
        let first = seats.new_orphan(Seat::Waiting { room });
        let second = seats.new_orphan(Seat::Waiting { room });
        assert!(first != second && Seats::is_orphan(first) && !Seats::is_orphan(MemberKey(7)));
        assert_eq!(seats.waiting().count(), 2);
        seats.take(first);
        assert!(seats.take(first).is_none());
        assert_eq!(seats.new_orphan(Seat::Waiting { room }), first);
        assert_ne!(seats.new_orphan(Seat::Waiting { room }), first);
    }
}
