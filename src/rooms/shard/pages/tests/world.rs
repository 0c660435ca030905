//! A shard whose members can be full, and a store whose pages the test hands out.

use crate::rooms::clock::Now;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use serde_json::Value;

use crate::rooms::api::command::{Command, Join};
use crate::rooms::api::effect::{SessionEffect, StoreAnswer, StoreRequest};
use crate::rooms::api::history::History;
use crate::rooms::api::peer::{Peer, Sent};
use crate::rooms::api::poll::{Poll, PollResult};
use crate::rooms::api::publication::Publication;
use crate::rooms::api::request::RoomRequest;
use crate::rooms::api::settings::{Durability, Retention};
use crate::rooms::api::store::{Opened, Page, PageRequest};
use crate::rooms::ids::{Arena, MemberKey, Reader, RoomId, SessionKey, TextSpan};
use crate::rooms::limits::bounds::Bounds;
use crate::rooms::log::encoding::Encoding;
use crate::rooms::log::frames::{Slice, Window};
use crate::rooms::message::kind::Kind;
use crate::rooms::message::presence_text::Notices;
use crate::rooms::message::stored::Stored;
use crate::rooms::reasons::RejectReason;
use crate::rooms::reply::Reply;
use crate::rooms::room::limits::{OnLag, RoomLimits};
use crate::rooms::room::members::BlockSize;
use crate::rooms::room::parallel::Sequential;
use crate::rooms::shard::state::Shard;
use crate::rooms::timestamp::Timestamp;
use crate::rooms::values::{Format, Position, Start, Variant};
use crate::ws::deflate::{Deflate, Level, WindowBits};

/// A peer that takes everything, or nothing.
#[derive(Clone, Debug, Default)]
pub(super) struct Ear(Arc<Mutex<Half>>);

#[derive(Debug, Default)]
pub(super) struct Half {
    pub(super) received: Vec<u8>,
    pub(super) is_full: bool,
}

impl Peer for Ear {
    fn send(&self, slice: &Slice<'_>) -> Sent {
        let mut half = self.0.lock().unwrap();
        if half.is_full {
            return Sent::Blocked { frames: 0 };
        }
        half.received.extend_from_slice(slice.bytes());
        Sent::All
    }

    fn reply(&self, frames: &[u8], _messages: u64) {
        self.0.lock().unwrap().received.extend_from_slice(frames);
    }

    fn address(&self) -> Option<std::net::SocketAddr> {
        None
    }
}

impl Ear {
    pub(super) fn set_full(&self, is_full: bool) {
        self.0.lock().unwrap().is_full = is_full;
    }

    /// What it was sent since this was asked last.
    pub(super) fn frames(&self) -> Vec<Value> {
        let received = std::mem::take(&mut self.0.lock().unwrap().received);
        let (mut frames, mut rest) = (Vec::new(), &received[..]);
        while let Some(&len) = rest.get(1) {
            let (header, len) = match len {
                126 => (4, usize::from(u16::from_be_bytes([rest[2], rest[3]]))),
                len => (2, usize::from(len)),
            };
            frames.push(serde_json::from_slice(&rest[header..header + len]).unwrap());
            rest = &rest[header + len..];
        }
        frames
    }

    /// The numbers of the messages that came, and `(from, to)` of the gaps.
    pub(super) fn heard(&self) -> Vec<(u64, u64)> {
        self.frames().iter().map(numbers).collect()
    }
}

/// The numbers that a frame stands for.
pub(super) fn numbers(frame: &Value) -> (u64, u64) {
    let number = |name: &str| frame[name].as_u64().unwrap();
    if frame["type"] == "GAP" { (number("from"), number("to")) } else { (number("seq"), number("seq")) }
}

pub(super) fn at(seq: u64) -> Timestamp {
    Timestamp::from_micros(seq * 1_000_000)
}

