//! The pump: moves the members of a room along its log.

use super::member::MemberState;
use super::members::BLOCK;
use super::parallel::{FanoutJob, FanoutPool};
use super::state::{OnLag, Room, RoomLimits};
use crate::rooms::api::command::{Effect, Format, MemberKey, Reader, RejectReason, Variant};
use crate::rooms::api::peer::Peer;
use crate::rooms::api::store::Page;
use crate::rooms::log::encoded::{Failed, LogId};
use crate::rooms::log::frames::Log;
use crate::rooms::message::chat::{Notice, encode_stored};
use crate::rooms::timestamp::Timestamp;

/// How far the log may grow past its window while members that can take messages have not had their turn yet; then
/// they get it before anything more is appended.
const PENDING_WINDOWS_MAX: usize = 4;

/// One pass over the members, possibly in slices.
#[derive(Clone, Copy, Debug)]
pub(in crate::rooms) struct Round {
    /// The next position to pump.
    next: usize,
    /// What was visible when the round began.
    target: u64,
}

/// What a page came to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::rooms) enum PageOutcome {
    /// The member goes on.
    Applied,
    /// It is not what was asked for: the member has to ask once more.
    Mismatch,
}

/// Where the pump leaves what the shard has to do.
#[derive(Debug, Default)]
pub(in crate::rooms) struct Outcome {
    pub(in crate::rooms) effects: Vec<Effect>,
    /// Members whose next messages have to be read from the store.
    pub(in crate::rooms) catch_up: Vec<Reader>,
}

impl<P: Peer> Room<P> {
    /// Whether so much waits for its round that nothing may be appended before it has ended.
    pub(in crate::rooms) fn must_pump(&self, limits: &RoomLimits) -> bool {
        let not_fanned_out =
            usize::try_from(self.visible - self.fanned_out.min(self.visible)).unwrap_or(usize::MAX);
        not_fanned_out >= PENDING_WINDOWS_MAX * limits.window.messages
            || (not_fanned_out > 1 && self.log.window_bytes() >= PENDING_WINDOWS_MAX * limits.window.bytes)
    }

    /// Whether the room has more members than one thread should have to serve.
    pub(in crate::rooms) fn is_huge(&self, limits: &RoomLimits) -> bool {
        self.members.len() >= limits.parallel_members && self.conflated.is_none()
    }

    /// Whether anything was shown that not every member that is ready has been sent.
    pub(in crate::rooms) fn is_due(&self) -> bool {
        self.round.is_some() || self.fanned_out < self.visible
    }

    /// Goes on with the round (or begins one) for at most `budget` members. True once every member that is ready has
    /// all that is visible.
    pub(in crate::rooms) fn pump(
        &mut self,
        budget: usize,
        limits: &RoomLimits,
        fanout_pool: &dyn FanoutPool<P>,
        out: &mut Outcome,
    ) -> bool {
        let mut round = self.round.take().unwrap_or(Round { next: 0, target: self.visible });
        let end = self.members.len().min(round.next.saturating_add(budget));
        while round.next < end {
            if fanout_pool.parallelism() > 1 && self.is_huge(limits) && round.next.is_multiple_of(BLOCK) {
                round.next = self.fan_out_in_parallel(round.next, end, limits, fanout_pool, out);
            } else {
                self.pump_member(round.next, limits, out);
                round.next += 1;
            }
        }
        if round.next < self.members.len() {
            self.round = Some(round);
            return false;
        }
        self.fanned_out = round.target;
        if !self.polls.is_empty() {
            self.answer_polls();
        }
        self.evict(limits);
        self.fanned_out == self.visible
    }

