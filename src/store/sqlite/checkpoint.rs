//! Moving the write-ahead log into the database, beside the writer instead of in its way.
//!
//! A checkpoint that runs while messages keep arriving never catches up with the log's end, and only a log that was
//! moved as a whole starts again at its beginning. So a thread does the bulk, and when little is left of a log that
//! has become large, the writer does that itself between two commits.

use std::cell::Cell;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;

use crossbeam_channel::{Receiver, Sender};
use rusqlite::wal::CheckpointMode;
use rusqlite::{Connection, ErrorCode, MAIN_DB};

use crate::store::error::StoreError;
use crate::store::health::Monitor;

/// Frames that have to wait before a checkpoint is worth its fsyncs (4 MiB).
const WAITING_FRAMES_MIN: u64 = 1_000;
/// The log is made to start again from this size on (64 MiB), once few frames wait…
// The file is cut to `schema::WAL_BYTES_KEPT`, the same size: a longer one would have to grow again each time. The
// writer moves the last frames itself, between two commits, so they have to be few.
const LOG_FRAMES_MAX: u64 = 16_000;
const WAITING_FRAMES_FEW: u64 = 2_000;
/// …and from this size on (512 MiB), however many do.
// Readers look through the index of the whole log, and the disk is not the log's alone.
const LOG_FRAMES_LIMIT: u64 = 128_000;

/// Bytes of a frame, but for its header.
const PAGE_BYTES: u64 = 4096;

/// The writer's side: knows when a checkpoint is due.
#[derive(Debug)]
pub(super) struct Checkpointer {
    wakeup: Sender<()>,
    monitor: Arc<Monitor>,
    /// Frames beyond which nothing more is written.
    frames_max: u64,
    /// Frames that were in the log after the last commit.
    frames: Cell<u64>,
    /// Whether it was said that something holds the log up.
    is_held_up: Cell<bool>,
    /// Whether it has half of the frames that it may have: no time for a snapshot, which holds it up.
    log_is_long: Arc<AtomicBool>,
}

impl Checkpointer {
    /// Starts the thread. It ends when the checkpointer is dropped.
    pub(super) fn start(
        conn: Connection,
        monitor: Arc<Monitor>,
        log_bytes_max: u64,
    ) -> std::io::Result<(Checkpointer, JoinHandle<()>)> {
        let (wakeup, woken) = crossbeam_channel::bounded(1);
        let known = monitor.clone();
        let run = move || run(&conn, &woken, &known);
        let thread = std::thread::Builder::new().name("checkpoint".into()).spawn(run)?;
        let frames_max = log_bytes_max / PAGE_BYTES;
        let (frames, is_held_up, log_is_long) = (Cell::new(0), Cell::new(false), Arc::default());
        Ok((Checkpointer { wakeup, monitor, frames_max, frames, is_held_up, log_is_long }, thread))
    }

    /// Is true while the log has half of what it may have.
    pub(super) fn log_is_long(&self) -> Arc<AtomicBool> {
        self.log_is_long.clone()
    }

    /// To be called by the writer before it writes: whether there is room in the log. A program that reads the database
    /// and does not come to an end keeps the log from starting again, and it must not fill the disk.
    pub(super) fn before_write(&self, conn: &Connection) -> Result<(), StoreError> {
        if self.frames.get() < self.frames_max {
            return Ok(());
        }
        // All of it may be moved by now; then the next commit begins it anew.
        let (log, moved) = checkpoint(conn, CheckpointMode::PASSIVE)?;
        self.frames.set(log.saturating_sub(moved));
        if log == moved && log > 0 {
            return Ok(());
        }
        self.frames.set(self.frames_max);
        self.monitor.log_limit_hit();
        let reason = format!(
            "the write-ahead log has {} MiB (history.log_bytes), and another program that reads the database keeps it from starting again",
            (self.frames_max * PAGE_BYTES) >> 20
        );
        Err(StoreError::Unavailable(reason.into()))
    }

    /// To be called by the writer after a commit.
    pub(super) fn after_commit(&self, conn: &Connection) -> Result<(), StoreError> {
        let (log, moved) = checkpoint(conn, CheckpointMode::NOOP)?;
        let waiting = log.saturating_sub(moved);
        self.frames.set(log);
        // Relaxed: a hint to the thread that makes copies, which looks again before each step.
        self.log_is_long.store(log >= self.frames_max / 2, Ordering::Relaxed);
        let is_held_up = waiting >= LOG_FRAMES_LIMIT.min(self.frames_max / 2);
        if is_held_up != self.is_held_up.replace(is_held_up) {
            let mebibytes = (log * PAGE_BYTES) >> 20;
            if is_held_up {
                tracing::warn!(
                    mebibytes,
                    "the write-ahead log cannot be moved: does another program read the database?"
                );
            } else {
                tracing::info!(mebibytes, "the write-ahead log is moved again");
            }
        }
        if (log >= LOG_FRAMES_MAX && waiting <= WAITING_FRAMES_FEW) || log >= LOG_FRAMES_LIMIT {
            checkpoint(conn, CheckpointMode::PASSIVE)?;
        } else if waiting >= WAITING_FRAMES_MIN {
            let _already_woken = self.wakeup.try_send(());
        }
        Ok(())
    }
}

fn run(conn: &Connection, woken: &Receiver<()>, monitor: &Monitor) {
    while woken.recv().is_ok() {
        if monitor.failure().is_some() {
            return;
        }
        match checkpoint(conn, CheckpointMode::PASSIVE) {
            Ok(_) => monitor.checkpoint_succeeded(),
            Err(error) => monitor.checkpoint_failed(&error),
        }
    }
}

/// Frames in the log, moved or not.
pub(super) fn log_frames(conn: &Connection) -> Result<u64, StoreError> {
    checkpoint(conn, CheckpointMode::NOOP).map(|(log, _)| log)
}

/// Frames in the log, and how many of them are in the database by now.
fn checkpoint(conn: &Connection, mode: CheckpointMode) -> Result<(u64, u64), StoreError> {
    match conn.wal_checkpoint_v2(Some(MAIN_DB), mode) {
        Ok((log, moved)) => Ok((u64::try_from(log).unwrap_or(0), u64::try_from(moved).unwrap_or(0))),
        // The other one is at it.
        Err(error) if error.sqlite_error_code() == Some(ErrorCode::DatabaseBusy) => Ok((0, 0)),
        Err(error) => Err(error.into()),
    }
}

/// Moves everything into the database, and leaves the log as it is; true if all of it was moved.
pub(super) fn is_complete(conn: &Connection) -> Result<bool, StoreError> {
    checkpoint(conn, CheckpointMode::PASSIVE).map(|(log, moved)| log > 0 && log == moved)
}

/// Moves everything and empties the log, when no other connection uses the database any more.
pub(super) fn finish(conn: &Connection) -> Result<(), StoreError> {
    checkpoint(conn, CheckpointMode::TRUNCATE).map(|_| ())
}
