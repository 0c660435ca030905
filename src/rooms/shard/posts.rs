//! Publishing to chat rooms in the name of a user, without a member: one message, or several together.

use crate::rooms::clock::Now;
use std::collections::HashMap;

use super::state::{RoomSlot, Shard};
use crate::rooms::api::command::Command;
use crate::rooms::api::inspection::RecordedEvent;
use crate::rooms::api::peer::Peer;
use crate::rooms::api::post::{Post, PostReply};
use crate::rooms::api::request::RoomRequest;
use crate::rooms::ids::RoomId;
use crate::rooms::message::identity::content_digest;
use crate::rooms::reasons::PostError;
use crate::rooms::room::publisher::Publisher;
use crate::rooms::room::state::Room;
use crate::rooms::values::{Format, Posted};

impl<P: Peer> Shard<P> {
    /// Publishes, once the room is open.
    pub(super) fn post(&mut self, post: Box<Post>, reply: PostReply, now: Now) {
        match self.find_for_post(&post, now) {
            Err(error) => reply.send(Err(error)),
            Ok(index) if matches!(self.rooms[index], RoomSlot::Opening(_)) => {
                self.hold(index, Command::Request(Box::new(RoomRequest::Post { post, reply })), now);
            }
            Ok(index) => drop(self.post_to(index, &post, reply, now)),
        }
    }

    /// Publishes all of it, once all rooms are open, or nothing: everything that can be wrong is looked for before the first
    /// message is appended, and the store is told that they go together.
    pub(super) fn post_all(&mut self, posts: Vec<(Post, PostReply)>, only_asks: bool, now: Now) {
        for (post, _) in &posts {
            match self.find_for_post(post, now) {
                Err(error) => return refuse_all(posts, error),
                Ok(index) if matches!(self.rooms[index], RoomSlot::Opening(_)) => {
                    let request = RoomRequest::PostAll { posts, only_asks };
                    return self.hold(index, Command::Request(Box::new(request)), now);
                }
                Ok(_open) => {}
            }
        }
        if let Err(error) = self.may_post_all(&posts, now) {
            return refuse_all(posts, error);
        }
        let mut stored = Vec::new();
        for (post, reply) in posts {
            // Nothing has happened since they were all found open.
            let Some(&index) = self.names[Format::Chat as usize].get(&post.room) else { continue };
            if only_asks {
                let receivers = self.open_chat(&post.room).map_or(0, Room::member_count);
                reply.send(Ok(Posted { seq: 0, json: None, receivers }));
            } else {
                stored.extend(self.post_to(index, &post, reply, now));
            }
        }
        self.commits.group(stored);
    }

    /// The room of a message, open or on its way.
    fn find_for_post(&mut self, post: &Post, now: Now) -> Result<usize, PostError> {
        if self.limits.bounds.bans.holds(&post.room, &post.sender) {
            return Err(PostError::Banned);
        }
        let found = self.find_room(&post.room, Format::Chat, post.create, now);
        found.map_err(|_why| PostError::Unavailable)
    }

    /// Whether each of these messages can be published in its room, which is open, behind those before it.
    fn may_post_all(&mut self, posts: &[(Post, PostReply)], now: Now) -> Result<(), PostError> {
        let mut ids = HashMap::new();
        for (post, _) in posts {
            let index = self.names[Format::Chat as usize].get(&post.room).copied();
            // At the limit of rooms, one of them may have been forgotten for another.
            let Some(RoomSlot::Open(room)) = index.and_then(|index| self.rooms.get_mut(index)) else {
                return Err(PostError::Unavailable);
            };
            if let Some(first) = room.earlier(&post.draft(), &self.limits, now) {
                if !first.is_same(content_digest(&post.content)) {
                    return Err(PostError::IdReused);
                }
                continue;
            }
            if let Some(id) = post.draft().client_id
                && let Some(content) = ids.insert((&post.room, &post.sender, id), &post.content)
                && *content != post.content
            {
                return Err(PostError::IdReused);
            }
            if post.mandatory && room.members.is_empty() {
                return Err(PostError::NoReceiver);
            }
            if room.is_closed() {
                let key = room.key;
                self.retry_reset(key.index, now);
                return Err(PostError::Unavailable);
            }
        }
        Ok(())
    }

    /// Publishes in the room at `index`, which is open; the store's name for it, if the message waits for the store.
    fn post_to(&mut self, index: usize, post: &Post, reply: PostReply, now: Now) -> Option<RoomId> {
        let Some(RoomSlot::Open(room)) = self.rooms.get_mut(index) else {
            debug_assert!(false, "the room is open");
            reply.send(Err(PostError::Unavailable));
            return None;
        };
        let draft = post.draft();
        let publisher = Publisher::Request { reply, wants_json: post.wants_json };
        if let Some(first) = room.earlier(&draft, &self.limits, now) {
            room.answer_repeat(first, &draft, publisher, |_| None);
            return None;
        }
        if post.mandatory && room.members.is_empty() {
            room.answer_failed(publisher, PostError::NoReceiver, draft.client_id, |_| None);
            return None;
        }
        if room.is_closed() {
            let code = PostError::Unavailable.code();
            room.record(now.wall, RecordedEvent::Refused { session: None, code });
            room.answer_failed(publisher, PostError::Unavailable, draft.client_id, |_| None);
            self.retry_reset(index, now);
            return None;
        }
        self.commits.append(room, draft, publisher, &self.limits, now);
        let id = room.record_as().filter(|_| room.waits_for_store());
        self.messages += 1;
        self.touch(index);
        self.retry_reset(index, now);
        id
    }
}

fn refuse_all(posts: Vec<(Post, PostReply)>, error: PostError) {
    posts.into_iter().for_each(|(_, reply)| reply.send(Err(error)));
}