/// A message of a room that is called so.
pub(super) fn stored(room: &str, seq: u64) -> Stored {
    let (sender, content) = ("s".into(), format!("{room}{seq}").into());
    Stored { seq, at: at(seq), kind: Kind::Message, sender, content, client_id: None, presence: None }
}

/// A room whose newest three messages are in memory.
pub(super) fn opened(room: &str, head: u64) -> Opened {
    Opened {
        id: RoomId(i64::from(room.as_bytes()[0])),
        epoch: 7,
        head,
        tail: 1,
        gone_at: Timestamp::default(),
        last_at: at(head),
        recent: (head.saturating_sub(3) + 1..=head).map(|seq| stored(room, seq)).collect(),
        recent_ids: Vec::new(),
        open_stays: Vec::new(),
        durability: Durability::Commit,
        retention: Retention::default(),
        numbering: crate::rooms::store_api::Numbering::Shard,
    }
}

pub(super) fn page(room: &str, after: u64, upto: u64, tail: u64) -> Page {
    Page {
        messages: (after + 1..=upto).map(|seq| stored(room, seq)).collect(),
        tail,
        gone_at: at(tail - 1),
        // Of a room that is written to.
        head: 10_000,
        epoch: 7,
        start: after,
    }
}

pub(super) struct World {
    pub(super) shard: Shard<Ear>,
    pub(super) now: Now,
    pub(super) closed: Vec<RejectReason>,
    pub(super) reads: Vec<(Reader, PageRequest)>,
    /// The room of the last of them.
    pub(super) room_read: Option<RoomId>,
    /// Waits for the answers to all polls.
    pub(super) waiter: Arc<()>,
}

