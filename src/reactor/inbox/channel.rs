//! Both ends of the inbox: a bounded queue, a queue behind it for messages that must not wait, and one wake-up for both.

use std::collections::VecDeque;
use std::io;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};
use std::thread::ThreadId;
use std::time::Duration;

use crossbeam_channel::{Receiver, SendTimeoutError, Sender, TrySendError};

use super::message::ReactorMessage;
use crate::limit_hits::{Limit, LimitHits};
use crate::reactor::api::user_state::UserState;
use crate::reactor::key::Key;
use crate::rooms::SessionEffect;
use crate::system::Waker;
use crate::transport::SendError;
use crate::workers::Report;

/// Maximum number of messages in the inbox. Four turns of the loop empty it: a longer queue would only make each message
/// older, a shorter one would make shards wait for a reactor that is not behind.
const MESSAGES_MAX: usize = 4096;

/// How long another thread waits to post an event while the inbox is full. A reactor that takes nothing for this long is
/// not busy but stuck, and must not take the threads of the application with it.
const EVENT_WAIT_MAX: Duration = Duration::from_secs(10);

/// The sender of the inbox; cheap to clone.
#[derive(Clone, Debug)]
pub(crate) struct InboxSender {
    messages: Sender<ReactorMessage>,
    wakeup: Arc<Wakeup>,
    limit_hits: LimitHits,
}

#[derive(Debug)]
struct Wakeup {
    waker: Waker,
    /// Set by the first message, cleared when the reactor begins to empty the inbox: one system call for any number of
    /// messages.
    is_set: AtomicBool,
    /// The thread that empties the inbox. It cannot wait for itself.
    reader: OnceLock<ThreadId>,
    /// Messages that found the inbox full and must not wait: what the reactor's own thread posts, and closings of sessions.
    ///
    /// Invariant: bounded. A connection waits for one answer at a time, a session is closed once, and at most
    /// [`MESSAGES_MAX`] events wait here.
    overflow: Mutex<VecDeque<ReactorMessage>>,
    /// What the application's threads have sent to sessions: messages, and bytes.
    sent: [AtomicU64; 2],
}

impl Wakeup {
    fn overflow(&self) -> MutexGuard<'_, VecDeque<ReactorMessage>> {
        // A queue is consistent between any two calls, so a panic elsewhere leaves it usable.
        self.overflow.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn is_reader(&self) -> bool {
        self.reader.get() == Some(&std::thread::current().id())
    }
}

impl InboxSender {
    /// An inbox that wakes the reactor up by `waker`: both ends of it.
    pub(crate) fn new(waker: Waker, limit_hits: LimitHits) -> (InboxSender, InboxReceiver) {
        let (messages, received) = crossbeam_channel::bounded(MESSAGES_MAX);
        let (reader, overflow) = (OnceLock::new(), Mutex::default());
        let sent = Default::default();
        let wakeup = Arc::new(Wakeup { waker, is_set: AtomicBool::new(false), reader, overflow, sent });
        (
            InboxSender { messages, wakeup: wakeup.clone(), limit_hits },
            InboxReceiver { messages: received, wakeup },
        )
    }

    /// Posts a message, and waits while the inbox is full (the reactor's own thread does not wait).
    pub(crate) fn post(&self, message: ReactorMessage) {
        match self.messages.try_send(message) {
            Ok(()) | Err(TrySendError::Disconnected(_)) => {}
            Err(TrySendError::Full(message)) if self.wakeup.is_reader() => {
                self.wakeup.overflow().push_back(message);
            }
            Err(TrySendError::Full(message)) => {
                let _reactor_is_gone = self.messages.send(message);
            }
        }
        self.wake();
    }

    /// Posts a message and never waits: one that finds the inbox full goes to the queue behind it. For what must not be
    /// lost and is bounded elsewhere: a message follows a commit of the store, or the end of a session.
    pub(crate) fn post_or_keep(&self, message: ReactorMessage) {
        if let Err(TrySendError::Full(message)) = self.messages.try_send(message) {
            self.wakeup.overflow().push_back(message);
        }
        self.wake();
    }

