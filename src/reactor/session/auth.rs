//! Authentication of a session, where one is needed: its state and its deadline.

use std::sync::Arc;
use std::time::Duration;

use crate::auth::Identity;
use crate::reactor::api::attributes::Attributes;
use crate::reactor::clock::ending::Ending;
use crate::reactor::clock::wheel::Tick;

/// How far a session has come.
///
/// ```text
/// Pending ──token──► Authenticated ──another token──► Authenticated
///    │                 │
///    └────────────┬────┘
///     deadline, or a bad token: closed with 4401
/// ```
#[derive(Debug)]
pub(crate) enum AuthState {
    /// The client has not authenticated yet. The application has not heard of the session; it will be shown this.
    Pending(Box<PendingAuth>),
    /// It is being closed, and the application has not heard of it.
    Rejected,
    /// It is this user's.
    Authenticated(Arc<Identity>),
}

/// What a session keeps that waits for its token.
#[derive(Debug)]
pub(crate) struct PendingAuth {
    /// The request that it began with.
    pub(crate) request: Vec<u8>,
    /// What the interceptors have attached to it.
    pub(crate) attributes: Attributes,
}

/// Who a session belongs to, and until when.
#[derive(Debug)]
pub(crate) struct SessionAuth {
    pub(crate) state: AuthState,
    ending: Option<Ending>,
    /// The limit for messages that holds from the next one on.
    pub(crate) message_bytes_max: Option<usize>,
    /// Whether the timer of the connection knows of the deadline.
    is_armed: bool,
}

impl SessionAuth {
    pub(crate) fn new(state: AuthState) -> SessionAuth {
        SessionAuth { state, ending: None, message_bytes_max: None, is_armed: false }
    }

    pub(crate) fn into_pending(self) -> Option<Box<PendingAuth>> {
        match self.state {
            AuthState::Pending(pending) => Some(pending),
            AuthState::Rejected | AuthState::Authenticated(_) => None,
        }
    }

    /// Ends the session after this long.
    pub(crate) fn end_after(&mut self, time: Duration, now: Tick) {
        self.ending = Some(Ending::after(time, now));
    }

    /// Ends the session at this time since 1970, or never.
    pub(crate) fn end_at(&mut self, until: Option<Duration>, now: Tick) {
        self.ending = until.map(|until| Ending::by_clock(until, now));
    }

    /// When to look whether the session has to end.
    pub(crate) fn deadline(&self) -> Option<Tick> {
        self.ending.map(|ending| ending.at)
    }

    /// Whether the session needs no looking after before its timer comes out.
    pub(crate) fn is_at_ease(&self) -> bool {
        self.is_armed
    }

    /// Whether the session has to end now. Where the clock was set back, its end is put off.
    pub(crate) fn is_over(&mut self, now: Tick) -> bool {
        // The caller arms the timer anew.
        self.is_armed = true;
        self.ending.as_mut().is_some_and(|ending| ending.has_come(now))
    }
}
