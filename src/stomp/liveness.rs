//! Whether the client still sends something, as it promised in its CONNECT.

/// The client is checked this often within the interval that it promised.
pub(super) const CHECKS: u32 = 2;
/// After this many checks without a sign of life the client is given up: after twice the promised interval, and at most
/// half an interval later. The specification asks for an error margin, since timers and networks are late.
const SILENT_CHECKS_MAX: u32 = 2 * CHECKS;

/// What is known of one client.
#[derive(Debug, Default)]
pub(super) struct Liveness {
    /// Something has come since the last check.
    is_heard: bool,
    /// Checks in a row on which nothing had come.
    silent_checks: u32,
}

impl Liveness {
    /// Something has come.
    pub(super) fn note_input(&mut self) {
        self.is_heard = true;
    }

    /// Checks whether the client lives; `is_alive` if something else than its input says so. False: it is given up.
    pub(super) fn check(&mut self, is_alive: bool) -> bool {
        let is_heard = std::mem::take(&mut self.is_heard) || is_alive;
        self.silent_checks = if is_heard { 0 } else { self.silent_checks + 1 };
        self.silent_checks < SILENT_CHECKS_MAX
    }
}
