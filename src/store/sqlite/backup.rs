//! Copies of a database that is in use.
//!
//! One thread makes them, one at a time. It holds a snapshot of the database while it copies page after page into a
//! temporary file beside it, then hands the file out in pieces to the client that asks for them, and removes it when
//! the client says that it has all of it, has not asked for [`IDLE_MAX`], or the store ends; a copy that a kill has
//! left is removed at the next start. The writer goes on meanwhile: what it commits after the snapshot is not in the
//! copy.

use std::fs::{self, File};
use std::io;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use crossbeam_channel::{Receiver, RecvTimeoutError, Sender, bounded};
use rusqlite::backup::{Backup, StepResult};

use super::schema;
use crate::store::answer::Done;
use crate::store::backup::{BackupError, BackupId, BackupPart};
use crate::store::entropy::{clock, random};
use crate::store::error::{Busy, StoreError};

/// What the names of copies begin with.
const PREFIX: &str = "foghorn.backup-";
/// Requests that wait for the thread at most: there is one client, and others are told to come back.
const REQUESTS_MAX: usize = 64;
/// Pages copied between two looks at the requests (1 MiB).
const STEP_PAGES: i32 = 256;
/// How long the thread rests between two steps, so that the disk has time for the writer.
const REST: Duration = Duration::from_millis(2);
/// Bytes handed out at once: little enough to wait in memory, enough for a client that is far away.
const PIECE_BYTES: u64 = 512 * 1024;
/// How long a client may not ask before it is taken to have gone.
// A client asks for the next piece at once. A copy without one keeps the disk, and others from making theirs.
const IDLE_MAX: Duration = Duration::from_secs(60);
/// What is left free of the disk, for the writer.
// Several of its rounds, and the write-ahead log that they lengthen.
const FREE_BYTES_MIN: u64 = 64 << 20;

/// What the thread is asked.
enum Request {
    Begin(Done<Result<BackupId, BackupError>>),
    Read { id: BackupId, offset: u64, done: Done<Result<BackupPart, BackupError>> },
    End { id: BackupId, done: Done<Result<(), BackupError>> },
    Stop,
}

/// The way to the thread.
#[derive(Clone)]
pub(super) struct Backups(Sender<Request>);

impl Backups {
    /// Starts the thread, and removes what was left of earlier copies. `log_is_long` says that the write-ahead log cannot
    /// grow much more, which a snapshot keeps it from starting again.
    pub(super) fn start(
        database: &Path,
        log_is_long: Arc<AtomicBool>,
    ) -> io::Result<(Backups, JoinHandle<()>)> {
        let dir = database.parent().unwrap_or(Path::new(".")).to_owned();
        remove_all(&dir)?;
        let (requests, received) = bounded(REQUESTS_MAX);
        let maker = Maker { database: database.to_owned(), dir, requests: received, log_is_long };
        let thread = std::thread::Builder::new().name("backup".into()).spawn(move || maker.run())?;
        Ok((Backups(requests), thread))
    }

    pub(super) fn begin(&self, done: Done<Result<BackupId, BackupError>>) -> Result<(), Busy> {
        self.ask(Request::Begin(done))
    }

    pub(super) fn read(
        &self,
        id: BackupId,
        offset: u64,
        done: Done<Result<BackupPart, BackupError>>,
    ) -> Result<(), Busy> {
        self.ask(Request::Read { id, offset, done })
    }

    pub(super) fn end(&self, id: BackupId, done: Done<Result<(), BackupError>>) -> Result<(), Busy> {
        self.ask(Request::End { id, done })
    }

    /// Has the thread end; it does so before its next step.
    pub(super) fn stop(&self) {
        let _the_thread_is_gone = self.0.send(Request::Stop);
    }

    fn ask(&self, request: Request) -> Result<(), Busy> {
        self.0.try_send(request).map_err(|_| Busy::default())
    }
}

/// How far a copy is.
enum State {
    Copying { copied: u64, total: u64 },
    Ready { file: File, bytes: u64 },
    Failed(Arc<str>),
}

/// What follows from the last request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Next {
    GoOn,
    /// The client has the copy, or has gone.
    Over,
    Stop,
}

/// A copy under way.
struct Session {
    id: BackupId,
    state: State,
    /// When the client asked last.
    asked_at: Instant,
}

/// The thread.
struct Maker {
    database: PathBuf,
    dir: PathBuf,
    requests: Receiver<Request>,
    log_is_long: Arc<AtomicBool>,
}

impl Maker {
    fn run(self) {
        while let Some(done) = self.wait_for_client() {
            let mut session = Session {
                id: BackupId(random()),
                state: State::Copying { copied: 0, total: 0 },
                asked_at: clock(),
            };
            done(Ok(session.id));
            let copy = Copy(self.dir.join(format!("{PREFIX}{:016x}", session.id.0)));
            let next = match self.copy(&copy.0, &mut session) {
                Ok(Next::GoOn) => self.hand_out(&mut session),
                Ok(next) => next,
                Err(reason) => {
                    tracing::warn!(%reason, "a backup could not be made");
                    session.state = State::Failed(reason);
                    self.hand_out(&mut session)
                }
            };
            if next == Next::Stop {
                return;
            }
        }
    }

    /// The next client's request for a copy; `None` if the thread has to end.
    fn wait_for_client(&self) -> Option<Done<Result<BackupId, BackupError>>> {
        loop {
            match self.requests.recv().ok()? {
                Request::Begin(done) => return Some(done),
                Request::Read { done, .. } => done(Err(BackupError::NoSuchBackup)),
                Request::End { done, .. } => done(Err(BackupError::NoSuchBackup)),
                Request::Stop => return None,
            }
        }
    }

