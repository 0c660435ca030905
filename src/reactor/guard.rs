//! What keeps watch over a session where somebody has to say who they are.

use std::sync::Arc;
use std::time::Duration;

use super::attributes::Attributes;
use super::timers::{Tick, ticks};
use super::turn::Turn;
use crate::auth::Identity;

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
pub(super) struct Guard {
    pub(super) standing: Standing,
    /// When the session ends unless something happens before, since 1970 and by the reactor's own time. The latter stands
    /// still while the process does, so that the former decides where there is one.
    until: Option<Duration>,
    pub(super) deadline: Option<Tick>,
    /// The limit for messages that holds from the next one on.
    pub(super) message_bytes_max: Option<usize>,
    /// Whether the session's timer knows of the deadline.
    settled: bool,
}

impl Guard {
    pub(super) fn new(standing: Standing) -> Guard {
        Guard { standing, until: None, deadline: None, message_bytes_max: None, settled: false }
    }

    pub(super) fn into_hold(self) -> Option<Box<Hold>> {
        match self.standing {
            Standing::Awaited(hold) => Some(hold),
            Standing::Refused | Standing::Known(_) => None,
        }
    }

    /// Ends the session after this long.
    pub(super) fn end_after(&mut self, time: Duration, turn: &Turn) {
        self.until = None;
        self.deadline = Some(turn.now.saturating_add(ticks(time)));
    }

    /// Ends the session at this time since 1970, or never.
    pub(super) fn end_at(&mut self, until: Option<Duration>, turn: &Turn) {
        self.until = until;
        self.deadline =
            until.map(|until| turn.now.saturating_add(ticks(until.saturating_sub(super::turn::unix_time()))));
    }

    /// Whether the session needs no looking after before its timer comes out.
    pub(super) fn is_at_ease(&self) -> bool {
        self.settled
    }

    /// Whether the session has to end now. Where the clock was set back, its end is put off.
    pub(super) fn is_over(&mut self, turn: &Turn) -> bool {
        // Whoever asks arms the timer anew.
        self.settled = true;
        match self.until {
            Some(until) if super::turn::unix_time() >= until => true,
            Some(_) => {
                if self.deadline.is_some_and(|deadline| deadline <= turn.now) {
                    self.end_at(self.until, turn);
                }
                false
            }
            None => self.deadline.is_some_and(|deadline| deadline <= turn.now),
        }
    }
}
