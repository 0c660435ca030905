//! A room on its way from the store: what happens to it meanwhile waits in order.
//!
//! ```text
//!          a command by name                     the store has it
//!  Found ────────────────────► Asked { create } ──────────────────► RoomSlot::Open, and what waits takes effect
//!    ▲                            │      ▲
//!    │ all members have gone      │      │ a command by name
//!    │                            ▼      │
//!  (no entry) ◄──────────────── Absent ──┘
//!            none waits        the store has no such room, and only readers wait: they make none
//! ```
//!
//! A deletion that meets a room on its way is noted: if it was that room which the store has opened, the store is asked
//! once more, and what waits is in the next room of that name.

use std::time::Duration;

use crate::limit_hits::Limit;
use crate::rooms::api::command::Command;
use crate::rooms::api::peer::Peer;
use crate::rooms::api::publication::Published;
use crate::rooms::clock::Moment;
use crate::rooms::ids::{Arena, MemberKey, RoomId, RoomKey};
use crate::rooms::limits::bounds::Bounds;
use crate::rooms::log::encoded::write_notice;
use crate::rooms::message::notice::Notice;
use crate::rooms::values::Fault;

/// Maximum number of bytes that wait for one room.
// A part of what may wait for all of them: one room that does not come must leave the others theirs.
const ROOM_BYTES_MAX: usize = 4 << 20;
/// Minimum interval between two searches for polls that have ended, while a room holds all that it may.
// A search looks at each command that waits: once a second bounds that, and a poll waits for several seconds.
const SWEEP_INTERVAL: Duration = Duration::from_secs(1);

/// A room that is being opened.
#[derive(Debug)]
pub(super) struct Opening<P> {
    pub(super) key: RoomKey,
    pub(super) name: Box<str>,
    pub(super) phase: Phase,
    pub(super) held: Vec<Held<P>>,
    /// The arena of the commands that wait.
    pub(super) arena: Arena,
    /// Bytes that [`Bounds::charge`] was asked for. Invariant: the sum of what the commands that wait cost.
    pub(super) charged: usize,
    /// Whether its creation was taken from the rate of creations.
    pub(super) creation_charged: bool,
    pub(super) attempts: u32,
    /// Rooms of this name that were deleted since it was found.
    pub(super) deleted: Vec<RoomId>,
    /// When polls that have ended were looked for last, because too much waited.
    pub(super) swept_at: Moment,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Phase {
    /// The store was not asked yet.
    Found,
    /// The store was asked for it, and whether to create it.
    Asked { create: bool },
    /// The store has no such room, and no command that waits may create one; since when.
    Absent { since: Moment },
}

/// A command that waits.
#[derive(Debug)]
pub(super) struct Held<P> {
    pub(super) command: Command<P>,
    pub(super) since: Moment,
    pub(super) bytes: usize,
    /// It is a reader that was greeted as at an empty room, and goes on waiting. Invariant: those stand before all
    /// others.
    pub(super) is_greeted: bool,
}

impl<P> Held<P> {
    pub(super) fn new(command: Command<P>, since: Moment, bytes: usize) -> Held<P> {
        Held { command, since, bytes, is_greeted: false }
    }
}

impl<P> Opening<P> {
    pub(super) fn new(key: RoomKey, name: Box<str>) -> Opening<P> {
        Opening {
            key,
            name,
            phase: Phase::Found,
            held: Vec::new(),
            arena: Arena::default(),
            charged: 0,
            creation_charged: false,
            attempts: 0,
            deleted: Vec::new(),
            swept_at: Moment::default(),
        }
    }

    /// Whether to create it, if the store is asked for it at the moment.
    pub(super) fn is_asked(&self) -> Option<bool> {
        match self.phase {
            Phase::Asked { create } => Some(create),
            Phase::Found | Phase::Absent { .. } => None,
        }
    }

    pub(super) fn is_absent(&self) -> bool {
        matches!(self.phase, Phase::Absent { .. })
    }

    /// Since when only readers wait, for a room that is not there.
    pub(super) fn idle_since(&self) -> Option<Moment> {
        match self.phase {
            Phase::Absent { since } => Some(since),
            Phase::Found | Phase::Asked { .. } => None,
        }
    }

    pub(super) fn set_idle_since(&mut self, now: Moment) {
        if let Phase::Absent { since } = &mut self.phase {
            *since = now;
        }
    }

    /// Whether no command waits for it, and no answer of the store.
    pub(super) fn is_unwanted(&self) -> bool {
        self.held.is_empty() && self.is_asked().is_none()
    }

    /// The room of this id was deleted.
    pub(super) fn note_deletion(&mut self, id: RoomId) {
        if self.is_asked().is_some() && !self.deleted.contains(&id) {
            self.deleted.push(id);
        }
    }

