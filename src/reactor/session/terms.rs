//! The terms on which a session goes on, as the service sets them: whose it is, until when, how long its messages may be.

use std::sync::Arc;
use std::time::Duration;

use crate::auth::Identity;
use crate::reactor::clock::ending::Ending;
use crate::reactor::clock::wheel::Tick;

/// When a session ends, unless the service sets other terms before.
#[derive(Clone, Copy, Debug)]
pub(crate) enum SessionEnd {
    /// Not by its terms.
    Never,
    /// After this long.
    After(Duration),
    /// At this time since 1970.
    At(Duration),
}

/// The terms of one session. The reactor knows nothing of tokens: at the end it asks the service what to do
/// ([`Service::overdue`](crate::reactor::service::Service::overdue)).
#[derive(Debug)]
pub(crate) struct Terms {
    identity: Option<Arc<Identity>>,
    ending: Option<Ending>,
    /// The limit for messages that holds from the next one on; taken when the decoder knows it.
    message_bytes_max: Option<usize>,
    /// Whether the timer of the connection knows of the end.
    is_armed: bool,
}

impl Terms {
    pub(crate) fn new(
        identity: Option<Arc<Identity>>,
        end: SessionEnd,
        message_bytes_max: Option<usize>,
        now: Tick,
    ) -> Terms {
        let ending = match end {
            SessionEnd::Never => None,
            SessionEnd::After(time) => Some(Ending::after(time, now)),
            SessionEnd::At(until) => Some(Ending::by_clock(until, now)),
        };
        Terms { identity, ending, message_bytes_max, is_armed: false }
    }

    /// The user that the session was proved to be of.
    pub(crate) fn identity(&self) -> Option<&Arc<Identity>> {
        self.identity.as_ref()
    }

    /// A new limit for messages, once.
    pub(crate) fn take_message_bytes_max(&mut self) -> Option<usize> {
        self.message_bytes_max.take()
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
