//! A newcomer takes its place in a room.

use super::beginning::Beginning;
use super::limits::RoomLimits;
use super::member::{Member, MemberState};
use super::outcome::Outcome;
use super::state::Room;
use crate::rooms::api::command::Join;
use crate::rooms::api::peer::Peer;
use crate::rooms::ids::MemberKey;
use crate::rooms::message::notice::Notice;
use crate::rooms::timestamp::Timestamp;
use crate::rooms::values::Variant;

impl<P: Peer> Room<P> {
    /// How many users there are for one that has just come.
    fn users_with_newcomer(&self) -> usize {
        let elsewhere = self.submissions.as_ref().map_or(0, |said| said.users_with_newcomer());
        self.presence.users().max(usize::try_from(elsewhere).unwrap_or(usize::MAX))
    }

    /// Adds a newcomer and greets it; returns its position, and its start if that is a time that has left the window.
    /// A newcomer that begins before the window is left in [`MemberState::Reading`], and a page has to be asked for.
    pub(in crate::rooms) fn join(&mut self, newcomer: Join<P>) -> (usize, Option<Timestamp>) {
        let Join { member: key, session, session_id, user, peer, start, welcome, variant, encoding, .. } =
            newcomer;
        if let Some(encoding) = encoding {
            self.encoded.insert(key, encoding);
        }
        let mut greeting = Vec::new();
        let Beginning { cursor, since, gap, at } = self.beginning(start);
        if welcome {
            let (room, epoch, seq) = (&*self.name, self.epoch, self.positions.visible().max(cursor));
            let (online, user) = (self.users_with_newcomer(), &*user);
            let from = (since.is_none() && gap.is_none()).then_some(cursor);
            let welcome = Notice::Welcome { room, session_id, user, epoch, seq, online, from, at };
            self.encoded.write(key, &welcome, &mut greeting);
        }
        if let Some((from, to)) = gap {
            let (room, epoch) = (&*self.name, self.epoch);
            self.encoded.write(key, &Notice::Gap { room, epoch, from, to, at }, &mut greeting);
        }
        if !greeting.is_empty() {
            peer.reply(&greeting, u64::from(welcome) + u64::from(gap.is_some()));
        }
        // A newcomer that starts further back holds the window there until its first turn.
        self.positions.fan_out_from(cursor.max(self.log.tail() - 1));
        let behind = self.stored_as.is_some() && cursor + 1 < self.log.tail();
        let state = if behind || since.is_some() { MemberState::Reading } else { MemberState::Ready };
        (self.members.push(Member { cursor, sent_at: at, session, peer, key, state, variant }), since)
    }
}

impl<P: Peer> Room<P> {
    /// Takes a member out; returns the member that moved to its position, if one did.
    pub(in crate::rooms) fn remove(
        &mut self,
        position: usize,
        limits: &RoomLimits,
        out: &mut Outcome,
    ) -> Option<MemberKey> {
        let removed = self.members.swap_remove(position)?;
        if removed.variant == Variant::Encoded {
            self.encoded.remove(removed.key);
        }
        let last = self.members.len();
        let moved = self.members.get(position)?.key;
        // The member that moved down may have been ahead of the round and be behind it now: it gets its turn here.
        if self.round.is_some_and(|round| position < round.next && round.next <= last) {
            self.pump_member(position, limits, out);
        }
        Some(moved)
    }
}
