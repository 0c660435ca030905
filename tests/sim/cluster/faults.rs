//! What goes wrong between nodes and engine, and ends again.

use std::time::Duration;

use foghorn::simulation::Reach;

use super::Run;
use super::plan::Fault;
use crate::plan::ROOMS;
use crate::redis::Announcing;

/// Until when what goes wrong does so.
#[derive(Default)]
pub(super) struct Troubles {
    announcing_until: Duration,
    away_until: Duration,
    refusing_until: Duration,
    /// Nodes that come find nobody who listens, or nobody at all.
    reach: Reach,
    /// Something was forgotten.
    pub(super) has_forgotten: bool,
    /// Something was removed that only somebody else than the nodes removes.
    pub(super) has_evicted: bool,
}

const REFUSALS: [&str; 6] = [
    "OOM command not allowed when used memory > 'maxmemory'.",
    "LOADING Redis is loading the dataset in memory",
    "READONLY You can't write against a read only replica.",
    "MISCONF Redis is configured to save RDB snapshots, but it's currently unable to persist to disk.",
    "BUSY Redis is busy running a script.",
    "CLUSTERDOWN The cluster is down",
];

impl Run<'_> {
    /// Whether something went wrong.
    pub(super) fn fault(&mut self) -> bool {
        let faults: Vec<Fault> = self.plan.faults.iter().copied().collect();
        if faults.is_empty() || !self.random.once_in(4) {
            return false;
        }
        let fault = self.random.pick(&faults);
        let now = self.world.elapsed();
        let mut while_ = |max: Duration| {
            now + Duration::from_micros(self.random.next() % u64::try_from(max.as_micros()).unwrap())
        };
        let (short, long) = (while_(Duration::from_secs(3)), while_(self.plan.lease * 3));
        let place = self.random.below(self.places.len());
        match fault {
            Fault::AnswersLost => {
                self.story.tell(|| "connections to the engine break".to_owned());
                self.redis.borrow_mut().cut_lines(2, None);
            }
            Fault::AnnouncementsLost => self.announce(Announcing::Loses, short),
            Fault::AnnouncementsDoubled => self.announce(Announcing::Doubles, short),
            Fault::AnnouncementsLate => self.announce(Announcing::Delays, short),
            // What follows goes on for long.
            _ if !self.random.once_in(3) => return false,
            Fault::Away => self.be_away(short),
            Fault::Restarted => self.restart(0),
            Fault::PutBack => {
                let back = self.random.between(1, 8);
                self.restart(back);
            }
            Fault::Refusing => {
                let refusal = self.random.pick(&REFUSALS);
                self.story.tell(|| format!("the engine refuses: {refusal}"));
                self.redis.borrow_mut().refusal = Some(refusal);
                self.troubles.refusing_until = short;
            }
            Fault::CutOff => {
                self.story.tell(|| format!("place {place} is cut off until {long:?}"));
                self.places[place].cut_off_until = long;
                let name = self.places[place].name;
                self.redis.borrow_mut().cut_off.insert(name);
                self.set_reach(place);
            }
            Fault::Paused => {
                self.story.tell(|| format!("place {place} stands still until {long:?}"));
                self.places[place].paused_until = long;
            }
            Fault::Killed => {
                self.story.tell(|| format!("place {place} is killed"));
                self.places[place].kill(&self.world, short);
            }
            Fault::Stopped => {
                self.story.tell(|| format!("place {place} is told to shut down"));
                self.places[place].stop();
            }
            // What follows is rarer still.
            _ if !self.random.once_in(2) => return false,
            Fault::ClockSet => {
                let seconds = i64::try_from(self.random.below(12)).unwrap() - 6;
                self.story.tell(|| format!("the clock of the engine is set by {seconds} s"));
                self.redis.borrow_mut().set_clock(seconds * 1_000_000);
            }
            Fault::Emptied => {
                self.story.tell(|| "the engine is emptied".to_owned());
                let forgotten = self.redis.borrow_mut().flush();
                self.forget(forgotten);
            }
            Fault::Evicted => {
                self.evict();
            }
        }
        true
    }

    fn evict(&mut self) {
        let room = self.random.pick(&ROOMS);
        let (key, forgotten) = self.redis.borrow_mut().evict(room);
        self.story.tell(|| format!("the engine loses the key {key:?}"));
        self.troubles.has_evicted = true;
        self.forget(forgotten);
    }

    fn forget(&mut self, contents: Vec<String>) {
        self.troubles.has_forgotten = true;
        self.story.tell(|| format!("forgotten: {} messages", contents.len()));
        self.model.has_forgotten = true;
        self.model.forgotten.extend(contents);
    }

    fn announce(&mut self, announcing: Announcing, until: Duration) {
        self.story.tell(|| format!("announcements until {until:?}: {announcing:?}"));
        self.redis.borrow_mut().announcing = announcing;
        self.troubles.announcing_until = until;
    }

    fn be_away(&mut self, until: Duration) {
        let breaks = self.random.once_in(2);
        self.troubles.reach = if breaks { Reach::Refused } else { Reach::Silent };
        self.troubles.away_until = until;
        let reach = self.troubles.reach;
        self.story.tell(|| format!("the engine is away until {until:?}: {reach:?}"));
        self.redis.borrow_mut().is_silent = true;
        if breaks {
            self.redis.borrow_mut().cut_lines(1, None);
        }
        (0..self.places.len()).for_each(|place| self.set_reach(place));
    }

    fn restart(&mut self, back: usize) {
        let keeps_scripts = self.random.once_in(2);
        self.story.tell(|| format!("the engine is started anew, {back} states back"));
        let forgotten = self.redis.borrow_mut().restart(back, keeps_scripts, &self.world);
        if back > 0 {
            self.forget(forgotten);
        }
    }

    /// What becomes of attempts to connect of the node at this place.
    pub(super) fn set_reach(&mut self, place: usize) {
        let now = self.world.elapsed();
        let Self { places, troubles, .. } = self;
        let reach = if places[place].cut_off_until > now {
            Reach::Silent
        } else if troubles.away_until > now {
            troubles.reach
        } else {
            Reach::Open
        };
        self.world.set_reach(places[place].name, reach);
    }

    /// What has gone wrong for long enough does so no longer.
    pub(super) fn end_troubles(&mut self) {
        let now = self.world.elapsed();
        let troubles = &mut self.troubles;
        let mut redis = self.redis.borrow_mut();
        if troubles.announcing_until <= now && redis.announcing != Announcing::Well {
            redis.announcing = Announcing::Well;
            redis.tell_late();
        }
        if troubles.refusing_until <= now {
            redis.refusal = None;
        }
        let mut has_changed = false;
        if troubles.away_until <= now && redis.is_silent {
            redis.is_silent = false;
            has_changed = true;
        }
        for place in &mut self.places {
            if place.cut_off_until <= now && redis.cut_off.remove(&place.name) {
                has_changed = true;
                if self.random.once_in(2) {
                    redis.cut_lines(1, Some(place.name));
                }
            }
        }
        drop(redis);
        if has_changed {
            self.story.tell(|| "the engine can be reached again".to_owned());
            (0..self.places.len()).for_each(|place| self.set_reach(place));
        }
    }

    /// Nothing goes wrong any more.
    pub(super) fn end_faults(&mut self) {
        self.story.tell(|| "nothing goes wrong any more".to_owned());
        self.has_faults = false;
        let now = self.world.elapsed();
        let troubles = &mut self.troubles;
        (troubles.announcing_until, troubles.away_until, troubles.refusing_until) = (now, now, now);
        for place in &mut self.places {
            (place.paused_until, place.cut_off_until) = (now, now);
        }
        self.end_troubles();
    }
}
