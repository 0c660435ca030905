//! What a shard answers: who is online, kicks, deletions; messages are in `posts`.

use super::member_index::MemberSlot;
use super::state::{RoomSlot, Shard};
use crate::rooms::api::command::Command;
use crate::rooms::api::effect::SessionEffect;
use crate::rooms::api::peer::Peer;
use crate::rooms::api::relayed::Relayed;
use crate::rooms::api::request::RoomRequest;
use crate::rooms::clock::Now;
use crate::rooms::ids::RoomId;
use crate::rooms::reasons::{PostError, RejectReason};
use crate::rooms::room::member::MemberState;
use crate::rooms::room::state::Room;
use crate::rooms::values::{Format, Online, OnlineSession};

impl<P: Peer> Shard<P> {
    pub(super) fn request(&mut self, request: RoomRequest, now: Now) {
        match request {
            RoomRequest::Post { post, reply } => self.post(post, reply, now),
            RoomRequest::PostAll { posts, only_asks } => self.post_all(posts, only_asks, now),
            RoomRequest::Relay { message, reply } => {
                let receivers = self.relay(&message, now);
                reply.send(receivers);
            }
            RoomRequest::Position { .. } | RoomRequest::Poll { .. } | RoomRequest::Online { .. } => {
                self.answer_reader(request, now)
            }
            RoomRequest::Visible { room, reply } => {
                reply.send(Ok(self.open_chat(&room).map(Room::visible_head)));
            }
            RoomRequest::Kick { room, user, ban, reply } => {
                let banned = ban.map_or(Ok(()), |ban| self.limits.bounds.bans.add(&room, &user, ban));
                let closed = banned.map(|()| self.kick(&room, &user));
                reply.send(closed);
            }
            RoomRequest::Close { room, id, reply } => {
                let closed = self.close_deleted(&room, id);
                reply.send(closed);
            }
            RoomRequest::Stats { reply } => reply.send(self.stats()),
            RoomRequest::Inspect(inspection) => self.inspect(*inspection),
            RoomRequest::Ping { reply } => {
                let since = self.waiting_since();
                reply.send(since.map(|since| now.steady.since(since)));
            }
        }
    }

    /// What is asked of a chat room without changing anything there.
    fn answer_reader(&mut self, request: RoomRequest, now: Now) {
        let found = match &request {
            RoomRequest::Position { room, user, .. } | RoomRequest::Poll { room, user, .. } => {
                self.find_for(room, user, now)
            }
            // A room that is not in memory has no members.
            RoomRequest::Online { .. }
            | RoomRequest::Visible { .. }
            | RoomRequest::Post { .. }
            | RoomRequest::PostAll { .. }
            | RoomRequest::Relay { .. }
            | RoomRequest::Kick { .. }
            | RoomRequest::Close { .. }
            | RoomRequest::Stats { .. }
            | RoomRequest::Inspect(_)
            | RoomRequest::Ping { .. } => {
                let name = request.room().unwrap_or_default();
                self.names[Format::Chat as usize].get(name).copied().ok_or(RejectReason::NoSuchRoom)
            }
        };
        let index = match found {
            Ok(index) => index,
            Err(reason) => return request.refuse(reason),
        };
        match (&mut self.rooms[index], request) {
            (RoomSlot::Opening(_), request) => self.hold(index, Command::Request(Box::new(request)), now),
            (RoomSlot::Open(room), request) if room.damaged && request.can_be_refused() => {
                request.refuse(RejectReason::Unavailable)
            }
            (RoomSlot::Open(room), RoomRequest::Position { reply, .. }) => reply.send(Ok(room.position())),
            (RoomSlot::Open(_), RoomRequest::Poll { user, poll, .. }) => self.poll(index, user, *poll, now),
            (RoomSlot::Open(_), RoomRequest::Online { room, reply }) => reply.send(self.online(&room)),
            (RoomSlot::Open(_), request) => request.refuse(RejectReason::NoSuchRoom),
        }
    }

