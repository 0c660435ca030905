//! A page from the store for a member that reads.

use super::limits::RoomLimits;
use super::member::MemberState;
use super::outcome::Outcome;
use super::state::Room;
use crate::rooms::api::peer::Peer;
use crate::rooms::api::store::Page;
use crate::rooms::ids::ReadingMember;
use crate::rooms::log::encoding::LogId;
use crate::rooms::log::frames::Log;
use crate::rooms::log::stored::encode_stored;
use crate::rooms::timestamp::Timestamp;
use crate::rooms::values::Variant;

/// What a page came to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::rooms) enum PageOutcome {
    /// The member goes on.
    Applied,
    /// It is not what was asked for: the member has to ask once more.
    Mismatch,
}

impl<P: Peer> Room<P> {
    /// A page has come for a member that reads, after its cursor or, if it `since` has no other position, a time.
    pub(in crate::rooms) fn apply_page(
        &mut self,
        position: usize,
        page: &Page,
        since: Option<Timestamp>,
        limits: &RoomLimits,
        out: &mut Outcome,
    ) -> PageOutcome {
        let is_kept_in_store = self.record_as().is_some();
        let Some(member) = self.members.get_mut(position) else { return PageOutcome::Applied };
        let page_after = page.tail.saturating_sub(1);
        let fits = page.messages.iter().zip(page.start + 1..).all(|(stored, seq)| stored.seq == seq);
        if !fits || (since.is_none() && page.start != member.cursor.max(page_after)) {
            return PageOutcome::Mismatch;
        }
        let has_nothing = page.messages.is_empty() && page.start.max(page_after) + 1 < self.log.tail();
        // The store has what has left the window of a room that is stored.
        if has_nothing && is_kept_in_store {
            return PageOutcome::Mismatch;
        }
        member.state = MemberState::Ready;
        let mut has_lost = member.cursor < page_after;
        if let Some(since) = since {
            member.cursor = page.start.min(self.positions.visible());
            has_lost = page.gone_at > since;
        }
        if page_after.min(self.positions.visible()) >= self.positions.oldest() {
            self.positions.begin_at(page_after.min(self.positions.visible()) + 1);
            self.gone_at = page.gone_at;
        }
        let (kept_after, cursor) = (self.positions.oldest() - 1, member.cursor);
        if has_lost || cursor < kept_after {
            // How many of the messages that are gone were later than a time cannot be told any more.
            let from = if since.is_some() && has_lost { 1 } else { cursor + 1 };
            self.leave_behind(position, from, kept_after.max(cursor));
        }
        self.send_page(position, page, out);
        let Some(member) = self.members.get_mut(position) else { return PageOutcome::Applied };
        if self.encoded.has_failed(member.key) {
            // Its cursor would never move, and the store be read for it without end.
            self.fail(position, out);
            return PageOutcome::Applied;
        }
        if has_nothing && member.cursor + 1 < self.log.tail() {
            // The store has nothing where the window has left off: what is in between is lost.
            let cursor = member.cursor;
            self.leave_behind(position, cursor + 1, self.log.tail() - 1);
        } else if member.state == MemberState::Ready && member.cursor + 1 < self.log.tail() {
            member.state = MemberState::Reading;
            let (room, member, session) = (self.key, member.key, member.session);
            out.catch_up.push(ReadingMember { room, member, session });
            return PageOutcome::Applied;
        }
        self.pump_member(position, limits, out);
        PageOutcome::Applied
    }

    /// Sends a member what a page has after its cursor. Plain for everybody: a page is for one member alone, whom
    /// compressing it would serve at the cost of the room.
    fn send_page(&mut self, position: usize, page: &Page, out: &mut Outcome) {
        let Some(member) = self.members.get_mut(position) else { return };
        let mut log = Log::after(member.cursor);
        for stored in &page.messages {
            if stored.seq == log.head() + 1 && stored.seq <= self.positions.visible() {
                encode_stored(&mut log, &self.name, self.epoch, stored);
            }
        }
        if member.variant == Variant::Encoded {
            let log_id = LogId { room: &self.name, epoch: self.epoch };
            log = self.encoded.page(member.key, log_id, &log, member.cursor).unwrap_or(log);
            if self.encoded.has_failed(member.key) {
                return;
            }
        }
        if let Some(slice) = log.slice(member.cursor, log.head()).filter(|slice| slice.frames() > 0) {
            out.delivered.add(member.send(&slice, log.head()));
        }
    }
}
