//! A shard with one client for each member, and a store that the test answers for.

use std::cell::RefCell;
use std::net::SocketAddr;
use std::rc::Rc;
use std::sync::Arc;
use std::sync::mpsc::{Receiver, sync_channel};
use std::time::Duration;

use crate::rooms::api::command::{Command, Join};
use crate::rooms::api::effect::{SessionEffect, StoreAnswer, StoreRequest};
use crate::rooms::api::peer::{Peer, Sent};
use crate::rooms::api::poll::{Poll, PollResult};
use crate::rooms::api::post::Post;
use crate::rooms::api::publication::Publication;
use crate::rooms::api::request::RoomRequest;
use crate::rooms::api::settings::{Durability, Retention};
use crate::rooms::api::store::Opened;
use crate::rooms::ids::{Arena, MemberKey, RoomId, RoomKey, SessionKey, TextSpan};
use crate::rooms::limits::bounds::Bounds;
use crate::rooms::log::frames::{Slice, Window};
use crate::rooms::message::presence_text::Notices;
use crate::rooms::reasons::{PostError, RejectReason};
use crate::rooms::reply::Reply;
use crate::rooms::room::limits::{OnLag, RoomLimits};
use crate::rooms::room::members::BlockSize;
use crate::rooms::room::parallel::Sequential;
use crate::rooms::shard::state::Shard;
use crate::rooms::timestamp::Timestamp;
use crate::rooms::values::{Format, Online, Position, Posted, Start, Variant};
use crate::ws::deflate::{Deflate, Level, WindowBits};

/// A client that takes everything.
#[derive(Clone, Debug, Default)]
pub(super) struct Client(Rc<RefCell<Vec<u8>>>);

impl Peer for Client {
    fn send(&self, slice: &Slice<'_>) -> Sent {
        self.0.borrow_mut().extend_from_slice(slice.bytes());
        Sent::All
    }

    fn reply(&self, frames: &[u8], _messages: u64) {
        self.0.borrow_mut().extend_from_slice(frames);
    }

    fn address(&self) -> Option<SocketAddr> {
        None
    }
}

impl Client {
    pub(super) fn has_heard(&self, text: &str) -> bool {
        String::from_utf8_lossy(&self.0.borrow()).contains(text)
    }
}

/// A shard whose store is the test.
pub(super) struct Bench {
    pub(super) shard: Shard<Client>,
    pub(super) bounds: Arc<Bounds>,
    pub(super) now: u64,
}

pub(super) const ID: RoomId = RoomId(7);

pub(super) fn opened(id: RoomId, head: u64) -> Opened {
    Opened {
        id,
        epoch: 0xe0 + id.0.cast_unsigned(),
        head,
        tail: head + 1,
        last_at: Timestamp::from_micros(head),
        gone_at: Timestamp::default(),
        recent: Vec::new(),
        recent_ids: Vec::new(),
        open_stays: Vec::new(),
        durability: Durability::Async,
        retention: Retention::default(),
        numbering: crate::rooms::store_api::Numbering::Shard,
    }
}

impl Bench {
    pub(super) fn new(open_rooms: bool) -> Bench {
        let bounds = Arc::new(Bounds::new(1));
        let limits = RoomLimits {
            window: Window { messages: 100, bytes: 1 << 20 },
            on_lag: OnLag::CatchUp,
            bounds: bounds.clone(),
            // A few members fill several blocks.
            block_size: BlockSize::new(4),
            parallel_members: usize::MAX,
            open_rooms,
            dedup_window: Duration::from_secs(60),
            notices: Notices::default(),
            store: Some(Durability::Async),
            deflate: Deflate { level: Level::FASTEST, threshold_bytes: 200, window: WindowBits::MAX },
        };
        Bench { shard: Shard::new(limits, 0, 1, Box::new(Sequential)), bounds, now: 1_000_000 }
    }

    pub(super) fn apply(&mut self, command: Command<Client>) {
        self.now += 1;
        self.shard.apply(command, &Arena::default(), Timestamp::from_micros(self.now).into());
        self.shard.pump(usize::MAX);
        self.shard.check();
    }