    /// Has the crew pump the blocks from the member at `from` to the one before `end` at least; returns where it got
    /// to. The owner of the room waits: nothing about it changes meanwhile.
    fn fan_out_in_parallel(
        &mut self,
        from: usize,
        end: usize,
        limits: &RoomLimits,
        fanout_pool: &dyn FanoutPool<P>,
        out: &mut Outcome,
    ) -> usize {
        let numbers = from / BLOCK..end.div_ceil(BLOCK);
        let deflated = if self.members.want_deflated() {
            self.deflated.share(&self.log, self.fanned_out.min(self.visible), self.visible, &limits.deflate)
        } else {
            None
        };
        let job = |number| FanoutJob {
            log: self.log.clone(),
            deflated: deflated.clone(),
            visible: self.visible,
            number,
            members: self.members.take_block(number),
            behind: Vec::new(),
        };
        let jobs = numbers.map(job).collect();
        for job in fanout_pool.run(jobs) {
            let FanoutJob { number, members, behind, .. } = job;
            self.members.put_back(number, members);
            for index in behind {
                self.pump_member(number * BLOCK + index, limits, out);
            }
        }
        self.members.len().min(end.next_multiple_of(BLOCK))
    }

    /// Ends the round that is under way, however many members it has left.
    pub(in crate::rooms) fn pump_all(
        &mut self,
        limits: &RoomLimits,
        fanout_pool: &dyn FanoutPool<P>,
        out: &mut Outcome,
    ) {
        while !self.pump(usize::MAX, limits, fanout_pool, out) {}
    }

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