impl World {
    /// Rooms that are there, each with this number of messages.
    pub(super) fn new(rooms: impl IntoIterator<Item = (&'static str, Opened)>) -> World {
        let limits = RoomLimits {
            window: Window { messages: 3, bytes: 1 << 20 },
            on_lag: OnLag::CatchUp,
            bounds: Arc::new(Bounds::new(1)),
            // A few members fill several blocks.
            block_size: BlockSize::new(4),
            parallel_members: usize::MAX,
            open_rooms: true,
            dedup_window: Duration::from_secs(120),
            notices: Notices::default(),
            store: Some(Durability::Commit),
            deflate: Deflate { level: Level::FASTEST, threshold_bytes: 200, window: WindowBits::MAX },
        };
        let shard = Shard::new(limits, 0, 7, Box::new(Sequential));
        let mut world = World {
            shard,
            now: at(1_000).into(),
            closed: Vec::new(),
            reads: Vec::new(),
            room_read: None,
            waiter: Arc::new(()),
        };
        for (name, opened) in rooms {
            // A reader that asks for a position has the room opened, and stays out of it.
            let poll = world.poll(name, Start::Live, Duration::ZERO);
            let requests: Vec<_> = world.shard.take_store_requests().collect();
            let [StoreRequest::Open { room, .. }] = &requests[..] else { unreachable!("{requests:?}") };
            let answer = StoreAnswer::Opened { room: *room, opened: Ok(Box::new(opened)) };
            world.shard.answer(answer, world.now);
            assert!(poll.lock().unwrap().is_some());
        }
        world
    }

    pub(super) fn run_until_quiet(&mut self) {
        while self.shard.pump(usize::MAX) {}
        for request in self.shard.take_store_requests() {
            match request {
                StoreRequest::Read { reader, room, request } => {
                    self.reads.push((reader, request));
                    self.room_read = Some(room);
                }
                StoreRequest::Open { .. } | StoreRequest::ResetEpoch { .. } | StoreRequest::Unfollow(_) => {}
            }
        }
        for effect in self.shard.take_session_effects() {
            match effect {
                SessionEffect::Close(_, reason) => self.closed.push(reason),
                SessionEffect::Passed => {}
            }
        }
    }

    pub(super) fn apply(&mut self, command: Command<Ear>, arena: &Arena) {
        self.shard.apply(command, arena, self.now);
    }

    /// One of many members of one session, which listens.
    pub(super) fn join(&mut self, key: u32, room: &str, start: Start) -> Ear {
        self.enter(key, room, start, Format::Chat, None)
    }

    pub(super) fn enter(
        &mut self,
        key: u32,
        room: &str,
        start: Start,
        format: Format,
        encoding: Option<Arc<dyn Encoding>>,
    ) -> Ear {
        let ear = Ear::default();
        let variant = if encoding.is_some() { Variant::Encoded } else { Variant::Plain };
        let join = Join {
            member: MemberKey(key),
            session: SessionKey(9),
            session_id: 9,
            room: room.into(),
            format,
            user: "u".into(),
            peer: ear.clone(),
            start,
            welcome: false,
            variant,
            announced: false,
            creates: true,
            encoding,
            reply: None,
        };
        self.apply(Command::Join(Box::new(join)), &Arena::default());
        ear
    }

    pub(super) fn leave(&mut self, key: u32) {
        self.apply(Command::Leave(MemberKey(key)), &Arena::default());
    }

    pub(super) fn publish(&mut self, key: u32, text: &str) {
        let mut arena = Arena::default();
        let content = TextSpan::store(&mut arena.text, text).unwrap();
        self.apply(
            Command::Publish { member: MemberKey(key), message: Publication::Text { content, id: None } },
            &arena,
        );
    }

    /// The store takes, or refuses, what was published.
    pub(super) fn store(&mut self, takes: bool) {
        while self.shard.take_batch().is_some() {
            let answer = if takes {
                StoreAnswer::Committed { refused: Vec::new(), placed: Vec::new() }
            } else {
                StoreAnswer::Refused
            };
            self.shard.answer(answer, self.now);
        }
        while self.shard.pump(usize::MAX) {}
    }

    /// The request that has waited longest.
    pub(super) fn read(&mut self) -> (Reader, PageRequest) {
        self.run_until_quiet();
        self.reads.remove(0)
    }

    pub(super) fn answer(&mut self, reader: Reader, page: Page) {
        self.shard.answer(StoreAnswer::Page { reader, page: Some(page) }, self.now);
        self.run_until_quiet();
    }

    pub(super) fn poll(
        &mut self,
        room: &str,
        start: Start,
        wait: Duration,
    ) -> Arc<Mutex<Option<Result<PollResult, RejectReason>>>> {
        let waiter = self.waiter.clone();
        self.poll_for(room, start, wait, &waiter)
    }

    pub(super) fn poll_for(
        &mut self,
        room: &str,
        start: Start,
        wait: Duration,
        waiter: &Arc<()>,
    ) -> Arc<Mutex<Option<Result<PollResult, RejectReason>>>> {
        let result = Arc::new(Mutex::new(None));
        let told = result.clone();
        let reply = Reply::new(move |result| *told.lock().unwrap() = Some(result));
        let (waiter, waits) = (Some(Arc::downgrade(waiter)), Reply::new(|_| ()));
        let poll = Box::new(Poll { start, limit: 100, wait, waiter, waits, reply });
        self.apply(
            Command::Request(Box::new(RoomRequest::Poll { room: room.into(), user: "".into(), poll })),
            &Arena::default(),
        );
        result
    }
}

/// What a poll was told: numbers, and where it goes on.
pub(super) fn told(
    result: &Arc<Mutex<Option<Result<PollResult, RejectReason>>>>,
) -> (Vec<(u64, u64)>, Position) {
    let result = result.lock().unwrap().take().expect("an answer").expect("result");
    let PollResult::Messages(History { json, position, .. }) = result else { unreachable!("{result:?}") };
    let frames: Vec<Value> = serde_json::from_slice(&json).unwrap();
    (frames.iter().map(numbers).collect(), position)
}

pub(super) fn after(seq: u64) -> Start {
    Start::After { seq, epoch: None }
}

pub(super) const HOUR: Duration = Duration::from_secs(3600);
