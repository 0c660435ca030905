//! How far a room has got: the positions in its log that move, and the order that they keep.

/// The positions of one room in its log. The log itself knows its head.
///
/// ```text
///   oldest - 1 <= visible       what can be read is not gone before it was shown
///   fanned_out <= visible       members are sent what is visible
///   stored     <= visible       a message is shown when it is stored, or before
///   stored     <= recorded      the store has what was handed to it
///   visible, recorded <= head
/// ```
///
/// Invariant: this order holds after each change.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::rooms) struct Positions {
    /// The oldest message that can be read at all, as far as is known.
    oldest: u64,
    /// Every member that was ready has been sent the messages up to here, so they may leave the window.
    fanned_out: u64,
    /// The newest message that may be shown: any message without a store, otherwise the committed ones.
    visible: u64,
    /// The newest message that was, or is about to be, handed to the store.
    recorded: u64,
    /// The newest message that is stored.
    stored: u64,
}

impl Positions {
    /// Of a log whose messages up to `head` are stored and visible, and begin with `oldest`.
    pub(in crate::rooms) fn restored(oldest: u64, head: u64) -> Positions {
        let positions = Positions { oldest, fanned_out: head, visible: head, recorded: head, stored: head };
        positions.check(head);
        positions
    }

    pub(in crate::rooms) fn oldest(&self) -> u64 {
        self.oldest
    }

    pub(in crate::rooms) fn fanned_out(&self) -> u64 {
        self.fanned_out
    }

    pub(in crate::rooms) fn visible(&self) -> u64 {
        self.visible
    }

    pub(in crate::rooms) fn stored(&self) -> u64 {
        self.stored
    }

    /// Whether everything that was handed to the store is stored.
    pub(in crate::rooms) fn is_all_stored(&self) -> bool {
        self.recorded == self.stored
    }

    /// The messages up to `seq` may be shown.
    pub(in crate::rooms) fn publish_up_to(&mut self, seq: u64, head: u64) {
        self.visible = self.visible.max(seq.min(head));
        self.check(head);
    }

    /// Message `seq` is about to be handed to the store.
    pub(in crate::rooms) fn record(&mut self, seq: u64, head: u64) {
        self.recorded = seq;
        self.check(head);
    }

    /// The messages up to `seq` are stored, and may be shown.
    pub(in crate::rooms) fn commit(&mut self, seq: u64, head: u64) {
        self.stored = seq;
        self.publish_up_to(seq, head);
    }

    /// What is not stored was taken back, or will never be stored.
    pub(in crate::rooms) fn roll_back(&mut self, head: u64) {
        self.recorded = self.stored;
        self.check(head);
    }

    /// Every member that is ready has been sent the messages up to `seq`.
    pub(in crate::rooms) fn fan_out_to(&mut self, seq: u64) {
        self.fanned_out = seq;
        debug_assert!(self.fanned_out <= self.visible, "members are sent what is visible: {self:?}");
    }

    /// A member begins after message `seq`, and has not had its turn: what follows stays in the window until then.
    pub(in crate::rooms) fn fan_out_from(&mut self, seq: u64) {
        self.fanned_out = self.fanned_out.min(seq);
    }

    /// The messages before `oldest` cannot be read any more.
    pub(in crate::rooms) fn begin_at(&mut self, oldest: u64) {
        self.oldest = oldest;
        debug_assert!(self.oldest <= self.visible + 1, "what is not shown yet is not gone: {self:?}");
    }

    /// # Panics
    /// In builds with assertions, if the order does not hold.
    pub(in crate::rooms) fn check(&self, head: u64) {
        debug_assert!(self.oldest <= self.visible + 1, "what is not shown yet is not gone: {self:?}");
        debug_assert!(self.fanned_out <= self.visible, "members are sent what is visible: {self:?}");
        debug_assert!(self.stored <= self.visible, "what is stored may be shown: {self:?}");
        debug_assert!(self.stored <= self.recorded, "the store has only what was handed to it: {self:?}");
        debug_assert!(self.visible.max(self.recorded) <= head, "positions beyond the head {head}: {self:?}");
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn positions_keep_their_order_from_append_to_commit() {
        let mut positions = Positions::restored(3, 10);
        positions.record(11, 11);
        assert_eq!((positions.visible(), positions.is_all_stored()), (10, false));
        positions.commit(11, 12);
        positions.publish_up_to(20, 12);
        assert_eq!((positions.visible(), positions.stored(), positions.is_all_stored()), (12, 11, true));
        positions.fan_out_to(12);
        positions.fan_out_from(9);
        assert_eq!((positions.fanned_out(), positions.oldest()), (9, 3));
    }

    #[test]
    fn what_is_taken_back_is_not_waited_for() {
        let mut positions = Positions::restored(1, 10);
        positions.record(12, 12);
        positions.roll_back(10);
        assert!(positions.is_all_stored());
    }

    #[test]
    #[cfg(debug_assertions)]
    #[should_panic = "beyond the head"]
    fn a_position_beyond_the_head_is_a_bug() {
        Positions::restored(1, 10).record(12, 11);
    }
}
