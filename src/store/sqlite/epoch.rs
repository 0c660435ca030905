//! Honest epochs: a log gets a new name whenever it may have lost messages that a member has seen.
//!
//! What may be lost depends on how the last run ended and on what the room's messages were to survive:
//!
//! | the last run ended | `fsync` | `commit` | `async` | `off` |
//! |---|---|---|---|---|
//! | in good order | kept | kept | kept | new |
//! | in good order, after messages were refused | kept | kept | new | new |
//! | by `kill -9` or a crash | kept | kept | new | new |
//! | with the machine (power, kernel) | kept | new | new | new |
//! | after a failed fsync, or with a damaged log | new | new | new | new |
//! | elsewhere: this is a copy, or a part of one (`mark`) | new | new | new | new |
//!
//! A room's epoch is a random number of its own, combined with one random number per column; to give a new name to a
//! million logs is to change one of four numbers.

use std::fs::{self, File};
use std::io;
use std::path::{Path, PathBuf};

use rusqlite::{Connection, OptionalExtension, ToSql};

use super::checkpoint;
use super::mark::{self, Before, FileId, Noted};
use super::wal;
use crate::rooms::ID_EPOCH_BITS;
use crate::rooms::store_api::Durability;
use crate::store::entropy::random_change;
use crate::store::error::StoreError;

/// Written beside the database when an fsync failed; the database itself can no longer be trusted to take a note.
const FAILED_FILE: &str = "foghorn.failed";
/// Differs from one start of the machine to the next.
const BOOT_ID_FILE: &str = "/proc/sys/kernel/random/boot_id";

/// What is combined with the epochs of the rooms, by durability.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Salts {
    off: u64,
    after_kill: u64,
    after_power_loss: u64,
    after_failure: u64,
}

impl Salts {
    /// The epoch of a room whose own number is `own`.
    pub(super) const fn epoch(self, own: u64, durability: Durability) -> u64 {
        own ^ match durability {
            Durability::Off => self.off,
            Durability::Async => self.after_kill,
            Durability::Commit => self.after_power_loss,
            Durability::Fsync => self.after_failure,
        }
    }

    /// Finds out how the last run ended, changes the salts accordingly, and notes that this run has not ended yet: in
    /// the database's own file, so that the file alone says so, too, should the write-ahead log be lost.
    ///
    /// To be called when commits wait for the disk: should the note be lost with the power, so would be the reason
    /// to change an epoch. `before` is what was seen before `conn` was opened.
    pub(super) fn renew(
        conn: &Connection,
        dir: &Path,
        database: &Path,
        before: Before,
    ) -> Result<Salts, StoreError> {
        let boot = boot_id();
        let failed_file = Some(dir.join(FAILED_FILE)).filter(|file| file.exists());
        let ended: bool = meta(conn, "ended")?.unwrap_or(true);
        let same_boot = !boot.is_empty() && meta::<String>(conn, "boot")?.is_some_and(|last| last == boot);
        let lost = has_lost(conn, before, same_boot)? || is_stranger(conn, dir, database, ended, before)?;
        let noted = mark::make(dir, database).map_err(unavailable)?;
        let tx = conn.unchecked_transaction()?;
        let fresh = random_change();
        let renewed = |key, new: bool| -> Result<u64, StoreError> {
            let last = meta::<i64>(&tx, key)?.unwrap_or(0).cast_unsigned();
            let now = if new { fresh | last & ID_EPOCH_BITS } else { last };
            set_meta(&tx, key, now.cast_signed())?;
            Ok(now)
        };
        let failed = lost || failed_file.is_some();
        let salts = Salts {
            off: fresh,
            after_kill: renewed("salt_after_kill", failed || !ended)?,
            after_power_loss: renewed("salt_after_power_loss", failed || (!ended && !same_boot))?,
            after_failure: renewed("salt_after_failure", failed)?,
        };
        set_meta(&tx, "ended", false)?;
        set_meta(&tx, "boot", boot)?;
        write_note(&tx, noted)?;
        tx.commit()?;
        // The log is not emptied: from here on to the end of the run there is something in it, see `mark`.
        if !checkpoint::is_complete(conn)? {
            tracing::warn!(
                "another program reads the database: its file alone does not say that it is in use"
            );
        }
        mark::remove_others(dir, noted).map_err(unavailable)?;
        if let Some(file) = failed_file {
            fs::remove_file(file).map_err(unavailable)?;
        }
        Ok(salts)
    }
}

