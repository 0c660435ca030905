//! The timers of one session: each goes off once, unless it is set again.

use crate::reactor::clock::wheel::Tick;

/// Names one of a session's timers, by a number of the handler's choosing.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct Timer(pub u16);

/// Timers that are set. Nearly always one at most, so only several take memory of their own.
#[derive(Debug, Default)]
pub(crate) enum Alarms {
    #[default]
    None,
    One(Timer, Tick),
    #[expect(clippy::box_collection, reason = "one word instead of three in every session")]
    Several(Box<Vec<(Timer, Tick)>>),
}

impl Alarms {
    /// Sets a timer, in place of any time that it was set to.
    pub(crate) fn set(&mut self, timer: Timer, at: Tick) {
        match self {
            Alarms::None => *self = Alarms::One(timer, at),
            Alarms::One(other, time) if *other == timer => *time = at,
            Alarms::One(other, time) => {
                *self = Alarms::Several(Box::new(vec![(*other, *time), (timer, at)]));
            }
            Alarms::Several(alarms) => match alarms.iter_mut().find(|(other, _)| *other == timer) {
                Some((_, time)) => *time = at,
                None => alarms.push((timer, at)),
            },
        }
    }

    /// Forgets a timer.
    pub(crate) fn cancel(&mut self, timer: Timer) {
        match self {
            Alarms::One(other, _) if *other == timer => *self = Alarms::None,
            Alarms::None | Alarms::One(..) => {}
            Alarms::Several(alarms) => alarms.retain(|(other, _)| *other != timer),
        }
    }

    /// Takes a timer that is due.
    pub(crate) fn take_due(&mut self, now: Tick) -> Option<Timer> {
        let due = match self {
            Alarms::None => None,
            Alarms::One(timer, at) => (*at <= now).then_some(*timer),
            Alarms::Several(alarms) => {
                alarms.iter().filter(|(_, at)| *at <= now).min_by_key(|(_, at)| *at).map(|(timer, _)| *timer)
            }
        }?;
        self.cancel(due);
        Some(due)
    }

    /// When the next one goes off.
    pub(crate) fn next(&self) -> Option<Tick> {
        match self {
            Alarms::None => None,
            Alarms::One(_, at) => Some(*at),
            Alarms::Several(alarms) => alarms.iter().map(|(_, at)| *at).min(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_timer_goes_off_once_at_the_time_it_was_set_to_last() {
        let mut alarms = Alarms::default();
        for (timer, at) in [(1, 50), (2, 20), (3, 30), (1, 10), (3, 40)] {
            alarms.set(Timer(timer), at);
        }
        alarms.cancel(Timer(2));
        assert_eq!(alarms.next(), Some(10));
        assert_eq!((alarms.take_due(9), alarms.take_due(10)), (None, Some(Timer(1))));
        assert_eq!((alarms.take_due(39), alarms.next()), (None, Some(40)));
        assert_eq!((alarms.take_due(99), alarms.take_due(99)), (Some(Timer(3)), None));
        assert_eq!(alarms.next(), None);
    }

    #[test]
    fn a_timer_that_was_cancelled_does_not_go_off() {
        let mut alarms = Alarms::default();
        alarms.set(Timer(7), 1);
        alarms.cancel(Timer(8));
        assert_eq!(alarms.next(), Some(1));
        alarms.cancel(Timer(7));
        assert_eq!((alarms.next(), alarms.take_due(5)), (None, None));
    }
}
