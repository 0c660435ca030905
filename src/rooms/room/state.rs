//! One room: a log, what of it may be seen, and the members' cursors on it.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;

use super::dedup::{Dedup, IdOwner, Identified, content_digest};
use super::fanout::Round;
use super::member::{Member, MemberState};
use super::members::Members;
use super::presence::Presence;
use super::repeats::{Publisher, Repeat};
use super::retention::Retained;
use crate::rooms::api::command::{Fault, Format, MemberKey, Posted, RoomKey, SessionKey, Start, Variant};
use crate::rooms::api::peer::Peer;
use crate::rooms::api::store::{Durability, Opened, RoomId, SEQ_MAX, StayId};
use crate::rooms::limits::bounds::Bounds;
use crate::rooms::log::conflated::Conflated;
use crate::rooms::log::deflated::Deflated;
use crate::rooms::log::encoded::EncodedMembers;
use crate::rooms::log::encoding::Encoding;
use crate::rooms::log::frames::{Log, Window};
use crate::rooms::message::chat::{Envelope, Kind, Notice, Notices, encode_stored, payload_of};
use crate::rooms::shard::epoch_reset::StoreLink;
use crate::rooms::shard::notices::Delayed;
use crate::rooms::shard::polls::WaitingPoll;
use crate::rooms::timestamp::Timestamp;
use crate::ws::deflate::Deflate;
use crate::ws::{OpCode, encode};

/// What becomes of a member that fell behind the window.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum OnLag {
    /// It is sent what it missed from the store. Without a store: as `Gap`.
    CatchUp,
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
    /// How many rooms and members there may be.
    pub bounds: Arc<Bounds>,
    /// From so many members on a room is pumped by every worker, not only by its own.
    pub parallel_members: usize,
    /// Whether a chat room that nobody created is created by its first member.
    pub open_rooms: bool,
    /// How long a client's message id is remembered.
    pub dedup_window: Duration,
    /// The texts of JOIN and LEAVE.
    pub notices: Notices,
    /// Whether chat rooms are kept in a store, and what a message has to survive there before it is shown.
    pub store: Option<Durability>,
    /// How messages are compressed for the members that want that.
    pub deflate: Deflate,
}

/// What is known of a newcomer.
#[derive(Debug)]
pub(in crate::rooms) struct Newcomer<'a, P> {
    pub(in crate::rooms) key: MemberKey,
    pub(in crate::rooms) session: SessionKey,
    pub(in crate::rooms) session_id: u128,
    pub(in crate::rooms) user: &'a str,
    pub(in crate::rooms) peer: P,
    pub(in crate::rooms) start: Start,
    pub(in crate::rooms) welcome: bool,
    pub(in crate::rooms) variant: Variant,
    pub(in crate::rooms) encoding: Option<Arc<dyn Encoding>>,
}

/// A message that is about to be appended.
#[derive(Clone, Copy, Debug)]
pub(in crate::rooms) struct Draft<'a> {
    pub(in crate::rooms) kind: Kind,
    pub(in crate::rooms) sender: &'a str,
    pub(in crate::rooms) content: &'a str,
    /// The publisher's own id of it; never empty.
    pub(in crate::rooms) client_id: Option<&'a str>,
    /// The session that the id belongs to, if the sender has no name of its own.
    pub(in crate::rooms) id_session: Option<u128>,
    /// Of a JOIN or LEAVE.
    pub(in crate::rooms) presence: Option<DraftPresence<'a>>,
}

/// What a JOIN or LEAVE says besides its text, and whose stay it is about.
#[derive(Clone, Copy, Debug)]
pub(in crate::rooms) struct DraftPresence<'a> {
    pub(in crate::rooms) username: &'a str,
    pub(in crate::rooms) online: u64,
    pub(in crate::rooms) stay: StayId,
}

impl Draft<'_> {
    /// The message with its place in a room's log.
    pub(in crate::rooms) fn envelope<'e>(
        &'e self,
        room: &'e str,
        epoch: u64,
        seq: u64,
        at: Timestamp,
    ) -> Envelope<'e> {
        let Draft { kind, sender, content, client_id, presence, .. } = *self;
        let presence = presence.map(|presence| (presence.username, presence.online));
        Envelope { epoch, seq, at, kind, room, sender, content, client_id, presence }
    }

    /// The message as its id is compared, if it has one.
    pub(in crate::rooms) fn identified(&self) -> Option<Identified<'_>> {
        let owner = self.id_session.map_or(IdOwner::User(self.sender), IdOwner::Session);
        self.client_id.map(|id| Identified { owner, id, digest: content_digest(self.content) })
    }
}

