//! What waits to be sent to the peers of a room: one frame for all of them, some of the peers in each turn.

use std::collections::{BTreeMap, HashMap, VecDeque};

/// Maximum number of messages of one room that wait to be sent: at that number its peers are not read.
// A few exchanges of a call. Every message is sent to all peers of its room, so what waits costs as many times its length.
const MESSAGES_MAX: usize = 16;
/// Maximum number of their bytes, likewise.
const BYTES_MAX: usize = 1 << 20;

/// A message to peers of a room.
#[derive(Debug)]
pub(super) struct Parcel<F> {
    pub(super) frame: F,
    pub(super) bytes: usize,
    pub(super) to: Addressee,
}

/// Whom a message is for.
#[derive(Debug)]
pub(super) enum Addressee {
    /// All peers of the room but this session.
    AllBut(u128),
    /// This session; and who is told what if it cannot have it.
    One { id: u128, sender: u128, otherwise: Box<str> },
}

/// A copy that a peer could not take.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Lost<'p, P> {
    pub(super) sender: &'p P,
    pub(super) text: Box<str>,
}

/// The peers of one room in the order in which they came, and what waits for them.
///
/// Invariant: a peer gets what was sent while it was there in the order in which it was sent.
#[derive(Debug)]
pub(super) struct Peers<P, F> {
    numbers: HashMap<u128, u64>,
    peers: BTreeMap<u64, (u128, P)>,
    /// The number of the next one who comes.
    next: u64,
    queue: VecDeque<Waiting<F>>,
    /// Invariant: the sum over the queue.
    bytes: usize,
}

#[derive(Debug)]
struct Waiting<F> {
    parcel: Parcel<F>,
    /// The peers from this number on have not got it yet.
    from: u64,
    /// Who came with this number or later was not there when it was sent.
    to: u64,
}

impl<P, F> Peers<P, F> {
    pub(super) fn new() -> Peers<P, F> {
        Peers { numbers: HashMap::new(), peers: BTreeMap::new(), next: 0, queue: VecDeque::new(), bytes: 0 }
    }

    pub(super) fn len(&self) -> usize {
        self.numbers.len()
    }

    pub(super) fn enter(&mut self, id: u128, peer: P) {
        let before = self.numbers.insert(id, self.next);
        debug_assert!(before.is_none(), "a session is in its room twice");
        self.peers.insert(self.next, (id, peer));
        self.next += 1;
    }

    pub(super) fn leave(&mut self, id: u128) {
        if let Some(number) = self.numbers.remove(&id) {
            self.peers.remove(&number);
        }
    }

    pub(super) fn peer(&self, id: u128) -> Option<&P> {
        self.peers.get(self.numbers.get(&id)?).map(|(_, peer)| peer)
    }

    /// Appends a message to the queue.
    pub(super) fn push(&mut self, parcel: Parcel<F>) {
        self.bytes += parcel.bytes;
        self.queue.push_back(Waiting { parcel, from: 0, to: self.next });
    }

    pub(super) fn is_waiting(&self) -> bool {
        !self.queue.is_empty()
    }

    /// Whether so much waits that the room takes nothing more for now.
    pub(super) fn is_full(&self) -> bool {
        self.queue.len() >= MESSAGES_MAX || self.bytes >= BYTES_MAX
    }

    /// Sends up to `copies_max` copies; gives how many it has sent. `deliver` says whether a peer has taken its own, and
    /// `lost` is told of a copy that its sender must hear of.
    pub(super) fn send(
        &mut self,
        copies_max: usize,
        mut deliver: impl FnMut(&P, &F) -> bool,
        mut lost: impl FnMut(Lost<'_, P>),
    ) -> usize {
        let mut sent = 0;
        while sent < copies_max
            && let Some(waiting) = self.queue.front_mut()
        {
            let is_done = match &waiting.parcel.to {
                Addressee::AllBut(sender) => {
                    let mut rest = self.peers.range(waiting.from..waiting.to);
                    let next = rest.by_ref().find(|(_, (id, _))| id != sender);
                    if let Some((number, (_, peer))) = next {
                        sent += 1;
                        deliver(peer, &waiting.parcel.frame);
                        waiting.from = number + 1;
                    }
                    next.is_none()
                }
                Addressee::One { id, sender, otherwise } => {
                    sent += 1;
                    let peer = self.numbers.get(id).and_then(|number| self.peers.get(number));
                    if !peer.is_some_and(|(_, peer)| deliver(peer, &waiting.parcel.frame))
                        && let Some((_, sender)) =
                            self.numbers.get(sender).and_then(|number| self.peers.get(number))
                    {
                        lost(Lost { sender, text: otherwise.clone() });
                    }
                    true
                }
            };
            if is_done && let Some(done) = self.queue.pop_front() {
                self.bytes -= done.parcel.bytes;
            }
        }
        debug_assert_eq!(
            self.bytes,
            self.queue.iter().map(|waiting| waiting.parcel.bytes).sum::<usize>(),
            "what waits is counted"
        );
        sent
    }
}
