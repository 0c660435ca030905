//! Where a store is, how much it keeps, and how much may wait for it.

use std::path::PathBuf;
use std::time::Duration;

use crate::config::Secret;
use crate::rooms::log::Window;
use crate::rooms::store_api::{Durability, Retention};

/// Jobs that wait for the writer, or for a reader, at most.
// Several rounds of the writer, so that a burst is taken; their bytes are bounded apart. Reads take longer: a client that
// would be behind a thousand of them had better come back.
pub(super) const JOBS_MAX: usize = 4_096;
pub(super) const READS_MAX: usize = 1_024;

/// Where the database is.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Location {
    /// In this directory, which is created if need be, and of which no other process may make use meanwhile.
    Directory(PathBuf),
    /// In a database of MongoDB, of which no other server may make use meanwhile: needs the feature `mongodb`.
    MongoDb(MongoDb),
    /// In memory: the newest messages within [`MemoryLimits`], and gone with the process.
    Memory,
}

/// A database of MongoDB.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MongoDb {
    /// `mongodb://[USER:PASSWORD@]HOST[:PORT][,…][/DATABASE][?OPTIONS]`; the database is `test` if none is named.
    pub url: Secret,
    /// How long an answer is waited for.
    pub timeout: Duration,
    /// How long after its last sign of life a server counts as gone, so that another one may use the database.
    pub lease: Duration,
}

impl Default for MongoDb {
    fn default() -> MongoDb {
        MongoDb {
            url: Secret::new("mongodb://127.0.0.1:27017"),
            timeout: Duration::from_secs(2),
            lease: Duration::from_secs(15),
        }
    }
}

/// How much a store in memory keeps. What exceeds it goes, oldest first; then readers are told what is missing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct MemoryLimits {
    /// Messages of one room at most.
    pub room_messages: u64,
    /// Bytes of one room's messages at most, 64 counted for each besides its texts (the newest one is kept anyway).
    pub room_bytes: usize,
    /// Bytes of all rooms' messages at most, counted alike.
    pub bytes: usize,
    /// Rooms at most; one more is not created.
    pub rooms: usize,
}

impl Default for MemoryLimits {
    fn default() -> MemoryLimits {
        MemoryLimits { room_messages: 10_000, room_bytes: 16 << 20, bytes: 32 << 20, rooms: 1_000_000 }
    }
}

/// How a store is to be.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Options {
    /// The newest messages that an opened room comes with, at most.
    pub window: Window,
    /// How old a message may be for its client id to come with an opened room.
    pub dedup_window: Duration,
    /// What messages survive in rooms that do not say.
    pub durability: Durability,
    /// How much is kept in rooms that do not say.
    pub retention: Retention,
    /// Bytes of texts that wait for the writer at most.
    pub queue_bytes_max: usize,
    /// Bytes of the database file at most; beyond it the store is as on a full disk. Not less than it has already.
    pub database_bytes_max: Option<u64>,
    /// Bytes of the write-ahead log's file at most; beyond it the store is unavailable until the log can start again.
    pub log_bytes_max: u64,
    /// How much is kept where nothing is kept on disk.
    pub memory: MemoryLimits,
}

impl Default for Options {
    fn default() -> Options {
        Options {
            window: Window { messages: 256, bytes: 1 << 20 },
            dedup_window: Duration::from_secs(120),
            durability: Durability::Commit,
            retention: Retention::default(),
            queue_bytes_max: 64 << 20,
            database_bytes_max: None,
            log_bytes_max: 4 << 30,
            memory: MemoryLimits::default(),
        }
    }
}
