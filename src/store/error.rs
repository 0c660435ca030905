//! What can go wrong with the store, sorted by what the caller can do about it.

use std::fmt;
use std::io;
use std::path::PathBuf;
use std::sync::Arc;

use crate::rooms::store_api::{RecordBatch, RoomId};

/// Why the store did not do what it was asked to.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum StoreError {
    /// There is no such room (any more).
    NoSuchRoom,
    /// A room of this id exists, with messages.
    RoomExists,
    /// The room has as many participants as it may.
    TooManyParticipants,
    /// A message does not follow the last one of its room: storing it would tear a hole or turn time back.
    OutOfOrder {
        /// The room.
        room: RoomId,
        /// The number that was due.
        expected: u64,
        /// The number that came.
        found: u64,
    },
    /// A text is not UTF-8, or a number is beyond what a database holds.
    Malformed,
    /// Nothing can be written or read at the moment, for this reason. Trying again later makes sense.
    Unavailable(Arc<str>),
    /// The disk did not confirm what it was given, so nothing is accepted until the process is restarted. What was
    /// stored before can be read.
    Failed(Arc<str>),
    /// The database is damaged in its structure.
    Damaged(Arc<str>),
    /// What stands in the database is not what was stored there: a message is missing or changed. All else is well.
    RoomDamaged {
        /// The room, as far as it is known; otherwise 0.
        room: RoomId,
        /// What is wrong.
        reason: Arc<str>,
    },
    /// The store was stopped before it came to this.
    Stopped,
}

impl fmt::Display for StoreError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            StoreError::NoSuchRoom => f.write_str("there is no such room"),
            StoreError::RoomExists => f.write_str("the room exists already and has messages"),
            StoreError::TooManyParticipants => f.write_str("the room has too many participants"),
            StoreError::OutOfOrder { room, expected, found } => {
                write!(f, "message {found} of room {} came where {expected} was due", room.0)
            }
            StoreError::Malformed => f.write_str("a text is not UTF-8 or a number is too large"),
            StoreError::Unavailable(reason) => write!(f, "the store is unavailable: {reason}"),
            StoreError::Failed(reason) => {
                write!(f, "the store accepts nothing until the server is restarted: {reason}")
            }
            StoreError::Damaged(reason) => write!(f, "the database is damaged: {reason}"),
            StoreError::RoomDamaged { reason, .. } => write!(f, "the room is damaged: {reason}"),
            StoreError::Stopped => f.write_str("the store has stopped"),
        }
    }
}

impl std::error::Error for StoreError {}

impl StoreError {
    /// Whether it is the request's fault: nothing is wrong with the store, and other requests may well succeed.
    #[must_use]
    pub fn is_refusal(&self) -> bool {
        match self {
            StoreError::NoSuchRoom
            | StoreError::RoomExists
            | StoreError::TooManyParticipants
            | StoreError::OutOfOrder { .. }
            | StoreError::RoomDamaged { .. }
            | StoreError::Malformed => true,
            StoreError::Unavailable(_)
            | StoreError::Failed(_)
            | StoreError::Damaged(_)
            | StoreError::Stopped => false,
        }
    }

    pub(super) fn damaged(what: impl fmt::Display) -> StoreError {
        StoreError::Damaged(what.to_string().into())
    }

    /// What was stored of the room is not there, or not as it was.
    pub(super) fn room_damaged(room: RoomId, what: impl fmt::Display) -> StoreError {
        StoreError::RoomDamaged { room, reason: what.to_string().into() }
    }

    /// Says which room it was that was read, if that is not known.
    #[must_use]
    pub(super) fn in_room(self, id: RoomId) -> StoreError {
        if let StoreError::RoomDamaged { room: RoomId(0), reason } = self {
            return StoreError::RoomDamaged { room: id, reason };
        }
        self
    }
}

/// The queue is full: nothing was begun, and the callback is not called.
#[derive(Debug, Default)]
pub struct Busy {
    pub(crate) batch: Option<Box<RecordBatch>>,
}

impl Busy {
    /// As [`Busy::into_batch`], where it lies.
    pub(crate) fn into_boxed_batch(self) -> Option<Box<RecordBatch>> {
        self.batch
    }

    /// The batch that was not taken, if it was an [`append`](super::Store::append).
    #[must_use]
    pub fn into_batch(self) -> Option<RecordBatch> {
        self.batch.map(|batch| *batch)
    }
}

impl fmt::Display for Busy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the store has too much to do")
    }
}

