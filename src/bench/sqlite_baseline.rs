//! What SQLite can take in by itself: a plain loop that inserts the same rows in batches of the same size.

use std::path::Path;
use std::time::Duration;

use rusqlite::{Connection, params};
use serde::{Deserialize, Serialize};

use super::clock::{Clock, nanos};
use super::process;
use crate::rooms::store_api::Durability;

/// The tables, as short as they can be: what the server keeps besides is its own affair.
const TABLE: &str = "CREATE TABLE messages (room INTEGER, seq INTEGER, at INTEGER, kind INTEGER, sender TEXT, \
                     content TEXT, client_id TEXT, PRIMARY KEY (room, seq)) WITHOUT ROWID";
const INSERT: &str = "INSERT INTO messages VALUES (?1, ?2, ?3, 0, ?4, ?5, NULL)";

/// What is inserted.
#[derive(Clone, Copy, Debug)]
pub(super) struct Rows {
    /// Rooms that the messages are spread over.
    pub(super) rooms: usize,
    /// Messages of one room in a row.
    pub(super) run: usize,
    /// Bytes of content.
    pub(super) size: usize,
    /// Rows of one transaction.
    pub(super) batch: usize,
    /// How safe a commit is.
    pub(super) durability: Durability,
}

/// What the plain loop has reached.
#[derive(Clone, Copy, Debug, PartialEq, Deserialize, Serialize)]
pub struct SqliteBaseline {
    /// Rows of one transaction.
    pub batch: usize,
    /// Rows per second.
    pub rows_per_second: f64,
    /// Processor time per row, in microseconds.
    pub cpu_micros: f64,
}

/// Runs the loop for a while, in a database of its own in `directory`.
///
/// One thread, one prepared statement, everything else as SQLite has it by default; what a server has to do besides is
/// left out.
pub(super) fn measure(directory: &Path, rows: Rows, time: Duration) -> rusqlite::Result<SqliteBaseline> {
    let conn = Connection::open(directory.join("baseline.db"))?;
    conn.pragma_update(None, "journal_mode", "WAL")?;
    let synchronous = if rows.durability == Durability::Fsync { "FULL" } else { "NORMAL" };
    conn.pragma_update(None, "synchronous", synchronous)?;
    conn.execute_batch(TABLE)?;
    let content = "x".repeat(rows.size);
    let mut seqs = vec![0_i64; rows.rooms];
    let (clock, own) = (Clock::new(), process::own_thread_time().unwrap_or_default());
    let mut count: i64 = 0;
    let mut place = (0..rows.rooms).cycle().flat_map(|room| std::iter::repeat_n(room, rows.run));
    while clock.now() < nanos(time) {
        let tx = conn.unchecked_transaction()?;
        let mut insert = tx.prepare_cached(INSERT)?;
        for room in place.by_ref().take(rows.batch) {
            (seqs[room], count) = (seqs[room] + 1, count + 1);
            insert.execute(params![room, seqs[room], 1_700_000_000_000_000 + count, "m000000", content])?;
        }
        drop(insert);
        tx.commit()?;
    }
    let seconds = Duration::from_nanos(clock.now()).as_secs_f64();
    let own = process::own_thread_time().unwrap_or_default().saturating_sub(own);
    let count = count as f64;
    Ok(SqliteBaseline {
        batch: rows.batch,
        rows_per_second: count / seconds,
        cpu_micros: own.as_secs_f64() * 1e6 / count.max(1.0),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_loop_inserts_runs_of_messages_room_by_room_in_whole_batches() {
        let dir = tempfile::tempdir().unwrap();
        let rows = Rows { rooms: 3, run: 2, size: 10, batch: 7, durability: Durability::Commit };
        let baseline = measure(dir.path(), rows, Duration::from_millis(5)).unwrap();
        assert!(baseline.batch == 7 && baseline.rows_per_second > 0.0);
        let conn = Connection::open(dir.path().join("baseline.db")).unwrap();
        let count = |sql: &str| conn.query_row(sql, [], |row| row.get::<_, i64>(0)).unwrap();
        assert_eq!(count("SELECT count(*) % 7 FROM messages"), 0);
        assert_eq!(count("SELECT count(*) FROM messages WHERE length(content) <> 10"), 0);
        // In the order of time each room has two messages at once.
        let first = "SELECT group_concat(room) FROM (SELECT room FROM messages ORDER BY at LIMIT 7)";
        let first: String = conn.query_row(first, [], |row| row.get(0)).unwrap();
        assert_eq!(first, "0,0,1,1,2,2,0");
    }
}
