//! The mark: tells a data directory that was put back from a copy from the one that was last used.
//!
//! With each run begins a new mark, a small file of its own beside the database, and the database notes which one it is.
//! A copy of the files carries the note along, but not what the note says about them:
//!
//! | noted of | is | survives | changed by |
//! |---|---|---|---|
//! | the mark | its random name | renames of the directory, other mounts of it, `chown`, `chmod` | starting the server |
//! | the mark and the database | the time of their creation; the inode number where the file system tells no such time | the same | copying, unpacking, `rsync`, restoring |
//! | the mark | a fixed time of its last change | the same | overwriting it in place |
//! | the write-ahead log | that it is not empty while a server runs | `kill -9` | losing it, and backups that leave it out |
//!
//! Device numbers are not looked at (they change with each mount), nor is the time of the last change of the inode (it
//! changes with each `chown -R` of a container's start). What cannot be told apart: a snapshot of the whole file system
//! or machine that is put back, and files of the run that ended last which were overwritten in place by a copy of
//! themselves from the same run, times kept. An administrator who does that removes the mark: a missing one begins new
//! epochs.

use std::fs::{self, File, Metadata};
use std::io::{self, Write};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use super::wal;
use crate::store::entropy::random;

/// What the names of marks begin with; sixteen hexadecimal digits follow.
const PREFIX: &str = "foghorn.mark-";
/// When a mark was changed last, as far as its file says: a program that overwrites it leaves another time, unless it
/// sets it. Whole seconds, which every file system keeps.
const CHANGED_AT: Duration = Duration::from_secs(1_234_567_890);
const TEXT: &str = "\
This file tells foghorn that the directory is the one that it used last. Leave it where it is.
Remove it, with the server stopped, after putting back a snapshot of the whole file system or machine:
then all rooms begin a new epoch, and their clients are told what they have lost.
";

/// What tells a file from its copies.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct FileId {
    pub(super) inode: u64,
    /// When it was created, in nanoseconds; 0 if the file system does not say.
    pub(super) born: u64,
}

impl FileId {
    pub(super) fn of(path: &Path) -> io::Result<FileId> {
        Ok(FileId::new(&fs::metadata(path)?))
    }

    pub(super) fn new(metadata: &Metadata) -> FileId {
        let since = |at: SystemTime| at.duration_since(SystemTime::UNIX_EPOCH).ok();
        let born =
            metadata.created().ok().and_then(since).and_then(|born| u64::try_from(born.as_nanos()).ok());
        FileId { inode: metadata.ino(), born: born.unwrap_or(0) }
    }

    /// Whether both are the same file. Some file systems number their files anew with each mount, so the time counts
    /// where there is one.
    fn is(self, other: FileId) -> bool {
        if self.born > 0 && other.born > 0 { self.born == other.born } else { self.inode == other.inode }
    }
}

/// What a database notes of its mark and of itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Noted {
    /// The digits in the mark's name.
    pub(super) name: u64,
    pub(super) mark: FileId,
    pub(super) database: FileId,
}

/// What is seen of the files before anything opens them.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Before {
    /// As [`wal::frames_committed`].
    pub(super) frames_committed: Option<u64>,
    /// Whether there is a write-ahead log with anything in it.
    pub(super) has_log: bool,
}

impl Before {
    pub(super) fn look(database: &Path) -> Before {
        Before { frames_committed: wal::frames_committed(database), has_log: wal::has_log(database) }
    }
}

/// Why the directory is not the one that the database was used in last, if so. `noted` is what the database says.
pub(super) fn stranger(
    dir: &Path,
    database: &Path,
    noted: Option<Noted>,
) -> io::Result<Option<&'static str>> {
    let Some(noted) = noted else {
        let marks = marks(dir)?;
        return Ok((!marks.is_empty()).then_some("the directory has a mark that the database does not know"));
    };
    let mark = match fs::metadata(path(dir, noted.name)) {
        Ok(mark) => mark,
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            return Ok(Some("the mark of its last run is missing"));
        }
        Err(error) => return Err(error),
    };
    let changed_at = mark.modified()?.duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
    Ok(if !FileId::new(&mark).is(noted.mark) || changed_at != CHANGED_AT {
        Some("the mark of its last run is a copy")
    } else if !FileId::of(database)?.is(noted.database) {
        Some("the database is a copy")
    } else {
        None
    })
}

