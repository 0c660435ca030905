//! Honest epochs: a log gets a new name whenever it may have lost messages that somebody has seen.
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
//!
//! A room's epoch is a random number of its own, combined with one random number per column; to give a new name to a
//! million logs is to change one of four numbers.

use std::fs::{self, File};
use std::hash::{BuildHasher, RandomState};
use std::io;
use std::path::{Path, PathBuf};

use rusqlite::{Connection, OptionalExtension, ToSql};

use super::error::StoreError;
use super::wal;
use crate::rooms::journal::Durability;

/// Written beside the database when an fsync failed; the database itself can no longer be trusted to take a note.
const FAILED_FILE: &str = "foghorn.failed";
/// Differs from one start of the machine to the next.
const BOOT_ID_FILE: &str = "/proc/sys/kernel/random/boot_id";

/// Sixty-four random bits.
pub(super) fn random() -> u64 {
    RandomState::new().hash_one(0)
}

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

    /// Finds out how the last run ended, changes the salts accordingly, and notes that this run has not ended yet.
    ///
    /// To be called when commits wait for the disk: should the note be lost with the power, so would be the reason
    /// to change an epoch.
    ///
    /// `frames_committed` is what [`wal::frames_committed`] said before `conn` was opened.
    pub(super) fn renew(
        conn: &Connection,
        dir: Option<&Path>,
        frames_committed: Option<u64>,
    ) -> Result<Salts, StoreError> {
        let boot = fs::read_to_string(BOOT_ID_FILE).unwrap_or_default();
        let failed_file = dir.map(|dir| dir.join(FAILED_FILE)).filter(|file| file.exists());
        let ended: bool = meta(conn, "ended")?.unwrap_or(true);
        let same_boot = !boot.is_empty() && meta::<String>(conn, "boot")?.is_some_and(|last| last == boot);
        // After a start of the machine the index is a leftover, and says nothing about this log.
        let damaged = match frames_committed {
            Some(frames) if same_boot => wal::has_lost_frames(conn, frames)?,
            Some(_) | None => false,
        };
        if damaged {
            tracing::error!("the write-ahead log is damaged: the newest messages may be lost");
        }
        let tx = conn.unchecked_transaction()?;
        let fresh = random();
        let renewed = |key, new: bool| -> Result<u64, StoreError> {
            let last: i64 = meta(&tx, key)?.unwrap_or(0);
            if new {
                set_meta(&tx, key, fresh.cast_signed())?;
            }
            Ok(if new { fresh } else { last.cast_unsigned() })
        };
        let failed = damaged || failed_file.is_some();
        let salts = Salts {
            off: fresh,
            after_kill: renewed("salt_after_kill", failed || !ended)?,
            after_power_loss: renewed("salt_after_power_loss", failed || (!ended && !same_boot))?,
            after_failure: renewed("salt_after_failure", failed)?,
        };
        set_meta(&tx, "ended", false)?;
        set_meta(&tx, "boot", boot)?;
        tx.commit()?;
        if let Some(file) = failed_file {
            fs::remove_file(file).map_err(|error| StoreError::Unavailable(error.to_string().into()))?;
        }
        Ok(salts)
    }
}

/// Notes that this run ended in good order; if messages were `refused` meanwhile, those rooms that do not wait for the
/// store have lost some all the same.
pub(super) fn note_end(conn: &Connection, refused: bool) -> Result<(), StoreError> {
    let tx = conn.unchecked_transaction()?;
    if refused {
        set_meta(&tx, "salt_after_kill", random().cast_signed())?;
    }
    set_meta(&tx, "ended", true)?;
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
    use crate::store::schema;

    /// For each durability, weakest first: whether the epoch outlived what happened between two runs.
    fn kept(happens: impl FnOnce(&Connection, &Path)) -> [bool; 4] {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("foghorn.db");
        let conn = schema::open_writer(Some(&path), None).unwrap();
        let before = Salts::renew(&conn, Some(dir.path()), None).unwrap();
        happens(&conn, dir.path());
        let after = Salts::renew(&conn, Some(dir.path()), None).unwrap();
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
    }

    #[test]
    fn a_failure_is_forgotten_once_the_epochs_have_changed() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("foghorn.db");
        let conn = schema::open_writer(Some(&path), None).unwrap();
        let failed = note_failure(dir.path()).unwrap();
        let before = Salts::renew(&conn, Some(dir.path()), None).unwrap();
        assert!(!failed.exists());
        note_end(&conn, false).unwrap();
        let after = Salts::renew(&conn, Some(dir.path()), None).unwrap();
        assert_eq!(before.epoch(1, Durability::Commit), after.epoch(1, Durability::Commit));
    }
}
