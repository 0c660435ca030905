//! The newest part of a room's log: encoded frames back to back in one buffer, numbered without holes.

use crate::rooms::timestamp::Timestamp;

/// Minimum number of dead bytes for a compaction.
// The buffers of small rooms stay below it and are never moved.
const COMPACT_BYTES_MIN: usize = 4 * 1024;

/// How much of a room's log stays in memory.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Window {
    /// Messages kept at most.
    pub messages: usize,
    /// Bytes of encoded frames kept at most (the newest message is kept, of any size).
    pub bytes: usize,
}

/// One message in the window.
#[derive(Clone, Copy, Debug)]
struct FrameEnd {
    /// Where its frame ends, counted from the first byte ever appended to this log.
    end: u64,
    /// When it was stored.
    at: Timestamp,
}

/// A run of frames that a member still needs, ready for one `send`.
#[derive(Clone, Copy, Debug)]
pub struct Slice<'a> {
    bytes: &'a [u8],
    entries: &'a [FrameEnd],
    /// Where `bytes` begins, on the scale of [`FrameEnd::end`].
    base: u64,
}

/// The frames up to one message, for cursors of which almost all are the same, as those of a room's members are: what was
/// found last is kept.
#[derive(Debug)]
pub(in crate::rooms) struct SlicesTo<'a> {
    log: &'a Log,
    last: u64,
    found: Option<(u64, Slice<'a>)>,
}

impl<'a> SlicesTo<'a> {
    pub(in crate::rooms) fn new(log: &'a Log, last: u64) -> SlicesTo<'a> {
        SlicesTo { log, last, found: None }
    }

    /// As [`Log::slice`].
    #[inline]
    pub(in crate::rooms) fn after(&mut self, cursor: u64) -> Option<&Slice<'a>> {
        if self.found.as_ref().is_none_or(|(found, _)| *found != cursor) {
            self.found = self.log.slice(cursor, self.last).map(|slice| (cursor, slice));
        }
        self.found.as_ref().map(|(_, slice)| slice)
    }
}

impl<'a> Slice<'a> {
    /// The frames, back to back.
    #[must_use]
    pub fn bytes(&self) -> &'a [u8] {
        self.bytes
    }

    /// How many frames there are.
    #[must_use]
    pub fn frames(&self) -> u64 {
        self.entries.len() as u64
    }

    /// For a write that took `written` bytes: how many frames were begun, and where the last of them ends (in bytes of
    /// this slice). The bytes from `written` to that end have to follow before anything else.
    #[must_use]
    pub fn cut(&self, written: usize) -> (u64, usize) {
        if written == 0 {
            return (0, 0);
        }
        let reached = self.base + written as u64;
        let begun = self.entries.partition_point(|entry| entry.end < reached) + 1;
        let end = self.entries.get(begun - 1).map_or(self.bytes.len(), |entry| self.offset(entry.end));
        (begun as u64, end)
    }

    /// The bytes of the first `frames` frames.
    #[must_use]
    pub fn bytes_of(&self, frames: u64) -> usize {
        let last = usize::try_from(frames).ok().and_then(|frames| frames.checked_sub(1));
        last.and_then(|last| self.entries.get(last)).map_or(0, |entry| self.offset(entry.end))
    }

    /// When the last of the first `frames` frames was published; `None` if there is none.
    #[must_use]
    pub fn at(&self, frames: u64) -> Option<Timestamp> {
        let last = usize::try_from(frames).ok()?.min(self.entries.len()).checked_sub(1)?;
        self.entries.get(last).map(|entry| entry.at)
    }

    fn offset(&self, end: u64) -> usize {
        usize::try_from(end - self.base).unwrap_or(self.bytes.len())
    }
}

/// The window of one room's log.
///
/// Positions are sequence numbers: the first message is 1, and a cursor of `n` means "has everything up to `n`".
/// Invariant: `entries[dead..]` are the messages `tail()..=head()`, and `bytes` holds exactly the frames of `entries`.
#[derive(Clone, Debug)]
pub struct Log {
    bytes: Vec<u8>,
    entries: Vec<FrameEnd>,
    /// Entries at the front that have left the window but not yet the buffers.
    dead: usize,
    /// `FrameEnd::end` of the message before `entries[0]`.
    base: u64,
    /// When that message was published; zero if that is not known, or if there is none.
    base_at: Timestamp,
    head: u64,
}

