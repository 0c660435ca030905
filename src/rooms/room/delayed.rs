//! JOINs and LEAVEs of one room that the store has refused, and those behind them.

use crate::rooms::clock::Moment;
use std::collections::{BTreeMap, HashMap};
use std::time::Duration;

use super::publisher::PresenceNotice;
use crate::rooms::ids::StayId;
use crate::rooms::message::kind::Kind;

/// How long after a refusal the notices of a room are tried again; twice as long after each further one.
// A shorter one would have a store that refuses everything asked again and again by each of its rooms.
const PAUSE_MIN: Duration = Duration::from_secs(1);

/// Maximum pause between two attempts.
// A store that refuses one room may do so for good. Each attempt is one small batch, so 16 s are seldom enough, and a
// room whose store is back shows its notices soon.
const PAUSE_MAX: Duration = Duration::from_secs(16);

/// The notices of one room that the store has refused, and those behind them.
///
/// Invariant: holds at most the JOIN of each member that is there, and the LEAVE of each stay whose JOIN is stored. So
/// it is bounded as members are.
#[derive(Debug, Default)]
pub(in crate::rooms) struct Delayed {
    /// In the order in which they happened.
    notices: BTreeMap<u64, PresenceNotice>,
    /// Where in `notices` the JOIN of a stay is.
    joins: HashMap<StayId, u64>,
    happened: u64,
    /// When they are tried again; `None` while there is none.
    pub(in crate::rooms) again_at: Option<Moment>,
    /// How long they wait after the next refusal.
    pause: Duration,
}

impl Delayed {
    pub(in crate::rooms) fn is_empty(&self) -> bool {
        self.notices.is_empty()
    }

    /// As [`Delayed::push`], if there is one.
    pub(in crate::rooms) fn extend(&mut self, notice: Option<PresenceNotice>) {
        notice.into_iter().for_each(|notice| self.push(notice));
    }

    /// Has a notice wait, or takes the JOIN away that it would be the end of.
    pub(in crate::rooms) fn push(&mut self, notice: PresenceNotice) {
        if notice.kind == Kind::Leave
            && let Some(join) = self.joins.remove(&notice.stay)
        {
            self.notices.remove(&join);
            return;
        }
        self.happened += 1;
        if notice.kind == Kind::Join {
            self.joins.insert(notice.stay, self.happened);
        }
        let before = self.notices.insert(self.happened, notice);
        debug_assert!(
            before.is_none() && self.joins.len() <= self.notices.len(),
            "each notice has its own place"
        );
    }

    /// All of them, in order.
    pub(in crate::rooms) fn take(&mut self) -> impl Iterator<Item = PresenceNotice> + use<> {
        self.again_at = None;
        self.joins.clear();
        std::mem::take(&mut self.notices).into_values()
    }

    /// When they are to be tried again, unless that was said before.
    pub(in crate::rooms) fn put_off(&mut self, now: Moment) -> Option<Moment> {
        if self.is_empty() || self.again_at.is_some() {
            return None;
        }
        let pause = self.pause.clamp(PAUSE_MIN, PAUSE_MAX);
        self.pause = pause * 2;
        self.again_at = Some(now.later_by(pause));
        self.again_at
    }

    /// The store takes what is said in the room.
    pub(in crate::rooms) fn reset_pause(&mut self) {
        self.pause = PAUSE_MIN;
    }
}
