//! The timers of one session.

use std::time::Duration;

use crate::server::Timer;

/// The server has to send a heart-beat.
pub(super) const HEARTBEAT: Timer = Timer(0);
/// It is time to check whether the client has sent anything.
pub(super) const CHECK_LIVENESS: Timer = Timer(1);
/// A frame is not finished.
pub(super) const UNFINISHED: Timer = Timer(2);
/// CONNECT has not come.
pub(super) const CONNECT: Timer = Timer(3);
/// Queues whose messages did not fit may try again.
pub(super) const RESUME: Timer = Timer(4);

/// How long a queue waits for a session that takes no more. Short beside what a user notices, long beside the time in
/// which a socket takes what waits for it.
pub(super) const RESUME_AFTER: Duration = Duration::from_millis(50);
