//! The write half of a connection, shared by every thread that has something to say on it.

use std::io;
use std::sync::{Mutex, MutexGuard, PoisonError};

use mio::net::TcpStream;

use super::stream::{Extra, Stream, StreamRef, Taken};
use super::{Share, Tally};
use crate::rooms::log::Slice;
use crate::rooms::{Peer, Sent};
use crate::ws::{CloseCode, Role, header};

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
        /// Whether the peer has taken [`PROGRESS_BYTES`] since the last time that this was said.
        progress: bool,
    },
    /// Nothing can be written any more.
    Closed,
}

/// How far the write half has got with closing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Phase {
    /// Takes everything.
    Open,
    /// A Close frame is sent or queued: nothing comes after it.
    Sealed,
    /// As `Sealed`, and the sending direction ends as soon as the queue is empty.
    Finishing,
    /// The sending direction has ended, or a write failed.
    Done,
}

/// Bytes of a backlog that count as progress: a peer that takes less is as good as one that takes nothing.
const PROGRESS_BYTES: u32 = 4 * 1024;

/// Whether a peer whose [`Outbound::stalled_at`] went from `from` to `to` has taken enough to count.
pub(crate) fn is_progress(from: u32, to: u32) -> bool {
    to.wrapping_sub(from) >= PROGRESS_BYTES
}

/// Bytes that wait for the socket. Exists only while the peer does not keep up.
#[derive(Debug, Default)]
struct Backlog {
    /// Goes first, without interruption: it begins with the rest of the frame in flight.
    rest: Vec<u8>,
    /// How much of `rest` is written.
    written: usize,
    /// Where in `rest` the frame in flight ends.
    whole_from: usize,
    /// The newest unanswered ping's pong; goes before `queue`.
    pong: Vec<u8>,
    /// Whole frames, in order.
    queue: Vec<u8>,
    /// All of it, as it is counted for all connections together.
    share: Option<Share>,
    /// The value of [`Half::progress`] that progress is counted from.
    progress_from: u32,
}

impl Backlog {
    /// Corrects what is counted, after a change.
    fn count(&mut self) {
        let held_bytes = self.held_bytes();
        if let Some(share) = &mut self.share {
            share.set(held_bytes);
        }
    }

    /// Bytes of memory, those among them that are written already: the buffers are given back when all of it is.
    fn held_bytes(&self) -> usize {
        self.rest.capacity() + self.pong.capacity() + self.queue.capacity()
    }

    /// Forgets everything but the frame in flight.
    fn cut(&mut self) {
        let end = if self.written <= self.whole_from {
            self.whole_from
        } else {
            frame_end(&self.rest, self.whole_from, self.written)
        };
        let rest = self.rest.get(self.written..end).unwrap_or_default();
        (self.rest, self.written, self.whole_from) = (rest.to_vec(), 0, rest.len());
        (self.pong, self.queue) = (Vec::new(), Vec::new());
    }

    fn len(&self) -> usize {
        self.rest.len() - self.written + self.pong.len() + self.queue.len()
    }

    /// Makes `rest` the next bytes to write. False if there are none.
    fn refill(&mut self) -> bool {
        if self.written < self.rest.len() {
            return true;
        }
        (self.written, self.whole_from) = (0, 0);
        self.rest.clear();
        self.rest.append(&mut self.pong);
        if self.rest.is_empty() {
            std::mem::swap(&mut self.rest, &mut self.queue);
        } else {
            self.rest.append(&mut self.queue);
        }
        !self.rest.is_empty()
    }
}

#[derive(Debug)]
struct Half {
    phase: Phase,
    /// What somebody else than the reactor has closed the session with; 0 if nobody has. It may not know yet.
    closed_elsewhere: u16,
    /// A room wants to send more once the backlog is gone.
    room_waits: bool,
    /// Grows with every byte of a backlog that is written, and by [`PROGRESS_BYTES`] whenever all of it is.
    progress: u32,
    backlog: Option<Box<Backlog>>,
    tally: Option<Tally>,
}

/// The write half of one connection: the socket, a short lock, and what could not be written yet.
///
/// Whoever has something to say takes the lock, writes to the non-blocking socket at once and leaves. Frames never
/// interleave: a frame cut off by a full socket is finished before anything else. Broadcasts are never queued here
/// (their bytes stay in the room's log), only direct replies and control frames are, up to `reply_bytes_max`.
///
/// The socket is closed when the last owner lets go, so nobody can ever write to a recycled descriptor.
#[derive(Debug)]
pub(crate) struct Outbound {
    socket: TcpStream,
    reply_bytes_max: u32,
    extra: Option<Box<Extra>>,
    half: Mutex<Half>,
}