/// One room.
#[derive(Debug)]
pub(in crate::rooms) struct Room<P> {
    pub(in crate::rooms) key: RoomKey,
    /// Deleted: its name does not lead here any more.
    pub(in crate::rooms) deleted: bool,
    pub(in crate::rooms) name: Box<str>,
    pub(in crate::rooms) format: Format,
    pub(in crate::rooms) presence: Presence,
    /// Whether the shard's queue of rooms to pump holds this one.
    pub(in crate::rooms) queued: bool,
    /// When it was opened or lost its last member.
    pub(in crate::rooms) idle_since: Timestamp,
    /// The store's name for it; `None` if it is not stored.
    pub(in crate::rooms) stored_as: Option<RoomId>,
    pub(in crate::rooms) durability: Durability,
    /// Whether it is stored at the moment.
    pub(in crate::rooms) link: StoreLink,
    /// What is stored of it is damaged: nothing is done here any more. Members stay until they leave.
    pub(in crate::rooms) damaged: bool,
    /// The newest message that was, or is about to be, handed to the store, and the newest that is stored.
    pub(in crate::rooms) recorded: u64,
    stored: u64,
    pub(in crate::rooms) epoch: u64,
    /// The epoch of what is stored, which is another one where nothing is stored any more.
    pub(in crate::rooms) stored_epoch: u64,
    /// Shared only while a crew pumps.
    pub(in crate::rooms) log: Arc<Log>,
    pub(in crate::rooms) deflated: Deflated,
    pub(in crate::rooms) encoded: EncodedMembers,
    /// What the members are sent instead of the log, in a conflated relay.
    pub(in crate::rooms) conflated: Option<Box<Conflated>>,
    pub(in crate::rooms) polls: Vec<WaitingPoll>,
    /// The newest message that may be shown: all of them without a store, otherwise those that are committed.
    pub(in crate::rooms) visible: u64,
    /// The oldest message that can be read at all, as far as is known.
    pub(in crate::rooms) oldest: u64,
    /// When the message before that was published, as far as is known: whoever has everything up to then lost nothing.
    pub(in crate::rooms) gone_at: Timestamp,
    pub(in crate::rooms) kept: Retained,
    pub(in crate::rooms) last_at: Timestamp,
    /// The pump walks them from end to end.
    pub(in crate::rooms) members: Members<P>,
    /// Every member that was ready has been sent the messages up to here, so they may leave the window.
    pub(in crate::rooms) fanned_out: u64,
    pub(in crate::rooms) round: Option<Round>,
    /// Who published the messages after `visible`, in order.
    pub(in crate::rooms) unstored: VecDeque<Publisher>,
    /// JOINs and LEAVEs that the store has refused. Invariant: empty if `unstored` has a JOIN or LEAVE, which happened later.
    pub(in crate::rooms) delayed: Delayed,
    /// Messages that came again and whose first is after `visible`.
    pub(in crate::rooms) repeats: Vec<Repeat>,
    pub(in crate::rooms) dedup: Option<Box<Dedup>>,
}

impl<P: Peer> Room<P> {
    /// A room that lives in memory alone.
    pub(in crate::rooms) fn new(key: RoomKey, name: Box<str>, format: Format, epoch: u64) -> Room<P> {
        Room {
            key,
            deleted: false,
            name,
            format,
            presence: Presence::default(),
            queued: false,
            idle_since: Timestamp::default(),
            stored_as: None,
            durability: Durability::Off,
            link: StoreLink::Linked,
            damaged: false,
            recorded: 0,
            stored: 0,
            epoch,
            stored_epoch: 0,
            log: Arc::default(),
            deflated: Deflated::default(),
            encoded: EncodedMembers::default(),
            conflated: (format == Format::Conflated).then(Box::default),
            polls: Vec::new(),
            visible: 0,
            oldest: 1,
            gone_at: Timestamp::default(),
            kept: Retained::default(),
            last_at: Timestamp::default(),
            members: Members::default(),
            fanned_out: 0,
            round: None,
            unstored: VecDeque::new(),
            delayed: Delayed::default(),
            repeats: Vec::new(),
            dedup: None,
        }
    }

