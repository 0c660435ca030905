//! Noticing that the end of the write-ahead log was lost.
//!
//! When SQLite finds a frame of the log damaged, it takes the log to end there, and says nothing: that is what a log
//! looks like after the loss of power, too. But after the end of a mere process the index of the log, a file that is
//! shared memory, still tells how many frames were committed. (Both formats are documented by SQLite, in
//! `walformat.html` and `fileformat2.html`.)

use std::fs::{self, File};
use std::io::{self, Read};
use std::path::{Path, PathBuf};

use rusqlite::Connection;

use super::checkpoint;
use crate::store::error::StoreError;

/// The header of the index, which is there twice.
// Offsets are those of the file format (sqlite.org/walformat.html, "The WAL-Index Header").
const INDEX_HEADER_BYTES: usize = 48;
const INDEX_IS_VALID: usize = 12;
const INDEX_FRAMES: usize = 16;
const INDEX_SALTS: std::ops::Range<usize> = 32..40;
/// Where the log has the same salts: random numbers that change whenever the log starts again.
const LOG_SALTS: std::ops::Range<usize> = 16..24;
const LOG_HEADER_BYTES: u64 = 32;

/// How many frames of the log were committed when the database was used last. `None` if that cannot be told: there is
/// no log, or no index that belongs to it.
pub(super) fn frames_committed(database: &Path) -> Option<u64> {
    let mut index = [0; 2 * INDEX_HEADER_BYTES];
    let mut log = [0; LOG_SALTS.end];
    read_start(database, "-shm", &mut index).and_then(|()| read_start(database, "-wal", &mut log)).ok()?;
    let (header, copy) = index.split_at(INDEX_HEADER_BYTES);
    let valid = header == copy && header[INDEX_IS_VALID] == 1 && header[INDEX_SALTS] == log[LOG_SALTS];
    let frames = *header[INDEX_FRAMES..].first_chunk()?;
    valid.then_some(u64::from(u32::from_ne_bytes(frames)))
}

/// Whether the log has fewer frames now. Then messages were lost; and if part of the log had been moved into the
/// database already, the older rest of it may not fit any more, which is an error.
pub(super) fn has_lost_frames(conn: &Connection, committed: u64) -> Result<bool, StoreError> {
    if checkpoint::log_frames(conn)? >= committed {
        return Ok(false);
    }
    check_structure(conn).map(|()| true)
}

/// Whether the parts of the database fit together. Takes as long as reading all of it.
pub(super) fn check_structure(conn: &Connection) -> Result<(), StoreError> {
    let verdict: String = conn.query_row("PRAGMA quick_check(1)", [], |row| row.get(0))?;
    // What is wrong stands behind a heading; an error has one line.
    let verdict = verdict.lines().filter(|line| !line.starts_with("***")).collect::<Vec<_>>().join("; ");
    if verdict == "ok" { Ok(()) } else { Err(StoreError::damaged(verdict)) }
}

/// Whether there is a log with at least its header. While a server runs there is, and a kill leaves it.
pub(super) fn has_log(database: &Path) -> bool {
    fs::metadata(beside(database, "-wal")).is_ok_and(|log| log.len() >= LOG_HEADER_BYTES)
}

/// The file of SQLite that belongs to the database and has this suffix.
pub(super) fn beside(database: &Path, suffix: &str) -> PathBuf {
    let mut name = database.as_os_str().to_owned();
    name.push(suffix);
    name.into()
}

fn read_start(database: &Path, suffix: &str, into: &mut [u8]) -> io::Result<()> {
    File::open(beside(database, suffix))?.read_exact(into)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::sqlite::schema;

    /// A database of three messages' worth of commits, as a killed process leaves it.
    fn killed(dir: &Path) -> std::path::PathBuf {
        let path = dir.join("live.db");
        let conn = schema::open_writer(&path, None).unwrap();
        for name in ["a", "b", "c"] {
            conn.execute("INSERT INTO meta (key, value) VALUES (?1, randomblob(9000))", [name]).unwrap();
        }
        for suffix in ["", "-wal", "-shm"] {
            fs::copy(dir.join(format!("live.db{suffix}")), dir.join(format!("copy.db{suffix}"))).unwrap();
        }
        dir.join("copy.db")
    }

    #[test]
    fn a_log_that_is_whole_has_lost_nothing() {
        let dir = tempfile::tempdir().unwrap();
        let path = killed(dir.path());
        let committed = frames_committed(&path).unwrap();
        assert!(committed > 6, "{committed}");
        let conn = schema::open_writer(&path, None).unwrap();
        assert_eq!(has_lost_frames(&conn, committed), Ok(false));
    }

    #[test]
    fn a_flipped_bit_anywhere_in_the_log_is_noticed() {
        let dir = tempfile::tempdir().unwrap();
        let whole = fs::read(killed(dir.path()).with_file_name("copy.db-wal")).unwrap();
        for place in [40, 60, 5_000, whole.len() / 2, whole.len() - 1] {
            let path = killed(&tempfile::tempdir_in(dir.path()).unwrap().keep());
            let log = path.with_file_name("copy.db-wal");
            let mut bytes = fs::read(&log).unwrap();
            bytes[place] ^= 1;
            fs::write(&log, bytes).unwrap();
            let committed = frames_committed(&path).unwrap();
            let Ok(conn) = schema::open_writer(&path, None) else { continue };
            assert_eq!(has_lost_frames(&conn, committed), Ok(true), "place {place}");
        }
    }

    #[test]
    fn without_a_log_nothing_is_claimed() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("foghorn.db");
        assert_eq!(frames_committed(&path), None);
        drop(schema::open_writer(&path, None).unwrap());
        fs::write(dir.path().join("foghorn.db-shm"), [7; 200]).unwrap();
        assert_eq!(frames_committed(&path), None);
    }
}