    /// Publishes to a relay that has members; returns how many.
    fn relay(&mut self, message: &Relayed, now: Now) -> usize {
        let Some(&index) = self.names[message.format() as usize].get(&message.room) else { return 0 };
        let Some(RoomSlot::Open(room)) = self.rooms.get_mut(index) else { return 0 };
        if room.members.is_empty() {
            return 0;
        }
        let count = room.member_count();
        room.append_relay(&message.published(), None, &self.limits, now);
        self.messages += 1;
        self.touch(index);
        count
    }

    /// A chat room for a user who wants to read it.
    fn find_for(&mut self, name: &str, user: &str, now: Now) -> Result<usize, RejectReason> {
        if self.limits.bounds.bans.holds(name, user) {
            return Err(RejectReason::Banned);
        }
        self.find_room(name, Format::Chat, false, now)
    }

    fn online(&self, name: &str) -> Online {
        let Some(room) = self.open_chat(name) else { return Online::default() };
        let sessions = room.members.iter().filter_map(|member| {
            let Some(MemberSlot::Joined { profile, .. }) = self.member_index.get(member.key) else {
                return None;
            };
            profile.announced.then(|| OnlineSession {
                id: profile.session_id,
                user: profile.user.clone(),
                address: member.peer.address(),
                joined_at: profile.joined_at,
                lag: room.lag(member),
            })
        });
        Online { users: room.presence.names(), sessions: sessions.collect() }
    }

    /// Closes the sessions of a user in a room, sessions that wait for it included; returns how many.
    fn kick(&mut self, name: &str, user: &str) -> usize {
        let Some(&index) = self.names[Format::Chat as usize].get(name) else { return 0 };
        match &self.rooms[index] {
            RoomSlot::Opening(_) => self.close_waiting(index, Some(user), RejectReason::Kicked),
            RoomSlot::Open(_) => self.close_members(index, Some(user), RejectReason::Kicked),
        }
    }

    /// The room of this name, and of this id if it is stored, was deleted; returns how many sessions are closed for
    /// that.
    pub(super) fn close_deleted(&mut self, name: &str, id: Option<RoomId>) -> usize {
        let Some(&index) = self.names[Format::Chat as usize].get(name) else { return 0 };
        match (&mut self.rooms[index], id) {
            (RoomSlot::Opening(opening), Some(id)) => {
                opening.note_deletion(id);
                0
            }
            (RoomSlot::Opening(_), None) => self.close_waiting(index, None, RejectReason::RoomDeleted),
            // Another one has the name by now.
            (RoomSlot::Open(room), Some(_)) if room.stored_as != id => 0,
            // Only the store can delete it: its name leads here as long as it is there.
            (RoomSlot::Open(room), None) if room.stored_as.is_some() => {
                self.close_members(index, None, RejectReason::RoomDeleted)
            }
            (RoomSlot::Open(room), _) => {
                room.deleted = true;
                self.names[Format::Chat as usize].remove(name);
                room.end_polls(RejectReason::RoomDeleted);
                let member_index = &self.member_index;
                room.fail_placed(PostError::NoSuchRoom, |member| member_index.place_in(index, member));
                let closed = self.close_members(index, None, RejectReason::RoomDeleted);
                self.forget_if_deleted(index);
                closed
            }
        }
    }

    /// Forgets a deleted room once it has no members any more.
    pub(super) fn forget_if_deleted(&mut self, index: usize) {
        if let Some(RoomSlot::Open(room)) = self.rooms.get(index)
            && room.deleted
            && room.is_idle()
        {
            self.remove_room(index);
        }
    }

    /// Has the sessions of an open room (of one user, if named) closed; returns how many.
    pub(super) fn close_members(&mut self, index: usize, user: Option<&str>, reason: RejectReason) -> usize {
        let Some(RoomSlot::Open(room)) = self.rooms.get_mut(index) else { return 0 };
        let is_meant = |key| match self.member_index.get(key) {
            // A member that was thrown out before is being closed already.
            Some(MemberSlot::Joined { profile, .. }) => {
                !profile.expelled && user.is_none_or(|user| *profile.user == *user)
            }
            Some(MemberSlot::Waiting { .. } | MemberSlot::Left { .. }) | None => false,
        };
        let mut meant = Vec::new();
        for member in room.members.iter_mut().filter(|member| is_meant(member.key)) {
            // Nothing goes there any more, a page that is on its way included, and nothing that comes from there counts.
            member.state = MemberState::Gone;
            self.catch_up.forget(member.key);
            self.out.session_effects.push(SessionEffect::Close(member.session, reason));
            meant.push(member.key);
        }
        if let Some(user) = user {
            room.end_polls_of(user, reason);
        }
        meant.iter().for_each(|member| self.member_index.expel(*member));
        meant.len()
    }