/// Whether the end of the write-ahead log is missing.
fn has_lost(conn: &Connection, before: Before, same_boot: bool) -> Result<bool, StoreError> {
    // After a start of the machine the index is a leftover, and says nothing about this log.
    let damaged = match before.frames_committed {
        Some(frames) if same_boot => wal::has_lost_frames(conn, frames)?,
        Some(_) | None => false,
    };
    if damaged {
        tracing::error!("the write-ahead log is damaged: the newest messages may be lost");
    }
    Ok(damaged)
}

/// Whether the database is not the one that was used last, or a part of it is missing.
fn is_stranger(
    conn: &Connection,
    dir: &Path,
    database: &Path,
    ended: bool,
    before: Before,
) -> Result<bool, StoreError> {
    let noted = read_note(conn)?;
    let stranger = mark::stranger(dir, database, noted).map_err(unavailable)?;
    let log_is_lost = noted.is_some() && !ended && !before.has_log;
    let why = stranger.or_else(|| log_is_lost.then_some("its write-ahead log is missing"));
    let Some(why) = why else { return Ok(false) };
    tracing::warn!(
        database = %database.display(),
        "this is not the database as it was used last ({why}): all rooms begin a new epoch"
    );
    if before.has_log {
        // A log that belongs to another state of the database may have been moved into it.
        wal::check_structure(conn)?;
    }
    Ok(true)
}

/// Differs from one start of the machine to the next. Empty if that cannot be known: then every crash is taken for one
/// of the machine.
fn boot_id() -> String {
    fs::read_to_string(BOOT_ID_FILE).unwrap_or_else(|error| {
        tracing::warn!(
            "cannot read {BOOT_ID_FILE} ({error}): after a crash all rooms will begin a new epoch, and damage to the \
             write-ahead log is not noticed (a service manager may hide it: ProcSubset=pid)"
        );
        String::new()
    })
}

fn read_note(conn: &Connection) -> Result<Option<Noted>, StoreError> {
    let number = |key| meta::<i64>(conn, key).map(|value| value.map_or(0, i64::cast_unsigned));
    let Some(name) = meta::<i64>(conn, "mark")? else { return Ok(None) };
    Ok(Some(Noted {
        name: name.cast_unsigned(),
        mark: FileId { inode: number("mark_inode")?, born: number("mark_born")? },
        database: FileId { inode: number("database_inode")?, born: number("database_born")? },
    }))
}

fn write_note(conn: &Connection, noted: Noted) -> Result<(), StoreError> {
    let Noted { name, mark, database } = noted;
    let numbers = [
        ("mark", name),
        ("mark_inode", mark.inode),
        ("mark_born", mark.born),
        ("database_inode", database.inode),
        ("database_born", database.born),
    ];
    numbers.into_iter().try_for_each(|(key, number)| set_meta(conn, key, number.cast_signed()))
}

fn unavailable(error: io::Error) -> StoreError {
    StoreError::Unavailable(error.to_string().into())
}

/// Notes that this run ended in good order; if messages were `refused` meanwhile, those rooms that do not wait for the
/// store have lost some all the same.
pub(super) fn note_end(conn: &Connection, refused: bool) -> Result<(), StoreError> {
    let tx = conn.unchecked_transaction()?;
    if refused {
        change_salt(&tx, "salt_after_kill")?;
    }
    set_meta(&tx, "ended", true)?;
    Ok(tx.commit()?)
}

fn change_salt(conn: &Connection, key: &str) -> Result<(), StoreError> {
    let last = meta::<i64>(conn, key)?.unwrap_or(0).cast_unsigned();
    set_meta(conn, key, (random_change() | last & ID_EPOCH_BITS).cast_signed())
}

/// Has all rooms begin a new epoch: the database is a copy that is about to be used beside, or instead of, the one that
/// it was made of, of whose runs it knows nothing any more.
pub(super) fn begin_anew(conn: &Connection) -> Result<(), StoreError> {
    let tx = conn.unchecked_transaction()?;
    for salt in ["salt_after_kill", "salt_after_power_loss", "salt_after_failure"] {
        change_salt(&tx, salt)?;
    }
    set_meta(&tx, "ended", true)?;
    tx.execute("DELETE FROM meta WHERE key IN ('boot', 'mark')", [])?;
    Ok(tx.commit()?)
}

