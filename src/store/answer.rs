//! How requests are answered, and why rooms are opened.

use super::error::StoreError;
use crate::rooms::store_api::RoomId;

/// Hears what became of a request, once, on a thread of the store. Must not block.
pub type Done<T> = Box<dyn FnOnce(T) + Send>;

/// The answer to a job. It is always sent: if the job is dropped, as [`StoreError::Stopped`].
pub(crate) struct Answer<T>(Option<Done<Result<T, StoreError>>>);

impl<T: Send + 'static> Answer<T> {
    pub(crate) fn new(done: Done<Result<T, StoreError>>) -> Answer<T> {
        Answer(Some(done))
    }

    pub(crate) fn send(mut self, outcome: Result<T, StoreError>) {
        if let Some(done) = self.0.take() {
            #[cfg(feature = "simulation")]
            return later::give(move || done(outcome));
            #[cfg(not(feature = "simulation"))]
            done(outcome);
        }
    }
}

impl<T> Drop for Answer<T> {
    fn drop(&mut self) {
        if let Some(done) = self.0.take() {
            done(Err(StoreError::Stopped));
        }
    }
}

/// Why a room is opened.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Purpose {
    /// To be used, if it exists.
    Find,
    /// To be used; one that does not exist is created.
    Create,
    /// To be used on under another epoch, if it is still this room that has the name.
    Renew(RoomId),
}

/// In a simulation: answers that a thread of the store has ready, and gives later.
#[cfg(feature = "simulation")]
pub(super) mod later {
    use std::cell::RefCell;

    /// An answer that is ready.
    pub(in crate::store) type Deliver = Box<dyn FnOnce() + Send>;

    thread_local! {
        static READY: RefCell<Option<Vec<Deliver>>> = const { RefCell::new(None) };
    }

    /// Does this, and hands out what it would have answered.
    pub(in crate::store) fn gather(work: impl FnOnce()) -> Vec<Deliver> {
        READY.set(Some(Vec::new()));
        work();
        READY.take().unwrap_or_default()
    }

    /// Gives an answer, now or later.
    pub(super) fn give(answer: impl FnOnce() + Send + 'static) {
        let answer: Deliver = Box::new(answer);
        let now = READY.with_borrow_mut(|ready| match ready {
            Some(ready) => {
                ready.push(answer);
                None
            }
            None => Some(answer),
        });
        if let Some(answer) = now {
            answer();
        }
    }
}
