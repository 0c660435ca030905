//! What happens to rooms as a whole: they are refused, overtaken, deleted; their members are thrown out; and what comes
//! without a member.

use std::sync::atomic::Ordering;

use super::{ROOMS, World};
use crate::fuzzing::Numbers;
use crate::fuzzing::rooms::member::Member;
use crate::fuzzing::rooms::poller::Poller;
use crate::fuzzing::rooms::room::{Draft, Room};
use crate::rooms::store_api::RoomId;
use crate::rooms::{Arena, Command, Format, Post, RejectReason, Reply, RoomRequest};

impl World {
    /// The store cannot open a room: every member that waits for it is sent away, and its messages are dropped.
    pub(super) fn refuse_opening(&mut self) {
        let Some((name, answer)) = self.store.refuse_opening(RejectReason::Unavailable) else { return };
        let room = self.rooms.iter_mut().find(|room| room.name == &*name).expect("a room of ours");
        room.waiting = None;
        self.shard.answer(answer, self.now.into());
    }

    /// The store has created a room that was deleted before it looked: it is asked again.
    pub(super) fn overtake_opening(&mut self) {
        if let Some((_, answer)) = self.store.refuse_opening(RejectReason::NoSuchRoom) {
            self.shard.answer(answer, self.now.into());
        }
    }

    /// A room is deleted while it is being opened, before the store has looked or after that.
    pub(super) fn delete_while_opening(&mut self, is_late: bool) {
        let is_opening = |room: &&mut Room| room.format == Format::Chat && room.waiting.is_some();
        let Some((_, next, None)) = self.store.openings.front() else { return };
        let next = next.clone();
        let Some(room) = self.rooms.iter_mut().filter(is_opening).find(|room| room.name == &*next) else {
            return;
        };
        let name = room.name;
        let answer = if is_late { self.store.open(self.limits.window) } else { None };
        let id = self.store.delete(name);
        let epoch = self.store.room(name).epoch;
        room.begin(epoch);
        (room.torn, room.kept_from) = (false, 1);
        let (room, reply) = (name.into(), Reply::new(|closed| assert_eq!(closed, 0)));
        self.apply(
            Command::Request(Box::new(RoomRequest::Close { room, id: Some(id), reply })),
            &Arena::default(),
        );
        if let Some((_, answer)) = answer {
            self.shard.answer(answer, self.now.into());
        }
    }

    /// What changes nothing, whatever state the room is in.
    pub(super) fn look(&mut self, choice: u8) {
        let room: Box<str> = ROOMS[usize::from(choice % 2)].0.into();
        let ask = match choice % 5 {
            0 => RoomRequest::Online { room, reply: Reply::new(drop) },
            1 => RoomRequest::Position { room, user: "".into(), reply: Reply::new(drop) },
            2 => RoomRequest::Kick { room, user: "nobody".into(), ban: None, reply: Reply::new(drop) },
            3 => RoomRequest::Close { room, id: Some(RoomId(1 << 40)), reply: Reply::new(drop) },
            _ => RoomRequest::Ping { reply: Reply::new(drop) },
        };
        // A question about a room that is not in memory would have it opened, which the model does not know of.
        let is_known = self.members.iter().any(|member| ROOMS[member.room] == ROOMS[usize::from(choice % 2)]);
        if is_known {
            self.apply(Command::Request(Box::new(ask)), &Arena::default());
        }
    }

    /// Publishes without a member, to a room that it may make.
    pub(super) fn post(&mut self, choice: u8, numbers: &mut Numbers<'_>) {
        let index = usize::from(choice % 2);
        // No WELCOME tells the new epoch of a room in memory that was forgotten.
        if self.limits.store.is_none() && self.members.iter().all(|member| member.room != index) {
            return;
        }
        self.contents += 1;
        self.posts += 1;
        let (id, answered) = (numbers.next(), self.posts_answered.clone());
        let content = format!("p{}", self.contents);
        let client_id = (id < 200).then(|| format!("id{}", id % 8));
        let reply = Reply::new(move |_| {
            answered.fetch_add(1, Ordering::Relaxed);
        });
        let post = Post::new(ROOMS[index].0, "poster", &content).client_id(client_id.as_deref());
        let post = Box::new(post.create());
        self.apply(Command::Request(Box::new(RoomRequest::Post { post, reply })), &Arena::default());
        let (user, client_id) = ("poster".to_owned(), client_id.map(|id| ("poster".to_owned(), id)));
        self.rooms[index].append(Draft { user, content, client_id, key: None, notice: None }, self.now);
    }

    /// A user is thrown out: what it says while its room is being opened is not said.
    pub(super) fn kick(&mut self, index: usize) {
        let Member { room: index, user, .. } = &self.members[index];
        let (index, user) = (*index, user.clone());
        if self.rooms[index].format != Format::Chat {
            return;
        }
        if let Some(waiting) = &mut self.rooms[index].waiting {
            waiting.retain(|draft| draft.user != user);
        }
        let reply = Reply::new(|closed| assert_eq!(closed, Ok(1), "one session of each user"));
        let room = ROOMS[index].0.into();
        self.apply(
            Command::Request(Box::new(RoomRequest::Kick { room, user: user.into(), ban: None, reply })),
            &Arena::default(),
        );
    }

    /// A room that is open is deleted: its members are closed, and nothing is told of that.
    pub(super) fn delete(&mut self, index: usize) {
        let is_there = self.members.iter().any(|member| member.room == index);
        if self.limits.store.is_none() || self.rooms[index].waiting.is_some() || !is_there {
            return;
        }
        let name = ROOMS[index].0;
        for member in self.members.iter_mut().filter(|member| member.room == index) {
            member.read(&self.rooms[index]);
            member.peer.close();
        }
        let id = self.store.delete(name);
        let epoch = self.store.room(name).epoch;
        self.rooms[index].begin(epoch);
        (self.rooms[index].torn, self.rooms[index].kept_from) = (false, 1);
        self.pollers[index] = Poller::default();
        let (room, reply) = (name.into(), Reply::new(drop));
        self.apply(
            Command::Request(Box::new(RoomRequest::Close { room, id: Some(id), reply })),
            &Arena::default(),
        );
    }
}
