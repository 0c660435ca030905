//! A server's database, seen from outside while the server works and after it was killed.

use std::fs::File;
use std::io::{self, Read};
use std::path::{Path, PathBuf};

use rusqlite::{Connection, OpenFlags};
use serde::{Deserialize, Serialize};

use super::payload_id::PROBE_LETTERS;

/// The file in a server's data directory.
const FILE: &str = "foghorn.db";
/// Where the index of a write-ahead log counts commits (documented by SQLite, `walformat.html`).
const COMMITS_AT: std::ops::Range<usize> = 8..12;

/// What a database has taken in.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, Serialize)]
pub struct DbSnapshot {
    /// Messages, notices included.
    pub messages: u64,
    /// Transactions.
    pub commits: u64,
}

impl DbSnapshot {
    /// Looks into the database in `directory`; `None` if it cannot be read.
    pub(super) fn of(directory: &Path) -> Option<DbSnapshot> {
        let conn = open(directory).ok()?;
        // Numbers are dense, and the tree is ordered by them: one look for each room.
        let newest = "SELECT total((SELECT max(seq) FROM messages WHERE room = rooms.id)) FROM rooms";
        let messages: f64 = conn.query_row(newest, [], |row| row.get(0)).ok()?;
        #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "a count")]
        let messages = messages as u64;
        Some(DbSnapshot { messages, commits: commits(directory).ok()? })
    }

    /// What came in since `earlier`.
    pub(super) fn since(self, earlier: DbSnapshot) -> DbSnapshot {
        DbSnapshot {
            messages: self.messages.saturating_sub(earlier.messages),
            // The counter has thirty-two bits and goes round.
            commits: (self.commits + (1 << 32) - earlier.commits) % (1 << 32),
        }
    }

    /// Messages of one transaction, on average.
    #[must_use]
    pub fn batch(&self) -> f64 {
        self.messages as f64 / self.commits.max(1) as f64
    }
}

/// Messages of the load in the database of a server that has ended.
pub(super) fn kept(directory: &Path) -> rusqlite::Result<u64> {
    let conn = open(directory)?;
    let query = "SELECT count(*) FROM messages WHERE kind = 0 AND substr(content, 1, 8) <> ?1";
    conn.query_row(query, [PROBE_LETTERS], |row| row.get(0))
}

fn open(directory: &Path) -> rusqlite::Result<Connection> {
    let flags = OpenFlags::default() & !OpenFlags::SQLITE_OPEN_CREATE;
    Connection::open_with_flags(directory.join(FILE), flags)
}

fn commits(directory: &Path) -> io::Result<u64> {
    let mut index = [0; COMMITS_AT.end];
    let path: PathBuf = directory.join(format!("{FILE}-shm"));
    File::open(path)?.read_exact(&mut index)?;
    let counter = index[COMMITS_AT].first_chunk().copied().unwrap_or_default();
    Ok(u64::from(u32::from_ne_bytes(counter)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn messages_and_commits_are_counted_from_outside() {
        let dir = tempfile::tempdir().unwrap();
        assert_eq!(DbSnapshot::of(dir.path()), None);
        let conn = Connection::open(dir.path().join(FILE)).unwrap();
        conn.pragma_update(None, "journal_mode", "WAL").unwrap();
        let tables = "CREATE TABLE rooms (id INTEGER PRIMARY KEY); INSERT INTO rooms VALUES (1), (2), (3);
                      CREATE TABLE messages (room, seq, kind, content, PRIMARY KEY (room, seq))";
        conn.execute_batch(tables).unwrap();
        let before = DbSnapshot::of(dir.path()).unwrap();
        assert_eq!(before.messages, 0);
        for first in [1, 4] {
            let tx = conn.unchecked_transaction().unwrap();
            for seq in first..first + 3 {
                let content = if seq == 1 { PROBE_LETTERS } else { "@@@@@@@@ and more" };
                tx.execute("INSERT INTO messages VALUES (2, ?1, 0, ?2)", (seq, content)).unwrap();
            }
            tx.commit().unwrap();
        }
        let grown = DbSnapshot::of(dir.path()).unwrap().since(before);
        assert_eq!(grown, DbSnapshot { messages: 6, commits: 2 });
        assert!((grown.batch() - 3.0).abs() < 1e-9);
        assert_eq!(kept(dir.path()), Ok(5));
    }

    #[test]
    fn the_counter_of_commits_goes_round() {
        let stock = |commits| DbSnapshot { messages: 0, commits };
        assert_eq!(stock(3).since(stock(u64::from(u32::MAX) - 1)).commits, 5);
    }
}
