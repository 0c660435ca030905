//! For the tests of this folder: a shard whose members take everything unless they are told not to, and whose store is the test itself.

use std::cell::{Cell, RefCell};
use std::net::SocketAddr;
use std::rc::Rc;
use std::sync::Arc;
use std::sync::mpsc::{Receiver, sync_channel};
use std::time::Duration;

use serde_json::Value;

use crate::rooms::api::command::{Command, Join};
use crate::rooms::api::effect::{SessionEffect, StoreAnswer, StoreRequest};
use crate::rooms::api::peer::{Peer, Sent};
use crate::rooms::api::post::Post;
use crate::rooms::api::publication::Publication;
use crate::rooms::api::request::RoomRequest;
use crate::rooms::api::settings::{Durability, Retention};
use crate::rooms::api::store::{Opened, RecordBatch};
use crate::rooms::clock::Now;
use crate::rooms::ids::{Arena, MemberKey, RoomId, SessionKey, TextSpan};
use crate::rooms::limits::bounds::Bounds;
use crate::rooms::log::frames::{Slice, Window};
use crate::rooms::message::frame::payload_of;
use crate::rooms::message::presence_text::Notices;
use crate::rooms::reasons::PostError;
use crate::rooms::reply::Reply;
use crate::rooms::room::limits::{OnLag, RoomLimits};
use crate::rooms::room::members::BlockSize;
use crate::rooms::room::parallel::Sequential;
use crate::rooms::shard::state::Shard;
use crate::rooms::timestamp::Timestamp;
use crate::rooms::values::{Format, Posted, Start, Variant};
use crate::ws::deflate::{Deflate, Level, WindowBits};

/// A member's end: what it was sent, as JSON.
#[derive(Clone, Debug, Default)]
pub(in crate::rooms) struct Ear {
    heard: Rc<RefCell<Vec<Value>>>,
    is_full: Rc<Cell<bool>>,
}

impl Peer for Ear {
    fn send(&self, slice: &Slice<'_>) -> Sent {
        if self.is_full.get() {
            return Sent::Blocked { frames: 0 };
        }
        self.hear(slice.bytes());
        Sent::All
    }

    fn reply(&self, frames: &[u8], _messages: u64) {
        self.hear(frames);
    }

    fn address(&self) -> Option<SocketAddr> {
        None
    }
}

impl Ear {
    fn hear(&self, mut frames: &[u8]) {
        while !frames.is_empty() {
            let (header, len) = match frames[1] {
                126 => (4, usize::from(u16::from_be_bytes([frames[2], frames[3]]))),
                len => (2, usize::from(len)),
            };
            let (frame, rest) = frames.split_at(header + len);
            self.heard.borrow_mut().push(serde_json::from_slice(payload_of(frame)).expect("JSON"));
            frames = rest;
        }
    }

    /// Whether it takes nothing from now on.
    pub(in crate::rooms) fn fill(&self, is_full: bool) {
        self.is_full.set(is_full);
    }

    /// What came since it was asked last.
    pub(in crate::rooms) fn take(&self) -> Vec<Value> {
        std::mem::take(&mut *self.heard.borrow_mut())
    }
}

/// A shard with a store that answers when the test says so.
pub(in crate::rooms) struct Kit {
    pub(in crate::rooms) shard: Shard<Ear>,
    pub(in crate::rooms) now: u64,
    /// By how many seconds the clock on the wall has been set forward.
    pub(in crate::rooms) ahead: u64,
    members: u32,
    /// Batches that the store has not answered.
    pub(in crate::rooms) batches: Vec<RecordBatch>,
    /// What the shard wanted done to sessions.
    pub(in crate::rooms) effects: Vec<SessionEffect>,
    /// What the shard has asked of the store.
    pub(in crate::rooms) requests: Vec<StoreRequest>,
}

impl Kit {
    pub(in crate::rooms) fn new() -> Kit {
        Kit::of(Some(Durability::Commit))
    }

    /// With recorders of as many bytes in all.
    pub(in crate::rooms) fn recording(bytes: usize) -> Kit {
        let mut kit = Kit::new();
        kit.shard.limits.bounds = Arc::new(Bounds::new(1).recorders(8 * 1024, bytes));
        kit
    }

    pub(in crate::rooms) fn of(store: Option<Durability>) -> Kit {
        let limits = RoomLimits {
            window: Window { messages: 100, bytes: 1 << 20 },
            on_lag: OnLag::CatchUp,
            bounds: Arc::new(Bounds::new(1)),
            // A few members fill several blocks.
            block_size: BlockSize::new(4),
            parallel_members: usize::MAX,
            open_rooms: true,
            dedup_window: Duration::from_secs(120),
            notices: Notices::default(),
            store,
            deflate: Deflate { level: Level::FASTEST, threshold_bytes: 200, window: WindowBits::MAX },
        };
        let shard = Shard::new(limits, 0, 7, Box::new(Sequential));
        Kit {
            shard,
            now: 1_000_000,
            ahead: 0,
            members: 0,
            batches: Vec::new(),
            effects: Vec::new(),
            requests: Vec::new(),
        }
    }

