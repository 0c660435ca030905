//! A room's log compressed, for the members that agreed on that.

use std::sync::Arc;

use super::frames::{Log, Slice};
use super::view::{Plain, View};
use crate::rooms::message::frame::payload_of;
use crate::ws::OpCode;
use crate::ws::deflate::Deflate;

/// The messages of a log compressed (RFC 7692), each by itself.
///
/// A member needs nothing of it: a plain frame is as good as a compressed one (RSV1 is the frame's own), so a member
/// that lags behind its beginning is sent the plain ones.
#[derive(Debug, Default)]
pub(in crate::rooms) struct Deflated(View);

impl Deflated {
    /// See [`View::slice`].
    pub(in crate::rooms) fn slice(
        &mut self,
        plain: &Log,
        cursor: u64,
        last: u64,
        deflate: &Deflate,
    ) -> Option<Slice<'_>> {
        self.0.slice(plain, cursor, last, compress(deflate))
    }

    /// See [`View::share`].
    pub(in crate::rooms) fn share(
        &mut self,
        plain: &Log,
        cursor: u64,
        last: u64,
        deflate: &Deflate,
    ) -> Option<Arc<Log>> {
        self.0.share(plain, cursor, last, compress(deflate))
    }

    /// See [`View::follow`].
    pub(in crate::rooms) fn follow(&mut self, plain: &Log) {
        self.0.follow(plain);
    }
}

/// Appends the message of a whole plain frame, compressed if that helps.
fn compress(deflate: &Deflate) -> impl Fn(&mut Vec<u8>, Plain<'_>) {
    |out, (_, _, frame)| match frame.first().and_then(|first| OpCode::from_bits(first & 0x0f)) {
        Some(opcode) => deflate.frame(out, opcode, payload_of(frame), None),
        None => out.extend_from_slice(frame),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::rooms::log::frames::Window;
    use crate::rooms::timestamp::Timestamp;
    use crate::ws::deflate::{Level, WindowBits};
    use crate::ws::encode;

    const DEFLATE: Deflate = Deflate { level: Level::FASTEST, threshold_bytes: 100, window: WindowBits::MAX };
    const WINDOW: Window = Window { messages: 4, bytes: 1 << 20 };

    fn append(log: &mut Log, len: usize) {
        let at = Timestamp::from_micros(log.head());
        log.append(at, |out| encode::text(out, &"x".repeat(len)));
    }

    fn filled(count: usize, len: usize) -> Log {
        let mut log = Log::default();
        (0..count).for_each(|_| append(&mut log, len));
        log
    }

    fn held(deflated: &Deflated) -> Option<(u64, u64)> {
        deflated.0.held()
    }

    #[test]
    fn a_message_is_compressed_if_it_is_long_enough_and_plain_otherwise() {
        let (long, short) = (filled(2, 1000), filled(2, 99));
        let mut deflated = Deflated::default();
        let slice = deflated.slice(&long, 0, 2, &DEFLATE).unwrap();
        assert_eq!((slice.frames(), slice.bytes()[0]), (2, 0xc1));
        assert!(slice.bytes().len() < 100);
        let slice = Deflated::default().slice(&short, 0, 2, &DEFLATE).map(|slice| slice.bytes().to_vec());
        assert_eq!(slice.as_deref(), short.slice(0, 2).map(|slice| slice.bytes()));
    }

    #[test]
    fn a_message_is_compressed_once_however_many_ask() {
        let log = filled(3, 1000);
        let mut deflated = Deflated::default();
        let place = deflated.slice(&log, 1, 3, &DEFLATE).unwrap().bytes().as_ptr();
        assert_eq!(deflated.slice(&log, 1, 3, &DEFLATE).unwrap().bytes().as_ptr(), place);
        assert_eq!(held(&deflated), Some((2, 3)));
        assert_eq!(deflated.slice(&log, 2, 3, &DEFLATE).unwrap().frames(), 1);
    }

    #[test]
    fn whoever_is_behind_the_beginning_is_sent_plain_frames() {
        let log = filled(3, 1000);
        let mut deflated = Deflated::default();
        assert!(deflated.slice(&log, 2, 3, &DEFLATE).is_some());
        assert!(deflated.slice(&log, 1, 3, &DEFLATE).is_none());
        assert_eq!(held(&deflated), Some((3, 3)));
    }

    #[test]
    fn messages_that_nobody_asked_for_are_never_compressed() {
        let mut log = filled(3, 1000);
        let mut deflated = Deflated::default();
        assert!(deflated.slice(&log, 2, 3, &DEFLATE).is_some());
        (0..3).for_each(|_| append(&mut log, 1000));
        assert!(deflated.slice(&log, 5, 6, &DEFLATE).is_some());
        assert_eq!(held(&deflated), Some((6, 6)));
    }

    #[test]
    fn what_leaves_the_window_leaves_here_and_nothing_stays_when_nobody_asks() {
        let mut log = filled(4, 1000);
        let mut deflated = Deflated::default();
        assert!(deflated.slice(&log, 0, 4, &DEFLATE).is_some());
        for tail in 2..=4 {
            append(&mut log, 1000);
            log.evict(WINDOW, log.head());
            deflated.follow(&log);
            assert_eq!(held(&deflated), Some((tail, 4)));
        }
        append(&mut log, 1000);
        log.evict(WINDOW, log.head());
        deflated.follow(&log);
        assert_eq!(held(&deflated), None);
    }

    #[test]
    fn messages_taken_back_leave_no_trace() {
        let mut log = filled(3, 1000);
        let mut deflated = Deflated::default();
        assert!(deflated.slice(&log, 0, 3, &DEFLATE).is_some());
        log.truncate(2);
        deflated.follow(&log);
        append(&mut log, 2000);
        let mut alone = Deflated::default();
        let expected = alone.slice(&log, 2, 3, &DEFLATE).unwrap().bytes();
        assert_eq!(deflated.slice(&log, 2, 3, &DEFLATE).unwrap().bytes(), expected);
        log.truncate(1);
        deflated.follow(&log);
        assert_eq!(held(&deflated), Some((1, 1)));
        assert!(deflated.slice(&filled(3, 1000), 2, 3, &DEFLATE).is_some());
        deflated.follow(&log);
        assert_eq!(held(&deflated), None);
    }
}
