//! How much may be inflated before others get their turn.

/// What preparing the inflater costs, in bytes that could be inflated in the same time: for each message, and for each
/// stream that ends itself within one.
const RESET_BYTES: usize = 512;

/// The work that inflating may cause at once. It is spent inside the inflate loop, so what a message stands for is
/// paid for before the next piece of it is looked at.
#[derive(Clone, Copy, Debug)]
pub(in crate::ws) struct Allowance {
    left: usize,
    spent: usize,
    surplus: usize,
}

impl Allowance {
    /// As much as there is.
    pub(in crate::ws) const UNLIMITED: Allowance = Allowance::new(usize::MAX);

    pub(in crate::ws) const fn new(bytes: usize) -> Allowance {
        Allowance { left: bytes, spent: 0, surplus: 0 }
    }

    /// Whether nothing more should be inflated.
    pub(super) const fn is_spent(&self) -> bool {
        self.left == 0
    }

    /// The bytes of work so far: what came out, and what preparing for it cost.
    pub(in crate::ws) const fn spent(&self) -> usize {
        self.spent
    }

    /// By how many bytes more came out than went in.
    pub(in crate::ws) const fn surplus(&self) -> usize {
        self.surplus
    }

    /// Counts one step of the inflater.
    pub(super) const fn charge_step(&mut self, taken: usize, given: usize) {
        self.surplus = self.surplus.saturating_add(given.saturating_sub(taken));
        self.charge(given);
    }

    /// Counts a reset, after which the inflater knows this number of bytes of earlier messages.
    pub(super) const fn charge_reset(&mut self, history_bytes: usize) {
        self.charge(RESET_BYTES + history_bytes);
    }

    const fn charge(&mut self, bytes: usize) {
        self.left = self.left.saturating_sub(bytes);
        self.spent = self.spent.saturating_add(bytes);
    }
}