    /// A chat room as the store knows it.
    pub(in crate::rooms) fn restored(key: RoomKey, name: Box<str>, opened: &Opened) -> Room<P> {
        let mut room = Room::new(key, name, Format::Chat, opened.epoch);
        room.stored_as = Some(opened.id);
        room.durability = opened.durability;
        room.restore_log(opened);
        room.restore_ids(&opened.recent_ids);
        room
    }

    /// Takes over the log as it is stored.
    pub(in crate::rooms) fn restore_log(&mut self, opened: &Opened) {
        (self.epoch, self.oldest, self.gone_at) = (opened.epoch, opened.tail, opened.gone_at);
        self.stored_epoch = opened.epoch;
        self.last_at = self.last_at.max(opened.last_at);
        let before = opened.recent.first().map_or(opened.head, |first| first.seq - 1);
        let before_at = match before {
            before if before == opened.head => opened.last_at,
            before if before + 1 == opened.tail => opened.gone_at,
            _not_read => Timestamp::default(),
        };
        let mut log = Log::after_message(before, before_at);
        self.kept = Retained::of(opened);
        for stored in &opened.recent {
            encode_stored(&mut log, &self.name, self.epoch, stored);
        }
        (self.log, self.deflated) = (Arc::new(log), Deflated::default());
        self.encoded.forget_log();
        (self.visible, self.fanned_out, self.round) = (opened.head, opened.head, None);
        (self.recorded, self.stored) = (opened.head, opened.head);
    }

    pub(in crate::rooms) fn member_count(&self) -> usize {
        self.members.len()
    }

    /// Messages that a member of this room has not been sent yet.
    pub(in crate::rooms) fn lag(&self, member: &Member<P>) -> u64 {
        self.visible.saturating_sub(member.cursor)
    }

    /// Whether nothing would be lost if the room were forgotten.
    pub(in crate::rooms) fn is_idle(&self) -> bool {
        let is_stored =
            self.recorded == self.stored && self.link == StoreLink::Linked && self.delayed.is_empty();
        let is_left = self.members.is_empty() && self.polls.iter().all(WaitingPoll::has_gone);
        is_left && self.unstored.is_empty() && (is_stored || self.deleted || self.damaged)
    }

    /// Whether nothing can be appended at the moment, since nobody could be shown it: the room is damaged, has used up its
    /// numbers, or waits until its log goes on in the store.
    pub(in crate::rooms) fn is_closed(&self) -> bool {
        self.is_ended() || (self.waits_for_store() && self.link != StoreLink::Linked)
    }

    /// Whether nothing can be appended any more.
    pub(in crate::rooms) fn is_ended(&self) -> bool {
        self.damaged || self.log.head() >= SEQ_MAX
    }

    /// Seats a newcomer and greets it; returns its position, and its start if that is a time that has left the window.
    /// A newcomer that begins before the window is left in [`MemberState::Reading`], and a page has to be asked for.
    pub(in crate::rooms) fn join(&mut self, newcomer: Newcomer<'_, P>) -> (usize, Option<Timestamp>) {
        let Newcomer { key, session, session_id, user, peer, start, welcome, variant, encoding } = newcomer;
        if let Some(encoding) = encoding {
            self.encoded.insert(key, encoding);
        }
        let mut greeting = Vec::new();
        let Beginning { cursor, since, gap, at } = self.beginning(start);
        if welcome {
            let (room, epoch, seq) = (&*self.name, self.epoch, self.visible);
            let online = self.presence.users();
            let from = (since.is_none() && gap.is_none()).then_some(cursor);
            let welcome = Notice::Welcome { room, session_id, user, epoch, seq, online, from, at };
            self.encoded.write(key, &welcome, &mut greeting);
        }
        if let Some((from, to)) = gap {
            let (room, epoch) = (&*self.name, self.epoch);
            self.encoded.write(key, &Notice::Gap { room, epoch, from, to, at }, &mut greeting);
        }
        if !greeting.is_empty() {
            peer.reply(&greeting);
        }
        // A newcomer that starts further back holds the window there until its first turn.
        self.fanned_out = self.fanned_out.min(cursor.max(self.log.tail() - 1));
        let behind = self.stored_as.is_some() && cursor + 1 < self.log.tail();
        let state = if behind || since.is_some() { MemberState::Reading } else { MemberState::Ready };
        (self.members.push(Member { cursor, sent_at: at, session, peer, key, state, variant }), since)
    }

