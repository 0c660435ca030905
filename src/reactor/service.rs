//! What the reactor asks of the application above it.

use std::any::Any;
use std::net::SocketAddr;
use std::time::Duration;

use crate::config::Config;
use crate::handshake::Accepted;
use crate::http::{Head, Response};
use crate::metrics::Limit;
use crate::reactor::api::attributes::Attributes;
use crate::reactor::connection::rate_limit::Ration;
use crate::reactor::connection::streaming::Follow;
use crate::reactor::connection::table::Key;
use crate::reactor::session::context::Context;
use crate::reactor::session::timers::Timer;
use crate::ws::{CloseCode, Message, ProtocolError};

/// What a handler keeps of a session, and whatever else only it knows the type of.
pub(crate) type State = Box<dyn Any + Send>;

/// Where a request came from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Arrival {
    /// The peer's address.
    pub peer: SocketAddr,
    /// Whether the connection is encrypted.
    pub secure: bool,
    /// Whether it came behind a header of the PROXY protocol.
    pub proxied: bool,
}

/// What to do with a request, decided from its head.
#[derive(Debug)]
pub(crate) enum Route<'s> {
    /// Answer at once; a body that comes with it is read and dropped.
    Respond(Response),
    /// Read the body, up to so many bytes, then ask [`Service::respond`].
    ReadBody {
        /// Bytes of the body at most.
        bytes_max: usize,
        /// What is attached to the request.
        attributes: Attributes,
    },
    /// Become a WebSocket.
    Upgrade {
        /// Which of the service's endpoints it belongs to.
        endpoint: u16,
        /// The answer to the handshake.
        accepted: Accepted<'s>,
        /// Bytes of a message at most.
        message_bytes_max: usize,
        /// What becomes of the session.
        admission: Admission,
        /// What a session may send in a time.
        ration: Ration,
    },
}

/// What becomes of a session, decided before its 101.
#[derive(Debug)]
pub(crate) struct Admission {
    /// What is attached to the session.
    pub(crate) attributes: Attributes,
    pub(crate) verdict: Verdict,
}

/// Whether a session is let in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Verdict {
    /// The application hears of it.
    Admitted,
    /// It has to send a token first.
    Awaited,
    /// It is closed with 4401, which a web page can see, other than the status of a refused upgrade.
    Refused(&'static str),
}

/// The answer to a request whose body was read.
#[derive(Debug)]
#[non_exhaustive]
pub enum Answer {
    /// This one.
    Now(Response),
    /// It comes later, through the request's responder; the connection waits for it.
    Later,
    /// The same, and if none has come after this time, the other answer is sent.
    LaterOr(Duration, Otherwise),
    /// One that goes on with the messages of a room.
    Follow(Box<Follow>),
}

/// The answer to a request that nobody has answered in time, made when it is needed.
pub struct Otherwise(pub(crate) Box<dyn FnOnce() -> Response + Send>);

impl Otherwise {
    /// What `make` says.
    pub fn new(make: impl FnOnce() -> Response + Send + 'static) -> Otherwise {
        Otherwise(Box::new(make))
    }

    /// Makes it.
    pub(crate) fn make(self) -> Response {
        (self.0)()
    }
}

impl std::fmt::Debug for Otherwise {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Otherwise").finish_non_exhaustive()
    }
}

/// Names a request that is answered later.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Ticket {
    pub(crate) key: Key,
    /// Invariant: no two requests have the same, whatever their connections.
    pub(crate) number: u64,
}

/// How a session ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Disconnect {
    /// The peer sent a Close frame, with this code if any.
    PeerClosed(Option<CloseCode>),
    /// The connection ended without a Close frame.
    PeerGone,
    /// The server closed it with this code.
    Closed(CloseCode),
    /// The peer broke the protocol.
    Protocol(ProtocolError),
    /// Nothing came for too long, not even an answer to a ping.
    Idle,
    /// A message was begun and not finished in time.
    UnfinishedMessage,
    /// The peer takes nothing of what was sent to it.
    Stalled,
    /// The peer sent more than this limit allows.
    Flood(Limit),
    /// What waited for or from the peer in memory was more than all together may have.
    Memory,
    /// The member fell behind its room.
    TooSlow,
    /// The handler panicked.
    HandlerFailed,
    /// The server shuts down.
    Shutdown,
}

impl std::fmt::Display for Disconnect {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Disconnect::PeerClosed(Some(code)) => write!(f, "closed by the peer with {}", code.get()),
            Disconnect::PeerClosed(None) => f.write_str("closed by the peer"),
            Disconnect::PeerGone => f.write_str("connection lost"),
            Disconnect::Closed(code) => write!(f, "closed with {}", code.get()),
            Disconnect::Protocol(error) => write!(f, "protocol error: {error}"),
            Disconnect::Idle => f.write_str("silent for too long"),
            Disconnect::UnfinishedMessage => f.write_str("message not finished in time"),
            Disconnect::Stalled => f.write_str("takes no data"),
            Disconnect::Flood(limit) => write!(f, "more than {}", limit.key()),
            Disconnect::Memory => f.write_str("too much waited in memory"),
            Disconnect::TooSlow => f.write_str("too slow for its room"),
            Disconnect::HandlerFailed => f.write_str("handler failed"),
            Disconnect::Shutdown => f.write_str("server shuts down"),
        }
    }
}

/// The application: everything that the reactor does not know. All calls come from the reactor's thread and must not
/// block.
pub(crate) trait Service: Send + 'static {
    /// Decides what to do with a request.
    fn route(&mut self, head: &Head<'_>, arrival: &Arrival) -> Route<'_>;

    /// Answers a request whose body was read, at once or later by a [`Letter::Response`](crate::reactor::Letter) with `ticket`.
    fn respond(
        &mut self,
        head: &Head<'_>,
        body: &[u8],
        arrival: &Arrival,
        attributes: &Attributes,
        ticket: Ticket,
    ) -> Answer;

    /// A session begins; its 101 is on the way. `head` is the request that it began with.
    fn open(&mut self, cx: &mut Context<'_>, head: &Head<'_>, admission: Admission);

    /// A message came. Not called after the session was closed.
    fn message(&mut self, cx: &mut Context<'_>, message: Message<'_>);

    /// A timer set by [`Context::set_timer`] went off.
    fn timer(&mut self, cx: &mut Context<'_>, timer: Timer);

    /// A thread of the application has something for the session.
    fn event(&mut self, cx: &mut Context<'_>, event: State);

    /// The time that its guard has given the session is over.
    fn overdue(&mut self, cx: &mut Context<'_>);

    /// The configuration was read anew.
    fn reconfigure(&mut self, config: &Config);

    /// The user and the room that the log names if a session of this endpoint, of which the handler keeps this, ends badly;
    /// unless its request names them.
    fn names<'s>(&self, endpoint: u16, state: &'s State) -> (Option<&'s str>, Option<&'s str>);

    /// The session ended; called exactly once. Nothing can be sent any more.
    fn close(&mut self, cx: &mut Context<'_>, reason: Disconnect);
}
