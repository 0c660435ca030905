//! One room: a log, what of it may be seen, and the members' cursors on it.

use crate::rooms::clock::Moment;
use crate::rooms::clock::Now;
use std::collections::VecDeque;
use std::sync::Arc;

use super::dedup::Dedup;
use super::delayed::Delayed;
use super::member::Member;
use super::members::{BlockSize, Members};
use super::positions::Positions;
use super::presence::Presence;
use super::publisher::{Publisher, Repeat};
use super::recorder::Recorder;
use super::retention::Retained;
use super::round::Round;
use super::store_link::StoreLink;
use super::submissions::Submissions;
use super::waiting_poll::WaitingPoll;
use crate::rooms::api::inspection::RecordedEvent;
use crate::rooms::api::peer::Peer;
use crate::rooms::api::settings::Durability;
use crate::rooms::api::store::{Numbering, Opened, SEQ_MAX};
use crate::rooms::ids::{RoomId, RoomKey};
use crate::rooms::log::conflated::Conflated;
use crate::rooms::log::deflated::Deflated;
use crate::rooms::log::encoded::EncodedMembers;
use crate::rooms::log::frames::Log;
use crate::rooms::log::stored::encode_stored;
use crate::rooms::message::notice::Notice;
use crate::rooms::timestamp::Timestamp;
use crate::rooms::values::{Fault, Format};

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
    /// When it was queued, or later: nothing that waits could be seen before.
    pub(in crate::rooms) due_since: Moment,
    /// The same of what the next round sends.
    pub(in crate::rooms) round_since: Moment,
    /// When it was opened or lost its last member.
    pub(in crate::rooms) idle_since: Moment,
    /// The store's name for it; `None` if it is not stored.
    pub(in crate::rooms) stored_as: Option<RoomId>,
    pub(in crate::rooms) durability: Durability,
    /// Whether it is stored at the moment.
    pub(in crate::rooms) link: StoreLink,
    /// What is stored of it is damaged: nothing is done here any more. Members stay until they leave.
    pub(in crate::rooms) damaged: bool,
    pub(in crate::rooms) positions: Positions,
    pub(in crate::rooms) epoch: u64,
    /// The epoch of what is stored, which is another one where nothing is stored any more.
    pub(in crate::rooms) stored_epoch: u64,
    /// Shared only while the fan-out pool sends.
    pub(in crate::rooms) log: Arc<Log>,
    pub(in crate::rooms) deflated: Deflated,
    pub(in crate::rooms) encoded: EncodedMembers,
    /// What the members are sent instead of the log, in a conflated relay.
    pub(in crate::rooms) conflated: Option<Box<Conflated>>,
    pub(in crate::rooms) polls: Vec<WaitingPoll>,
    /// When the message before the oldest one that can be read was published, as far as is known: a reader that has
    /// everything up to then lost nothing.
    pub(in crate::rooms) gone_at: Timestamp,
    pub(in crate::rooms) retained: Retained,
    pub(in crate::rooms) last_at: Timestamp,
    /// The pump walks them from end to end.
    pub(in crate::rooms) members: Members<P>,
    pub(in crate::rooms) round: Option<Round>,
    /// Who published the messages after `visible`, in order.
    pub(in crate::rooms) unstored: VecDeque<Publisher>,
    /// What was said here, where the store numbers the messages; `unstored` is empty then.
    pub(in crate::rooms) submissions: Option<Box<Submissions>>,
    /// JOINs and LEAVEs that the store has refused. Invariant: empty if `unstored` has a JOIN or LEAVE, which happened
    /// later.
    pub(in crate::rooms) delayed: Delayed,
    /// Messages that came again and whose first is after `visible`.
    pub(in crate::rooms) repeats: Vec<Repeat>,
    pub(in crate::rooms) dedup: Option<Box<Dedup>>,
    /// What happens here, if that is recorded.
    pub(in crate::rooms) recorder: Option<Box<Recorder>>,
}

impl<P: Peer> Room<P> {
    /// A room that lives in memory alone.
    pub(in crate::rooms) fn new(
        key: RoomKey,
        name: Box<str>,
        format: Format,
        epoch: u64,
        block_size: BlockSize,
    ) -> Room<P> {
        Room {
            key,
            deleted: false,
            name,
            format,
            presence: Presence::default(),
            queued: false,
            due_since: Moment::default(),
            round_since: Moment::default(),
            idle_since: Moment::default(),
            stored_as: None,
            durability: Durability::Off,
            link: StoreLink::Linked,
            damaged: false,
            positions: Positions::restored(1, 0),
            epoch,
            stored_epoch: 0,
            log: Arc::default(),
            deflated: Deflated::default(),
            encoded: EncodedMembers::default(),
            conflated: (format == Format::Conflated).then(Box::default),
            polls: Vec::new(),
            gone_at: Timestamp::default(),
            retained: Retained::default(),
            last_at: Timestamp::default(),
            members: Members::new(block_size),
            round: None,
            unstored: VecDeque::new(),
            submissions: None,
            delayed: Delayed::default(),
            repeats: Vec::new(),
            dedup: None,
            recorder: None,
        }
    }

