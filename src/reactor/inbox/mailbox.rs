//! Letters from other threads to the reactor.

use std::collections::VecDeque;
use std::io;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};
use std::thread::ThreadId;

use crossbeam_channel::{Receiver, Sender, TrySendError};
use mio::Waker;

use crate::config::Config;
use crate::http::Response;
use crate::metrics::{Limit, Metrics};
use crate::reactor::ReactorLimits;
use crate::reactor::connection::streaming::Follow;
use crate::reactor::connection::table::Key;
use crate::reactor::service::{State, Ticket};
use crate::rooms::{RoomRequest, SessionEffect};
use crate::transport::{Certificate, SendError};
use crate::ws::CloseCode;

/// Letters under way at most. A shard that finds the box full waits; anybody else is told.
const LETTERS_MAX: usize = 4096;

/// What other threads tell the reactor.
#[derive(Debug)]
pub(crate) enum Letter {
    /// A shard wants something done.
    Effect(SessionEffect),
    /// A session was closed by a thread of the application, with this code and reason; the frame is out, the deadline is
    /// not armed yet.
    Closing(Key, CloseCode, Box<str>),
    /// Something for a session's handler.
    Event(Key, State),
    /// The answer to a request.
    Response(Ticket, Response),
    /// The same, and it follows a room.
    Follow(Ticket, Box<Follow>),
    /// A question to the shard that owns the room it is about.
    Ask(Box<RoomRequest>),
    /// A question to this shard.
    AskShard(usize, Box<RoomRequest>),
    /// What newcomers are shown from now on.
    Certificate(Certificate),
    /// New limits.
    Limits(Box<ReactorLimits>),
    /// A new configuration, for the application.
    Config(Box<Config>),
    /// Stop serving, in good order.
    Shutdown,
}

/// The writing side of the mailbox; cheap to clone.
#[derive(Clone, Debug)]
pub(crate) struct Mailbox {
    letters: Sender<Letter>,
    bell: Arc<Bell>,
    metrics: Metrics,
}

#[derive(Debug)]
struct Bell {
    waker: Waker,
    /// Set once rung, until the reactor begins to empty the box: one system call however many letters.
    rung: AtomicBool,
    /// The thread that empties the box.
    home: OnceLock<ThreadId>,
    /// Letters for which the box had no room and whose writers must not wait: those of that thread to itself, and that a
    /// session was closed. They are answers to requests, of which a connection has one at a time, closings, of which a
    /// session has one, and events, of which no more wait than the box holds.
    overflow: Mutex<VecDeque<Letter>>,
}

impl Bell {
    fn overflow(&self) -> MutexGuard<'_, VecDeque<Letter>> {
        self.overflow.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Mailbox {
    /// A mailbox whose bell is `waker`, and its reading side.
    pub(crate) fn new(waker: Waker, metrics: Metrics) -> (Mailbox, Inbox) {
        let (letters, received) = crossbeam_channel::bounded(LETTERS_MAX);
        let (home, overflow) = (OnceLock::new(), Mutex::default());
        let bell = Arc::new(Bell { waker, rung: AtomicBool::new(false), home, overflow });
        (Mailbox { letters, bell: bell.clone(), metrics }, Inbox { letters: received, bell })
    }

    /// Posts a letter, waiting while the box is full (the reactor's own thread does not wait).
    pub(crate) fn post(&self, letter: Letter) {
        match self.letters.try_send(letter) {
            Ok(()) | Err(TrySendError::Disconnected(_)) => {}
            Err(TrySendError::Full(letter)) if self.bell.home.get() == Some(&std::thread::current().id()) => {
                self.bell.overflow().push_back(letter);
            }
            Err(TrySendError::Full(letter)) => {
                let _reactor_is_gone = self.letters.send(letter);
            }
        }
        self.ring();
    }

    /// Posts a letter and never waits: one that the box has no room for is kept beside it. For what must not be lost and
    /// whose number is bounded elsewhere: each follows a commit of the store, or the end of a session.
    pub(crate) fn post_or_keep(&self, letter: Letter) {
        if let Err(TrySendError::Full(letter)) = self.letters.try_send(letter) {
            self.bell.overflow().push_back(letter);
        }
        self.ring();
    }

    /// Posts an event for a session, waiting while the box is full. On the reactor's own thread, which cannot wait for
    /// itself, it is refused if as many wait as the box holds.
    pub(crate) fn post_event(&self, key: Key, event: State) -> Result<(), SendError> {
        let letter = Letter::Event(key, event);
        if self.bell.home.get() == Some(&std::thread::current().id()) {
            let Err(TrySendError::Full(letter)) = self.letters.try_send(letter) else {
                self.ring();
                return Ok(());
            };
            let mut overflow = self.bell.overflow();
            if overflow.len() >= LETTERS_MAX {
                self.metrics.hit(Limit::ShardQueue);
                return Err(SendError::Full);
            }
            overflow.push_back(letter);
            return Ok(());
        }
        let delivered = self.letters.send(letter).map_err(|_| SendError::Closed);
        self.ring();
        delivered
    }

    /// Posts a letter unless the box is full.
    pub(crate) fn try_post(&self, letter: Letter) -> bool {
        let posted = self.letters.try_send(letter).is_ok();
        self.ring();
        posted
    }

    /// Wakes the reactor up.
    pub(crate) fn ring(&self) {
        if !self.bell.rung.swap(true, Ordering::AcqRel) {
            let _reactor_is_gone: io::Result<()> = self.bell.waker.wake();
        }
    }
}

/// The reading side of the mailbox.
#[derive(Debug)]
pub(crate) struct Inbox {
    letters: Receiver<Letter>,
    bell: Arc<Bell>,
}

impl Inbox {
    /// From now on the current thread is the one that empties the box.
    pub(crate) fn settle_here(&self) {
        let _settled_already = self.bell.home.set(std::thread::current().id());
    }

    /// To be called before emptying the box: a letter posted from now on rings again.
    pub(crate) fn answer_bell(&self) {
        self.bell.rung.store(false, Ordering::Release);
    }

    /// What had no room in the box so far.
    pub(crate) fn take_overflow(&self) -> VecDeque<Letter> {
        std::mem::take(&mut *self.bell.overflow())
    }

    /// The next letter, if there is one.
    pub(crate) fn next(&self) -> Option<Letter> {
        self.letters.try_recv().ok().or_else(|| self.bell.overflow().pop_front())
    }
}
