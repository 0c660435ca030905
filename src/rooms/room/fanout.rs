//! Fan-out: moves the members of a room along its log.

use super::limits::{OnLag, RoomLimits};
use super::member::{Delivered, Member, MemberState};
use super::outcome::Outcome;
use super::parallel::{FanoutJob, FanoutPool};
use super::round::Round;
use super::state::Room;
use crate::rooms::api::effect::SessionEffect;
use crate::rooms::api::inspection::RecordedEvent;
use crate::rooms::api::peer::Peer;
use crate::rooms::clock::Moment;
use crate::rooms::ids::ReadingMember;
use crate::rooms::log::encoded::Failed;
use crate::rooms::log::encoding::LogId;
use crate::rooms::log::frames::SlicesTo;
use crate::rooms::message::notice::Notice;
use crate::rooms::reasons::RejectReason;
use crate::rooms::timestamp::Timestamp;
use crate::rooms::values::{Format, Variant};

/// How far the log may grow past its window while members that can take messages have not had their turn yet; then
/// they get it before anything more is appended.
// Four windows: a burst is sent in few large writes, and a room cannot grow without end while its shard has others to
// serve.
const PENDING_WINDOWS_MAX: usize = 4;

impl<P: Peer> Room<P> {
    /// Whether so much waits for its round that nothing may be appended before it has ended.
    pub(in crate::rooms) fn must_pump(&self, limits: &RoomLimits) -> bool {
        let not_fanned_out =
            usize::try_from(self.positions.visible() - self.positions.fanned_out()).unwrap_or(usize::MAX);
        not_fanned_out >= PENDING_WINDOWS_MAX * limits.window.messages
            || (not_fanned_out > 1 && self.log.window_bytes() >= PENDING_WINDOWS_MAX * limits.window.bytes)
    }

    /// Whether the room has more members than one thread should have to serve.
    pub(in crate::rooms) fn is_huge(&self, limits: &RoomLimits) -> bool {
        self.members.len() >= limits.parallel_members && self.conflated.is_none()
    }

    /// Whether anything was shown that not every member that is ready has been sent.
    pub(in crate::rooms) fn is_due(&self) -> bool {
        self.round.is_some() || self.positions.fanned_out() < self.positions.visible()
    }

    /// If a round has just ended and more is to be sent: what the next one sends could not be seen before this one began.
    pub(in crate::rooms) fn note_round_end(&mut self, now: Moment) {
        if self.round.is_none() {
            self.due_since = std::mem::replace(&mut self.round_since, now);
        }
    }

    /// Records what members have been sent between these two counts, if anything.
    #[inline]
    pub(in crate::rooms) fn record_sent(&mut self, at: Timestamp, before: Delivered, now: Delivered) {
        if self.recorder.is_some() && now.messages > before.messages {
            let (deliveries, bytes) = (now.messages - before.messages, now.bytes - before.bytes);
            self.record(at, RecordedEvent::Sent { seq: self.positions.visible(), deliveries, bytes });
        }
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
        let mut round = self.round.take().unwrap_or(Round { next: 0, target: self.positions.visible() });
        let end = self.members.len().min(round.next.saturating_add(budget));
        if limits.on_lag == OnLag::Close && self.conflated.is_none() {
            self.give_up_blocked(round.next, end, out);
        }
        let has_plain = self.members.want_plain() && self.conflated.is_none();
        while round.next < end {
            if fanout_pool.parallelism() > 1
                && self.is_huge(limits)
                && round.next.is_multiple_of(limits.block_size.members())
            {
                round.next = self.fan_out_in_parallel(round.next, end, limits, fanout_pool, out);
                continue;
            }
            if has_plain {
                let next = self.pump_plain(round.next, end, out);
                if next > round.next {
                    round.next = next;
                    continue;
                }
            }
            self.pump_member(round.next, limits, out);
            round.next += 1;
        }
        if round.next < self.members.len() {
            self.round = Some(round);
            return false;
        }
        self.positions.fan_out_to(round.target);
        if !self.polls.is_empty() {
            self.answer_polls();
        }
        self.evict(limits);
        self.positions.fanned_out() == self.positions.visible()
    }

    /// Has the fan-out pool send to the blocks from the member at `from` to the one before `end` at least; returns
    /// where it got to. The owner of the room waits: nothing about it changes meanwhile.
    fn fan_out_in_parallel(
        &mut self,
        from: usize,
        end: usize,
        limits: &RoomLimits,
        fanout_pool: &dyn FanoutPool<P>,
        out: &mut Outcome,
    ) -> usize {
        let block_members = limits.block_size.members();
        let numbers = limits.block_size.block(from)..end.div_ceil(block_members);
        let deflated = if self.members.want_deflated() {
            self.deflated.share(
                &self.log,
                self.positions.fanned_out(),
                self.positions.visible(),
                &limits.deflate,
            )
        } else {
            None
        };
        let job = |number| FanoutJob {
            log: self.log.clone(),
            deflated: deflated.clone(),
            visible: self.positions.visible(),
            number,
            members: self.members.take_block(number),
            behind: Vec::new(),
            delivered: Delivered::default(),
        };
        let jobs = numbers.map(job).collect();
        for job in fanout_pool.run(jobs) {
            let FanoutJob { number, members, behind, delivered, .. } = job;
            out.delivered.add(delivered);
            self.members.put_back(number, members);
            for index in behind {
                self.pump_member(number * block_members + index, limits, out);
            }
        }
        self.members.len().min(end.next_multiple_of(block_members))
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
        if self.stored_as.is_some() && cursor + 1 < self.positions.oldest() {
            self.leave_behind(position, cursor + 1, self.positions.oldest() - 1);
        }
        self.pump_member(position, limits, out);
    }

