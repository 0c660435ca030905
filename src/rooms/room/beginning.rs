//! Where a reader begins.

use super::state::Room;
use crate::rooms::api::peer::Peer;
use crate::rooms::message::notice::Notice;
use crate::rooms::timestamp::Timestamp;
use crate::rooms::values::Start;

/// Messages that a reader may have seen at another node beyond what is shown here. Whoever claims more is told that it is none of
/// this log.
const AHEAD_MAX: u64 = 4_096;

/// Where a reader begins.
#[derive(Clone, Copy, Debug)]
pub(in crate::rooms) struct Beginning {
    pub(in crate::rooms) cursor: u64,
    /// A time that has left the window of a stored room stays a time.
    pub(in crate::rooms) since: Option<Timestamp>,
    /// What the reader has to be told first that it will not get.
    pub(in crate::rooms) gap: Option<(u64, u64)>,
    /// When the last message was published that the reader has, or earlier.
    pub(in crate::rooms) at: Timestamp,
}

impl<P: Peer> Room<P> {
    /// Where a reader begins. What is kept no longer is [known](Room::expire) already.
    pub(in crate::rooms) fn beginning(&self, start: Start) -> Beginning {
        let head = self.positions.visible();
        let kept_after =
            self.conflated.as_ref().map_or(self.positions.oldest() - 1, |conflated| conflated.lost());
        // Where it is not known when a message was published, the beginning of time is early enough.
        let at = |cursor| {
            let at = self.log.time_of(cursor).unwrap_or_default();
            Beginning { cursor, since: None, gap: None, at }
        };
        let wanted = match start {
            Start::Live => return at(head),
            Start::Last(count) => return at(head.saturating_sub(count).max(kept_after)),
            Start::Since(time) if let Some(conflated) = &self.conflated => {
                conflated.cursor_at(time).min(head)
            }
            Start::Since(time) => return self.beginning_since(time, kept_after),
            Start::After { seq, epoch } if seq <= head && self.is_known(seq, epoch) => seq,
            // Another node has shown what this one will hear of: it is not shown again.
            Start::After { seq, epoch: Some(epoch) } if self.may_be_ahead(seq, epoch) => {
                return Beginning { cursor: seq, ..at(head) };
            }
            // A position in another log than this one: none of this log's messages has been seen.
            Start::After { .. } => return Beginning { gap: Some(Notice::whole_log(head)), ..at(head) },
        };
        let gap = (wanted < kept_after).then_some((wanted + 1, kept_after));
        Beginning { gap, at: at(wanted).at, ..at(wanted.max(kept_after)) }
    }

    /// Where a reader begins that has everything up to `time`.
    fn beginning_since(&self, time: Timestamp, kept_after: u64) -> Beginning {
        let cursor = self.log.cursor_at(time).min(self.positions.visible());
        let at = self.log.time_of(cursor).unwrap_or_default();
        // Not that of a message whose time is not known, which is zero.
        let has_all_before = cursor + 1 > self.log.tail() || (at > Timestamp::default() && at <= time);
        if self.stored_as.is_some() && !has_all_before && kept_after < cursor {
            return Beginning { cursor, since: Some(time), gap: None, at: time };
        }
        // How many of the messages that are gone were later than `time` cannot be told any more.
        let gap = (kept_after > 0 && time < self.gone_at).then_some((1, kept_after));
        Beginning { cursor: cursor.max(kept_after), since: None, gap, at: at.min(time) }
    }

    /// Whether a position may be one that another node has shown, and this one not yet.
    fn may_be_ahead(&self, seq: u64, epoch: u64) -> bool {
        let ahead = seq.saturating_sub(self.positions.visible());
        self.submissions.is_some() && epoch == self.epoch && (1..=AHEAD_MAX).contains(&ahead)
    }

    /// Whether a position is one in this log. Before the first message of any is the number 0 of the epoch 0.
    fn is_known(&self, seq: u64, epoch: Option<u64>) -> bool {
        epoch.is_none_or(|epoch| epoch == self.epoch || (epoch, seq) == (0, 0))
    }
}
