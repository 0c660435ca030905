//! JOIN and LEAVE: one of each for every stay that is announced, however often the store refuses them and whatever becomes
//! of the process.
//!
//! ```text
//!   notify ───► the log, unstored ──► stored
//!     │            ▲        │ refused
//!     │ others     │ later  ▼
//!     └──wait──► Delayed ◄──┘      a LEAVE whose JOIN waits here takes it away: neither was ever seen
//! ```
//!
//! The store keeps the stays whose JOIN is stored and whose LEAVE is not. They come with a room that is opened: their
//! sessions ended with another process.

use std::collections::{BTreeMap, HashMap, HashSet, VecDeque};
use std::sync::Arc;
use std::time::Duration;

use super::commits::PendingCommits;
use super::member_index::MemberSlot;
use super::opening::mixed;
use super::state::{RoomSlot, Shard, open_room};
use crate::rooms::api::command::{Format, RoomKey};
use crate::rooms::api::peer::Peer;
use crate::rooms::api::store::{OpenStay, StayId};
use crate::rooms::message::chat::{Kind, SYSTEM_SENDER};
use crate::rooms::room::repeats::Publisher;
use crate::rooms::room::state::{Draft, DraftPresence, Room, RoomLimits};
use crate::rooms::timestamp::Timestamp;

/// How long after a refusal the notices of a room are tried again; twice as long after each further one.
const PAUSE_MIN: Duration = Duration::from_secs(1);
/// A store that refuses one room alone may do so for good: then it is asked this seldom.
const PAUSE_MAX: Duration = Duration::from_secs(16);

/// A JOIN or LEAVE that is not stored yet.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(in crate::rooms) struct PresenceNotice {
    pub(in crate::rooms) kind: Kind,
    pub(in crate::rooms) stay: StayId,
    pub(in crate::rooms) username: Arc<str>,
}

/// The notices of one room that the store has refused, and those behind them.
///
/// Invariant: holds at most the JOIN of each member that is there, and the LEAVE of each stay whose JOIN is stored. So it
/// is bounded as members are.
#[derive(Debug, Default)]
pub(in crate::rooms) struct Delayed {
    /// In the order in which they happened.
    notices: BTreeMap<u64, PresenceNotice>,
    /// Where in `notices` the JOIN of a stay is.
    joins: HashMap<StayId, u64>,
    happened: u64,
    /// When they are tried again; `None` while there is none.
    again_at: Option<Timestamp>,
    /// How long they wait after the next refusal.
    pause: Duration,
}

impl Delayed {
    pub(in crate::rooms) fn is_empty(&self) -> bool {
        self.notices.is_empty()
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
        self.notices.insert(self.happened, notice);
    }

    /// All of them, in order.
    fn take(&mut self) -> impl Iterator<Item = PresenceNotice> + use<> {
        self.again_at = None;
        self.joins.clear();
        std::mem::take(&mut self.notices).into_values()
    }

    /// When they are to be tried again, unless that was said before.
    fn put_off(&mut self, now: Timestamp) -> Option<Timestamp> {
        if self.is_empty() || self.again_at.is_some() {
            return None;
        }
        let pause = self.pause.clamp(PAUSE_MIN, PAUSE_MAX);
        self.pause = pause * 2;
        self.again_at = Some(now.later_by(pause));
        self.again_at
    }

    /// The store takes what is said in the room.
    fn reset_pause(&mut self) {
        self.pause = PAUSE_MIN;
    }
}

/// Rooms with notices that wait, and until when: in the order in which they were put off.
pub(in crate::rooms) type DelayedRooms = VecDeque<(RoomKey, Timestamp)>;

impl<P: Peer> Shard<P> {
    /// A name for a stay that no other of any process has.
    pub(in crate::rooms) fn new_stay(&mut self) -> StayId {
        self.stays += 1;
        StayId(mixed(self.epoch_seed, self.stays))
    }

    /// Appends a notice to a chat room, behind those that wait for the store.
    pub(in crate::rooms) fn notify(&mut self, index: usize, notice: PresenceNotice, now: Timestamp) {
        if let RoomSlot::Open(room) = &mut self.rooms[index]
            && room.format == Format::Chat
            && !room.deleted
            && !room.is_ended()
        {
            let key = room.key;
            if room.is_closed() {
                room.delayed.push(notice);
                self.put_off_notices(key, now);
            } else if room.delayed.is_empty() {
                append(&mut self.commits, room, &notice, &self.limits, now);
                self.messages += 1;
            } else {
                room.delayed.push(notice);
            }
        }
        self.touch(index);
        self.retry_reset(index, now);
    }

