//! One room: a log, the members' cursors on it, and the pump that moves them.

use std::sync::Arc;
use std::time::Duration;

use super::command::{Effect, Format, MemberKey, SessionKey, Start};
use super::dedup::Dedup;
use super::log::{Log, Window};
use super::message::{self, Envelope, Kind, Notices, SYSTEM_SENDER, Welcome};
use super::peer::{Peer, Sent};
use super::presence::Presence;
use super::timestamp::Timestamp;
use crate::ws::{OpCode, encode};

/// How far the log may grow past its window while members that can take messages have not had their turn yet; then
/// they get it before anything more is appended.
const UNSERVED_WINDOWS_MAX: usize = 4;

/// What becomes of a member that fell behind the window.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum OnLag {
    /// It is told which messages it lost and goes on with the next one.
    Gap,
    /// Its session is closed as too slow.
    Close,
}

/// The limits and texts that hold for every room of a shard.
#[derive(Clone, Debug)]
pub struct RoomLimits {
    /// How much of a log stays in memory.
    pub window: Window,
    /// What becomes of a member that fell behind it. Relay rooms cannot tell of a gap and always close.
    pub on_lag: OnLag,
    /// Members of one room at most.
    pub members: usize,
    /// Rooms of one shard at most.
    pub rooms: usize,
    /// How long a client's message id is remembered.
    pub dedup_window: Duration,
    /// The texts of JOIN and LEAVE.
    pub notices: Notices,
}

/// A position in the log and a socket.
#[derive(Debug)]
struct Member<P> {
    /// The last message that this member has been sent.
    cursor: u64,
    session: SessionKey,
    peer: P,
    key: MemberKey,
    /// The peer takes nothing until it is resumed.
    blocked: bool,
}

/// One pass over the members, possibly in slices.
#[derive(Clone, Copy, Debug)]
struct Round {
    /// The next position to pump.
    next: usize,
    /// The head when the round began.
    target: u64,
}

/// A newcomer as the room needs to know it.
#[derive(Debug)]
pub(super) struct Newcomer<P> {
    pub(super) key: MemberKey,
    pub(super) session: SessionKey,
    pub(super) session_id: u128,
    pub(super) user: Arc<str>,
    pub(super) peer: P,
    pub(super) start: Start,
    pub(super) hello: bool,
}

/// One room.
#[derive(Debug)]
pub(super) struct Room<P> {
    pub(super) name: Box<str>,
    pub(super) format: Format,
    pub(super) presence: Presence,
    /// Whether the shard's queue of rooms to pump holds this one.
    pub(super) queued: bool,
    epoch: u64,
    log: Log,
    last_at: Timestamp,
    /// Dense, in no order: the pump walks it from end to end.
    members: Vec<Member<P>>,
    dedup: Option<Box<Dedup>>,
    /// Every member that was not blocked has been sent the messages up to here, so they may leave the window.
    served: u64,
    round: Option<Round>,
}

impl<P: Peer> Room<P> {
    pub(super) fn new(name: Box<str>, format: Format, epoch: u64) -> Room<P> {
        Room {
            name,
            format,
            presence: Presence::default(),
            queued: false,
            epoch,
            log: Log::default(),
            last_at: Timestamp::default(),
            members: Vec::new(),
            dedup: None,
            served: 0,
            round: None,
        }
    }

    pub(super) fn member_count(&self) -> usize {
        self.members.len()
    }

    /// Seats a newcomer and greets it; returns its position.
    pub(super) fn join(&mut self, newcomer: Newcomer<P>) -> usize {
        let Newcomer { key, session, session_id, user, peer, start, hello } = newcomer;
        let head = self.log.head();
        let mut greeting = Vec::new();
        if hello {
            let online = self.presence.users();
            let (room, epoch) = (&*self.name, self.epoch);
            Welcome { room, session_id, user: &user, epoch, seq: head, online }.encode(&mut greeting);
        }
        let cursor = self.start_cursor(start, &mut greeting);
        if !greeting.is_empty() {
            peer.reply(&greeting);
        }
        // A newcomer that starts further back holds the window there until its first turn.
        self.served = self.served.min(cursor);
        self.members.push(Member { cursor, session, peer, key, blocked: false });
        self.members.len() - 1
    }

    /// Takes a member out; returns the member that moved to its position, if one did.
    pub(super) fn remove(
        &mut self,
        position: usize,
        limits: &RoomLimits,
        effects: &mut Vec<Effect>,
    ) -> Option<MemberKey> {
        let last = self.members.len().checked_sub(1)?;
        self.members.swap_remove(position);
        let moved = self.members.get(position)?.key;
        // The member that moved down may have been ahead of the round and be behind it now: it gets its turn here.
        if self.round.is_some_and(|round| position < round.next && round.next <= last) {
            self.pump_member(position, limits, effects);
        }
        Some(moved)
    }

    /// Appends a notice about `user`.
    pub(super) fn notify(&mut self, kind: Kind, user: &str, limits: &RoomLimits, now: Timestamp) {
        let content = limits.notices.text(kind, user);
        self.append_chat(kind, SYSTEM_SENDER, &content, None, now);
        self.log.evict(limits.window, self.served);
    }

