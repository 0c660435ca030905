//! A copy of a database becomes a data directory of its own, in which every room begins a new epoch.
//!
//! Until it is whole, the file has a name under which no server would use it, and a server refuses a directory with
//! such a file in it: it must not begin an empty database where users wait for the old rooms.

use std::ffi::OsStr;
use std::fmt;
use std::fs::{self, File};
use std::io::{self, Read, Write};
use std::path::{Path, PathBuf};

use rusqlite::{Connection, OpenFlags};

use super::files::{DATABASE_FILE, LOCK_FILE, UNFINISHED_FILE};
use super::{epoch, locks, schema, wal};
use crate::store::error::{OpenError, StoreError};

/// What file systems put into the root of a volume that is empty.
const OF_FILE_SYSTEMS: &str = "lost+found";
/// What every database of SQLite begins with.
const MAGIC: &[u8; 16] = b"SQLite format 3\0";
const HEADER_BYTES: usize = 100;
/// Where the header has the size of a page, and how many there are.
const PAGE_SIZE: usize = 16;
const PAGE_COUNT: usize = 28;
const CHUNK_BYTES: usize = 1 << 20;

/// Why a copy was not taken.
#[derive(Debug)]
#[non_exhaustive]
pub enum RestoreError {
    /// The file is no whole copy.
    NoCopy {
        /// The file.
        path: PathBuf,
        /// What is wrong.
        reason: String,
    },
    /// The directory has something in it.
    NotEmpty(PathBuf),
    /// Another process uses the directory.
    InUse(PathBuf),
    /// The operating system or SQLite refuses.
    Unusable {
        /// The directory or file.
        path: PathBuf,
        /// What it says.
        reason: String,
    },
    /// It was to be ended.
    Interrupted,
}

impl fmt::Display for RestoreError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            RestoreError::NoCopy { path, reason } => {
                write!(f, "{} is no backup that can be used: {reason}", path.display())
            }
            RestoreError::NotEmpty(dir) => {
                write!(f, "{} is not empty (name a directory that is, or that is not there)", dir.display())
            }
            RestoreError::InUse(dir) => write!(f, "another process uses {}", dir.display()),
            RestoreError::Unusable { path, reason } => write!(f, "cannot use {}: {reason}", path.display()),
            RestoreError::Interrupted => f.write_str("interrupted; nothing was restored"),
        }
    }
}

impl std::error::Error for RestoreError {}

/// Checks that a file is a whole copy that this version can use. Takes as long as reading all of it.
///
/// # Errors
/// [`RestoreError::NoCopy`] if it is not, [`RestoreError::Unusable`] if it cannot be read.
pub fn check_backup(path: &Path) -> Result<(), RestoreError> {
    let wrong = |reason: String| RestoreError::NoCopy { path: path.into(), reason };
    let unreadable = |error: io::Error| unusable(path, &error);
    let mut file = File::open(path).map_err(unreadable)?;
    let metadata = file.metadata().map_err(unreadable)?;
    if !metadata.is_file() {
        return Err(wrong("it is no ordinary file".into()));
    }
    let mut header = [0; HEADER_BYTES];
    if file.read_exact(&mut header).is_err() || !header.starts_with(MAGIC) {
        return Err(wrong("it is no database".into()));
    }
    if let Some(bytes) = bytes_of(&header)
        && bytes != metadata.len()
    {
        return Err(wrong(format!("it has {} of {bytes} bytes", metadata.len())));
    }
    if fs::metadata(wal::beside(path, "-wal")).is_ok_and(|log| log.len() > 0) {
        let hint = "there is a write-ahead log beside it, so it belongs to a server (use `foghorn backup`)";
        return Err(wrong(hint.into()));
    }
    let check = || -> Result<(), StoreError> {
        let conn = open_unchanged(path)?;
        match schema::check_version(&conn, path) {
            Ok(true) => wal::check_structure(&conn),
            Ok(false) => Err(StoreError::damaged("it is empty")),
            Err(OpenError::Foreign(_)) => Err(StoreError::damaged("it is a database of another program")),
            Err(OpenError::Newer { found, known, .. }) => Err(StoreError::damaged(format!(
                "it has schema {found}, but this version knows schemas up to {known} only"
            ))),
            Err(error) => Err(StoreError::damaged(error)),
        }
    };
    check().map_err(|error| {
        let reason =
            if let StoreError::Damaged(reason) = &error { reason.to_string() } else { error.to_string() };
        wrong(reason)
    })
}

/// How long the file has to be by its header; nothing if no version of this program has written such a header.
fn bytes_of(header: &[u8; HEADER_BYTES]) -> Option<u64> {
    let page = u64::from(u16::from_be_bytes(*header[PAGE_SIZE..].first_chunk()?));
    let pages = u64::from(u32::from_be_bytes(*header[PAGE_COUNT..].first_chunk()?));
    // 1 stands for a number that does not fit.
    let page = if page == 1 { 1 << 16 } else { page };
    (pages > 0).then_some(page * pages)
}

/// Opens a file without changing it, or putting anything beside it.
fn open_unchanged(path: &Path) -> Result<Connection, StoreError> {
    let mut uri = String::from("file:");
    for byte in path.as_os_str().as_encoded_bytes() {
        match byte {
            b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'/' | b'.' | b'-' | b'_' => {
                uri.push(char::from(*byte))
            }
            _ => uri.push_str(&format!("%{byte:02x}")),
        }
    }
    uri.push_str("?immutable=1");
    let flags =
        OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_URI | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    Ok(Connection::open_with_flags(uri, flags)?)
}

