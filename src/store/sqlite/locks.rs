//! Making sure that no other process uses a data directory.

use std::fs::{self, File, TryLockError};
use std::io;
use std::path::Path;

use super::files::{LOCK_FILE, is_restore_interrupted};
use super::mark::FileId;
use crate::store::error::OpenError;

/// What `statfs` says of file systems whose servers keep whole-file locks and SQLite's locks of ranges in one list: there
/// the one would shut out the other.
const NFS: u64 = 0x6969;
const SMB: [u64; 3] = [0x517b, 0xff53_4d42, 0xfe53_4d42];

/// What is locked. Invariant: the database's own file is closed after all of SQLite's connections to it, for closing it
/// takes away this process's locks of ranges.
#[derive(Debug)]
pub(super) struct Locks {
    _directory: File,
    /// The file that matters is locked itself: the other may be deleted, or the database reached by another way.
    _database: Option<File>,
}

impl Locks {
    /// Creates the directory if need be, and locks it, and the database.
    pub(super) fn take(dir: &Path, database: &Path) -> Result<Locks, OpenError> {
        let failed = |error: io::Error| OpenError::io(dir, &error);
        if !dir.is_dir() {
            fs::create_dir_all(dir).map_err(failed)?;
            if let Some(parent) = dir.parent().filter(|parent| !parent.as_os_str().is_empty()) {
                // The entry of the new directory has to survive what its files survive.
                File::open(parent).and_then(|parent| parent.sync_all()).map_err(failed)?;
            }
        }
        let directory = lock(dir, &dir.join(LOCK_FILE))?;
        // Before the database is created, without which the restore can be begun again.
        if is_restore_interrupted(dir) {
            return Err(OpenError::Unfinished(dir.into()));
        }
        let shares_locks = rustix::fs::statfs(dir).is_ok_and(|found| {
            let kind = u64::try_from(found.f_type).unwrap_or(0);
            kind == NFS || SMB.contains(&kind)
        });
        let database = if shares_locks { None } else { Some(lock_in_place(dir, database)?) };
        Ok(Locks { _directory: directory, _database: database })
    }
}

/// Locks the file that the path leads to after that, too.
fn lock_in_place(dir: &Path, path: &Path) -> Result<File, OpenError> {
    loop {
        let file = lock(dir, path)?;
        let opened = file.metadata().map_err(|error| OpenError::io(path, &error))?;
        if FileId::of(path).is_ok_and(|found| found == FileId::new(&opened)) {
            return Ok(file);
        }
        // Between opening and locking another file was put in its place: that one is to be locked.
    }
}

/// Locks a file, which is created if need be.
pub(super) fn lock(dir: &Path, path: &Path) -> Result<File, OpenError> {
    let failed = |error: io::Error| OpenError::io(dir, &error);
    let options = File::options().create(true).truncate(false).read(true).write(true).open(path);
    let file = options.map_err(failed)?;
    // A pipe or a device can be opened and locked, too, and guards nothing.
    if !file.metadata().map_err(failed)?.is_file() {
        let error = io::Error::new(io::ErrorKind::InvalidInput, "this is no ordinary file; remove it");
        return Err(OpenError::io(path, &error));
    }
    match file.try_lock() {
        Ok(()) => Ok(file),
        Err(TryLockError::WouldBlock) => Err(OpenError::InUse(dir.into())),
        Err(TryLockError::Error(error)) => Err(failed(error)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn without_the_lock_file_the_database_itself_is_locked() {
        let dir = tempfile::tempdir().unwrap();
        let database = dir.path().join("foghorn.db");
        let locks = Locks::take(dir.path(), &database).unwrap();
        fs::remove_file(dir.path().join(LOCK_FILE)).unwrap();
        let error = Locks::take(dir.path(), &database).unwrap_err();
        assert!(matches!(&error, OpenError::InUse(path) if path == dir.path()), "{error}");
        drop(locks);
        Locks::take(dir.path(), &database).unwrap();
    }
}
