//! What time it is.

use std::sync::OnceLock;
use std::time::{Duration, Instant, SystemTime};

/// A moment of a clock that never goes back.
#[inline]
#[expect(clippy::disallowed_methods, reason = "the one place where this clock is read")]
pub(crate) fn instant() -> Instant {
    #[cfg(feature = "simulation")]
    if let Some(world) = super::world::current() {
        return world.instant();
    }
    Instant::now()
}

/// The time since 1970 (UTC), by the clock on the wall, which may jump.
#[inline]
#[expect(clippy::disallowed_methods, reason = "the one place where this clock is read")]
pub(crate) fn since_epoch() -> Duration {
    #[cfg(feature = "simulation")]
    if let Some(world) = super::world::current() {
        return world.since_epoch();
    }
    SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default()
}

/// Microseconds by the clock that a service manager compares with its own (`CLOCK_MONOTONIC`).
#[cfg(feature = "cli")]
pub(crate) fn monotonic_micros() -> u64 {
    let time = rustix::time::clock_gettime(rustix::time::ClockId::Monotonic);
    let part = |number: i64| u64::try_from(number).unwrap_or(0);
    part(time.tv_sec).saturating_mul(1_000_000).saturating_add(part(time.tv_nsec) / 1000)
}

/// Time since the first call, or since the world began: no change of the clock on the wall touches it.
pub(crate) fn steady() -> Duration {
    steady_at(instant())
}

/// The same at that moment; none before the first call.
pub(crate) fn steady_at(at: Instant) -> Duration {
    static START: OnceLock<Instant> = OnceLock::new();
    #[cfg(feature = "simulation")]
    if let Some(world) = super::world::current() {
        return world.elapsed_at(at);
    }
    at.saturating_duration_since(*START.get_or_init(instant))
}