/// Makes a data directory of a copy: `dir` must be empty, or not there. `copied` is told of bytes copied, and of how many
/// there are; once it says false, all is as it was before.
///
/// # Errors
/// [`RestoreError`]; the directory is as it was then.
pub fn restore(
    file: &Path,
    dir: &Path,
    copied: &mut dyn FnMut(u64, u64) -> bool,
) -> Result<(), RestoreError> {
    check_empty(dir)?;
    check_backup(file)?;
    let mut unfinished = Unfinished::begin(dir)?;
    copy(file, &unfinished.path, copied)?;
    let renewed = Connection::open(&unfinished.path).map_err(StoreError::from).and_then(|conn| {
        conn.pragma_update(None, "journal_mode", "DELETE")?;
        conn.pragma_update(None, "synchronous", "FULL")?;
        epoch::begin_anew(&conn)
    });
    let path = unfinished.path.clone();
    renewed.map_err(|error| RestoreError::Unusable { path, reason: error.to_string() })?;
    unfinished.finish()
}

fn copy(file: &Path, into: &Path, copied: &mut dyn FnMut(u64, u64) -> bool) -> Result<(), RestoreError> {
    let unreadable = |error: io::Error| unusable(file, &error);
    let unwritable = |error: io::Error| unusable(into, &error);
    let mut from = File::open(file).map_err(unreadable)?;
    let total = from.metadata().map_err(unreadable)?.len();
    let mut to = File::options().write(true).create_new(true).open(into).map_err(unwritable)?;
    let (mut chunk, mut done) = (vec![0; CHUNK_BYTES], 0);
    loop {
        let len = from.read(&mut chunk).map_err(unreadable)?;
        if len == 0 {
            break;
        }
        to.write_all(&chunk[..len]).map_err(unwritable)?;
        done += len as u64;
        if !copied(done, total) {
            return Err(RestoreError::Interrupted);
        }
    }
    if done != total {
        let reason = "it changed while it was read".into();
        return Err(RestoreError::NoCopy { path: file.into(), reason });
    }
    to.sync_all().map_err(unwritable)
}

/// Nothing but what an interrupted restore has left may be there.
fn check_empty(dir: &Path) -> Result<(), RestoreError> {
    let entries = match fs::read_dir(dir) {
        Ok(entries) => entries,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
        Err(error) => return Err(unusable(dir, &error)),
    };
    let (mut locked, mut unfinished) = (false, false);
    for entry in entries {
        let name = entry.map_err(|error| unusable(dir, &error))?.file_name();
        if name == LOCK_FILE {
            locked = true;
        } else if is_unfinished(&name) {
            unfinished = true;
        } else if name != OF_FILE_SYSTEMS {
            return Err(RestoreError::NotEmpty(dir.into()));
        }
    }
    if locked && !unfinished { Err(RestoreError::NotEmpty(dir.into())) } else { Ok(()) }
}

/// Whether it is the name of the file while it is not whole, or of one that SQLite puts beside it.
fn is_unfinished(name: &OsStr) -> bool {
    name.as_encoded_bytes().starts_with(UNFINISHED_FILE.as_bytes())
}

fn unusable(path: &Path, error: &io::Error) -> RestoreError {
    RestoreError::Unusable { path: path.into(), reason: error.to_string() }
}

/// A directory with a database that is not whole. Unless it is finished, what was made of it is removed again.
struct Unfinished {
    dir: PathBuf,
    path: PathBuf,
    /// Directories that were made for it, the outermost first.
    made: Vec<PathBuf>,
    finished: bool,
    _lock: File,
}

impl Unfinished {
    fn begin(dir: &Path) -> Result<Unfinished, RestoreError> {
        let missing = dir.ancestors().take_while(|dir| !dir.as_os_str().is_empty() && !dir.exists());
        let mut made: Vec<_> = missing.map(Path::to_owned).collect();
        made.reverse();
        fs::create_dir_all(dir).map_err(|error| unusable(dir, &error))?;
        let lock = locks::lock(dir, &dir.join(LOCK_FILE)).map_err(|error| {
            if let OpenError::InUse(dir) = error {
                return RestoreError::InUse(dir);
            }
            RestoreError::Unusable { path: dir.into(), reason: error.to_string() }
        })?;
        // Another one may have been quicker.
        if dir.join(DATABASE_FILE).exists() {
            return Err(RestoreError::NotEmpty(dir.into()));
        }
        let path = dir.join(UNFINISHED_FILE);
        let unfinished = Unfinished { dir: dir.into(), path, made, finished: false, _lock: lock };
        unfinished.remove_files().map_err(|error| unusable(dir, &error))?;
        Ok(unfinished)
    }

    /// Gives the database its name, for good.
    fn finish(&mut self) -> Result<(), RestoreError> {
        let sync = |path: &Path| File::open(path).and_then(|file| file.sync_all());
        let finish = || {
            sync(&self.path)?;
            fs::rename(&self.path, self.dir.join(DATABASE_FILE))?;
            sync(&self.dir)?;
            // The entries of new directories have to survive what the database survives.
            let parents = self.made.iter().filter_map(|dir| dir.parent());
            parents.filter(|parent| !parent.as_os_str().is_empty()).try_for_each(sync)
        };
        finish().map_err(|error| unusable(&self.dir, &error))?;
        self.finished = true;
        Ok(())
    }

    fn remove_files(&self) -> io::Result<()> {
        for entry in fs::read_dir(&self.dir)? {
            let entry = entry?;
            if is_unfinished(&entry.file_name()) {
                fs::remove_file(entry.path())?;
            }
        }
        Ok(())
    }
}

impl Drop for Unfinished {
    fn drop(&mut self) {
        if self.finished {
            return;
        }
        let removed = self.remove_files().and_then(|()| fs::remove_file(self.dir.join(LOCK_FILE)));
        let _what_is_left_is_no_database =
            removed.and_then(|()| self.made.iter().rev().try_for_each(fs::remove_dir));
    }
}
