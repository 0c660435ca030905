//! The invariants of a whole shard, for tests and for builds with assertions.

use std::collections::{HashMap, HashSet};

use super::state::{RoomSlot, Shard};
use crate::rooms::api::peer::Peer;
use crate::rooms::ids::ReadingMember;
use crate::rooms::room::member::MemberState;
use crate::rooms::room::publisher::Publisher;
use crate::rooms::room::state::Room;
use crate::rooms::room::store_link::StoreLink;
use crate::rooms::values::Format;

impl<P: Peer> Shard<P> {
    /// Looks whether everything is as the comments say. Looks at every room and member.
    ///
    /// # Panics
    /// If it is not.
    pub fn check(&self) {
        let mut joins = 0;
        let (mut asked, mut absent) = (0, 0);
        let mut ids = HashSet::new();
        for (index, entry) in &self.rooms {
            let (name, format, is_deleted) = match entry {
                RoomSlot::Open(room) => {
                    let is_new = room.stored_as.is_none_or(|id| ids.insert(id));
                    assert!(is_new, "one object for each stored room");
                    self.check_room(room);
                    (&room.name, room.format, room.deleted)
                }
                RoomSlot::Opening(opening) => {
                    joins += opening.joins();
                    (asked, absent) = (
                        asked + usize::from(opening.is_asked().is_some()),
                        absent + usize::from(opening.is_absent()),
                    );
                    assert!(!opening.is_unwanted(), "commands wait for each room that is being opened");
                    let is_asked = opening.is_asked().is_some();
                    assert!(!is_asked || self.requests.will_answer(opening.key), "the store will answer");
                    (&opening.name, Format::Chat, false)
                }
            };
            let leads_to = self.names[format as usize].get(name);
            assert_eq!(leads_to == Some(&index), !is_deleted, "a name leads to its room");
        }
        let names: usize = self.names.iter().map(HashMap::len).sum();
        let deleted =
            self.rooms.iter().filter(|(_, entry)| matches!(entry, RoomSlot::Open(room) if room.deleted));
        assert_eq!(names, self.rooms.len() - deleted.count(), "each name leads to a room");
        assert_eq!((self.openings, self.absent), (asked, absent));
        for (member, room) in self.member_index.waiting() {
            let holds_join = match self.rooms.get(room.index) {
                Some(RoomSlot::Opening(opening)) => opening.key == room && opening.holds_join_of(member),
                Some(RoomSlot::Open(_)) | None => false,
            };
            assert!(holds_join, "{member:?} waits for a room that holds no JOIN of it");
            joins -= 1;
        }
        assert_eq!(joins, 0, "a JOIN waits for each waiting member, and each waiting member has one");
        self.commits.check();
        self.check_readers();
    }

    fn check_room(&self, room: &Room<P>) {
        room.positions.check(room.log.head());
        // Another node may have shown more.
        let is_numbered_here = room.submissions.is_none();
        assert!(
            !is_numbered_here || room.polls.iter().all(|poll| poll.is_within(room.positions.visible())),
            "a poll waits beyond what is visible"
        );
        let is_notice = |publisher: &Publisher| matches!(publisher, Publisher::Notice(_));
        let is_in_order = room.delayed.is_empty() || !room.unstored.iter().any(is_notice);
        assert!(is_in_order, "notices that wait come before those that happened later");
        let is_resetting = room.link == StoreLink::Resetting && !room.deleted;
        assert!(!is_resetting || self.requests.will_answer(room.key), "the store will answer");
        for member in room.members.iter().filter(|member| member.state != MemberState::Gone) {
            let is_within = member.cursor <= room.positions.visible();
            assert!(!is_numbered_here || is_within, "a member is beyond what is visible");
            let place = self.member_index.place(member.key);
            let is_seated = place.is_some_and(|(index, _)| index == room.key.index);
            assert!(is_seated, "each member is in the index");
            let reader = ReadingMember { room: room.key, member: member.key, session: member.session };
            let is_read_for = self.catch_up.reads_for(reader) || self.out.catch_up.contains(&reader);
            assert!(
                member.state != MemberState::Reading || is_read_for,
                "a member reads, and no page is asked for"
            );
        }
    }

    /// A page that is under way is for a member that reads.
    fn check_readers(&self) {
        for member in self.catch_up.members_with_request() {
            let place = self.member_index.place(member);
            let is_reading = place.is_some_and(|(index, position)| match self.rooms.get(index) {
                Some(RoomSlot::Open(room)) => {
                    room.members.get(position).is_some_and(|member| member.state == MemberState::Reading)
                }
                Some(RoomSlot::Opening(_)) | None => false,
            });
            assert!(is_reading, "a page is under way for {member:?}, which does not read");
        }
    }
}
