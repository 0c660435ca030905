//! Messages are appended to a room's log, become visible, or are taken back.

use crate::rooms::clock::Now;
use std::sync::Arc;

use super::limits::RoomLimits;
use super::publisher::Publisher;
use super::state::Room;
use crate::rooms::api::inspection::RecordedEvent;
use crate::rooms::api::peer::Peer;
use crate::rooms::api::publication::Published;
use crate::rooms::ids::{MemberKey, SessionKey};
use crate::rooms::message::draft::Draft;
use crate::rooms::message::frame::payload_of;
use crate::rooms::values::Posted;
use crate::ws::{OpCode, encode};

impl<P: Peer> Room<P> {
    /// Appends a chat message; returns its number.
    pub(in crate::rooms) fn append(
        &mut self,
        draft: Draft<'_>,
        publisher: Publisher,
        limits: &RoomLimits,
        now: Now,
    ) -> u64 {
        self.last_at = now.wall.after(self.last_at);
        let (epoch, seq, at, room) = (self.epoch, self.log.head() + 1, self.last_at, &*self.name);
        let envelope = draft.envelope(room, epoch, seq, at);
        Arc::make_mut(&mut self.log).append(at, |out| envelope.encode(out));
        self.retained.note(seq, draft.sender, draft.content);
        self.record(now.wall, RecordedEvent::Received { seq, session: publisher.session() });
        if let Some(identified) = draft.identified() {
            self.dedup.get_or_insert_default().note(identified, now.steady, at, seq);
        }
        if self.waits_for_store() {
            self.unstored.push_back(publisher);
        } else {
            self.publish_up_to(seq, limits);
            if let Publisher::Request { reply, wants_json } = publisher {
                reply.send(Ok(self.posted(seq, wants_json)));
            }
        }
        seq
    }

    /// Appends a payload as it is, as the latest value of its key if it has one.
    pub(in crate::rooms) fn append_relay(
        &mut self,
        message: &Published<'_>,
        session: Option<SessionKey>,
        limits: &RoomLimits,
        now: Now,
    ) {
        let opcode = if message.is_text() { OpCode::Text } else { OpCode::Binary };
        let payload = message.payload();
        self.last_at = now.wall.after(self.last_at);
        let log = Arc::make_mut(&mut self.log);
        if let Some(conflated) = &mut self.conflated {
            let mut frame = Vec::with_capacity(payload.len() + encode::HEADER_BYTES_MAX);
            encode::frame(&mut frame, opcode, payload);
            log.append(self.last_at, |_| ());
            conflated.put(log.head(), self.last_at, message.key(), frame, limits.window);
        } else {
            log.append(self.last_at, |out| encode::frame(out, opcode, payload));
        }
        let seq = self.log.head();
        self.record(now.wall, RecordedEvent::Received { seq, session });
        self.publish_up_to(seq, limits);
    }

    /// The messages up to `seq` are committed; `place` finds members.
    pub(in crate::rooms) fn commit(
        &mut self,
        seq: u64,
        limits: &RoomLimits,
        place: impl Fn(MemberKey) -> Option<usize>,
    ) {
        let first = self.positions.visible() + 1;
        self.positions.commit(seq, self.log.head());
        // Before anything leaves the window: the answers have the messages with them.
        for number in first..=self.positions.visible() {
            if let Some(Publisher::Request { reply, wants_json }) = self.unstored.pop_front() {
                reply.send(Ok(self.posted(number, wants_json)));
            }
        }
        self.answer_repeats(place);
        self.expire(self.last_at);
        self.evict(limits);
    }

    /// Takes back the messages that are not committed, and tells their publishers; `place` finds members.
    pub(in crate::rooms) fn roll_back(&mut self, place: impl Fn(MemberKey) -> Option<usize>) {
        let ids = self.unshown_ids();
        Arc::make_mut(&mut self.log).truncate(self.positions.visible());
        self.retained.truncate(self.positions.visible());
        self.follow_log();
        self.forget_ids_after(self.positions.visible());
        self.positions.roll_back(self.log.head());
        self.delay_notices();
        self.answer_rolled_back(ids, place);
    }

    fn publish_up_to(&mut self, seq: u64, limits: &RoomLimits) {
        self.positions.publish_up_to(seq, self.log.head());
        self.expire(self.last_at);
        self.evict(limits);
    }

    /// The answer to the publisher of this message, with a copy of its JSON only if it is wanted.
    pub(in crate::rooms) fn posted(&self, seq: u64, wants_json: bool) -> Posted {
        let frame = self.log.frame(seq).filter(|_| wants_json);
        let json = frame.map(payload_of).map(Into::into);
        Posted { seq, json, receivers: self.members.len() }
    }
}

impl<P> Room<P> {
    /// What is being taken back of JOINs and LEAVEs waits until the store takes it.
    pub(in crate::rooms) fn delay_notices(&mut self) {
        for publisher in &self.unstored {
            match publisher {
                Publisher::Notice(notice) => self.delayed.push(notice.clone()),
                Publisher::Member { .. } | Publisher::Request { .. } => {}
            }
        }
    }
}