    /// Records what happens here, if that is wanted.
    #[inline]
    pub(in crate::rooms) fn record(&mut self, at: Timestamp, event: RecordedEvent) {
        if let Some(recorder) = &mut self.recorder {
            recorder.push(at, event);
        }
    }

    /// A chat room as the store knows it.
    pub(in crate::rooms) fn restored(
        key: RoomKey,
        name: Box<str>,
        opened: &Opened,
        block_size: BlockSize,
        now: Now,
    ) -> Room<P> {
        let mut room = Room::new(key, name, Format::Chat, opened.epoch, block_size);
        room.stored_as = Some(opened.id);
        room.durability = opened.durability;
        if let Numbering::Store { users } = opened.numbering {
            room.submissions = Some(Box::new(Submissions::new(users)));
            // It is shown when it comes back, whatever is said about that.
            room.durability = room.durability.max(Durability::Commit);
        }
        room.restore_log(opened);
        room.restore_ids(&opened.recent_ids, now);
        room
    }

    /// Takes over the log as it is stored.
    pub(in crate::rooms) fn restore_log(&mut self, opened: &Opened) {
        (self.epoch, self.gone_at) = (opened.epoch, opened.gone_at);
        self.stored_epoch = opened.epoch;
        self.last_at = self.last_at.max(opened.last_at);
        let before = opened.recent.first().map_or(opened.head, |first| first.seq - 1);
        let before_at = match before {
            before if before == opened.head => opened.last_at,
            before if before + 1 == opened.tail => opened.gone_at,
            _not_read => Timestamp::default(),
        };
        let mut log = Log::after_message(before, before_at);
        self.retained = Retained::of(opened);
        for stored in &opened.recent {
            encode_stored(&mut log, &self.name, self.epoch, stored);
        }
        (self.log, self.deflated) = (Arc::new(log), Deflated::default());
        self.encoded.forget_log();
        self.positions = Positions::restored(opened.tail, opened.head);
        self.round = None;
    }

    pub(in crate::rooms) fn member_count(&self) -> usize {
        self.members.len()
    }

    /// Messages that a member of this room has not been sent yet.
    pub(in crate::rooms) fn lag(&self, member: &Member<P>) -> u64 {
        self.positions.visible().saturating_sub(member.cursor)
    }

    /// Whether nothing would be lost if the room were forgotten.
    pub(in crate::rooms) fn is_idle(&self) -> bool {
        let is_stored =
            self.positions.is_all_stored() && self.link == StoreLink::Linked && self.delayed.is_empty();
        let is_left = self.members.is_empty() && self.polls.iter().all(WaitingPoll::has_gone);
        let is_answered =
            self.unstored.is_empty() && self.submissions.as_ref().is_none_or(|said| said.is_empty());
        is_left && is_answered && (is_stored || self.deleted || self.damaged)
    }

    /// Whether nothing can be appended at the moment, since no member could be shown it: the room is damaged, has used
    /// up its numbers, or waits until its log goes on in the store.
    pub(in crate::rooms) fn is_closed(&self) -> bool {
        self.is_ended() || (self.waits_for_store() && self.link != StoreLink::Linked)
    }

    /// Whether nothing can be appended any more.
    pub(in crate::rooms) fn is_ended(&self) -> bool {
        self.damaged || self.log.head() >= SEQ_MAX
    }

    /// What is appended to the room from now on, the store is to have: its name for the room.
    pub(in crate::rooms) fn record_as(&self) -> Option<RoomId> {
        let is_stored = self.durability > Durability::Off && self.link == StoreLink::Linked;
        self.stored_as.filter(|_| is_stored)
    }

    /// The newest message that is stored, if what is said here is.
    pub(in crate::rooms) fn stored_upto(&self) -> u64 {
        if self.record_as().is_some() { self.positions.stored() } else { 0 }
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

    /// Says something to one member.
    pub(in crate::rooms) fn tell(&self, member: &Member<P>, notice: &Notice<'_>) {
        let mut frame = Vec::new();
        self.encoded.write(member.key, notice, &mut frame);
        member.peer.reply(&frame, 1);
    }

    /// Tells one member that something it said was not done.
    pub(in crate::rooms) fn tell_error(&self, member: &Member<P>, fault: &Fault) {
        let Fault { code, content, client_id } = fault;
        let (client_id, at) = (client_id.as_deref(), member.sent_at);
        self.tell(member, &Notice::Error { code, content, at, client_id });
    }
}