impl Default for Log {
    fn default() -> Self {
        Log::after(0)
    }
}

impl Log {
    /// An empty window whose next message is numbered `head + 1`.
    #[must_use]
    pub fn after(head: u64) -> Log {
        Log::after_message(head, Timestamp::default())
    }

    /// The same, where it is known when message `head` was published.
    pub(in crate::rooms) fn after_message(head: u64, at: Timestamp) -> Log {
        Log { bytes: Vec::new(), entries: Vec::new(), dead: 0, base: 0, base_at: at, head }
    }

    /// Becomes an empty window whose next message is numbered `head + 1`; keeps its memory for that.
    pub(in crate::rooms) fn restart(&mut self, head: u64) {
        self.bytes.clear();
        self.entries.clear();
        (self.dead, self.base, self.base_at, self.head) = (0, 0, Timestamp::default(), head);
    }

    /// Gives the numbers up to `head` to messages without a byte.
    pub(in crate::rooms) fn skip_to(&mut self, head: u64) {
        let at = self.entries.last().map_or(Timestamp::default(), |entry| entry.at);
        while self.head < head {
            self.append(at, |_| ());
        }
    }

    /// The number of the newest message; 0 before the first.
    #[must_use]
    pub fn head(&self) -> u64 {
        self.head
    }

    /// The number of the oldest message in the window; `head() + 1` while the window is empty.
    #[must_use]
    pub fn tail(&self) -> u64 {
        self.head + 1 - (self.entries.len() - self.dead) as u64
    }

    /// Bytes of frames in the window.
    #[must_use]
    pub fn window_bytes(&self) -> usize {
        self.bytes.len() - self.dead_bytes()
    }

    /// Appends the frame that `encode` writes, as message `head() + 1`.
    pub fn append(&mut self, at: Timestamp, encode: impl FnOnce(&mut Vec<u8>)) {
        encode(&mut self.bytes);
        self.entries.push(FrameEnd { end: self.base + self.bytes.len() as u64, at });
        self.head += 1;
    }

    /// Lets messages up to `fanned_out` leave the window, oldest first, as long as it is larger than `window`. The
    /// newest message always stays.
    ///
    /// Compacting moves the live bytes to the front; it happens when they are the smaller half, so each byte is moved
    /// once on average.
    pub fn evict(&mut self, window: Window, fanned_out: u64) {
        while self.entries.len() - self.dead > 1
            && self.tail() <= fanned_out
            && (self.entries.len() - self.dead > window.messages || self.window_bytes() > window.bytes)
        {
            self.dead += 1;
        }
        self.compact();
    }

    /// Lets the messages before `tail` leave the window, even if it has room for them.
    pub fn evict_before(&mut self, tail: u64) {
        while self.dead < self.entries.len() && self.tail() < tail {
            self.dead += 1;
        }
        self.compact();
    }

