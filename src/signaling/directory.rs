//! Who is in which room, and which rooms have something to send.

use std::collections::hash_map::Entry;
use std::collections::{HashMap, VecDeque};
use std::sync::Arc;

use super::relay::{Lost, Parcel, Peers};

/// Copies sent in one turn of the reactor, for all rooms together. A copy is a system call of some 10 µs, and no
/// other client is served meanwhile.
const COPIES_PER_TURN: usize = 128;
/// Copies that a room sends before the next room has its turn.
// A quarter of a turn, so that four busy rooms have a part of each turn.
const COPIES_AT_ONCE: usize = 32;

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
pub(super) struct Directory<P, F> {
    /// Invariant: no room is empty.
    rooms: HashMap<Room, Peers<P, F>>,
    room_of: HashMap<u128, Room>,
    /// Rooms in which something waits, in the order of their turns. Invariant: each once.
    waiting: VecDeque<Room>,
    /// Copies that may still be sent in this turn.
    copies_left: usize,
}

impl<P, F> Directory<P, F> {
    pub(super) fn new() -> Directory<P, F> {
        Directory {
            rooms: HashMap::new(),
            room_of: HashMap::new(),
            waiting: VecDeque::new(),
            copies_left: COPIES_PER_TURN,
        }
    }

    /// A session comes into a room, unless as many are there as may be.
    pub(super) fn enter(&mut self, room: &Room, id: u128, peer: P, max: usize) -> Result<(), RoomFull> {
        if self.rooms.get(room).is_some_and(|peers| peers.len() >= max) {
            return Err(RoomFull);
        }
        self.rooms.entry(room.clone()).or_insert_with(Peers::new).enter(id, peer);
        let before = self.room_of.insert(id, room.clone());
        debug_assert!(before.is_none(), "a session is in two rooms");
        Ok(())
    }

    /// A session leaves its room.
    pub(super) fn leave(&mut self, room: &Room, id: u128) {
        let Entry::Occupied(mut peers) = self.rooms.entry(room.clone()) else { return };
        peers.get_mut().leave(id);
        self.room_of.remove(&id);
        if peers.get().len() > 0 {
            return;
        }
        let last = peers.remove();
        if last.is_waiting() {
            self.waiting.retain(|waiting| waiting != room);
        }
    }

    /// A peer of the room.
    pub(super) fn peer(&self, room: &Room, id: u128) -> Option<&P> {
        self.rooms.get(room)?.peer(id)
    }

    /// Has a message sent in the room, behind those before it.
    pub(super) fn post(&mut self, room: &Room, parcel: Parcel<F>) {
        let Some(peers) = self.rooms.get_mut(room) else { return };
        debug_assert!(peers.len() > 0, "a room without peers is forgotten");
        if !peers.is_waiting() {
            debug_assert!(!self.waiting.contains(room), "a room has its turn twice");
            self.waiting.push_back(room.clone());
        }
        peers.push(parcel);
    }

    /// Whether so much waits in the session's room that the session should not be read.
    pub(super) fn holds(&self, id: u128) -> bool {
        let peers = self.room_of.get(&id).and_then(|room| self.rooms.get(room));
        peers.is_some_and(Peers::is_full)
    }

    /// A turn is over: as much may be sent as in any other.
    pub(super) fn renew(&mut self) {
        self.copies_left = COPIES_PER_TURN;
    }

    /// Sends what may be sent in this turn. True: something is left.
    pub(super) fn send(
        &mut self,
        mut deliver: impl FnMut(&P, &F) -> bool,
        mut lost: impl FnMut(Lost<'_, P>),
    ) -> bool {
        while self.copies_left > 0
            && let Some(room) = self.waiting.pop_front()
        {
            let Some(peers) = self.rooms.get_mut(&room) else {
                debug_assert!(false, "a room without peers has its turn");
                continue;
            };
            let sent = peers.send(COPIES_AT_ONCE.min(self.copies_left), &mut deliver, &mut lost);
            self.copies_left -= sent;
            if peers.is_waiting() {
                self.waiting.push_back(room);
            }
        }
        !self.waiting.is_empty()
    }
}

#[cfg(test)]
mod tests {
    use super::super::relay::Addressee;
    use super::*;

    type Peers = Directory<char, &'static str>;

    fn named(name: &str) -> Room {
        Room::Named(name.into())
    }

