//! How fast is published from outside of any session: each user or address has a rate of its own.

use std::collections::HashMap;
use std::fmt;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

/// Maximum number of publishers remembered at once. Beyond it the publishers that have saved up everything are
/// forgotten, which changes nothing for them; if there are none, a new publisher is told to wait.
// About 100 bytes each, so 6 MiB: more than the users that publish by REST within the time that they can save up.
const PUBLISHERS_MAX: usize = 65_536;

/// The rate, and how much of it each publisher has used.
// A lock is good enough: it is taken once for each message by REST, never for the messages of sessions.
#[derive(Default)]
pub(in crate::rooms) struct Publishers(Mutex<State>);

#[derive(Default)]
struct State {
    /// Between two messages; zero without limit.
    interval: Duration,
    saved: Duration,
    /// For each, the moment up to which everything is taken (the generic cell rate algorithm).
    taken: HashMap<Box<str>, Duration>,
}

impl fmt::Debug for Publishers {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Publishers").finish_non_exhaustive()
    }
}

impl Publishers {
    /// From now on `per_second` messages of each, of which up to `saved`'s worth can be saved; 0 is no limit.
    pub(in crate::rooms) fn set(&self, per_second: usize, saved: Duration) {
        let mut state = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let per_second = u32::try_from(per_second).unwrap_or(u32::MAX);
        state.interval = Duration::from_secs(1).checked_div(per_second).unwrap_or_default();
        // One message must always fit.
        state.saved = saved.max(state.interval);
        if state.interval.is_zero() {
            state.taken = HashMap::new();
        }
    }

    /// Takes one message of a publisher; `now` does not jump.
    ///
    /// # Errors
    /// When to come back.
    pub(in crate::rooms) fn take(
        &self,
        publisher: impl FnOnce() -> Box<str>,
        now: Duration,
    ) -> Result<(), Duration> {
        // A panic of another thread leaves at worst one publisher with a message too many.
        let mut state = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let State { interval, saved, taken } = &mut *state;
        if interval.is_zero() {
            return Ok(());
        }
        let publisher = publisher();
        if taken.len() >= PUBLISHERS_MAX && !taken.contains_key(&publisher) {
            taken.retain(|_, until| *until > now);
            if taken.len() >= PUBLISHERS_MAX {
                return Err(*interval);
            }
        }
        let until = taken.entry(publisher).or_insert(now);
        let after = (*until).max(now) + *interval;
        match after.checked_sub(now + *saved).filter(|wait| !wait.is_zero()) {
            Some(wait) => Err(wait),
            None => {
                *until = after;
                Ok(())
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_publisher_has_its_own_rate_and_is_told_when_to_come_back() {
        let (publishers, millis) = (Publishers::default(), Duration::from_millis);
        let take = |name: &str, at| publishers.take(|| name.into(), millis(at));
        assert!((0..100).all(|_| take("ann", 0).is_ok()));
        publishers.set(2, millis(1_000));
        assert_eq!([take("ann", 10), take("ann", 10), take("ann", 10)], [Ok(()), Ok(()), Err(millis(500))]);
        assert_eq!([take("bob", 10), take("ann", 509), take("ann", 510)], [Ok(()), Err(millis(1)), Ok(())]);
    }

    #[test]
    fn those_who_have_saved_up_everything_make_room() {
        let publishers = Publishers::default();
        publishers.set(1, Duration::from_secs(1));
        let take = |number: usize, at| publishers.take(|| number.to_string().into(), Duration::from_secs(at));
        assert!((0..PUBLISHERS_MAX).all(|number| take(number, 0).is_ok()));
        assert!(take(PUBLISHERS_MAX, 0).is_err());
        assert!(take(PUBLISHERS_MAX, 2).is_ok());
    }
}
