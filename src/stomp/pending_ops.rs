//! Operations in flight: what a session has asked of the rooms and has had no answer to.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use super::fault::Fault;
use super::session::{Effect, Operation};
use crate::server::{SendError, Session};
use crate::ws::CloseCode;

/// What comes back to a session's handler.
#[derive(Debug)]
pub(super) enum Completion {
    /// Something that was asked for by this name has had its effect.
    Done(Operation, Effect),
    /// Something cannot be done.
    Refused(Option<Operation>, Fault),
    /// Nothing is under way any more.
    AllDone,
}

/// Counts the operations under way. One that the client does not wait for comes back as a number alone: it costs the
/// reactor nothing.
#[derive(Clone, Debug, Default)]
pub(super) struct PendingOps(Arc<Counters>);

#[derive(Debug, Default)]
struct Counters {
    under_way: AtomicUsize,
    /// The session waits until nothing is under way.
    is_awaited: AtomicBool,
}

impl PendingOps {
    /// Something is asked for. What is returned must come back, however it went.
    pub(super) fn begin(&self, session: &Session, operation: Option<Operation>) -> OpGuard {
        self.0.under_way.fetch_add(1, Ordering::SeqCst);
        OpGuard { pending: self.clone(), session: session.clone(), operation }
    }

    /// Something that was told to the session has arrived there.
    pub(super) fn arrived(&self) {
        let before = self.0.under_way.fetch_sub(1, Ordering::SeqCst);
        debug_assert!(before > 0, "what arrives was begun");
    }

    /// Whether nothing is under way.
    pub(super) fn is_quiet(&self) -> bool {
        self.0.under_way.load(Ordering::SeqCst) == 0
    }

    /// As [`is_quiet`](Self::is_quiet); if not, [`Completion::AllDone`] comes when it is, or something else does last.
    pub(super) fn await_quiet(&self) -> bool {
        // Sequentially consistent: the session marks that it waits and then looks at the count, a room counts down and
        // then looks at the mark. One of them sees what the other did, so the last end is never missed.
        self.0.is_awaited.store(true, Ordering::SeqCst);
        self.is_quiet()
    }
}

/// One operation under way, on any thread.
#[derive(Debug)]
pub(super) struct OpGuard {
    pending: PendingOps,
    session: Session,
    operation: Option<Operation>,
}

impl OpGuard {
    /// It is over.
    pub(super) fn complete(self, outcome: Result<Effect, Fault>) {
        let completion = match (outcome, self.operation) {
            (Ok(effect), Some(operation)) => Completion::Done(operation, effect),
            (Err(fault), operation) => Completion::Refused(operation, fault),
            (Ok(_), None) => {
                let Counters { under_way, is_awaited } = &*self.pending.0;
                let before = under_way.fetch_sub(1, Ordering::SeqCst);
                debug_assert!(before > 0, "what ends was begun");
                let was_last = before == 1;
                if was_last && is_awaited.load(Ordering::SeqCst) {
                    tell(&self.session, Completion::AllDone);
                }
                return;
            }
        };
        tell(&self.session, completion);
    }
}

/// Has the session hear of it. One that cannot would wait for its receipt for ever.
fn tell(session: &Session, completion: Completion) {
    if session.post_event(completion) == Err(SendError::Full) {
        session.close(CloseCode::TRY_AGAIN_LATER, "too much waits for the session");
    }
}
