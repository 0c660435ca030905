//! Reading a room that is not there: as at an empty one, and nothing is made.

use super::state::Shard;
use crate::rooms::api::command::{Command, Join};
use crate::rooms::api::peer::Peer;
use crate::rooms::api::poll::{Poll, PollResult};
use crate::rooms::api::request::RoomRequest;
use crate::rooms::clock::Now;
use crate::rooms::log::encoded::write_notice;
use crate::rooms::message::notice::Notice;
use crate::rooms::reasons::RejectReason;
use crate::rooms::reply::Reply;
use crate::rooms::timestamp::Timestamp;
use crate::rooms::values::{Joined, Online, Position, Start};

/// Before the first entry of any epoch.
const NOWHERE: Position = Position { epoch: 0, seq: 0 };
/// From there on, in any room that comes.
const FROM_NOWHERE: Start = Start::After { seq: 0, epoch: Some(NOWHERE.epoch) };

impl Start {
    /// Whether it is a position in a log, which a room that is not there has none of.
    fn is_elsewhere(self) -> bool {
        match self {
            Start::After { seq, epoch } => seq > 0 || epoch.is_some_and(|epoch| epoch != NOWHERE.epoch),
            Start::Live | Start::Since(_) | Start::Last(_) => false,
        }
    }

    /// Where to go on once the room is there: everything in it is news.
    fn in_next_room(self) -> Start {
        match self {
            Start::Since(_) => self,
            Start::Live | Start::Last(_) | Start::After { .. } => FROM_NOWHERE,
        }
    }
}

impl<P: Peer> Shard<P> {
    /// Answers a command that has waited for a room that is not there; gives it back if it goes on waiting.
    pub(super) fn answer_absent(
        &mut self,
        name: &str,
        command: Command<P>,
        was_deleted: bool,
        now: Now,
    ) -> Option<Command<P>> {
        // Where rooms are made by REST alone, a reader need not wait for one of this name.
        let readers_wait = self.limits.open_rooms || self.limits.store.is_none();
        let reason = if was_deleted { RejectReason::RoomDeleted } else { RejectReason::NoSuchRoom };
        match command {
            Command::Join(join) if join.creates || !readers_wait => {
                self.turn_away(*join, reason);
                None
            }
            Command::Join(join) => Some(Command::Join(Box::new(greet(name, *join)))),
            Command::Request(request) => match *request {
                RoomRequest::Position { reply, .. } if readers_wait => {
                    reply.send(Ok(Joined { epoch: NOWHERE.epoch, seq: NOWHERE.seq, members: 0 }));
                    None
                }
                RoomRequest::Poll { room, user, poll } if readers_wait => {
                    let poll = Box::new(self.poll_absent(name, *poll, now)?);
                    Some(Command::Request(Box::new(RoomRequest::Poll { room, user, poll })))
                }
                RoomRequest::Online { reply, .. } => {
                    reply.send(Online::default());
                    None
                }
                request @ (RoomRequest::Position { .. }
                | RoomRequest::Visible { .. }
                | RoomRequest::Poll { .. }
                | RoomRequest::Post { .. }
                | RoomRequest::PostAll { .. }
                | RoomRequest::Relay { .. }
                | RoomRequest::Kick { .. }
                | RoomRequest::Close { .. }
                | RoomRequest::Stats { .. }
                | RoomRequest::Inspect(_)
                | RoomRequest::Ping { .. }) => {
                    request.refuse(RejectReason::NoSuchRoom);
                    None
                }
            },
            command @ (Command::Leave(_)
            | Command::Publish { .. }
            | Command::Tell(..)
            | Command::Resume(_)
            | Command::After(..)
            | Command::Barrier) => {
                self.refuse(command, reason);
                None
            }
        }
    }

    /// Answers a poll, or has it wait.
    fn poll_absent(&mut self, name: &str, poll: Poll, now: Now) -> Option<Poll> {
        let Poll { start, limit, wait, waiter, waits, reply } = poll;
        if start.is_elsewhere() || wait.is_zero() {
            reply.send(Ok(PollResult::nothing_there(name, start.is_elsewhere(), NOWHERE)));
            return None;
        }
        if !self.has_place_for_poll(now) {
            reply.send(Err(RejectReason::Unavailable));
            return None;
        }
        waits.send(NOWHERE);
        // It counts as a waiting poll as long as this reply lives.
        let counted = self.polls.enter();
        let waits = Reply::new(move |_told_before| drop(counted));
        let start = start.in_next_room();
        Some(Poll { start, limit, wait, waiter, waits, reply })
    }
}

/// Greets a reader as an empty room would.
fn greet<P: Peer>(name: &str, mut join: Join<P>) -> Join<P> {
    let encoding = join.encoding.as_ref();
    let at = Timestamp::default();
    let mut greeting = Vec::new();
    if join.welcome {
        let Position { epoch, seq } = NOWHERE;
        let (room, session_id, user, online) = (name, join.session_id, &*join.user, 0);
        let from = (!join.start.is_elsewhere()).then_some(seq);
        let welcome = Notice::Welcome { room, session_id, user, epoch, seq, online, from, at };
        write_notice(encoding, &welcome, &mut greeting);
    }
    if join.start.is_elsewhere() {
        let gap = Notice::Gap { room: name, epoch: NOWHERE.epoch, from: 0, to: 0, at };
        write_notice(encoding, &gap, &mut greeting);
    }
    if !greeting.is_empty() {
        join.peer.reply(&greeting, u64::from(join.welcome) + u64::from(join.start.is_elsewhere()));
    }
    if let Some(reply) = join.reply.take() {
        reply.send(Ok(Joined { epoch: NOWHERE.epoch, seq: NOWHERE.seq, members: 1 }));
    }
    // It is greeted already, for any room that comes.
    (join.welcome, join.start) = (false, join.start.in_next_room());
    join
}
