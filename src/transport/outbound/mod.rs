//! The write half of a connection, shared by all threads that send on it.
//!
//! | file | subject |
//! |---|---|
//! | this one | sending, closing, flushing |
//! | [`writer`] | writing to the socket, under the lock |
//! | [`backlog`] | what the socket did not take |
//! | [`pressure`] | what is known of a backlog without the lock |

mod backlog;
mod pressure;
#[cfg(test)]
mod tests;
mod writer;

use std::sync::{Mutex, MutexGuard, PoisonError};

use self::pressure::Pressure;
pub(crate) use self::pressure::Progress;
pub use self::writer::SendError;
use self::writer::{Half, WriteState, Writer};
use super::memory_budget::MemoryBudget;
use super::outcome::Taken;
use super::stream::{Extra, Stream, StreamRef};
use crate::rooms::log::Slice;
use crate::rooms::{Peer, Sent};
use crate::system::Socket;
use crate::ws::CloseCode;

/// What a [`Outbound::flush`] came to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Flushed {
    /// Nothing waits any more. `resume`: a room was refused in the meantime and wants to hear of this.
    Empty {
        /// Whether to send [`Command::Resume`](crate::rooms::Command::Resume) to the member's shards.
        resume: bool,
        /// Whether something had waited.
        progress: bool,
    },
    /// The socket is full again.
    Blocked {
        /// Whether the peer has taken [`PROGRESS_BYTES`](pressure::PROGRESS_BYTES) since the last time that this was
        /// said.
        progress: bool,
    },
    /// Nothing can be written any more.
    Closed,
}

/// The write half of one connection: the socket, a short lock, and what could not be written yet.
///
/// A thread that sends takes the lock, writes to the non-blocking socket at once and gives the lock back. Frames never
/// interleave: a frame cut off by a full socket is finished before anything else. Broadcasts are never queued here
/// (their bytes stay in the room's log), only direct replies and control frames are, up to `reply_bytes_max`.
///
/// The socket is closed when the last owner lets go, so no thread can ever write to a recycled descriptor.
#[derive(Debug)]
pub(crate) struct Outbound {
    socket: Socket,
    pressure: Pressure,
    extra: Option<Box<Extra>>,
    half: Mutex<Half>,
}

// Every connection has one: what only some need has to find room elsewhere. (With debug assertions, and in a simulation,
// sockets are larger.)
#[cfg(not(any(debug_assertions, feature = "simulation")))]
const _: () = assert!(size_of::<Outbound>() <= 48);

impl Outbound {
    /// The write half of `stream`, which queues at most about `reply_bytes_max` bytes of replies. A single
    /// [`Outbound::send`] is always taken whole, so the true maximum is one call more.
    #[must_use]
    pub(crate) fn new(stream: Stream, reply_bytes_max: usize) -> Outbound {
        let half = Half {
            state: WriteState::Open,
            room_waits: false,
            closed_elsewhere: 0,
            reply_bytes_max: u32::try_from(reply_bytes_max).unwrap_or(u32::MAX),
            backlog: None,
            budget: None,
        };
        let Stream { socket, extra } = stream;
        Outbound { socket, pressure: Pressure::default(), extra, half: Mutex::new(half) }
    }

    /// Has the bytes that wait counted in `budget`, too.
    #[must_use]
    pub(crate) fn counted(mut self, budget: MemoryBudget) -> Outbound {
        self.half.get_mut().unwrap_or_else(PoisonError::into_inner).budget = Some(budget);
        self
    }

