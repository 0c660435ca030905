//! What the shard wants done, and what the members were sent.

use super::World;
use crate::fuzzing::rooms::member::{Member, Position};
use crate::rooms::{Arena, Command, Format, OnLag, RejectReason, SessionEffect, SessionKey};

impl World {
    /// Does what the shard wants done, and looks at what the members were sent.
    pub(super) fn settle(&mut self) {
        self.shard.check();
        self.effects.extend(self.shard.take_session_effects());
        while let Some(effect) = self.effects.pop_front() {
            self.note(effect);
        }
        self.take_requests();
        while let Some(batch) = self.shard.take_batch() {
            assert!(self.limits.store.is_some() && !batch.records.is_empty());
            self.store.batches.push_back(batch);
        }
        self.take_polls(false);
        for member in &mut self.members {
            let room = &self.rooms[member.room];
            member.read(room);
            let spared = self.limits.store.is_some() && self.limits.on_lag == OnLag::CatchUp;
            assert!(!spared || self.lossy || room.format != Format::Chat || member.gaps == 0);
        }
    }

    pub(super) fn note(&mut self, effect: SessionEffect) {
        match effect {
            // All members that wait for a room are sent away, those of one session one by one; no notice tells of them.
            SessionEffect::Close(session, RejectReason::Unavailable) => self.part(|world, member| {
                let is_refused = world.rooms[member.room].waiting.is_none();
                member.session == session && member.position == Position::Outside && is_refused
            }),
            SessionEffect::Close(session, RejectReason::RoomDeleted) => {
                self.part(|world, member| {
                    let is_chat = world.rooms[member.room].format == Format::Chat;
                    member.session == session && is_chat
                });
            }
            SessionEffect::Close(session, RejectReason::Kicked) if self.is_waiting(session) => {
                self.part(|_, member| member.session == session);
            }
            SessionEffect::Close(session, _) => {
                let index = self.members.iter().position(|member| member.session == session);
                self.leave(index.expect("a member is closed once"));
            }
            SessionEffect::Passed => self.passed += 1,
        }
    }

    /// Whether this session waits for a room.
    pub(super) fn is_waiting(&self, session: SessionKey) -> bool {
        let member = self.members.iter().find(|member| member.session == session);
        member.is_some_and(|member| self.rooms[member.room].waiting.is_some())
    }

    /// A member goes without a notice.
    pub(super) fn part(&mut self, is_meant: impl Fn(&World, &Member) -> bool) {
        let index = self.members.iter().position(|member| is_meant(self, member));
        let member = self.members.swap_remove(index.expect("a member is closed once"));
        self.free_keys.push((member.key, member.session));
        self.apply(Command::Leave(member.key), &Arena::default());
    }

    /// Polls a room that is open and stays so: what a reader makes of others, other tests see.
    pub(super) fn poll(&mut self, choice: u8) {
        let index = usize::from(choice % 2);
        let is_open = self.rooms[index].waiting.is_none();
        if is_open
            && self.members.iter().any(|member| member.room == index)
            && let Some(ask) = self.pollers[index].ask(self.rooms[index].name, choice)
        {
            self.apply(Command::Request(Box::new(ask)), &Arena::default());
        }
    }

    pub(super) fn take_polls(&mut self, reads: bool) {
        for (poller, room) in self.pollers.iter_mut().zip(&self.rooms) {
            poller.take(room, &self.store, reads);
            assert!(self.limits.store.is_none() || self.lossy || poller.gaps == 0);
        }
    }
}
