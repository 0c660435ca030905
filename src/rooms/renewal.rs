//! An `async` room whose newest messages the store has lost.
//!
//! They were shown before they were stored, so they cannot be taken back. The room goes on in memory, and nothing of it is
//! stored, until the store has given its log another epoch; then it goes on there, after the last message that was
//! stored. Its members are told that their positions are worth nothing any more.

use std::time::Duration;

use super::command::RoomKey;
use super::crew::Crew;
use super::journal::{Durability, Opened};
use super::member::State;
use super::message::Notice;
use super::peer::Peer;
use super::pump::Outcome;
use super::room::{Room, RoomLimits};
use super::shard::{Entry, Shard, open_room};
use super::timestamp::Timestamp;

/// How long the store is left alone after it could not begin a log anew.
const RENEWAL_PAUSE: Duration = Duration::from_secs(1);

/// Whether what is said in a room gets into the store.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Tie {
    /// It does.
    Tied,
    /// It does not: the store lacks messages before it. The log is to begin anew, which is tried again at this time.
    Cut {
        /// Not to be tried before.
        again_at: Timestamp,
    },
    /// It does not yet: the store was asked to begin the log anew.
    Renewing,
}

impl<P: Peer> Shard<P> {
    /// The store has refused messages of this room.
    pub(super) fn cut_off(&mut self, key: RoomKey, now: Timestamp) {
        if let Some(room) = open_room(&mut self.rooms, key)
            && room.durability == Durability::Async
            && room.tie == Tie::Tied
        {
            room.tie = Tie::Cut { again_at: now };
            self.mend(key.index, now);
        }
    }

    /// Asks the store to begin the log of a room anew, if it has to and it is time.
    pub(super) fn mend(&mut self, index: usize, now: Timestamp) {
        if let Some(Entry::Open(room)) = self.rooms.get_mut(index)
            && let Tie::Cut { again_at } = room.tie
            && again_at <= now
            && !room.disowned
        {
            room.tie = Tie::Renewing;
            let key = room.key;
            self.request_room(key, now);
        }
    }

    /// The store has begun the log of a room anew.
    pub(super) fn renewed(&mut self, key: RoomKey, opened: &Opened, now: Timestamp) {
        let Some(room) = open_room(&mut self.rooms, key) else { return };
        if room.stored_as != Some(opened.id) {
            // It was deleted, and there is another room of that name. Its members are about to be told.
            return self.not_renewed(key, now);
        }
        if room.tie == Tie::Renewing {
            for member in room.members.iter() {
                self.readers.forget(member.key);
            }
            room.renew(opened, &self.limits, &*self.crew, &mut self.out);
            // They left while the room was cut off, and the log that goes on does not say so.
            self.end_stays(key.index, &opened.open_stays, now);
        }
    }

    /// The store could not.
    pub(super) fn not_renewed(&mut self, key: RoomKey, now: Timestamp) {
        if let Some(room) = open_room(&mut self.rooms, key)
            && room.tie == Tie::Renewing
        {
            let pause = u64::try_from(RENEWAL_PAUSE.as_micros()).unwrap_or(u64::MAX);
            let again_at = Timestamp::from_micros(now.micros().saturating_add(pause));
            room.tie = Tie::Cut { again_at };
        }
    }
}

impl<P: Peer> Room<P> {
    /// Ends the log as it was shown and goes on with the one that is stored.
    fn renew(&mut self, opened: &Opened, limits: &RoomLimits, crew: &dyn Crew<P>, out: &mut Outcome) {
        // Whoever can take the rest of the old log gets it now, the others are told what they do not get.
        self.pump_all(limits, crew, out);
        let room = &*self.name;
        for member in self.members.iter_mut() {
            let mut gaps = Vec::new();
            if member.cursor < self.visible {
                let (epoch, from, to, at) = (self.epoch, member.cursor + 1, self.visible, member.sent_at);
                self.guests.write(member.key, &Notice::Gap { room, epoch, from, to, at }, &mut gaps);
            }
            let ((from, to), at) = (Notice::whole_log(opened.head), member.sent_at);
            let gap = Notice::Gap { room, epoch: opened.epoch, from, to, at };
            self.guests.write(member.key, &gap, &mut gaps);
            member.peer.reply(&gaps);
            member.cursor = opened.head;
            // Nothing is missing any more. A page that is on its way comes from before this, and is nobody's.
            if member.state == State::Reading {
                member.state = State::Ready;
            }
        }
        self.restore_log(opened);
        self.tell_polls_of_renewal();
        self.forget_ids_after(opened.head);
        self.tie = Tie::Tied;
    }
}