impl std::error::Error for Busy {}

/// How the store is.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum Health {
    /// The last thing that was to be written was written.
    #[default]
    Healthy,
    /// The last thing that was to be written was not, for this reason; the next one is tried again.
    Unavailable(Arc<str>),
    /// Nothing is written until the process is restarted, for this reason.
    Failed(Arc<str>),
}

/// Why a store could not be opened.
#[derive(Debug)]
#[non_exhaustive]
pub enum OpenError {
    /// This program was built without the feature `store`: it keeps rooms in memory only.
    Absent,
    /// This program was built without the feature `mongodb`.
    WithoutMongoDb,
    /// The URL of a database does not say where it is.
    Address {
        /// What is wrong with it.
        reason: String,
    },
    /// A database does not answer, or refuses.
    Unreachable {
        /// Its servers and its name.
        place: Box<str>,
        /// What it, or its driver, says.
        reason: String,
    },
    /// Another server has the database.
    Leased {
        /// Its servers and its name.
        place: Box<str>,
    },
    /// Another process has it open.
    InUse(PathBuf),
    /// A restore into this directory was interrupted.
    Unfinished(PathBuf),
    /// It was written by a newer version of this program.
    Newer {
        /// The database.
        path: PathBuf,
        /// The version of its schema.
        found: i64,
        /// The newest version that this program knows.
        known: i64,
    },
    /// It is a database of another program.
    Foreign(PathBuf),
    /// It is no database, or a damaged one.
    Damaged {
        /// The database.
        path: PathBuf,
        /// What SQLite says.
        reason: String,
    },
    /// The operating system or SQLite refuses.
    Unusable {
        /// The directory or file.
        path: PathBuf,
        /// What it says.
        reason: String,
    },
}

impl OpenError {
    pub(super) fn io(path: impl Into<PathBuf>, error: &io::Error) -> OpenError {
        OpenError::Unusable { path: path.into(), reason: error.to_string() }
    }

    pub(super) fn store(path: impl Into<PathBuf>, error: StoreError) -> OpenError {
        let path = path.into();
        match error {
            StoreError::Damaged(reason) => OpenError::Damaged { path, reason: reason.to_string() },
            StoreError::Unavailable(reason) | StoreError::Failed(reason) => {
                OpenError::Unusable { path, reason: reason.to_string() }
            }
            StoreError::NoSuchRoom
            | StoreError::RoomExists
            | StoreError::TooManyParticipants
            | StoreError::OutOfOrder { .. }
            | StoreError::RoomDamaged { .. }
            | StoreError::Malformed
            | StoreError::Stopped => OpenError::Unusable { path, reason: error.to_string() },
        }
    }
}

impl fmt::Display for OpenError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            OpenError::Absent => f.write_str(
                "this program was built without the feature `store` and keeps nothing on disk (use `memory = true`)",
            ),
            OpenError::WithoutMongoDb => f.write_str(
                "store.url: this program was built without MongoDB: cargo build --release --features mongodb",
            ),
            OpenError::Address { reason } => write!(f, "store.url: {reason}"),
            OpenError::Unreachable { place, reason } => {
                write!(f, "store.url: cannot use the database at {place}: {reason}")
            }
            OpenError::Leased { place } => write!(
                f,
                "store.url: the database at {place} is in use by another server (stop it, or name another database)"
            ),
            OpenError::InUse(path) => write!(
                f,
                "the data directory {} is in use by another process (stop it, or name another directory)",
                path.display()
            ),
            OpenError::Unfinished(path) => write!(
                f,
                "a restore into the data directory {} was interrupted (run `foghorn restore` again, or remove the directory)",
                path.display()
            ),
            OpenError::Newer { path, found, known } => write!(
                f,
                "{} has schema {found}, but this version knows schemas up to {known} only (use a newer version)",
                path.display()
            ),
            OpenError::Foreign(path) => {
                write!(f, "{} is a database of another program (name another directory)", path.display())
            }
            OpenError::Damaged { path, reason } => write!(
                f,
                "{} is damaged: {reason} (restore it from a backup; or save what can be read with `sqlite3 {} .recover`; \
                 or move the file and those that begin with its name away to begin anew)",
                path.display(),
                path.display()
            ),
            OpenError::Unusable { path, reason } => write!(
                f,
                "cannot use {}: {reason} (it must be a writable directory with free space)",
                path.display()
            ),
        }
    }
}

impl std::error::Error for OpenError {}
