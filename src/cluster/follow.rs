//! How far a room's log has been shown here, and what of what is heard of it comes next.

use std::collections::VecDeque;

use crate::rooms::store_api::Stored;

/// Epochs that a log had before, as many as are remembered.
const PAST_EPOCHS_MAX: usize = 8;

/// How far the log of one room has been shown.
///
/// ```text
///            opens              opened               ends
/// Closed ──────────▶ Opening ──────────▶ Live ──────────▶ Closed
/// ```
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) enum Follow {
    /// Nobody wants to see it.
    #[default]
    Closed,
    /// It is being opened; `heard`: something was announced meanwhile.
    Opening { heard: bool },
    /// Everything up to `shown` was shown, of this epoch.
    Live(Live),
}

/// A log that is being shown.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Live {
    pub(super) epoch: u64,
    pub(super) shown: u64,
    reading: Reading,
    /// Epochs that are over; announcements of them are late.
    past: VecDeque<u64>,
}

/// Whether a part of the log is being read, because it was not heard.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Reading {
    No,
    /// `again`: more was missed meanwhile.
    Under {
        again: bool,
    },
}

/// What follows from something that was heard.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Heard {
    /// It was known, or nobody wants to know.
    Nothing,
    /// These are next.
    Show(Vec<Stored>),
    /// The log is to be read from what was shown last.
    Read,
}

impl Follow {
    /// It is about to be opened.
    pub(super) fn opens(&mut self) {
        *self = Follow::Opening { heard: false };
    }

    /// It was opened and everything up to `head` was shown; says whether the log is to be read, since there may be more.
    pub(super) fn opened(&mut self, epoch: u64, head: u64) -> bool {
        let heard = matches!(self, Follow::Opening { heard: true });
        let reading = if heard { Reading::Under { again: false } } else { Reading::No };
        *self = Follow::Live(Live { epoch, shown: head, reading, past: VecDeque::new() });
        heard
    }

    /// Messages of this epoch are in the log; without any, the next one will be `first`.
    pub(super) fn hear(&mut self, epoch: u64, first: u64, messages: Vec<Stored>) -> Heard {
        let live = match self {
            Follow::Closed => return Heard::Nothing,
            Follow::Opening { heard } => {
                *heard = true;
                return Heard::Nothing;
            }
            Follow::Live(live) => live,
        };
        if epoch != live.epoch {
            return if live.past.contains(&epoch) { Heard::Nothing } else { live.read() };
        }
        live.next(first, messages)
    }

    /// Something was missed, whatever it was.
    pub(super) fn miss(&mut self) -> Heard {
        match self {
            Follow::Closed => Heard::Nothing,
            Follow::Opening { heard } => {
                *heard = true;
                Heard::Nothing
            }
            Follow::Live(live) => live.read(),
        }
    }

    /// The log, if it is being shown.
    pub(super) fn live(&mut self) -> Option<&mut Live> {
        match self {
            Follow::Live(live) => Some(live),
            Follow::Closed | Follow::Opening { .. } => None,
        }
    }
}

impl Live {
    /// The part of dense messages that has not been shown, if it follows; otherwise it is to be read.
    pub(super) fn next(&mut self, first: u64, mut messages: Vec<Stored>) -> Heard {
        if first > self.shown + 1 {
            return self.read();
        }
        messages.retain(|message| message.seq > self.shown);
        let Some(last) = messages.last() else { return Heard::Nothing };
        self.shown = last.seq;
        Heard::Show(messages)
    }

    fn read(&mut self) -> Heard {
        match &mut self.reading {
            Reading::Under { again } => {
                *again = true;
                Heard::Nothing
            }
            reading @ Reading::No => {
                *reading = Reading::Under { again: false };
                Heard::Read
            }
        }
    }

    /// The log was read to its end; says whether it is to be read once more.
    pub(super) fn has_read(&mut self) -> bool {
        let again = self.reading == Reading::Under { again: true };
        self.reading = if again { Reading::Under { again: false } } else { Reading::No };
        again
    }

