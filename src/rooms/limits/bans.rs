//! Users that are banned from a room for a while. Each way into a room asks here.

use std::collections::HashMap;
use std::fmt;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use crate::limit_hits::{Limit, LimitHits};

/// A ban that holds.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Ban {
    /// The room's name. It need not be there.
    pub room: Box<str>,
    /// The user.
    pub user: Box<str>,
    /// How long it lasts from now on.
    pub left: Duration,
}

/// There are too many bans.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TooManyBans;

/// A place that is kept for a ban while that is written down. Given back when it is dropped.
#[derive(Debug)]
pub struct BanPlace(Arc<AtomicUsize>);

impl Drop for BanPlace {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}

/// Time that never jumps, from any beginning.
type Clock = fn() -> Duration;

/// When each ban ends, by room and user.
type Ends = HashMap<Box<str>, HashMap<Box<str>, Duration>>;

/// The bans of all rooms, by name. They end by a clock that does not jump.
pub struct Bans {
    clock: Clock,
    /// Maximum number of bans; a further one is refused and counted. A ban takes about 150 bytes besides its names.
    max: AtomicUsize,
    limit_hits: LimitHits,
    /// How many entries `ends` has.
    // Read without the lock, so that a join costs none while no user is banned. Released after an insert and acquired
    // before a look: a thread that sees the count sees the ban.
    count: AtomicUsize,
    /// Places kept for bans that are being written down. Changed while `ends` is locked, but for what is given back.
    reserved: Arc<AtomicUsize>,
    /// When each ban ends, by room and user.
    // A lock, since REST adds bans on its own threads while shards ask; it is held for one look-up.
    ends: Mutex<Ends>,
}

impl fmt::Debug for Bans {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Bans").field("count", &self.count).finish_non_exhaustive()
    }
}

impl Bans {
    pub(in crate::rooms) fn new(clock: Clock) -> Bans {
        Bans {
            clock,
            max: AtomicUsize::new(usize::MAX),
            limit_hits: LimitHits::default(),
            count: AtomicUsize::new(0),
            reserved: Arc::default(),
            ends: Mutex::default(),
        }
    }

    pub(in crate::rooms) fn counted_by(self, limit_hits: LimitHits) -> Bans {
        Bans { limit_hits, ..self }
    }

    /// From now on at most `max` bans. The bans that are there stay.
    pub(in crate::rooms) fn set_max(&self, max: usize) {
        self.max.store(max, Ordering::Relaxed);
    }

    /// Keeps a place for a ban of this user: to be asked before a ban is written down anywhere, so that what is written
    /// down can hold, however many others are added meanwhile.
    ///
    /// # Errors
    /// [`TooManyBans`].
    pub fn reserve(&self, room: &str, user: &str) -> Result<BanPlace, TooManyBans> {
        let mut ends = self.ends();
        self.find_place(&mut ends, room, user)?;
        // Relaxed: it is compared under the lock, and a place that is given back late only refuses one ban more.
        self.reserved.fetch_add(1, Ordering::Relaxed);
        Ok(BanPlace(self.reserved.clone()))
    }

    /// As [`Bans::add`], at a place that was kept for it.
    pub fn add_reserved(&self, room: &str, user: &str, time: Duration, place: BanPlace) {
        self.insert(&mut self.ends(), room, user, time);
        drop(place);
    }

    fn find_place(&self, ends: &mut Ends, room: &str, user: &str) -> Result<(), TooManyBans> {
        let max = self.max.load(Ordering::Relaxed);
        let taken = || self.count.load(Ordering::Relaxed) + self.reserved.load(Ordering::Relaxed);
        let is_there = ends.get(room).is_some_and(|users| users.contains_key(user));
        if is_there || taken() < max {
            return Ok(());
        }
        self.forget_ended(ends);
        if taken() < max {
            return Ok(());
        }
        self.limit_hits.hit(Limit::Bans);
        Err(TooManyBans)
    }

    /// Bans a user for this time from now on, in place of an earlier ban.
    ///
    /// # Errors
    /// [`TooManyBans`].
    pub fn add(&self, room: &str, user: &str, time: Duration) -> Result<(), TooManyBans> {
        let mut ends = self.ends();
        self.find_place(&mut ends, room, user)?;
        self.insert(&mut ends, room, user, time);
        Ok(())
    }

    fn insert(&self, ends: &mut Ends, room: &str, user: &str, time: Duration) {
        let end = (self.clock)().saturating_add(time);
        if ends.entry(room.into()).or_default().insert(user.into(), end).is_none() {
            self.count.fetch_add(1, Ordering::Release);
        }
    }

    /// Whether the user may do nothing in the room. A user without a name (`""`) is never banned.
    #[must_use]
    pub fn holds(&self, room: &str, user: &str) -> bool {
        if self.count.load(Ordering::Acquire) == 0 || user.is_empty() {
            return false;
        }
        self.ends().get(room).and_then(|users| users.get(user)).is_some_and(|end| *end > (self.clock)())
    }

    /// Lifts a ban; whether there was one.
    pub fn lift(&self, room: &str, user: &str) -> bool {
        let mut ends = self.ends();
        let Some(users) = ends.get_mut(room) else { return false };
        let Some(end) = users.remove(user) else { return false };
        self.count.fetch_sub(1, Ordering::Release);
        if users.is_empty() {
            ends.remove(room);
        }
        end > (self.clock)()
    }

