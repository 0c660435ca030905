//! The invariants of a whole shard, for tests.

use std::collections::{HashMap, HashSet};

use super::command::Format;
use super::peer::Peer;
use super::shard::{Entry, Shard};

impl<P: Peer> Shard<P> {
    /// Looks whether everything is as the comments say. Looks at every room and seat.
    ///
    /// # Panics
    /// If it is not.
    pub fn check(&self) {
        let mut joins = 0;
        let (mut asked, mut absent) = (0, 0);
        let mut ids = HashSet::new();
        for (index, entry) in &self.rooms {
            let (name, format, is_deleted) = match entry {
                Entry::Open(room) => {
                    let is_new = room.stored_as.is_none_or(|id| ids.insert(id));
                    assert!(is_new, "one object for each stored room");
                    (&room.name, room.format, room.disowned)
                }
                Entry::Opening(opening) => {
                    joins += opening.joins();
                    (asked, absent) = (
                        asked + usize::from(opening.is_asked().is_some()),
                        absent + usize::from(opening.is_absent()),
                    );
                    assert!(!opening.is_unwanted(), "somebody waits for each room that is being opened");
                    (&opening.name, Format::Chat, false)
                }
            };
            let leads_to = self.names[format as usize].get(name);
            assert_eq!(leads_to == Some(&index), !is_deleted, "a name leads to its room");
        }
        let names: usize = self.names.iter().map(HashMap::len).sum();
        let deleted =
            self.rooms.iter().filter(|(_, entry)| matches!(entry, Entry::Open(room) if room.disowned));
        assert_eq!(names, self.rooms.len() - deleted.count(), "each name leads to a room");
        assert_eq!((self.openings, self.absent), (asked, absent));
        for (member, room) in self.seats.waiting() {
            let holds_join = match self.rooms.get(room.index) {
                Some(Entry::Opening(opening)) => opening.key == room && opening.holds_join_of(member),
                Some(Entry::Open(_)) | None => false,
            };
            assert!(holds_join, "{member:?} waits for a room that holds no JOIN of it");
            joins -= 1;
        }
        assert_eq!(joins, 0, "a JOIN waits for each seat, and a seat for each JOIN");
    }
}
