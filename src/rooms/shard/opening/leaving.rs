//! Members that go while their room is being opened: they leave, or are thrown out.

use crate::rooms::api::command::Command;
use crate::rooms::api::peer::Peer;
use crate::rooms::clock::Now;
use crate::rooms::ids::{MemberKey, RoomKey};
use crate::rooms::reasons::RejectReason;
use crate::rooms::shard::member_index::{MemberIndex, MemberSlot};
use crate::rooms::shard::room_opening::{Held, Opening};
use crate::rooms::shard::state::{RoomSlot, Shard};

impl<P> Opening<P> {
    /// The member has left, and its key may be given to another one: what it did goes on under a key of the shard's own.
    fn rename(&mut self, from: MemberKey, to: MemberKey) {
        for held in &mut self.held {
            match &mut held.command {
                Command::Join(join) if join.member == from => join.member = to,
                Command::Publish { member, .. } | Command::Leave(member) | Command::After(member, _)
                    if *member == from =>
                {
                    *member = to;
                }
                Command::Join(_)
                | Command::Publish { .. }
                | Command::Leave(_)
                | Command::Tell(..)
                | Command::Resume(_)
                | Command::Request(_)
                | Command::After(..)
                | Command::Barrier => {}
            }
        }
    }
}

impl<P: Peer> Shard<P> {
    /// A member leaves a room that is not open yet.
    pub(in crate::rooms::shard) fn leave_waiting(&mut self, member: MemberKey, room: RoomKey, now: Now) {
        let Some(RoomSlot::Opening(opening)) = self.rooms.get_mut(room.index) else { return };
        if opening.is_absent() {
            // A reader, which was never announced.
            drop(opening.take(&self.limits.bounds, |command, _| command.joiner() == Some(member)));
            return self.remove_if_unwanted(room.index);
        }
        // What it has published is stored all the same, between its JOIN and its LEAVE.
        let orphan = self.member_index.new_orphan(MemberSlot::Waiting { room });
        opening.rename(member, orphan);
        self.member_index.set(member, MemberSlot::Left { room });
        let leave = Command::Leave(orphan);
        // Never refused: its JOIN was charged for it, too.
        opening.held.push(Held::new(leave, now.steady, 0));
    }

    /// Closes the sessions that wait for a room (of one user, if named, whose polls end as well); returns how many.
    pub(in crate::rooms::shard) fn close_waiting(
        &mut self,
        index: usize,
        user: Option<&str>,
        reason: RejectReason,
    ) -> usize {
        let Some(RoomSlot::Opening(opening)) = self.rooms.get_mut(index) else { return 0 };
        let is_meant = |command: &Command<P>, _| match command {
            Command::Join(join) => {
                user.is_none_or(|user| *join.user == *user) && !MemberIndex::is_orphan(join.member)
            }
            Command::Request(request) => user.is_some_and(|user| request.is_poll_of(user)),
            Command::Publish { .. }
            | Command::Leave(_)
            | Command::Tell(..)
            | Command::Resume(_)
            | Command::After(..)
            | Command::Barrier => false,
        };
        let meant = opening.take(&self.limits.bounds, is_meant);
        let count = meant.iter().filter(|command| command.joiner().is_some()).count();
        for join in meant {
            // What they have said goes with them: their keys may be others' before the room is there.
            if let Some(member) = join.joiner()
                && let Some(RoomSlot::Opening(opening)) = self.rooms.get_mut(index)
            {
                drop(opening.take(
                    &self.limits.bounds,
                    |command, _| matches!(command, Command::Publish { member: of, .. } if *of == member),
                ));
            }
            self.refuse(join, reason);
        }
        self.remove_if_unwanted(index);
        count
    }
}