// Every connection has one: what only some need has to find room elsewhere. (With debug assertions mio's sockets are
// larger.)
#[cfg(not(debug_assertions))]
const _: () = assert!(size_of::<Outbound>() <= 48);

impl Outbound {
    /// The write half of `stream`, which queues at most about `reply_bytes_max` bytes of replies. A single
    /// [`Outbound::send`] is always taken whole, so the true maximum is one call more.
    #[must_use]
    pub(crate) fn new(stream: Stream, reply_bytes_max: usize) -> Outbound {
        let half = Half {
            phase: Phase::Open,
            closed_elsewhere: 0,
            room_waits: false,
            progress: 0,
            backlog: None,
            tally: None,
        };
        let reply_bytes_max = u32::try_from(reply_bytes_max).unwrap_or(u32::MAX);
        let Stream { socket, extra } = stream;
        Outbound { socket, reply_bytes_max, extra, half: Mutex::new(half) }
    }

    /// Has the bytes that wait counted in `tally`, too.
    #[must_use]
    pub(crate) fn counted(mut self, tally: Tally) -> Outbound {
        self.half.get_mut().unwrap_or_else(PoisonError::into_inner).tally = Some(tally);
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
        self.lock().send(self.stream(), frames, self.reply_bytes_max as usize)
    }

    /// As [`Outbound::send`], for a caller that holds back its source when [`Outbound::is_congested`]: never refused
    /// for being full.
    ///
    /// # Errors
    /// [`SendError::Closed`].
    pub(crate) fn send_unbounded(&self, frames: &[u8]) -> Result<(), SendError> {
        self.lock().send(self.stream(), frames, usize::MAX)
    }

    /// As [`Outbound::send_unbounded`], for one frame whose payload is not to be copied behind its header.
    ///
    /// # Errors
    /// [`SendError::Closed`].
    pub(crate) fn send_parts(&self, header: &[u8], payload: &[u8]) -> Result<(), SendError> {
        self.lock().send_parts(self.stream(), header, payload)
    }

    /// Answers a ping. If earlier bytes still wait, this pong replaces any other that waits (RFC 6455 §5.5.3).
    pub(crate) fn pong(&self, frame: &[u8]) {
        let mut half = self.lock();
        if half.phase != Phase::Open {
            return;
        }
        if let Some(backlog) = &mut half.backlog {
            backlog.pong.clear();
            backlog.pong.extend_from_slice(frame);
            backlog.count();
        } else {
            let _open = half.send(self.stream(), frame, usize::MAX);
        }
    }

    /// Sends or queues a Close frame as the last one. False if one was sent before.
    pub(crate) fn close(&self, frame: &[u8]) -> bool {
        self.lock().close(self.stream(), frame)
    }

    /// As [`Outbound::close`], by somebody else than the reactor, who is to be told of this code.
    pub(crate) fn close_elsewhere(&self, frame: &[u8], code: CloseCode) -> bool {
        let mut half = self.lock();
        let first = half.close(self.stream(), frame);
        if first {
            half.closed_elsewhere = code.get();
        }
        first
    }

    /// What [`Outbound::close_elsewhere`] was called with.
    pub(crate) fn closed_elsewhere(&self) -> Option<CloseCode> {
        CloseCode::new(self.lock().closed_elsewhere)
    }

    /// Forgets what waits, except for the rest of the frame in flight, to free memory. Frames were lost: only a Close
    /// frame may follow.
    pub(crate) fn shed(&self) {
        let mut half = self.lock();
        if let Some(backlog) = &mut half.backlog {
            backlog.cut();
            backlog.count();
        }
        half.check();
    }

    /// Bytes of memory that what waits takes up: what it adds to the tally.
    pub(crate) fn held_bytes(&self) -> usize {
        self.lock().backlog.as_ref().map_or(0, |backlog| backlog.held_bytes())
    }

    /// Bytes that wait for the socket.
    pub(crate) fn untaken(&self) -> usize {
        self.lock().backlog.as_ref().map_or(0, |backlog| backlog.len())
    }

    /// Ends the sending direction as soon as everything queued is written; nothing more is accepted.
    pub(crate) fn finish(&self) {
        let mut half = self.lock();
        match half.phase {
            Phase::Open | Phase::Sealed => {
                half.phase = Phase::Finishing;
                half.end_if_empty(self.stream());
            }
            Phase::Finishing | Phase::Done => {}
        }
    }

