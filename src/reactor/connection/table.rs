//! The table of connections, and the keys by which everybody else names them.

use std::net::IpAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use mio::Token;
use slab::Slab;

use crate::reactor::clock::wheel::{Armed, Tick};
use crate::reactor::connection::http::Exchange;
use crate::reactor::connection::preamble::Opening;
use crate::reactor::connection::streaming::Following;
use crate::reactor::connection::websocket::WebSocket;
use crate::transport::Outbound;

/// A connection: its place in the table and the generation of that place. A key outlives its connection harmlessly:
/// the next owner of the place has another generation.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Key {
    index: u32,
    generation: u32,
}

impl Key {
    /// The key as one number, for those to whom it is opaque.
    pub(crate) fn to_bits(self) -> u64 {
        u64::from(self.generation) << 32 | u64::from(self.index)
    }

    /// The key that [`Key::to_bits`] made this of.
    pub(crate) fn from_bits(bits: u64) -> Key {
        Key { index: low(bits), generation: low(bits >> 32) }
    }

    pub(crate) fn token(self) -> Token {
        Token(usize::try_from(self.to_bits()).unwrap_or(usize::MAX))
    }

    pub(crate) fn of(token: Token) -> Key {
        Key::from_bits(token.0 as u64)
    }
}

fn low(bits: u64) -> u32 {
    u32::try_from(bits & u64::from(u32::MAX)).unwrap_or(0)
}

/// What a connection is at the moment.
///
/// ```text
/// Opening ──► Http ──upgrade──► WebSocket ──both closes, failure, deadline──► Draining ──end of input, deadline──► (freed)
///               ├──────────────── last response ─────────────────────────────────┤
///               └──endless response──► Following ──kicked, expired, shutdown─────┘
/// ```
#[derive(Debug)]
pub(crate) enum State {
    /// What comes before the first request. A plain connection skips it.
    Opening(Opening),
    /// Requests and responses; the box is absent between two requests.
    Http(Option<Box<Exchange>>),
    /// Frames.
    WebSocket(WebSocket),
    /// A response that goes on with the messages of a room; input is discarded.
    Following(Box<Following>),
    /// All has been said: input is discarded until the peer ends it, so that what was sent last is not destroyed by a
    /// reset.
    Draining,
}

/// One connection, as the reactor holds it.
#[derive(Debug)]
pub(crate) struct Slot {
    pub(crate) outbound: Arc<Outbound>,
    pub(crate) state: State,
    /// When the timer entry that counts comes out.
    pub(crate) armed: Armed,
    /// When the current state ends, whatever happens: the head, the closing handshake, the drain. 0: it may last.
    pub(crate) deadline: Tick,
    /// When the peer gave a sign of life last: bytes came, or some were taken of those that waited for it.
    pub(crate) alive_at: Tick,
    /// Reading stopped although the socket may have more: because of the budget, or to hold the peer back. Edge
    /// triggering will not report it again.
    pub(crate) unread: bool,
    /// The kernel has reported an urgent byte, and what is behind it was not read to the end.
    pub(crate) urgent: bool,
    /// The kernel has reported the end of the input, which it does once; what came before it may take several turns.
    pub(crate) ending: bool,
    /// The kernel has reported that the connection has failed, which it does once: nothing that is said arrives.
    pub(crate) broken: bool,
    /// Whether the connection is on the list of those that go on reading in the next turn.
    pub(crate) ready: bool,
    /// The server shuts down, and the requests that were received are still answered.
    pub(crate) finishing: bool,
    /// There is no room for it: it is told so, in one of the places kept for that.
    pub(crate) refused: bool,
    /// Counted against the address, if addresses are counted.
    pub(crate) counted: Option<IpAddr>,
}

#[derive(Debug)]
struct Place {
    generation: u32,
    slot: Slot,
}

/// How many connections are open, for whoever asks from another thread; cheap to clone.
#[derive(Clone, Debug, Default)]
pub(crate) struct Gauge(Arc<AtomicUsize>);

impl Gauge {
    /// Connections open at the moment, those that are closing included.
    pub(crate) fn connections(&self) -> usize {
        self.0.load(Ordering::Relaxed)
    }
}

/// All connections.
#[derive(Debug)]
pub(crate) struct Slots {
    places: Slab<Place>,
    /// Invariant: shows how many places are taken.
    gauge: Gauge,
    /// The next generation: never the same twice for one place within four billion connections.
    generation: u32,
}

impl Slots {
    /// An empty table whose size `gauge` shows.
    pub(crate) fn new(gauge: Gauge) -> Slots {
        Slots { places: Slab::new(), gauge, generation: 0 }
    }

    pub(crate) fn len(&self) -> usize {
        self.places.len()
    }

    /// The key that the next [`Slots::insert`] will use.
    pub(crate) fn next_key(&self) -> Key {
        let index = u32::try_from(self.places.vacant_key()).unwrap_or(u32::MAX);
        Key { index, generation: self.generation }
    }

    pub(crate) fn insert(&mut self, slot: Slot) -> Key {
        let key = self.next_key();
        self.places.insert(Place { generation: self.generation, slot });
        self.gauge.0.store(self.places.len(), Ordering::Relaxed);
        // The two highest generations would collide with the reactor's own tokens.
        self.generation = if self.generation >= u32::MAX - 2 { 0 } else { self.generation + 1 };
        key
    }

    pub(crate) fn get(&self, key: Key) -> Option<&Slot> {
        let place = self.places.get(key.index as usize)?;
        (place.generation == key.generation).then_some(&place.slot)
    }

    pub(crate) fn get_mut(&mut self, key: Key) -> Option<&mut Slot> {
        let place = self.places.get_mut(key.index as usize)?;
        (place.generation == key.generation).then_some(&mut place.slot)
    }

    pub(crate) fn remove(&mut self, key: Key) -> Option<Slot> {
        self.get(key)?;
        let place = self.places.remove(key.index as usize);
        self.gauge.0.store(self.places.len(), Ordering::Relaxed);
        Some(place.slot)
    }

    /// All connections.
    pub(crate) fn iter(&self) -> impl Iterator<Item = (Key, &Slot)> {
        self.places.iter().map(|(index, place)| {
            let index = u32::try_from(index).unwrap_or(u32::MAX);
            (Key { index, generation: place.generation }, &place.slot)
        })
    }

    /// The keys of the connections in so many places from this one on; `None` behind the last place.
    pub(crate) fn keys_from(&self, place: usize, count: usize) -> Option<Vec<Key>> {
        let end = place.saturating_add(count).min(self.places.capacity());
        let key = |index: usize| {
            let generation = self.places.get(index)?.generation;
            Some(Key { index: u32::try_from(index).ok()?, generation })
        };
        (place < end).then(|| (place..end).filter_map(key).collect())
    }

    /// The keys of all connections.
    pub(crate) fn keys(&self) -> Vec<Key> {
        self.iter().map(|(key, _)| key).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_survive_the_way_through_a_token() {
        let key = Key { index: 7, generation: u32::MAX - 3 };
        assert_eq!(Key::of(key.token()), key);
        assert_eq!(Key::from_bits(key.to_bits()), key);
    }
}