    /// Appends a chat message; returns its number.
    pub(in crate::rooms) fn append(
        &mut self,
        draft: Draft<'_>,
        publisher: Publisher,
        limits: &RoomLimits,
        now: Timestamp,
    ) -> u64 {
        self.last_at = now.after(self.last_at);
        let (epoch, seq, at, room) = (self.epoch, self.log.head() + 1, self.last_at, &*self.name);
        let envelope = draft.envelope(room, epoch, seq, at);
        Arc::make_mut(&mut self.log).append(at, |out| envelope.encode(out));
        self.kept.note(seq, draft.sender, draft.content);
        if let Some(identified) = draft.identified() {
            self.dedup.get_or_insert_default().note(identified, at, seq);
        }
        if self.waits_for_store() {
            self.unstored.push_back(publisher);
        } else {
            self.publish_up_to(seq, limits);
            if let Publisher::Request(reply) = publisher {
                reply.send(Ok(self.posted(seq)));
            }
        }
        seq
    }

    /// Appends a payload as it is, as the latest value of its key if it has one.
    pub(in crate::rooms) fn append_relay(
        &mut self,
        payload: &[u8],
        text: bool,
        key: Option<&[u8]>,
        limits: &RoomLimits,
        now: Timestamp,
    ) {
        let opcode = if text { OpCode::Text } else { OpCode::Binary };
        self.last_at = now.after(self.last_at);
        let log = Arc::make_mut(&mut self.log);
        if let Some(conflated) = &mut self.conflated {
            let mut frame = Vec::with_capacity(payload.len() + encode::HEADER_BYTES_MAX);
            encode::frame(&mut frame, opcode, payload);
            log.append(self.last_at, |_| ());
            conflated.put(log.head(), self.last_at, key, frame, limits.window);
        } else {
            log.append(self.last_at, |out| encode::frame(out, opcode, payload));
        }
        self.publish_up_to(self.log.head(), limits);
    }

    /// What is appended to the room from now on, the store is to have: its name for the room.
    pub(in crate::rooms) fn record_as(&self) -> Option<RoomId> {
        let is_stored = self.durability > Durability::Off && self.link == StoreLink::Linked;
        self.stored_as.filter(|_| is_stored)
    }

    /// The newest message that is stored, if what is said here is.
    pub(in crate::rooms) fn stored_upto(&self) -> u64 {
        if self.record_as().is_some() { self.stored } else { 0 }
    }

    /// The messages up to `seq` are committed; `place` finds members.
    pub(in crate::rooms) fn commit(
        &mut self,
        seq: u64,
        limits: &RoomLimits,
        place: impl Fn(MemberKey) -> Option<usize>,
    ) {
        self.stored = seq;
        let first = self.visible + 1;
        self.visible = self.visible.max(seq.min(self.log.head()));
        // Before anything leaves the window: the answers have the messages with them.
        for number in first..=self.visible {
            if let Some(Publisher::Request(reply)) = self.unstored.pop_front() {
                reply.send(Ok(self.posted(number)));
            }
        }
        self.answer_repeats(place);
        self.expire(self.last_at);
        self.evict(limits);
    }

    /// Takes back the messages that are not committed, and says so to whoever published them; `place` finds members.
    pub(in crate::rooms) fn roll_back(&mut self, place: impl Fn(MemberKey) -> Option<usize>) {
        let ids = self.unshown_ids();
        Arc::make_mut(&mut self.log).truncate(self.visible);
        self.kept.truncate(self.visible);
        self.follow_log();
        self.forget_ids_after(self.visible);
        self.recorded = self.stored;
        self.delay_notices();
        self.answer_rolled_back(ids, place);
    }

    /// The ids of later messages are free again.
    pub(in crate::rooms) fn forget_ids_after(&mut self, seq: u64) {
        if let Some(dedup) = &mut self.dedup {
            dedup.truncate(seq);
        }
    }

    /// Whether messages are shown after their commit.
    pub(in crate::rooms) fn waits_for_store(&self) -> bool {
        match self.durability {
            Durability::Off | Durability::Async => false,
            Durability::Commit | Durability::Fsync => self.stored_as.is_some(),
        }
    }

    fn publish_up_to(&mut self, seq: u64, limits: &RoomLimits) {
        self.visible = self.visible.max(seq.min(self.log.head()));
        self.expire(self.last_at);
        self.evict(limits);
    }

