//! Letters from other threads to the reactor.

use std::collections::VecDeque;
use std::io;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};
use std::thread::ThreadId;

use crossbeam_channel::{Receiver, Sender, TrySendError};
use mio::Waker;

use super::ReactorLimits;
use super::following::Follow;
use super::service::{State, Ticket};
use super::slots::Key;
use crate::http::Response;
use crate::rooms::{Ask, Effect};
use crate::transport::Certificate;

/// Letters under way at most. A shard that finds the box full waits; anybody else is told.
const LETTERS_MAX: usize = 4096;

/// What other threads tell the reactor.
#[derive(Debug)]
pub(crate) enum Letter {
    /// A shard wants something done.
    Effect(Effect),
    /// A session was closed by a thread of the application; the frame is out, the deadline is not armed yet.
    Closing(Key),
    /// Something for a session's handler.
    Event(Key, State),
    /// The answer to a request.
    Response(Ticket, Response),
    /// The same, and it follows a room.
    Follow(Ticket, Box<Follow>),
    /// A question to the shard that owns the room it is about.
    Ask(Box<Ask>),
    /// A question to this shard.
    AskShard(usize, Box<Ask>),
    /// What newcomers are shown from now on.
    Certificate(Certificate),
    /// New limits.
    Limits(Box<ReactorLimits>),
    /// Stop serving, in good order.
    Shutdown,
}

/// The writing side of the mailbox; cheap to clone.
#[derive(Clone, Debug)]
pub(crate) struct Mailbox {
    letters: Sender<Letter>,
    bell: Arc<Bell>,
}

#[derive(Debug)]
struct Bell {
    waker: Waker,
    /// Set once rung, until the reactor begins to empty the box: one system call however many letters.
    rung: AtomicBool,
    /// The thread that empties the box.
    home: OnceLock<ThreadId>,
    /// Letters from that thread to itself for which the box had no room: it cannot wait for itself. They are answers
    /// to requests, of which a connection has one at a time.
    overflow: Mutex<VecDeque<Letter>>,
}

impl Bell {
    fn overflow(&self) -> MutexGuard<'_, VecDeque<Letter>> {
        self.overflow.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Mailbox {
    /// A mailbox whose bell is `waker`, and its reading side.
    pub(super) fn new(waker: Waker) -> (Mailbox, Inbox) {
        let (letters, received) = crossbeam_channel::bounded(LETTERS_MAX);
        let (home, overflow) = (OnceLock::new(), Mutex::default());
        let bell = Arc::new(Bell { waker, rung: AtomicBool::new(false), home, overflow });
        (Mailbox { letters, bell: bell.clone() }, Inbox { letters: received, bell })
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
    /// is rare: each follows a commit of the store.
    pub(crate) fn post_or_keep(&self, letter: Letter) {
        if let Err(TrySendError::Full(letter)) = self.letters.try_send(letter) {
            self.bell.overflow().push_back(letter);
        }
        self.ring();
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
pub(super) struct Inbox {
    letters: Receiver<Letter>,
    bell: Arc<Bell>,
}

impl Inbox {
    /// From now on the current thread is the one that empties the box.
    pub(super) fn settle_here(&self) {
        let _settled_already = self.bell.home.set(std::thread::current().id());
    }

    /// To be called before emptying the box: a letter posted from now on rings again.
    pub(super) fn answer_bell(&self) {
        self.bell.rung.store(false, Ordering::Release);
    }

    /// The next letter, if there is one.
    pub(super) fn next(&self) -> Option<Letter> {
        self.letters.try_recv().ok().or_else(|| self.bell.overflow().pop_front())
    }
}
