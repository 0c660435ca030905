//! Pages are asked of the store and given to the members that wait for them.
//!
//! `tests` plays members, polls and pages, one event after the other.

use super::catch_up::{CatchUp, PAGES_MAX, Reading};
use super::epoch_reset::Refused;
use super::state::{RoomSlot, Shard};
use crate::rooms::api::effect::{SessionEffect, StoreRequest};
use crate::rooms::api::peer::Peer;
use crate::rooms::api::store::{Page, PageRequest, ReadFrom};
use crate::rooms::clock::Now;
use crate::rooms::ids::Reader;
use crate::rooms::reasons::RejectReason;
use crate::rooms::room::member::MemberState;
use crate::rooms::room::page::PageOutcome;

/// Maximum number of messages of a page, and of bytes of their texts.
// A page lies in memory until it is sent: small enough for several at a time, large enough to catch up in few reads.
const PAGE_MESSAGES: usize = 256;
const PAGE_BYTES: usize = 256 * 1024;
/// Maximum number of times that a page is asked for again because it does not fit the request.
// Once is usual, when retention has deleted or the log was reset meanwhile. A store that never answers what was asked
// must not be read in a loop.
const MISMATCHES_MAX: u8 = 3;

impl<P: Peer> Shard<P> {
    pub(super) fn page(&mut self, answered: Reader, page: Option<Page>, now: Now) {
        let reader = answered.of;
        let CatchUp { under_way, reading, .. } = &mut self.catch_up;
        let asked_for = under_way.iter().position(|number| *number == answered.number);
        debug_assert!(asked_for.is_some(), "each request for a page is answered once");
        asked_for.map(|index| under_way.swap_remove(index));
        let Some(asked) = reading.get(&reader.member).filter(|asked| asked.request == Some(answered.number))
        else {
            return;
        };
        let asked = *asked;
        reading.remove(&reader.member);
        let Some((index, position)) = self.member_index.place(reader.member) else { return };
        let RoomSlot::Open(room) = &mut self.rooms[index] else { return };
        let Some(member) = room.members.get_mut(position) else { return };
        debug_assert!(room.key == reader.room && member.session == reader.session, "another member's page");
        debug_assert!(member.state == MemberState::Reading, "a page for a member that does not read");
        if let Some(page) = page {
            if page.head < asked.stored {
                // It has less than it has acknowledged. The member goes on where the log does, if it does.
                self.break_link(reader.room, Refused::Room, now);
            }
            let RoomSlot::Open(room) = &mut self.rooms[index] else { return };
            room.expire(self.clock);
            if room.apply_page(position, &page, asked.since, &self.limits, &mut self.out)
                == PageOutcome::Applied
            {
                return;
            }
            if asked.mismatches < MISMATCHES_MAX {
                let again = Reading { request: None, mismatches: asked.mismatches + 1, ..asked };
                self.catch_up.reading.insert(reader.member, again);
                return self.catch_up.waiting.push_back(reader);
            }
        }
        if let RoomSlot::Open(room) = &mut self.rooms[index]
            && let Some(member) = room.members.get_mut(position)
        {
            member.state = MemberState::Gone;
        }
        self.out.session_effects.push(SessionEffect::Close(reader.session, RejectReason::Unavailable));
    }

    /// Asks for the pages that members wait for, as many as may be under way.
    pub(super) fn read_on(&mut self) {
        self.catch_up.waiting.extend(self.out.catch_up.drain(..));
        while self.catch_up.under_way.len() < PAGES_MAX {
            let Some(reader) = self.catch_up.waiting.pop_front() else { return };
            let Some((index, position)) = self.member_index.place(reader.member) else { continue };
            let RoomSlot::Open(room) = &self.rooms[index] else { continue };
            let (Some(id), Some(member)) = (room.stored_as, room.members.get(position)) else { continue };
            // The member that waited here may have left, and its key may be another's, which waits further back.
            let is_meant = room.key == reader.room && member.session == reader.session;
            if !is_meant || member.state != MemberState::Reading {
                continue;
            }
            let reading = self.catch_up.reading.entry(reader.member).or_default();
            if reading.request.is_some() {
                continue;
            }
            self.catch_up.number += 1;
            (reading.request, reading.stored) = (Some(self.catch_up.number), room.stored_upto());
            let from = reading.since.map_or(ReadFrom::Seq(member.cursor), ReadFrom::Time);
            let request = PageRequest {
                from,
                messages_max: PAGE_MESSAGES,
                bytes_max: PAGE_BYTES,
                newest_first: false,
                before: None,
                now: self.clock,
            };
            self.catch_up.under_way.push(self.catch_up.number);
            let reader = Reader { number: self.catch_up.number, of: reader };
            self.out.store_requests.push(StoreRequest::Read { reader, room: id, request });
        }
    }
}
#[cfg(test)]
mod tests;
