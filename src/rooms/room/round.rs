//! One pass over the members of a room.

/// One pass over the members, possibly in slices.
#[derive(Clone, Copy, Debug)]
pub(in crate::rooms) struct Round {
    /// The next position to pump.
    pub(super) next: usize,
    /// What was visible when the round began.
    pub(super) target: u64,
}
