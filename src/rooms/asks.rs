//! What a shard answers: posts, who is online, kicks, deletions.

use super::command::{Ask, Command, Effect, Format, Online, OnlineSession, PostError, Posting, Why};
use super::message::Kind;
use super::peer::Peer;
use super::repeats::Publisher;
use super::room::{Draft, Room};
use super::seats::Seat;
use super::shard::{Entry, Shard};
use super::timestamp::Timestamp;

impl<P: Peer> Shard<P> {
    pub(super) fn ask(&mut self, ask: Ask, now: Timestamp) {
        match ask {
            Ask::Post(post) => self.post(post, now),
            Ask::Relay { room, format, payload, text, key, reply } => {
                reply.send(self.relay(&room, format, &payload, (text, key.as_deref()), now));
            }
            Ask::Position { room, user, reply } => match self.find_for(&room, &user, now) {
                Err(why) => reply.send(Err(why)),
                Ok(index) => match &mut self.rooms[index] {
                    Entry::Opening(opening) => {
                        let ask = Ask::Position { room, user, reply };
                        opening.waiting.push(Command::Ask(Box::new(ask)));
                    }
                    Entry::Open(room) => reply.send(Ok(room.position())),
                },
            },
            Ask::Poll { room, user, poll } => match self.find_for(&room, &user, now) {
                Err(why) => poll.reply.send(Err(why)),
                Ok(index) => match &mut self.rooms[index] {
                    Entry::Opening(opening) => {
                        opening.waiting.push(Command::Ask(Box::new(Ask::Poll { room, user, poll })));
                    }
                    Entry::Open(_) => self.poll(index, *poll, now),
                },
            },
            Ask::Online { room, reply } => reply.send(self.online(&room)),
            Ask::Kick { room, user, ban, reply } => {
                if let Some(ban) = ban {
                    self.bans.add(&room, &user, now, ban);
                }
                reply.send(self.close_members(&room, Some(&user), Why::Kicked));
            }
            Ask::Close { room, reply } => {
                reply.send(self.close_members(&room, None, Why::RoomDeleted));
                self.disown(&room);
            }
            Ask::Stats { reply } => reply.send(self.stats()),
            Ask::Ping { reply } => reply.send(()),
        }
    }

    /// Publishes in somebody's name, once the room is open.
    fn post(&mut self, post: Box<Posting>, now: Timestamp) {
        let create = post.create && self.limits.open_rooms;
        let Ok(index) = self.find_room(&post.room, Format::Chat, create, now) else {
            return post.reply.send(Err(PostError::Busy));
        };
        let room = match &mut self.rooms[index] {
            Entry::Opening(opening) => {
                return opening.waiting.push(Command::Ask(Box::new(Ask::Post(post))));
            }
            Entry::Open(room) => room,
        };
        let Posting { sender, content, client_id, id_session, mandatory, reply, .. } = *post;
        let (kind, client_id) = (Kind::Message, client_id.as_deref());
        let draft = Draft { kind, sender: &sender, content: &content, client_id, id_session };
        let publisher = Publisher::Asker(reply);
        if let Some(first) = room.earlier(&draft, &self.limits, now) {
            return room.answer_repeat(first, &draft, publisher, |_| None);
        }
        if mandatory && room.members.is_empty() {
            return room.answer_failed(publisher, PostError::NoReceiver, client_id, |_| None);
        }
        self.ledger.append(room, draft, publisher, &self.limits, now);
        self.messages += 1;
        self.touch(index);
        self.mend(index, now);
    }

    /// Publishes to a relay that somebody is in; returns how many are.
    fn relay(
        &mut self,
        name: &str,
        format: Format,
        payload: &[u8],
        (text, key): (bool, Option<&[u8]>),
        now: Timestamp,
    ) -> usize {
        let Some(&index) = self.names[format as usize].get(name) else { return 0 };
        let Some(Entry::Open(room)) = self.rooms.get_mut(index) else { return 0 };
        // A chat message has a sender.
        if room.format == Format::Chat || room.members.is_empty() {
            return 0;
        }
        let count = room.member_count();
        room.append_relay(payload, text, key, &self.limits, now);
        self.messages += 1;
        self.touch(index);
        count
    }

    /// A chat room for a user who wants to read it.
    fn find_for(&mut self, name: &str, user: &str, now: Timestamp) -> Result<usize, Why> {
        if self.bans.holds(name, user, now) {
            return Err(Why::Kicked);
        }
        self.find_room(name, Format::Chat, self.limits.open_rooms, now)
    }

    fn online(&self, name: &str) -> Online {
        let Some(room) = self.open_chat(name) else { return Online::default() };
        let sessions = room.members.iter().filter_map(|member| {
            let Some(Seat::Taken { profile, .. }) = self.seats.get(member.key) else { return None };
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

    /// Has the sessions of a room (of one user, if named) closed; returns how many.
    fn close_members(&mut self, name: &str, user: Option<&str>, why: Why) -> usize {
        let Some(room) = self.open_chat(name) else { return 0 };
        let is_meant = |key| match self.seats.get(key) {
            Some(Seat::Taken { profile, .. }) => user.is_none_or(|user| *profile.user == *user),
            Some(Seat::Waiting { .. }) | None => false,
        };
        let meant = room.members.iter().filter(|member| is_meant(member.key));
        let closed: Vec<_> = meant.map(|member| Effect::Close(member.session, why)).collect();
        let count = closed.len();
        self.out.effects.extend(closed);
        count
    }

    /// The room was deleted: whoever asks for this name from now on means another one.
    fn disown(&mut self, name: &str) {
        let Some(index) = self.names[Format::Chat as usize].remove(name) else { return };
        if let Entry::Open(room) = &mut self.rooms[index] {
            room.disowned = true;
            room.end_polls(Why::RoomDeleted);
            if room.is_idle() {
                self.rooms.remove(index);
            }
        }
    }

    fn open_chat(&self, name: &str) -> Option<&Room<P>> {
        match self.rooms.get(*self.names[Format::Chat as usize].get(name)?)? {
            Entry::Open(room) => Some(room),
            Entry::Opening(_) => None,
        }
    }
}
