//! Members that read from the store, a few pages at a time.

use std::collections::{HashMap, VecDeque};

use super::command::{Effect, MemberKey, Reader, Why};
use super::journal::{From, Page, PageRequest};
use super::member::{Member, State};
use super::peer::Peer;
use super::shard::{Entry, Shard};
use super::timestamp::Timestamp;

/// Pages under way at a time; other members that read wait for one of these.
const PAGES_MAX: usize = 16;
const PAGE_MESSAGES: usize = 256;
const PAGE_BYTES: usize = 256 * 1024;

/// Members that read from the store.
#[derive(Debug, Default)]
pub(super) struct Readers {
    pub(super) waiting: VecDeque<Reader>,
    under_way: usize,
    /// Those whose position is still a time.
    pub(super) since: HashMap<MemberKey, Timestamp>,
}

impl<P: Peer> Shard<P> {
    pub(super) fn page(&mut self, reader: Reader, page: Option<Page>) {
        self.readers.under_way = self.readers.under_way.saturating_sub(1);
        let Some((index, position)) = self.seats.place(reader.member) else { return };
        let Entry::Open(room) = &mut self.rooms[index] else { return };
        let is_same = |member: &Member<P>| member.session == reader.session && member.state == State::Reading;
        if !room.members.get(position).is_some_and(is_same) {
            return;
        }
        let exact = self.readers.since.remove(&reader.member).is_none();
        match page {
            Some(page) => room.turn_page(position, &page, exact, &self.limits, &mut self.out),
            None => {
                if let Some(member) = room.members.get_mut(position) {
                    member.state = State::Gone;
                }
                self.out.effects.push(Effect::Close(reader.session, Why::Unavailable));
            }
        }
    }

    /// Asks for the pages that members wait for, as many as may be under way.
    pub(super) fn read_on(&mut self) {
        self.readers.waiting.extend(self.out.readers.drain(..));
        while self.readers.under_way < PAGES_MAX {
            let Some(reader) = self.readers.waiting.pop_front() else { return };
            let Some((index, position)) = self.seats.place(reader.member) else { continue };
            let Entry::Open(room) = &self.rooms[index] else { continue };
            let (Some(id), Some(seated)) = (room.stored_as, room.members.get(position)) else { continue };
            if seated.state != State::Reading || seated.session != reader.session {
                continue;
            }
            let from =
                self.readers.since.get(&reader.member).map_or(From::Seq(seated.cursor), |at| From::Time(*at));
            let (messages_max, bytes_max) = (PAGE_MESSAGES, PAGE_BYTES);
            let request =
                PageRequest { room: id, from, messages_max, bytes_max, newest_first: false, before: None };
            self.readers.under_way += 1;
            self.out.effects.push(Effect::Read { reader, request });
        }
    }
}
