//! Members join and leave.

use super::member_index::{MemberIndex, MemberSlot, Profile};
use super::state::{RoomSlot, Shard};
use crate::limit_hits::Limit;
use crate::rooms::api::command::{Command, Join};
use crate::rooms::api::effect::SessionEffect;
use crate::rooms::api::peer::Peer;
use crate::rooms::clock::Now;
use crate::rooms::ids::{MemberKey, ReadingMember};
use crate::rooms::message::kind::Kind;
use crate::rooms::reasons::RejectReason;
use crate::rooms::room::member::MemberState;
use crate::rooms::room::publisher::PresenceNotice;
use crate::rooms::values::Format;

impl<P: Peer> Shard<P> {
    pub(super) fn join(&mut self, mut join: Join<P>, now: Now) {
        if self.limits.bounds.bans.holds(&join.room, &join.user) {
            return self.turn_away(join, RejectReason::Banned);
        }
        // A relay is in memory alone: one that is not there and an empty one are the same.
        let creates = join.creates || join.format != Format::Chat;
        let index = match self.find_room(&join.room, join.format, creates, now) {
            Ok(index) => index,
            Err(reason) => return self.turn_away(join, reason),
        };
        let stay = self.new_stay();
        let room = match &mut self.rooms[index] {
            RoomSlot::Open(room) => room,
            RoomSlot::Opening(_) => return self.hold(index, Command::Join(Box::new(join)), now),
        };
        if room.damaged {
            return self.turn_away(join, RejectReason::Unavailable);
        }
        if room.member_count() >= self.limits.bounds.members() {
            self.limits.bounds.hit(Limit::MembersPerRoom);
            return self.turn_away(join, RejectReason::RoomFull);
        }
        room.expire(self.clock);
        let Join { member: key, session, session_id, announced, .. } = join;
        let reply = join.reply.take();
        let name = if announced { room.presence.enter(&join.user) } else { join.user.as_ref().into() };
        let is_noticed = announced && room.member_count() < self.limits.notices.members_max;
        let stay = is_noticed.then_some(stay);
        let profile =
            Profile { user: name.clone(), session_id, joined_at: now.wall, announced, stay, expelled: false };
        let (position, since) = room.join(join);
        if let Some(reply) = reply
            && !reply.deliver(Ok(room.position()))
        {
            self.out.session_effects.push(SessionEffect::Close(session, RejectReason::HandlerFailed));
        }
        if room.encoded.has_failed(key) {
            room.fail(position, &mut self.out);
        }
        if let Some(since) = since {
            self.catch_up.begin_since(key, since);
        }
        if room.members.get(position).is_some_and(|member| member.state == MemberState::Reading) {
            self.catch_up.waiting.push_back(ReadingMember { room: room.key, member: key, session });
        }
        self.members += 1;
        self.member_index.set(key, MemberSlot::Joined { room: index, position, profile });
        if let Some(stay) = stay {
            self.notify(index, PresenceNotice { kind: Kind::Join, stay, session_id, username: name }, now);
        } else {
            self.touch(index);
        }
    }

    /// A newcomer has no place here, and waits for none any more.
    pub(super) fn turn_away(&mut self, join: Join<P>, reason: RejectReason) {
        self.member_index.take(join.member);
        let has_left = MemberIndex::is_orphan(join.member);
        let reason = match join.reply {
            Some(reply) => {
                if reply.deliver(Err(reason)) {
                    return;
                }
                RejectReason::HandlerFailed
            }
            // Its session has left this room long ago, and may be in others.
            None if has_left => return,
            None => reason,
        };
        self.out.session_effects.push(SessionEffect::Close(join.session, reason));
    }

    pub(super) fn leave(&mut self, member: MemberKey, now: Now) {
        let (index, position, profile) = match self.member_index.take(member) {
            None | Some(MemberSlot::Left { .. }) => return,
            Some(MemberSlot::Joined { room, position, profile }) => (room, position, profile),
            Some(MemberSlot::Waiting { room }) => return self.leave_waiting(member, room, now),
        };
        self.catch_up.forget(member);
        let RoomSlot::Open(room) = &mut self.rooms[index] else { return };
        self.members -= 1;
        if let Some(moved) = room.remove(position, &self.limits, &mut self.out) {
            self.member_index.move_to(moved, position);
        }
        if profile.announced {
            room.presence.exit(&profile.user);
        }
        if room.member_count() == 0 {
            room.idle_since = now.steady;
            self.idle.push(room.key, now.steady);
        }
        if let Some(stay) = profile.stay {
            let notice = PresenceNotice {
                kind: Kind::Leave,
                stay,
                session_id: profile.session_id,
                username: profile.user,
            };
            self.notify(index, notice, now);
        }
        self.forget_if_deleted(index);
        self.forget_idle(now);
    }
}