    pub(super) fn ask<T: Send + 'static>(
        &mut self,
        ask: impl FnOnce(Reply<T>) -> RoomRequest,
    ) -> Receiver<T> {
        let (reply, answer) = sync_channel(1);
        self.apply(Command::Request(Box::new(ask(Reply::new(move |it| drop(reply.send(it)))))));
        answer
    }

    pub(super) fn join(&mut self, member: u32, room: &str, user: &str) -> Client {
        self.enter(member, room, user, true)
    }

    pub(super) fn enter(&mut self, member: u32, room: &str, user: &str, creates: bool) -> Client {
        let client = Client::default();
        self.apply(Command::Join(Box::new(Join {
            member: MemberKey(member),
            session: SessionKey(member.into()),
            session_id: member.into(),
            room: room.into(),
            format: Format::Chat,
            user: user.into(),
            peer: client.clone(),
            start: Start::Live,
            welcome: true,
            variant: Variant::Plain,
            announced: creates,
            creates,
            encoding: None,
            reply: None,
        })));
        client
    }

    pub(super) fn publish(&mut self, member: u32, content: &str) {
        let mut arena = Arena::default();
        let content = TextSpan::store(&mut arena.text, content).unwrap();
        let command =
            Command::Publish { member: MemberKey(member), message: Publication::Text { content, id: None } };
        self.shard.apply(command, &arena, Timestamp::from_micros(self.now).into());
        self.shard.pump(usize::MAX);
    }

    pub(super) fn post(&mut self, room: &str, create: bool) -> Receiver<Result<Posted, PostError>> {
        self.ask(|reply| {
            let post = Post::new(room, "eve", "posted");
            RoomRequest::Post { post: Box::new(if create { post.create() } else { post }), reply }
        })
    }

    pub(super) fn poll(
        &mut self,
        room: &str,
        wait: u64,
    ) -> (Receiver<Position>, Receiver<Result<PollResult, RejectReason>>) {
        // Who only looks does not keep an asker.
        self.poll_for((wait == 0).then(std::sync::Weak::new), room, wait)
    }

    pub(super) fn poll_for(
        &mut self,
        waiter: Option<std::sync::Weak<()>>,
        room: &str,
        wait: u64,
    ) -> (Receiver<Position>, Receiver<Result<PollResult, RejectReason>>) {
        let ((waits, position), (reply, answer)) = (sync_channel(1), sync_channel(1));
        let poll = Poll {
            start: Start::Live,
            limit: 10,
            wait: Duration::from_secs(wait),
            waiter,
            waits: Reply::new(move |position| waits.send(position).unwrap_or_default()),
            reply: Reply::new(move |result| drop(reply.send(result))),
        };
        let (room, user) = (room.into(), "".into());
        self.apply(Command::Request(Box::new(RoomRequest::Poll { room, user, poll: Box::new(poll) })));
        (position, answer)
    }

    pub(super) fn online(&mut self, room: &str) -> Receiver<Online> {
        self.ask(|reply| RoomRequest::Online { room: room.into(), reply })
    }

    pub(super) fn kick(&mut self, room: &str, user: &str) -> usize {
        let ask = |reply| RoomRequest::Kick { room: room.into(), user: user.into(), ban: None, reply };
        self.ask(ask).try_recv().unwrap().unwrap()
    }

    pub(super) fn delete(&mut self, room: &str, id: RoomId) -> usize {
        self.ask(|reply| RoomRequest::Close { room: room.into(), id: Some(id), reply }).try_recv().unwrap()
    }

    /// What was to be done to sessions since this was called last, and nothing was to be asked of the store.
    pub(super) fn effects(&mut self) -> Vec<SessionEffect> {
        assert_eq!(self.requests(), []);
        self.shard.take_session_effects().collect()
    }

    /// What was to be asked of the store since this was called last.
    pub(super) fn requests(&mut self) -> Vec<StoreRequest> {
        self.shard.take_store_requests().collect()
    }

    /// The one request that is made of the store, and whether to create the room.
    pub(super) fn request(&mut self) -> (RoomKey, bool) {
        match &*self.requests() {
            [StoreRequest::Open { room, create, .. }] => (*room, *create),
            other => panic!("not one request: {other:?}"),
        }
    }

    pub(super) fn answer(&mut self, room: RoomKey, opened: Result<Opened, RejectReason>) {
        let answer = StoreAnswer::Opened { room, opened: opened.map(Box::new) };
        self.now += 1;
        self.shard.answer(answer, Timestamp::from_micros(self.now).into());
        self.shard.pump(usize::MAX);
        self.shard.check();
    }

    pub(super) fn users(&mut self, room: &str) -> Vec<String> {
        let online = self.online(room).try_recv().unwrap();
        online.users.iter().map(ToString::to_string).collect()
    }
}

pub(super) fn close(session: u64, reason: RejectReason) -> SessionEffect {
    SessionEffect::Close(SessionKey(session), reason)
}