    /// The bans of a room, by user.
    #[must_use]
    pub fn of_room(&self, room: &str) -> Vec<Ban> {
        let (ends, now) = (self.ends(), (self.clock)());
        let mut bans: Vec<Ban> = ends
            .get(room)
            .into_iter()
            .flatten()
            .filter_map(|(user, end)| left(room, user, *end, now))
            .collect();
        bans.sort_unstable_by(|a, b| a.user.cmp(&b.user));
        bans
    }

    /// All bans that hold, in no order.
    #[must_use]
    pub fn all(&self) -> Vec<Ban> {
        let (ends, now) = (self.ends(), (self.clock)());
        let users =
            ends.iter().flat_map(|(room, users)| users.iter().map(move |(user, end)| (room, user, end)));
        users.filter_map(|(room, user, end)| left(room, user, *end, now)).collect()
    }

    /// Forgets the bans that have ended, and tells which.
    pub fn sweep(&self) -> Vec<Ban> {
        self.forget_ended(&mut self.ends())
    }

    fn forget_ended(&self, ends: &mut Ends) -> Vec<Ban> {
        let (now, mut ended) = ((self.clock)(), Vec::new());
        ends.retain(|room, users| {
            users.retain(|user, end| {
                let holds = *end > now;
                if !holds {
                    ended.push(Ban { room: room.clone(), user: user.clone(), left: Duration::ZERO });
                }
                holds
            });
            !users.is_empty()
        });
        self.count.store(ends.values().map(HashMap::len).sum(), Ordering::Release);
        ended
    }

    fn ends(&self) -> MutexGuard<'_, Ends> {
        // No code of others runs under the lock, so a panic there leaves nothing half done that would matter: bans go
        // on.
        self.ends.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn left(room: &str, user: &str, end: Duration, now: Duration) -> Option<Ban> {
    let left = end.checked_sub(now).filter(|left| !left.is_zero())?;
    Some(Ban { room: room.into(), user: user.into(), left })
}

#[cfg(test)]
mod tests {
    use std::cell::Cell;

    use super::*;

    thread_local! {
        static NOW: Cell<u64> = const { Cell::new(0) };
    }

    fn bans() -> Bans {
        NOW.set(0);
        Bans::new(|| Duration::from_secs(NOW.get()))
    }

    #[test]
    fn a_ban_holds_for_its_room_and_user_until_it_ends() {
        let bans = bans();
        bans.add("r", "eve", Duration::from_secs(10)).unwrap();
        NOW.set(9);
        assert!(bans.holds("r", "eve") && bans.of_room("r").len() == 1);
        assert!(!bans.holds("r", "bob") && !bans.holds("s", "eve") && !bans.holds("r", ""));
        NOW.set(10);
        assert!(!bans.holds("r", "eve") && bans.of_room("r").is_empty() && bans.all().is_empty());
        assert_eq!(bans.sweep().len(), 1);
        assert!(bans.sweep().is_empty());
    }

    #[test]
    fn a_new_ban_replaces_an_old_one_and_a_ban_is_lifted() {
        let bans = bans();
        bans.add("r", "eve", Duration::from_secs(100)).unwrap();
        bans.add("r", "eve", Duration::from_secs(5)).unwrap();
        assert_eq!(bans.of_room("r")[0].left, Duration::from_secs(5));
        assert!(bans.lift("r", "eve") && !bans.holds("r", "eve") && !bans.lift("r", "eve"));
        assert_eq!(bans.count.load(Ordering::Relaxed), 0);
    }

    #[test]
    fn a_place_that_is_kept_is_nobody_elses() {
        let bans = bans();
        bans.set_max(2);
        let time = Duration::from_secs(9);
        let place = bans.reserve("r", "first").unwrap();
        bans.add("r", "second", time).unwrap();
        assert_eq!(bans.reserve("r", "third").map(drop), Err(TooManyBans));
        assert_eq!(bans.add("r", "third", time), Err(TooManyBans));
        bans.add_reserved("r", "first", time, place);
        assert!(bans.holds("r", "first") && bans.holds("r", "second"));
        bans.lift("r", "first");
        // What came to nothing gives its place back.
        drop(bans.reserve("r", "third").unwrap());
        bans.add("r", "third", time).unwrap();
    }

    #[test]
    fn bans_that_have_ended_make_room_and_those_that_hold_stay() {
        let (bans, max, limit_hits) = (bans(), 1_000, LimitHits::default());
        let bans = bans.counted_by(limit_hits.clone());
        bans.set_max(max);
        for number in 0..max {
            let time = Duration::from_secs(if number == 0 { 5 } else { 100 });
            bans.add("r", &number.to_string(), time).unwrap();
        }
        assert_eq!(bans.reserve("r", "more").map(drop), Err(TooManyBans));
        assert_eq!(bans.add("r", "more", Duration::from_secs(9)), Err(TooManyBans));
        assert_eq!((limit_hits.hits(Limit::Bans), bans.reserve("r", "7").map(drop)), (2, Ok(())));
        bans.add("r", "7", Duration::from_secs(9)).unwrap();
        NOW.set(6);
        bans.add("r", "more", Duration::from_secs(9)).unwrap();
        assert!(bans.holds("r", "more") && bans.holds("r", "99"));
    }
}
