//! JOIN and LEAVE: one of each for every stay that is announced, however often the store refuses them and whatever
//! becomes of the process.
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
//!
//! `tests` runs it under a clock of its own.

use crate::rooms::clock::Now;
use std::collections::HashSet;

use super::commits::PendingCommits;
use super::member_index::{MemberIndex, MemberSlot};
use super::state::{RoomSlot, Shard, open_room};
use crate::rooms::api::peer::Peer;
use crate::rooms::api::store::OpenStay;
use crate::rooms::ids::{RoomKey, StayId};
use crate::rooms::message::draft::{Draft, DraftPresence};
use crate::rooms::message::kind::Kind;
use crate::rooms::message::presence_text::SYSTEM_SENDER;
use crate::rooms::room::delayed::Delayed;
use crate::rooms::room::limits::RoomLimits;
use crate::rooms::room::publisher::{PresenceNotice, Publisher};
use crate::rooms::room::state::Room;
use crate::rooms::values::Format;

impl<P: Peer> Shard<P> {
    /// Appends a notice to a chat room, behind the notices that wait for the store.
    pub(in crate::rooms) fn notify(&mut self, index: usize, notice: PresenceNotice, now: Now) {
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
                let users = room.presence.users();
                append(&mut self.commits, room, (&notice, users), &self.limits, now);
                self.messages += 1;
            } else {
                room.delayed.push(notice);
            }
        }
        self.touch(index);
        self.retry_reset(index, now);
    }

    /// Ends the stays of an opened room whose sessions are gone.
    pub(in crate::rooms) fn end_stays(&mut self, index: usize, stays: &[OpenStay], now: Now) {
        let Some(RoomSlot::Open(room)) = self.rooms.get_mut(index) else { return };
        // Where nothing is stored, their ends would be told again at each opening.
        if stays.is_empty() || room.record_as().is_none() {
            return;
        }
        let live = live_stays(&self.member_index, room);
        let ended = stays.iter().filter(|stay| !live.contains(&stay.id));
        // All were there until now, so that each LEAVE says how many are left.
        let ended: Vec<PresenceNotice> = ended
            .map(|stay| PresenceNotice {
                kind: Kind::Leave,
                stay: stay.id,
                session_id: 0,
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
    pub(in crate::rooms) fn put_off_notices(&mut self, key: RoomKey, now: Now) {
        let Some(room) = open_room(&mut self.rooms, key) else { return };
        // No member can be told any more; the stays of a damaged room end when it is opened whole.
        if room.deleted || room.is_ended() {
            room.delayed = Delayed::default();
        }
        if let Some(again_at) = room.delayed.put_off(now.steady) {
            self.delayed.push_back((key, again_at));
        }
    }

    /// Tries the notices again whose time has come.
    pub(in crate::rooms) fn retry_notices(&mut self, now: Now) {
        // Rooms with longer pauses may stand in front of others, so each is looked at once.
        for _ in 0..self.delayed.len() {
            let Some((key, again_at)) = self.delayed.pop_front() else { return };
            let Some(room) = open_room(&mut self.rooms, key) else { continue };
            if room.delayed.again_at != Some(again_at) {
                continue;
            }
            if now.steady >= again_at {
                self.append_delayed(key, now);
            } else {
                self.delayed.push_back((key, again_at));
            }
        }
    }

    /// The store has taken messages of a room: it may take the notices, too.
    pub(in crate::rooms) fn notices_after_commit(&mut self, key: RoomKey, now: Now) {
        if let Some(room) = open_room(&mut self.rooms, key) {
            room.delayed.reset_pause();
            if !room.delayed.is_empty() {
                self.append_delayed(key, now);
            }
        }
    }

    pub(in crate::rooms) fn append_delayed(&mut self, key: RoomKey, now: Now) {
        let Some(room) = open_room(&mut self.rooms, key) else { return };
        if room.is_closed() && !room.is_ended() {
            room.delayed.again_at = None;
            self.put_off_notices(key, now);
            return self.retry_reset(key.index, now);
        }
        let mut notices: Vec<_> = room.delayed.take().collect();
        if room.deleted {
            return;
        }
        if room.submissions.is_some() {
            // The LEAVE of one that has left meanwhile may have gone to the store before its JOIN came back.
            let live = live_stays(&self.member_index, room);
            notices.retain(|notice| notice.kind != Kind::Join || live.contains(&notice.stay));
        }
        for notice in notices.iter().zip(room.presence.users_after(&notices)) {
            if room.is_ended() {
                return;
            }
            append(&mut self.commits, room, notice, &self.limits, now);
            self.messages += 1;
        }
        self.touch(key.index);
    }
}

/// The stays that last.
fn live_stays<P>(member_index: &MemberIndex, room: &Room<P>) -> HashSet<StayId> {
    let stay = |key| match member_index.get(key) {
        Some(MemberSlot::Joined { profile, .. }) => profile.stay,
        Some(MemberSlot::Waiting { .. } | MemberSlot::Left { .. }) | None => None,
    };
    room.members.iter().filter_map(|member| stay(member.key)).collect()
}

/// Appends a notice to a room's log, with the number of users after it.
fn append<P: Peer>(
    commits: &mut PendingCommits,
    room: &mut Room<P>,
    (notice, users): (&PresenceNotice, usize),
    limits: &RoomLimits,
    now: Now,
) {
    let PresenceNotice { kind, stay, session_id, username } = notice;
    let content = limits.notices.text(*kind, username);
    let online = u64::try_from(users).unwrap_or(u64::MAX);
    let draft = Draft {
        kind: *kind,
        sender: SYSTEM_SENDER,
        content: &content,
        client_id: None,
        id_session: None,
        presence: Some(DraftPresence { username, online, stay: *stay, session_id: *session_id }),
    };
    commits.append(room, draft, Publisher::Notice(notice.clone()), limits, now);
}

#[cfg(test)]
mod tests;