    pub(in crate::rooms) fn time(&self) -> Now {
        let wall = Timestamp::from_micros(self.now + self.ahead * 1_000_000);
        Now { wall, ..Now::from(Timestamp::from_micros(self.now)) }
    }

    /// Has the shard do what it can; what it asks of the store is kept.
    pub(in crate::rooms) fn turn(&mut self) {
        while self.shard.pump(1_000) {}
        self.batches.extend(std::iter::from_fn(|| self.shard.take_batch()));
        self.effects.extend(self.shard.take_session_effects());
        self.requests.extend(self.shard.take_store_requests());
    }

    pub(in crate::rooms) fn apply(&mut self, command: Command<Ear>, arena: &Arena) {
        let now = self.time();
        self.shard.apply(command, arena, now);
        self.turn();
    }

    pub(in crate::rooms) fn answer(&mut self, answer: StoreAnswer) {
        let now = self.time();
        self.shard.answer(answer, now);
        self.turn();
    }

    /// The store opens an empty room, the one that was asked for first.
    pub(in crate::rooms) fn open(&mut self) {
        self.open_as(|_| ());
    }

    /// As [`Kit::open`], a room that is not as empty.
    pub(in crate::rooms) fn open_as(&mut self, change: impl FnOnce(&mut Opened)) {
        let asked = self.requests.iter().position(|request| matches!(request, StoreRequest::Open { .. }));
        let StoreRequest::Open { room, .. } = self.requests.remove(asked.expect("a room to open")) else {
            return;
        };
        let mut opened = Kit::empty();
        change(&mut opened);
        self.answer(StoreAnswer::Opened { room, opened: Ok(Box::new(opened)) });
    }

    /// An empty room, as the store opens it.
    pub(in crate::rooms) fn empty() -> Opened {
        Opened {
            id: RoomId(1),
            epoch: 9,
            head: 0,
            tail: 1,
            last_at: Timestamp::default(),
            gone_at: Timestamp::default(),
            recent: Vec::new(),
            recent_ids: Vec::new(),
            open_stays: Vec::new(),
            durability: Durability::Commit,
            retention: Retention::default(),
            numbering: crate::rooms::store_api::Numbering::Shard,
        }
    }

    /// The store commits everything.
    pub(in crate::rooms) fn commit(&mut self) {
        while !self.batches.is_empty() {
            self.batches.remove(0);
            self.answer(StoreAnswer::Committed { refused: Vec::new(), placed: Vec::new() });
        }
    }

    /// A session of this user comes.
    pub(in crate::rooms) fn join(&mut self, room: &str, user: &str) -> (MemberKey, Ear) {
        self.join_as(MemberKey(self.members + 1), room, user)
    }

    /// As [`Kit::join`], with a key that another member may have had.
    pub(in crate::rooms) fn join_as(
        &mut self,
        member: MemberKey,
        room: &str,
        user: &str,
    ) -> (MemberKey, Ear) {
        self.join_from(Start::Live, member, room, user)
    }

    /// As [`Kit::join_as`], from a position on.
    pub(in crate::rooms) fn join_from(
        &mut self,
        start: Start,
        member: MemberKey,
        room: &str,
        user: &str,
    ) -> (MemberKey, Ear) {
        self.members += 1;
        let peer = Ear::default();
        let join = Join {
            member,
            session: SessionKey(self.members.into()),
            session_id: self.members.into(),
            room: room.into(),
            format: Format::Chat,
            user: user.into(),
            peer: peer.clone(),
            start,
            welcome: false,
            variant: Variant::Plain,
            announced: true,
            creates: true,
            encoding: None,
            reply: None,
        };
        self.apply(Command::Join(Box::new(join)), &Arena::default());
        (member, peer)
    }

    pub(in crate::rooms) fn say(&mut self, member: MemberKey, content: &str, id: Option<&str>) {
        let mut arena = Arena::default();
        let content = TextSpan::store(&mut arena.text, content).expect("it fits");
        let id = id.and_then(|id| TextSpan::store(&mut arena.text, id));
        self.apply(Command::Publish { member, message: Publication::Text { content, id } }, &arena);
    }

    /// Publishes without a member; where the answer comes.
    pub(in crate::rooms) fn post(
        &mut self,
        sender: &str,
        content: &str,
        id: &str,
    ) -> Receiver<Result<Posted, PostError>> {
        let (answer, answered) = sync_channel(1);
        let post = Box::new(Post::new("r", sender, content).client_id(Some(id)).create());
        let reply = Reply::new(move |posted| answer.send(posted).expect("the test waits"));
        self.apply(Command::Request(Box::new(RoomRequest::Post { post, reply })), &Arena::default());
        answered
    }
}
