//! The database: its tables, how they came about, and how a connection to it is set up.
//!
//! Messages are kept in the order of their key, `(room, seq)`, in a table without row ids: a page of history is one
//! range of one tree. There is no index on `at`. Within a room both `at` and `bytes_end` only grow and `seq` is dense,
//! so any time or byte count is found by bisection on `seq`, some twenty lookups in a million messages, while an index
//! costs every insert (see `benches/store.rs`).
//!
//! What retention deleted is remembered in `rooms` (`floor…`), so the numbering goes on even if nothing is left.

use std::path::Path;
use std::time::Duration;

use rusqlite::config::DbConfig;
use rusqlite::{Connection, OpenFlags};

use crate::store::error::{OpenError, StoreError};

/// Marks a database as one of this program ("Fogh").
const APPLICATION_ID: i64 = 0x466f_6768;

/// One step a version: `STEPS[n]` leads from schema `n` to `n + 1`. Steps that were released are never changed; whoever
/// needs another table or column appends a step. Each is a transaction of its own, and a database of any older version
/// takes all that it lacks when it is opened.
const STEPS: &[&str] = &[
    "
    CREATE TABLE meta (key TEXT PRIMARY KEY, value ANY NOT NULL) STRICT, WITHOUT ROWID;

    -- AUTOINCREMENT: the id of a deleted room is never given to another one.
    CREATE TABLE rooms (
        id INTEGER PRIMARY KEY AUTOINCREMENT,
        public_id TEXT NOT NULL UNIQUE,
        name TEXT NOT NULL,
        description TEXT NOT NULL,
        created_by TEXT,
        created_at INTEGER NOT NULL,
        epoch INTEGER NOT NULL,
        durability TEXT,
        messages_max INTEGER,
        bytes_max INTEGER,
        age_max INTEGER,
        floor INTEGER NOT NULL DEFAULT 0,
        floor_at INTEGER NOT NULL DEFAULT 0,
        floor_bytes INTEGER NOT NULL DEFAULT 0
    ) STRICT;

    CREATE TABLE participants (
        id INTEGER PRIMARY KEY,
        room INTEGER NOT NULL,
        user TEXT NOT NULL,
        UNIQUE (room, user)
    ) STRICT;
    CREATE INDEX participants_by_user ON participants (user, room);

    -- bytes_end: the bytes of all messages of the room from its first to this one, deleted ones included.
    CREATE TABLE messages (
        room INTEGER NOT NULL,
        seq INTEGER NOT NULL,
        at INTEGER NOT NULL,
        bytes_end INTEGER NOT NULL,
        kind INTEGER NOT NULL,
        checksum INTEGER NOT NULL,
        sender TEXT NOT NULL,
        content TEXT NOT NULL,
        client_id TEXT,
        PRIMARY KEY (room, seq)
    ) STRICT, WITHOUT ROWID;

    -- Rooms that were deleted and whose messages still are to be.
    CREATE TABLE condemned (room INTEGER PRIMARY KEY) STRICT;
",
"
    -- Rooms into which messages are being imported, and whether the room was there before, without any. While there is
    -- one at the start, the import was interrupted, and is taken back.
    CREATE TABLE imports (room INTEGER PRIMARY KEY, existed INTEGER NOT NULL) STRICT;
",
"
    -- What is left of each ban, in microseconds.
    CREATE TABLE bans (
        room TEXT NOT NULL,
        user TEXT NOT NULL,
        left INTEGER NOT NULL,
        PRIMARY KEY (room, user)
    ) STRICT, WITHOUT ROWID;
",
"
    -- What JOIN and LEAVE say besides their text; NULL in all others, and in those of older versions.
    ALTER TABLE messages ADD COLUMN username TEXT;
    ALTER TABLE messages ADD COLUMN online INTEGER;

    -- Stays in rooms whose JOIN is stored and whose LEAVE is not.
    CREATE TABLE stays (
        room INTEGER NOT NULL,
        stay INTEGER NOT NULL,
        joined INTEGER NOT NULL,
        username TEXT NOT NULL,
        PRIMARY KEY (room, stay)
    ) STRICT, WITHOUT ROWID;
",
"
    -- No change of a table: from here on `checksum` is a CRC-32C, below zero. Older programs would take every new message
    -- for a damaged one, and must refuse the database instead.
"];

// The page of the file systems below: a page is written in one piece, and a frame of the log as well.
const PAGE_BYTES: u32 = 4096;
/// What a connection keeps of the database in memory, in KiB.
// The writer touches the newest pages of every room; a reader those of one.
const WRITER_CACHE_KIB: i64 = 16 * 1024;
const READER_CACHE_KIB: i64 = 4 * 1024;
/// What is left of the write-ahead log's file once it is empty.
// A file that is overwritten needs no new blocks; one that a burst made huge is not kept for ever.
const WAL_BYTES_KEPT: i64 = 64 << 20;
/// How long to wait for the lock of another program on the database (an administrator's tool: this program has one
/// writer).
const BUSY_TIMEOUT: Duration = Duration::from_secs(2);
/// Statements kept prepared by a connection: more than there are in this module.
const STATEMENTS_MAX: usize = 64;

/// Whether commits wait for the disk.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Synchronous {
    /// They survive the process only.
    Normal,
    /// They survive the loss of power.
    Full,
}

