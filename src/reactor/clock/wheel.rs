//! A hierarchical timer wheel: inserting costs a push, and an entry is touched at most once a level.

/// The unit of all deadlines of the reactor, in milliseconds. Deadlines are seconds, so 20 ms are exact enough, and an idle
/// loop wakes up fifty times a second at most.
pub(crate) const TICK_MILLIS: u64 = 20;

// Four levels of 64 slots: a level fits a machine word as a bit set, and together they look 93 hours ahead.
const LEVELS: usize = 4;
const SLOT_BITS: u32 = 6;
const SLOTS: usize = 1 << SLOT_BITS;
const SLOT_MASK: Tick = (1 << SLOT_BITS) - 1;
/// Where the bits begin that name the slot of a level.
const SHIFTS: [u32; LEVELS] = [0, SLOT_BITS, 2 * SLOT_BITS, 3 * SLOT_BITS];

/// How far ahead of its own time a wheel can look: 93 hours.
const FURTHEST: Tick = (1 << (SLOT_BITS * 4)) - 1;

/// A point in the reactor's own time, in ticks since it started. 32 bits of them would be over after 994 days, and then no
/// deadline would pass any more.
pub(crate) type Tick = u64;

/// The number of ticks that `duration` takes, rounded up, at least one.
pub(crate) fn ticks(duration: std::time::Duration) -> Tick {
    let ticks = duration.as_millis().div_ceil(u128::from(TICK_MILLIS)).max(1);
    Tick::try_from(ticks).unwrap_or(Tick::MAX / 2)
}

/// When an item comes out next that [`TimerWheel::arm`] has put in.
///
/// Invariant: if [`Armed::at`] is not 0, the wheel holds an entry at exactly this time, and another `later` ticks after it
/// unless that is 0. Only the entry's coming out makes it 0; anything else that happens in the same tick must leave it
/// alone, or the entry would be taken for an outdated one.
///
/// `later` is the time that an earlier one has come before. When that is over, this one need not be put in again: a session
/// that needs looking after for a moment, again and again, would leave an entry in the wheel each time.
///
/// Every connection has one, so both stand in one number: `at` in the lower 48 bits, which last for 178,000 years.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Armed(u64);

/// Bits of an [`Armed`] that say when.
const AT_BITS: u32 = 48;

impl Armed {
    /// Whether an entry is on its way.
    pub(crate) fn is_set(self) -> bool {
        self.at() != 0
    }

    /// A time that is further ahead than 21 minutes is forgotten, and comes out as a left-over.
    fn new(at: Tick, later: Tick) -> Armed {
        let later = u16::try_from(later).unwrap_or(0);
        Armed(u64::from(later) << AT_BITS | at)
    }

    /// When the entry comes out; 0 if there is none.
    pub(crate) fn at(self) -> Tick {
        self.0 & ((1 << AT_BITS) - 1)
    }

    fn later(self) -> Tick {
        self.0 >> AT_BITS
    }

    /// Whether an item that came out by `now` was meant to; the others are left over from times given up since.
    pub(crate) fn comes_due(&mut self, now: Tick) -> bool {
        let is_due = self.is_set() && self.at() <= now;
        if is_due {
            let later = self.at() + self.later();
            // One that is due as well comes out in the same turn, as a left-over.
            *self = Armed::new(if later > now { later } else { 0 }, 0);
        }
        is_due
    }
}

#[derive(Clone, Copy, Debug)]
struct Entry<T> {
    at: Tick,
    item: T,
}

/// Items that come out again at their time. There is no cancelling: the caller that takes an item checks whether it still
/// means anything.
#[derive(Debug)]
pub(crate) struct TimerWheel<T> {
    /// Everything due up to here has come out.
    now: Tick,
    levels: [[Vec<Entry<T>>; SLOTS]; LEVELS],
    /// A bit for each slot of a level that holds something.
    occupied: [u64; LEVELS],
}

impl<T: Copy> TimerWheel<T> {
    pub(crate) fn new() -> TimerWheel<T> {
        TimerWheel {
            now: 0,
            levels: std::array::from_fn(|_| std::array::from_fn(|_| Vec::new())),
            occupied: [0; LEVELS],
        }
    }

    /// Lets `item` come out at `at`: with the next tick if that has passed, early if it is more than 64⁴ ticks ahead.
    pub(crate) fn insert(&mut self, at: Tick, item: T) {
        let at = at.clamp(self.now.saturating_add(1), self.now.saturating_add(FURTHEST));
        // The highest bit in which `at` differs from `now` decides the level, so that a slot is emptied downwards at
        // the moment when `now` takes over its bits.
        let level = (((at ^ self.now).ilog2() / SLOT_BITS) as usize).min(LEVELS - 1);
        self.place(level, Entry { at, item });
    }

