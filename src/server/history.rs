//! Reads parts of rooms' logs: from memory where it still has them, otherwise from the store.

use std::fmt;
use std::sync::atomic::{AtomicU8, Ordering};
use std::sync::{Arc, Mutex, PoisonError, Weak};
use std::time::Duration;

use super::busy::Busy;
use super::rooms::Rooms;
use crate::rooms::store_api::Page;
use crate::rooms::{Backlog, History, Poll, PollResult, Position, RejectReason, Reply, Start};
use crate::store::StoreError;

/// Messages of one answer, without being told: a few screens of a chat.
const LIMIT_DEFAULT: usize = 100;
/// Bytes of the texts in one answer at most, if they come from the store.
// An answer is whole in memory before it is sent, and its JSON may take six times as much as the texts.
const PAGE_BYTES: usize = 1 << 20;

/// So often a reader goes back to the room after the store had nothing for it. Once is usual, twice if the log began anew; a
/// store whose epoch is never the room's is no reason to ask for ever.
const REPEATS_MAX: u8 = 3;

/// What to read of a room's log.
///
/// Numbers have no holes, so that the 50 messages before message 200 are those after 149, with a limit of 50:
///
/// ```
/// use foghorn::server::{HistoryRequest, Start};
///
/// let before_200 = HistoryRequest::new("lobby", Start::After { seq: 149, epoch: None }).limit(50);
/// ```
#[derive(Clone)]
pub struct HistoryRequest<'a> {
    room: &'a str,
    user: &'a str,
    start: Start,
    limit: usize,
    wait: Duration,
    waits: Option<Waits>,
    waiter: Option<Weak<()>>,
}

/// Is told from where a reader waits.
type Waits = Arc<dyn Fn(Position) + Send + Sync>;

impl<'a> HistoryRequest<'a> {
    /// The messages of a chat room from there on, 100 of them at most.
    #[must_use]
    pub fn new(room: &'a str, start: Start) -> HistoryRequest<'a> {
        let (user, limit, wait) = ("", LIMIT_DEFAULT, Duration::ZERO);
        HistoryRequest { room, user, start, limit, wait, waits: None, waiter: None }
    }

    /// Maximum number of messages in the answer. Long messages may make it fewer, although the room has more.
    #[must_use]
    pub fn limit(mut self, count: usize) -> HistoryRequest<'a> {
        self.limit = count;
        self
    }

    /// For this user, who is refused while thrown out of the room.
    #[must_use]
    pub fn user(mut self, user: &'a str) -> HistoryRequest<'a> {
        self.user = user;
        self
    }

    /// If there is nothing yet, waits so long for the first message; `waits` is told from where. Without an answer in that
    /// time there was none, and there will be no answer.
    #[must_use]
    pub fn wait(
        mut self,
        time: Duration,
        waits: impl Fn(Position) + Send + Sync + 'static,
    ) -> HistoryRequest<'a> {
        self.wait = time;
        self.waits = Some(Arc::new(waits));
        self
    }

    /// Waits only as long as `waiter` is held: a client that has gone must not take the place of one that waits.
    #[must_use]
    pub fn waiter(mut self, waiter: &Arc<()>) -> HistoryRequest<'a> {
        self.waiter = Some(Arc::downgrade(waiter));
        self
    }
}

impl fmt::Debug for HistoryRequest<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("HistoryRequest")
            .field("room", &self.room)
            .field("start", &self.start)
            .field("limit", &self.limit)
            .finish_non_exhaustive()
    }
}

impl Rooms {
    /// Reads a part of a room's log, wherever it is; the room is opened as for [`Rooms::position`].
    ///
    /// # Errors
    /// [`Busy`].
    pub fn history(
        &self,
        request: HistoryRequest<'_>,
        reply: impl FnOnce(Result<History, RejectReason>) + Send + 'static,
    ) -> Result<(), Busy> {
        HistoryReader::begin(self, request, Reply::new(reply))
    }
}

/// A request for a part of a log, until it is answered.
pub(super) struct HistoryReader {
    rooms: Rooms,
    room: Box<str>,
    user: Box<str>,
    limit: usize,
    wait: Duration,
    waits: Option<Waits>,
    waiter: Option<Weak<()>>,
    repeats: AtomicU8,
    /// Taken by the first answer. In a lock, since a shard's thread or the store's may have it.
    reply: Mutex<Option<Reply<Result<History, RejectReason>>>>,
}

impl HistoryReader {
    /// Asks the room.
    pub(super) fn begin(
        rooms: &Rooms,
        request: HistoryRequest<'_>,
        reply: Reply<Result<History, RejectReason>>,
    ) -> Result<(), Busy> {
        let HistoryRequest { room, user, start, limit, wait, waits, waiter } = request;
        let (rooms, room, user) = (rooms.clone(), room.into(), user.into());
        let reply = Mutex::new(Some(reply));
        let repeats = AtomicU8::new(0);
        let reader = HistoryReader { rooms, room, user, limit, wait, waits, waiter, repeats, reply };
        Arc::new(reader).poll(start)
    }

    fn poll(self: Arc<Self>, start: Start) -> Result<(), Busy> {
        let (waiting, asking) = (self.waits.clone(), self.clone());
        let waits = Reply::new(move |position| {
            if let Some(waits) = waiting {
                waits(position);
            }
        });
        let reply = Reply::new(move |result: Result<PollResult, RejectReason>| match result {
            Ok(PollResult::Messages(history)) => asking.answer(Ok(history)),
            Ok(PollResult::Stored(backlog)) => asking.read(backlog),
            Err(why) => asking.answer(Err(why)),
        });
        let waiter = self.waiter.clone();
        let poll = Poll { start, limit: self.limit, wait: self.wait, waiter, waits, reply };
        self.rooms.poll(&self.room, &self.user, poll)
    }

    /// Asks the store for what only it has.
    fn read(self: Arc<Self>, backlog: Backlog) {
        let request = backlog.request(self.limit, PAGE_BYTES);
        let reader = self.clone();
        let done = move |page: Result<Page, StoreError>| match page {
            Ok(page) => reader.apply_page(&backlog, &page),
            Err(StoreError::NoSuchRoom) => reader.answer(Err(RejectReason::NoSuchRoom)),
            Err(_) => reader.answer(Err(RejectReason::Unavailable)),
        };
        let asked = self.rooms.store().map(|store| store.messages(&self.room, request, Box::new(done)));
        if !matches!(asked, Some(Ok(()))) {
            self.answer(Err(RejectReason::Unavailable));
        }
    }

    fn apply_page(self: Arc<Self>, backlog: &Backlog, page: &Page) {
        match backlog.history(&self.room, page) {
            Ok(history) => self.answer(Ok(history)),
            // Nothing was as late as that, or the log has begun anew: the room knows more by now.
            Err(start) => {
                // Relaxed: a question is asked again only when it was answered, so there is one at a time.
                let repeats = self.repeats.fetch_add(1, Ordering::Relaxed);
                if repeats >= REPEATS_MAX || self.clone().poll(start).is_err() {
                    self.answer(Err(RejectReason::Unavailable));
                }
            }
        }
    }

    fn answer(&self, answer: Result<History, RejectReason>) {
        let reply = self.reply.lock().unwrap_or_else(PoisonError::into_inner).take();
        if let Some(reply) = reply {
            reply.send(answer);
        }
    }
}
