//! The store as one shard sees it: requests go there, answers come back through a channel of the shard's own.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use crossbeam_channel::{Receiver, Sender};

use crate::rooms::store_api::{Opened, PageRequest, RecordBatch, RoomId};
use crate::rooms::{
    BATCHES_MAX, PAGES_MAX, Reader, RejectReason, RoomKey, STORE_REQUESTS_MAX, StoreAnswer, Timestamp,
};
use crate::store::{Done, Follower, Store, StoreError};
use crate::system::steady;
use crate::system::threads::send;

/// Maximum number of answers under way to one shard. A shard that is further behind makes the store wait.
// More than a shard asks for at a time (asserted below), so that the store, which serves all shards, never waits for
// one.
const ANSWERS_MAX: usize = 1024;
const _: () = assert!(STORE_REQUESTS_MAX + 2 * PAGES_MAX + BATCHES_MAX < ANSWERS_MAX);

/// What is called after each answer, if the shard does not wait for the channel itself.
pub(super) type Wakeup = Arc<dyn Fn() + Send + Sync>;

/// How long an answer is waited for before a batch that the store had no room for is offered again.
// About one commit: then there is room. The store does not tell when its queue has room again.
pub(super) const WAIT: Duration = Duration::from_millis(5);

/// How long no other line is written about what the store could not do.
const COMPLAINT_PAUSE: Duration = Duration::from_secs(10);

/// The store as one shard sees it.
pub(super) struct StoreClient {
    store: Store,
    answers: AnswerSender,
    follower: Follower,
    complaints: Complaints,
    answered: Receiver<StoreAnswer>,
}

/// Lines about what the store could not do: one in a while, however many rooms and members it concerns.
#[derive(Clone, Default)]
struct Complaints(Arc<Said>);

#[derive(Default)]
struct Said {
    /// Not before this second is another line written.
    next_at: AtomicU64,
    left_out: AtomicU64,
}

impl Complaints {
    /// Says it, unless something was said just now.
    fn complain(&self, error: &StoreError, what: &str) {
        let (now, Said { next_at, left_out }) = (steady().as_secs(), &*self.0);
        let due = next_at.load(Ordering::Relaxed);
        // Of several threads one writes it.
        let next = now + COMPLAINT_PAUSE.as_secs();
        if now >= due && next_at.compare_exchange(due, next, Ordering::Relaxed, Ordering::Relaxed).is_ok() {
            tracing::warn!(%error, left_out = left_out.swap(0, Ordering::Relaxed), "{what}");
        } else {
            left_out.fetch_add(1, Ordering::Relaxed);
        }
    }
}

/// Where the store leaves its answers.
#[derive(Clone)]
struct AnswerSender {
    answers: Sender<StoreAnswer>,
    wakeup: Option<Wakeup>,
}

impl AnswerSender {
    fn send(&self, answer: StoreAnswer) {
        let _shard_is_gone = send(&self.answers, answer);
        self.wake();
    }

    /// Leaves what the shard has not asked for, unless there is no room: it hears of it again when it asks.
    fn try_send(&self, answer: StoreAnswer) {
        let _shard_is_gone_or_behind = self.answers.try_send(answer);
        self.wake();
    }

    fn wake(&self) {
        if let Some(wake) = &self.wakeup {
            wake();
        }
    }
}

impl std::fmt::Debug for AnswerSender {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("AnswerSender")
    }
}

impl std::fmt::Debug for StoreClient {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("StoreClient").field("store", &self.store).finish_non_exhaustive()
    }
}

impl StoreClient {
    pub(super) fn new(store: Store, wakeup: Option<Wakeup>) -> StoreClient {
        let (answers, answered) = crossbeam_channel::bounded(ANSWERS_MAX);
        let answers = AnswerSender { answers, wakeup };
        let damaged = answers.clone();
        store.listen_for_damage(move |room| damaged.try_send(StoreAnswer::Damaged(room)));
        let followed = answers.clone();
        let follower: Follower =
            Arc::new(move |room, update| followed.send(StoreAnswer::Log { room, update }));
        StoreClient { store, answers, follower, complaints: Complaints::default(), answered }
    }

    /// Where the answers come.
    pub(super) fn answers(&self) -> &Receiver<StoreAnswer> {
        &self.answered
    }

    /// Waits for the next answer, but not for long: none may be due.
    pub(super) fn wait(&self) -> Option<StoreAnswer> {
        self.answered.recv_timeout(WAIT).ok()
    }

    /// Hands a batch over.
    ///
    /// # Errors
    /// The batch, if the store has no room for it now. It was not refused: that only the store itself can do, in the
    /// order of the batches.
    pub(super) fn append(&self, batch: RecordBatch) -> Result<(), Box<RecordBatch>> {
        let answers = self.answers.clone();
        let appended = self.store.append(
            batch,
            Box::new(move |stored| {
                let answer = match stored {
                    Ok(batch) => StoreAnswer::Committed { refused: batch.refused, placed: batch.placed },
                    Err(error) => {
                        tracing::debug!(%error, "messages were not stored");
                        StoreAnswer::Refused
                    }
                };
                answers.send(answer);
            }),
        );
        appended.or_else(|busy| busy.into_boxed_batch().map_or(Ok(()), Err))
    }

    /// Opens a room; false if the store has no room for the request now.
    pub(super) fn open(&self, room: RoomKey, name: &str, create: bool, now: Timestamp) -> bool {
        self.store.open_and_follow(name, create, self.follower.clone(), now, self.opened(room)).is_ok()
    }

    /// Nothing more is to be heard of the room.
    pub(super) fn unfollow(&self, room: RoomId) {
        self.store.unfollow(room);
    }

    /// Begins a log anew; false if the store has no room for the request now.
    pub(super) fn renew(&self, room: RoomKey, name: &str, id: RoomId, now: Timestamp) -> bool {
        self.store.renew_room(name, id, now, self.opened(room)).is_ok()
    }

    /// Passes the answer to an opening on.
    fn opened(&self, room: RoomKey) -> Done<Result<Opened, StoreError>> {
        let (answers, complaints) = (self.answers.clone(), self.complaints.clone());
        Box::new(move |opened| {
            let opened = opened.map(Box::new).map_err(|error| {
                if error == StoreError::NoSuchRoom {
                    return RejectReason::NoSuchRoom;
                }
                // A damaged room was told of when it was found.
                if !matches!(error, StoreError::RoomDamaged { .. }) {
                    complaints.complain(&error, "a room could not be opened");
                }
                RejectReason::Unavailable
            });
            answers.send(StoreAnswer::Opened { room, opened });
        })
    }

    /// Reads a page; false if the store has no room for the request now.
    pub(super) fn read(&self, reader: Reader, room: RoomId, request: PageRequest) -> bool {
        let (answers, complaints) = (self.answers.clone(), self.complaints.clone());
        let asked = self.store.read(
            room,
            request,
            Box::new(move |page| {
                let page = page.inspect_err(|error| {
                    if !matches!(error, StoreError::RoomDamaged { .. }) {
                        complaints.complain(error, "a page could not be read");
                    }
                });
                let page = page.ok();
                answers.send(StoreAnswer::Page { reader, page });
            }),
        );
        asked.is_ok()
    }
}
