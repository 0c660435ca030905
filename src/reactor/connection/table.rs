//! The table of connections, by their keys.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use slab::Slab;

use super::states::Connection;
use crate::reactor::key::Key;

#[derive(Debug)]
struct Tagged {
    generation: u32,
    connection: Connection,
}

/// Number of open connections, readable from any thread; cheap to clone.
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
pub(crate) struct ConnectionTable {
    places: Slab<Tagged>,
    /// Invariant: shows how many places are taken.
    gauge: Gauge,
    /// The next generation: never the same twice for one place within four billion connections.
    generation: u32,
}

impl ConnectionTable {
    /// An empty table whose size `gauge` shows.
    pub(crate) fn new(gauge: Gauge) -> ConnectionTable {
        ConnectionTable { places: Slab::new(), gauge, generation: 0 }
    }

    pub(crate) fn len(&self) -> usize {
        self.places.len()
    }

    /// The key that the next [`ConnectionTable::insert`] will use.
    pub(crate) fn next_key(&self) -> Key {
        let index = u32::try_from(self.places.vacant_key()).unwrap_or(u32::MAX);
        Key { index, generation: self.generation }
    }

    pub(crate) fn insert(&mut self, connection: Connection) -> Key {
        let key = self.next_key();
        self.places.insert(Tagged { generation: self.generation, connection });
        self.gauge.0.store(self.places.len(), Ordering::Relaxed);
        // The two highest generations would collide with the reactor's own tokens.
        self.generation = if self.generation >= u32::MAX - 2 { 0 } else { self.generation + 1 };
        key
    }

    pub(crate) fn get(&self, key: Key) -> Option<&Connection> {
        let place = self.places.get(key.index as usize)?;
        (place.generation == key.generation).then_some(&place.connection)
    }

    pub(crate) fn get_mut(&mut self, key: Key) -> Option<&mut Connection> {
        let place = self.places.get_mut(key.index as usize)?;
        (place.generation == key.generation).then_some(&mut place.connection)
    }

    pub(crate) fn remove(&mut self, key: Key) -> Option<Connection> {
        self.get(key)?;
        let place = self.places.remove(key.index as usize);
        self.gauge.0.store(self.places.len(), Ordering::Relaxed);
        Some(place.connection)
    }

    /// All connections.
    pub(crate) fn iter(&self) -> impl Iterator<Item = (Key, &Connection)> {
        self.places.iter().map(|(index, place)| {
            let index = u32::try_from(index).unwrap_or(u32::MAX);
            (Key { index, generation: place.generation }, &place.connection)
        })
    }

    /// The keys of the connections in `count` places from this one on; `None` behind the last place.
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