/// Opens the one connection that writes; creates or migrates the database if need be.
pub(super) fn open_writer(path: &Path, bytes_max: Option<u64>) -> Result<Connection, OpenError> {
    let failed = |error: rusqlite::Error| OpenError::store(path, error.into());
    let conn = Connection::open(path).map_err(failed)?;
    check_version(&conn, path)?;
    set_up_writer(&conn).map_err(failed)?;
    migrate(&conn, STEPS).map_err(failed)?;
    if let Some(bytes) = bytes_max {
        let pages = i64::try_from(bytes / u64::from(PAGE_BYTES)).unwrap_or(i64::MAX).max(1);
        conn.pragma_update(None, "max_page_count", pages).map_err(failed)?;
    }
    Ok(conn)
}

/// Opens a connection that only reads.
pub(super) fn open_reader(path: &Path) -> Result<Connection, StoreError> {
    let conn = Connection::open_with_flags(path, OpenFlags::default() & !OpenFlags::SQLITE_OPEN_CREATE)?;
    set_up(&conn, READER_CACHE_KIB)?;
    conn.pragma_update(None, "query_only", true)?;
    Ok(conn)
}

/// Opens a connection that only moves the write-ahead log into the database.
pub(super) fn open_checkpointer(path: &Path) -> Result<Connection, StoreError> {
    let conn = Connection::open_with_flags(path, OpenFlags::default() & !OpenFlags::SQLITE_OPEN_CREATE)?;
    set_up(&conn, 0)?;
    Ok(conn)
}

/// Opens the file of a copy that is about to be made. Should the process be killed, it is thrown away: nothing of it is
/// worth a journal or an fsync.
pub(super) fn open_copy(path: &Path) -> Result<Connection, StoreError> {
    let conn = Connection::open(path)?;
    conn.pragma_update(None, "journal_mode", "OFF")?;
    conn.pragma_update(None, "synchronous", "OFF")?;
    set_up(&conn, 0)?;
    Ok(conn)
}

/// Makes one file of a copy, that opens without any beside it: the pages copied say that there is a write-ahead log.
pub(super) fn finish_copy(path: &Path) -> Result<(), StoreError> {
    let conn = Connection::open_with_flags(path, OpenFlags::default() & !OpenFlags::SQLITE_OPEN_CREATE)?;
    conn.pragma_update(None, "synchronous", "OFF")?;
    let mode: String = conn.pragma_update_and_check(None, "journal_mode", "DELETE", |row| row.get(0))?;
    debug_assert_eq!(mode, "delete");
    Ok(())
}

pub(super) fn set_synchronous(conn: &Connection, synchronous: Synchronous) -> Result<(), StoreError> {
    let level = match synchronous {
        Synchronous::Normal => "NORMAL",
        Synchronous::Full => "FULL",
    };
    Ok(conn.pragma_update(None, "synchronous", level)?)
}

/// Whether this program may touch the database, before it touches it; if so, whether there is anything in it.
pub(super) fn check_version(conn: &Connection, path: &Path) -> Result<bool, OpenError> {
    let pragma = |name| conn.pragma_query_value(None, name, |row| row.get::<_, i64>(0));
    let read = || -> rusqlite::Result<(i64, i64, bool)> {
        let tables = conn.query_row("SELECT count(*) > 0 FROM sqlite_schema", [], |row| row.get(0))?;
        Ok((pragma("application_id")?, pragma("user_version")?, tables))
    };
    let (application, version, tables) = read().map_err(|error| OpenError::store(path, error.into()))?;
    if tables && application != APPLICATION_ID {
        return Err(OpenError::Foreign(path.into()));
    }
    let known = version_known();
    if version > known {
        return Err(OpenError::Newer { path: path.into(), found: version, known });
    }
    Ok(tables)
}

fn version_known() -> i64 {
    i64::try_from(STEPS.len()).unwrap_or(i64::MAX)
}

