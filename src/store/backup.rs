//! Copies of everything that is stored, as their clients see them.

use std::fmt;
use std::sync::Arc;

/// Which copy.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BackupId(pub u64);

/// What there is of a copy at some position in it.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum BackupPart {
    /// It is being made.
    Copying {
        /// Bytes copied so far.
        copied: u64,
        /// Bytes to copy in all.
        total: u64,
    },
    /// It is made.
    Piece {
        /// Bytes from that position on; none at the end.
        bytes: Vec<u8>,
        /// Bytes of the whole copy.
        total: u64,
    },
}

/// Why there is no copy.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum BackupError {
    /// The store keeps nothing on disk.
    InMemory,
    /// The store is a database with copies of its own.
    Elsewhere,
    /// Another one is being made or fetched.
    UnderWay,
    /// There is no such copy (any more).
    NoSuchBackup,
    /// It could not be made, for this reason.
    Failed(Arc<str>),
}

impl fmt::Display for BackupError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            BackupError::InMemory => f.write_str(
                "the rooms of this server are in memory only (--memory): there is nothing to back up",
            ),
            BackupError::Elsewhere => f.write_str(
                "the rooms of this server are in MongoDB (store.url): `mongodump` copies them, `foghorn export` a room",
            ),
            BackupError::UnderWay => f.write_str("another backup is under way"),
            BackupError::NoSuchBackup => f.write_str("there is no such backup (any more)"),
            BackupError::Failed(reason) => write!(f, "the copy could not be made: {reason}"),
        }
    }
}

impl std::error::Error for BackupError {}
