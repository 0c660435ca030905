//! Commands take effect.

use super::member_index::MemberSlot;
use super::state::{RoomSlot, Shard};
use crate::rooms::api::command::Command;
use crate::rooms::api::peer::Peer;
use crate::rooms::clock::Now;
use crate::rooms::ids::{Arena, MemberKey};
use crate::rooms::reply::Reply;
use crate::rooms::values::Fault;

impl<P: Peer> Shard<P> {
    /// Carries out one command whose spans lie in `arena`. Messages it appends wait for [`Shard::pump`], or for the
    /// store.
    pub fn apply(&mut self, command: Command<P>, arena: &Arena, now: Now) {
        self.clock = self.clock.max(now.wall);
        self.stopwatch.now = now.steady;
        match command {
            Command::Join(join) => self.join(*join, now),
            Command::Leave(member) => self.leave(member, now),
            Command::Publish { member, message } => self.publish(member, message.of(arena), now),
            Command::Resume(member) => {
                if let Some((index, position)) = self.member_index.place(member)
                    && let RoomSlot::Open(room) = &mut self.rooms[index]
                {
                    room.expire(self.clock);
                    room.resume(position, &self.limits, &mut self.out);
                }
            }
            Command::Tell(member, fault) => self.tell(member, &fault),
            Command::Request(request) => self.request(*request, now),
            Command::After(member, reply) => self.answer_after(member, reply, now),
            Command::Barrier => self.barriers += 1,
        }
    }

    /// Answers once what the member has said before is done: at once, unless its room is still being opened.
    fn answer_after(&mut self, member: MemberKey, reply: Reply<()>, now: Now) {
        if let Some(MemberSlot::Waiting { room } | MemberSlot::Left { room }) = self.member_index.get(member)
            && let Some(RoomSlot::Opening(opening)) = self.rooms.get(room.index)
            && opening.key == *room
            && opening.is_asked().is_some()
        {
            let index = room.index;
            return self.hold(index, Command::After(member, reply), now);
        }
        reply.send(());
    }

    /// Tells a member what is wrong with what it said. Between the messages, for what it is told has its time.
    fn tell(&self, member: MemberKey, fault: &Fault) {
        match self.member_index.get(member) {
            Some(MemberSlot::Waiting { room }) => {
                if let Some(RoomSlot::Opening(opening)) = self.rooms.get(room.index) {
                    opening.tell(member, fault);
                }
            }
            Some(MemberSlot::Joined { room, position, .. }) => {
                if let Some(RoomSlot::Open(room)) = self.rooms.get(*room)
                    && let Some(member) = room.members.get(*position)
                {
                    room.tell_error(member, fault);
                }
            }
            Some(MemberSlot::Left { .. }) | None => {}
        }
    }
}