    /// Ends the connection in both directions at once. For a connection that nobody reads any more but somebody may
    /// still hold.
    pub(crate) fn abort(&self) {
        let mut half = self.lock();
        half.phase = Phase::Done;
        half.backlog = None;
        self.stream().shutdown();
    }

    /// Writes on after the socket became writable. To be called for every such event.
    pub(crate) fn flush(&self) -> Flushed {
        let mut half = self.lock();
        let had_backlog = half.backlog.is_some();
        half.flush(self.stream());
        let flushed = match half.phase {
            Phase::Done => Flushed::Closed,
            Phase::Open | Phase::Sealed | Phase::Finishing if half.backlog.is_some() => {
                Flushed::Blocked { progress: half.take_progress() }
            }
            Phase::Open | Phase::Sealed | Phase::Finishing => {
                Flushed::Empty { resume: std::mem::take(&mut half.room_waits), progress: had_backlog }
            }
        };
        half.check();
        flushed
    }

    /// Whether replies wait that fill the queue by half: time to stop reading requests.
    pub(crate) fn is_congested(&self) -> bool {
        self.lock().backlog.as_ref().is_some_and(|backlog| backlog.len() > self.reply_bytes_max as usize / 2)
    }

    /// Whether so little is left of what made it [congested](Outbound::is_congested) that reading may go on: not at the
    /// same mark, or a peer that takes steadily would be read a few bytes at a time.
    pub(crate) fn is_relieved(&self) -> bool {
        let half = self.lock();
        half.backlog.as_ref().is_none_or(|backlog| backlog.len() <= self.reply_bytes_max as usize / 4)
    }

    /// A number that grows with the bytes that are written of those that wait, and by [`PROGRESS_BYTES`] at least when
    /// none are left; `None` while none wait.
    pub(crate) fn stalled_at(&self) -> Option<u32> {
        let half = self.lock();
        half.backlog.as_ref().map(|_| half.progress)
    }

    /// Whether a Close frame (or the end of the sending direction) is under way.
    pub(crate) fn is_sealed(&self) -> bool {
        self.lock().phase != Phase::Open
    }

    fn lock(&self) -> MutexGuard<'_, Half> {
        // Nothing in this file panics while it holds the lock; if it did, the half would still be consistent.
        self.half.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Peer for std::sync::Arc<Outbound> {
    fn send(&self, slice: &Slice<'_>) -> Sent {
        let mut half = self.lock();
        if half.phase != Phase::Open {
            return Sent::Closed;
        }
        if half.backlog.is_some() {
            half.room_waits = true;
            return Sent::Blocked { frames: 0 };
        }
        let bytes = slice.bytes();
        let Ok(taken) = half.write(self.stream(), bytes) else { return Sent::Closed };
        if !taken.full {
            return Sent::All;
        }
        let (frames, end) = slice.cut(taken.bytes);
        half.room_waits = true;
        // Cut exactly between two frames there is nothing to keep, but the socket is full, and an empty backlog says so.
        let rest = &bytes[taken.bytes..end.max(taken.bytes)];
        half.keep(rest, rest.len());
        half.check();
        Sent::Blocked { frames }
    }

    fn reply(&self, frames: &[u8]) {
        // A room says a word of its own once for each join, resume or publish, and must not be unheard: a lost GAP
        // would be a silent loss of messages.
        let _closing = self.send_unbounded(frames);
    }

    fn address(&self) -> Option<std::net::SocketAddr> {
        self.stream().peer_addr().ok()
    }
}

impl Half {
    /// Invariant: a room that waits is resumed once the backlog is gone, so there is one; or nothing is written any more.
    fn check(&self) {
        debug_assert!(
            !self.room_waits || self.backlog.is_some() || self.phase == Phase::Done,
            "a room waits for a socket that nothing waits for"
        );
    }

    fn close(&mut self, stream: StreamRef<'_>, frame: &[u8]) -> bool {
        let first = self.send(stream, frame, usize::MAX).is_ok();
        if self.phase == Phase::Open {
            self.phase = Phase::Sealed;
        }
        first
    }