    /// Whether a command waits that may bring the room into being.
    pub(super) fn wants_creation(&self, open_rooms: bool) -> bool {
        open_rooms && self.held.iter().any(|held| held.command.creates())
    }

    /// Keeps a command for later.
    ///
    /// # Errors
    /// The command, if too much waits already.
    pub(super) fn hold(
        &mut self,
        command: Command<P>,
        now: Moment,
        bounds: &Bounds,
    ) -> Result<(), Command<P>> {
        let bytes = command.held_bytes();
        self.make_place(bytes, now, bounds);
        if !self.charge(bytes, bounds) {
            return Err(command);
        }
        self.held.push(Held::new(command, now, bytes));
        Ok(())
    }

    /// Forgets polls that have ended whenever twice as much waits, so that each command costs the same
    /// whatever their number; and before one is refused, but not often.
    fn make_place(&mut self, bytes: usize, now: Moment, bounds: &Bounds) {
        let is_full = self.charged.saturating_add(bytes) > ROOM_BYTES_MAX;
        if self.held.len().is_power_of_two() {
            self.forget_polls(now, bounds);
        } else if is_full && now >= self.swept_at.later_by(SWEEP_INTERVAL) {
            self.swept_at = now;
            self.forget_polls(now, bounds);
        }
    }

    fn charge(&mut self, bytes: usize, bounds: &Bounds) -> bool {
        if self.charged.saturating_add(bytes) > ROOM_BYTES_MAX && self.charged > 0 {
            bounds.hit(Limit::OpeningBytes);
            return false;
        }
        let fits = bounds.charge(bytes);
        self.charged += if fits { bytes } else { 0 };
        fits
    }

    /// Keeps a publish for later; false if too much waits already.
    pub(super) fn hold_publish(
        &mut self,
        member: MemberKey,
        message: Published<'_>,
        now: Moment,
        bounds: &Bounds,
    ) -> bool {
        let own = Command::<P>::Leave(member).held_bytes();
        let bytes = own + message.len();
        if !self.charge(bytes, bounds) {
            return false;
        }
        // The limit is far below what a span can name.
        let Some(message) = message.store(&mut self.arena) else { return false };
        let command = Command::Publish { member, message };
        self.held.push(Held::new(command, now, bytes));
        true
    }

    /// Tells a member that waits for this room what went wrong.
    pub(super) fn tell(&self, member: MemberKey, fault: &Fault)
    where
        P: Peer,
    {
        for join in self.held.iter().filter_map(|held| held.command.join_of(member)) {
            let Fault { code, content, client_id } = fault;
            let (client_id, at) = (client_id.as_deref(), join.start.at());
            let notice = Notice::Error { code, content, at, client_id };
            let mut frame = Vec::new();
            write_notice(join.encoding.as_ref(), &notice, &mut frame);
            join.peer.reply(&frame, 1);
        }
    }

    /// Takes out the commands that `is_meant`, in order.
    pub(super) fn take(
        &mut self,
        bounds: &Bounds,
        mut is_meant: impl FnMut(&Command<P>, Moment) -> bool,
    ) -> Vec<Command<P>> {
        let taken = self.held.extract_if(.., |held| is_meant(&held.command, held.since));
        let (commands, bytes): (Vec<_>, Vec<_>) = taken.map(|held| (held.command, held.bytes)).unzip();
        let bytes: usize = bytes.into_iter().sum();
        self.charged -= bytes;
        bounds.discharge(bytes);
        commands
    }

    /// # Panics
    /// In builds with assertions, if the commands that wait are not charged for, or not in their order.
    pub(super) fn check_held(&self) {
        debug_assert_eq!(
            self.charged,
            self.held.iter().map(|held| held.bytes).sum::<usize>(),
            "what waits is charged"
        );
        debug_assert!(
            self.held.is_sorted_by_key(|held| !held.is_greeted),
            "greeted readers stand before all others"
        );
    }

    /// Forgets polls that have ended.
    pub(super) fn forget_polls(&mut self, now: Moment, bounds: &Bounds) {
        drop(self.take(bounds, |command, since| command.is_stale_poll(since, now)));
    }

    /// Whether it holds this member's JOIN.
    #[cfg(any(test, feature = "fuzzing", debug_assertions))]
    pub(super) fn holds_join_of(&self, member: MemberKey) -> bool {
        self.held.iter().filter_map(|held| held.command.join_of(member)).count() == 1
    }

    #[cfg(any(test, feature = "fuzzing", debug_assertions))]
    pub(super) fn joins(&self) -> usize {
        self.held.iter().filter(|held| matches!(held.command, Command::Join(_))).count()
    }
}