    /// Appends a chat message of `user`. False if its client id was seen before.
    pub(super) fn publish_chat(
        &mut self,
        user: &str,
        content: &str,
        client_id: Option<&str>,
        limits: &RoomLimits,
        now: Timestamp,
    ) -> bool {
        if let Some(id) = client_id
            && !self.dedup.get_or_insert_default().first(id, now, limits.dedup_window)
        {
            return false;
        }
        self.append_chat(Kind::Message, user, content, client_id, now);
        self.log.evict(limits.window, self.served);
        true
    }

    /// Appends a payload as it is.
    pub(super) fn publish_relay(&mut self, payload: &[u8], text: bool, limits: &RoomLimits, now: Timestamp) {
        let opcode = if text { OpCode::Text } else { OpCode::Binary };
        self.last_at = now.after(self.last_at);
        self.log.append(self.last_at, |out| encode::frame(out, opcode, payload));
        self.log.evict(limits.window, self.served);
    }

    /// Whether so much waits for its round that nothing may be appended before it has ended.
    pub(super) fn must_pump(&self, limits: &RoomLimits) -> bool {
        let unserved = usize::try_from(self.log.head() - self.served).unwrap_or(usize::MAX);
        unserved >= UNSERVED_WINDOWS_MAX * limits.window.messages
            || (unserved > 1 && self.log.window_bytes() >= UNSERVED_WINDOWS_MAX * limits.window.bytes)
    }

    /// Goes on with the round (or begins one) for at most `budget` members. True once every member that can take
    /// messages has all of them.
    pub(super) fn pump(&mut self, budget: usize, limits: &RoomLimits, effects: &mut Vec<Effect>) -> bool {
        let mut round = self.round.take().unwrap_or(Round { next: 0, target: self.log.head() });
        let end = self.members.len().min(round.next.saturating_add(budget));
        while round.next < end {
            self.pump_member(round.next, limits, effects);
            round.next += 1;
        }
        if round.next < self.members.len() {
            self.round = Some(round);
            return false;
        }
        self.served = round.target;
        self.log.evict(limits.window, self.served);
        self.served == self.log.head()
    }

    /// Ends the round that is under way, however many members it has left.
    pub(super) fn pump_all(&mut self, limits: &RoomLimits, effects: &mut Vec<Effect>) {
        while !self.pump(usize::MAX, limits, effects) {}
    }

    /// The member's peer can take messages again.
    pub(super) fn resume(&mut self, position: usize, limits: &RoomLimits, effects: &mut Vec<Effect>) {
        if let Some(member) = self.members.get_mut(position) {
            member.blocked = false;
            self.pump_member(position, limits, effects);
        }
    }

    fn pump_member(&mut self, position: usize, limits: &RoomLimits, effects: &mut Vec<Effect>) {
        let head = self.log.head();
        let Some(member) = self.members.get_mut(position) else { return };
        if member.blocked || member.cursor == head {
            return;
        }
        let Some(slice) = self.log.slice(member.cursor) else {
            return self.leave_behind(position, limits, effects);
        };
        match member.peer.send(&slice) {
            Sent::All => member.cursor = head,
            Sent::Blocked { frames } => {
                member.cursor += frames;
                member.blocked = true;
            }
            Sent::Closed => member.blocked = true,
        }
    }

    /// The member's next message is no longer in memory.
    fn leave_behind(&mut self, position: usize, limits: &RoomLimits, effects: &mut Vec<Effect>) {
        let head = self.log.head();
        let Some(member) = self.members.get_mut(position) else { return };
        match (limits.on_lag, self.format) {
            (OnLag::Gap, Format::Chat) => {
                let mut gap = Vec::new();
                message::encode_gap(&mut gap, &self.name, self.epoch, member.cursor + 1, head);
                member.peer.reply(&gap);
                member.cursor = head;
            }
            (OnLag::Close, Format::Chat) | (OnLag::Gap | OnLag::Close, Format::Relay) => {
                member.blocked = true;
                effects.push(Effect::TooSlow(member.session));
            }
        }
    }

    /// Where a newcomer's cursor begins, with the GAP that it has to be told first.
    fn start_cursor(&self, start: Start, greeting: &mut Vec<u8>) -> u64 {
        let (head, kept_after) = (self.log.head(), self.log.tail() - 1);
        let wanted = match start {
            Start::Live => return head,
            Start::Last(count) => return head.saturating_sub(count).max(kept_after),
            Start::Since(at) => {
                let cursor = self.log.cursor_at(at);
                // Whether messages that left the window were later than `at` cannot be told any more.
                if cursor == kept_after { 0 } else { cursor }
            }
            Start::After { seq, epoch } if epoch.is_none_or(|epoch| epoch == self.epoch) && seq <= head => {
                seq
            }
            // A position in another log than this one: none of this log's messages has been seen.
            Start::After { .. } => {
                message::encode_gap(greeting, &self.name, self.epoch, 1, head);
                return head;
            }
        };
        if wanted < kept_after {
            message::encode_gap(greeting, &self.name, self.epoch, wanted + 1, kept_after);
        }
        wanted.max(kept_after)
    }

    fn append_chat(
        &mut self,
        kind: Kind,
        sender: &str,
        content: &str,
        client_id: Option<&str>,
        now: Timestamp,
    ) {
        self.last_at = now.after(self.last_at);
        let (epoch, seq, at, room) = (self.epoch, self.log.head() + 1, self.last_at, &*self.name);
        let envelope = Envelope { epoch, seq, at, kind, room, sender, content, client_id };
        self.log.append(at, |out| envelope.encode(out));
    }
}
