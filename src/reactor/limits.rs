//! The limits that the reactor holds.

use std::time::Duration;

use super::clock::wheel::TICK_MILLIS;
use crate::http::HeadLimits;
use crate::proxy::Trusted;
use crate::rate::Rate;
use crate::ws::deflate::Deflate;

/// Bytes read at once from a session with rate limits: what it can send beyond them before it is held
/// back. Nothing that was read is kept for later.
pub(crate) const LIMITED_READ_BYTES: usize = 4 * 1024;

/// The unit of time that [`Rate`] counts in, checked below: a `u32` cannot be made of a `u64` in a constant.
const TICKS_PER_SECOND: u32 = 1000 / 20;
const _: () = assert!(TICK_MILLIS == 20);

/// The reactor's limits and deadlines. `None` turns one off.
#[derive(Clone, Debug)]
pub(crate) struct ReactorLimits {
    pub(crate) head: HeadLimits,
    pub(crate) body_bytes: usize,
    pub(crate) reply_bytes: usize,
    /// Bytes that messages of all connections together are inflated to in one turn.
    pub(crate) inflated_bytes: usize,
    pub(crate) connections: usize,
    pub(crate) connections_per_ip: Option<usize>,
    /// Connections of operators, which do not count among `connections`.
    pub(crate) admin_connections: usize,
    /// The proxies that are believed.
    pub(crate) trusted: Trusted,
    pub(crate) tls_timeout: Duration,
    pub(crate) sessions_per_user: Option<usize>,
    pub(crate) rooms_per_session: usize,
    /// Whether a session over its rate limits is closed, and not slowed down.
    pub(crate) close_over_limit: bool,
    /// Control frames of a session in `burst`.
    pub(crate) control_frames: Option<u32>,
    pub(crate) burst: Duration,
    /// Bytes that may wait for all connections together.
    pub(crate) memory: Option<usize>,
    pub(crate) handshake_timeout: Duration,
    pub(crate) close_timeout: Duration,
    pub(crate) message_timeout: Duration,
    pub(crate) write_timeout: Duration,
    pub(crate) ping_interval: Option<Duration>,
    pub(crate) idle_timeout: Option<Duration>,
    pub(crate) shutdown_grace: Duration,
    /// How replies are compressed for clients that agreed on it; the window is each client's own.
    pub(crate) deflate: Deflate,
}

/// What the sessions of an endpoint may send.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct RateLimits {
    pub(crate) messages: Option<Rate>,
    pub(crate) bytes: Option<Rate>,
}

impl RateLimits {
    /// Limits per second, 0 without limit; what was not used is saved for `burst`.
    pub(crate) fn new(messages_per_second: usize, bytes_per_second: usize, burst: Duration) -> RateLimits {
        let rate = |per_second| Rate::new(per_second, burst, TICKS_PER_SECOND);
        RateLimits { messages: rate(messages_per_second), bytes: rate(bytes_per_second) }
    }
}
