//! The room and the position of each member.

use std::sync::Arc;

use crate::rooms::ids::{MemberKey, RoomKey, StayId};
use crate::rooms::timestamp::Timestamp;

/// The first of the keys that a shard gives itself, to members that left before their room was open.
// Half of the keys: reactors count theirs from 0 and use them again, so they never get there.
const FIRST_ORPHAN: u32 = 1 << 31;

/// A member's place.
#[derive(Debug)]
pub(super) enum MemberSlot {
    /// Waiting for a room that is not open yet. Invariant: the room is one that is being opened and
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
    Joined {
        /// The room.
        room: usize,
        /// The position among its members.
        position: usize,
        /// Who it is.
        profile: Profile,
    },
}

/// The slots of all members of a shard: a table indexed by key.
#[derive(Debug, Default)]
pub(super) struct MemberIndex {
    member_index: Vec<Option<MemberSlot>>,
    /// Members that left before their room was open: their keys may be others' by now.
    orphans: Vec<Option<MemberSlot>>,
    /// Free indices in `orphans`.
    free_orphans: Vec<u32>,
}

impl MemberIndex {
    pub(super) fn get(&self, member: MemberKey) -> Option<&MemberSlot> {
        let (table, index) = match member.0.checked_sub(FIRST_ORPHAN) {
            Some(orphan) => (&self.orphans, orphan),
            None => (&self.member_index, member.0),
        };
        table.get(index as usize)?.as_ref()
    }

    /// The room and position of a member that is seated.
    pub(super) fn place(&self, member: MemberKey) -> Option<(usize, usize)> {
        match self.get(member)? {
            MemberSlot::Joined { room, position, .. } => Some((*room, *position)),
            MemberSlot::Waiting { .. } | MemberSlot::Left { .. } => None,
        }
    }

    /// The position of a member that is seated in this room; a member that is elsewhere by now has none here.
    pub(super) fn place_in(&self, room: usize, member: MemberKey) -> Option<usize> {
        self.place(member).filter(|(index, _)| *index == room).map(|(_, position)| position)
    }

    pub(super) fn set(&mut self, member: MemberKey, slot: MemberSlot) {
        *self.entry(member) = Some(slot);
    }

    pub(super) fn take(&mut self, member: MemberKey) -> Option<MemberSlot> {
        self.get(member)?;
        let slot = self.entry(member).take();
        if let Some(orphan) = member.0.checked_sub(FIRST_ORPHAN) {
            self.free_orphans.push(orphan);
        }
        slot
    }

    pub(super) fn move_to(&mut self, member: MemberKey, to: usize) {
        if let Some(MemberSlot::Joined { position, .. }) = self.entry(member) {
            *position = to;
        }
    }

    /// What the member says from now on counts no more.
    pub(super) fn expel(&mut self, member: MemberKey) {
        if let Some(MemberSlot::Joined { profile, .. }) = self.entry(member) {
            profile.expelled = true;
        }
    }

    /// A key for a member whose own key another member may use from now on.
    pub(super) fn new_orphan(&mut self, slot: MemberSlot) -> MemberKey {
        let free = self.free_orphans.pop();
        let index = free.unwrap_or_else(|| u32::try_from(self.orphans.len()).unwrap_or(0));
        let orphan = MemberKey(FIRST_ORPHAN + index);
        self.set(orphan, slot);
        orphan
    }

    /// Whether the member left before its room was open.
    pub(super) fn is_orphan(member: MemberKey) -> bool {
        member.0 >= FIRST_ORPHAN
    }

    /// Members that wait for a room.
    #[cfg(any(test, feature = "fuzzing", debug_assertions))]
    pub(super) fn waiting(&self) -> impl Iterator<Item = (MemberKey, RoomKey)> {
        let own = (0..).map(MemberKey).zip(&self.member_index);
        let orphans = (FIRST_ORPHAN..).map(MemberKey).zip(&self.orphans);
        own.chain(orphans).filter_map(|(member, slot)| match slot {
            Some(MemberSlot::Waiting { room }) => Some((member, *room)),
            Some(MemberSlot::Left { .. } | MemberSlot::Joined { .. }) | None => None,
        })
    }

    fn entry(&mut self, member: MemberKey) -> &mut Option<MemberSlot> {
        let (table, index) = match member.0.checked_sub(FIRST_ORPHAN) {
            Some(orphan) => (&mut self.orphans, orphan as usize),
            None => (&mut self.member_index, member.0 as usize),
        };
        if table.len() <= index {
            table.resize_with(index + 1, || None);
        }
        &mut table[index]
    }
}

/// The part of a member that only questions need.
#[derive(Debug)]
pub(in crate::rooms) struct Profile {
    pub(in crate::rooms) user: Arc<str>,
    pub(in crate::rooms) session_id: u128,
    pub(in crate::rooms) joined_at: Timestamp,
    /// It counts among those who are there.
    pub(in crate::rooms) announced: bool,
    /// Its stay, if the room is told that it came, and so that it leaves.
    pub(in crate::rooms) stay: Option<StayId>,
    /// It was thrown out, or its room was deleted: what it says until its session has closed counts no more.
    pub(in crate::rooms) expelled: bool,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_of_orphans_are_used_again() {
        let room = RoomKey { index: 0, number: 1 };
        let mut member_index = MemberIndex::default();
        let first = member_index.new_orphan(MemberSlot::Waiting { room });
        let second = member_index.new_orphan(MemberSlot::Waiting { room });
        assert!(first != second && MemberIndex::is_orphan(first) && !MemberIndex::is_orphan(MemberKey(7)));
        assert_eq!(member_index.waiting().count(), 2);
        member_index.take(first);
        assert!(member_index.take(first).is_none());
        assert_eq!(member_index.new_orphan(MemberSlot::Waiting { room }), first);
        assert_ne!(member_index.new_orphan(MemberSlot::Waiting { room }), first);
    }
}