    fn send(&mut self, stream: StreamRef<'_>, frames: &[u8], bytes_max: usize) -> Result<(), SendError> {
        if self.phase != Phase::Open {
            return Err(SendError::Closed);
        }
        if let Some(backlog) = &mut self.backlog {
            if backlog.len() > bytes_max {
                return Err(SendError::Full);
            }
            backlog.queue.extend_from_slice(frames);
            backlog.count();
            return Ok(());
        }
        let taken = self.write(stream, frames).map_err(|_| SendError::Closed)?;
        if taken.full {
            self.keep(&frames[taken.bytes..], frame_end(frames, 0, taken.bytes) - taken.bytes);
        }
        Ok(())
    }

    fn send_parts(&mut self, stream: StreamRef<'_>, header: &[u8], payload: &[u8]) -> Result<(), SendError> {
        if self.phase != Phase::Open {
            return Err(SendError::Closed);
        }
        let Taken { bytes: written, full } = if self.backlog.is_some() {
            Taken { bytes: 0, full: true }
        } else {
            self.judge(stream.write_parts(header, payload)).map_err(|_| SendError::Closed)?
        };
        let rest = [&header[written.min(header.len())..], &payload[written.saturating_sub(header.len())..]];
        if let Some(backlog) = &mut self.backlog {
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
    fn write(&mut self, stream: StreamRef<'_>, bytes: &[u8]) -> io::Result<Taken> {
        self.judge(stream.write(bytes))
    }

    #[inline]
    fn judge(&mut self, taken: io::Result<Taken>) -> io::Result<Taken> {
        taken.or_else(|error| self.refuse(error))
    }

    #[cold]
    fn refuse(&mut self, error: io::Error) -> io::Result<Taken> {
        if error.kind() == io::ErrorKind::WouldBlock {
            return Ok(Taken { bytes: 0, full: true });
        }
        self.phase = Phase::Done;
        self.backlog = None;
        Err(error)
    }

    /// Begins a backlog whose first `in_flight` bytes belong to a frame that is partly written.
    fn keep(&mut self, bytes: &[u8], in_flight: usize) {
        let mut backlog = Box::new(Backlog {
            rest: bytes.to_vec(),
            whole_from: in_flight,
            share: self.tally.as_ref().map(Tally::share),
            progress_from: self.progress,
            ..Backlog::default()
        });
        backlog.count();
        self.backlog = Some(backlog);
    }

    fn flush(&mut self, stream: StreamRef<'_>) {
        let taken = self.judge(stream.flush());
        if !self.note_progress(taken) {
            return;
        }
        while let Some(mut backlog) = self.backlog.take() {
            if !backlog.refill() {
                self.progress = self.progress.wrapping_add(PROGRESS_BYTES);
                break;
            }
            let taken = self.write(stream, &backlog.rest[backlog.written..]);
            backlog.written += taken.as_ref().map_or(0, |taken| taken.bytes);
            backlog.count();
            self.backlog = taken.is_ok().then_some(backlog);
            if !self.note_progress(taken) {
                return;
            }
        }
        self.end_if_empty(stream);
    }

    /// Whether more can be written. If not, a backlog stands for what waits, be it empty.
    fn note_progress(&mut self, taken: io::Result<Taken>) -> bool {
        let Ok(Taken { bytes, full }) = taken else { return false };
        self.progress = self.progress.wrapping_add(u32::try_from(bytes).unwrap_or(u32::MAX / 2));
        if full && self.backlog.is_none() {
            self.keep(&[], 0);
        }
        !full
    }

    /// Whether enough of the backlog was taken to count, since the last time that it was.
    fn take_progress(&mut self) -> bool {
        let progress = self.progress;
        let Some(backlog) = &mut self.backlog else { return false };
        let enough = is_progress(backlog.progress_from, progress);
        if enough {
            backlog.progress_from = progress;
        }
        enough
    }

    fn end_if_empty(&mut self, stream: StreamRef<'_>) {
        if self.phase == Phase::Finishing && self.backlog.is_none() {
            let taken = self.judge(stream.finish());
            if self.note_progress(taken) {
                self.phase = Phase::Done;
            }
        }
    }
}

/// Where the frame ends that the byte before `at` belongs to; `start` is where some frame begins, at or before `at`.
/// What is not made of whole frames has one end, that of the bytes.
fn frame_end(bytes: &[u8], start: usize, at: usize) -> usize {
    let mut end = start;
    while end < at {
        let len = match bytes.get(end..).and_then(|frame| header::parse(frame, Role::Client, true).ok()) {
            Some(Some(header)) => usize::try_from(header.payload_len)
                .ok()
                .and_then(|payload| payload.checked_add(header.header_len)),
            Some(None) | None => None,
        };
        end = len.and_then(|len| end.checked_add(len)).unwrap_or(bytes.len()).min(bytes.len());
        if end == bytes.len() {
            break;
        }
    }
    end.max(at)
}

#[cfg(test)]
mod tests {
    use std::io::Read;
    use std::net::{TcpListener, TcpStream};
    use std::sync::Arc;
    use std::time::Duration;

    use super::*;
    use crate::rooms::Timestamp;
    use crate::rooms::log::Log;

    const REPLY_BYTES: usize = 4096;

    /// A write half, and the peer that reads it.
    fn pair() -> (Arc<Outbound>, TcpStream) {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let peer = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
        peer.set_read_timeout(Some(Duration::from_secs(30))).unwrap();
        let (stream, _) = listener.accept().unwrap();
        stream.set_nonblocking(true).unwrap();
        let stream = Stream::plain(mio::net::TcpStream::from_std(stream));
        (Arc::new(Outbound::new(stream, REPLY_BYTES)), peer)
    }

    /// Sends until the socket takes no more; returns what was sent.
    fn fill(outbound: &Outbound) -> Vec<u8> {
        let (frame, mut sent) = ([b'.'; 50_000], Vec::new());
        while outbound.stalled_at().is_none() {
            outbound.send(&frame).unwrap();
            sent.extend_from_slice(&frame);
        }
        sent
    }

    /// Flushes while the peer reads; returns all that it read once nothing waits any more.
    fn drain(outbound: &Outbound, peer: &mut TcpStream, len: usize) -> Vec<u8> {
        let mut read = vec![0; len];
        let mut at = 0;
        while at < len {
            at += peer.read(&mut read[at..]).unwrap();
            outbound.flush();
        }
        read
    }

    #[test]
    fn what_a_room_has_to_say_is_queued_whatever_waits_already() {
        let (outbound, mut peer) = pair();
        let mut expected = fill(&outbound);
        while Outbound::send(&outbound, b"reply").is_ok() {
            expected.extend_from_slice(b"reply");
        }
        assert_eq!(Outbound::send(&outbound, b"more"), Err(SendError::Full));
        Peer::reply(&outbound, b"GAP");
        expected.extend_from_slice(b"GAP");
        assert!(drain(&outbound, &mut peer, expected.len()) == expected);
    }

    #[test]
    fn less_than_four_kibibytes_are_no_progress_and_what_is_written_counts_in_bytes() {
        for from in [0, 5, u32::MAX - 7] {
            for (bytes, counts) in [(0, false), (1, false), (4095, false), (4096, true), (1 << 20, true)] {
                assert_eq!(is_progress(from, from.wrapping_add(bytes)), counts, "{from} and {bytes}");
            }
        }
        let (outbound, mut peer) = pair();
        let sent = fill(&outbound);
        let (progress, waiting) = (outbound.stalled_at().unwrap(), outbound.untaken());
        // More than the socket takes at once, so that something goes on waiting.
        (0..4).for_each(|_| outbound.send_unbounded(&sent).unwrap());
        let mut taken = vec![0; sent.len() - waiting];
        peer.read_exact(&mut taken).unwrap();
        let all = waiting + 4 * sent.len();
        while outbound.untaken() == all {
            outbound.flush();
        }
        let written = all - outbound.untaken();
        assert_eq!(outbound.stalled_at(), Some(progress.wrapping_add(u32::try_from(written).unwrap())));
    }

    #[test]
    fn what_is_shed_ends_with_the_frame_in_flight_and_the_count_follows() {
        use crate::ws::{CloseCode, OpCode, encode};
        for frames_kept in [0, 1, 5] {
            let (outbound, mut peer) = pair();
            let tally = Tally::default();
            let outbound = Arc::new(Arc::into_inner(outbound).unwrap().counted(tally.clone()));
            let mut frames = Vec::new();
            for len in [0, 125, 126, 70_000] {
                encode::frame(&mut frames, OpCode::Binary, &vec![b'x'; len]);
            }
            let mut sent = 0;
            while outbound.stalled_at().is_none() {
                outbound.send_unbounded(&frames).unwrap();
                sent += frames.len();
            }
            for _ in 0..frames_kept {
                outbound.send_unbounded(&frames).unwrap();
                sent += frames.len();
            }
            assert!(tally.bytes() >= outbound.untaken());
            // So much as one flush can take is read before, so that the cut falls into what was queued, too.
            let mut taken = vec![0; sent / 2];
            peer.read_exact(&mut taken).unwrap();
            outbound.flush();
            outbound.shed();
            assert!(outbound.untaken() <= 70_010, "{}", outbound.untaken());
            assert!(tally.bytes() >= outbound.untaken());
            let mut close = Vec::new();
            encode::close(&mut close, Some(CloseCode::TOO_SLOW), "");
            outbound.close(&close);
            outbound.finish();
            let read = std::thread::spawn(move || peer.read_to_end(&mut taken).map(|_| taken));
            while outbound.flush() != Flushed::Closed {
                std::thread::yield_now();
            }
            let received = read.join().unwrap().unwrap();
            let whole = received.strip_suffix(&*close).unwrap();
            assert_eq!(frame_end(whole, 0, whole.len()), whole.len());
            let ends: Vec<_> = (0..=frames.len()).filter(|&at| frame_end(&frames, 0, at) == at).collect();
            assert!(ends.contains(&(whole.len() % frames.len())), "{} of {sent}", whole.len());
            assert_eq!(tally.bytes(), 0);
        }
    }

    #[test]
    fn a_frame_in_two_parts_arrives_whole_wherever_the_socket_cuts_it() {
        let (outbound, mut peer) = pair();
        let (payload, mut expected) = (vec![b'p'; 300_001], Vec::new());
        for _ in 0..60 {
            outbound.send_parts(b"header", &payload).unwrap();
            expected.extend_from_slice(b"header");
            expected.extend_from_slice(&payload);
        }
        assert!(outbound.stalled_at().is_some(), "so much does not fit");
        assert!(drain(&outbound, &mut peer, expected.len()) == expected);
        outbound.close(b"");
        assert_eq!(outbound.send_parts(b"header", b"late"), Err(SendError::Closed));
    }

    #[test]
    fn of_the_pongs_that_wait_only_the_newest_is_sent_before_other_replies() {
        let (outbound, mut peer) = pair();
        let mut expected = fill(&outbound);
        outbound.send_unbounded(b"reply").unwrap();
        outbound.pong(b"old");
        outbound.pong(b"new");
        expected.extend_from_slice(b"newreply");
        assert!(drain(&outbound, &mut peer, expected.len()) == expected);
        outbound.pong(b"at once");
        assert_eq!(drain(&outbound, &mut peer, 7), b"at once");
    }

    #[test]
    fn a_close_is_the_last_frame_and_the_end_comes_after_everything_that_waits() {
        let (outbound, mut peer) = pair();
        let mut expected = fill(&outbound);
        assert!(outbound.close(b"close"));
        assert!(!outbound.close(b"again"));
        outbound.pong(b"pong");
        assert_eq!(Outbound::send(&outbound, b"late"), Err(SendError::Closed));
        outbound.finish();
        expected.extend_from_slice(b"close");
        assert!(drain(&outbound, &mut peer, expected.len()) == expected);
        assert_eq!(peer.read(&mut [0; 1]).unwrap(), 0, "the end of the stream");
        assert_eq!(outbound.flush(), Flushed::Closed);
    }

    #[test]
    fn a_frame_that_was_begun_is_finished_before_anything_else_and_the_room_hears_of_it() {
        let (outbound, mut peer) = pair();
        let mut log = Log::default();
        for number in 0..200u8 {
            log.append(Timestamp::from_micros(1), |out| out.resize(out.len() + 50_000, number));
        }
        let mut cursor = 0;
        let mut read = Vec::new();
        while cursor < log.head() {
            let slice = log.slice(cursor, log.head()).unwrap();
            match Peer::send(&outbound, &slice) {
                Sent::All => cursor = log.head(),
                Sent::Blocked { frames } => cursor += frames,
                Sent::Closed => panic!("nobody has closed it"),
            }
            if cursor == log.head() && outbound.stalled_at().is_none() {
                break;
            }
            assert_eq!(Peer::send(&outbound, &slice), Sent::Blocked { frames: 0 });
            loop {
                let mut bytes = vec![0; 1 << 20];
                let count = peer.read(&mut bytes).unwrap();
                read.extend_from_slice(&bytes[..count]);
                if outbound.flush() == (Flushed::Empty { resume: true, progress: true }) {
                    break;
                }
            }
            let again = Flushed::Empty { resume: false, progress: false };
            assert_eq!(outbound.flush(), again, "a room is resumed once");
        }
        let rest = 200 * 50_000 - read.len();
        read.extend(drain(&outbound, &mut peer, rest));
        assert!(read.chunks(50_000).zip(0..).all(|(frame, number)| frame.iter().all(|byte| *byte == number)));
    }
}