    /// Copies what the database has now.
    fn copy(&self, path: &Path, session: &mut Session) -> Result<Next, Arc<str>> {
        let failed = |error: StoreError| -> Arc<str> { error.to_string().into() };
        let sqlite = |error: rusqlite::Error| failed(error.into());
        let source = schema::open_reader(&self.database).map_err(failed)?;
        // While the transaction is open, the writer changes nothing of what is seen here, and a step never begins anew.
        let snapshot = source.unchecked_transaction().map_err(sqlite)?;
        let page_bytes: u64 = snapshot.query_row("PRAGMA page_size", [], |row| row.get(0)).map_err(sqlite)?;
        let pages: u64 = snapshot.query_row("PRAGMA page_count", [], |row| row.get(0)).map_err(sqlite)?;
        snapshot.query_row("SELECT count(*) FROM meta", [], |_| Ok(())).map_err(sqlite)?;
        let total = pages * page_bytes;
        check_space(&self.dir, total)?;
        session.state = State::Copying { copied: 0, total };
        let mut target = schema::open_copy(path).map_err(failed)?;
        let backup = Backup::new(&snapshot, &mut target).map_err(sqlite)?;
        loop {
            if self.log_is_long.load(Ordering::Relaxed) {
                return Err(
                    "so much is being written meanwhile that history.log_bytes would be reached".into()
                );
            }
            let step = backup.step(STEP_PAGES).map_err(sqlite)?;
            let remaining = u64::try_from(backup.progress().remaining).unwrap_or(0);
            session.state = State::Copying { copied: pages.saturating_sub(remaining) * page_bytes, total };
            match self.attend(session, REST) {
                Next::GoOn => {}
                next @ (Next::Over | Next::Stop) => return Ok(next),
            }
            if step == StepResult::Done {
                break;
            }
        }
        drop(backup);
        drop(target);
        drop(snapshot);
        schema::finish_copy(path).map_err(failed)?;
        let file = File::open(path).map_err(|error| Arc::from(error.to_string()))?;
        let bytes = file.metadata().map_err(|error| Arc::from(error.to_string()))?.len();
        session.state = State::Ready { file, bytes };
        Ok(Next::GoOn)
    }

    /// Hands the copy out, or tells that there is none, until the client has heard enough.
    fn hand_out(&self, session: &mut Session) -> Next {
        loop {
            let next = self.attend(session, IDLE_MAX);
            if next != Next::GoOn {
                return next;
            }
        }
    }

    /// Waits so long for a request, and answers it.
    fn attend(&self, session: &mut Session, wait: Duration) -> Next {
        match self.requests.recv_timeout(wait) {
            Ok(Request::Begin(done)) => done(Err(BackupError::UnderWay)),
            Ok(Request::Read { id, offset, done }) if id == session.id => {
                session.asked_at = clock();
                done(session.part(offset));
            }
            Ok(Request::Read { done, .. }) => done(Err(BackupError::NoSuchBackup)),
            Ok(Request::End { id, done }) if id == session.id => {
                done(Ok(()));
                return Next::Over;
            }
            Ok(Request::End { done, .. }) => done(Err(BackupError::NoSuchBackup)),
            Ok(Request::Stop) | Err(RecvTimeoutError::Disconnected) => return Next::Stop,
            Err(RecvTimeoutError::Timeout) => {}
        }
        if clock().duration_since(session.asked_at) < IDLE_MAX {
            return Next::GoOn;
        }
        tracing::info!("a backup was given up: its client has gone");
        Next::Over
    }
}

impl Session {
    fn part(&self, offset: u64) -> Result<BackupPart, BackupError> {
        match &self.state {
            State::Copying { copied, total } => Ok(BackupPart::Copying { copied: *copied, total: *total }),
            State::Ready { file, bytes } => {
                let len = bytes.saturating_sub(offset).min(PIECE_BYTES);
                let mut piece = vec![0; usize::try_from(len).unwrap_or(0)];
                file.read_exact_at(&mut piece, offset)
                    .map_err(|error| BackupError::Failed(error.to_string().into()))?;
                Ok(BackupPart::Piece { bytes: piece, total: *bytes })
            }
            State::Failed(reason) => Err(BackupError::Failed(reason.clone())),
        }
    }
}

/// A file that goes with this.
struct Copy(PathBuf);

impl Drop for Copy {
    fn drop(&mut self) {
        if let Err(error) = fs::remove_file(&self.0)
            && error.kind() != io::ErrorKind::NotFound
        {
            tracing::warn!(path = %self.0.display(), %error, "the file of a backup could not be removed");
        }
    }
}

/// A copy shall not take the last of the disk from the server.
fn check_space(dir: &Path, bytes: u64) -> Result<(), Arc<str>> {
    let Ok(disk) = rustix::fs::statvfs(dir) else { return Ok(()) };
    let free = disk.f_bavail.saturating_mul(disk.f_frsize);
    if free >= bytes.saturating_add(FREE_BYTES_MIN) {
        return Ok(());
    }
    let mebibytes = |bytes: u64| bytes >> 20;
    let (free, needed) = (mebibytes(free), mebibytes(bytes + FREE_BYTES_MIN) + 1);
    Err(format!("the disk of the data directory has {free} MiB free, and a copy needs {needed}").into())
}

/// Removes the copies that a killed process has left, with what SQLite put beside them.
fn remove_all(dir: &Path) -> io::Result<()> {
    for entry in fs::read_dir(dir)? {
        let entry = entry?;
        if entry.file_name().to_string_lossy().starts_with(PREFIX) {
            fs::remove_file(entry.path())?;
        }
    }
    Ok(())
}
