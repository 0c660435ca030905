//! What a session has to do by itself.

use crate::reactor::clock::wheel::Tick;

/// What the session has to do by itself, and when.
#[derive(Clone, Copy, Debug)]
pub(super) enum Course {
    /// The next ping goes out then, if pings do.
    Open { ping_at: Tick },
    /// A Close frame has been sent: the peer's has to have come by then.
    Closing { until: Tick },
}