    /// Lets what nobody needs from memory any more leave the window: what every member that was ready has been sent and,
    /// in a room that is stored, can be read from there.
    pub(in crate::rooms) fn evict(&mut self, limits: &RoomLimits) {
        let upto =
            if self.record_as().is_some() { self.fanned_out.min(self.stored) } else { self.fanned_out };
        let log = Arc::make_mut(&mut self.log);
        log.evict(limits.window, upto);
        log.evict_before(self.oldest.min(upto + 1));
        self.follow_log();
        if self.stored_as.is_none() {
            self.oldest = self.log.tail();
            self.gone_at = self.log.time_of(self.oldest - 1).unwrap_or_default();
        }
    }

    /// The other forms of the log keep what the log keeps.
    fn follow_log(&mut self) {
        self.deflated.follow(&self.log);
        self.encoded.follow(&self.log);
    }

    /// Says something to one member.
    pub(in crate::rooms) fn tell(&self, member: &Member<P>, notice: &Notice<'_>) {
        let mut frame = Vec::new();
        self.encoded.write(member.key, notice, &mut frame);
        member.peer.reply(&frame);
    }

    /// Tells one member that something it said was not done.
    pub(in crate::rooms) fn tell_error(&self, member: &Member<P>, fault: &Fault) {
        let Fault { code, content, client_id } = fault;
        let (client_id, at) = (client_id.as_deref(), member.sent_at);
        self.tell(member, &Notice::Error { code, content, at, client_id });
    }

    pub(in crate::rooms) fn posted(&self, seq: u64) -> Posted {
        let json = self.log.frame(seq).map(payload_of).map(Into::into);
        Posted { seq, json, receivers: self.members.len() }
    }

    /// Where a reader begins. What is kept no longer is [known](Room::expire) already.
    pub(in crate::rooms) fn beginning(&self, start: Start) -> Beginning {
        let head = self.visible;
        let kept_after = self.conflated.as_ref().map_or(self.oldest - 1, |conflated| conflated.lost());
        // Where it is not known when a message was published, the beginning of time is early enough.
        let at = |cursor| {
            let at = self.log.time_of(cursor).unwrap_or_default();
            Beginning { cursor, since: None, gap: None, at }
        };
        let wanted = match start {
            Start::Live => return at(head),
            Start::Last(count) => return at(head.saturating_sub(count).max(kept_after)),
            Start::Since(time) if let Some(conflated) = &self.conflated => {
                conflated.cursor_at(time).min(head)
            }
            Start::Since(time) => return self.beginning_since(time, kept_after),
            Start::After { seq, epoch } if seq <= head && self.is_known(seq, epoch) => seq,
            // A position in another log than this one: none of this log's messages has been seen.
            Start::After { .. } => return Beginning { gap: Some(Notice::whole_log(head)), ..at(head) },
        };
        let gap = (wanted < kept_after).then_some((wanted + 1, kept_after));
        Beginning { gap, at: at(wanted).at, ..at(wanted.max(kept_after)) }
    }

    /// Where a reader begins who has everything up to `time`.
    fn beginning_since(&self, time: Timestamp, kept_after: u64) -> Beginning {
        let cursor = self.log.cursor_at(time).min(self.visible);
        let at = self.log.time_of(cursor).unwrap_or_default();
        // Not that of a message whose time is not known, which is zero.
        let has_all_before = cursor + 1 > self.log.tail() || (at > Timestamp::default() && at <= time);
        if self.stored_as.is_some() && !has_all_before && kept_after < cursor {
            return Beginning { cursor, since: Some(time), gap: None, at: time };
        }
        // How many of the messages that are gone were later than `time` cannot be told any more.
        let gap = (kept_after > 0 && time < self.gone_at).then_some((1, kept_after));
        Beginning { cursor: cursor.max(kept_after), since: None, gap, at: at.min(time) }
    }

    /// Whether a position is one in this log. Before the first message of any is the number 0 of the epoch 0.
    fn is_known(&self, seq: u64, epoch: Option<u64>) -> bool {
        epoch.is_none_or(|epoch| epoch == self.epoch || (epoch, seq) == (0, 0))
    }
}

/// Where a reader begins.
#[derive(Clone, Copy, Debug)]
pub(in crate::rooms) struct Beginning {
    pub(in crate::rooms) cursor: u64,
    /// A time that has left the window of a stored room stays a time.
    pub(in crate::rooms) since: Option<Timestamp>,
    /// What the reader has to be told first that it will not get.
    pub(in crate::rooms) gap: Option<(u64, u64)>,
    /// When the last message was published that the reader has, or earlier.
    pub(in crate::rooms) at: Timestamp,
}