    /// The log could not be read.
    pub(super) fn has_not_read(&mut self) {
        self.reading = Reading::No;
    }

    /// The log goes on under this epoch, shown up to `head`.
    pub(super) fn turn(&mut self, epoch: u64, head: u64) {
        if epoch != self.epoch {
            if self.past.len() == PAST_EPOCHS_MAX {
                self.past.pop_front();
            }
            self.past.push_back(self.epoch);
            self.past.retain(|past| *past != epoch);
        }
        (self.epoch, self.shown) = (epoch, head);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::rooms::{Kind, Timestamp};

    fn messages(seqs: std::ops::RangeInclusive<u64>) -> Vec<Stored> {
        let message = |seq| Stored {
            seq,
            at: Timestamp::from_micros(seq),
            kind: Kind::Message,
            sender: "".into(),
            content: "".into(),
            client_id: None,
            presence: None,
        };
        seqs.map(message).collect()
    }

    fn live(epoch: u64, shown: u64) -> Follow {
        let mut follow = Follow::default();
        follow.opens();
        assert!(!follow.opened(epoch, shown));
        follow
    }

    #[test]
    fn what_follows_is_shown_once() {
        let mut follow = live(1, 4);
        assert_eq!(follow.hear(1, 5, messages(5..=6)), Heard::Show(messages(5..=6)));
        assert_eq!(follow.hear(1, 5, messages(5..=6)), Heard::Nothing);
        assert_eq!(follow.hear(1, 6, messages(6..=7)), Heard::Show(messages(7..=7)));
        assert_eq!(follow.hear(1, 2, messages(2..=3)), Heard::Nothing);
    }

    #[test]
    fn a_hole_is_read_once_and_again_if_more_was_missed_meanwhile() {
        let mut follow = live(1, 4);
        assert_eq!(follow.hear(1, 6, messages(6..=6)), Heard::Read);
        assert_eq!(follow.hear(1, 7, messages(7..=7)), Heard::Nothing);
        let log = follow.live().unwrap();
        assert_eq!(log.next(5, messages(5..=6)), Heard::Show(messages(5..=6)));
        assert!(log.has_read());
        assert_eq!(log.next(7, messages(7..=7)), Heard::Show(messages(7..=7)));
        assert!(!log.has_read());
        assert_eq!(follow.hear(1, 8, messages(8..=8)), Heard::Show(messages(8..=8)));
    }

    #[test]
    fn what_is_announced_while_a_room_opens_is_read() {
        let mut follow = Follow::default();
        assert_eq!(follow.hear(1, 1, messages(1..=1)), Heard::Nothing);
        follow.opens();
        assert_eq!(follow.hear(1, 1, messages(1..=1)), Heard::Nothing);
        assert!(follow.opened(1, 0));
        assert_eq!(follow.miss(), Heard::Nothing);
        assert!(follow.live().unwrap().has_read());
    }

    #[test]
    fn another_epoch_is_read_and_one_that_is_over_is_not() {
        let mut follow = live(1, 4);
        assert_eq!(follow.hear(2, 1, messages(1..=1)), Heard::Read);
        let log = follow.live().unwrap();
        log.turn(2, 1);
        assert!(!log.has_read());
        assert_eq!(follow.hear(1, 5, messages(5..=5)), Heard::Nothing);
        assert_eq!(follow.hear(2, 2, messages(2..=2)), Heard::Show(messages(2..=2)));
    }

    #[test]
    fn an_announcement_without_messages_tells_of_those_before_it() {
        let mut follow = live(1, 4);
        assert_eq!(follow.hear(1, 5, Vec::new()), Heard::Nothing);
        assert_eq!(follow.hear(1, 6, Vec::new()), Heard::Read);
        follow.live().unwrap().has_not_read();
        assert_eq!(follow.miss(), Heard::Read);
    }
}