    /// The member's peer can take messages again. What is kept no longer by now it does not get, although it may be in
    /// memory still, for others.
    pub(in crate::rooms) fn resume(&mut self, position: usize, limits: &RoomLimits, out: &mut Outcome) {
        let Some(member) =
            self.members.get_mut(position).filter(|member| member.state == MemberState::Blocked)
        else {
            return;
        };
        member.state = MemberState::Ready;
        let cursor = member.cursor;
        if self.stored_as.is_some() && cursor + 1 < self.oldest {
            self.leave_behind(position, cursor + 1, self.oldest - 1);
        }
        self.pump_member(position, limits, out);
    }

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
            member.cursor = page.start.min(self.visible);
            has_lost = page.gone_at > since;
        }
        if page_after.min(self.visible) >= self.oldest {
            (self.oldest, self.gone_at) = (page_after.min(self.visible) + 1, page.gone_at);
        }
        let (kept_after, cursor) = (self.oldest - 1, member.cursor);
        if has_lost || cursor < kept_after {
            // How many of the messages that are gone were later than a time cannot be told any more.
            let from = if since.is_some() && has_lost { 1 } else { cursor + 1 };
            self.leave_behind(position, from, kept_after.max(cursor));
        }
        self.send_page(position, page);
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
            out.catch_up.push(Reader { room, member, session, number: 0 });
            return PageOutcome::Applied;
        }
        self.pump_member(position, limits, out);
        PageOutcome::Applied
    }

    /// Sends a member what a page has after its cursor. Plain for everybody: a page is for one member alone, whom compressing
    /// it would serve at the cost of the room.
    fn send_page(&mut self, position: usize, page: &Page) {
        let Some(member) = self.members.get_mut(position) else { return };
        let mut log = Log::after(member.cursor);
        for stored in &page.messages {
            if stored.seq == log.head() + 1 && stored.seq <= self.visible {
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
            member.send(&slice, log.head());
        }
    }

    pub(in crate::rooms) fn pump_member(&mut self, position: usize, limits: &RoomLimits, out: &mut Outcome) {
        let Some(member) = self.members.get_mut(position) else { return };
        if member.state != MemberState::Ready || member.cursor >= self.visible {
            return;
        }
        if self.conflated.is_some() {
            return self.fan_out_conflated(position, out);
        }
        let (cursor, last) = (member.cursor, self.visible);
        let slice = match member.variant {
            Variant::Plain => None,
            Variant::Deflated => self.deflated.slice(&self.log, cursor, last, &limits.deflate),
            Variant::Encoded => {
                let log_id = LogId { room: &self.name, epoch: self.epoch };
                match self.encoded.log(member.key, log_id, &self.log, cursor, last) {
                    Ok(log) => log.and_then(|log| log.slice(cursor, last)),
                    Err(Failed) => return self.fail(position, out),
                }
            }
        };
        if let Some(slice) = slice.or_else(|| self.log.slice(cursor, last)) {
            return member.send(&slice, self.visible);
        }
        // Plain payloads cannot tell of a gap.
        let can_be_told = self.format == Format::Chat || member.variant == Variant::Encoded;
        match (limits.on_lag, self.stored_as) {
            (OnLag::CatchUp, Some(_)) => {
                member.state = MemberState::Reading;
                let (room, member, session) = (self.key, member.key, member.session);
                out.catch_up.push(Reader { room, member, session, number: 0 });
            }
            (OnLag::CatchUp | OnLag::Gap, _) if can_be_told => {
                self.leave_behind(position, cursor + 1, self.visible);
            }
            (OnLag::Close | OnLag::CatchUp | OnLag::Gap, _) => self.give_up(position, out),
        }
    }

    /// Sends a member of a conflated relay what counts of what it lacks.
    fn fan_out_conflated(&mut self, position: usize, out: &mut Outcome) {
        let Some(conflated) = &mut self.conflated else { return };
        let Some(member) = self.members.get_mut(position) else { return };
        let (cursor, last) = (member.cursor, self.visible);
        if cursor < conflated.lost() && member.variant != Variant::Encoded {
            return self.give_up(position, out);
        }
        let mut cursor = cursor;
        if cursor < conflated.lost() {
            let (room, epoch, from, to, at) =
                (&*self.name, self.epoch, cursor + 1, conflated.lost(), member.sent_at);
            let mut gap = Vec::new();
            self.encoded.write(member.key, &Notice::Gap { room, epoch, from, to, at }, &mut gap);
            member.peer.reply(&gap);
            // Told once, whether the peer takes anything behind it or not.
            (cursor, member.cursor) = (to, to);
        }
        let log_id = LogId { room: &self.name, epoch: self.epoch };
        let encoding = self.encoded.get(member.key);
        let log = conflated.log(encoding.as_ref(), log_id, cursor, last);
        if self.encoded.has_failed(member.key) {
            conflated.forget_sent();
            return self.fail(position, out);
        }
        match log.slice(cursor, last) {
            Some(slice) if !slice.bytes().is_empty() => member.send(&slice, last),
            Some(_) | None => member.cursor = last,
        }
    }

    /// The encoding of this member has panicked: its session ends, and nothing that it wrote is sent to others.
    pub(in crate::rooms) fn fail(&mut self, position: usize, out: &mut Outcome) {
        self.encoded.forget_log();
        if let Some(member) = self.members.get_mut(position) {
            member.state = MemberState::Gone;
            out.effects.push(Effect::Close(member.session, RejectReason::HandlerFailed));
        }
    }

    /// The member is too far behind to be helped: its session ends.
    fn give_up(&mut self, position: usize, out: &mut Outcome) {
        if let Some(member) = self.members.get_mut(position) {
            member.state = MemberState::Gone;
            out.effects.push(Effect::Close(member.session, RejectReason::TooSlow));
        }
    }

    /// The member goes on after message `to`, and is told that it does not get those from `from` on.
    fn leave_behind(&mut self, position: usize, from: u64, to: u64) {
        debug_assert!(to <= self.visible, "a gap that reaches above what is visible");
        debug_assert!(from <= to, "a gap of nothing");
        let Some(member) = self.members.get(position) else { return };
        let (room, epoch, at) = (&*self.name, self.epoch, member.sent_at);
        self.tell(member, &Notice::Gap { room, epoch, from, to, at });
        if let Some(member) = self.members.get_mut(position) {
            member.cursor = to;
        }
    }
}
