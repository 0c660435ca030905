//! Who is in which room.

use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::sync::Arc;

/// A room of peers.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) enum Room {
    /// The one of all who name none.
    Common,
    /// One with a name.
    Named(Arc<str>),
}

/// The room has as many peers as it may have.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct RoomFull;

/// The peers of all rooms, each with a way to reach it. A session is in one room, so there are never more rooms than
/// sessions, and a room without peers is forgotten.
#[derive(Debug)]
pub(super) struct Directory<P> {
    /// Invariant: no room is empty.
    rooms: HashMap<Room, HashMap<u128, P>>,
    peers_per_room: usize,
}

impl<P> Directory<P> {
    pub(super) fn new(peers_per_room: usize) -> Directory<P> {
        Directory { rooms: HashMap::new(), peers_per_room }
    }

    /// A session comes into a room.
    pub(super) fn enter(&mut self, room: &Room, id: u128, peer: P) -> Result<(), RoomFull> {
        if self.rooms.get(room).is_some_and(|peers| peers.len() >= self.peers_per_room) {
            return Err(RoomFull);
        }
        self.rooms.entry(room.clone()).or_default().insert(id, peer);
        Ok(())
    }

    /// A session leaves its room.
    pub(super) fn leave(&mut self, room: &Room, id: u128) {
        let Entry::Occupied(mut peers) = self.rooms.entry(room.clone()) else { return };
        peers.get_mut().remove(&id);
        if peers.get().is_empty() {
            peers.remove();
        }
    }

    /// A peer of the room.
    pub(super) fn peer(&self, room: &Room, id: u128) -> Option<&P> {
        self.rooms.get(room)?.get(&id)
    }

    /// All peers of the room but one.
    pub(super) fn others(&self, room: &Room, id: u128) -> impl Iterator<Item = &P> {
        let peers = self.rooms.get(room).into_iter().flatten();
        peers.filter(move |(other, _)| **other != id).map(|(_, peer)| peer)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn named(name: &str) -> Room {
        Room::Named(name.into())
    }

    fn others(directory: &Directory<char>, room: &Room, id: u128) -> String {
        let mut others: Vec<_> = directory.others(room, id).copied().collect();
        others.sort_unstable();
        others.into_iter().collect()
    }

    #[test]
    fn a_peer_is_found_in_its_own_room_alone() {
        let mut directory = Directory::new(10);
        let rooms = [Room::Common, named("r"), named("")];
        for (room, peers) in rooms.iter().zip(["ab", "cde", "f"]) {
            for peer in peers.chars() {
                assert_eq!(directory.enter(room, peer.into(), peer), Ok(()));
            }
        }
        assert_eq!(others(&directory, &rooms[0], 'a'.into()), "b");
        assert_eq!(others(&directory, &rooms[1], 'd'.into()), "ce");
        assert_eq!(others(&directory, &rooms[2], 'f'.into()), "");
        assert_eq!(others(&directory, &named("nobody's"), 'a'.into()), "");
        assert_eq!(directory.peer(&rooms[1], 'c'.into()), Some(&'c'));
        assert_eq!(directory.peer(&rooms[0], 'c'.into()), None);
    }

    #[test]
    fn a_room_without_peers_is_forgotten() {
        let mut directory = Directory::new(10);
        let rooms: Vec<_> = (0..100).map(|number| named(&format!("room {number}"))).collect();
        for room in &rooms {
            for id in [1, 2] {
                directory.enter(room, id, 'p').unwrap();
            }
            for (id, left) in [(3, true), (1, true), (2, false), (2, false)] {
                directory.leave(room, id);
                assert_eq!(directory.rooms.contains_key(room), left, "{room:?} after {id}");
            }
        }
        assert!(directory.rooms.is_empty());
    }

    #[test]
    fn a_full_room_takes_nobody_until_somebody_leaves() {
        let mut directory = Directory::new(2);
        for room in [Room::Common, named("r")] {
            for id in [1, 2] {
                assert_eq!(directory.enter(&room, id, 'p'), Ok(()));
            }
            assert_eq!(directory.enter(&room, 3, 'p'), Err(RoomFull));
            directory.leave(&room, 1);
            assert_eq!(directory.enter(&room, 3, 'p'), Ok(()));
            assert_eq!(others(&directory, &room, 2), "p");
        }
    }
}
