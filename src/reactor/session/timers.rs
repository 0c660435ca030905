//! The timers of one session: each goes off once, unless it is set again.

use crate::reactor::api::timer::Timer;
use crate::reactor::clock::wheel::Tick;

/// Timers that are set. Nearly always one at most, so only several take memory of their own.
// Not one generic type with `Memberships`: a pair of a timer and a time as its parameter leaves no room for the tag, which
// would cost every session eight bytes.
#[derive(Debug, Default)]
pub(crate) enum SessionTimers {
    #[default]
    None,
    One(Timer, Tick),
    #[expect(clippy::box_collection, reason = "one word instead of three in every session")]
    Several(Box<Vec<(Timer, Tick)>>),
}

impl SessionTimers {
    /// Sets a timer, in place of any time that it was set to.
    pub(crate) fn set(&mut self, timer: Timer, at: Tick) {
        match self {
            SessionTimers::None => *self = SessionTimers::One(timer, at),
            SessionTimers::One(other, time) if *other == timer => *time = at,
            SessionTimers::One(other, time) => {
                *self = SessionTimers::Several(Box::new(vec![(*other, *time), (timer, at)]));
            }
            SessionTimers::Several(timers) => match timers.iter_mut().find(|(other, _)| *other == timer) {
                Some((_, time)) => *time = at,
                None => timers.push((timer, at)),
            },
        }
    }

    /// Forgets a timer.
    pub(crate) fn cancel(&mut self, timer: Timer) {
        match self {
            SessionTimers::One(other, _) if *other == timer => *self = SessionTimers::None,
            SessionTimers::None | SessionTimers::One(..) => {}
            SessionTimers::Several(timers) => timers.retain(|(other, _)| *other != timer),
        }
    }

    /// Takes a timer that is due.
    pub(crate) fn take_due(&mut self, now: Tick) -> Option<Timer> {
        let due = match self {
            SessionTimers::None => None,
            SessionTimers::One(timer, at) => (*at <= now).then_some(*timer),
            SessionTimers::Several(timers) => {
                timers.iter().filter(|(_, at)| *at <= now).min_by_key(|(_, at)| *at).map(|(timer, _)| *timer)
            }
        }?;
        self.cancel(due);
        Some(due)
    }

    /// When the next one goes off.
    pub(crate) fn next(&self) -> Option<Tick> {
        match self {
            SessionTimers::None => None,
            SessionTimers::One(_, at) => Some(*at),
            SessionTimers::Several(timers) => timers.iter().map(|(_, at)| *at).min(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_timer_goes_off_once_at_the_time_it_was_set_to_last() {
        let mut timers = SessionTimers::default();
        for (timer, at) in [(1, 50), (2, 20), (3, 30), (1, 10), (3, 40)] {
            timers.set(Timer(timer), at);
        }
        timers.cancel(Timer(2));
        assert_eq!(timers.next(), Some(10));
        assert_eq!((timers.take_due(9), timers.take_due(10)), (None, Some(Timer(1))));
        assert_eq!((timers.take_due(39), timers.next()), (None, Some(40)));
        assert_eq!((timers.take_due(99), timers.take_due(99)), (Some(Timer(3)), None));
        assert_eq!(timers.next(), None);
    }

    #[test]
    fn a_timer_that_was_cancelled_does_not_go_off() {
        let mut timers = SessionTimers::default();
        timers.set(Timer(7), 1);
        timers.cancel(Timer(8));
        assert_eq!(timers.next(), Some(1));
        timers.cancel(Timer(7));
        assert_eq!((timers.next(), timers.take_due(5)), (None, None));
    }
}