    /// Ends the stays of an opened room whose sessions are gone.
    pub(in crate::rooms) fn end_stays(&mut self, index: usize, stays: &[OpenStay], now: Timestamp) {
        let Some(RoomSlot::Open(room)) = self.rooms.get_mut(index) else { return };
        // Where nothing is stored, their ends would be told again at each opening.
        if stays.is_empty() || room.record_as().is_none() {
            return;
        }
        let is_live = |key| match self.member_index.get(key) {
            Some(MemberSlot::Joined { profile, .. }) => profile.stay,
            Some(MemberSlot::Waiting { .. } | MemberSlot::Left { .. }) | None => None,
        };
        let live: HashSet<StayId> = room.members.iter().filter_map(|member| is_live(member.key)).collect();
        let ended = stays.iter().filter(|stay| !live.contains(&stay.id));
        // All were there until now, so that each LEAVE says how many are left.
        let ended: Vec<PresenceNotice> = ended
            .map(|stay| PresenceNotice {
                kind: Kind::Leave,
                stay: stay.id,
                username: room.presence.enter(&stay.username),
            })
            .collect();
        for notice in ended {
            if let RoomSlot::Open(room) = &mut self.rooms[index] {
                room.presence.exit(&notice.username);
            }
            self.notify(index, notice, now);
        }
    }

    /// The store has refused a room: its notices wait for another time.
    pub(in crate::rooms) fn put_off_notices(&mut self, key: RoomKey, now: Timestamp) {
        let Some(room) = open_room(&mut self.rooms, key) else { return };
        // Nobody can be told any more; of a damaged room, whoever opens it when it is whole.
        if room.deleted || room.is_ended() {
            room.delayed = Delayed::default();
        }
        if let Some(again_at) = room.delayed.put_off(now) {
            self.delayed.push_back((key, again_at));
        }
    }

    /// Tries the notices again whose time has come.
    pub(in crate::rooms) fn retry_notices(&mut self, now: Timestamp) {
        // Rooms with longer pauses may stand in front of others, so each is looked at once.
        for _ in 0..self.delayed.len() {
            let Some((key, again_at)) = self.delayed.pop_front() else { return };
            let Some(room) = open_room(&mut self.rooms, key) else { continue };
            if room.delayed.again_at != Some(again_at) {
                continue;
            }
            // A wall clock that was set back must not make them wait for the time that it lost.
            let is_due = now >= again_at || again_at > now.later_by(PAUSE_MAX);
            if is_due {
                self.append_delayed(key, now);
            } else {
                self.delayed.push_back((key, again_at));
            }
        }
    }

    /// The store has taken messages of a room: it may take the notices, too.
    pub(in crate::rooms) fn notices_after_commit(&mut self, key: RoomKey, now: Timestamp) {
        if let Some(room) = open_room(&mut self.rooms, key) {
            room.delayed.reset_pause();
            if !room.delayed.is_empty() {
                self.append_delayed(key, now);
            }
        }
    }

    pub(in crate::rooms) fn append_delayed(&mut self, key: RoomKey, now: Timestamp) {
        let Some(room) = open_room(&mut self.rooms, key) else { return };
        if room.is_closed() && !room.is_ended() {
            room.delayed.again_at = None;
            self.put_off_notices(key, now);
            return self.retry_reset(key.index, now);
        }
        let notices = room.delayed.take();
        if room.deleted {
            return;
        }
        for notice in notices {
            if room.is_ended() {
                return;
            }
            append(&mut self.commits, room, &notice, &self.limits, now);
            self.messages += 1;
        }
        self.touch(key.index);
    }
}

/// Appends a notice to a room's log.
fn append<P: Peer>(
    commits: &mut PendingCommits,
    room: &mut Room<P>,
    notice: &PresenceNotice,
    limits: &RoomLimits,
    now: Timestamp,
) {
    let PresenceNotice { kind, stay, username } = notice;
    let content = limits.notices.text(*kind, username);
    let online = u64::try_from(room.presence.users()).unwrap_or(u64::MAX);
    let draft = Draft {
        kind: *kind,
        sender: SYSTEM_SENDER,
        content: &content,
        client_id: None,
        id_session: None,
        presence: Some(DraftPresence { username, online, stay: *stay }),
    };
    commits.append(room, draft, Publisher::Notice(notice.clone()), limits, now);
}

impl<P> Room<P> {
    /// What is being taken back of JOINs and LEAVEs waits until the store takes it.
    pub(in crate::rooms) fn delay_notices(&mut self) {
        for publisher in &self.unstored {
            match publisher {
                Publisher::Notice(notice) => self.delayed.push(notice.clone()),
                Publisher::Member { .. } | Publisher::Request(_) => {}
            }
        }
    }
}

#[cfg(test)]
mod tests;