fn set_up_writer(conn: &Connection) -> rusqlite::Result<()> {
    conn.pragma_update(None, "page_size", PAGE_BYTES)?;
    conn.pragma_update(None, "journal_mode", "WAL")?;
    set_up(conn, WRITER_CACHE_KIB)?;
    // Checkpoints are taken by a thread of their own, see `checkpoint`; the last one, when the store stops.
    conn.pragma_update(None, "wal_autocheckpoint", 0)?;
    conn.pragma_update(None, "journal_size_limit", WAL_BYTES_KEPT)?;
    conn.set_prepared_statement_cache_capacity(STATEMENTS_MAX);
    Ok(())
}

fn set_up(conn: &Connection, cache_kib: i64) -> rusqlite::Result<()> {
    conn.busy_timeout(BUSY_TIMEOUT)?;
    conn.pragma_update(None, "cache_size", -cache_kib)?;
    conn.pragma_update(None, "temp_store", "MEMORY")?;
    // Reading a mapped file turns an I/O error into a SIGBUS, the end of the process; `read` turns it into an error.
    conn.pragma_update(None, "mmap_size", 0)?;
    conn.pragma_update(None, "cell_size_check", true)?;
    // After a failed fsync nothing may be moved into the database as if it had not failed.
    conn.set_db_config(DbConfig::SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, true)?;
    conn.set_db_config(DbConfig::SQLITE_DBCONFIG_TRUSTED_SCHEMA, false)?;
    Ok(())
}

fn migrate(conn: &Connection, steps: &[&str]) -> rusqlite::Result<()> {
    let version: i64 = conn.pragma_query_value(None, "user_version", |row| row.get(0))?;
    for (to, step) in (1..).zip(steps).skip_while(|(to, _)| *to <= version) {
        let tx = conn.unchecked_transaction()?;
        tx.execute_batch(step)?;
        tx.pragma_update(None, "application_id", APPLICATION_ID)?;
        tx.pragma_update(None, "user_version", to)?;
        tx.commit()?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::sqlite::rows::LogRow;

    fn version(conn: &Connection) -> i64 {
        conn.pragma_query_value(None, "user_version", |row| row.get(0)).unwrap()
    }

    #[test]
    fn a_fresh_database_has_the_newest_schema_and_is_opened_again() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("foghorn.db");
        for _ in 0..2 {
            let conn = open_writer(&path, None).unwrap();
            assert_eq!(version(&conn), version_known());
            let mode: String = conn.pragma_query_value(None, "journal_mode", |row| row.get(0)).unwrap();
            assert_eq!(mode, "wal");
        }
    }

    #[test]
    fn a_database_of_every_older_schema_is_brought_forward_with_what_it_holds() {
        for older in 1..=STEPS.len() {
            let dir = tempfile::tempdir().unwrap();
            let path = dir.path().join("foghorn.db");
            let conn = Connection::open(&path).unwrap();
            set_up_writer(&conn).unwrap();
            migrate(&conn, &STEPS[..older]).unwrap();
            conn.execute_batch(
                "INSERT INTO rooms (public_id, name, description, created_at, epoch, floor, floor_at)
                 VALUES ('lobby', 'Lobby', '', 1, 5, 7, 70);
                 INSERT INTO participants (room, user) VALUES (1, 'ann');",
            )
            .unwrap();
            drop(conn);
            let conn = open_writer(&path, None).unwrap();
            assert_eq!(version(&conn), version_known());
            let room = LogRow::by_name(&conn, "lobby").unwrap().unwrap();
            assert_eq!((room.epoch, room.head.seq), (5, 7), "from schema {older}");
            let user: String = conn.query_row("SELECT user FROM participants", [], |row| row.get(0)).unwrap();
            assert_eq!(user, "ann");
        }
    }

    #[test]
    fn a_newer_schema_is_refused_and_left_alone() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("foghorn.db");
        let conn = open_writer(&path, None).unwrap();
        conn.pragma_update(None, "user_version", version_known() + 1).unwrap();
        drop(conn);
        let error = open_writer(&path, None).unwrap_err();
        assert!(matches!(error, OpenError::Newer { found, known, .. } if found == known + 1), "{error}");
        assert_eq!(version(&Connection::open(&path).unwrap()), version_known() + 1);
    }

    #[test]
    fn a_database_of_another_program_is_refused_and_left_alone() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("foghorn.db");
        Connection::open(&path).unwrap().execute_batch("CREATE TABLE songs (title TEXT)").unwrap();
        let error = open_writer(&path, None).unwrap_err();
        assert!(matches!(error, OpenError::Foreign(_)), "{error}");
        assert_eq!(version(&Connection::open(&path).unwrap()), 0);
    }
}