    /// Makes sure that `item` comes out at `at`, or early enough to be armed anew. Later calls with a later time cost
    /// nothing: the caller that takes the item arms it anew.
    pub(crate) fn arm(&mut self, now: Tick, armed: &mut Armed, at: Tick, item: T) {
        let at = at.clamp(now.saturating_add(1), now.saturating_add(FURTHEST / 2));
        if !armed.is_set() || at < armed.at() {
            // Of two that wait already, the later one is forgotten and comes out as a left-over.
            *armed = Armed::new(at, armed.at().saturating_sub(at));
            self.insert(at, item);
        }
    }

    /// Moves to `now` and hands every item that is due to `due`, in no particular order within a tick.
    pub(crate) fn advance(&mut self, now: Tick, due: &mut Vec<T>) {
        while self.now < now {
            // Nothing can come out before the lowest occupied slot, or before the next one of a higher level opens.
            let step = self.until_next().unwrap_or(Tick::MAX).min(now - self.now);
            self.now += step;
            self.cascade();
            let slot = slot_of(self.now, 0);
            if self.occupied[0] & (1 << slot) != 0 {
                self.occupied[0] &= !(1 << slot);
                due.extend(self.levels[0][slot].drain(..).map(|entry| entry.item));
            }
        }
    }

    /// Ticks until the wheel has something to do (an item to hand out, or entries to move down a level).
    pub(crate) fn until_next(&self) -> Option<Tick> {
        (0..LEVELS).filter_map(|level| self.until_next_in(level)).min()
    }

    fn until_next_in(&self, level: usize) -> Option<Tick> {
        let occupied = self.occupied[level];
        if occupied == 0 {
            return None;
        }
        let shift = SHIFTS[level];
        let current = u32::try_from((self.now >> shift) & SLOT_MASK).unwrap_or(0);
        let slots_ahead = occupied.rotate_right(current + 1).trailing_zeros() + 1;
        let start_of_current = self.now >> shift << shift;
        Some(start_of_current.saturating_add(Tick::from(slots_ahead) << shift).saturating_sub(self.now))
    }

    /// Moves the entries whose slot of a higher level has begun to the levels below.
    fn cascade(&mut self) {
        for level in (1..LEVELS).rev() {
            let below = (1 << SHIFTS[level]) - 1;
            let slot = slot_of(self.now, level);
            if self.now & below != 0 || self.occupied[level] & (1 << slot) == 0 {
                continue;
            }
            self.occupied[level] &= !(1 << slot);
            for entry in std::mem::take(&mut self.levels[level][slot]) {
                let differs = entry.at ^ self.now;
                let down = if differs == 0 { 0 } else { (differs.ilog2() / SLOT_BITS) as usize };
                self.place(down.min(level - 1), entry);
            }
        }
    }

    /// Whether `item` comes out at `at`.
    #[cfg(debug_assertions)]
    pub(crate) fn holds(&self, at: Tick, item: T) -> bool
    where
        T: PartialEq,
    {
        let mut slots = self.levels.iter().flatten();
        slots.any(|slot| slot.iter().any(|entry| entry.at == at && entry.item == item))
    }

    fn place(&mut self, level: usize, entry: Entry<T>) {
        debug_assert!(entry.at >= self.now, "what is due has come out");
        let slot = slot_of(entry.at, level);
        self.levels[level][slot].push(entry);
        self.occupied[level] |= 1 << slot;
    }
}