    /// Posts an event for a session, and waits while the inbox is full, but not for ever. The reactor's own thread does
    /// not wait: its events go to the queue behind the inbox.
    ///
    /// # Errors
    /// [`SendError::Full`]: the reactor took nothing for ten seconds, or [`MESSAGES_MAX`] events of its own thread wait.
    /// [`SendError::Closed`]: the reactor has ended.
    pub(crate) fn post_event(&self, key: Key, event: UserState) -> Result<(), SendError> {
        let message = ReactorMessage::Event(key, event);
        let posted = if self.wakeup.is_reader() {
            self.post_own_event(message)
        } else {
            self.post_foreign_event(message)
        };
        if posted == Err(SendError::Full) {
            self.limit_hits.hit(Limit::ShardQueue);
        }
        self.wake();
        posted
    }

    fn post_foreign_event(&self, message: ReactorMessage) -> Result<(), SendError> {
        // First without a clock, which the usual case does not need.
        let message = match self.messages.try_send(message) {
            Ok(()) => return Ok(()),
            Err(TrySendError::Disconnected(_)) => return Err(SendError::Closed),
            Err(TrySendError::Full(message)) => message,
        };
        self.messages.send_timeout(message, EVENT_WAIT_MAX).map_err(|error| match error {
            SendTimeoutError::Timeout(_) => SendError::Full,
            SendTimeoutError::Disconnected(_) => SendError::Closed,
        })
    }

    fn post_own_event(&self, message: ReactorMessage) -> Result<(), SendError> {
        let Err(TrySendError::Full(message)) = self.messages.try_send(message) else { return Ok(()) };
        let mut overflow = self.wakeup.overflow();
        if overflow.len() >= MESSAGES_MAX {
            return Err(SendError::Full);
        }
        overflow.push_back(message);
        Ok(())
    }

    /// Posts a message unless the inbox is full. False if it was not posted.
    pub(crate) fn try_post(&self, message: ReactorMessage) -> bool {
        let posted = self.messages.try_send(message).is_ok();
        self.wake();
        posted
    }

    /// Counts what a thread of the application has sent to a session.
    // Shared by all threads, unlike all other counters; a message that goes this way costs a system call and more.
    pub(crate) fn count_sent(&self, messages: u64, bytes: usize) {
        self.wakeup.sent[0].fetch_add(messages, Ordering::Relaxed);
        self.wakeup.sent[1].fetch_add(bytes as u64, Ordering::Relaxed);
    }

    /// What has been counted so: messages, and bytes.
    pub(crate) fn sent(&self) -> [u64; 2] {
        self.wakeup.sent.each_ref().map(|counter| counter.load(Ordering::Relaxed))
    }

    /// Wakes the reactor up.
    pub(crate) fn wake(&self) {
        // Acquire and release: the reactor that finds the mark sees the message that was posted before it.
        if !self.wakeup.is_set.swap(true, Ordering::AcqRel) {
            let _reactor_is_gone: io::Result<()> = self.wakeup.waker.wake();
        }
    }
}

/// The receiver of the inbox.
#[derive(Debug)]
pub(crate) struct InboxReceiver {
    messages: Receiver<ReactorMessage>,
    wakeup: Arc<Wakeup>,
}

impl InboxReceiver {
    /// From now on the current thread is the reader.
    pub(crate) fn claim_thread(&self) {
        let _claimed_before = self.wakeup.reader.set(std::thread::current().id());
    }

    /// To be called before the inbox is emptied: a message that is posted from now on wakes the reactor again.
    pub(crate) fn clear_wakeup(&self) {
        self.wakeup.is_set.store(false, Ordering::Release);
    }

    /// Invariant: as many events as the inbox has room for wait behind it at most.
    #[cfg(debug_assertions)]
    pub(crate) fn check_overflow(&self) {
        let overflow = self.wakeup.overflow();
        let events = overflow.iter().filter(|message| matches!(message, ReactorMessage::Event(..))).count();
        debug_assert!(events <= MESSAGES_MAX, "{events} events wait behind the inbox");
    }

    /// The messages that found the inbox full.
    pub(crate) fn take_overflow(&self) -> VecDeque<ReactorMessage> {
        std::mem::take(&mut *self.wakeup.overflow())
    }

    /// The next message, if there is one. Those that found the inbox full come last.
    pub(crate) fn next(&self) -> Option<ReactorMessage> {
        self.messages.try_recv().ok().or_else(|| self.wakeup.overflow().pop_front())
    }
}

impl Report for InboxSender {
    fn effect(&self, effect: SessionEffect) {
        self.post(ReactorMessage::Effect(effect));
    }

    fn wake(&self) {
        InboxSender::wake(self);
    }
}
