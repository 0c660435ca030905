//! Another form of a room's log, beside the log.

use std::sync::Arc;

use super::frames::{Log, Slice};
use crate::rooms::timestamp::Timestamp;

/// A log beside the log, with the same numbers. It begins where a member first asks for it, grows as members ask for
/// more, and ends when no member does any longer: a room without such members writes nothing twice and keeps nothing.
#[derive(Debug, Default)]
pub(in crate::rooms) struct View {
    /// Shared only while the fan-out pool sends.
    log: Option<Arc<Log>>,
}

/// One message of the plain log: its number, its time, its frame.
pub(in crate::rooms) type Plain<'a> = (u64, Timestamp, &'a [u8]);

impl View {
    /// The messages after `cursor` up to `last`, which the plain log has. Each is written when it is asked for first,
    /// and once for all members. `None` for a cursor before the beginning.
    pub(in crate::rooms) fn slice(
        &mut self,
        plain: &Log,
        cursor: u64,
        last: u64,
        write: impl Fn(&mut Vec<u8>, Plain<'_>),
    ) -> Option<Slice<'_>> {
        self.extend(plain, cursor, last, write)?.slice(cursor, last)
    }

    /// The log that [`View::slice`] is taken of, to be read while it does not change.
    pub(in crate::rooms) fn share(
        &mut self,
        plain: &Log,
        cursor: u64,
        last: u64,
        write: impl Fn(&mut Vec<u8>, Plain<'_>),
    ) -> Option<Arc<Log>> {
        self.extend(plain, cursor, last, write)?;
        self.log.clone()
    }

    /// As [`View::slice`], and begins anew for a cursor before the beginning.
    pub(in crate::rooms) fn reach_back(
        &mut self,
        plain: &Log,
        cursor: u64,
        last: u64,
        write: impl Fn(&mut Vec<u8>, Plain<'_>),
    ) -> Option<&Log> {
        if self.log.as_ref().is_some_and(|log| cursor + 1 < log.tail()) {
            self.log = None;
        }
        self.extend(plain, cursor, last, write)
    }

    fn extend(
        &mut self,
        plain: &Log,
        cursor: u64,
        last: u64,
        write: impl Fn(&mut Vec<u8>, Plain<'_>),
    ) -> Option<&Log> {
        if self.log.as_ref().is_none_or(|log| log.head() < cursor) {
            self.log = Some(Arc::new(Log::after(cursor)));
        }
        let log = Arc::make_mut(self.log.as_mut()?);
        while log.head() < last {
            let seq = log.head() + 1;
            let (at, frame) = plain.message(seq)?;
            log.append(at, |out| write(out, (seq, at, frame)));
        }
        Some(log)
    }

    /// Lets go of what has left the plain log's window, or was taken back.
    pub(in crate::rooms) fn follow(&mut self, plain: &Log) {
        if let Some(log) = &mut self.log {
            let log = Arc::make_mut(log);
            log.truncate(plain.head());
            log.evict_before(plain.tail());
            if log.tail() > log.head() || log.head() > plain.head() {
                self.log = None;
            }
        }
        let head = self.log.as_ref().map_or(0, |log| log.head());
        debug_assert!(head <= plain.head(), "no view has more than the plain log");
    }

    /// Whether nothing is kept.
    pub(in crate::rooms) fn is_empty(&self) -> bool {
        self.log.is_none()
    }

    /// The first and the last message that are kept.
    #[cfg(test)]
    pub(in crate::rooms) fn held(&self) -> Option<(u64, u64)> {
        self.log.as_ref().map(|log| (log.tail(), log.head()))
    }
}
