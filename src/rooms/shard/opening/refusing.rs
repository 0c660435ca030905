//! Commands that wait for a room that does not come.

use crate::limit_hits::Limit;
use crate::rooms::api::command::Command;
use crate::rooms::api::peer::Peer;
use crate::rooms::clock::Now;
use crate::rooms::reasons::{PostError, RejectReason};
use crate::rooms::shard::room_opening::Phase;
use crate::rooms::shard::state::{RoomSlot, Shard};

impl<P: Peer> Shard<P> {
    /// Refuses the commands that would create the room, and has the readers wait.
    pub(in crate::rooms::shard) fn refuse_creators(&mut self, index: usize, now: Now) {
        let Some(RoomSlot::Opening(opening)) = self.rooms.get_mut(index) else { return };
        for command in opening.take(&self.limits.bounds, |command, _| command.creates()) {
            self.limits.bounds.hit(Limit::RoomCreations);
            self.refuse_at(index, command, RejectReason::TooManyNewRooms);
        }
        self.wait_for_creation(index, now);
    }

    /// Refuses the commands that came last to a room that is not there; readers that wait for it longer wait on.
    pub(in crate::rooms::shard) fn refuse_newcomers(&mut self, index: usize, reason: RejectReason, now: Now) {
        let Some(RoomSlot::Opening(opening)) = self.rooms.get_mut(index) else { return };
        let newcomers = opening.held.extract_if(.., |held| !held.is_greeted);
        let (commands, bytes): (Vec<_>, Vec<_>) = newcomers.map(|held| (held.command, held.bytes)).unzip();
        let bytes: usize = bytes.into_iter().sum();
        opening.charged -= bytes;
        opening.check_held();
        self.limits.bounds.discharge(bytes);
        for command in commands {
            self.refuse_at(index, command, reason);
        }
        self.wait_on(index, now);
    }

    /// As [`Shard::refuse`], for a command that has waited for the room at `index`: its member stays there.
    fn refuse_at(&mut self, index: usize, command: Command<P>, reason: RejectReason) {
        if let Command::Publish { member, message } = command {
            if let Some(RoomSlot::Opening(opening)) = self.rooms.get(index) {
                let id = message.of(&opening.arena).client_id();
                opening.tell(member, &PostError::Unavailable.fault(id));
            }
            return;
        }
        self.refuse(command, reason);
    }

    /// Refuses everything that waits for a room that does not come.
    pub(in crate::rooms::shard) fn refuse_all(&mut self, index: usize, reason: RejectReason) {
        let Some(RoomSlot::Opening(opening)) = self.rooms.get_mut(index) else { return };
        opening.phase = Phase::Found;
        for command in opening.take(&self.limits.bounds, |_, _| true) {
            self.refuse(command, reason);
        }
        self.remove_if_unwanted(index);
    }

    /// Answers a command that cannot wait for its room any longer.
    pub(in crate::rooms::shard) fn refuse(&mut self, command: Command<P>, reason: RejectReason) {
        match command {
            Command::Join(join) => self.turn_away(*join, reason),
            Command::Request(request) => request.refuse(reason),
            Command::After(_, reply) => reply.send(()),
            Command::Leave(member) => drop(self.member_index.take(member)),
            Command::Publish { .. } | Command::Tell(..) | Command::Resume(_) | Command::Barrier => {}
        }
    }
}
