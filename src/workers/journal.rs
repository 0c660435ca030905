//! A shard's way to the store: what it wants goes there, the answers come back into a channel of its own.

use std::sync::Arc;
use std::time::Duration;

use crossbeam_channel::{Receiver, Sender};

use crate::rooms::journal::{Opened, PageRequest, RecordBatch, RoomId};
use crate::rooms::{Answer, BATCHES_MAX, PAGES_MAX, Reader, RoomKey, STORE_REQUESTS_MAX, Timestamp, Why};
use crate::store::{Done, Store, StoreError};

/// Answers under way to one shard at most; the store waits for a shard that is further behind. More than a shard asks for
/// at a time, so that the store does not wait.
const ANSWERS_MAX: usize = 1024;
const _: () = assert!(STORE_REQUESTS_MAX + 2 * PAGES_MAX + BATCHES_MAX < ANSWERS_MAX);

/// What is called after each answer, if the shard does not wait for the channel itself.
pub(super) type Bell = Arc<dyn Fn() + Send + Sync>;

/// How long an answer is waited for before a batch that the store had no room for is offered again.
const WAIT: Duration = Duration::from_millis(5);

/// The store as one shard sees it.
#[derive(Debug)]
pub(super) struct Journal {
    store: Store,
    desk: Desk,
    answered: Receiver<Answer>,
}

/// Where the store leaves its answers.
#[derive(Clone)]
struct Desk {
    answers: Sender<Answer>,
    bell: Option<Bell>,
}

impl Desk {
    fn leave(&self, answer: Answer) {
        let _shard_is_gone = self.answers.send(answer);
        self.ring();
    }

    /// Leaves what the shard has not asked for, unless there is no room: it hears of it again when it asks.
    fn mention(&self, answer: Answer) {
        let _shard_is_gone_or_behind = self.answers.try_send(answer);
        self.ring();
    }

    fn ring(&self) {
        if let Some(ring) = &self.bell {
            ring();
        }
    }
}

impl std::fmt::Debug for Desk {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Desk")
    }
}

impl Journal {
    pub(super) fn new(store: Store, bell: Option<Bell>) -> Journal {
        let (answers, answered) = crossbeam_channel::bounded(ANSWERS_MAX);
        let desk = Desk { answers, bell };
        let damaged = desk.clone();
        store.listen_for_damage(move |room| damaged.mention(Answer::Damaged(room)));
        Journal { store, desk, answered }
    }

    /// Where the answers come.
    pub(super) fn answers(&self) -> &Receiver<Answer> {
        &self.answered
    }

    /// Waits for the next answer, but not for long: none may be due.
    pub(super) fn wait(&self) -> Option<Answer> {
        self.answered.recv_timeout(WAIT).ok()
    }

    /// Hands a batch over.
    ///
    /// # Errors
    /// The batch, if the store has no room for it now. It was not refused: that only the store itself can do, in the
    /// order of the batches.
    pub(super) fn append(&self, batch: RecordBatch) -> Result<(), RecordBatch> {
        let desk = self.desk.clone();
        let appended = self.store.append(
            batch,
            Box::new(move |stored| {
                let answer = match stored {
                    Ok(batch) => Answer::Committed { refused: batch.refused },
                    Err(error) => {
                        tracing::debug!(%error, "messages were not stored");
                        Answer::Refused
                    }
                };
                desk.leave(answer);
            }),
        );
        appended.or_else(|busy| busy.into_batch().map_or(Ok(()), Err))
    }

    /// Opens a room; false if the store has no room for the request now.
    pub(super) fn open(&self, room: RoomKey, name: &str, create: bool, now: Timestamp) -> bool {
        self.store.open_room(name, create, now, self.opened(room)).is_ok()
    }

    /// Begins a log anew; false if the store has no room for the request now.
    pub(super) fn renew(&self, room: RoomKey, name: &str, id: RoomId, now: Timestamp) -> bool {
        self.store.renew_room(name, id, now, self.opened(room)).is_ok()
    }

    /// Passes the answer to an opening on.
    fn opened(&self, room: RoomKey) -> Done<Result<Opened, StoreError>> {
        let desk = self.desk.clone();
        Box::new(move |opened| {
            let opened = opened.map(Box::new).map_err(|error| {
                if error == StoreError::NoSuchRoom {
                    return Why::NoSuchRoom;
                }
                // A damaged room was told of when it was found.
                if !matches!(error, StoreError::RoomDamaged { .. }) {
                    tracing::warn!(%error, "a room could not be opened");
                }
                Why::Unavailable
            });
            desk.leave(Answer::Opened { room, opened });
        })
    }

    /// Reads a page; false if the store has no room for the request now.
    pub(super) fn read(&self, reader: Reader, request: PageRequest) -> bool {
        let desk = self.desk.clone();
        let asked = self.store.read(
            request,
            Box::new(move |page| {
                let page = page.inspect_err(|error| {
                    if !matches!(error, StoreError::RoomDamaged { .. }) {
                        tracing::warn!(%error, "a page could not be read");
                    }
                });
                let page = page.ok();
                desk.leave(Answer::Page { reader, page });
            }),
        );
        asked.is_ok()
    }
}