    /// Sends to the members from `from` on, in their block and before `end`, as long as they are sent the log as it is and
    /// have not fallen behind it; returns the position of the first that needs [`Room::pump_member`].
    fn pump_plain(&mut self, from: usize, end: usize, out: &mut Outcome) -> usize {
        let last = self.positions.visible();
        let mut slices = SlicesTo::new(&self.log, last);
        let mut next = from;
        for member in self.members.block_from(from).iter_mut().take(end - from) {
            if member.state == MemberState::Ready && member.cursor < last {
                if member.variant != Variant::Plain {
                    break;
                }
                let Some(slice) = slices.after(member.cursor) else { break };
                out.delivered.add(member.send(slice, last));
            }
            next += 1;
        }
        next
    }

    pub(in crate::rooms) fn pump_member(&mut self, position: usize, limits: &RoomLimits, out: &mut Outcome) {
        let Some(member) = self.members.get_mut(position) else { return };
        if member.state != MemberState::Ready || member.cursor >= self.positions.visible() {
            return;
        }
        if self.conflated.is_some() {
            return self.fan_out_conflated(position, out);
        }
        let (cursor, last) = (member.cursor, self.positions.visible());
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
            return out.delivered.add(member.send(&slice, self.positions.visible()));
        }
        // Plain payloads cannot tell of a gap.
        let can_be_told = self.format == Format::Chat || member.variant == Variant::Encoded;
        match (limits.on_lag, self.stored_as) {
            (OnLag::CatchUp, Some(_)) => {
                member.state = MemberState::Reading;
                let (room, member, session) = (self.key, member.key, member.session);
                out.catch_up.push(ReadingMember { room, member, session });
            }
            (OnLag::CatchUp | OnLag::Gap, _) if can_be_told => {
                self.leave_behind(position, cursor + 1, self.positions.visible());
            }
            (OnLag::Close | OnLag::CatchUp | OnLag::Gap, _) => self.give_up(position, out),
        }
    }

    /// Sends a member of a conflated relay what counts of what it lacks.
    fn fan_out_conflated(&mut self, position: usize, out: &mut Outcome) {
        let Some(conflated) = &mut self.conflated else { return };
        let Some(member) = self.members.get_mut(position) else { return };
        let (cursor, last) = (member.cursor, self.positions.visible());
        if cursor < conflated.lost() && member.variant != Variant::Encoded {
            return self.give_up(position, out);
        }
        let mut cursor = cursor;
        if cursor < conflated.lost() {
            let (room, epoch, from, to, at) =
                (&*self.name, self.epoch, cursor + 1, conflated.lost(), member.sent_at);
            let mut gap = Vec::new();
            self.encoded.write(member.key, &Notice::Gap { room, epoch, from, to, at }, &mut gap);
            member.peer.reply(&gap, 1);
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
            Some(slice) if !slice.bytes().is_empty() => out.delivered.add(member.send(&slice, last)),
            Some(_) | None => member.cursor = last,
        }
    }

    /// The encoding of this member has panicked: its session ends, and nothing that it wrote is sent to others.
    pub(in crate::rooms) fn fail(&mut self, position: usize, out: &mut Outcome) {
        self.encoded.forget_log();
        if let Some(member) = self.members.get_mut(position) {
            member.state = MemberState::Gone;
            out.session_effects.push(SessionEffect::Close(member.session, RejectReason::HandlerFailed));
        }
    }

    /// Gives up those of these members whose sockets are full and whose next message has left the window: no room in a socket
    /// would help them, and there may be none for long.
    fn give_up_blocked(&mut self, from: usize, end: usize, out: &mut Outcome) {
        let (tail, oldest) = (self.log.tail(), self.positions.oldest());
        for position in from..end {
            let is_lost = |member: &Member<P>| {
                // What is kept no longer it would not be sent in any case: it goes on behind that.
                member.state == MemberState::Blocked && (member.cursor + 1).max(oldest) < tail
            };
            if self.members.get(position).is_some_and(is_lost) {
                self.give_up(position, out);
            }
        }
    }

    /// The member is too far behind to be helped: its session ends.
    fn give_up(&mut self, position: usize, out: &mut Outcome) {
        if let Some(member) = self.members.get_mut(position) {
            member.state = MemberState::Gone;
            out.session_effects.push(SessionEffect::Close(member.session, RejectReason::TooSlow));
        }
    }

    /// The member goes on after message `to`, and is told that it does not get those from `from` on.
    pub(in crate::rooms) fn leave_behind(&mut self, position: usize, from: u64, to: u64) {
        debug_assert!(to <= self.positions.visible(), "a gap that reaches above what is visible");
        debug_assert!(from <= to, "a gap of nothing");
        let Some(member) = self.members.get(position) else { return };
        let (room, epoch, at) = (&*self.name, self.epoch, member.sent_at);
        self.tell(member, &Notice::Gap { room, epoch, from, to, at });
        if let Some(member) = self.members.get_mut(position) {
            member.cursor = to;
        }
    }
}