    pub(super) fn open_chat(&self, name: &str) -> Option<&Room<P>> {
        match self.rooms.get(*self.names[Format::Chat as usize].get(name)?)? {
            RoomSlot::Open(room) => Some(room),
            RoomSlot::Opening(_) => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::rooms::api::effect::{StoreAnswer, StoreRequest};
    use crate::rooms::api::store::Page;
    use crate::rooms::ids::{Arena, MemberKey};
    use crate::rooms::reply::Reply;
    use crate::rooms::shard::tests::kit::{Ear, Kit};
    use crate::rooms::values::Start;

    #[test]
    fn what_a_member_says_after_it_was_thrown_out_is_kept_nowhere() {
        let mut kit = Kit::new();
        let (eve, _) = kit.join("r", "eve");
        let (_, bob) = kit.join("r", "bob");
        kit.open();
        kit.commit();
        kit.say(eve, "before", None);
        kick(&mut kit, "eve");
        // It was read before the session knew.
        kit.say(eve, "after", None);
        kit.commit();
        let heard = bob.take();
        assert!(heard.iter().any(|value| value["content"] == "before"));
        assert!(heard.iter().all(|value| value["content"] != "after"), "{heard:?}");
    }

    fn kick(kit: &mut Kit, user: &str) {
        let reply = Reply::new(|closed| assert_eq!(closed, Ok(1)));
        let request = RoomRequest::Kick { room: "r".into(), user: user.into(), ban: None, reply };
        kit.apply(Command::Request(Box::new(request)), &Arena::default());
    }

    fn contents(ear: &Ear) -> Vec<String> {
        let text = |value: serde_json::Value| value["content"].as_str().map(str::to_owned);
        ear.take().into_iter().filter_map(text).collect()
    }

    #[test]
    fn one_who_was_thrown_out_says_nothing_more_and_is_sent_no_page() {
        let mut kit = Kit::new();
        let (ann, _) = kit.join_from(Start::After { seq: 0, epoch: None }, MemberKey(1), "r", "ann");
        kit.open_as(|opened| opened.head = 200);
        kit.commit();
        let (_, ear) = kit.join("r", "bob");
        kit.commit();
        ear.take();
        let mut reads = kit.requests.iter().filter_map(|request| match request {
            StoreRequest::Read { reader, .. } => Some(*reader),
            StoreRequest::Open { .. } | StoreRequest::ResetEpoch { .. } | StoreRequest::Unfollow(_) => None,
        });
        let reader = reads.next_back().expect("ann reads");
        kick(&mut kit, "ann");
        let page = Page {
            messages: Vec::new(),
            tail: 201,
            gone_at: crate::rooms::timestamp::Timestamp::default(),
            head: 200,
            epoch: 9,
            start: 200,
        };
        kit.answer(StoreAnswer::Page { reader, page: Some(page) });
        kit.say(ann, "still here", None);
        kit.commit();
        assert!(contents(&ear).is_empty());
        kit.apply(Command::Leave(ann), &Arena::default());
        kit.commit();
        assert_eq!(contents(&ear), ["ann left"]);
    }

    #[test]
    fn what_one_has_said_whose_connection_has_died_is_published_before_its_leaving() {
        let mut kit = Kit::new();
        let (ann, _) = kit.join("r", "ann");
        kit.open();
        let (_, ear) = kit.join("r", "bob");
        kit.commit();
        ear.take();
        let Some((_, RoomSlot::Open(room))) = kit.shard.rooms.iter_mut().next() else { unreachable!() };
        // As after a write that has failed: what was read before is on its way.
        room.members.get_mut(0).expect("ann").state = MemberState::Gone;
        kit.say(ann, "good bye", None);
        kit.apply(Command::Leave(ann), &Arena::default());
        kit.commit();
        assert_eq!(contents(&ear), ["good bye", "ann left"]);
    }
}
