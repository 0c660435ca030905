//! What a session has under way, and since when: a message that has begun, input that waits to be inflated, output that its
//! peer does not take. An idle session has nothing of it and pays for one pointer.

use super::stall::Stall;
use crate::reactor::clock::wheel::Tick;
use crate::reactor::inflation::Leftover;
use crate::transport::{Charge, MemoryBudget};

/// Invariant: the box is there only while one of its parts is, but for the moment in which input is taken out.
#[derive(Debug, Default)]
pub(crate) struct UnderWay(Option<Box<Parts>>);

#[derive(Debug, Default)]
struct Parts {
    unfinished: Option<Unfinished>,
    /// Read, and waiting to be inflated: nothing else is read before.
    leftover: Option<Leftover>,
    stall: Option<Stall>,
}

/// A message that has begun and not ended.
#[derive(Debug)]
pub(crate) struct Unfinished {
    since: Tick,
    /// When the message before it ended, if it was seen to. Invariant: not later than `since`.
    whole_at: Tick,
    /// Since when the session is not read, if it is not, for a reason that its message must not suffer for.
    held_back_at: Option<Tick>,
    pub(crate) held: Charge,
}

impl UnderWay {
    /// What waits to be inflated. Whatever is left of it is put back.
    #[inline]
    pub(crate) fn take_leftover(&mut self) -> Option<Leftover> {
        self.0.as_mut()?.leftover.take()
    }

    pub(crate) fn put_leftover(&mut self, leftover: Leftover) {
        self.0.get_or_insert_default().leftover = Some(leftover);
    }

    pub(crate) fn leftover(&self) -> Option<&Leftover> {
        self.0.as_ref()?.leftover.as_ref()
    }

    pub(crate) fn unfinished(&self) -> Option<&Unfinished> {
        self.0.as_ref()?.unfinished.as_ref()
    }

    /// The message that is under way, which has begun now unless it was there before.
    pub(crate) fn message(&mut self, now: Tick, waiting: &MemoryBudget) -> &mut Unfinished {
        let begin = || {
            let (since, held) = (now, waiting.charge());
            Unfinished { since, whole_at: 0, held_back_at: None, held }
        };
        let unfinished = self.0.get_or_insert_default().unfinished.get_or_insert_with(begin);
        debug_assert!(
            unfinished.since >= unfinished.whole_at,
            "a message cannot have begun before the last one ended"
        );
        unfinished
    }

    /// No message is under way.
    #[inline]
    pub(crate) fn end_message(&mut self) {
        if let Some(parts) = &mut self.0 {
            parts.unfinished = None;
            self.tidy();
        }
    }

    /// A message has ended: the next one, if it is under way, has begun now.
    #[inline]
    pub(crate) fn begin_anew(&mut self, now: Tick) {
        if let Some(unfinished) = self.unfinished_mut() {
            (unfinished.since, unfinished.whole_at) = (now, now);
        }
    }

    /// This time does not count against the message.
    pub(crate) fn postpone(&mut self, time: Tick) {
        if let Some(unfinished) = self.unfinished_mut() {
            unfinished.since = unfinished.since.saturating_add(time);
        }
    }

    /// Notes whether the session is not read for a reason that its message must not suffer for.
    #[inline]
    pub(crate) fn note_held_back(&mut self, is_held_back: bool, now: Tick) {
        let Some(unfinished) = self.unfinished_mut() else { return };
        match (unfinished.held_back_at, is_held_back) {
            (None, true) => unfinished.held_back_at = Some(now),
            (Some(at), false) => {
                unfinished.since = unfinished.since.saturating_add(now.saturating_sub(at));
                unfinished.held_back_at = None;
            }
            (None, false) | (Some(_), true) => {}
        }
    }

    /// Since when the client owes the rest of a message. What waits for its turn, or could not be read, it does not owe.
    pub(crate) fn unread_since(&self) -> Option<Tick> {
        let unfinished = self.unfinished()?;
        (self.leftover().is_none() && unfinished.held_back_at.is_none()).then_some(unfinished.since)
    }

    pub(crate) fn stall(&self) -> Option<Stall> {
        self.0.as_ref()?.stall
    }

    pub(crate) fn note_stall(&mut self, stall: Option<Stall>) {
        if stall != self.stall() {
            self.0.get_or_insert_default().stall = stall;
            self.tidy();
        }
    }

    /// Bytes that are held of what the client has sent.
    pub(crate) fn held_bytes(&self) -> usize {
        let leftover = self.leftover().map_or(0, Leftover::held_bytes);
        leftover + self.unfinished().map_or(0, |unfinished| unfinished.held.bytes())
    }

    fn unfinished_mut(&mut self) -> Option<&mut Unfinished> {
        self.0.as_mut()?.unfinished.as_mut()
    }

    /// Whether the invariant holds.
    #[cfg(debug_assertions)]
    pub(crate) fn is_tidy(&self) -> bool {
        self.0.as_ref().is_none_or(|parts| {
            parts.unfinished.is_some() || parts.leftover.is_some() || parts.stall.is_some()
        })
    }

    fn tidy(&mut self) {
        let nothing = |parts: &mut Box<Parts>| {
            parts.unfinished.is_none() && parts.leftover.is_none() && parts.stall.is_none()
        };
        self.0.take_if(nothing);
    }
}
