//! What the reactor keeps of a session and a callback may change.

use std::num::{NonZeroU8, NonZeroU16};

use super::handle::Session;
use super::memberships::Memberships;
use super::terms::Terms;
use super::timers::SessionTimers;
use crate::reactor::api::disconnect::Disconnect;
use crate::reactor::api::user_state::UserState;
use crate::transport::Charge;
use crate::ws::CloseCode;
use crate::ws::deflate::{History, WindowBits};

/// How far a session has come with its end. This is the owner of that: what else knows a part of it asks here, or is
/// brought into line at the end of each event.
///
/// ```text
/// Open ──a callback asks──► Requested ──it returns: Close frame sent, service told──► Ended
///   └──peer's Close, failure, lost connection, Close of another thread: service told──►─┘
/// ```
///
/// | in `Ended` | knows |
/// |---|---|
/// | the frame decoder ([`ws::Phase`](crate::ws::Phase)) | whether the peer's Close frame is still to come |
/// | the connection ([`ConnectionState`](crate::reactor::connection::states::ConnectionState)) | until when it is waited for, and the draining after it |
/// | the write half ([`Outbound`](crate::transport::Outbound)) | whether other threads may still send |
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Closing {
    /// Messages pass in both directions.
    Open,
    /// A callback has asked for the end, and has not returned yet.
    Requested,
    /// The service was told, the rooms were left.
    Ended,
}

/// A Close frame that is to be sent when the callback returns.
#[derive(Debug)]
pub(crate) struct CloseRequest {
    pub(crate) code: CloseCode,
    pub(crate) reason: String,
    pub(crate) because: Disconnect,
}

/// The part of a session that a callback may change.
#[derive(Debug)]
pub(crate) struct SessionState {
    pub(crate) endpoint: u16,
    /// Which of the endpoint's subprotocols was agreed on, counted from 1.
    pub(crate) subprotocol: Option<NonZeroU8>,
    /// The client takes compressed messages, and remembers so far back.
    pub(crate) deflate: Option<WindowBits>,
    closing: Closing,
    pub(crate) timers: SessionTimers,
    /// What the handler keeps of the session.
    pub(crate) user_state: Option<UserState>,
    pub(crate) memberships: Memberships,
    /// The shard that it last posted to without being in a room there.
    pub(crate) posts_to: Option<ShardNumber>,
    pub(crate) handle: Option<Session>,
    /// The client may send compressed messages.
    pub(crate) inflates: bool,
    pub(crate) rare: Option<Box<Rare>>,
}

// Every session has one.
const _: () = assert!(size_of::<SessionState>() <= 72);

/// What few sessions have: the others pay for one pointer.
#[derive(Debug, Default)]
pub(crate) struct Rare {
    /// What the client remembers, where messages refer back to earlier ones. Such messages come from callbacks alone: only
    /// there is their order on the wire the order of their compression.
    pub(crate) history: Option<Box<History>>,
    /// Invariant: present only while [`Closing::Requested`] holds.
    close_request: Option<CloseRequest>,
    /// Only where the service has set any.
    pub(crate) terms: Option<Terms>,
    /// What the handler says that its state takes up.
    pub(crate) held: Option<Charge>,
}

impl SessionState {
    pub(crate) fn rare(&mut self) -> &mut Rare {
        self.rare.get_or_insert_default()
    }

    pub(crate) fn terms(&self) -> Option<&Terms> {
        self.rare.as_ref()?.terms.as_ref()
    }

    pub(crate) fn terms_mut(&mut self) -> Option<&mut Terms> {
        self.rare.as_mut()?.terms.as_mut()
    }

    /// A session that begins, with what its opening handshake agreed on.
    pub(crate) fn new(
        endpoint: u16,
        subprotocol: Option<NonZeroU8>,
        deflate: Option<WindowBits>,
        inflates: bool,
    ) -> SessionState {
        SessionState {
            endpoint,
            subprotocol,
            deflate,
            closing: Closing::Open,
            timers: SessionTimers::None,
            user_state: None,
            memberships: Memberships::None,
            posts_to: None,
            handle: None,
            inflates,
            rare: None,
        }
    }

    /// Whether the session can be sent to, and hears what its client sends.
    pub(crate) fn is_open(&self) -> bool {
        self.closing == Closing::Open
    }

    /// Whether the service was told of the end.
    pub(crate) fn has_ended(&self) -> bool {
        self.closing == Closing::Ended
    }

    /// Asks for a Close frame when the callback returns. Only the first request counts.
    pub(crate) fn request_close(&mut self, code: CloseCode, reason: &str, because: Disconnect) {
        if self.closing == Closing::Open {
            self.closing = Closing::Requested;
            self.rare().close_request = Some(CloseRequest { code, reason: reason.into(), because });
        }
    }

    /// The Close frame that was asked for, to be sent now.
    pub(crate) fn take_close_request(&mut self) -> Option<CloseRequest> {
        if self.closing != Closing::Requested {
            return None;
        }
        let request = self.rare.as_mut().and_then(|rare| rare.close_request.take());
        debug_assert!(request.is_some(), "a session was asked to close and does not know how");
        request
    }

    /// The session ends: the service is being told.
    pub(crate) fn end(&mut self) {
        debug_assert!(
            self.rare.as_ref().is_none_or(|rare| rare.close_request.is_none()),
            "a Close frame that was asked for would not be sent"
        );
        self.closing = Closing::Ended;
    }

    /// Whether messages refer back to earlier ones.
    pub(crate) fn has_history(&self) -> bool {
        self.rare.as_ref().is_some_and(|rare| rare.history.is_some())
    }

    /// Bytes that the handler says that its state takes up.
    pub(crate) fn held_bytes(&self) -> usize {
        self.rare.as_ref().and_then(|rare| rare.held.as_ref()).map_or(0, Charge::bytes)
    }
}

/// The number of a shard, which takes two bytes also where there may be none.
#[derive(Clone, Copy, Debug)]
pub(crate) struct ShardNumber(NonZeroU16);

impl ShardNumber {
    pub(crate) fn new(number: u16) -> Option<ShardNumber> {
        NonZeroU16::new(number.checked_add(1)?).map(ShardNumber)
    }

    pub(crate) fn get(self) -> u16 {
        self.0.get() - 1
    }
}
