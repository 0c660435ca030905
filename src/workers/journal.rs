//! A shard's way to the store: what it wants goes there, the answers come back into a channel of its own.

use crossbeam_channel::{Receiver, Sender};

use crate::rooms::journal::{PageRequest, RecordBatch};
use crate::rooms::{Answer, Reader, RoomKey, Timestamp, Why};
use crate::store::{Store, StoreError};

/// Answers under way to one shard at most; the store waits for a shard that is further behind.
const ANSWERS_MAX: usize = 1024;

/// The store as one shard sees it.
#[derive(Debug)]
pub(super) struct Journal {
    store: Store,
    answers: Sender<Answer>,
    answered: Receiver<Answer>,
}

impl Journal {
    pub(super) fn new(store: Store) -> Journal {
        let (answers, answered) = crossbeam_channel::bounded(ANSWERS_MAX);
        Journal { store, answers, answered }
    }

    /// Where the answers come.
    pub(super) fn answers(&self) -> &Receiver<Answer> {
        &self.answered
    }

    /// Waits for the next answer. Only while one is due.
    pub(super) fn wait(&self) -> Answer {
        // This side of the channel holds a sender, too: it is never disconnected.
        self.answered.recv().unwrap_or(Answer::Refused)
    }

    pub(super) fn append(&self, batch: RecordBatch) {
        let answers = self.answers.clone();
        let appended = self.store.append(
            batch,
            Box::new(move |stored| {
                let answer = match stored {
                    Ok(_batch) => Answer::Committed,
                    Err(error) => {
                        tracing::debug!(%error, "messages were not stored");
                        Answer::Refused
                    }
                };
                let _shard_is_gone = answers.send(answer);
            }),
        );
        if appended.is_err() {
            self.answer_at_once(Answer::Refused);
        }
    }

    pub(super) fn open(&self, room: RoomKey, name: &str, create: bool, now: Timestamp) {
        let answers = self.answers.clone();
        let asked = self.store.open_room(
            name,
            create,
            now,
            Box::new(move |opened| {
                let opened = opened.map(Box::new).map_err(|error| {
                    if error == StoreError::NoSuchRoom {
                        return Why::NoSuchRoom;
                    }
                    tracing::warn!(%error, "a room could not be opened");
                    Why::Unavailable
                });
                let _shard_is_gone = answers.send(Answer::Opened { room, opened });
            }),
        );
        if asked.is_err() {
            self.answer_at_once(Answer::Opened { room, opened: Err(Why::Unavailable) });
        }
    }

    pub(super) fn read(&self, reader: Reader, request: PageRequest) {
        let answers = self.answers.clone();
        let asked = self.store.read(
            request,
            Box::new(move |page| {
                let page = page.inspect_err(|error| tracing::warn!(%error, "a page could not be read")).ok();
                let _shard_is_gone = answers.send(Answer::Page { reader, page });
            }),
        );
        if asked.is_err() {
            self.answer_at_once(Answer::Page { reader, page: None });
        }
    }

    /// The store has too much to do. The shard itself empties this channel, so it must not wait for room in it.
    fn answer_at_once(&self, answer: Answer) {
        if self.answers.try_send(answer).is_err() {
            tracing::error!("the store is so far behind that an answer was lost");
        }
    }
}
