//! What the reactor consists of.

use mio::{Poll, Token};

use super::clock::wheel::Tick;
use super::connection::table::ConnectionTable;
use super::inbox::channel::InboxReceiver;
use super::key::Key;
use super::listen::acceptor::Acceptor;
use super::signals::Signals;
use super::state::LoopState;
use crate::config::Listen;
use crate::transport::Certificate;
use crate::workers::Workers;

/// The tokens of what is no connection. No connection has the two highest generations.
pub(crate) const WAKER: Token = Token(usize::MAX);
pub(crate) const SIGNALS: Token = Token(usize::MAX - 1);

/// Maximum number of events that one poll returns. The rest is returned by the next: a longer list would make the messages
/// of other threads and the timers wait for longer.
pub(crate) const EVENTS_PER_TURN: usize = 1024;

/// The reactor. [`Reactor::run`] is the server.
pub(crate) struct Reactor<S> {
    pub(crate) poll: Poll,
    pub(crate) inbox: InboxReceiver,
    pub(crate) signals: Option<Signals>,
    /// When the first of them came.
    pub(crate) signalled_at: Option<Tick>,
    pub(crate) acceptor: Acceptor,
    /// Where each listener of the public really listens.
    pub(crate) addresses: Vec<Listen>,
    /// The same where operators are served.
    pub(crate) admin_addresses: Vec<Listen>,
    /// The certificate for new connections.
    pub(crate) certificate: Option<Certificate>,
    pub(crate) proxy_protocol: bool,
    pub(crate) connections: ConnectionTable,
    pub(crate) shared: LoopState,
    pub(crate) service: S,
    pub(crate) buffer: Box<[u8]>,
    pub(crate) life: Life,
    /// While shutting down: connections whose requests are still answered.
    pub(crate) finishing: Vec<Key>,
    /// When a paused acceptor tries again, if it is paused.
    pub(crate) retry_accept_at: Option<Tick>,
    /// Messages wait that nothing will wake the reactor up for.
    pub(crate) inbox_waits: bool,
    /// The place of the next connection whose deadlines are looked at anew, after the limits have changed.
    pub(crate) review_from: Option<usize>,
    /// Last, so that the handles of the shards and the inbox are gone when it waits for the threads.
    pub(crate) workers: Workers,
}

/// How far shutting down has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Life {
    /// As usual.
    Serving,
    /// No connection is accepted any more; what has arrived is read for this number of turns. The end has to be reached
    /// at this moment.
    Reading(usize, Tick),
    /// Nothing more is read but the requests behind one that was received: each is answered, in its order.
    Answering(Tick),
    /// This number of shards has still to send what was published before. One whose store does not answer is waited for during
    /// half of the time.
    Flushing(usize, Tick),
    /// Every session has been closed; until this moment its peer may answer.
    Closing(Tick),
}
