//! The end of a script: everything comes to rest, and every member has what it should.

use std::sync::atomic::Ordering;
use std::time::Duration;

use super::World;
use crate::rooms::store_api::Durability;
use crate::rooms::{Arena, Command, Format};

impl World {
    /// Lets everything come to rest: no member, session or post may still wait then.
    pub(super) fn end(&mut self) {
        self.apply(Command::Barrier, &Arena::default());
        let mut quiet = 0;
        // Far more rounds than any input needs: a shard that never comes to rest is found, too.
        for _ in 0..100_000 {
            let mut busy = self.shard.pump(5);
            self.settle();
            busy |= self.answer_opening() | self.answer_batch() | self.answer_read();
            self.settle();
            for index in 0..self.members.len() {
                if let Some(member) = self.members.get(index)
                    && member.peer.drain(usize::MAX / 2)
                {
                    busy = true;
                    let key = member.key;
                    self.apply(Command::Resume(key), &Arena::default());
                }
            }
            self.settle();
            if !busy && self.rooms.iter().any(|room| !room.delayed.is_empty()) {
                busy = true;
                self.pass_time(Duration::from_secs(1));
                self.settle();
            }
            // More than once: what one round has released may have work in the next.
            quiet = if busy { 0 } else { quiet + 1 };
            if quiet > 3 {
                break;
            }
        }
        assert!(quiet > 3, "the shard never comes to rest");
        assert_eq!(self.posts_answered.load(Ordering::Relaxed), self.posts, "every post is answered once");
        assert_eq!(self.passed, 1, "the barrier is passed once everything is done");
        for member in &self.members {
            let room = &self.rooms[member.room];
            let (_, log) = room.generation(member.generation);
            assert!(
                member.is_complete(log) && member.generation == room.past.len(),
                "{} is left at {:?} of {}",
                member.user,
                member.position,
                log.len()
            );
        }
        self.check_presence();
        let stats = self.shard.stats();
        assert_eq!((stats.members, stats.unstored, stats.lag), (self.members.len(), 0, 0));
    }

    /// Every user who came and left has exactly one JOIN and one LEAVE; only what the store lost of an `async` room is not
    /// said twice.
    pub(super) fn check_presence(&mut self) {
        if self.store.durability == Durability::Async {
            return;
        }
        for (index, room) in self.rooms.iter().enumerate().filter(|(_, room)| room.format == Format::Chat) {
            let members = self.members.iter().filter(|member| member.room == index);
            let mut there: Vec<&String> = members.map(|member| &member.user).collect();
            let mut present = room.present();
            there.sort();
            present.sort();
            assert_eq!(present, there, "JOIN and LEAVE do not tell who is there");
            if self.limits.store.is_some() {
                let stays = &self.store.room(room.name).stays;
                let mut stays: Vec<&str> = stays.iter().map(|stay| &*stay.username).collect();
                stays.sort_unstable();
                assert_eq!(stays, there, "the store does not know who is there");
            }
        }
    }
}