    /// The socket, for reading.
    #[must_use]
    pub(crate) fn stream(&self) -> StreamRef<'_> {
        StreamRef { socket: &self.socket, extra: self.extra.as_deref() }
    }

    /// Sends whole frames in order, or queues what the socket does not take.
    ///
    /// # Errors
    /// [`SendError`]; then nothing was sent.
    pub(crate) fn send(&self, frames: &[u8]) -> Result<(), SendError> {
        let mut writer = self.lock();
        let bytes_max = writer.half.reply_bytes_max as usize;
        writer.send(frames, bytes_max)
    }

    /// As [`Outbound::send`], for a caller that holds back its source when [`Outbound::is_congested`]: never refused
    /// for being full.
    ///
    /// # Errors
    /// [`SendError::Closed`].
    pub(crate) fn send_unbounded(&self, frames: &[u8]) -> Result<(), SendError> {
        self.lock().send(frames, usize::MAX)
    }

    /// As [`Outbound::send_unbounded`], for one frame whose payload is not to be copied behind its header.
    ///
    /// # Errors
    /// [`SendError::Closed`].
    pub(crate) fn send_parts(&self, header: &[u8], payload: &[u8]) -> Result<(), SendError> {
        self.lock().send_parts(header, payload)
    }

    /// Answers a ping. If earlier bytes still wait, this pong replaces any other that waits (RFC 6455 §5.5.3).
    pub(crate) fn pong(&self, frame: &[u8]) {
        let mut writer = self.lock();
        if writer.half.state != WriteState::Open {
            return;
        }
        if let Some(backlog) = &mut writer.half.backlog {
            backlog.pong.clear();
            backlog.pong.extend_from_slice(frame);
            backlog.count();
        } else {
            let _open = writer.send(frame, usize::MAX);
        }
    }

    /// Sends or queues a Close frame as the last one. False if one was sent before.
    pub(crate) fn close(&self, frame: &[u8]) -> bool {
        self.lock().close(frame)
    }

    /// As [`Outbound::close`], by another thread than the reactor's, which will be told of this code.
    pub(crate) fn close_elsewhere(&self, frame: &[u8], code: CloseCode) -> bool {
        let mut writer = self.lock();
        let first = writer.close(frame);
        if first {
            writer.half.closed_elsewhere = code.get();
        }
        first
    }

    /// What [`Outbound::close_elsewhere`] was called with.
    pub(crate) fn closed_elsewhere(&self) -> Option<CloseCode> {
        CloseCode::new(self.lock().half.closed_elsewhere)
    }

    /// Forgets what waits, except for the rest of the frame in flight, to free memory. Frames were lost: only a Close
    /// frame may follow.
    pub(crate) fn shed(&self) {
        let mut writer = self.lock();
        if let Some(backlog) = &mut writer.half.backlog {
            backlog.cut();
            backlog.count();
        }
        writer.check();
    }

    /// Bytes of memory that what waits takes up: what it adds to the memory budget.
    pub(crate) fn held_bytes(&self) -> usize {
        self.lock().half.backlog.as_ref().map_or(0, |backlog| backlog.held_bytes())
    }

    /// Bytes that wait for the socket.
    pub(crate) fn backlog_bytes(&self) -> usize {
        self.lock().half.backlog.as_ref().map_or(0, |backlog| backlog.len())
    }

    /// Ends the sending direction as soon as everything queued is written; nothing more is accepted.
    pub(crate) fn finish(&self) {
        let mut writer = self.lock();
        match writer.half.state {
            WriteState::Open | WriteState::Sealed => {
                writer.half.state = WriteState::Finishing;
                writer.end_if_empty();
            }
            WriteState::Finishing | WriteState::Done => {}
        }
    }

    /// Ends the connection in both directions at once. For a connection that the reactor does not read any more but
    /// another thread may still hold.
    pub(crate) fn abort(&self) {
        let mut writer = self.lock();
        writer.half.state = WriteState::Done;
        writer.half.backlog = None;
        self.stream().shutdown();
    }

    /// Writes on after the socket became writable. To be called for every such event.
    pub(crate) fn flush(&self) -> Flushed {
        let mut writer = self.lock();
        let had_backlog = writer.half.backlog.is_some();
        writer.flush();
        let flushed = match writer.half.state {
            WriteState::Done => Flushed::Closed,
            WriteState::Open | WriteState::Sealed | WriteState::Finishing
                if writer.half.backlog.is_some() =>
            {
                Flushed::Blocked { progress: writer.take_progress() }
            }
            WriteState::Open | WriteState::Sealed | WriteState::Finishing => {
                Flushed::Empty { resume: std::mem::take(&mut writer.half.room_waits), progress: had_backlog }
            }
        };
        writer.check();
        flushed
    }

    /// Whether replies wait that fill the queue by half: time to stop reading requests. Takes no lock.
    #[inline]
    pub(crate) fn is_congested(&self) -> bool {
        self.pressure.is_congested()
    }

    /// Whether so little is left of what made it [congested](Outbound::is_congested) that reading may go on. Takes no
    /// lock.
    pub(crate) fn is_relieved(&self) -> bool {
        self.pressure.is_relieved()
    }

    /// How far the peer has come with what waits for it; `None` while nothing waits. Takes no lock.
    #[inline]
    pub(crate) fn stalled_at(&self) -> Option<Progress> {
        self.pressure.stalled_at()
    }

    /// Whether a Close frame (or the end of the sending direction) is under way.
    pub(crate) fn is_sealed(&self) -> bool {
        self.lock().half.state != WriteState::Open
    }

    #[inline]
    fn lock(&self) -> Writer<'_> {
        // Nothing in this folder panics while it holds the lock; if it did, the half would still be consistent.
        self.writer(self.half.lock().unwrap_or_else(PoisonError::into_inner))
    }

    #[inline]
    fn writer<'o>(&'o self, half: MutexGuard<'o, Half>) -> Writer<'o> {
        Writer { half, stream: self.stream(), pressure: &self.pressure }
    }
}

impl Peer for std::sync::Arc<Outbound> {
    fn send(&self, slice: &Slice<'_>) -> Sent {
        let mut half = self.half.lock().unwrap_or_else(PoisonError::into_inner);
        if half.state != WriteState::Open {
            return Sent::Closed;
        }
        if half.backlog.is_some() {
            half.room_waits = true;
            return Sent::Blocked { frames: 0 };
        }
        let bytes = slice.bytes();
        let taken = self.stream().write(bytes);
        // Almost every delivery ends here: nothing waited and nothing waits, so no `Writer` has to mark anything.
        if matches!(taken, Ok(Taken { full: false, .. })) {
            return Sent::All;
        }
        let mut writer = self.writer(half);
        let Ok(taken) = writer.judge(taken) else { return Sent::Closed };
        let (frames, end) = slice.cut(taken.bytes);
        writer.half.room_waits = true;
        // Cut exactly between two frames there is nothing to keep, but the socket is full, and an empty backlog says so.
        let rest = &bytes[taken.bytes..end.max(taken.bytes)];
        writer.keep(rest, rest.len());
        writer.check();
        Sent::Blocked { frames }
    }

    fn reply(&self, frames: &[u8], messages: u64) {
        // A room says a word of its own once for each join, resume or publish, and must not be unheard: a lost GAP
        // would be a silent loss of messages.
        let mut writer = self.lock();
        if writer.send(frames, usize::MAX).is_ok()
            && !frames.is_empty()
            && let Some(budget) = &writer.half.budget
        {
            budget.count_told(messages, frames.len());
        }
    }

    fn address(&self) -> Option<std::net::SocketAddr> {
        self.stream().peer_addr().ok()
    }
}