    fn to_others(sender: char, frame: &'static str) -> Parcel<&'static str> {
        Parcel { frame, bytes: frame.len(), to: Addressee::AllBut(sender.into()) }
    }

    /// What is sent in one turn, in its order.
    fn turn(directory: &mut Peers) -> Vec<String> {
        let (mut heard, mut lost) = (Vec::new(), Vec::new());
        directory.renew();
        directory.send(
            |peer, frame| {
                heard.push(format!("{peer}{frame}"));
                *peer != '-'
            },
            |what| lost.push(format!("{}!{}", what.sender, what.text)),
        );
        assert!(heard.len() <= COPIES_PER_TURN);
        heard.append(&mut lost);
        heard
    }

    fn others(directory: &mut Peers, room: &Room, sender: char) -> String {
        directory.post(room, to_others(sender, ""));
        turn(directory).concat()
    }

    #[test]
    fn a_peer_is_found_in_its_own_room_alone() {
        let mut directory = Directory::new();
        let rooms = [Room::Common, named("r"), named("")];
        for (room, peers) in rooms.iter().zip(["ab", "cde", "f"]) {
            for peer in peers.chars() {
                assert_eq!(directory.enter(room, peer.into(), peer, 10), Ok(()));
            }
        }
        assert_eq!(others(&mut directory, &rooms[0], 'a'), "b");
        assert_eq!(others(&mut directory, &rooms[1], 'd'), "ce");
        assert_eq!(others(&mut directory, &rooms[2], 'f'), "");
        assert_eq!(others(&mut directory, &named("nobody's"), 'a'), "");
        assert_eq!(directory.peer(&rooms[1], 'c'.into()), Some(&'c'));
        assert_eq!(directory.peer(&rooms[0], 'c'.into()), None);
    }

    #[test]
    fn a_room_without_peers_is_forgotten_with_what_waited_there() {
        let mut directory = Peers::new();
        let rooms: Vec<_> = (0..100).map(|number| named(&format!("room {number}"))).collect();
        for room in &rooms {
            for id in [1, 2] {
                directory.enter(room, id, 'p', 10).unwrap();
            }
            directory.post(room, to_others('-', "lost"));
            for (id, left) in [(3, true), (1, true), (2, false), (2, false)] {
                directory.leave(room, id);
                assert_eq!(directory.rooms.contains_key(room), left, "{room:?} after {id}");
            }
        }
        assert!(directory.rooms.is_empty() && directory.room_of.is_empty() && directory.waiting.is_empty());
        assert_eq!(turn(&mut directory), [""; 0]);
    }

    #[test]
    fn a_full_room_takes_nobody_until_somebody_leaves() {
        let mut directory = Peers::new();
        for (room, first) in [(Room::Common, 1), (named("r"), 11)] {
            for id in [first, first + 1] {
                assert_eq!(directory.enter(&room, id, 'p', 2), Ok(()));
            }
            assert_eq!(directory.enter(&room, first + 2, 'p', 2), Err(RoomFull));
            directory.leave(&room, first);
            assert_eq!(directory.enter(&room, first + 2, 'p', 2), Ok(()));
            assert_eq!(directory.enter(&room, first + 3, 'p', 1), Err(RoomFull));
            assert_eq!(directory.enter(&room, first + 3, 'p', 3), Ok(()));
        }
    }

    #[test]
    fn a_message_to_many_is_sent_over_turns_and_a_small_room_does_not_wait_for_it() {
        let (mut directory, large, small) = (Peers::new(), Room::Common, named("small"));
        for id in 0..1000 {
            directory.enter(&large, 1000 + id, 'L', 1000).unwrap();
        }
        for peer in ['a', 'b'] {
            directory.enter(&small, peer.into(), peer, 10).unwrap();
        }
        directory.post(&large, to_others('-', "1"));
        directory.post(&small, to_others('a', "x"));
        directory.post(&large, to_others('-', "2"));
        // Who comes now was not there when those were sent.
        directory.enter(&large, 1, 'N', 2000).unwrap();
        let first = turn(&mut directory);
        assert_eq!((first.len(), &*first[32]), (COPIES_PER_TURN, "bx"));
        let mut rest = first;
        while directory.send(|_, _| true, |_| ()) {
            rest.append(&mut turn(&mut directory));
        }
        rest.retain(|copy| copy != "bx");
        assert_eq!(rest, [vec!["L1"; 1000], vec!["L2"; 1000]].concat());
    }

    #[test]
    fn what_one_peer_does_not_take_is_nothing_to_the_others() {
        let mut directory = Peers::new();
        for peer in ['a', '-', 'b', 'c'] {
            directory.enter(&Room::Common, peer.into(), peer, 10).unwrap();
        }
        directory.post(&Room::Common, to_others('a', "1"));
        for id in ['-', 'b', 'z'] {
            let to = Addressee::One { id: id.into(), sender: 'c'.into(), otherwise: "gone".into() };
            directory.post(&Room::Common, Parcel { frame: "2", bytes: 1, to });
        }
        assert_eq!(turn(&mut directory), ["-1", "b1", "c1", "-2", "b2", "c!gone", "c!gone"]);
    }

    #[test]
    fn a_room_where_much_waits_holds_its_own_peers_until_some_of_it_is_sent() {
        let mut directory = Peers::new();
        for id in 0..200 {
            directory.enter(&Room::Common, id, 'L', 1000).unwrap();
        }
        directory.enter(&named("other"), 1000, 'o', 10).unwrap();
        while !directory.holds(7) {
            directory.post(&Room::Common, to_others('-', "m"));
        }
        assert!(!directory.holds(1000));
        while directory.holds(7) {
            assert!(!turn(&mut directory).is_empty());
        }
    }
}
