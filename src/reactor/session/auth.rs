//! What keeps watch over a session where somebody has to say who they are.

use std::sync::Arc;
use std::time::Duration;

use crate::auth::Identity;
use crate::reactor::api::attributes::Attributes;
use crate::reactor::clock::wheel::Tick;
use crate::reactor::connection::deadlines::Ending;
use crate::reactor::state::Turn;

/// How far a session has come.
///
/// ```text
/// Awaited ──token──► Known ──another token──► Known
///    │                 │
///    └────────────┬────┘
///     deadline, or a bad token: closed with 4401
/// ```
#[derive(Debug)]
pub(crate) enum Standing {
    /// Nobody knows whose session it is. The application has not heard of it; it will be shown this.
    Awaited(Box<Hold>),
    /// It is being closed, and the application has not heard of it.
    Refused,
    /// It is this user's.
    Known(Arc<Identity>),
}

/// What a session keeps that waits for its token.
#[derive(Debug)]
pub(crate) struct Hold {
    /// The request that it began with.
    pub(crate) request: Vec<u8>,
    /// What the interceptors have attached to it.
    pub(crate) attributes: Attributes,
}

/// A session's guard.
#[derive(Debug)]
pub(crate) struct Guard {
    pub(crate) standing: Standing,
    ending: Option<Ending>,
    /// The limit for messages that holds from the next one on.
    pub(crate) message_bytes_max: Option<usize>,
    /// Whether the session's timer knows of the deadline.
    settled: bool,
}

impl Guard {
    pub(crate) fn new(standing: Standing) -> Guard {
        Guard { standing, ending: None, message_bytes_max: None, settled: false }
    }

    pub(crate) fn into_hold(self) -> Option<Box<Hold>> {
        match self.standing {
            Standing::Awaited(hold) => Some(hold),
            Standing::Refused | Standing::Known(_) => None,
        }
    }

    /// Ends the session after this long.
    pub(crate) fn end_after(&mut self, time: Duration, turn: &Turn) {
        self.ending = Some(Ending::after(time, turn));
    }

    /// Ends the session at this time since 1970, or never.
    pub(crate) fn end_at(&mut self, until: Option<Duration>, turn: &Turn) {
        self.ending = until.map(|until| Ending::by_clock(until, turn));
    }

    /// When to look whether the session has to end.
    pub(crate) fn deadline(&self) -> Option<Tick> {
        self.ending.map(|ending| ending.at)
    }

    /// Whether the session needs no looking after before its timer comes out.
    pub(crate) fn is_at_ease(&self) -> bool {
        self.settled
    }

    /// Whether the session has to end now. Where the clock was set back, its end is put off.
    pub(crate) fn is_over(&mut self, turn: &Turn) -> bool {
        // Whoever asks arms the timer anew.
        self.settled = true;
        self.ending.as_mut().is_some_and(|ending| ending.has_come(turn))
    }
}
