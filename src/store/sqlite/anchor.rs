//! Noticing that the files of the running store are not where they were any more: deleted, moved or replaced.
//!
//! An open file outlives its name. Without this, a store whose directory was deleted would go on to confirm messages
//! that cannot be reached any more.

use std::fs;
use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use crate::store::error::StoreError;

/// The files that were opened, by path. Device and inode say which file it is as long as the process lives.
#[derive(Clone, Debug)]
pub(super) struct Anchor {
    files: Vec<(PathBuf, (u64, u64))>,
}

impl Anchor {
    /// The database and its write-ahead log, which must be open. Neither is opened here: to close a file again would
    /// take away SQLite's locks on it.
    pub(super) fn drop_at(database: &Path) -> io::Result<Anchor> {
        let paths = [database.to_owned(), super::wal::beside(database, "-wal")];
        let files = paths.into_iter().map(|path| file_at(&path).map(|file| (path, file)));
        Ok(Anchor { files: files.collect::<Result<_, _>>()? })
    }

    /// Whether the paths still lead to the open files. Costs one system call for each.
    pub(super) fn check(&self) -> Result<(), StoreError> {
        for (path, opened) in &self.files {
            let why = match file_at(path) {
                Ok(file) if file == *opened => continue,
                Ok(_) => "was replaced".to_owned(),
                Err(error) if error.kind() == io::ErrorKind::NotFound => "was deleted or moved".to_owned(),
                Err(error) => format!("cannot be looked at ({error})"),
            };
            let reason: Arc<str> =
                format!("{} {why} under the running server; put it back, or restart", path.display()).into();
            return Err(StoreError::Unavailable(reason));
        }
        Ok(())
    }
}

fn file_at(path: &Path) -> io::Result<(u64, u64)> {
    let metadata = fs::metadata(path)?;
    Ok((metadata.dev(), metadata.ino()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn files_that_are_gone_or_others_are_noticed_and_so_is_their_return() {
        let dir = tempfile::tempdir().unwrap();
        let (database, aside) = (dir.path().join("foghorn.db"), dir.path().join("aside"));
        for name in ["foghorn.db", "foghorn.db-wal"] {
            let path = dir.path().join(name);
            fs::write(&database, "").unwrap();
            fs::write(dir.path().join("foghorn.db-wal"), "").unwrap();
            let anchor = Anchor::drop_at(&database).unwrap();
            assert_eq!(anchor.check(), Ok(()));
            fs::rename(&path, &aside).unwrap();
            assert!(matches!(anchor.check(), Err(StoreError::Unavailable(_))), "{name} is gone");
            fs::write(&path, "").unwrap();
            assert!(matches!(anchor.check(), Err(StoreError::Unavailable(_))), "{name} is another");
            fs::rename(&aside, &path).unwrap();
            assert_eq!(anchor.check(), Ok(()), "{name} is back");
        }
    }
}