    /// The frames after `cursor` up to `last`, which is at most the head. `None` if some of them have left the window.
    #[must_use]
    pub fn slice(&self, cursor: u64, last: u64) -> Option<Slice<'_>> {
        if cursor + 1 < self.tail() || cursor > last || last > self.head {
            return None;
        }
        let first = self.entries.len() - usize::try_from(self.head - cursor).ok()?;
        let end = self.entries.len() - usize::try_from(self.head - last).ok()?;
        let base = self.end_before(first);
        let from = usize::try_from(base - self.base).ok()?;
        let to = usize::try_from(self.end_before(end) - self.base).ok()?;
        Some(Slice { bytes: &self.bytes[from..to], entries: &self.entries[first..end], base })
    }

    /// Takes back the messages after `last`: their numbers will be given again.
    pub fn truncate(&mut self, last: u64) {
        if last >= self.head || last + 1 < self.tail() {
            return;
        }
        let kept = self.entries.len() - usize::try_from(self.head - last).unwrap_or(0);
        let bytes = usize::try_from(self.end_before(kept) - self.base).unwrap_or(0);
        self.entries.truncate(kept);
        self.bytes.truncate(bytes);
        self.head = last;
    }

    /// The frame of one message, while it is in the window.
    #[must_use]
    pub fn frame(&self, seq: u64) -> Option<&[u8]> {
        self.message(seq).map(|(_, frame)| frame)
    }

    /// When one message was stored, and its frame, while it is in the window.
    #[must_use]
    pub fn message(&self, seq: u64) -> Option<(Timestamp, &[u8])> {
        let slice = self.slice(seq.checked_sub(1)?, seq)?;
        Some((slice.entries.first()?.at, slice.bytes()))
    }

    /// When the message `seq` was published, for those in the window and the one before; `None` for others. Zero if it
    /// is not known.
    #[must_use]
    pub fn time_of(&self, seq: u64) -> Option<Timestamp> {
        let following = usize::try_from(self.head.checked_sub(seq)?).ok()?;
        let end = self.entries.len().checked_sub(following)?;
        let before = end.checked_sub(1).and_then(|last| self.entries.get(last));
        Some(before.map_or(self.base_at, |entry| entry.at))
    }

    /// The cursor from which every message in the window later than `at` follows.
    #[must_use]
    pub fn cursor_at(&self, at: Timestamp) -> u64 {
        let live = &self.entries[self.dead..];
        self.tail() - 1 + live.partition_point(|entry| entry.at <= at) as u64
    }

    /// The cursor from which every message in the window follows that is as late as `at`, or later.
    pub(in crate::rooms) fn cursor_before(&self, at: Timestamp) -> u64 {
        let live = &self.entries[self.dead..];
        self.tail() - 1 + live.partition_point(|entry| entry.at < at) as u64
    }

    fn end_before(&self, index: usize) -> u64 {
        index.checked_sub(1).and_then(|before| self.entries.get(before)).map_or(self.base, |entry| entry.end)
    }

    fn dead_bytes(&self) -> usize {
        usize::try_from(self.end_before(self.dead) - self.base).unwrap_or(0)
    }

    /// Drops dead bytes from the front, if there are enough of them to make moving the rest worth it.
    fn compact(&mut self) {
        debug_assert!(self.dead <= self.entries.len(), "a message has left the window that was not in it");
        debug_assert_eq!(
            self.end_before(self.entries.len()),
            self.base + self.bytes.len() as u64,
            "bytes of no entry"
        );
        let dead_bytes = self.dead_bytes();
        if dead_bytes < COMPACT_BYTES_MIN || dead_bytes * 2 < self.bytes.len() {
            return;
        }
        self.base = self.end_before(self.dead);
        self.base_at = self.entries.get(self.dead - 1).map_or(self.base_at, |entry| entry.at);
        self.bytes.drain(..dead_bytes);
        self.entries.drain(..self.dead);
        self.dead = 0;
        // Four times as large as needed, so that a room whose traffic swings does not allocate again and again.
        if self.bytes.capacity() > 4 * self.bytes.len().max(COMPACT_BYTES_MIN) {
            self.bytes.shrink_to(2 * self.bytes.len());
            self.entries.shrink_to(2 * self.entries.len());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const WINDOW: Window = Window { messages: 4, bytes: 1000 };

    fn filled(count: u64) -> Log {
        let mut log = Log::default();
        for seq in 1..=count {
            log.append(Timestamp::from_micros(seq * 10), |out| {
                out.extend_from_slice(format!("<{seq}>").as_bytes())
            });
            log.evict(WINDOW, seq);
        }
        log
    }

    fn all_after(log: &Log, cursor: u64) -> Option<Slice<'_>> {
        log.slice(cursor, log.head())
    }

    #[test]
    fn a_slice_ends_where_it_is_told_to() {
        let log = filled(4);
        assert_eq!(log.slice(1, 3).unwrap().bytes(), b"<2><3>");
        assert_eq!(log.slice(2, 2).unwrap().frames(), 0);
        assert_eq!(log.frame(4).unwrap(), b"<4>");
        assert!(log.slice(0, 5).is_none() && log.frame(0).is_none());
    }

    #[test]
    fn the_bytes_of_some_frames_end_where_the_last_of_them_does() {
        let log = filled(12);
        let slice = all_after(&log, 8).unwrap();
        assert_eq!(slice.bytes(), b"<9><10><11><12>");
        assert_eq!([0, 1, 2, 4, 5].map(|frames| slice.bytes_of(frames)), [0, 3, 7, 15, 0]);
        let (begun, end) = slice.cut(4);
        assert_eq!((begun, end), (2, slice.bytes_of(2)));
    }

    #[test]
    fn messages_taken_back_leave_no_trace() {
        let mut log = filled(4);
        log.truncate(2);
        log.append(Timestamp::from_micros(50), |out| out.extend_from_slice(b"<other>"));
        assert_eq!(log.head(), 3);
        assert_eq!(all_after(&log, 1).unwrap().bytes(), b"<2><other>");
    }

    #[test]
    fn an_empty_log_has_nothing_to_send() {
        let log = Log::default();
        assert_eq!((log.head(), log.tail()), (0, 1));
        assert_eq!(all_after(&log, 0).unwrap().bytes(), b"");
        assert!(all_after(&log, 1).is_none());
    }

    #[test]
    fn a_slice_holds_the_frames_after_the_cursor() {
        let log = filled(3);
        assert_eq!(all_after(&log, 0).unwrap().bytes(), b"<1><2><3>");
        assert_eq!(all_after(&log, 2).unwrap().bytes(), b"<3>");
        assert_eq!(all_after(&log, 3).unwrap().frames(), 0);
    }

    #[test]
    fn what_left_the_window_cannot_be_sliced() {
        let log = filled(10);
        assert_eq!((log.tail(), log.head()), (7, 10));
        assert!(all_after(&log, 5).is_none());
        assert_eq!(all_after(&log, 6).unwrap().bytes(), b"<7><8><9><10>");
    }

    #[test]
    fn messages_not_yet_served_stay_whatever_the_window_says() {
        let mut log = Log::default();
        for seq in 1..=10 {
            log.append(Timestamp::from_micros(seq), |out| out.push(b'x'));
            log.evict(WINDOW, 2);
        }
        assert_eq!(log.tail(), 3);
    }

    #[test]
    fn the_byte_limit_spares_the_newest_message() {
        let mut log = Log::default();
        for seq in 1..=3u64 {
            log.append(Timestamp::from_micros(seq), |out| out.resize(out.len() + 5000, b'x'));
            log.evict(WINDOW, seq);
            assert_eq!(log.tail(), seq);
            assert_eq!(all_after(&log, seq - 1).unwrap().bytes().len(), 5000);
        }
    }

    #[test]
    fn a_cut_tells_the_frames_begun_and_where_the_last_one_ends() {
        let log = filled(3);
        let slice = all_after(&log, 0).unwrap();
        let cuts: Vec<_> = (0..=9).map(|written| slice.cut(written)).collect();
        assert_eq!(cuts, [(0, 0), (1, 3), (1, 3), (1, 3), (2, 6), (2, 6), (2, 6), (3, 9), (3, 9), (3, 9)]);
    }

    #[test]
    fn a_time_is_found_as_the_cursor_before_the_first_later_message() {
        let log = filled(10);
        let found: Vec<_> =
            [0, 69, 70, 75, 100, 500].map(|at| log.cursor_at(Timestamp::from_micros(at))).into();
        assert_eq!(found, [6, 6, 7, 7, 10, 10]);
    }

    #[test]
    fn messages_before_a_number_leave_whatever_the_window_says() {
        let mut log = filled(4);
        log.evict_before(3);
        assert_eq!((log.tail(), log.head(), log.window_bytes()), (3, 4, 6));
        assert_eq!(log.message(3).map(|(at, frame)| (at.micros(), frame)), Some((30, &b"<3>"[..])));
        assert!(log.message(2).is_none() && log.message(5).is_none());
        log.evict_before(9);
        assert_eq!((log.tail(), log.head(), log.window_bytes()), (5, 4, 0));
        log.append(Timestamp::from_micros(50), |out| out.extend_from_slice(b"<5>"));
        assert_eq!(all_after(&log, 4).unwrap().bytes(), b"<5>");
    }

    #[test]
    fn compaction_changes_nothing_that_can_be_seen() {
        let mut log = Log::default();
        for seq in 1..=5000u64 {
            log.append(Timestamp::from_micros(seq), |out| out.extend_from_slice(&seq.to_be_bytes()));
            log.evict(Window { messages: 16, bytes: 1 << 20 }, seq);
            let slice = all_after(&log, seq - 1).unwrap();
            assert_eq!(slice.bytes(), seq.to_be_bytes());
            assert_eq!(slice.cut(3), (1, 8));
        }
        assert!(log.bytes.len() < 3 * COMPACT_BYTES_MIN, "dead bytes pile up: {}", log.bytes.len());
    }
}