/// Makes a new mark, which survives what the database survives.
pub(super) fn make(dir: &Path, database: &Path) -> io::Result<Noted> {
    let name = random();
    let path = path(dir, name);
    let mut file = File::options().write(true).create_new(true).open(&path)?;
    file.write_all(TEXT.as_bytes())?;
    file.set_modified(SystemTime::UNIX_EPOCH + CHANGED_AT)?;
    file.sync_all()?;
    File::open(dir)?.sync_all()?;
    Ok(Noted { name, mark: FileId::of(&path)?, database: FileId::of(database)? })
}

/// Removes all marks but this one, which the database has noted by now.
pub(super) fn remove_others(dir: &Path, noted: Noted) -> io::Result<()> {
    let current = path(dir, noted.name);
    for mark in marks(dir)?.into_iter().filter(|mark| *mark != current) {
        fs::remove_file(mark)?;
    }
    Ok(())
}

fn path(dir: &Path, name: u64) -> PathBuf {
    dir.join(format!("{PREFIX}{name:016x}"))
}

fn marks(dir: &Path) -> io::Result<Vec<PathBuf>> {
    let entries = fs::read_dir(dir)?.collect::<Result<Vec<_>, _>>()?;
    let is_mark = |entry: &fs::DirEntry| entry.file_name().to_string_lossy().starts_with(PREFIX);
    Ok(entries.iter().filter(|entry| is_mark(entry)).map(fs::DirEntry::path).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn directory() -> (tempfile::TempDir, PathBuf) {
        let dir = tempfile::tempdir().unwrap();
        let database = dir.path().join("foghorn.db");
        fs::write(&database, "a database").unwrap();
        (dir, database)
    }

    #[test]
    fn a_directory_that_was_left_alone_is_known_again_under_another_name_and_owner() {
        let (dir, database) = directory();
        let noted = make(dir.path(), &database).unwrap();
        assert_eq!(stranger(dir.path(), &database, Some(noted)).unwrap(), None);
        let moved = dir.path().with_extension("moved");
        fs::rename(dir.path(), &moved).unwrap();
        let mode = fs::metadata(moved.join("foghorn.db")).unwrap().permissions();
        fs::set_permissions(path(&moved, noted.name), mode).unwrap();
        assert_eq!(stranger(&moved, &moved.join("foghorn.db"), Some(noted)).unwrap(), None);
        fs::remove_dir_all(moved).unwrap();
    }

    /// Renames a copy over the file, so that the inode number cannot be the same; one that is later than a tick of the
    /// clock by which the kernel tells when files were created.
    fn replace_by_copy(path: &Path) {
        let (copy, original) = (path.with_extension("copy"), FileId::of(path).unwrap());
        loop {
            fs::copy(path, &copy).unwrap();
            fs::rename(&copy, path).unwrap();
            let born = FileId::of(path).unwrap().born;
            if born == 0 || born != original.born {
                return;
            }
        }
    }

    #[test]
    fn whatever_replaces_a_file_is_noticed() {
        type Replace = fn(&Path, &Path);
        let cases: [Replace; 5] = [
            |mark, _| fs::remove_file(mark).unwrap(),
            |mark, _| replace_by_copy(mark),
            |mark, _| fs::write(mark, TEXT).unwrap(),
            |_, database| replace_by_copy(database),
            |mark, _| fs::rename(mark, mark.with_file_name("elsewhere")).unwrap(),
        ];
        for (number, replace) in cases.into_iter().enumerate() {
            let (dir, database) = directory();
            let noted = make(dir.path(), &database).unwrap();
            replace(&path(dir.path(), noted.name), &database);
            let why = stranger(dir.path(), &database, Some(noted)).unwrap();
            assert!(why.is_some(), "case {number}");
        }
    }

    #[test]
    fn a_database_without_a_note_is_the_one_only_where_there_is_no_mark() {
        let (dir, database) = directory();
        assert_eq!(stranger(dir.path(), &database, None).unwrap(), None);
        let older = make(dir.path(), &database).unwrap();
        assert!(stranger(dir.path(), &database, None).unwrap().is_some());
        let newer = make(dir.path(), &database).unwrap();
        remove_others(dir.path(), newer).unwrap();
        assert_eq!(marks(dir.path()).unwrap(), [path(dir.path(), newer.name)]);
        assert!(stranger(dir.path(), &database, Some(older)).unwrap().is_some());
    }

    #[test]
    fn the_time_of_creation_decides_where_there_is_one() {
        let id = |inode, born| FileId { inode, born };
        for (one, other, same) in [
            (id(1, 10), id(2, 10), true),
            (id(1, 10), id(1, 11), false),
            (id(1, 0), id(1, 11), true),
            (id(1, 0), id(2, 0), false),
        ] {
            assert_eq!(one.is(other), same, "{one:?} {other:?}");
        }
    }
}
