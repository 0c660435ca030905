//! For tests: a store that has done what it was asked for and is late to say so.

use std::sync::mpsc::{Receiver, SyncSender as Sender, sync_channel};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use super::answer::Done;
use super::error::StoreError;
use super::handle::Store;
use crate::rooms::store_api::RecordBatch;

/// An answer that is held back.
type Answer = Box<dyn FnOnce() + Send>;

/// Answers that a test holds at most.
const ANSWERS_MAX: usize = 64;

/// How long a test waits for an answer to hold.
const PATIENCE: Duration = Duration::from_secs(10);

/// Where answers to appends go while a test holds them back.
#[derive(Clone, Default)]
pub(super) struct Holder(Arc<Mutex<Option<Sender<Answer>>>>);

impl Holder {
    /// The answer, or what hands it to the test.
    pub(super) fn held(
        &self,
        done: Done<Result<RecordBatch, StoreError>>,
    ) -> Done<Result<RecordBatch, StoreError>> {
        let holder = self.clone();
        Box::new(move |stored| match &*holder.0.lock().unwrap() {
            Some(held) => held.send(Box::new(move || done(stored))).expect("the test waits"),
            None => done(stored),
        })
    }
}

/// The answers that the test holds.
pub(crate) struct HeldAnswers {
    holder: Holder,
    sender: Sender<Answer>,
    held: Receiver<Answer>,
}

impl Store {
    /// What holds back this store's answers to appends when it is told to.
    pub(crate) fn held_answers(&self) -> HeldAnswers {
        let (sender, held) = sync_channel(ANSWERS_MAX);
        HeldAnswers { holder: self.holder.clone(), sender, held }
    }
}

impl HeldAnswers {
    /// Answers are held back from now on.
    pub(crate) fn hold(&self) {
        *self.holder.0.lock().unwrap() = Some(self.sender.clone());
    }

    /// Waits until there is an answer, which is given when what is returned is called.
    pub(crate) fn take(&self) -> Answer {
        self.held.recv_timeout(PATIENCE).expect("an answer to hold")
    }

    /// Answers go their way again.
    pub(crate) fn release(&self) {
        *self.holder.0.lock().unwrap() = None;
        self.held.try_iter().for_each(|answer| answer());
    }
}
