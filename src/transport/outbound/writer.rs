//! Writing to the socket, under the lock of the write half.

use std::io;
use std::sync::MutexGuard;

use super::backlog::{Backlog, frame_end};
use super::pressure::{Level, PROGRESS_BYTES, Pressure};
use crate::transport::memory_budget::MemoryBudget;
use crate::transport::outcome::Taken;
use crate::transport::stream::StreamRef;

/// Why frames were not accepted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum SendError {
    /// The connection is closing or gone.
    Closed,
    /// The peer does not read, and as much as may wait for it waits already.
    Full,
}

impl std::fmt::Display for SendError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            SendError::Closed => "the connection is closed",
            SendError::Full => "the peer does not read what was sent to it",
        })
    }
}

impl std::error::Error for SendError {}

/// How far the sending direction has come. Shared by all threads, so it stands under the lock.
///
/// ```text
/// Open ──Close frame──► Sealed ──► Finishing ──everything written──► Done
///   └──end without a Close frame────┘            write failed, abort ──┘
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum WriteState {
    /// Takes everything.
    Open,
    /// A Close frame is sent or queued: nothing comes after it.
    Sealed,
    /// As `Sealed`, and the sending direction ends as soon as the queue is empty.
    Finishing,
    /// The sending direction has ended, or a write failed.
    Done,
}

/// What the lock protects.
#[derive(Debug)]
pub(super) struct Half {
    pub(super) state: WriteState,
    /// A room wants to send more once the backlog is gone.
    pub(super) room_waits: bool,
    /// The code with which another thread than the reactor's has closed the session; 0 if none has. The reactor may not
    /// know yet.
    pub(super) closed_elsewhere: u16,
    /// How many bytes of replies may wait, about.
    pub(super) reply_bytes_max: u32,
    pub(super) backlog: Option<Box<Backlog>>,
    pub(super) budget: Option<MemoryBudget>,
}

/// The write half while it is locked.
#[derive(Debug)]
pub(super) struct Writer<'o> {
    pub(super) half: MutexGuard<'o, Half>,
    pub(super) stream: StreamRef<'o>,
    pub(super) pressure: &'o Pressure,
}

impl Drop for Writer<'_> {
    /// Marks what waits, before the lock is given back: after anything that was done under it, the mark is true.
    #[inline]
    fn drop(&mut self) {
        let level = match &self.half.backlog {
            None => Level::None,
            Some(backlog) => Level::of(backlog.len(), self.half.reply_bytes_max as usize),
        };
        self.pressure.set_level(level);
    }
}

impl Writer<'_> {
    /// Invariant: a room that waits is resumed once the backlog is gone, so there is one; or nothing is written any more.
    pub(super) fn check(&self) {
        debug_assert!(
            !self.half.room_waits || self.half.backlog.is_some() || self.half.state == WriteState::Done,
            "a room waits for a socket that nothing waits for"
        );
    }

    pub(super) fn close(&mut self, frame: &[u8]) -> bool {
        let first = self.send(frame, usize::MAX).is_ok();
        if self.half.state == WriteState::Open {
            self.half.state = WriteState::Sealed;
        }
        first
    }

    pub(super) fn send(&mut self, frames: &[u8], bytes_max: usize) -> Result<(), SendError> {
        if self.half.state != WriteState::Open {
            return Err(SendError::Closed);
        }
        if let Some(backlog) = &mut self.half.backlog {
            if backlog.len() > bytes_max {
                return Err(SendError::Full);
            }
            backlog.queue.extend_from_slice(frames);
            backlog.count();
            return Ok(());
        }
        let taken = self.write(frames).map_err(|_| SendError::Closed)?;
        if taken.full {
            self.keep(&frames[taken.bytes..], frame_end(frames, 0, taken.bytes) - taken.bytes);
        }
        Ok(())
    }

    pub(super) fn send_parts(&mut self, header: &[u8], payload: &[u8]) -> Result<(), SendError> {
        if self.half.state != WriteState::Open {
            return Err(SendError::Closed);
        }
        let Taken { bytes: written, full } = if self.half.backlog.is_some() {
            Taken { bytes: 0, full: true }
        } else {
            self.judge(self.stream.write_parts(header, payload)).map_err(|_| SendError::Closed)?
        };
        let rest = [&header[written.min(header.len())..], &payload[written.saturating_sub(header.len())..]];
        if let Some(backlog) = &mut self.half.backlog {
            rest.iter().for_each(|part| backlog.queue.extend_from_slice(part));
            backlog.count();
        } else if full {
            let rest = rest.concat();
            self.keep(&rest, rest.len());
        }
        Ok(())
    }

    /// Writes once; a full socket is a write of nothing. After an error nothing is ever written again.
    #[inline]
    pub(super) fn write(&mut self, bytes: &[u8]) -> io::Result<Taken> {
        self.judge(self.stream.write(bytes))
    }

    /// A full socket is a write of nothing.
    #[inline]
    pub(super) fn judge(&mut self, taken: io::Result<Taken>) -> io::Result<Taken> {
        taken.or_else(|error| self.refuse(error))
    }

    #[cold]
    fn refuse(&mut self, error: io::Error) -> io::Result<Taken> {
        if error.kind() == io::ErrorKind::WouldBlock {
            return Ok(Taken { bytes: 0, full: true });
        }
        self.half.state = WriteState::Done;
        self.half.backlog = None;
        Err(error)
    }

    /// Begins a backlog whose first `in_flight` bytes belong to a frame that is partly written.
    pub(super) fn keep(&mut self, bytes: &[u8], in_flight: usize) {
        let mut backlog = Box::new(Backlog {
            rest: bytes.to_vec(),
            whole_from: in_flight,
            charge: self.half.budget.as_ref().map(MemoryBudget::charge),
            progress_from: self.pressure.progress(),
            ..Backlog::default()
        });
        backlog.count();
        self.half.backlog = Some(backlog);
    }

    pub(super) fn flush(&mut self) {
        let taken = self.judge(self.stream.flush());
        if !self.note_progress(taken) {
            return;
        }
        while let Some(mut backlog) = self.half.backlog.take() {
            if !backlog.refill() {
                self.pressure.advance(PROGRESS_BYTES);
                break;
            }
            let taken = self.write(&backlog.rest[backlog.written..]);
            backlog.written += taken.as_ref().map_or(0, |taken| taken.bytes);
            backlog.count();
            self.half.backlog = taken.is_ok().then_some(backlog);
            if !self.note_progress(taken) {
                return;
            }
        }
        self.end_if_empty();
    }

    /// Whether more can be written. If not, a backlog stands for what waits, be it empty.
    fn note_progress(&mut self, taken: io::Result<Taken>) -> bool {
        let Ok(Taken { bytes, full }) = taken else { return false };
        if bytes > 0 {
            self.pressure.advance(u32::try_from(bytes).unwrap_or(u32::MAX));
        }
        if full && self.half.backlog.is_none() {
            self.keep(&[], 0);
        }
        !full
    }

    /// Whether enough of the backlog was taken to count, since the last time that it was.
    pub(super) fn take_progress(&mut self) -> bool {
        let progress = self.pressure.progress();
        let Some(backlog) = &mut self.half.backlog else { return false };
        let enough = progress.is_since(backlog.progress_from);
        if enough {
            backlog.progress_from = progress;
        }
        enough
    }

    pub(super) fn end_if_empty(&mut self) {
        if self.half.state == WriteState::Finishing && self.half.backlog.is_none() {
            let taken = self.judge(self.stream.finish());
            if self.note_progress(taken) {
                self.half.state = WriteState::Done;
            }
        }
    }
}
