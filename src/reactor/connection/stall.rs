//! A peer that takes nothing of what waits for it.

use std::time::Duration;

use crate::reactor::clock::wheel::{Tick, ticks};
use crate::reactor::state::LoopState;
use crate::transport::{Outbound, Progress};

/// A backlog of which the peer has taken nothing that counts since a moment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Stall {
    /// How far the peer had come at that moment.
    progress: Progress,
    since: Tick,
}

impl Stall {
    /// The stall as it is now, if it was `before` when the peer was looked at last.
    pub(crate) fn watch(before: Option<Stall>, outbound: &Outbound, now: Tick) -> Option<Stall> {
        let progress = outbound.stalled_at()?;
        match before {
            Some(stall) if !progress.is_since(stall.progress) => Some(stall),
            Some(_) | None => Some(Stall { progress, since: now }),
        }
    }

    /// When the peer has to have taken something.
    pub(crate) fn until(self, write_timeout: Duration) -> Tick {
        self.since.saturating_add(ticks(write_timeout))
    }
}

/// When to look again whether a peer takes what is sent to it: no event tells that it has stopped. A backlog is seen after
/// half of `limits.write_timeout` at the latest, and has the whole of it from then on.
pub(crate) fn next_look(shared: &LoopState) -> Tick {
    shared.now.saturating_add(ticks(shared.limits.write_timeout / 2))
}
