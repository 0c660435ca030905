//! The name of a timer.

/// Names one of a session's timers, by a number of the handler's choosing.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct Timer(pub u16);