fn slot_of(at: Tick, level: usize) -> usize {
    usize::try_from((at >> SHIFTS[level]) & SLOT_MASK).unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_item_comes_out_at_its_tick_whatever_the_steps() {
        for step in [1, 3, 64, 1000, 70_000] {
            let mut wheel = TimerWheel::new();
            let mut start = Vec::new();
            wheel.advance(50, &mut start);
            let ats: Vec<Tick> =
                (51..200).chain([4095, 4096, 4097, 262_143, 262_144, 262_145, 300_000, 1_000_001]).collect();
            for &at in &ats {
                wheel.insert(at, at);
            }
            let (mut out, mut now) = (Vec::new(), 50);
            while now < 1_100_000 {
                let before = now;
                now += step;
                let mut due = Vec::new();
                wheel.advance(now, &mut due);
                assert!(due.iter().all(|&at| at > before && at <= now), "{due:?} in {before}..={now}");
                out.extend(due);
            }
            out.sort_unstable();
            assert_eq!(out, ats);
        }
    }

    /// When an item comes due that is armed for `deadline` in every tick named, before the timers run.
    fn due_at(deadline: Tick, nows: impl IntoIterator<Item = Tick>) -> Option<Tick> {
        let (mut wheel, mut armed, mut due) = (TimerWheel::new(), Armed::default(), Vec::new());
        nows.into_iter().find(|&now| {
            wheel.arm(now, &mut armed, deadline, ());
            wheel.advance(now, &mut due);
            due.drain(..).any(|()| armed.comes_due(now))
        })
    }

    #[test]
    fn events_in_every_tick_do_not_put_a_deadline_off() {
        assert_eq!(due_at(10, 1..20), Some(10));
        assert_eq!(due_at(3, (10..20).step_by(2)), Some(12));
        assert_eq!(due_at(10, (1..20).step_by(4)), Some(13));
    }

    #[test]
    fn a_near_time_again_and_again_leaves_nothing_in_the_wheel() {
        let (mut wheel, mut armed, mut due) = (TimerWheel::new(), Armed::default(), Vec::new());
        wheel.arm(0, &mut armed, 1500, ());
        let mut came_out = Vec::new();
        for now in 1..=1500 {
            // As of a session that is slowed down: it is looked after in the next tick, and then again far ahead.
            wheel.arm(now - 1, &mut armed, now, ());
            wheel.advance(now, &mut due);
            if due.drain(..).any(|()| armed.comes_due(now)) {
                came_out.push(now);
                wheel.arm(now, &mut armed, 1500, ());
            }
            let entries: usize = wheel.levels.iter().flatten().map(Vec::len).sum();
            assert!(entries <= 2, "{entries} entries at {now}");
        }
        assert_eq!(came_out, (1..=1500).collect::<Vec<_>>());
    }

    #[test]
    fn the_time_that_an_earlier_one_came_before_is_not_lost() {
        let (mut wheel, mut armed, mut due) = (TimerWheel::new(), Armed::default(), Vec::new());
        for at in [100, 50, 20] {
            wheel.arm(10, &mut armed, at, ());
        }
        let mut came_out = Vec::new();
        for now in 11..=110 {
            wheel.advance(now, &mut due);
            if due.drain(..).any(|()| armed.comes_due(now)) {
                came_out.push(now);
            }
        }
        assert_eq!(
            came_out,
            [20, 50],
            "of three times only two are known, and the caller that takes the item arms it anew"
        );
    }

    #[test]
    fn time_goes_on_after_a_thousand_days() {
        let thousand_days = 1000 * 24 * 3600 * 1000 / TICK_MILLIS;
        let (mut wheel, mut armed, mut due) = (TimerWheel::new(), Armed::default(), Vec::new());
        wheel.advance(thousand_days, &mut due);
        wheel.arm(thousand_days, &mut armed, thousand_days + 7, ());
        wheel.advance(thousand_days + 6, &mut due);
        assert!(due.is_empty());
        wheel.advance(thousand_days + 7, &mut due);
        assert!(due.len() == 1 && armed.comes_due(thousand_days + 7));
    }

    #[test]
    fn a_deadline_beyond_the_wheel_comes_due_early_and_not_never() {
        let first = due_at(Tick::MAX, (1..).step_by(500_000));
        assert!(first.is_some_and(|at| at <= FURTHEST), "{first:?}");
    }

    #[test]
    fn a_time_that_has_passed_comes_out_with_the_next_tick() {
        let mut wheel = TimerWheel::new();
        wheel.advance(10, &mut Vec::new());
        wheel.insert(3, 'x');
        let mut due = Vec::new();
        wheel.advance(11, &mut due);
        assert_eq!(due, ['x']);
    }

    #[test]
    fn the_wheel_knows_when_it_has_to_be_asked_again() {
        let mut wheel = TimerWheel::new();
        assert_eq!(wheel.until_next(), None);
        wheel.insert(500, ());
        let mut asked = 0;
        let (mut now, mut due) = (0, Vec::new());
        while due.is_empty() {
            now += wheel.until_next().unwrap();
            wheel.advance(now, &mut due);
            asked += 1;
        }
        assert_eq!(now, 500);
        assert!(asked <= LEVELS, "asked {asked} times");
    }

    #[test]
    fn random_times_agree_with_a_sorted_list() {
        let mut state = 1u64;
        let mut random = move |below: Tick| {
            state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
            (state >> 33) % below
        };
        let (mut wheel, mut model, mut now) = (TimerWheel::new(), Vec::new(), 0);
        for _ in 0..5000 {
            let at = now + 1 + random(20_000);
            wheel.insert(at, at);
            model.push(at);
            now += random(30);
            let mut due = Vec::new();
            wheel.advance(now, &mut due);
            due.sort_unstable();
            model.sort_unstable();
            let rest = model.split_off(model.partition_point(|&at| at <= now));
            assert_eq!(due, std::mem::replace(&mut model, rest));
        }
    }
}