/// Notes, outside of the database, that an fsync failed.
pub(super) fn note_failure(dir: &Path) -> io::Result<PathBuf> {
    let path = dir.join(FAILED_FILE);
    File::create(&path)?.sync_all()?;
    Ok(path)
}

fn meta<T: rusqlite::types::FromSql>(conn: &Connection, key: &str) -> Result<Option<T>, StoreError> {
    Ok(conn.query_row("SELECT value FROM meta WHERE key = ?1", [key], |row| row.get(0)).optional()?)
}

fn set_meta(conn: &Connection, key: &str, value: impl ToSql) -> Result<(), StoreError> {
    conn.execute(
        "INSERT INTO meta (key, value) VALUES (?1, ?2) ON CONFLICT (key) DO UPDATE SET value = ?2",
        (key, value),
    )?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::sqlite::schema;

    const DATABASE: &str = "foghorn.db";
    const BEFORE: Before = Before { frames_committed: None, has_log: true };

    fn renew(conn: &Connection, dir: &Path) -> Salts {
        Salts::renew(conn, dir, &dir.join(DATABASE), BEFORE).unwrap()
    }

    /// For each durability, weakest first: whether the epoch outlived what happened between two runs.
    fn kept(happens: impl FnOnce(&Connection, &Path)) -> [bool; 4] {
        let dir = tempfile::tempdir().unwrap();
        let conn = schema::open_writer(&dir.path().join(DATABASE), None).unwrap();
        let before = renew(&conn, dir.path());
        happens(&conn, dir.path());
        let after = renew(&conn, dir.path());
        Durability::ALL.map(|durability| before.epoch(1, durability) == after.epoch(1, durability))
    }

    #[test]
    fn epochs_change_exactly_if_messages_may_have_been_lost() {
        assert_eq!(kept(|conn, _| note_end(conn, false).unwrap()), [false, true, true, true]);
        assert_eq!(kept(|conn, _| note_end(conn, true).unwrap()), [false, false, true, true]);
        assert_eq!(kept(|_, _| ()), [false, false, true, true]);
        assert_eq!(kept(|conn, _| set_meta(conn, "boot", "another").unwrap()), [false, false, false, true]);
        let failure = |conn: &Connection, dir: &Path| {
            note_end(conn, false).unwrap();
            note_failure(dir).unwrap();
        };
        assert_eq!(kept(failure), [false; 4]);
        let unmarked = |conn: &Connection, dir: &Path| {
            note_end(conn, false).unwrap();
            let noted = read_note(conn).unwrap().unwrap();
            fs::remove_file(dir.join(format!("foghorn.mark-{:016x}", noted.name))).unwrap();
        };
        assert_eq!(kept(unmarked), [false; 4]);
    }

    #[test]
    fn a_failure_is_forgotten_once_the_epochs_have_changed() {
        let dir = tempfile::tempdir().unwrap();
        let conn = schema::open_writer(&dir.path().join(DATABASE), None).unwrap();
        let failed = note_failure(dir.path()).unwrap();
        let before = renew(&conn, dir.path());
        assert!(!failed.exists());
        note_end(&conn, false).unwrap();
        let after = renew(&conn, dir.path());
        assert_eq!(before.epoch(1, Durability::Commit), after.epoch(1, Durability::Commit));
    }

    #[test]
    fn a_database_in_use_whose_log_is_missing_has_lost_something() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join(DATABASE);
        let conn = schema::open_writer(&path, None).unwrap();
        let before = renew(&conn, dir.path());
        let without = Before { has_log: false, ..BEFORE };
        let after = Salts::renew(&conn, dir.path(), &path, without).unwrap();
        assert!(before.epoch(1, Durability::Fsync) != after.epoch(1, Durability::Fsync));
        // After a good end the log is empty, and has to be.
        note_end(&conn, false).unwrap();
        let again = Salts::renew(&conn, dir.path(), &path, without).unwrap();
        assert_eq!(after.epoch(1, Durability::Fsync), again.epoch(1, Durability::Fsync));
    }

    #[test]
    fn the_database_says_by_itself_that_it_is_in_use() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join(DATABASE);
        let conn = schema::open_writer(&path, None).unwrap();
        renew(&conn, dir.path());
        let alone = dir.path().join("alone.db");
        fs::copy(&path, &alone).unwrap();
        assert_eq!(meta(&Connection::open(alone).unwrap(), "ended"), Ok(Some(false)));
        assert!(wal::has_log(&path), "and the log is not empty while it is");
    }
}
