//! What these tests do with a shard, and what its members are told.

use std::sync::mpsc::{Receiver, sync_channel};
use std::time::Duration;

use crate::rooms::api::command::{Command, Join};
use crate::rooms::api::effect::{SessionEffect, StoreAnswer, StoreRequest};
use crate::rooms::api::poll::{Poll, PollResult};
use crate::rooms::api::request::RoomRequest;
use crate::rooms::api::store::Opened;
use crate::rooms::ids::{Arena, MemberKey, RoomId, RoomKey, SessionKey};
use crate::rooms::message::kind::Kind;
use crate::rooms::message::stored::Stored;
use crate::rooms::reasons::RejectReason;
use crate::rooms::reply::Reply;
use crate::rooms::shard::tests::kit::{Ear, Kit};
use crate::rooms::timestamp::Timestamp;
use crate::rooms::values::{Format, Start, Variant};

/// What a poll is told.
pub(super) type Told = Receiver<Result<PollResult, RejectReason>>;

impl Kit {
    /// A session that only reads comes.
    pub(super) fn read(&mut self, member: u32, room: &str, format: Format) -> Ear {
        let peer = Ear::default();
        let join = Join {
            member: MemberKey(member),
            session: SessionKey(member.into()),
            session_id: member.into(),
            room: room.into(),
            format,
            user: "reader".into(),
            peer: peer.clone(),
            start: Start::Live,
            welcome: false,
            variant: Variant::Plain,
            announced: false,
            creates: false,
            encoding: None,
            reply: None,
        };
        self.apply(Command::Join(Box::new(join)), &Arena::default());
        peer
    }

    /// Who polls, and is there until the end of the test.
    pub(super) fn poll(&mut self, room: &str, user: &str) -> Told {
        let (reply, told) = sync_channel(1);
        let (start, wait) = (Start::After { seq: 0, epoch: None }, Duration::from_secs(60));
        let reply = Reply::new(move |result| reply.send(result).expect("the test waits"));
        let poll = Poll { start, limit: 10, wait, waiter: None, waits: Reply::new(drop), reply };
        let ask = RoomRequest::Poll { room: room.into(), user: user.into(), poll: Box::new(poll) };
        self.apply(Command::Request(Box::new(ask)), &Arena::default());
        told
    }

    pub(super) fn kick(&mut self, room: &str, user: &str) -> usize {
        let (reply, kicked) = sync_channel(1);
        let reply = Reply::new(move |closed| reply.send(closed).expect("the test waits"));
        let ask = RoomRequest::Kick { room: room.into(), user: user.into(), ban: None, reply };
        self.apply(Command::Request(Box::new(ask)), &Arena::default());
        kicked.try_recv().expect("an answer").expect("no ban")
    }

    /// The rooms that the store was asked for since this was called last, and whether to create them.
    pub(super) fn asked(&mut self) -> Vec<(RoomKey, bool)> {
        let mut asked = Vec::new();
        self.requests.retain(|request| match request {
            StoreRequest::Open { room, create, .. } => {
                asked.push((*room, *create));
                false
            }
            StoreRequest::ResetEpoch { .. } | StoreRequest::Read { .. } | StoreRequest::Unfollow(_) => true,
        });
        asked
    }

    pub(super) fn not_there(&mut self) {
        let (room, _) = self.asked()[0];
        self.answer(StoreAnswer::Opened { room, opened: Err(RejectReason::NoSuchRoom) });
    }

    /// The rooms whose logs the store was asked to begin anew since this was called last.
    pub(super) fn resets(&mut self) -> Vec<RoomKey> {
        let mut resets = Vec::new();
        self.requests.retain(|request| match request {
            StoreRequest::ResetEpoch { room, .. } => {
                resets.push(*room);
                false
            }
            StoreRequest::Open { .. } | StoreRequest::Read { .. } | StoreRequest::Unfollow(_) => true,
        });
        resets
    }

    pub(super) fn epoch_was_reset(&mut self, change: impl FnOnce(&mut Opened)) {
        let room = self.resets()[0];
        let mut opened = Kit::empty();
        opened.epoch = 10;
        change(&mut opened);
        self.answer(StoreAnswer::Opened { room, opened: Ok(Box::new(opened)) });
    }

    pub(super) fn closed(&mut self) -> Vec<(u64, RejectReason)> {
        let close = |effect: &SessionEffect| match effect {
            SessionEffect::Close(session, reason) => Some((session.0, *reason)),
            SessionEffect::Passed => None,
        };
        let closed = self.effects.iter().filter_map(close).collect();
        self.effects.retain(|effect| close(effect).is_none());
        closed
    }

    /// The store refuses the room that is called `r` alone.
    pub(super) fn refuse_alone(&mut self) {
        assert!(!self.batches.is_empty(), "something to refuse");
        for _ in 0..self.batches.len() {
            self.batches.remove(0);
            self.answer(StoreAnswer::Committed { refused: vec![RoomId(1)], placed: Vec::new() });
        }
    }
}

/// Type, code or content, and number of what a member was sent.
pub(super) fn told(ear: &Ear) -> Vec<(String, String, u64)> {
    let text = |value: &serde_json::Value, name: &str| value[name].as_str().unwrap_or_default().to_owned();
    let one = |value: serde_json::Value| {
        let what = if value["type"] == "ERROR" { text(&value, "code") } else { text(&value, "content") };
        let number = if value["type"] == "GAP" { &value["to"] } else { &value["seq"] };
        (text(&value, "type"), what, number.as_u64().unwrap_or_default())
    };
    ear.take().into_iter().map(one).collect()
}

pub(super) fn one(kind: &str, what: &str, number: u64) -> (String, String, u64) {
    (kind.into(), what.into(), number)
}

/// A room `r` with ann, whose JOIN is stored.
pub(super) fn with_ann() -> (Kit, MemberKey, Ear) {
    let mut kit = Kit::new();
    let (ann, ear) = kit.join("r", "ann");
    kit.open();
    kit.commit();
    ear.take();
    (kit, ann, ear)
}

pub(super) fn stored(seq: u64) -> Stored {
    let (at, kind) = (Timestamp::from_micros(seq), Kind::Message);
    Stored { seq, at, kind, sender: "s".into(), content: "c".into(), client_id: None, presence: None }
}
